"""Messages of standard queues: sent, received, hidden, deleted."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from sqs_kit import bodies, caught, counts


@pytest.fixture
def url(sqs: Any) -> str:
    return sqs.create_queue(QueueName="q")["QueueUrl"]


def test_a_message_comes_back_as_it_was(sqs: Any, url: str, aws: Any) -> None:
    attributes = {
        "Text": {"DataType": "String", "StringValue": "Bär"},
        "Count": {"DataType": "Number.int", "StringValue": "12"},
        "Raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    sent = sqs.send_message(
        QueueUrl=url, MessageBody="hällo\n", MessageAttributes=attributes, MessageSystemAttributes=trace
    )
    assert sent["MD5OfMessageBody"] == hashlib.md5("hällo\n".encode()).hexdigest()
    # boto3 checks the body's digest itself, not the attributes'.
    assert len(sent["MD5OfMessageSystemAttributes"]) == 32
    (message,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"])["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "hällo\n")
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    shown = message["Attributes"]
    assert shown["SenderId"] == aws.account
    assert shown["ApproximateReceiveCount"] == "1"
    assert shown["AWSTraceHeader"] == trace["AWSTraceHeader"]["StringValue"]
    assert int(shown["ApproximateFirstReceiveTimestamp"]) >= int(shown["SentTimestamp"])
    assert set(shown) == {
        "SenderId",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "SentTimestamp",
        "AWSTraceHeader",
    }


def test_the_digest_of_attributes_is_awss(sqs: Any, url: str) -> None:
    foo = {"Foo": {"DataType": "String", "StringValue": "Bar"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="msg", MessageAttributes=foo)
    assert sent["MD5OfMessageAttributes"] == "ae7155c6026991b6d54b11589678bf9c"


def test_what_is_asked_for_is_shown(sqs: Any, url: str) -> None:
    names = ("a.one", "a.two", "b")
    sqs.send_message(
        QueueUrl=url,
        MessageBody="x",
        MessageAttributes={name: {"DataType": "String", "StringValue": "v"} for name in names},
    )

    def shown(**request: Any) -> dict[str, Any]:
        return sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, **request)["Messages"][0]

    assert set(shown()) == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}
    assert set(shown(MessageAttributeNames=["a.*"])["MessageAttributes"]) == {"a.one", "a.two"}
    # What stands before ".*" is a beginning, wherever it ends.
    assert set(shown(MessageAttributeNames=["a.t.*"])["MessageAttributes"]) == {"a.two"}
    assert set(shown(MessageAttributeNames=[".*"])["MessageAttributes"]) == set(names)
    assert set(shown(MessageAttributeNames=["b", "c"])["MessageAttributes"]) == {"b"}
    assert "MD5OfMessageAttributes" not in shown(MessageAttributeNames=["c"])
    assert set(shown(AttributeNames=["SenderId"])["Attributes"]) == {"SenderId"}
    assert set(shown(MessageSystemAttributeNames=["SentTimestamp"])["Attributes"]) == {"SentTimestamp"}


def test_receiving_hides_and_deleting_removes(sqs: Any, url: str) -> None:
    for number in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    assert counts(sqs, url) == (3, 0, 0)
    first = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2)
    assert bodies(first) == ["0", "1"]
    assert counts(sqs, url) == (1, 2, 0)
    for message in first["Messages"]:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    # Deleting again is no error.
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["Messages"][0]["ReceiptHandle"])
    assert counts(sqs, url) == (1, 0, 0)
    assert bodies(sqs.receive_message(QueueUrl=url)) == ["2"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_a_message_becomes_visible_again(later: Any, still: Any) -> None:
    url = later.create_queue(QueueName="again")["QueueUrl"]
    later.send_message(QueueUrl=url, MessageBody="m")
    first = later.receive_message(QueueUrl=url)["Messages"][0]
    still.advance(29)
    assert "Messages" not in later.receive_message(QueueUrl=url)
    still.advance(1)
    assert counts(later, url) == (1, 0, 0)
    second = later.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount"])["Messages"][0]
    assert second["Attributes"] == {"ApproximateReceiveCount": "2"}
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    # Either handle deletes it.
    later.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert counts(later, url) == (0, 0, 0)


@pytest.mark.parametrize("received", [1, 2])
def test_visibility_timeouts_change(later: Any, still: Any, received: int) -> None:
    url = later.create_queue(QueueName=f"change-{received}")["QueueUrl"]
    later.send_message(QueueUrl=url, MessageBody="m")
    for _ in range(received):
        handle = later.receive_message(QueueUrl=url, VisibilityTimeout=10)["Messages"][0]["ReceiptHandle"]
        if received == 2:
            still.advance(10)
    if received == 2:
        # The timeout has run out and nobody has received it since.
        assert counts(later, url) == (1, 0, 0)
    later.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=100)
    still.advance(99)
    assert "Messages" not in later.receive_message(QueueUrl=url)
    later.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    assert bodies(later.receive_message(QueueUrl=url, VisibilityTimeout=10)) == ["m"]
    later.delete_message(QueueUrl=url, ReceiptHandle=handle)
    assert counts(later, url) == (0, 0, 0)
    code, message, _ = caught(later.change_message_visibility, QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=1)
    assert code == "InvalidParameterValue"
    assert message.endswith("Message does not exist or is not available for visibility timeout change.")


def test_twelve_hours_are_the_most(later: Any, still: Any) -> None:
    url = later.create_queue(QueueName="twelve")["QueueUrl"]
    later.send_message(QueueUrl=url, MessageBody="m")
    handle = later.receive_message(QueueUrl=url, VisibilityTimeout=60)["Messages"][0]["ReceiptHandle"]
    still.advance(30)
    code, message, _ = caught(
        later.change_message_visibility, QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=43200
    )
    assert (code, message) == (
        "InvalidParameterValue",
        "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is "
        "beyond the limit [43200 seconds].",
    )
    assert counts(later, url) == (0, 1, 0)
    # In a batch, where the other entries count, it is left as it was.
    entry = {"Id": "a", "ReceiptHandle": handle, "VisibilityTimeout": 43200}
    answer = later.change_message_visibility_batch(QueueUrl=url, Entries=[entry])
    assert [one["Id"] for one in answer["Failed"]] == ["a"]
    still.advance(31)
    assert bodies(later.receive_message(QueueUrl=url)) == ["m"]


def test_delays(later: Any, still: Any) -> None:
    url = later.create_queue(QueueName="delays", Attributes={"DelaySeconds": "20"})["QueueUrl"]
    later.send_message(QueueUrl=url, MessageBody="queue's")
    later.send_message(QueueUrl=url, MessageBody="own", DelaySeconds=10)
    later.send_message(QueueUrl=url, MessageBody="none", DelaySeconds=0)
    assert counts(later, url) == (1, 0, 2)
    assert bodies(later.receive_message(QueueUrl=url, MaxNumberOfMessages=10)) == ["none"]
    still.advance(10)
    assert bodies(later.receive_message(QueueUrl=url, MaxNumberOfMessages=10)) == ["own"]
    still.advance(10)
    assert bodies(later.receive_message(QueueUrl=url, MaxNumberOfMessages=10)) == ["queue's"]


def test_retention_ends(later: Any, still: Any) -> None:
    url = later.create_queue(QueueName="old", Attributes={"MessageRetentionPeriod": "60"})["QueueUrl"]
    for _ in range(3):
        later.send_message(QueueUrl=url, MessageBody="old" * 2000)
    still.advance(30)
    later.send_message(QueueUrl=url, MessageBody="new")
    still.advance(30)
    assert bodies(later.receive_message(QueueUrl=url, MaxNumberOfMessages=10)) == ["new"]
    assert counts(later, url) == (0, 1, 0)
    still.advance(120)
    assert counts(later, url) == (0, 0, 0)


def test_large_contents(sqs: Any, url: str) -> None:
    large = "x" * 1048576
    sent = sqs.send_message(QueueUrl=url, MessageBody=large)
    message = sqs.receive_message(QueueUrl=url)["Messages"][0]
    assert (message["Body"], message["MessageId"]) == (large, sent["MessageId"])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert caught(sqs.send_message, QueueUrl=url, MessageBody=large + "y") == (
        "InvalidParameterValue",
        "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
        400,
    )


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"MessageBody": ""}, "MissingParameter", "The request must contain the parameter MessageBody."),
        (
            {"MessageBody": "a\x01"},
            "InvalidMessageContents",
            "Invalid binary character '#x1' was found in the message body, the set of allowed characters is "
            "#x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF].",
        ),
        (
            {"MessageBody": "a", "DelaySeconds": 901},
            "InvalidParameterValue",
            "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
        ),
        (
            {"MessageBody": "a", "MessageAttributes": {"ErrorDetails": {"DataType": "String", "StringValue": ""}}},
            "InvalidParameterValue",
            "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'.",
        ),
        (
            {"MessageBody": "a", "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "one"}}},
            "InvalidParameterValue",
            "Can't cast the value of message (user) attribute 'n' to a number.",
        ),
        (
            {"MessageBody": "a", "MessageAttributes": {"n": {"DataType": "Stringx", "StringValue": "one"}}},
            "InvalidParameterValue",
            "The message attribute 'n' has an invalid message attribute type, the set of supported type prefixes is "
            "Binary, Number, and String.",
        ),
        (
            {"MessageBody": "a", "MessageDeduplicationId": "d"},
            "InvalidParameterValue",
            "Value d for parameter MessageDeduplicationId is invalid. Reason: The request include parameter that "
            "is not valid for this queue type.",
        ),
    ],
)
def test_what_may_not_be_sent(sqs: Any, url: str, request_: Any, code: str, message: str) -> None:
    assert caught(sqs.send_message, QueueUrl=url, **request_) == (code, message, 400)
    assert counts(sqs, url) == (0, 0, 0)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            {"MaxNumberOfMessages": 11},
            "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            {"WaitTimeSeconds": 21},
            "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
        ),
        (
            {"WaitTimeSeconds": -1},
            "Value -1 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
        ),
    ],
)
def test_what_may_not_be_asked_for(sqs: Any, url: str, request_: Any, message: str) -> None:
    assert caught(sqs.receive_message, QueueUrl=url, **request_) == ("InvalidParameterValue", message, 400)


def test_handles_that_are_none(sqs: Any, url: str) -> None:
    assert caught(sqs.delete_message, QueueUrl=url, ReceiptHandle="fake") == (
        "ReceiptHandleIsInvalid",
        'The input receipt handle "fake" is not a valid receipt handle.',
        404,
    )
    other = sqs.create_queue(QueueName="other")["QueueUrl"]
    sqs.send_message(QueueUrl=other, MessageBody="m")
    handle = sqs.receive_message(QueueUrl=other)["Messages"][0]["ReceiptHandle"]
    assert caught(sqs.delete_message, QueueUrl=url, ReceiptHandle=handle)[:2] == (
        "ReceiptHandleIsInvalid",
        f'The receipt handle "{handle}" is not valid for this queue.',
    )


def entries(*names: str, **members: Any) -> list[dict[str, Any]]:
    return [{"Id": name, **members} for name in names]


def test_batches(sqs: Any, url: str) -> None:
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries(*"abc", MessageBody="m"))
    assert [one["Id"] for one in sent["Successful"]] == ["a", "b", "c"]
    assert "Failed" not in sent
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    handles = [message["ReceiptHandle"] for message in received]
    changed = sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[{"Id": "1", "ReceiptHandle": handles[0], "VisibilityTimeout": 0}]
    )
    assert changed["Successful"] == [{"Id": "1"}]
    assert counts(sqs, url) == (1, 2, 0)
    gone = sqs.delete_message_batch(
        QueueUrl=url,
        Entries=[{"Id": str(at), "ReceiptHandle": one} for at, one in enumerate([*handles, "fake"])],
    )
    assert [one["Id"] for one in gone["Successful"]] == ["0", "1", "2"]
    assert gone["Failed"] == [
        {
            "Id": "3",
            "SenderFault": True,
            "Code": "ReceiptHandleIsInvalid",
            "Message": 'The input receipt handle "fake" is not a valid receipt handle.',
        }
    ]
    assert counts(sqs, url) == (0, 0, 0)


def test_batches_that_fail_as_a_whole(sqs: Any, url: str) -> None:
    def send(*given: dict[str, Any]) -> tuple[str, str, int]:
        return caught(sqs.send_message_batch, QueueUrl=url, Entries=list(given))

    prefix = "AWS.SimpleQueueService."
    many = entries(*(str(at) for at in range(20)), MessageBody="m")
    assert send(*many) == (
        prefix + "TooManyEntriesInBatchRequest",
        "Maximum number of entries per request are 10. You have sent 20.",
        400,
    )
    assert send(*entries("a", "a", MessageBody="m"))[:2] == (prefix + "BatchEntryIdsNotDistinct", "Id a repeated.")
    assert send()[0] == prefix + "EmptyBatchRequest"
    for bad in ("", "invalid:id", "x" * 81):
        assert send(*entries(bad, MessageBody="m"))[:2] == (
            prefix + "InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 "
            "letters long.",
        )
    assert send(*entries("a", MessageBody="x" * 1048576), *entries("b", MessageBody="y")) == (
        prefix + "BatchRequestTooLong",
        "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.",
        400,
    )


def test_one_entry_fails_and_the_others_are_sent(sqs: Any, url: str) -> None:
    sent = sqs.send_message_batch(
        QueueUrl=url, Entries=[{"Id": "good", "MessageBody": "m"}, {"Id": "bad", "MessageBody": "\x02"}]
    )
    assert [one["Id"] for one in sent["Successful"]] == ["good"]
    assert [(one["Id"], one["Code"], one["SenderFault"]) for one in sent["Failed"]] == [
        ("bad", "InvalidMessageContents", True)
    ]
    assert counts(sqs, url) == (1, 0, 0)


def test_fair_queues(sqs: Any, url: str) -> None:
    for number in range(6):
        sqs.send_message(QueueUrl=url, MessageBody=f"noisy {number}", MessageGroupId="noisy")
    sqs.send_message(QueueUrl=url, MessageBody="quiet", MessageGroupId="quiet")
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=3, AttributeNames=["All"])
    assert bodies(got) == ["noisy 0", "quiet", "noisy 1"]
    assert got["Messages"][1]["Attributes"]["MessageGroupId"] == "quiet"
    assert "SequenceNumber" not in got["Messages"][0]["Attributes"]
    rest = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    assert bodies(rest) == [f"noisy {number}" for number in range(2, 6)]
