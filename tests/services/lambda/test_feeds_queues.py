"""Functions fed from SQS."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from feed_kit import allow, events, feed, make_table, recorder, wait_events, wait_state
from lambda_kit import LOGGING, TRUST, caught, package

from waiting import until


@pytest.fixture
def queue(aws: Any, role: str) -> str:
    """The URL of a queue that feeds functions, in an account whose functions may be fed."""
    allow(aws)
    make_table(aws, "seen", stream=None)
    return make_queue(aws)


def make_queue(aws: Any, name: str = "q", **attributes: str) -> str:
    url: str = aws.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def arn_of(aws: Any, url: str) -> str:
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn: str = answer["Attributes"]["QueueArn"]
    return arn


def left(aws: Any, url: str) -> int:
    """Messages in the queue, those that are out included."""
    names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(int(count) for count in answer["Attributes"].values())


def bodies(found: list[dict[str, Any]]) -> list[str]:
    return [record["body"] for event in found for record in event["Records"]]


def test_a_message_reaches_the_function_as_aws_shows_it_and_is_deleted(
    aws: Any, lambda_: Any, make: Callable[..., Any], queue: str
) -> None:
    make(code=recorder())
    source = arn_of(aws, queue)
    feed(lambda_, source)
    attributes = {
        "s": {"DataType": "String", "StringValue": "x"},
        "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = aws.client("sqs").send_message(QueueUrl=queue, MessageBody='{"foo": "bar"}', MessageAttributes=attributes)
    event = wait_events(aws, 1)[0]
    assert set(event) == {"Records"}
    record = event["Records"][0]
    assert len(record.pop("receiptHandle")) > 20
    system = record.pop("attributes")
    assert {"ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(system)
    assert system["ApproximateReceiveCount"] == "1"
    assert record == {
        "messageId": sent["MessageId"],
        "body": '{"foo": "bar"}',
        "messageAttributes": {
            "s": {"stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
            "b": {"binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
        },
        "md5OfBody": sent["MD5OfMessageBody"],
        "md5OfMessageAttributes": sent["MD5OfMessageAttributes"],
        "eventSource": "aws:sqs",
        "eventSourceARN": source,
        "awsRegion": "us-east-1",
    }
    until(lambda: left(aws, queue) == 0)


def test_what_a_mapping_of_a_queue_shows(aws: Any, lambda_: Any, make: Callable[..., Any], queue: str) -> None:
    arn = make()["FunctionArn"]
    source = arn_of(aws, queue)
    created = lambda_.create_event_source_mapping(
        EventSourceArn=source, FunctionName="f", ScalingConfig={"MaximumConcurrency": 2}
    )
    assert created.pop("ResponseMetadata")["HTTPStatusCode"] == 202
    uuid = created["UUID"]
    del created["LastModified"]
    assert created == {
        "UUID": uuid,
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:{aws.account}:event-source-mapping:{uuid}",
        "EventSourceArn": source,
        "FunctionArn": arn,
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "ScalingConfig": {"MaximumConcurrency": 2},
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
    }
    assert caught(lambda_.create_event_source_mapping, EventSourceArn=source, FunctionName="f") == (
        "ResourceConflictException",
        409,
        f'An event source mapping with SQS arn (" {source} ") and function (" f ") already exists. Please update or '
        f"delete the existing mapping with UUID {uuid}",
    )
    window = (
        "InvalidParameterValueException",
        400,
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
    )
    assert caught(lambda_.update_event_source_mapping, UUID=uuid, BatchSize=15) == window
    wait_state(lambda_, uuid)
    assert "ScalingConfig" not in lambda_.update_event_source_mapping(UUID=uuid, ScalingConfig={})


def test_sources_that_cannot_be(aws: Any, lambda_: Any, make: Callable[..., Any], queue: str) -> None:
    make(Timeout=60)
    source = arn_of(aws, queue)
    create = lambda_.create_event_source_mapping
    assert caught(create, EventSourceArn=f"arn:aws:sqs:us-east-1:{aws.account}:missing", FunctionName="f") == (
        "InvalidParameterValueException",
        400,
        "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error "
        "Message: The specified queue does not exist.",
    )
    assert caught(create, EventSourceArn=source, FunctionName="f")[2] == (
        "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds"
    )
    assert caught(create, EventSourceArn=source, FunctionName="f", StartingPosition="LATEST")[2] == (
        "StartingPosition is not valid for SQS event sources."
    )
    for settings in (
        {"MaximumRetryAttempts": 1},
        {"Topics": ["topic"]},
        {"DestinationConfig": {"OnFailure": {"Destination": source}}},
    ):
        name = next(iter(settings))
        assert caught(create, EventSourceArn=source, FunctionName="f", **settings)[::2] == (
            "InvalidParameterValueException",
            f"Unsupported '{name[0].lower()}{name[1:]}' parameter for given event source mapping type.",
        )
    fifo = arn_of(aws, make_queue(aws, "q.fifo", FifoQueue="true", VisibilityTimeout="60"))
    assert caught(create, EventSourceArn=fifo, FunctionName="f", MaximumBatchingWindowInSeconds=1)[2] == (
        "Batching window is not supported for FIFO queues"
    )
    aws.client("iam").delete_role_policy(RoleName="function-role", PolicyName="feeds")
    assert caught(create, EventSourceArn=fifo, FunctionName="f") == (
        "InvalidParameterValueException",
        400,
        "The provided execution role does not have permissions to call ReceiveMessage on SQS",
    )


def test_what_does_not_pass_the_filter_is_deleted(aws: Any, lambda_: Any, make: Callable[..., Any], queue: str) -> None:
    make(code=recorder())
    pattern = json.dumps({"body": {"n": [{"numeric": [">", 100]}]}})
    feed(lambda_, arn_of(aws, queue), FilterCriteria={"Filters": [{"Pattern": pattern}]})
    sqs = aws.client("sqs")
    for body in ('{"n": 1}', "a text", '{"n": 101}'):
        sqs.send_message(QueueUrl=queue, MessageBody=body)
    assert bodies(wait_events(aws, 1)) == ['{"n": 101}']
    until(lambda: left(aws, queue) == 0)
    assert len(events(aws)) == 1


def test_only_what_is_reported_comes_again(aws: Any, lambda_: Any, make: Callable[..., Any], queue: str) -> None:
    make(
        code=recorder(
            "    return {'batchItemFailures': [{'itemIdentifier': r['messageId']} for r in event['Records']"
            " if r['body'] == 'bad' and r['attributes']['ApproximateReceiveCount'] == '1']}"
        ),
        Timeout=1,
    )
    aws.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(("good", "bad", "fine"))]
    aws.client("sqs").send_message_batch(QueueUrl=queue, Entries=entries)
    feed(lambda_, arn_of(aws, queue), FunctionResponseTypes=["ReportBatchItemFailures"])
    until(lambda: left(aws, queue) == 0)
    got = bodies(events(aws))
    assert sorted(got[:3]) == ["bad", "fine", "good"]
    assert got[3:] == ["bad"]


def test_what_fails_again_and_again_ends_in_the_dead_letter_queue(
    aws: Any, lambda_: Any, make: Callable[..., Any], queue: str
) -> None:
    make(code="def handler(event, context):\n    raise Exception('no')\n", Timeout=1)
    dead = make_queue(aws, "dead")
    redrive = json.dumps({"deadLetterTargetArn": arn_of(aws, dead), "maxReceiveCount": 2})
    aws.client("sqs").set_queue_attributes(
        QueueUrl=queue, Attributes={"VisibilityTimeout": "1", "RedrivePolicy": redrive}
    )
    feed(lambda_, arn_of(aws, queue))
    aws.client("sqs").send_message(QueueUrl=queue, MessageBody="poison")

    def dead_letters() -> Any:
        return aws.client("sqs").receive_message(QueueUrl=dead, WaitTimeSeconds=1).get("Messages")

    assert [message["Body"] for message in until(dead_letters)] == ["poison"]


def test_a_window_gathers_more_than_one_receive_gives(
    aws: Any, lambda_: Any, make: Callable[..., Any], queue: str
) -> None:
    make(code=recorder())
    sqs = aws.client("sqs")
    for start in (0, 10):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(start, start + 10)]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    feed(lambda_, arn_of(aws, queue), BatchSize=20, MaximumBatchingWindowInSeconds=20)
    assert [len(event["Records"]) for event in wait_events(aws, 1)] == [20]


def test_messages_of_a_group_come_in_their_order(aws: Any, lambda_: Any, make: Callable[..., Any], queue: str) -> None:
    make(code=recorder())
    url = make_queue(aws, "q.fifo", FifoQueue="true")
    sqs = aws.client("sqs")
    for n in range(12):
        sqs.send_message(QueueUrl=url, MessageBody=str(n), MessageGroupId=f"g{n % 2}", MessageDeduplicationId=f"d{n}")
    feed(lambda_, arn_of(aws, url), BatchSize=3)
    until(lambda: left(aws, url) == 0)
    records = [record for event in events(aws) for record in event["Records"]]
    for group in ("g0", "g1"):
        inside = [int(each["body"]) for each in records if each["attributes"]["MessageGroupId"] == group]
        assert inside == sorted(inside)
    assert len(records) == 12
    assert {"SequenceNumber", "MessageDeduplicationId"} <= set(records[0]["attributes"])
    # Recorded answers of AWS: null for messages of standard queues, and not there for these.
    assert "md5OfMessageAttributes" not in records[0]


def test_no_more_batches_at_once_than_the_mapping_lets(
    aws: Any, lambda_: Any, make: Callable[..., Any], queue: str
) -> None:
    # Each run notes how many are under way beside it.
    code = """
