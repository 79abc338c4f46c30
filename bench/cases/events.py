"""EventBridge: putting events on a bus with a thousand rules, and the way of one from the call into a function."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator

from bench.cases.lambda_ import create
from bench.client import Connection, ask_all, aws, events
from bench.load import Requests
from bench.servers import Cannot, Server

RULES = 1000
FUNCTION = "events"
# What it prints it prints into its log group: how long the event took, by the machine's one clock.
CODE = """
import time


def handler(event, context):
    print(f"TOOK {time.time() - event['detail']['sent']:.6f}")
"""


def run(server: Server, quick: bool) -> Iterator[tuple[str, list[float]]]:
    client = aws(server, "events")
    for number in range(RULES):
        pattern = {"source": [f"bench.{number}"], "detail": {"n": [{"numeric": [">", 0]}]}}
        client.put_rule(Name=f"rule-{number}", EventPattern=json.dumps(pattern))
    bodies = [_entry(f"bench.{number}", {"n": number}) for number in range(RULES)]
    requests = Requests([events(server, "PutEvents", body) for body in bodies])
    seconds, rounds = (1, 1) if quick else (3, 3)
    requests.run(server, 64, 1)
    yield "events_put_per_s", [requests.run(server, 64, seconds).per_s for _ in range(rounds)]
    for _, answer in ask_all(server, [events(server, "PutEvents", bodies[0])], 1):
        if json.loads(answer).get("FailedEntryCount") != 0:
            raise Cannot(f"PutEvents answered {answer[:200].decode(errors='replace')}")
    yield "events_to_handler_ms", [_to_handler_ms(server, 10 if quick else 40)]


def _entry(source: str, detail: dict[str, float]) -> bytes:
    entry = {"Source": source, "DetailType": "bench", "Detail": json.dumps(detail)}
    return json.dumps({"Entries": [entry]}).encode()


def _to_handler_ms(server: Server, count: int) -> float:
    """The median, from before the call to the handler's first line, on an idle machine with a warm environment."""
    create(server, FUNCTION, CODE)
    client = aws(server, "events")
    rule = client.put_rule(Name="to-function", EventPattern='{"source": ["bench.function"]}')["RuleArn"]
    function = aws(server, "lambda").get_function_configuration(FunctionName=FUNCTION)["FunctionArn"]
    aws(server, "lambda").add_permission(
        FunctionName=FUNCTION,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    client.put_targets(Rule="to-function", Targets=[{"Id": "function", "Arn": function}])
    warm_up = 5
    with Connection(server) as connection:
        for number in range(warm_up + count):
            body = _entry("bench.function", {"sent": time.time()})
            connection.ask(events(server, "PutEvents", body))
            time.sleep(1.0 if number < warm_up else 0.1)
    end = time.monotonic() + 30
    while len(took := _took_ms(server)) < warm_up + count:
        if time.monotonic() > end:
            raise Cannot(f"{len(took)} of {warm_up + count} events came into the function")
        time.sleep(0.2)
    return statistics.median(took[warm_up:])


def _took_ms(server: Server) -> list[float]:
    logs = aws(server, "logs")
    try:
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{FUNCTION}")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    lines = [event["message"] for event in sorted(found, key=lambda event: event["timestamp"])]
    return [float(line.split()[1]) * 1000 for line in lines if line.startswith("TOOK")]
