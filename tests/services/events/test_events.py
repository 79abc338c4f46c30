"""Putting events, and what arrives at targets."""

from __future__ import annotations

import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from events_kit import Group, refused

from pileus.services.events import inputs
from waiting import until

DETAIL = {"command": "update-account", "payload": {"acc_id": "0a787ecb-4015", "sf_id": "baz"}}
ENTRY = {"Source": "core.update", "DetailType": "core.type", "Detail": json.dumps(DETAIL)}
PATTERN = '{"source": ["core.update"]}'


def test_entries_fail_one_by_one(aws: Any) -> None:
    events = aws.client("events")
    required = "Parameter {0} is not valid. Reason: {0} is a required argument."
    answer = events.put_events(
        Entries=[
            ENTRY,
            {"Source": "s", "Detail": "{}"},
            {"DetailType": "t", "Detail": "{}"},
            {"Source": "s", "DetailType": "t"},
            {**ENTRY, "Detail": "[1]"},
            {**ENTRY, "Detail": "{"},
            {**ENTRY, "Detail": '"text"'},
            {**ENTRY, "Detail": '{"a":' * 1000 + "1" + "}" * 1000},
            {**ENTRY, "Source": "aws.s3"},
            # Nobody is there, nobody is told.
            {**ENTRY, "EventBusName": "nowhere"},
        ]
    )
    assert answer["FailedEntryCount"] == 8
    assert [one.get("ErrorMessage") for one in answer["Entries"]] == [
        None,
        required.format("DetailType"),
        required.format("Source"),
        required.format("Detail"),
        *["Detail is malformed."] * 4,
        "Not authorized for the source.",
        None,
    ]
    assert [one.get("ErrorCode") for one in answer["Entries"]][1:9] == [
        *["InvalidArgument"] * 3,
        *["MalformedDetail"] * 4,
        "NotAuthorizedForSourceException",
    ]
    assert all(one.keys() == {"EventId"} for one in (answer["Entries"][0], answer["Entries"][-1]))


def test_events_may_be_so_large(aws: Any) -> None:
    events = aws.client("events")
    events.put_rule(Name="large", EventPattern='{"source": ["large"]}')
    group = Group(aws, "large")
    path = {"InputPath": "$.detail.end"}
    events.put_targets(Rule="large", Targets=[{"Id": "t", "Arn": group.arn, **path}])
    large = {**ENTRY, "Source": "large", "Detail": json.dumps({"p": "p" * (1000 * 1024), "end": "end"})}
    assert events.put_events(Entries=[large])["FailedEntryCount"] == 0
    assert group.wait() == ['"end"']
    too_large = {**ENTRY, "Detail": json.dumps({"p": "p" * (1024 * 1024)})}
    assert refused(events.put_events, Entries=[too_large]) == (
        "ValidationException",
        "Total size of the entries in the request is over the limit.",
    )
    code, message = refused(events.put_events, Entries=[ENTRY] * 11)
    assert code == "ValidationException"
    assert message.startswith(
        "1 validation error detected: Value '[PutEventsRequestEntry(time=null, source=core.update,"
    )
    assert message.endswith(
        "' at 'entries' failed to satisfy constraint: Member must have length less than or equal to 10"
    )


def test_an_event_as_targets_see_it(aws: Any) -> None:
    events, group = aws.client("events"), Group(aws, "/aws/events/plain")
    events.put_rule(Name="r", EventPattern=PATTERN)
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": group.arn}])
    entry = {**ENTRY, "Time": datetime(2024, 5, 6, 7, 8, 9, 500_000, tzinfo=UTC), "Resources": ["arn:a"]}
    id = events.put_events(Entries=[entry])["Entries"][0]["EventId"]
    [text] = group.wait()
    assert text == json.dumps(
        {
            "version": "0",
            "id": id,
            "detail-type": "core.type",
            "source": "core.update",
            "account": aws.account,
            "time": "2024-05-06T07:08:09Z",
            "region": "us-east-1",
            "resources": ["arn:a"],
            "detail": DETAIL,
        },
        separators=(",", ":"),
    )


