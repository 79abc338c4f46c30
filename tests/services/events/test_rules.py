"""Rules and their targets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from events_kit import bare, refused

PATTERN = '{"source": ["core.update"], "detail": {"command": ["update"]}}'
MANY = 6


@pytest.mark.parametrize("bus", ["default", "custom"])
def test_a_rule_is_disabled_and_enabled_again(aws: Any, bus: str) -> None:
    events = aws.client("events")
    if bus != "default":
        events.create_event_bus(Name=bus)
    within = "" if bus == "default" else f"{bus}/"
    arn = f"arn:aws:events:us-east-1:{aws.account}:rule/{within}r"
    assert bare(events.put_rule(Name="r", EventBusName=bus, EventPattern=PATTERN)) == {"RuleArn": arn}
    for call, state in ((events.disable_rule, "DISABLED"), (events.enable_rule, "ENABLED")):
        call(Name="r", EventBusName=bus)
        assert bare(events.describe_rule(Name="r", EventBusName=bus)) == {
            "Name": "r",
            "Arn": arn,
            "EventPattern": PATTERN,
            "State": state,
            "EventBusName": bus,
            "CreatedBy": aws.account,
        }
    assert refused(events.enable_rule, Name="none", EventBusName=bus) == (
        "ResourceNotFoundException",
        f"Rule none does not exist on EventBus {bus}.",
    )


def test_a_rule_that_is_put_again_keeps_its_targets_and_tags_only(aws: Any) -> None:
    events = aws.client("events")
    events.put_rule(Name="r", EventPattern=PATTERN, Description="d", Tags=[{"Key": "k", "Value": "v"}])
    target = {"Id": "t", "Arn": f"arn:aws:sqs:us-east-1:{aws.account}:q"}
    events.put_targets(Rule="r", Targets=[target])
    arn = events.put_rule(Name="r", EventPattern='{"source": ["other"]}', State="DISABLED")["RuleArn"]
    rule = events.describe_rule(Name="r")
    assert (rule["EventPattern"], rule["State"]) == ('{"source": ["other"]}', "DISABLED")
    assert "Description" not in rule
    assert events.list_targets_by_rule(Rule="r")["Targets"] == [target]
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "k", "Value": "v"}]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({}, "ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified."),
        (
            {"EventPattern": '{"source": "x"}'},
            "InvalidEventPatternException",
            'Event pattern is not valid. Reason: "source" must be an object or an array\n at [Source: (String)"'
            '{"source": "x"}"; line: 1, column: 13]',
        ),
        *[
            ({"ScheduleExpression": expression}, "ValidationException", "Parameter ScheduleExpression is not valid.")
            for expression in (
                "rate(1 minutes)",
                "rate(0 minutes)",
                "rate(5 minute)",
                "rate(5 weeks)",
                "cron(0 1 * * * *)",
                "cron(0 dummy ? * MON-FRI *)",
                "cron(7 20 * * NOT *)",
                "cron(71 8 1 * ? *)",
                "cron(INVALID)",
                "at(2030-01-01T00:00:00)",
            )
        ],
    ],
)
def test_bad_rules(aws: Any, request_: dict[str, str], code: str, message: str) -> None:
    assert refused(aws.client("events").put_rule, Name="r", **request_) == (code, message)


def test_schedules_are_for_the_default_bus(aws: Any) -> None:
    events = aws.client("events")
    events.create_event_bus(Name="custom")
    assert refused(events.put_rule, Name="r", EventBusName="custom", ScheduleExpression="rate(1 minute)") == (
        "ValidationException",
        "ScheduleExpression is supported only on the default event bus.",
    )


def test_rules_and_targets_come_in_pages(aws: Any) -> None:
    events = aws.client("events")
    queue = f"arn:aws:sqs:us-east-1:{aws.account}:q"
    for n in range(MANY):
        events.put_rule(Name=f"p-{n}", EventPattern=PATTERN)
        events.put_targets(Rule=f"p-{n}", Targets=[{"Id": "t", "Arn": queue}])
    first = events.list_rules(NamePrefix="p-", Limit=3)
    rest = events.list_rules(NamePrefix="p-", Limit=3, NextToken=first["NextToken"])
    assert "NextToken" not in rest
    assert [rule["Name"] for rule in first["Rules"] + rest["Rules"]] == [f"p-{n}" for n in range(MANY)]
    assert first["Rules"][0] == {
        "Name": "p-0",
        "Arn": f"arn:aws:events:us-east-1:{aws.account}:rule/p-0",
        "EventPattern": PATTERN,
        "State": "ENABLED",
        "EventBusName": "default",
    }
    assert events.list_rule_names_by_target(TargetArn=queue)["RuleNames"] == [f"p-{n}" for n in range(MANY)]
    targets = [{"Id": f"t{n}", "Arn": queue} for n in range(4)]
    events.put_targets(Rule="p-0", Targets=targets)
    page = events.list_targets_by_rule(Rule="p-0", Limit=3)
    rest = events.list_targets_by_rule(Rule="p-0", Limit=3, NextToken=page["NextToken"])
    assert [one["Id"] for one in page["Targets"] + rest["Targets"]] == ["t", "t0", "t1", "t2", "t3"]


def test_targets_are_put_and_removed(aws: Any) -> None:
    events = aws.client("events")
    events.put_rule(Name="r", EventPattern=PATTERN)
    queue = f"arn:aws:sqs:us-east-1:{aws.account}:q"
    assert bare(events.put_targets(Rule="r", Targets=[{"Id": "a", "Arn": queue}, {"Id": "b", "Arn": queue}])) == {
        "FailedEntryCount": 0,
        "FailedEntries": [],
    }
    # The same id replaces.
    events.put_targets(Rule="r", Targets=[{"Id": "a", "Arn": queue, "Input": '{"x": 1}'}])
    assert events.list_targets_by_rule(Rule="r")["Targets"][0] == {"Id": "a", "Arn": queue, "Input": '{"x": 1}'}
    assert refused(events.delete_rule, Name="r") == (
        "ValidationException",
        "Rule can't be deleted since it has targets.",
    )
    six = [{"Id": f"t{n}", "Arn": queue} for n in range(6)]
    assert refused(events.put_targets, Rule="r", Targets=six)[0] == "LimitExceededException"
    assert events.remove_targets(Rule="r", Ids=["a", "none"])["FailedEntries"][0]["TargetId"] == "none"
    assert events.remove_targets(Rule="r", Ids=["b"])["FailedEntryCount"] == 0
    events.delete_rule(Name="r")
    events.delete_rule(Name="r")
    assert refused(events.put_targets, Rule="r", Targets=six[:1]) == (
        "ResourceNotFoundException",
        "Rule r does not exist on EventBus default.",
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"Arn": "nonsense"}, "Parameter Arn is not valid. Reason: Provided Arn is not in correct format."),
        ({"Arn": "arn:aws:dynamodb:us-east-1:1:table/t"}, "Parameter Arn is not valid."),
        ({"Arn": "arn:aws:kinesis:us-east-1:1:stream/s"}, "RoleArn is required for target arn:aws:kinesis"),
        ({"Arn": "arn:aws:sqs:us-east-1:1:q.fifo"}, "Parameter(s) SqsParameters must be specified for target: t."),
        (
            {"Input": "{}", "InputPath": "$.detail"},
            "Only one of Input, InputPath, or InputTransformer must be provided for target t.",
        ),
        ({"Input": "no json"}, "JSON syntax error in input for target t"),
        ({"InputPath": "detail"}, "Parameter InputPath is not valid for target t."),
        (
            {"InputTransformer": {"InputPathsMap": {"a": "$.detail"}, "InputTemplate": '"<a> <notdefinedkey>"'}},
            "InputTemplate for target t contains invalid placeholder notdefinedkey.",
        ),
        ({"Id": "!@#$@!#$"}, "1 validation error detected: Value '!@#$@!#$' at 'targets.1.member.id' failed"),
        ({"DeadLetterConfig": {"Arn": "arn:aws:sns:us-east-1:1:t"}}, "Parameter DeadLetterConfig.Arn is not valid."),
        (
            {"Arn": "arn:aws:events:us-east-1:222233334444:event-bus/b", "InputPath": "$.detail"},
            "Parameter(s) InputPath not valid for target t.",
        ),
    ],
)
def test_bad_targets(aws: Any, target: dict[str, Any], message: str) -> None:
    events = aws.client("events")
    events.put_rule(Name="r", EventPattern=PATTERN)
    whole = {"Id": "t", "Arn": f"arn:aws:sqs:us-east-1:{aws.account}:q", **target}
    code, said = refused(events.put_targets, Rule="r", Targets=[whole])
    assert code == "ValidationException"
    assert said.startswith(message)
    assert events.list_targets_by_rule(Rule="r")["Targets"] == []


def test_the_bus_of_another_account_keeps_its_role(aws: Any) -> None:
    events = aws.client("events")
    events.put_rule(Name="r", EventPattern=PATTERN)
    role = f"arn:aws:iam::{aws.account}:role/hand-on"
    bus = "arn:aws:events:us-east-1:222233334444:event-bus/"
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": f"{bus}b", "RoleArn": role}])
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": f"{bus}b"}])
    assert events.list_targets_by_rule(Rule="r")["Targets"] == [{"Id": "t", "Arn": f"{bus}b", "RoleArn": role}]
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": f"{bus}c"}])
    assert events.list_targets_by_rule(Rule="r")["Targets"] == [{"Id": "t", "Arn": f"{bus}c"}]


def test_roles_must_be_passed(aws: Any) -> None:
    iam, events = aws.client("iam"), aws.client("events")
    iam.create_user(UserName="no-pass")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "events:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="no-pass", PolicyName="p", PolicyDocument=json.dumps(policy))
    theirs = aws.client("events", credentials=iam.create_access_key(UserName="no-pass")["AccessKey"])
    events.put_rule(Name="r", EventPattern=PATTERN)
    target = {"Id": "t", "Arn": f"arn:aws:sqs:us-east-1:{aws.account}:q"}
    assert theirs.put_targets(Rule="r", Targets=[target])["FailedEntryCount"] == 0
    code, message = refused(
        theirs.put_targets, Rule="r", Targets=[{**target, "RoleArn": f"arn:aws:iam::{aws.account}:role/r"}]
    )
    assert code == "AccessDeniedException"
    assert "iam:PassRole" in message


def test_patterns_are_tried(aws: Any) -> None:
    events = aws.client("events")
    event = {
        "id": "1",
        "account": "0",
        "source": "order",
        "time": "t",
        "region": "r",
        "resources": [],
        "detail-type": "d",
    }
    assert events.test_event_pattern(EventPattern='{"source": ["order"]}', Event=json.dumps(event))["Result"] is True
    assert events.test_event_pattern(EventPattern='{"source": ["x"]}', Event=json.dumps(event))["Result"] is False
    for bad in ("[]", "no json", '"text"'):
        assert refused(events.test_event_pattern, EventPattern='{"source": ["x"]}', Event=bad) == (
            "ValidationException",
            "Parameter Event is not valid.",
        )
    code, message = refused(events.test_event_pattern, EventPattern='["not", "a"]', Event="{}")
    assert code == "InvalidEventPatternException"
    assert message == (
        "Event pattern is not valid. Reason: Filter is not an object\n"
        ' at [Source: (String)"["not", "a"]"; line: 1, column: 2]'
    )
