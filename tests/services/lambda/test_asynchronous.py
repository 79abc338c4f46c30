"""The asynchronous queue over time, over a crash, and from another service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from feed_kit import allow, make_table, recorder, wait_events
from lambda_kit import LOGGING, TRUST, package

from waiting import until

FAIL = "def handler(event, context):\n    raise ValueError('again')\n"
TELL = "def handler(event, context):\n    print('got', __import__('json').dumps(event, sort_keys=True))\n"


def create(aws: Any, code: str) -> Any:
    """A ready function `f` in a fresh account."""
    iam, lambda_ = aws.client("iam"), aws.client("lambda")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="r", PolicyName="logs", PolicyDocument=json.dumps(LOGGING))
    lambda_.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="index.handler",
        Role=f"arn:aws:iam::{aws.account}:role/r",
        Code={"ZipFile": package({"index.py": code})},
        Timeout=30,
    )
    lambda_.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    return lambda_


def lines(aws: Any, beginning: str) -> list[str]:
    logs = aws.client("logs")
    try:
        events = logs.filter_log_events(logGroupName="/aws/lambda/f")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"].rstrip("\n") for event in events if event["message"].startswith(beginning)]


def test_a_failing_event_is_tried_three_times_under_one_request_id(
    account: Callable[..., Any], start_pileus: Callable[..., Any]
) -> None:
    """Two retries, after one and two minutes of the clock."""
    server = start_pileus("--clock", "virtual")
    aws = account(server)
    answer = create(aws, FAIL).invoke(FunctionName="f", InvocationType="Event")
    start = f"START RequestId: {answer['ResponseMetadata']['RequestId']} Version: $LATEST"

    def starts(count: int) -> bool:
        # Function output is gathered for a moment of the clock.
        server.advance(0.2)
        found = lines(aws, "START")
        return found == [start] * count

    until(lambda: starts(1))
    server.advance(55)
    assert starts(1)
    server.advance(6)
    until(lambda: starts(2))
    server.advance(110)
    assert starts(2)
    server.advance(11)
    until(lambda: starts(3))
    server.advance(3600)
    assert starts(3)


def test_output_survives_a_stop_that_comes_at_once(
    account: Callable[..., Any], start_pileus: Callable[..., Any]
) -> None:
    """The clock stands, and nobody has called the logs before."""
    server = start_pileus("--clock", "virtual")
    aws = account(server)
    create(aws, TELL).invoke(FunctionName="f", Payload=b"1")
    assert server.stop() == 0
    again = account(start_pileus(), aws.account)
    assert lines(again, "got ") == ["got 1"]


def test_an_event_is_given_up_when_its_next_attempt_would_come_too_late(
    account: Callable[..., Any], start_pileus: Callable[..., Any]
) -> None:
    """Record "test_maxeventage": at once, and the destination hears of the last attempt."""
    aws = account(start_pileus("--clock", "virtual"))
    lambda_, sqs = create(aws, FAIL), aws.client("sqs")
    sends = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [sends]})
    aws.client("iam").put_role_policy(RoleName="r", PolicyName="sqs", PolicyDocument=policy)
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    failed = {"OnFailure": {"Destination": f"arn:aws:sqs:us-east-1:{aws.account}:q"}}
    lambda_.put_function_event_invoke_config(
        FunctionName="f", MaximumEventAgeInSeconds=60, MaximumRetryAttempts=2, DestinationConfig=failed
    )
    lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b"{}")
    (message,) = until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    body = json.loads(message["Body"])
    assert body["requestContext"]["condition"] == "EventAgeExceeded"
    assert body["requestContext"]["approximateInvokeCount"] == 1
    assert body["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert body["responsePayload"]["errorType"]


BUSY = """
import time, boto3
table = boto3.client("dynamodb")

def handler(event, context):
    table.put_item(TableName="things", Item={"id": {"S": event}})
    while "Item" not in table.get_item(TableName="things", Key={"id": {"S": "go"}}, ConsistentRead=True):
        time.sleep(0.02)