import boto3
table = boto3.client("dynamodb")

def add(n):
    return table.update_item(TableName="running", Key={"id": {"S": "n"}}, UpdateExpression="ADD c :n",
        ExpressionAttributeValues={":n": {"N": str(n)}}, ReturnValues="ALL_NEW")["Attributes"]["c"]["N"]

def handler(event, context):
    item = {"at": {"S": context.aws_request_id}, "n": {"N": add(1)}, "event": {"S": "{}"}}
    table.put_item(TableName="seen", Item=item)
    add(-1)
"""
    allow(aws, {"Effect": "Allow", "Action": "dynamodb:UpdateItem", "Resource": "*"})
    make_table(aws, "running", stream=None)
    make(code=code)
    sqs = aws.client("sqs")
    for start in (0, 10):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(start, start + 10)]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    feed(lambda_, arn_of(aws, queue), BatchSize=1, ScalingConfig={"MaximumConcurrency": 2})
    until(lambda: left(aws, queue) == 0)
    items = aws.client("dynamodb").scan(TableName="seen", ConsistentRead=True)["Items"]
    assert len(items) == 20
    assert max(int(item["n"]["N"]) for item in items) <= 2


def test_more_batches_are_under_way_the_longer_the_backlog_lasts(
    aws: Any, lambda_: Any, make: Callable[..., Any], queue: str
) -> None:
    # Five at first, and more with time: each run ends only when seven are under way at once.
    code = """
