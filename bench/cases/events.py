"""EventBridge: putting events on a bus with a thousand rules, and the way of one from the call into a function."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.cases import arrivals
from bench.client import Connection, ask_all, aws, events
from bench.load import Requests
from bench.servers import Cannot, Server

RULES = 1000
FUNCTION = "events"


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
    function = arrivals.function(server, FUNCTION, 'event["detail"]["sent"]')
    client = aws(server, "events")
    rule = client.put_rule(Name="to-function", EventPattern='{"source": ["bench.function"]}')["RuleArn"]
    aws(server, "lambda").add_permission(
        FunctionName=FUNCTION,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    client.put_targets(Rule="to-function", Targets=[{"Id": "function", "Arn": function}])
    with Connection(server) as connection:

        def send(now: float) -> None:
            connection.ask(events(server, "PutEvents", _entry("bench.function", {"sent": now})))

        return arrivals.median_ms(server, FUNCTION, count, send)
