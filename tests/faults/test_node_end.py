"""However a node ends, nothing of it is left: no process, control group, namespace or mount; after kill -9, once the
next node has started."""

from __future__ import annotations

import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
# Goes on after its answer, ignores SIGTERM, and has a child that does the same.
CODE = """
import os, signal, subprocess, threading, time

def handle(event, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    threading.Thread(target=lambda: time.sleep(600), daemon=False).start()
    return os.getpid()
"""


def client(endpoint: str, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}),
    )


def run_function(endpoint: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as code:
        code.writestr("index.py", CODE)
    client(endpoint, "iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    lambda_ = client(endpoint, "lambda")
    lambda_.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="index.handle",
        Role="arn:aws:iam::000000000000:role/r",
        Code={"ZipFile": archive.getvalue()},
        Timeout=60,
    )
    lambda_.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    answer = lambda_.invoke(FunctionName="f")
    assert "FunctionError" not in answer, answer["Payload"].read()


def traces(pid: int) -> set[tuple[str, str]]:
    """What a node and its environments hold of this machine, apart from files: processes, groups, namespaces."""
    found: set[tuple[str, str]] = set()
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        found.add(("process", f"{process.pid} {process.create_time()}"))
        for kind in ("mnt", "net", "pid", "ipc", "uts"):
            own = os.readlink(f"/proc/self/ns/{kind}")
            namespace = os.readlink(f"/proc/{process.pid}/ns/{kind}")
            if namespace != own:
                found.add(("namespace", namespace))
        for line in Path(f"/proc/{process.pid}/cgroup").read_text().splitlines():
            _, _, path = line.split(":", 2)
            if "/pileus-" in path:
                found.add(("group", path))
    return found


def left_of(before: set[tuple[str, str]], ended: float) -> set[tuple[str, str]]:
    """Which of these traces are still there; the kernel gives the numbers of namespaces to others afterwards."""
    now: set[tuple[str, str]] = set()
    names = {path.rsplit("/pileus-", 1)[1].split("/")[0] for what, path in before if what == "group"}
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.create_time() >= ended:
                continue
            itself = ("process", f"{process.pid} {process.create_time()}")
            groups = Path(f"/proc/{process.pid}/cgroup").read_text()
            # A stranger, whatever the numbers of its namespaces.
            if itself not in before and not any(f"/pileus-{name}" in groups for name in names):
                continue
            now.add(itself)
            for kind in ("mnt", "net", "pid", "ipc", "uts"):
                now.add(("namespace", os.readlink(f"/proc/{process.pid}/ns/{kind}")))
        except (psutil.NoSuchProcess, OSError):
            continue
    for _, children, _ in os.walk("/sys/fs/cgroup"):
        for child in [child for child in children if child.removeprefix("pileus-") in names]:
            now |= {trace for trace in before if trace[0] == "group" and child in trace[1]}
    return before & now


def eventually_nothing_left_of(before: set[tuple[str, str]], ended: float) -> None:
    """The kernel takes a moment to end what was killed."""
    deadline = time.monotonic() + 20
    while left := left_of(before, ended):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_end_leaves_nothing(start_pileus: Callable[..., Any], number: signal.Signals) -> None:
    server = start_pileus()
    run_function(server.endpoint)
    before = traces(server.process.pid)
    assert {what for what, _ in before} >= {"process"}
    assert len(before) > 3
    ended = time.time()
    server.process.send_signal(number)
    assert server.process.wait(timeout=30) == 0, server.log.read_text()
    assert left_of(before, ended) == set()


def test_after_kill_9_the_next_start_sweeps(start_pileus: Callable[..., Any], tmp_path: Path) -> None:
    server = start_pileus(data_dir=tmp_path / "data")
    run_function(server.endpoint)
    before = traces(server.process.pid)
    ended = time.time()
    server.kill()
    again = start_pileus(data_dir=tmp_path / "data")
    eventually_nothing_left_of(before, ended)
    # And the node works on what the killed one had acknowledged.
    answer = client(again.endpoint, "lambda").invoke(FunctionName="f")
    assert "FunctionError" not in answer
    assert answer["StatusCode"] == 200
