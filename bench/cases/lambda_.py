"""Functions: cold, warm, sixteen clients at once, and what their environments cost."""

from __future__ import annotations

import io
import json
import random
import time
import zipfile
from contextlib import suppress
from itertools import count
from sys import version_info
from typing import Any

from bench.client import Connection, ask_all, aws, invoke
from bench.gauge import Figures, Round, during, repeat, untimed
from bench.load import Requests
from bench.servers import Cannot, Peak, Server

RUNTIME = f"python{version_info.major}.{version_info.minor}"
ROLE = "bench-function"
# One vCPU at AWS: nobody is slowed down to a share of one.
MEMORY_MB = 1769
CROWD = 200
BURST = 100

IMPORTS = """
import os
import time
import uuid

import boto3

environment = uuid.UUID(bytes=os.urandom(16)).hex


def handler(event, context):
    time.sleep(max(0, event.get("until", 0) - time.time()))
    return {"n": event["n"], "environment": environment, "boto3": boto3.__version__}
"""
# What most functions do: a client made once, at Init.
CLIENT = IMPORTS.replace("import boto3\n", 'import boto3\n\ns3 = boto3.client("s3")\n', 1)


def run(server: Server, quick: bool) -> Figures:
    create(server, "warm-up", IMPORTS)
    first_invoke_ms(server, "warm-up")
    server.settle()
    before = server.pss_mb()
    cold = _cold_ms(server, "imports", IMPORTS, quick)
    yield "cold_ms", cold
    server.settle()
    yield "environment_mb", untimed((server.pss_mb() - before) / len(cold))
    yield "cold_client_ms", _cold_ms(server, "client", CLIENT, quick)

    seconds = 1 if quick else 2
    requests = Requests([invoke(server, "warm-up", json.dumps({"n": n}).encode()) for n in range(500)])
    requests.run(server, 1, 1)
    loads = requests.rounds(server, 1, seconds, quick)
    yield "warm_ms", [(load.p50_ms, speed) for load, speed in loads]
    yield "warm_p99_ms", [(load.p99_ms, speed) for load, speed in loads]
    yield "warm_cpu_us", [(load.cpu_us, speed) for load, speed in loads]
    # Time enough for whoever starts an interpreter for each of the sixteen.
    requests.run(server, 16, 1 if quick else 6)
    loads = requests.rounds(server, 16, seconds, quick)
    yield "invokes_per_s", [(load.per_s, speed) for load, speed in loads]
    if server.name == "pileus":
        # What earlier ones left idle is not of the crowd, and their number depends on the machine's speed.
        _forget(server)
        yield "crowd_mb", untimed(_crowd_mb(server))
        yield "burst_ms", [_burst_ms(server)]
        yield "mixed_per_s", repeat(lambda: _mixed_per_s(server), quick)