TRANSFORMED = [
    ({"Input": '{"constant": 1}'}, '{"constant": 1}'),
    ({"InputPath": "$.detail.payload"}, '{"acc_id":"0a787ecb-4015","sf_id":"baz"}'),
    ({"InputPath": "$.detail.payload.sf_id"}, '"baz"'),
    (
        {
            "InputTransformer": {
                "InputPathsMap": {"type": "$.detail-type", "command": "$.detail.command", "none": "$.detail.none"},
                "InputTemplate": '"Event of <type>, from <command>, <none>."',
            }
        },
        '"Event of core.type, from update-account, ."',
    ),
    (
        {
            "InputTransformer": {
                "InputPathsMap": {"id": "$.detail.payload.acc_id", "all": "$.detail.payload", "none": "$.none"},
                "InputTemplate": '{"path": "users/<id>/<id>", "id": <id>, "body": <all>, '
                '"list": [<id>, "x"], "n": <none>}',
            }
        },
        '{"path": "users/0a787ecb-4015/0a787ecb-4015", "id": "0a787ecb-4015", '
        '"body": {"acc_id":"0a787ecb-4015","sf_id":"baz"}, "list": ["0a787ecb-4015", "x"], "n": ""}',
    ),
    (
        {
            "InputTransformer": {
                "InputPathsMap": {"all": "$.detail.payload"},
                "InputTemplate": '"one <all>"\n"two"',
            }
        },
        '"one {acc_id:0a787ecb-4015,sf_id:baz}"\n"two"',
    ),
]


def test_what_targets_get_of_an_event(aws: Any) -> None:
    events = aws.client("events")
    events.create_event_bus(Name="inputs")
    for n, (settings, _) in enumerate(TRANSFORMED):
        group = Group(aws, f"/input/{n}")
        events.put_rule(Name=f"r{n}", EventBusName="inputs", EventPattern=PATTERN)
        events.put_targets(Rule=f"r{n}", EventBusName="inputs", Targets=[{"Id": "t", "Arn": group.arn, **settings}])
    events.put_events(Entries=[{**ENTRY, "EventBusName": "inputs"}])
    logs = aws.client("logs")
    for n, (_, expected) in enumerate(TRANSFORMED):
        found = until(lambda n=n: logs.filter_log_events(logGroupName=f"/input/{n}")["events"])
        assert [one["message"] for one in found] == [expected]


