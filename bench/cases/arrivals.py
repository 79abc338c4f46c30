"""How long it takes from a call into a function's handler, on an idle machine with a warm environment."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from bench.cases.lambda_ import create
from bench.client import aws
from bench.servers import Cannot, Server

WARM_UP = 5
# What it prints it prints into its log group: how long the event took, by the machine's one clock.
_CODE = """
import time


def handler(event, context):
    took = time.time() - float({sent})
    print("TOOK", took)
"""


def function(server: Server, name: str, sent: str) -> str:
    """The ARN of a function that tells how long its event took; `sent`: where the event says when it was sent."""
    create(server, name, _CODE.format(sent=sent))
    arn: str = aws(server, "lambda").get_function_configuration(FunctionName=name)["FunctionArn"]
    return arn


def median_ms(server: Server, name: str, count: int, send: Callable[[float], None]) -> float:
    """The median, from before a call to the handler's first line; `send` is given the time now."""
    for number in range(WARM_UP + count):
        send(time.time())
        time.sleep(1.0 if number < WARM_UP else 0.1)
    end = time.monotonic() + 30
    while len(took := _took_ms(server, name)) < WARM_UP + count:
        if time.monotonic() > end:
            raise Cannot(f"{len(took)} of {WARM_UP + count} events came into the function")
        time.sleep(0.2)
    return statistics.median(took[WARM_UP:])


def _took_ms(server: Server, name: str) -> list[float]:
    logs = aws(server, "logs")
    try:
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    lines = [event["message"] for event in sorted(found, key=lambda event: event["timestamp"])]
    return [float(line.split()[1]) * 1000 for line in lines if line.startswith("TOOK")]
