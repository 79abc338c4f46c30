"""Quotas: "Amazon SQS message quotas", "policy quotas", "standard queue quotas", "FIFO queue quotas"."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqs_kit import caught, counts
from sqs_node import Node

from pileus.kernel.errors import AWSError
from pileus.services.sqs import receiving


def statement(**members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*", **members}


def policy(*statements: dict[str, Any]) -> dict[str, str]:
    return {"Policy": json.dumps({"Version": "2012-10-17", "Statement": statements})}


ACCOUNTS = [f"arn:aws:iam::{n:012}:root" for n in range(100_000_000_001, 100_000_000_052)]
TESTS = {f"aws:PrincipalTag/{n}": "x" for n in range(6)}


@pytest.mark.parametrize(
    ("most", "more", "message"),
    [
        (
            [statement()] * 20,
            [statement()] * 21,
            "21 statements were found in the submitted policy, max allowed is 20",
        ),
        (
            [statement(Action=[f"sqs:{n}" for n in range(7)])] * 2,
            [statement(), statement(Action=[f"sqs:{n}" for n in range(8)])],
            "8 actions were found in a statement from the submitted policy, max allowed is 7",
        ),
        (
            [statement(Principal={"AWS": ACCOUNTS[:50]})],
            [statement(Principal={"AWS": ACCOUNTS[:50]}), statement()],
            "51 principals were found in the submitted policy, max allowed is 50",
        ),
        (
            [statement(Condition={"StringEquals": TESTS, "StringLike": dict(list(TESTS.items())[:4])})],
            [statement(Condition={"StringEquals": TESTS})] * 2,
            "12 conditions were found in the submitted policy, max allowed is 10",
        ),
        (
            [statement(Sid="x" * 8000)],
            [statement(Sid="x" * 8192)],
            "Submitted policy is over max allowed size.",
        ),
    ],
)
def test_policies(sqs: Any, most: list[dict[str, Any]], more: list[dict[str, Any]], message: str) -> None:
    over = ("OverLimit", message, 403)
    assert caught(sqs.create_queue, QueueName="policed", Attributes=policy(*more)) == over
    url = sqs.create_queue(QueueName="policed", Attributes=policy(*most))["QueueUrl"]
    assert caught(sqs.set_queue_attributes, QueueUrl=url, Attributes=policy(*more)) == over
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    assert shown == policy(*most)


@pytest.mark.parametrize(
    "broken",
    [
        {"Condition": {"StringLooksLike": {"aws:UserAgent": "a"}}},
        {"Condition": ["a"]},
        {"Action": [1]},
        {"Resource": {"a": "b"}},
        {"Principal": {"AWS": [["a"]]}},
    ],
)
def test_policies_that_cannot_be_evaluated(sqs: Any, broken: dict[str, Any]) -> None:
    """They would keep everybody out, the owner too."""
    url = sqs.create_queue(QueueName="evaluated")["QueueUrl"]
    found = caught(sqs.set_queue_attributes, QueueUrl=url, Attributes=policy(statement(**broken)))
    assert found == ("InvalidAttributeValue", "Invalid value for the parameter Policy.", 400)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "0"})


def test_permissions_that_are_added(sqs: Any, aws: Any) -> None:
    url = sqs.create_queue(QueueName="permitting")["QueueUrl"]
    actions = [
        "SendMessage",
        "ReceiveMessage",
        "DeleteMessage",
        "ChangeMessageVisibility",
        "GetQueueAttributes",
        "GetQueueUrl",
        "PurgeQueue",
        "ListDeadLetterSourceQueues",
    ]

    def add(label: str, actions: list[str]) -> dict[str, Any]:
        return {"QueueUrl": url, "Label": label, "AWSAccountIds": [aws.account], "Actions": actions}

    assert caught(sqs.add_permission, **add("eight", actions)) == (
        "OverLimit",
        "8 actions were found in a statement from the submitted policy, max allowed is 7",
        403,
    )
    for number in range(20):
        sqs.add_permission(**add(f"label-{number}", actions[:1]))
    assert caught(sqs.add_permission, **add("another", actions[:1]))[:2] == (
        "OverLimit",
        "21 statements were found in the submitted policy, max allowed is 20",
    )


@pytest.mark.parametrize("fifo", [False, True])
def test_messages_in_flight(monkeypatch: pytest.MonkeyPatch, fifo: bool) -> None:
    assert receiving.IN_FLIGHT_MAX == 120_000
    monkeypatch.setattr(receiving, "IN_FLIGHT_MAX", 3)

    async def run() -> None:
        node = Node(None)
        await node.start()
        kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
        url = await node.queue("q.fifo" if fifo else "q", VisibilityTimeout="10", **kind)
        for n in range(5):
            await node.call(
                "SendMessage", QueueUrl=url, MessageBody=str(n), **({"MessageGroupId": "g"} if fifo else {})
            )

        async def receive(**members: Any) -> list[str]:
            answer = await node.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, **members)
            return [one["Body"] for one in answer.get("Messages", ())]

        assert await receive() == ["0", "1", "2"]
        if fifo:
            # Here AWS tells nobody.
            assert await receive() == []
        else:
            for short in ({}, {"WaitTimeSeconds": 0}):
                with pytest.raises(AWSError, match="Too many messages have been received") as refused:
                    await receive(**short)
                assert refused.value.code == "OverLimit"
            # Nor those who wait.
            waiting = asyncio.ensure_future(receive(WaitTimeSeconds=5))
            await asyncio.sleep(0)
            await node.advance(6)
            assert await waiting == []
        await node.advance(10)
        assert await receive() == ["0", "1", "2"]
        await node.stop()

    asyncio.run(run())


def test_batches_hold_a_mebibyte(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="mebibyte")["QueueUrl"]
    kib = 1024
    attribute = {"name": {"DataType": "String", "StringValue": "x" * (kib - 10)}}

    def entries(last: int) -> list[dict[str, Any]]:
        """Nine of 100 KiB, one of them with an attribute of a KiB, and the last with so many bytes."""
        first = [{"Id": str(n), "MessageBody": "m" * 100 * kib} for n in range(9)]
        first[0] = {"Id": "0", "MessageBody": "m" * 99 * kib, "MessageAttributes": attribute}
        return [*first, {"Id": "last", "MessageBody": "m" * last}]

    assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries(124 * kib))["Successful"]) == 10
    assert caught(sqs.send_message_batch, QueueUrl=url, Entries=entries(124 * kib + 1)) == (
        "AWS.SimpleQueueService.BatchRequestTooLong",
        "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.",
        400,
    )
    assert counts(sqs, url) == (10, 0, 0)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MaximumMessageSize": "1024"})
    sent = sqs.send_message_batch(
        QueueUrl=url,
        Entries=[{"Id": "short", "MessageBody": "m" * kib}, {"Id": "long", "MessageBody": "m" * (kib + 1)}],
    )
    assert [one["Id"] for one in sent["Successful"]] == ["short"]
    assert sent["Failed"] == [
        {
            "Id": "long",
            "SenderFault": True,
            "Code": "InvalidParameterValue",
            "Message": "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes.",
        }
    ]


def test_attributes_of_messages(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="ten")["QueueUrl"]
    many = {f"a{n}": {"DataType": "Number", "StringValue": str(n)} for n in range(10)}
    sqs.send_message(QueueUrl=url, MessageBody="m", MessageAttributes=many)
    more = {**many, "another": {"DataType": "Binary", "BinaryValue": b"x"}}
    message = "Number of message attributes [11] exceeds the allowed maximum [10]."
    assert caught(sqs.send_message, QueueUrl=url, MessageBody="m", MessageAttributes=more) == (
        "InvalidParameterValue",
        message,
        400,
    )
    entry = {"Id": "1", "MessageBody": "m", "MessageAttributes": more}
    (failed,) = sqs.send_message_batch(QueueUrl=url, Entries=[entry])["Failed"]
    assert (failed["Code"], failed["Message"]) == ("InvalidParameterValue", message)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("DelaySeconds", 0, 900),
        ("KmsDataKeyReusePeriodSeconds", 60, 86_400),
        ("MaximumMessageSize", 1024, 1_048_576),
        ("MessageRetentionPeriod", 60, 1_209_600),
        ("ReceiveMessageWaitTimeSeconds", 0, 20),
        ("VisibilityTimeout", 0, 43_200),
    ],
)
def test_numbers_that_queues_may_have(sqs: Any, name: str, low: int, high: int) -> None:
    url = sqs.create_queue(QueueName="numbered", Attributes={name: str(low)})["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={name: str(high)})
    for bad in (low - 1, high + 1):
        assert caught(sqs.set_queue_attributes, QueueUrl=url, Attributes={name: str(bad)}) == (
            "InvalidAttributeValue",
            f"Invalid value for the parameter {name}.",
            400,
        )


def test_tags(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="labelled", tags={f"t{n}": "" for n in range(50)})["QueueUrl"]
    for tags in ({"another": "x"}, {"aws:x": "y"}, {"k" * 129: "x"}, {"": "x"}, {"t1": "v" * 257}):
        assert caught(sqs.tag_queue, QueueUrl=url, Tags=tags)[0::2] == ("InvalidParameterValue", 400)
    sqs.tag_queue(QueueUrl=url, Tags={"t1": "v" * 256})
    assert len(sqs.list_queue_tags(QueueUrl=url)["Tags"]) == 50


@pytest.mark.parametrize(("name", "fifo"), [("q" * 80, False), ("q" * 75 + ".fifo", True)])
def test_names(sqs: Any, name: str, fifo: bool) -> None:
    kind = {"Attributes": {"FifoQueue": "true"}} if fifo else {}
    assert sqs.create_queue(QueueName=name, **kind)["QueueUrl"].endswith(name)
    assert caught(sqs.create_queue, QueueName=f"q{name}", **kind)[::2] == ("InvalidParameterValue", 400)