def test_templates_for_log_groups_say_when_and_what(aws: Any) -> None:
    """{"timestamp": <time>, "message": <message>}, as the CDK makes them."""
    events, group = aws.client("events"), Group(aws, "templates")
    earlier = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    paths = {"when": "$.time", "kind": "$.detail-type", "all": "$.detail.payload", "ms": "$.detail.ms"}
    templates = (
        '{"timestamp": <when>, "message": <kind>}',
        '{"timestamp": "<ms>", "message": <all>}',
        '{"timestamp": <kind>, "message": "never"}',
        '{"message": <kind>}',
    )
    targets = [
        {"Id": str(n), "Arn": group.arn, "InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}
        for n, template in enumerate(templates)
    ]
    events.put_rule(Name="r", EventPattern=PATTERN)
    events.put_targets(Rule="r", Targets=targets)
    ms = int(earlier.timestamp() * 1000)
    detail = json.dumps({**DETAIL, "ms": ms - 7})
    events.put_events(Entries=[{**ENTRY, "Time": earlier, "Detail": detail}])
    until(lambda: len(group.texts()) == 4)
    found = aws.client("logs").filter_log_events(logGroupName="templates")["events"]
    at = {each["message"]: each["timestamp"] for each in found}
    assert at["core.type"] == ms
    assert at['{"acc_id":"0a787ecb-4015","sf_id":"baz"}'] == ms - 7
    assert at["never"] > ms
    assert at['{"message": "core.type"}'] > ms


def test_what_the_cloud_knows_of_the_event(aws: Any) -> None:
    events, group = aws.client("events"), Group(aws, "predefined")
    arn = events.put_rule(Name="r", EventPattern=PATTERN)["RuleArn"]
    template = (
        '{"arn": <aws.events.rule-arn>, "name": "<aws.events.rule-name>", "event": <aws.events.event>, '
        '"json": <aws.events.event.json>, "time": "<aws.events.event.ingestion-time>"}'
    )
    events.put_targets(
        Rule="r", Targets=[{"Id": "t", "Arn": group.arn, "InputTransformer": {"InputTemplate": template}}]
    )
    events.put_events(Entries=[ENTRY])
    found = json.loads(group.wait()[0])
    assert (found["arn"], found["name"]) == (arn, "r")
    assert found["json"]["detail"] == DETAIL
    assert found["event"] == {
        "version": "0",
        "id": found["json"]["id"],
        "detailType": "core.type",
        "source": "core.update",
        "account": aws.account,
        "time": found["time"],
        "region": "us-east-1",
        "resources": [],
    }


def test_only_enabled_rules_that_match(aws: Any) -> None:
    events, group = aws.client("events"), Group(aws, "matching")
    events.create_event_bus(Name="matching")
    rules = {
        "hit": {"detail": {"n": [{"numeric": [">", 5]}]}},
        "miss": {"detail": {"n": [7]}},
        "off": {"source": ["core.update"]},
    }
    for name, pattern in rules.items():
        events.put_rule(Name=name, EventBusName="matching", EventPattern=json.dumps(pattern))
        target = {"Id": "t", "Arn": group.arn, "Input": json.dumps(name)}
        events.put_targets(Rule=name, EventBusName="matching", Targets=[target])
    events.disable_rule(Name="off", EventBusName="matching")
    events.put_events(Entries=[{**ENTRY, "EventBusName": "matching", "Detail": '{"n": 6}'}])
    group.wait()
    # What is put later comes later: nothing else has come before it.
    events.put_rule(Name="hit", EventBusName="matching", EventPattern='{"source": ["never"]}')
    events.put_rule(Name="miss", EventBusName="matching", EventPattern='{"source": ["core.update"]}')
    events.put_events(Entries=[{**ENTRY, "EventBusName": "matching"}])
    assert group.wait(2) == ['"hit"', '"miss"']


def test_a_function_gets_the_event(aws: Any, function: Any) -> None:
    events, group = aws.client("events"), Group(aws, "/aws/lambda/taker")
    arn = function("taker", "import json\ndef handler(event, context):\n    print('GOT', json.dumps(event))\n")
    rule = events.put_rule(Name="r", EventPattern=PATTERN)["RuleArn"]
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": arn, "InputPath": "$.detail"}])
    aws.client("lambda").add_permission(
        FunctionName="taker",
        StatementId="s",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    events.put_events(Entries=[ENTRY])
    text = until(lambda: [one for one in group.texts() if one.startswith("GOT")])[0]
    assert json.loads(text.removeprefix("GOT ")) == DETAIL


def test_buses_hand_events_on(aws: Any, pileus: Any) -> None:
    """To another region and another account; the event stays what it was."""
    other = type(aws)(pileus.endpoint)
    events, there = aws.client("events"), other.client("events", region="eu-west-1")
    group = Group(other, "handed-on")
    # Its rules are in another region than the group: they write where its ARN says.
    there.create_event_bus(Name="far")
    far = f"arn:aws:events:eu-west-1:{other.account}:event-bus/far"
    there.put_permission(EventBusName="far", Action="events:PutEvents", Principal=aws.account, StatementId="let-in")
    there.put_rule(Name="r", EventBusName="far", EventPattern=json.dumps({"account": [aws.account]}))
    there.put_targets(Rule="r", EventBusName="far", Targets=[{"Id": "t", "Arn": group.arn}])
    events.put_rule(Name="r", EventPattern=PATTERN)
    events.put_targets(Rule="r", Targets=[{"Id": "far", "Arn": far}])
    id = events.put_events(Entries=[ENTRY])["Entries"][0]["EventId"]
    event = json.loads(group.wait()[0])
    assert (event["account"], event["region"], event["source"]) == (aws.account, "us-east-1", "core.update")
    # In another region it has another id.
    assert event["id"] != id


def test_a_rule_that_matches_its_own_events_ends(aws: Any) -> None:
    events, group = aws.client("events"), Group(aws, "circle")
    for name in ("one", "two"):
        events.create_event_bus(Name=name)
    for name, next_ in (("one", "two"), ("two", "one")):
        events.put_rule(Name="on", EventBusName=name, EventPattern=PATTERN)
        arn = f"arn:aws:events:us-east-1:{aws.account}:event-bus/{next_}"
        events.put_targets(
            Rule="on",
            EventBusName=name,
            Targets=[
                {"Id": "next", "Arn": arn},
                {"Id": "self", "Arn": f"arn:aws:events:us-east-1:{aws.account}:event-bus/{name}"},
                {"Id": "log", "Arn": group.arn, "Input": json.dumps(name)},
            ],
        )
    events.put_events(Entries=[{**ENTRY, "EventBusName": "one"}])
    group.wait(2)
    assert sorted(group.texts()) == ['"one"', '"two"']


@pytest.fixture
def function(aws: Any) -> Any:
    """Makes a function that is ready; returns its ARN."""
    import io
    import zipfile

    iam, lambda_ = aws.client("iam"), aws.client("lambda")

    def make(name: str, code: str, allow: str = "logs:*") -> str:
        def trust(service: str) -> str:
            statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
            return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("lambda.amazonaws.com"))
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": ["logs:*", allow], "Resource": "*"}],
        }
        iam.put_role_policy(RoleName=name, PolicyName="logs", PolicyDocument=json.dumps(policy))
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("index.py", code)
        arn: str = lambda_.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="index.handler",
            Role=f"arn:aws:iam::{aws.account}:role/{name}",
            Code={"ZipFile": out.getvalue()},
        )["FunctionArn"]
        lambda_.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200}
        )
        return arn

    return make