"""


def test_throttled_events_wait_until_there_is_room_or_they_are_too_old(
    account: Callable[..., Any], start_pileus: Callable[..., Any]
) -> None:
    server = start_pileus("--clock", "virtual")
    aws = account(server)
    make_table(aws, "things", stream=None)
    lambda_, sqs, dynamodb = create(aws, BUSY), aws.client("sqs"), aws.client("dynamodb")
    allowed = {"Effect": "Allow", "Action": ["sqs:SendMessage", "dynamodb:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    aws.client("iam").put_role_policy(RoleName="r", PolicyName="work", PolicyDocument=policy)
    lambda_.update_function_configuration(FunctionName="f", Timeout=900)
    lambda_.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=1)
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    failed = {"OnFailure": {"Destination": f"arn:aws:sqs:us-east-1:{aws.account}:q"}}

    def send(name: str, age_s: int) -> None:
        lambda_.put_function_event_invoke_config(
            FunctionName="f", MaximumEventAgeInSeconds=age_s, DestinationConfig=failed
        )
        lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=json.dumps(name).encode())

    def began(name: str) -> bool:
        return "Item" in dynamodb.get_item(TableName="things", Key={"id": {"S": name}}, ConsistentRead=True)

    send("first", 3600)
    until(lambda: began("first"))
    send("old", 60)
    send("patient", 3600)
    server.advance(70)
    (message,) = until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    told = json.loads(message["Body"])
    assert (told["requestContext"]["condition"], told["requestPayload"]) == ("EventAgeExceeded", "old")
    assert told["requestContext"]["approximateInvokeCount"] == 0
    assert not began("patient")
    assert not began("old")
    dynamodb.put_item(TableName="things", Item={"id": {"S": "go"}})

    def later() -> bool:
        # It has waited for a minute, so it is tried again within another one.
        server.advance(10)
        return began("patient")

    until(later)
    assert not began("old")


def test_records_go_to_a_bucket(aws: Any, lambda_: Any, role: str, make: Callable[..., Any]) -> None:
    """Of successes, and of events that no reserved concurrency lets run (record "test_reserved_concurrency")."""
    allow(aws)
    make()
    bucket = f"records-{aws.account}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    there = {"Destination": f"arn:aws:s3:::{bucket}"}
    lambda_.put_function_event_invoke_config(
        FunctionName="f", DestinationConfig={"OnSuccess": there, "OnFailure": there}
    )

    def kept(count: int) -> list[str]:
        found = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
        return found if len(found) == count else []

    def record(key: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        return found

    lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"n": 1}')
    (first,) = until(lambda: kept(1))
    assert re.fullmatch(r"aws/lambda/async/f/\d{4}/\d\d/\d\d/\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d-[0-9a-f-]{36}", first)
    assert record(first)["requestContext"]["condition"] == "Success"
    assert record(first)["responsePayload"] == {"n": 1}
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"n": 2}')
    second = next(key for key in until(lambda: kept(2)) if key != first)
    told = record(second)
    assert told["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert told["requestContext"]["approximateInvokeCount"] == 0
    assert told.keys() == {"version", "timestamp", "requestContext", "requestPayload"}


def test_an_accepted_event_survives_a_crash(account: Callable[..., Any], start_pileus: Callable[..., Any]) -> None:
    server = start_pileus()
    aws = account(server)
    lambda_ = create(aws, TELL)
    for number in range(5):
        assert (
            lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=str(number).encode())["StatusCode"] == 202
        )
    server.kill()
    again = account(start_pileus(), aws.account)
    assert until(lambda: len(set(lines(again, "got "))) == 5)
    assert set(lines(again, "got ")) == {f"got {number}" for number in range(5)}


def test_a_function_is_created_though_the_node_dies_meanwhile(
    account: Callable[..., Any], start_pileus: Callable[..., Any]
) -> None:
    server = start_pileus()
    aws = account(server)
    create(aws, TELL)
    update = aws.client("lambda").update_function_code
    assert update(FunctionName="f", ZipFile=package({"index.py": FAIL}))["LastUpdateStatus"] == "InProgress"
    server.kill()
    lambda_ = account(start_pileus(), aws.account).client("lambda")
    waiter = lambda_.get_waiter("function_updated_v2")
    waiter.wait(FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    assert lambda_.invoke(FunctionName="f")["FunctionError"] == "Unhandled"


def test_s3_calls_a_function_that_lets_it(aws: Any) -> None:
    lambda_ = create(
        aws, "def handler(event, context):\n    print('got', event['Records'][0]['s3']['object']['key'])\n"
    )
    s3 = aws.client("s3")
    for bucket in (f"in-{aws.account}", f"other-{aws.account}"):
        s3.create_bucket(Bucket=bucket)
    function = f"arn:aws:lambda:us-east-1:{aws.account}:function:f"
    lambda_.add_permission(
        FunctionName="f",
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::in-{aws.account}",
        SourceAccount=aws.account,
    )
    wanted = {"LambdaFunctionConfigurations": [{"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket=f"in-{aws.account}", NotificationConfiguration=wanted)
    s3.put_object(Bucket=f"in-{aws.account}", Key="photo.jpg", Body=b"x")
    assert until(lambda: "got photo.jpg" in lines(aws, "got"))


def test_a_destination_may_be_an_event_bus(aws: Any, lambda_: Any, role: str, make: Callable[..., Any]) -> None:
    put_events = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    allow(aws, put_events)
    make_table(aws, "seen", stream=None)
    arn = make("f")["FunctionArn"]
    seer = make("seer", recorder())["FunctionArn"]
    events = aws.client("events")
    bus = events.create_event_bus(Name="ends")["EventBusArn"]
    pattern = json.dumps({"source": ["lambda"], "detail-type": ["Lambda Function Invocation Result - Success"]})
    rule = events.put_rule(Name="r", EventBusName="ends", EventPattern=pattern)["RuleArn"]
    events.put_targets(Rule="r", EventBusName="ends", Targets=[{"Id": "1", "Arn": seer}])
    lambda_.add_permission(
        FunctionName="seer",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    lambda_.put_function_event_invoke_config(FunctionName="f", DestinationConfig={"OnSuccess": {"Destination": bus}})
    lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"a": 1}')
    event = wait_events(aws, 1)[0]
    assert event["resources"] == [f"{arn}:$LATEST", bus]
    assert event["detail"]["requestContext"]["condition"] == "Success"
    assert event["detail"]["requestPayload"] == event["detail"]["responsePayload"] == {"a": 1}
