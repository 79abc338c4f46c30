"""Schedules and their groups, on a clock that is moved by hand where time matters."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

OFF = {"Mode": "OFF"}


def refused(call: Any, **request: Any) -> tuple[str, str]:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def bare(answer: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in answer.items() if member != "ResponseMetadata"}


def make_role(account: Any, name: str = "scheduler", service: str = "scheduler.amazonaws.com") -> str:
    """A role that may do everything, and that the service may assume."""
    iam = account.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    arn: str = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(policy))
    return arn


@pytest.fixture
def role(aws: Any) -> str:
    return make_role(aws)


@pytest.fixture
def target(aws: Any, role: str) -> dict[str, Any]:
    return {"Arn": f"arn:aws:sqs:us-east-1:{aws.account}:q", "RoleArn": role}


def test_a_schedule_from_its_making_to_its_end(aws: Any, target: dict[str, Any]) -> None:
    scheduler = aws.client("scheduler")
    arn = f"arn:aws:scheduler:us-east-1:{aws.account}:schedule/default/s"
    request = {"Name": "s", "ScheduleExpression": "rate(5 minutes)", "FlexibleTimeWindow": OFF, "Target": target}
    assert bare(scheduler.create_schedule(**request)) == {"ScheduleArn": arn}
    assert refused(scheduler.create_schedule, **request) == ("ConflictException", "Schedule s already exists.")
    shown = bare(scheduler.get_schedule(Name="s"))
    assert shown == {
        "Arn": arn,
        "GroupName": "default",
        "Name": "s",
        "ScheduleExpression": "rate(5 minutes)",
        "ScheduleExpressionTimezone": "UTC",
        "State": "ENABLED",
        "CreationDate": shown["CreationDate"],
        "LastModificationDate": shown["CreationDate"],
        "Target": {**target, "RetryPolicy": {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}},
        "FlexibleTimeWindow": OFF,
        "ActionAfterCompletion": "NONE",
    }
    # An update replaces all of it.
    scheduler.update_schedule(
        **{**request, "ScheduleExpression": "cron(0 18 ? * MON-FRI *)", "Description": "d", "State": "DISABLED"}
    )
    changed = scheduler.get_schedule(Name="s")
    assert (changed["ScheduleExpression"], changed["Description"]) == ("cron(0 18 ? * MON-FRI *)", "d")
    scheduler.update_schedule(**request)
    assert "Description" not in scheduler.get_schedule(Name="s")
    listed = scheduler.list_schedules(NamePrefix="s", State="ENABLED")["Schedules"]
    assert [(one["Arn"], one["Target"]) for one in listed] == [(arn, {"Arn": target["Arn"]})]
    scheduler.delete_schedule(Name="s")
    gone = ("ResourceNotFoundException", "Schedule s does not exist.")
    assert refused(scheduler.get_schedule, Name="s") == gone
    assert refused(scheduler.delete_schedule, Name="s") == gone
    assert refused(scheduler.update_schedule, **request) == gone


def test_the_same_request_again_is_no_conflict(aws: Any, target: dict[str, Any]) -> None:
    scheduler = aws.client("scheduler")
    request = {"Name": "s", "ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": OFF, "Target": target}
    first = scheduler.create_schedule(ClientToken="one", **request)["ScheduleArn"]
    assert scheduler.create_schedule(ClientToken="one", **request)["ScheduleArn"] == first
    assert refused(scheduler.create_schedule, ClientToken="two", **request)[0] == "ConflictException"


@pytest.mark.parametrize(
    "expression",
    [
        *("at(2022-12-12T00:00:00)", "rate(10 minutes)", "rate(1 day)", "cron(0/15 * * * ? *)"),
        *("cron(0-15/1 8-8 ? * 2,3,4,5,6,7 *)", "cron(1-31/30 1-1 ? * 1,7 *)", "cron(0 0/2 ? * * *)"),
    ],
)
def test_expressions(aws: Any, target: dict[str, Any], expression: str) -> None:
    answer = aws.client("scheduler").create_schedule(
        Name="s", ScheduleExpression=expression, FlexibleTimeWindow=OFF, Target=target
    )
    assert answer["ScheduleArn"].endswith(":schedule/default/s")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *[
            ({"ScheduleExpression": expression}, f"Invalid Schedule Expression {expression}.")
            for expression in (
                *("cron(0 1 * * * *)", "cron(7 20 * * NOT *)", "cron(INVALID)", "cron(0/60 * * * * *)"),
                *("rate(10 minutess)", "rate(1 minutes)", "rate(0 hours)", "rate( 1 day)"),
                *("at(2021-12-31)", "at(2021-12-31 23:59:59)", "at(2021-13-31T23:59:59)", "at(31-12-2021T23:59:59)"),
            )
        ],
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "Invalid Schedule Expression Timezone Mars/Olympus."),
        ({"ScheduleExpressionTimezone": "../etc/passwd"}, "Invalid Schedule Expression Timezone ../etc/passwd."),
        ({"EndDate": datetime(2020, 1, 1, tzinfo=UTC)}, "The EndDate you specify must come after the current time."),
        ({"StartDate": datetime(2020, 1, 1, tzinfo=UTC)}, "The StartDate you specify cannot be earlier than 5 minutes"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes must be specified when the flexible"),
        ({"Target": {"Arn": "nonsense"}}, "Provided Arn is not in correct format."),
        ({"Target": {"Arn": "arn:aws:dynamodb:us-east-1:1:table/t"}}, "Provided Arn is not supported:"),
        ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:getQueueUrl"}}, "Provided Arn is not supported:"),
        ({"Target": {"Arn": "arn:aws:sqs:us-east-1:1:q.fifo"}}, "SqsParameters.MessageGroupId must be specified"),
        ({"Target": {"Arn": "arn:aws:events:us-east-1:1:event-bus/b"}}, "EventBridgeParameters must be specified"),
    ],
)
def test_bad_schedules(aws: Any, target: dict[str, Any], wrong: dict[str, Any], message: str) -> None:
    request = {"Name": "s", "ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": OFF, "Target": target, **wrong}
    request["Target"] = {**target, **wrong.get("Target", {})}
    code, said = refused(aws.client("scheduler").create_schedule, **request)
    assert code == "ValidationException"
    assert said.startswith(message)


def test_the_role_must_be_there_for_the_scheduler(aws: Any, target: dict[str, Any]) -> None:
    scheduler = aws.client("scheduler")
    request = {"Name": "s", "ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": OFF}
    for role in (f"arn:aws:iam::{aws.account}:role/none", make_role(aws, "other", "lambda.amazonaws.com")):
        assert refused(scheduler.create_schedule, Target={**target, "RoleArn": role}, **request) == (
            "ValidationException",
            "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
        )


def test_groups(aws: Any, target: dict[str, Any]) -> None:
    scheduler = aws.client("scheduler")
    prefix = f"arn:aws:scheduler:us-east-1:{aws.account}"
    assert [group["Name"] for group in scheduler.list_schedule_groups()["ScheduleGroups"]] == ["default"]
    assert scheduler.get_schedule_group(Name="default")["State"] == "ACTIVE"
    arn = scheduler.create_schedule_group(Name="g", Tags=[{"Key": "TagKey", "Value": "TagValue"}])["ScheduleGroupArn"]
    assert arn == f"{prefix}:schedule-group/g"
    assert refused(scheduler.create_schedule_group, Name="g") == (
        "ConflictException",
        "Schedule group g already exists.",
    )
    assert scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "TagKey", "Value": "TagValue"}]
    scheduler.tag_resource(ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    scheduler.untag_resource(ResourceArn=arn, TagKeys=["TagKey", "k"])
    assert bare(scheduler.list_tags_for_resource(ResourceArn=arn)) == {"Tags": []}
    request = {"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": OFF, "Target": target}
    for name, group in (("a", "g"), ("b", "g"), ("a", "default")):
        scheduler.create_schedule(Name=name, GroupName=group, **request)
    assert [one["Name"] for one in scheduler.list_schedules(GroupName="g")["Schedules"]] == ["a", "b"]
    page = scheduler.list_schedules(MaxResults=2)
    rest = scheduler.list_schedules(MaxResults=2, NextToken=page["NextToken"])
    assert len(page["Schedules"]) + len(rest["Schedules"]) == 3
    scheduler.delete_schedule_group(Name="g")
    gone = ("ResourceNotFoundException", "Schedule group g does not exist.")
    assert refused(scheduler.get_schedule_group, Name="g") == gone
    assert refused(scheduler.get_schedule, Name="a", GroupName="g") == gone
    assert refused(scheduler.create_schedule, Name="a", GroupName="g", **request) == gone
    assert refused(scheduler.list_schedules, GroupName="g") == gone
    assert [one["GroupName"] for one in scheduler.list_schedules()["Schedules"]] == ["default"]
    assert refused(scheduler.delete_schedule_group, Name="default")[0] == "ValidationException"


def test_a_denied_user(aws: Any, target: dict[str, Any]) -> None:
    iam = aws.client("iam")
    iam.create_user(UserName="narrow")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "scheduler:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="narrow", PolicyName="p", PolicyDocument=json.dumps(policy))
    scheduler = aws.client("scheduler", credentials=iam.create_access_key(UserName="narrow")["AccessKey"])
    request = {"Name": "s", "ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": OFF, "Target": target}
    code, message = refused(scheduler.create_schedule, **request)
    assert code == "AccessDeniedException"
    assert "iam:PassRole" in message
    assert scheduler.list_schedules()["Schedules"] == []


class Received:
    """What an event bus was sent by schedules: each event is put into a log group."""

    def __init__(self, account: Any, role: str) -> None:
        self.logs, events = account.client("logs"), account.client("events")
        self.logs.create_log_group(logGroupName="received")
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": "*",
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.logs.put_resource_policy(policyName="events", policyDocument=policy)
        events.put_rule(Name="all", EventPattern='{"source": ["sched"]}')
        group = f"arn:aws:logs:us-east-1:{account.account}:log-group:received"
        events.put_targets(Rule="all", Targets=[{"Id": "t", "Arn": group, "InputPath": "$.detail"}])
        self.bus = f"arn:aws:events:us-east-1:{account.account}:event-bus/default"
        self.role = role

    def target(self, name: str, **settings: Any) -> dict[str, Any]:
        return {
            "Arn": self.bus,
            "RoleArn": self.role,
            "EventBridgeParameters": {"Source": "sched", "DetailType": "t"},
            "Input": json.dumps({"name": name, "at": "<aws.scheduler.scheduled-time>"}),
            **settings,
        }

    def times(self, name: str) -> list[str]:
        found = [json.loads(one["message"]) for one in self.logs.filter_log_events(logGroupName="received")["events"]]
        return [one["at"] for one in found if one["name"] == name]


def test_schedules_are_due_on_time(aws: Any, start_pileus: Any) -> None:
    server = start_pileus("--clock", "virtual")
    here = type(aws)(server.endpoint)
    role = make_role(here)
    scheduler = here.client("scheduler")
    received = Received(here, role)
    scheduler.create_schedule_group(Name="now")
    began = scheduler.get_schedule_group(Name="now")["CreationDate"].astimezone(UTC)
    soon = began.replace(microsecond=0) + timedelta(minutes=10)

    def put(name: str, expression: str, **settings: Any) -> None:
        scheduler.create_schedule(
            Name=name,
            ScheduleExpression=expression,
            **{"FlexibleTimeWindow": OFF, "Target": received.target(name), **settings},
        )

    put("rate", "rate(15 minutes)")
    put("at", f"at({soon:%Y-%m-%dT%H:%M:%S})", ActionAfterCompletion="DELETE")
    put("zone", f"at({soon + timedelta(hours=9):%Y-%m-%dT%H:%M:%S})", ScheduleExpressionTimezone="Asia/Tokyo")
    put("past", "at(2020-01-01T00:00:00)", ActionAfterCompletion="DELETE")
    put("hourly", "cron(0 * * * ? *)")
    put(
        "bounded",
        "rate(10 minutes)",
        StartDate=soon,
        EndDate=soon + timedelta(minutes=25),
        ActionAfterCompletion="DELETE",
    )
    put("off", "rate(1 minute)", State="DISABLED")
    put("window", "rate(1 hour)", FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 30})
    server.advance(9 * 60)
    assert received.times("at") == []
    server.advance(3600)
    shown = f"{soon:%Y-%m-%dT%H:%M:%SZ}"
    assert received.times("at") == received.times("zone") == [shown]
    assert received.times("bounded") == [f"{soon + timedelta(minutes=10 * n):%Y-%m-%dT%H:%M:%SZ}" for n in range(3)]
    assert len(received.times("rate")) == 4
    hours = received.times("hourly")
    assert hours
    assert all(time.endswith(":00:00Z") for time in hours)
    assert received.times("off") == received.times("past") == []
    # What is complete and to be deleted is gone, what is not is still there.
    names = {one["Name"] for one in scheduler.list_schedules()["Schedules"]}
    assert names == {"rate", "zone", "past", "hourly", "off", "window"}
    server.advance(30 * 60)
    assert len(received.times("window")) == 1
    scheduler.delete_schedule(Name="rate")
    count = len(received.times("rate"))
    server.advance(3600)
    assert len(received.times("rate")) == count
    assert len(received.times("window")) == 2


def test_universal_targets_call_any_operation(aws: Any, start_pileus: Any) -> None:
    server = start_pileus("--clock", "virtual")
    here = type(aws)(server.endpoint)
    logs, scheduler = here.client("logs"), here.client("scheduler")
    logs.create_log_group(logGroupName="made")
    document = {"logGroupName": "made", "logStreamName": "by-<aws.scheduler.execution-id>"}
    scheduler.create_schedule(
        Name="s",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow=OFF,
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:cloudwatchlogs:createLogStream",
            "RoleArn": make_role(here),
            "Input": json.dumps(document),
        },
    )
    server.advance(180)
    streams = {one["logStreamName"] for one in logs.describe_log_streams(logGroupName="made")["logStreams"]}
    assert len(streams) == 3
    assert all(name.startswith("by-") and "<" not in name for name in streams)

    # What stands for something else in a request does so here, too: a global endpoint for its bus.
    events = here.client("events")
    buses = [f"arn:aws:events:{region}:{here.account}:event-bus/default" for region in ("us-east-1", "eu-west-1")]
    check = {"HealthCheck": "arn:aws:route53:::healthcheck/1"}
    events.create_endpoint(
        Name="e",
        RoutingConfig={"FailoverConfig": {"Primary": check, "Secondary": {"Route": "eu-west-1"}}},
        ReplicationConfig={"State": "DISABLED"},
        EventBuses=[{"EventBusArn": arn} for arn in buses],
    )
    entry = {"Source": "mine", "DetailType": "d", "Detail": "{}", "EventBusName": buses[1]}
    document = {"EndpointId": events.describe_endpoint(Name="e")["EndpointId"], "Entries": [entry]}
    events.put_rule(Name="r", EventPattern='{"source": ["mine"]}')
    queue = here.client("sqs").create_queue(QueueName="got")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{here.account}:got"
    allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    here.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events.put_targets(Rule="r", Targets=[{"Id": "queue", "Arn": arn}])
    scheduler.update_schedule(
        Name="s",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow=OFF,
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:eventbridge:putEvents",
            "RoleArn": scheduler.get_schedule(Name="s")["Target"]["RoleArn"],
            "Input": json.dumps(document),
        },
    )
    server.advance(60)
    message = here.client("sqs").receive_message(QueueUrl=queue)["Messages"][0]
    assert json.loads(message["Body"])["region"] == "us-east-1"


def test_a_universal_target_without_a_required_member_is_a_dead_letter_that_says_so(
    aws: Any, start_pileus: Any
) -> None:
    server = start_pileus("--clock", "virtual")
    here = type(aws)(server.endpoint)
    sqs = here.client("sqs")
    queue = sqs.create_queue(QueueName="dead")["QueueUrl"]
    here.client("scheduler").create_schedule(
        Name="s",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow=OFF,
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:s3:deleteBucket",
            "RoleArn": make_role(here),
            "Input": "{}",
            "DeadLetterConfig": {"Arn": f"arn:aws:sqs:us-east-1:{here.account}:dead"},
        },
    )
    server.advance(60)
    message = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"][0]
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert (told["ERROR_CODE"], told["ERROR_MESSAGE"], told["RETRY_ATTEMPTS"]) == (
        "ValidationException",
        "1 validation error detected: Value null at 'bucket' failed to satisfy constraint: Member must not be null",
        "0",
    )


def test_throttled_targets_are_tried_again_as_the_schedule_says(aws: Any, start_pileus: Any) -> None:
    server = start_pileus("--clock", "virtual")
    here = type(aws)(server.endpoint)
    lambda_, sqs, scheduler = here.client("lambda"), here.client("sqs"), here.client("scheduler")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("index.py", "def handler(event, context):\n    print('got', event)\n")
    lambda_.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="index.handler",
        Role=make_role(here, "runs", "lambda.amazonaws.com"),
        Code={"ZipFile": code.getvalue()},
    )
    waiter = lambda_.get_waiter("function_active_v2")
    waiter.wait(FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    # Nothing may run: whoever asks is throttled.
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    dead, role = sqs.create_queue(QueueName="dead")["QueueUrl"], make_role(here)
    soon = scheduler.get_schedule_group(Name="default")["CreationDate"].astimezone(UTC) + timedelta(minutes=1)
    for name, policy in (
        ("few", {"MaximumRetryAttempts": 2}),
        ("old", {"MaximumEventAgeInSeconds": 60}),
        ("patient", {}),
    ):
        scheduler.create_schedule(
            Name=name,
            ScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow=OFF,
            Target={
                "Arn": "arn:aws:scheduler:::aws-sdk:lambda:invoke",
                "RoleArn": role,
                "Input": json.dumps({"FunctionName": "f", "Payload": f'"{name} <aws.scheduler.attempt-number>"'}),
                "RetryPolicy": policy,
                "DeadLetterConfig": {"Arn": f"arn:aws:sqs:us-east-1:{here.account}:dead"},
            },
        )
    server.advance(1800)
    told = {}
    while messages := sqs.receive_message(QueueUrl=dead, MessageAttributeNames=["All"]).get("Messages"):
        for message in messages:
            attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
            told[attributes["SCHEDULE_ARN"].rpartition("/")[2]] = attributes
    assert told.keys() == {"few", "old"}
    assert {attributes["ERROR_CODE"] for attributes in told.values()} == {"TooManyRequestsException"}
    assert told["few"]["RETRY_ATTEMPTS"] == "2"
    assert told["few"]["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
    assert told["old"]["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"
    lambda_.delete_function_concurrency(FunctionName="f")
    server.advance(4 * 3600)
    logs = here.client("logs")
    found = [
        one["message"] for one in logs.filter_log_events(logGroupName="/aws/lambda/f", filterPattern="got")["events"]
    ]
    assert len(found) == 1
    said, attempt = found[0].split()[1:]
    assert said == "patient"
    assert int(attempt) > 3