def create(
    server: Server,
    name: str,
    code: str | bytes,
    *,
    file: str = "function.py",
    runtime: str = RUNTIME,
    handler: str = "function.handler",
    **settings: Any,
) -> None:
    """A function, once it is Active."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        # Readable, and for programs executable, by whoever the function runs as; ZipFile alone says nobody may.
        entry = zipfile.ZipInfo(file)
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, code)
    client = aws(server, "lambda")
    client.create_function(
        FunctionName=name,
        Runtime=runtime,
        Role=_role(server),
        Handler=handler,
        Code={"ZipFile": package.getvalue()},
        MemorySize=MEMORY_MB,
        Timeout=60,
        **settings,
    )
    wait_active(client, name)


def wait_active(client: Any, name: str) -> None:
    end = time.monotonic() + 60
    while (state := client.get_function_configuration(FunctionName=name).get("State")) != "Active":
        if time.monotonic() > end or state == "Failed":
            raise Cannot(f"the function is {state}, not Active")
        time.sleep(0.02)


def _role(server: Server) -> str:
    client = aws(server, "iam")
    with suppress(client.exceptions.NoSuchEntityException):
        return str(client.get_role(RoleName=ROLE)["Role"]["Arn"])
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = str(client.create_role(RoleName=ROLE, AssumeRolePolicyDocument=document)["Role"]["Arn"])
    # As AWSLambdaBasicExecutionRole has it: what a function writes is kept.
    actions = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    logs = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [logs]})
    client.put_role_policy(RoleName=ROLE, PolicyName="logs", PolicyDocument=document)
    return arn


def first_invoke_ms(server: Server, name: str) -> float:
    """From the last byte ready to send to the answer, on a connection that is open already."""
    request = invoke(server, name, b'{"n": 7}')
    with Connection(server) as connection:
        begun = time.perf_counter()
        status, answer = connection.ask(request)
        took = (time.perf_counter() - begun) * 1000
    _environment(status, answer, 7)
    return took


def _cold_ms(server: Server, name: str, code: str, quick: bool) -> list[Round[float]]:
    numbers = count()

    def cold() -> Round[float]:
        function = f"{name}-{next(numbers)}"
        create(server, function, code)
        # A moment of rest: the usual cold start finds an idle machine.
        time.sleep(0.2)
        return during(first_invoke_ms, server, function)

    return repeat(cold, quick, 9)


def _burst_ms(server: Server) -> Round[float]:
    """As many functions as there are invocations, none of which has run: every one must answer."""
    for number in range(BURST):
        create(server, f"burst-{number}", IMPORTS)
    server.settle()
    requests = [invoke(server, f"burst-{n}", json.dumps({"n": n}).encode()) for n in range(BURST)]
    (took, answers), speed = during(_answers, server, requests, BURST)
    met = {_environment(status, answer, n) for n, (status, answer) in enumerate(answers)}
    if len(met) != BURST:
        raise Cannot(f"{len(met)} environments answered for {BURST} functions")
    return took * 1000, speed


def _answers(server: Server, requests: list[bytes], connections: int) -> tuple[float, list[tuple[int, bytes]]]:
    """The seconds that they took, too."""
    begun = time.perf_counter()
    answers = ask_all(server, requests, connections)
    return time.perf_counter() - begun, answers


def _mixed_per_s(server: Server) -> Round[float]:
    """Of half of those functions, warm by now: every answer must be that of its own caller."""
    order = [n % (BURST // 2) for n in range(1000)]
    random.Random(1).shuffle(order)
    numbers = list(enumerate(order))
    requests = [invoke(server, f"burst-{function}", json.dumps({"n": n}).encode()) for n, function in numbers]
    (took, answers), speed = during(_answers, server, requests, 16)
    functions: dict[str, set[int]] = {}
    for (n, function), (status, answer) in zip(numbers, answers, strict=True):
        functions.setdefault(_environment(status, answer, n), set()).add(function)
    if any(len(each) > 1 for each in functions.values()):
        raise Cannot("one environment answered for several functions")
    return len(order) / took, speed


def _forget(server: Server) -> None:
    """Delete all functions, and with them their environments."""
    client = aws(server, "lambda")
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            client.delete_function(FunctionName=function["FunctionName"])
    server.settle()


def _crowd_mb(server: Server) -> float:
    """The most memory taken while 200 environments of one function are busy at once; every one must answer."""
    create(server, "crowd", IMPORTS)
    until = time.time() + 8
    requests = [invoke(server, "crowd", json.dumps({"n": n, "until": until}).encode()) for n in range(CROWD)]
    with Peak(server, every_s=0.25) as peak:
        answers = ask_all(server, requests, CROWD)
    met = {_environment(status, answer, n) for n, (status, answer) in enumerate(answers)}
    if len(met) != CROWD:
        raise Cannot(f"{len(met)} environments answered {CROWD} invocations: they were not live at once")
    return peak.mb


def _environment(status: int, answer: bytes, n: int) -> str:
    """Which environment answered; raises `Cannot` where the answer is not the function's own."""
    with suppress(ValueError, KeyError, TypeError):
        result = json.loads(answer)
        if status == 200 and result["n"] == n:
            return str(result["environment"])
    raise Cannot(f"Invoke answered {status} {answer[:300].decode(errors='replace')}")
