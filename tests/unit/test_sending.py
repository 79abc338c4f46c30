"""What each kind of target is sent, and which of its answers are for ever."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pileus.cloud.sending import Busy, Message, Refused, request_for, send
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.kernel.principal import service_principal

PRINCIPAL = service_principal(
    "events", account="111122223333", source_arn="arn:aws:events:us-east-1:111122223333:rule/r"
)
MESSAGE = Message(
    body=b'{"a":1}',
    attributes={"RULE_ARN": "r"},
    group="g",
    source="lambda",
    detail_type="Result",
    resources=("arn:x",),
    trace="Root=1-2-3",
)
FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:f"
QUEUE = "arn:aws:sqs:eu-west-1:111122223333:q.fifo"
BUS = "arn:aws:events:eu-west-1:111122223333:event-bus/b"


class FakeCloud:
    """Answers every call with `answer`, or raises it."""

    endpoint = "http://127.0.0.1:4566"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    async def call(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        self.calls.append((*arguments, options))
        if isinstance(self.answer, Exception):
            raise self.answer
        assert isinstance(self.answer, dict)
        return self.answer


def sent(target: str, answer: Any = None) -> tuple[FakeCloud, dict[str, Any]]:
    cloud = FakeCloud({} if answer is None else answer)
    return cloud, asyncio.run(send(cloud, PRINCIPAL, target, MESSAGE, region="us-east-1"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "operation", "members"),
    [
        (FUNCTION, "Invoke", {"FunctionName": FUNCTION, "InvocationType": "Event", "Payload": b'{"a":1}'}),
        (
            QUEUE,
            "SendMessage",
            {
                "QueueUrl": "http://127.0.0.1:4566/111122223333/q.fifo",
                "MessageBody": '{"a":1}',
                "MessageAttributes": {"RULE_ARN": {"DataType": "String", "StringValue": "r"}},
                "MessageGroupId": "g",
                "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}},
            },
        ),
        (
            "arn:aws:sns:eu-west-1:111122223333:t",
            "Publish",
            {
                "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t",
                "Message": '{"a":1}',
                "MessageAttributes": {"RULE_ARN": {"DataType": "String", "StringValue": "r"}},
                "MessageGroupId": "g",
            },
        ),
        (
            BUS,
            "PutEvents",
            {
                "Entries": [
                    {
                        "EventBusName": BUS,
                        "Source": "lambda",
                        "DetailType": "Result",
                        "Detail": '{"a":1}',
                        "Resources": ["arn:x"],
                        "TraceHeader": "Root=1-2-3",
                    }
                ]
            },
        ),
        ("arn:aws:s3:::bucket/a/b", "PutObject", {"Bucket": "bucket", "Key": "a/b", "Body": b'{"a":1}'}),
    ],
)
def test_each_kind_of_target_gets_what_it_has_a_place_for(target: str, operation: str, members: dict[str, Any]) -> None:
    cloud, _ = sent(target)
    [(principal, service, called, request, options)] = cloud.calls
    assert (principal, service, called) == (PRINCIPAL, target.split(":")[2], operation)
    assert request == members
    assert options == {"region": target.split(":")[3] or "us-east-1", "trace": "Root=1-2-3"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AWSError("ResourceNotFoundException", "gone"), Refused),
        (AWSError("AccessDenied", "no", status=403), Refused),
        (AWSError("TooManyRequestsException", "slow", status=429), Busy),
        (AWSError("ServiceUnavailable", "down", status=503), Busy),
        (AWSError("ServiceException", "broken", fault="server"), Busy),
        (AWSError("ResourceConflictException", "pending", status=409), Busy),
        (NotBuilt("Kinesis"), Refused),
    ],
)
def test_a_targets_error_is_for_ever_or_not(error: AWSError, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        sent(FUNCTION, error)
    assert caught.value.error is error  # type: ignore[attr-defined]
    if kind is Busy:
        # As retry policies have it: an attempt is an attempt.
        assert caught.value.counted is True  # type: ignore[attr-defined]


def test_an_entry_that_a_bus_refuses_is_an_error() -> None:
    failed = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow"}
    with pytest.raises(Busy):
        sent(BUS, {"FailedEntryCount": 1, "Entries": [failed]})


@pytest.mark.parametrize("target", ["arn:aws:batch:us-east-1:1:job-queue/q", "not an arn"])
def test_what_nothing_is_sent_to_yet_says_so(target: str) -> None:
    with pytest.raises(NotBuilt):
        request_for(SimpleNamespace(endpoint=""), target, MESSAGE)  # type: ignore[arg-type]
