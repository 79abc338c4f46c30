"""EventBridge on a node that is killed again and again: nothing acknowledged is lost on its way, nor in a replay.

`PILEUS_KILL_ROUNDS` says how many kills, where somebody has the time for hundreds.
"""

from __future__ import annotations

import json
import os
import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from events_kit import Group

from waiting import until

KILLS = int(os.environ.get("PILEUS_KILL_ROUNDS", "5"))
EVENTS_PER_LIFE = 40


def _entry(n: int) -> dict[str, Any]:
    return {"Source": "killed", "DetailType": "t", "Detail": json.dumps({"n": n})}


def test_no_acknowledged_event_is_lost(aws: Any, start_pileus: Any) -> None:
    chance = random.Random(11)
    server = start_pileus()
    number = aws.account

    def account() -> Any:
        return type(aws)(server.endpoint, number)

    group = Group(account(), "arrived")
    events = account().client("events")
    events.put_rule(Name="r", EventPattern='{"source": ["killed"]}')
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": group.arn, "InputPath": "$.id"}])
    bus = events.describe_event_bus()["Arn"]
    archive = events.create_archive(ArchiveName="all", EventSourceArn=bus)["ArchiveArn"]
    acknowledged: list[str] = []

    def put(enough: threading.Event) -> None:
        client = account().client("events")
        for n in range(100_000):
            try:
                answer = client.put_events(Entries=[_entry(n), _entry(n)])
            except (BotoCoreError, ClientError):
                return
            acknowledged.extend(one["EventId"] for one in answer["Entries"])
            if n * 2 >= EVENTS_PER_LIFE:
                enough.set()

    for _ in range(KILLS):
        enough = threading.Event()
        writer = threading.Thread(target=put, args=(enough,))
        writer.start()
        assert enough.wait(60)
        # Somewhere between a put, its deliveries and their end.
        threading.Event().wait(chance.uniform(0.0, 0.05))
        server.kill()
        writer.join()
        server = start_pileus()
    assert len(acknowledged) > KILLS * EVENTS_PER_LIFE / 2
    logs = account().client("logs")

    def are_all_in(name: str) -> bool:
        return not set(acknowledged) - {json.loads(text) for text in _texts(logs, name)}

    until(lambda: are_all_in("arrived"), seconds=60)

    # The archive has them all, and a replay that is killed puts every one of them on the bus again.
    events = account().client("events")
    kept = events.describe_archive(ArchiveName="all")["EventCount"]
    assert kept >= len(acknowledged)
    events.create_archive(ArchiveName="second", EventSourceArn=bus)
    again = Group(account(), "again")
    events.put_rule(Name="again", EventPattern='{"replay-name": ["r"]}')
    events.put_targets(Rule="again", Targets=[{"Id": "t", "Arn": again.arn, "InputPath": "$.id"}])
    now = datetime.now(UTC)
    events.start_replay(
        ReplayName="r",
        EventSourceArn=archive,
        EventStartTime=now - timedelta(days=1),
        EventEndTime=now + timedelta(days=1),
        Destination={"Arn": bus, "FilterArns": [bus.replace("event-bus/default", "rule/again")]},
    )
    until(lambda: _texts(account().client("logs"), "again"))
    server.kill()
    server = start_pileus()
    events = account().client("events")
    until(lambda: events.describe_replay(ReplayName="r")["State"] == "COMPLETED", seconds=60)
    logs = account().client("logs")
    until(lambda: are_all_in("again"), seconds=60)
    # What is replayed is archived nowhere.
    assert events.describe_archive(ArchiveName="second")["EventCount"] == 0


def _texts(logs: Any, group: str) -> list[str]:
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = logs.filter_log_events(logGroupName=group, **token)
        found += [one["message"] for one in answer["events"]]
        if "nextToken" not in answer:
            return found
        token = {"nextToken": answer["nextToken"]}
