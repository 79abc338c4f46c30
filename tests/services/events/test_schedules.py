"""Rules on schedules, on a clock that is moved by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from events_kit import Group


def test_rules_on_schedules(aws: Any, start_pileus: Any) -> None:
    server = start_pileus("--clock", "virtual")
    here = type(aws)(server.endpoint)
    events = here.client("events")
    groups = {name: Group(here, name) for name in ("rate", "cron", "both", "off")}
    arns = {
        "rate": events.put_rule(Name="rate", ScheduleExpression="rate(5 minutes)")["RuleArn"],
        "cron": events.put_rule(Name="cron", ScheduleExpression="cron(0 * * * ? *)")["RuleArn"],
        "both": events.put_rule(
            Name="both", ScheduleExpression="rate(2 hours)", EventPattern='{"source": ["aws.events"]}'
        )["RuleArn"],
    }
    events.put_rule(Name="off", ScheduleExpression="rate(1 minute)", State="DISABLED")
    for name, group in groups.items():
        target = {"Id": "t", "Arn": group.arn}
        if name == "both":
            target["Input"] = '{"custom": "input"}'
        events.put_targets(Rule=name, Targets=[target])
    server.advance(4 * 60)
    assert groups["rate"].texts() == []
    server.advance(60)
    [text] = groups["rate"].texts()
    event = json.loads(text)
    moment = datetime.fromisoformat(event["time"])
    assert event == {
        "version": "0",
        "id": event["id"],
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": here.account,
        "time": event["time"],
        "region": "us-east-1",
        "resources": [arns["rate"]],
        "detail": {},
    }
    server.advance(2 * 3600)
    times = [datetime.fromisoformat(json.loads(text)["time"]) for text in groups["rate"].texts()]
    assert len(times) == 25
    assert {(later - earlier).total_seconds() for earlier, later in pairwise(times)} == {300}
    assert times[0] == moment
    hours = [datetime.fromisoformat(json.loads(text)["time"]) for text in groups["cron"].texts()]
    # Every full hour from when the rules were put until now: two, or three.
    assert len(hours) == (moment.timestamp() + 7200) // 3600 - (moment.timestamp() - 300) // 3600
    assert {(hour.minute, hour.second, hour.tzinfo) for hour in hours} == {(0, 0, UTC)}
    assert groups["both"].texts() == ['{"custom": "input"}']
    assert groups["off"].texts() == []
    # Disabled it stops; enabled it begins anew.
    events.disable_rule(Name="rate")
    events.enable_rule(Name="off")
    server.advance(3600)
    assert len(groups["rate"].texts()) == 25
    assert len(groups["off"].texts()) == 60
    events.remove_targets(Rule="off", Ids=["t"])
    events.delete_rule(Name="off")
    server.advance(3600)
    assert len(groups["off"].texts()) == 60
    # Put anew with a schedule of its own, it begins anew.
    events.put_rule(Name="rate", ScheduleExpression="rate(1 minute)")
    server.advance(60)
    assert len(groups["rate"].texts()) == 26