import time, boto3
table = boto3.client("dynamodb")

def count(n):
    return int(table.update_item(TableName="running", Key={"id": {"S": "n"}}, UpdateExpression="ADD c :n",
        ExpressionAttributeValues={":n": {"N": str(n)}}, ReturnValues="ALL_NEW")["Attributes"]["c"]["N"])

def handler(event, context):
    here = count(1)
    while here < 7:
        time.sleep(0.05)
        here = count(0)
"""
    allow(aws, {"Effect": "Allow", "Action": "dynamodb:UpdateItem", "Resource": "*"})
    make_table(aws, "running", stream=None)
    make(code=code, Timeout=29)
    sqs = aws.client("sqs")
    sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(7)])
    feed(lambda_, arn_of(aws, queue), BatchSize=1)
    until(lambda: left(aws, queue) == 0)


def test_what_is_disabled_leaves_messages_where_they_are(
    aws: Any, lambda_: Any, make: Callable[..., Any], queue: str
) -> None:
    make(code=recorder())
    uuid = feed(lambda_, arn_of(aws, queue))
    lambda_.update_event_source_mapping(UUID=uuid, Enabled=False)
    wait_state(lambda_, uuid, "Disabled")
    aws.client("sqs").send_message(QueueUrl=queue, MessageBody="later")
    assert left(aws, queue) == 1
    lambda_.update_event_source_mapping(UUID=uuid, Enabled=True)
    assert bodies(wait_events(aws, 1)) == ["later"]


def test_a_loop_through_a_queue_is_stopped(aws: Any, lambda_: Any, make: Callable[..., Any], queue: str) -> None:
    code = recorder("    boto3.client('sqs').send_message(QueueUrl=os.environ['QUEUE'], MessageBody='again')")
    make(code=code, Environment={"Variables": {"QUEUE": queue}})
    dead = make_queue(aws, "dead")
    redrive = json.dumps({"deadLetterTargetArn": arn_of(aws, dead), "maxReceiveCount": 1})
    aws.client("sqs").set_queue_attributes(
        QueueUrl=queue, Attributes={"VisibilityTimeout": "3", "RedrivePolicy": redrive}
    )
    feed(lambda_, arn_of(aws, queue))
    aws.client("sqs").send_message(QueueUrl=queue, MessageBody="first")
    until(lambda: left(aws, dead) == 1)
    assert len(events(aws)) == 16


def test_an_event_that_fails_goes_to_the_dead_letter_queue_of_its_function(
    start_pileus: Callable[..., Any], account: Callable[..., Any]
) -> None:
    server = start_pileus("--clock", "virtual")
    aws = account(server)
    lambda_ = aws.client("lambda")
    role = make_role(aws)
    dead, told = make_queue(aws, "dead"), make_queue(aws, "told")
    lambda_.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": package({"index.py": "def handler(event, context):\n    raise Exception('no luck')\n"})},
        DeadLetterConfig={"TargetArn": arn_of(aws, dead)},
    )
    lambda_.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    lambda_.put_function_event_invoke_config(
        FunctionName="f", DestinationConfig={"OnFailure": {"Destination": arn_of(aws, told)}}
    )
    request_id = lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"a": 1}')["ResponseMetadata"][
        "RequestId"
    ]
    sqs = aws.client("sqs")

    def received(url: str) -> Any:
        server.advance(61)
        return sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages")

    message = until(lambda: received(dead))[0]
    assert message["Body"] == '{"a": 1}'
    assert message["MessageAttributes"] == {
        "RequestID": {"DataType": "String", "StringValue": request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": "no luck"},
    }
    record = json.loads(until(lambda: received(told))[0]["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responsePayload"]["errorMessage"] == "no luck"


def make_role(aws: Any) -> str:
    iam = aws.client("iam")
    iam.create_role(RoleName="function-role", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="function-role", PolicyName="logs", PolicyDocument=json.dumps(LOGGING))
    allow(aws)
    return f"arn:aws:iam::{aws.account}:role/function-role"


def test_a_node_that_is_killed_loses_no_message(start_pileus: Callable[..., Any], account: Callable[..., Any]) -> None:
    server = start_pileus(durability="full")
    aws = account(server)
    lambda_ = aws.client("lambda")
    role = make_role(aws)
    make_table(aws, "seen", stream=None)
    url = make_queue(aws, VisibilityTimeout="2")
    lambda_.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="index.handler",
        Role=role,
        Timeout=2,
        Code={"ZipFile": package({"index.py": recorder()})},
    )
    lambda_.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    feed(lambda_, arn_of(aws, url), BatchSize=1)
    sqs = aws.client("sqs")
    for start in (0, 10, 20):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(start, start + 10)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    server.kill()
    again = account(start_pileus(durability="full"), aws.account)
    wanted = {str(n) for n in range(30)}
    until(lambda: set(bodies(events(again))) == wanted, seconds=40)
    address = again.client("sqs").get_queue_url(QueueName="q")["QueueUrl"]
    until(lambda: left(again, address) == 0)
