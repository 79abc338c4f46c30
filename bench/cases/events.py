"""EventBridge: events on a bus with a thousand rules and with ten thousand, and the way of one into a function."""

from __future__ import annotations

import json
import time
from typing import Any

from bench.cases import arrivals
from bench.client import Connection, ask_all, aws, events, expect
from bench.gauge import Figures, Round, during, repeat
from bench.load import Load, Requests
from bench.servers import Cannot, Server
from pileus.delivery.event_patterns import RuleIndex, compile_pattern

RULES = 1000
# Of all kinds, on a bus of their own.
MANY_RULES = 10_000
FUNCTION = "events"


def run(server: Server, quick: bool) -> Figures:
    client = aws(server, "events")
    for number in range(RULES):
        pattern = {"source": [f"bench.{number}"], "detail": {"n": [{"numeric": [">", 0]}]}}
        client.put_rule(Name=f"rule-{number}", EventPattern=json.dumps(pattern))
    bodies = [_entry(f"bench.{number}", {"n": number}) for number in range(RULES)]
    requests = Requests([events(server, "PutEvents", body) for body in bodies])
    seconds = 1 if quick else 2
    requests.run(server, 64, 1)
    yield "events_put_per_s", _per_s(requests.rounds(server, 64, seconds, quick))
    for _, answer in ask_all(server, [events(server, "PutEvents", bodies[0])], 1):
        if json.loads(answer).get("FailedEntryCount") != 0:
            raise Cannot(f"PutEvents answered {answer[:200].decode(errors='replace')}")
    yield "events_to_handler_ms", _to_handler_ms(server, quick)
    if server.name == "pileus":
        yield from _many(server, seconds, quick)


def _many(server: Server, seconds: int, quick: bool) -> Figures:
    patterns = [json.dumps(_pattern(number)) for number in range(MANY_RULES)]
    details = [_detail(number) for number in range(0, MANY_RULES, 7)]
    yield "events_match_10000_us", repeat(lambda: during(_match_us, patterns, details), quick)
    aws(server, "events").create_event_bus(Name="many")
    rules = [{"Name": f"rule-{n}", "EventBusName": "many", "EventPattern": each} for n, each in enumerate(patterns)]
    expect(ask_all(server, [events(server, "PutRule", json.dumps(each).encode()) for each in rules], 16))
    requests = Requests([events(server, "PutEvents", _entry("many", each, bus="many")) for each in details])
    # The first event makes the node read the rules.
    expect(ask_all(server, [events(server, "PutEvents", _entry("many", details[0], bus="many"))], 1))
    requests.run(server, 64, 1)
    yield "events_put_10000_per_s", _per_s(requests.rounds(server, 64, seconds, quick))


def _per_s(rounds: list[Round[Load]]) -> list[Round[float]]:
    return [(load.per_s, speed) for load, speed in rounds]


def _pattern(number: int) -> dict[str, Any]:
    """A rule of the ten thousand: they differ in what no other has, by all operators in turn."""
    detail = (
        {"id": [f"id-{number}"]},
        {"id": [{"prefix": f"id-{number}-"}]},
        {"file": [{"suffix": f"-{number}.png"}]},
        {"file": [{"wildcard": f"{number}/*.png"}]},
        {"user": [{"equals-ignore-case": f"User{number}"}]},
        {"n": [{"numeric": [">=", number, "<", number + 7]}]},
        {"address": [{"cidr": f"10.{number // 256}.{number % 256}.0/24"}]},
    )
    return {"source": ["many"], "detail-type": ["bench"], "detail": detail[number % len(detail)]}


def _detail(number: int) -> dict[str, Any]:
    return {
        "id": f"id-{number}",
        "file": f"{number}/of-{number}.png",
        "user": f"USER{number}",
        "n": number + 0.5,
        "address": f"10.{number // 256}.{number % 256}.1",
    }


def _match_us(patterns: list[str], details: list[dict[str, Any]]) -> float:
    """One event against all rules, without wire, store and targets: how long that takes, on average."""
    index: RuleIndex[int] = RuleIndex()
    for number, pattern in enumerate(patterns):
        index.add(number, compile_pattern(pattern))
    made = [{"source": "many", "detail-type": "bench", "region": "us-east-1", "detail": each} for each in details]
    begin = time.perf_counter()
    found = sum(len(index.match(event)) for event in made)
    passed = time.perf_counter() - begin
    if found < len(made):
        raise Cannot(f"{found} rules matched where every event of {len(made)} has one at least")
    return passed / len(made) * 1e6


def _entry(source: str, detail: dict[str, Any], bus: str = "default") -> bytes:
    entry = {"Source": source, "DetailType": "bench", "Detail": json.dumps(detail), "EventBusName": bus}
    return json.dumps({"Entries": [entry]}).encode()


def _to_handler_ms(server: Server, quick: bool) -> list[Round[float]]:
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

        return arrivals.medians_ms(server, FUNCTION, quick, send)
