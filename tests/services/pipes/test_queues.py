"""Pipes from SQS, and to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pipes_kit import World

from waiting import until


@pytest.fixture
def world(aws: Any) -> World:
    return World(aws)


def make_queue(aws: Any, name: str, **attributes: str) -> tuple[str, str]:
    """URL and ARN."""
    url = aws.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, f"arn:aws:sqs:us-east-1:{aws.account}:{name}"


def count(aws: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(value) for value in found.values())


def test_from_queue_to_queue(aws: Any, world: World) -> None:
    sqs = aws.client("sqs")
    source, source_arn = make_queue(aws, "source")
    target, target_arn = make_queue(aws, "target")
    world.create(
        Source=source_arn,
        SourceParameters={
            "SqsQueueParameters": {"BatchSize": 5},
            "FilterCriteria": {"Filters": [{"Pattern": json.dumps({"body": {"n": [{"numeric": [">", 1]}]}})}]},
        },
        Target=target_arn,
        TargetParameters={"InputTemplate": '{"n": <$.body.n>, "from": "<aws.pipes.source-arn>"}'},
    )
    for n in range(4):
        sqs.send_message(QueueUrl=source, MessageBody=json.dumps({"n": n}))
    sqs.send_message(QueueUrl=source, MessageBody="no json")
    found: list[str] = []

    def receive() -> bool:
        answer = sqs.receive_message(QueueUrl=target, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", ()):
            found.append(message["Body"])
            sqs.delete_message(QueueUrl=target, ReceiptHandle=message["ReceiptHandle"])
        return len(found) >= 2

    until(receive)
    assert [json.loads(text) for text in sorted(found)] == [{"n": n, "from": source_arn} for n in (2, 3)]
    # What does not pass is deleted, too.
    until(lambda: count(aws, source) == 0)


def test_lines_stay_lines(aws: Any, world: World) -> None:
    sqs = aws.client("sqs")
    lines = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    source, source_arn = make_queue(aws, "source.fifo", **lines)
    target, target_arn = make_queue(aws, "target.fifo", **lines)
    world.create(
        Source=source_arn,
        Target=target_arn,
        TargetParameters={
            "InputTemplate": '"<$.body>"',
            "SqsQueueParameters": {
                "MessageGroupId": "$.attributes.MessageGroupId",
                "MessageDeduplicationId": "$.messageId",
            },
        },
    )
    for n in range(12):
        sqs.send_message(QueueUrl=source, MessageBody=f"m{n}", MessageGroupId="g")
    found: list[str] = []

    def receive() -> bool:
        answer = sqs.receive_message(QueueUrl=target, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", ()):
            found.append(message["Body"])
            sqs.delete_message(QueueUrl=target, ReceiptHandle=message["ReceiptHandle"])
        return len(found) >= 12

    until(receive)
    assert found == [f"m{n}" for n in range(12)]


def test_what_fails_stays_in_the_queue(aws: Any, world: World) -> None:
    """The function refuses one of a batch: the others are done with, that one waits for its visibility timeout."""
    source, source_arn = make_queue(aws, "source", VisibilityTimeout="300")
    function = world.function(
        "picky",
        "def handler(events, context):\n"
        "    bad = [e['messageId'] for e in events if e['body'] == 'bad']\n"
        "    return {'batchItemFailures': [{'itemIdentifier': id} for id in bad]}\n",
    )
    for body in ("good", "bad", "good"):
        aws.client("sqs").send_message(QueueUrl=source, MessageBody=body)
    world.create(Source=source_arn, Target=function)
    until(lambda: count(aws, source) == 1)
    world.pipes.stop_pipe(Name="p")
    world.wait_state("STOPPED")
    assert count(aws, source) == 1


def test_streams_have_dead_letters_too(aws: Any, world: World) -> None:
    stream = world.table()
    dead, dead_arn = make_queue(aws, "dead")
    settings = {"StartingPosition": "TRIM_HORIZON", "MaximumRetryAttempts": 0, "DeadLetterConfig": {"Arn": dead_arn}}
    world.put("one")
    gone = f"arn:aws:sqs:us-east-1:{aws.account}:gone"
    world.create(Source=stream, SourceParameters={"DynamoDBStreamParameters": settings}, Target=gone)
    [message] = until(lambda: aws.client("sqs").receive_message(QueueUrl=dead, WaitTimeSeconds=1).get("Messages"))
    told = json.loads(message["Body"])
    assert told["context"] == {
        "partnerResourceArn": f"arn:aws:pipes:us-east-1:{aws.account}:pipe/p",
        "condition": "RetryAttemptsExhausted",
        "approximateInvokeCount": 1,
    }
    assert told["DDBStreamBatchInfo"]["batchSize"] == 1
    assert told["DDBStreamBatchInfo"]["streamArn"] == stream
