"""Many events at once: starts take turns, and an environment that becomes idle spares one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# So many that the pace of starts alone would take them some fifteen seconds, and fewer than an account may run at once:
# the first environments are ready long before, on a busy machine too.
EVENTS = min(900, 150 * (os.cpu_count() or 1))
SLOW_START = """
import time
import uuid

time.sleep(0.5)
environment = uuid.uuid4().hex


def handler(event, context):
    return environment
"""


def test_a_crowd_of_events_does_not_start_a_crowd_of_environments(aws: Any, make: Callable[..., Any]) -> None:
    make("f", SLOW_START, Timeout=60)
    lambda_ = aws.client("lambda", config={"max_pool_connections": EVENTS})

    def invoke(number: int) -> str:
        answer = lambda_.invoke(FunctionName="f", Payload=json.dumps(number).encode())
        assert "FunctionError" not in answer
        environment: str = json.loads(answer["Payload"].read())
        return environment

    with ThreadPoolExecutor(EVENTS) as clients:
        environments = list(clients.map(invoke, range(EVENTS)))
    assert len(environments) == EVENTS
    assert len(set(environments)) < EVENTS
