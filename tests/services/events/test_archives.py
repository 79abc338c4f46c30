"""Archives and replays."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from events_kit import Group, bare, refused

from waiting import until

PATTERN = {"source": ["kept"]}
DAY = timedelta(days=1)


def entry(bus: str, n: int, source: str = "kept") -> dict[str, Any]:
    return {"EventBusName": bus, "Source": source, "DetailType": "t", "Detail": json.dumps({"n": n})}


@pytest.mark.parametrize("bus", ["default", "custom"])
def test_an_archive_from_its_making_to_its_end(aws: Any, bus: str) -> None:
    events = aws.client("events")
    if bus != "default":
        events.create_event_bus(Name=bus)
    prefix = f"arn:aws:events:us-east-1:{aws.account}"
    made = bare(
        events.create_archive(
            ArchiveName="kept",
            EventSourceArn=f"{prefix}:event-bus/{bus}",
            Description="first",
            EventPattern=json.dumps(PATTERN),
            RetentionDays=1,
        )
    )
    assert made.keys() == {"ArchiveArn", "State", "CreationTime"}
    assert (made["ArchiveArn"], made["State"]) == (f"{prefix}:archive/kept", "ENABLED")
    listed = {
        "ArchiveName": "kept",
        "EventSourceArn": f"{prefix}:event-bus/{bus}",
        "State": "ENABLED",
        "RetentionDays": 1,
        "SizeBytes": 0,
        "EventCount": 0,
        "CreationTime": made["CreationTime"],
    }
    for request in ({"NamePrefix": "ke"}, {"EventSourceArn": f"{prefix}:event-bus/{bus}"}, {"State": "ENABLED"}):
        assert bare(events.list_archives(**request)) == {"Archives": [listed]}
    assert events.list_archives(NamePrefix="none")["Archives"] == []
    assert bare(events.describe_archive(ArchiveName="kept")) == {
        **listed,
        "ArchiveArn": made["ArchiveArn"],
        "Description": "first",
        "EventPattern": json.dumps(PATTERN),
    }
    # Its events come through a rule that nobody else may change.
    managed = events.describe_rule(Name="Events-Archive-kept", EventBusName=bus)
    assert managed["ManagedBy"] == "prod.vhs.events.aws.internal"
    assert json.loads(managed["EventPattern"]) == {**PATTERN, "replay-name": [{"exists": False}]}
    assert refused(events.delete_rule, Name="Events-Archive-kept", EventBusName=bus)[0] == "ManagedRuleException"
    events.put_events(Entries=[entry(bus, n) for n in range(3)] + [entry(bus, 9, "other")])
    assert events.describe_archive(ArchiveName="kept")["EventCount"] == 3
    events.update_archive(ArchiveName="kept", Description="second", RetentionDays=2)
    updated = events.describe_archive(ArchiveName="kept")
    assert (updated["Description"], updated["RetentionDays"], updated["EventCount"]) == ("second", 2, 3)
    events.delete_archive(ArchiveName="kept")
    gone = ("ResourceNotFoundException", "Archive kept does not exist.")
    for call in (events.describe_archive, events.delete_archive, events.update_archive):
        assert refused(call, ArchiveName="kept") == gone
    assert events.list_rules(EventBusName=bus)["Rules"] == []


def test_bad_archives(aws: Any) -> None:
    events = aws.client("events")
    arn = f"arn:aws:events:us-east-1:{aws.account}:event-bus/"
    no_bus = ("ResourceNotFoundException", "Event bus none does not exist.")
    assert refused(events.create_archive, ArchiveName="a", EventSourceArn=arn + "none") == no_bus
    assert refused(events.list_archives, EventSourceArn=arn + "none") == no_bus
    code, message = refused(
        events.create_archive, ArchiveName="a", EventSourceArn=arn + "default", EventPattern='{"source": 1}'
    )
    assert code == "InvalidEventPatternException"
    assert message.startswith('Event pattern is not valid. Reason: "source" must be an object or an array')
    events.create_archive(ArchiveName="a", EventSourceArn=arn + "default")
    assert refused(events.create_archive, ArchiveName="a", EventSourceArn=arn + "default") == (
        "ResourceAlreadyExistsException",
        "Archive a already exists.",
    )


def test_a_replay_puts_the_events_of_its_time_on_the_bus_again(aws: Any) -> None:
    events, group = aws.client("events"), Group(aws, "replayed")
    events.create_event_bus(Name="replayed")
    prefix = f"arn:aws:events:us-east-1:{aws.account}"
    bus = f"{prefix}:event-bus/replayed"
    archive = events.create_archive(ArchiveName="again", EventSourceArn=bus)["ArchiveArn"]
    events.put_events(Entries=[entry("replayed", n) for n in range(3)])
    for name in ("wanted", "unwanted"):
        events.put_rule(Name=name, EventBusName="replayed", EventPattern=json.dumps(PATTERN))
        target = {"Id": "t", "Arn": group.arn}
        if name == "unwanted":
            target["Input"] = '"unwanted"'
        events.put_targets(Rule=name, EventBusName="replayed", Targets=[target])
    now = datetime.now(UTC)
    request = {
        "ReplayName": "first",
        "EventSourceArn": archive,
        "EventStartTime": now - DAY,
        "EventEndTime": now + DAY,
        "Description": "of all",
        "Destination": {"Arn": bus, "FilterArns": [f"{prefix}:rule/replayed/wanted"]},
    }
    started = bare(events.start_replay(**request))
    assert started.keys() == {"ReplayArn", "State", "ReplayStartTime"}
    assert (started["ReplayArn"], started["State"]) == (f"{prefix}:replay/first", "STARTING")
    assert refused(events.start_replay, **request) == (
        "ResourceAlreadyExistsException",
        "Replay first already exists.",
    )

    def ended() -> Any:
        replay = bare(events.describe_replay(ReplayName="first"))
        return replay if replay["State"] == "COMPLETED" else None

    replay = until(ended)
    assert replay.keys() == {
        *("ReplayName", "ReplayArn", "Description", "State", "EventSourceArn", "Destination", "EventStartTime"),
        *("EventEndTime", "EventLastReplayedTime", "ReplayStartTime", "ReplayEndTime"),
    }
    assert replay["Destination"] == request["Destination"]
    found = [json.loads(text) for text in group.wait(3)]
    assert sorted(event["detail"]["n"] for event in found) == [0, 1, 2]
    assert {event["replay-name"] for event in found} == {"first"}
    # What is replayed is not archived again.
    assert events.describe_archive(ArchiveName="again")["EventCount"] == 3
    assert refused(events.cancel_replay, ReplayName="first")[0] == "IllegalStatusException"
    events.start_replay(**{**request, "ReplayName": "second"})
    assert bare(events.cancel_replay(ReplayName="second")) == {
        "ReplayArn": f"{prefix}:replay/second",
        "State": "CANCELLING",
    }
    cancelled = bare(events.describe_replay(ReplayName="second"))
    assert not cancelled.keys() & {"EventLastReplayedTime", "ReplayEndTime"}
    assert [one["ReplayName"] for one in events.list_replays(EventSourceArn=archive)["Replays"]] == ["first", "second"]
    page = events.list_replays(Limit=1)
    assert [one["ReplayName"] for one in page["Replays"]] == ["first"]
    rest = events.list_replays(NextToken=page["NextToken"])["Replays"]
    assert [one["ReplayName"] for one in rest] == ["second"]
    assert [one["ReplayName"] for one in events.list_replays(State="COMPLETED")["Replays"]] == ["first"]
    until(lambda: events.describe_replay(ReplayName="second")["State"] == "CANCELLED")


def test_bad_replays(aws: Any) -> None:
    events = aws.client("events")
    prefix = f"arn:aws:events:us-east-1:{aws.account}"
    assert refused(events.describe_replay, ReplayName="none") == (
        "ResourceNotFoundException",
        "Replay none does not exist.",
    )
    events.create_archive(ArchiveName="a", EventSourceArn=f"{prefix}:event-bus/default")
    events.create_event_bus(Name="other")
    now = datetime.now(UTC)
    good = {
        "ReplayName": "r",
        "EventSourceArn": f"{prefix}:archive/a",
        "EventStartTime": now - DAY,
        "EventEndTime": now,
        "Destination": {"Arn": f"{prefix}:event-bus/default"},
    }
    for wrong, code, message in (
        (
            {"EventEndTime": now - DAY},
            "ValidationException",
            "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.",
        ),
        (
            {"Destination": {"Arn": f"{prefix}:event-bus/none"}},
            "ResourceNotFoundException",
            "Event bus none does not exist.",
        ),
        (
            {"EventSourceArn": f"{prefix}:archive/none"},
            "ValidationException",
            "Parameter EventSourceArn is not valid. Reason: Archive none does not exist.",
        ),
        (
            {"Destination": {"Arn": f"{prefix}:event-bus/other"}},
            "ValidationException",
            "Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.",
        ),
    ):
        assert refused(events.start_replay, **{**good, **wrong}) == (code, message)


def test_an_archive_counts_what_was_put_and_not_what_it_keeps(aws: Any) -> None:
    events = aws.client("events")
    events.create_archive(ArchiveName="sized", EventSourceArn=events.describe_event_bus()["Arn"])
    detail = {"command": "update-account", "payload": {"acc_id": "0a787ecb-4015", "sf_id": "baz"}}
    name = "core.update-account-command"
    events.put_events(Entries=[{"Source": name, "DetailType": name, "Detail": json.dumps(detail)}] * 10)
    assert events.describe_archive(ArchiveName="sized")["SizeBytes"] == 1590


def test_events_are_kept_as_long_as_the_archive_says(aws: Any, start_pileus: Any) -> None:
    server = start_pileus("--clock", "virtual")
    events = type(aws)(server.endpoint).client("events")
    bus = events.describe_event_bus()["Arn"]
    events.create_archive(ArchiveName="day", EventSourceArn=bus, RetentionDays=1)
    events.create_archive(ArchiveName="ever", EventSourceArn=bus)
    events.put_events(Entries=[entry("default", 1)])
    server.advance(23 * 3600)
    events.put_events(Entries=[entry("default", 2)])
    assert events.describe_archive(ArchiveName="day")["EventCount"] == 2
    server.advance(2 * 3600)
    day = events.describe_archive(ArchiveName="day")
    ever = events.describe_archive(ArchiveName="ever")
    assert (day["EventCount"], ever["EventCount"]) == (1, 2)
    assert day["SizeBytes"] * 2 == ever["SizeBytes"]