def test_what_rules_do_is_counted(aws: Any) -> None:
    events, group = aws.client("events"), Group(aws, "counted")
    events.create_event_bus(Name="counted")
    events.put_rule(Name="r", EventBusName="counted", EventPattern=PATTERN)
    gone = group.arn.replace("counted", "gone")
    targets = [{"Id": "t", "Arn": group.arn}, {"Id": "gone", "Arn": gone}]
    events.put_targets(Rule="r", EventBusName="counted", Targets=targets)
    events.put_events(Entries=[{**ENTRY, "EventBusName": "counted"}, {**ENTRY, "EventBusName": "counted"}])

    def counts() -> dict[str, float]:
        with urllib.request.urlopen(aws.endpoint + "/_pileus/metrics") as answer:
            lines = answer.read().decode().splitlines()
        mine = [line for line in lines if f'"{aws.account}"' in line and 'event_bus_name="counted"' in line]
        return {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in mine}

    until(lambda: sum(counts().values()) >= 8)
    found = counts()
    assert {name.removeprefix("aws_events_"): value for name, value in found.items()} == {
        "matched_events_total": 2,
        "triggered_rules_total": 2,
        "invocations_total": 2,
        "failed_invocations_total": 2,
    }


def test_a_function_that_puts_what_it_is_run_for_ends(aws: Any, function: Any) -> None:
    """The trace header tells how often an event has been through a function: recursion detection sees it."""
    events, group = aws.client("events"), Group(aws, "/aws/lambda/circular")
    arn = function(
        "circular",
        "import boto3\n"
        "events = boto3.client('events')\n"
        "def handler(event, context):\n"
        "    print('RUN')\n"
        "    entry = {'Source': 'core.update', 'DetailType': 't', 'Detail': '{}'}\n"
        "    events.put_events(Entries=[entry])\n",
        allow="events:PutEvents",
    )
    rule = events.put_rule(Name="r", EventPattern=PATTERN)["RuleArn"]
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": arn}])
    aws.client("lambda").add_permission(
        FunctionName="circular",
        StatementId="s",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    events.put_events(Entries=[ENTRY])

    def dropped() -> bool:
        with urllib.request.urlopen(aws.endpoint + "/_pileus/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return any("recursive" in line and f'"{aws.account}"' in line for line in lines)

    until(dropped)
    # Its log comes a moment later.
    until(lambda: sum(text.startswith("RUN") for text in group.texts()) == 16)


def test_times_of_log_events_without_a_zone_are_of_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        for written in ("2026-01-02T03:04:05", "2026-01-02T03:04:05Z", "2026-01-02T04:04:05+01:00"):
            made = json.dumps({"timestamp": written, "message": "m"})
            assert inputs.log_event(made) == ("m", 1767323045.0), written
    finally:
        monkeypatch.undo()
        time.tzset()
