"""How long it takes from a call into a function's handler, on an idle machine with a warm environment."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from bench.cases.lambda_ import create
from bench.client import aws
from bench.gauge import Round, during, repeat
from bench.servers import Cannot, Server

WARM_UP = 5
# Calls of one round.
CALLS = 14
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


def medians_ms(server: Server, name: str, quick: bool, send: Callable[[float], None]) -> list[Round[float]]:
    """Medians, from before a call to the handler's first line; `send` is given the time now."""
    sent = 0

    def calls(count: int, every_s: float) -> None:
        nonlocal sent
        for _ in range(count):
            send(time.time())
            time.sleep(every_s)
        sent += count

    def one() -> Round[float]:
        _, speed = during(calls, CALLS, 0.1)
        return statistics.median(_took_ms(server, name, sent)[-CALLS:]), speed

    calls(WARM_UP, 1.0)
    _took_ms(server, name, sent)
    return repeat(one, quick)


def _took_ms(server: Server, name: str, sent: int) -> list[float]:
    """How long each event took, in their order, once all have come."""
    end = time.monotonic() + 30
    while len(took := _told_ms(server, name)) < sent:
        if time.monotonic() > end:
            raise Cannot(f"{len(took)} of {sent} events came into the function")
        time.sleep(0.2)
    return took


def _told_ms(server: Server, name: str) -> list[float]:
    logs = aws(server, "logs")
    try:
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    lines = [event["message"] for event in sorted(found, key=lambda event: event["timestamp"])]
    return [float(line.split()[1]) * 1000 for line in lines if line.startswith("TOOK")]
