"""Publishing: what messages may be, and what subscribers get."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from sns_kit import Queue, bare, refused

NUMBER = {"DataType": "Number", "StringValue": "99.12"}


def subscribed(aws: Any, sns: Any, name: str = "t", *, raw: bool = False, **attributes: str) -> tuple[str, Queue, str]:
    """A topic, a queue, and the subscription between them."""
    fifo = {"FifoTopic": "true"} if name.endswith(".fifo") else {}
    arn = sns.create_topic(Name=name, Attributes=fifo)["TopicArn"]
    queue = Queue(aws, "q.fifo" if fifo else "q", source=arn)
    values = {**attributes, **({"RawMessageDelivery": "true"} if raw else {})}
    subscription = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn, Attributes=values)
    return arn, queue, subscription["SubscriptionArn"]


def test_a_queue_gets_an_envelope(aws: Any, sns: Any) -> None:
    arn, queue, subscription = subscribed(aws, sns)
    sns.publish(TopicArn=arn, Message="before", Subject="Subject")
    (first,) = queue.bodies()
    assert first.pop("Timestamp").endswith("Z")
    assert {*first} == {
        *("Type", "MessageId", "TopicArn", "Subject", "Message"),
        *("SignatureVersion", "Signature", "SigningCertURL", "UnsubscribeURL"),
    }
    assert first["SigningCertURL"].rpartition("/")[2].startswith("SimpleNotificationService-")
    assert first["UnsubscribeURL"].endswith(f"/?Action=Unsubscribe&SubscriptionArn={subscription}")
    text = 'ö§a1"_!?,. £$-'
    answer = bare(
        sns.publish(
            TargetArn=arn,
            Message=text,
            MessageAttributes={"attr1": NUMBER, "raw": {"DataType": "Binary", "BinaryValue": b"\x02\x03\x04"}},
        )
    )
    (second,) = queue.bodies()
    assert answer == {"MessageId": second["MessageId"]}
    assert (second["Type"], second["TopicArn"], second["Message"]) == ("Notification", arn, text)
    assert second["MessageAttributes"] == {
        "attr1": {"Type": "Number", "Value": "99.12"},
        "raw": {"Type": "Binary", "Value": "AgME"},
    }
    assert "Subject" not in second


def test_a_raw_message_of_more_attributes_than_a_queue_takes_is_discarded(aws: Any, sns: Any) -> None:
    arn, queue, _ = subscribed(aws, sns, raw=True)
    envelopes = Queue(aws, "envelopes")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=envelopes.arn)
    many = {f"a{n}": NUMBER for n in range(11)}
    sns.publish(TopicArn=arn, Message="eleven", MessageAttributes=many)
    (whole,) = envelopes.bodies()
    assert whole["MessageAttributes"].keys() == many.keys()
    del many["a0"]
    sns.publish(TopicArn=arn, Message="ten", MessageAttributes=many)
    (ten,) = queue.take()
    assert (ten["Body"], ten["MessageAttributes"].keys()) == ("ten", many.keys())


def test_raw_delivery_carries_the_attributes(aws: Any, sns: Any) -> None:
    arn, queue, _ = subscribed(aws, sns, raw=True)
    sns.publish(
        TopicArn=arn,
        Message="text",
        MessageAttributes={"attr1": NUMBER, "store": {"DataType": "Binary", "BinaryValue": b"\x02\x03\x04"}},
    )
    (got,) = queue.take()
    assert got["Body"] == "text"
    assert got["MessageAttributes"] == {
        "attr1": NUMBER,
        "store": {"DataType": "Binary", "BinaryValue": b"\x02\x03\x04"},
    }


def test_what_is_for_phones_does_not_stop_queues(aws: Any, sns: Any) -> None:
    arn, queue, _ = subscribed(aws, sns, raw=True)
    sender = {"DataType": "String", "StringValue": "Me"}
    sns.publish(TopicArn=arn, Message="m", MessageAttributes={"AWS.SNS.SMS.SenderID": sender, "own": sender})
    assert queue.take()[0]["MessageAttributes"] == {"own": sender}


def test_structures_give_each_protocol_its_own_text(aws: Any, sns: Any) -> None:
    arn, queue, _ = subscribed(aws, sns)
    sns.publish(TopicArn=arn, Message=json.dumps({"default": "d", "sqs": "for queues"}), MessageStructure="json")
    sns.publish(TopicArn=arn, Message=json.dumps({"default": "d", "http": "h"}), MessageStructure="json")
    assert sorted(queue.texts(2)) == ["d", "for queues"]
    for text, reason in (
        ('{"sqs": "s"}', "No default entry in JSON message body"),
        ("{", "JSON message body failed to parse"),
    ):
        assert refused(sns.publish, TopicArn=arn, Message=text, MessageStructure="json") == (
            "InvalidParameter",
            f"Invalid parameter: Message Structure - {reason}",
        )


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"Message": ""}, "Empty message"),
        ({"Message": "m", "Subject": ""}, "Subject"),
        ({"Message": "m", "Subject": "a\nb"}, "Subject"),
        ({"Message": "m", "Subject": " begins with a space"}, "Subject"),
        ({"Message": "m", "Subject": "s" * 101}, "Subject"),
        ({"Message": "m", "Subject": "ümlaut"}, "Subject"),
        ({"Message": "m" * 262145}, "Message too long"),
        (
            {"Message": "m" * 262140, "MessageAttributes": {"a": {"DataType": "String", "StringValue": "x"}}},
            "Message too long",
        ),
        (
            {"Message": "m", "MessageDeduplicationId": "x"},
            "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid "
            "for this topic type",
        ),
    ],
)
def test_bad_messages_are_refused(sns: Any, request_: dict[str, Any], reason: str) -> None:
    arn = sns.create_topic(Name="bad")["TopicArn"]
    assert refused(sns.publish, TopicArn=arn, **request_) == ("InvalidParameter", f"Invalid parameter: {reason}")


def test_a_message_goes_somewhere(sns: Any) -> None:
    for target in ({}, {"TopicArn": ""}, {"TargetArn": ""}):
        assert refused(sns.publish, Message="m", **target) == (
            "InvalidParameter",
            "Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter",
        )


_NO_VALUE = "The message attribute 'attr1' must contain non-empty message attribute value for message attribute type "
_TYPES = (
    "The message attribute 'attr1' has an invalid message attribute type, the set of supported type prefixes is "
    "Binary, Number, and String."
)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("attr1", {"DataType": "String", "StringValue": ""}, _NO_VALUE + "'String'."),
        ("attr1", {"DataType": "String"}, _NO_VALUE + "'String'."),
        ("attr1", {"DataType": "Binary", "BinaryValue": b""}, _NO_VALUE + "'Binary'."),
        (
            "attr1",
            {"DataType": "Binary", "StringValue": "x"},
            "The message attribute 'attr1' with type 'Binary' must use field 'Binary'.",
        ),
        (
            "attr1",
            {"DataType": "Number", "BinaryValue": b"1"},
            "The message attribute 'attr1' with type 'Number' must use field 'String'.",
        ),
        ("attr1", {"DataType": "InvalidType", "StringValue": "x"}, _TYPES),
        ("attr1", {"DataType": "Stringprefixed", "StringValue": "x"}, _TYPES),
        ("attr1", {"DataType": "prefixed.String", "StringValue": "x"}, _TYPES),
        (
            "attr1^",
            {"DataType": "String", "StringValue": "x"},
            "Invalid non-alphanumeric character '#x5E' was found in the message attribute name. Can only include "
            "alphanumeric characters, hyphens, underscores, or dots.",
        ),
        (
            ".attr1",
            {"DataType": "String", "StringValue": "x"},
            "Invalid message attribute name starting with character '.' was found.",
        ),
        (
            "attr1.",
            {"DataType": "String", "StringValue": "x"},
            "Invalid message attribute name ending with character '.' was found.",
        ),
        (
            "a..b",
            {"DataType": "String", "StringValue": "x"},
            "Message attribute name can not have successive '.' character.",
        ),
        (
            "a" * 257,
            {"DataType": "String", "StringValue": "x"},
            "Length of message attribute name must be less than 256 bytes.",
        ),
    ],
)
def test_bad_attributes_are_refused(sns: Any, name: str, value: dict[str, Any], message: str) -> None:
    arn = sns.create_topic(Name="bad")["TopicArn"]
    assert refused(sns.publish, TopicArn=arn, Message="m", MessageAttributes={name: value}) == (
        "ParameterValueInvalid",
        message,
    )
    entry = {"Id": "1", "Message": "m", "MessageAttributes": {name: value}}
    assert refused(sns.publish_batch, TopicArn=arn, PublishBatchRequestEntries=[entry]) == (
        "ParameterValueInvalid",
        message,
    )


def test_types_of_ones_own(sns: Any) -> None:
    arn = sns.create_topic(Name="own")["TopicArn"]
    for kind, value in (("String.prefixed", "x"), ("Number.prefixed", "1"), ("String.Array", "[1]")):
        attribute = {"DataType": kind, "StringValue": value}
        assert sns.publish(TopicArn=arn, Message="m", MessageAttributes={"a": attribute})["MessageId"]


def test_targets_that_are_none(aws: Any, sns: Any) -> None:
    for request_, expected in (
        ({"TopicArn": f"arn:aws:sns:us-east-1:{aws.account}:none"}, ("NotFound", "Topic does not exist")),
        (
            {"TargetArn": f"arn:aws:sns:us-east-1:{aws.account}:endpoint/GCM/app/1"},
            ("InvalidParameter", "Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified"),
        ),
        ({}, ("InvalidParameter", "Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter")),
    ):
        assert refused(sns.publish, Message="m", **request_) == expected


def _entries(*ids: str, **members: Any) -> list[dict[str, Any]]:
    return [{"Id": one, "Message": "m", **members} for one in ids]


def test_a_batch_arrives(aws: Any, sns: Any) -> None:
    arn, queue, _ = subscribed(aws, sns, raw=True)
    entries = [{"Id": str(n), "Message": f"m{n}", "Subject": "s"} for n in range(10)]
    answer = bare(sns.publish_batch(TopicArn=arn, PublishBatchRequestEntries=entries))
    assert [one["Id"] for one in answer["Successful"]] == [str(n) for n in range(10)]
    assert answer["Failed"] == []
    assert len({one["MessageId"] for one in answer["Successful"]}) == 10
    assert {one["Body"] for one in queue.take(10)} == {f"m{n}" for n in range(10)}


@pytest.mark.parametrize(
    ("entries", "code", "message"),
    [
        (
            _entries("message.id"),
            "InvalidBatchEntryId",
            "The Id of a batch entry in the batch request contains an impermissible character: message.id",
        ),
        (
            _entries("a" * 81),
            "InvalidBatchEntryId",
            "The Id of a batch entry in the batch request is too long: " + "a" * 81,
        ),
        (
            _entries("1", "1"),
            "BatchEntryIdsNotDistinct",
            "Two or more batch entries in the request have the same Id.",
        ),
        (
            _entries(*map(str, range(11))),
            "TooManyEntriesInBatchRequest",
            "The batch request contains more entries than permissible.",
        ),
        ([], "EmptyBatchRequest", "The batch request doesn't contain any entries."),
        (
            _entries("1", MessageStructure="json", Message="{}"),
            "InvalidParameter",
            "Invalid parameter: Message Structure - No default entry in JSON message body",
        ),
        (
            _entries("1", "2", Message="m" * 140000),
            "BatchRequestTooLong",
            "The length of all the batch messages put together is more than the limit.",
        ),
    ],
)
def test_bad_batches_are_refused(sns: Any, entries: list[dict[str, Any]], code: str, message: str) -> None:
    arn = sns.create_topic(Name="bad")["TopicArn"]
    assert refused(sns.publish_batch, TopicArn=arn, PublishBatchRequestEntries=entries) == (code, message)
    assert refused(sns.publish_batch, TopicArn=arn + "x", PublishBatchRequestEntries=_entries("1"))[0] == "NotFound"
    ids = _entries("a" * 80, "valid-message_123")
    assert len(sns.publish_batch(TopicArn=arn, PublishBatchRequestEntries=ids)["Successful"]) == 2


def test_a_fifo_topic_delivers_in_order_and_once(aws: Any, sns: Any) -> None:
    arn, queue, _ = subscribed(aws, sns, "t.fifo")
    for n in range(12):
        member = {"MessageGroupId": "g", "MessageDeduplicationId": f"d{n}"}
        first = bare(sns.publish(TopicArn=arn, Message=f"m{n}", **member))
        assert bare(sns.publish(TopicArn=arn, Message="other", **member)) == first
        assert len(first["SequenceNumber"]) == 20
    got = queue.take(12)
    bodies = [json.loads(one["Body"]) for one in got]
    assert [one["Message"] for one in bodies] == [f"m{n}" for n in range(12)]
    sequence = [one["SequenceNumber"] for one in bodies]
    assert sequence == sorted(set(sequence))
    assert "Signature" not in bodies[0]
    assert got[3]["Attributes"]["MessageGroupId"] == "g"
    assert got[3]["Attributes"]["MessageDeduplicationId"] == "d3"
    assert queue.held() == 0


def test_content_deduplicates(aws: Any, sns: Any) -> None:
    arn, queue, _ = subscribed(aws, sns, "t.fifo")
    missing = (
        "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
    )
    assert refused(sns.publish, TopicArn=arn, Message="m", MessageGroupId="g")[1] == f"Invalid parameter: {missing}"
    assert refused(sns.publish, TopicArn=arn, Message="m", MessageDeduplicationId="d")[1] == (
        "Invalid parameter: The MessageGroupId parameter is required for FIFO topics"
    )
    sns.set_topic_attributes(TopicArn=arn, AttributeName="ContentBasedDeduplication", AttributeValue="true")
    first = sns.publish(TopicArn=arn, Message="Test", MessageGroupId="g")
    again = sns.publish(TopicArn=arn, Message="Test", MessageGroupId="other")
    assert first["MessageId"] == again["MessageId"]
    sns.publish(TopicArn=arn, Message="Last", MessageGroupId="g")
    got = queue.take(2)
    assert got[0]["Attributes"]["MessageDeduplicationId"] == hashlib.sha256(b"Test").hexdigest()
    # Where the group is the scope, another group may say the same.
    sns.set_topic_attributes(TopicArn=arn, AttributeName="FifoThroughputScope", AttributeValue="MessageGroup")
    one = sns.publish(TopicArn=arn, Message="Both", MessageGroupId="a")
    assert sns.publish(TopicArn=arn, Message="Both", MessageGroupId="a")["MessageId"] == one["MessageId"]
    assert sns.publish(TopicArn=arn, Message="Both", MessageGroupId="b")["MessageId"] != one["MessageId"]


def test_deduplication_ends_after_five_minutes(later: Any, still: Any) -> None:
    sns = later.client("sns")
    arn, queue, _ = subscribed(later, sns, "t.fifo")
    member = {"TopicArn": arn, "Message": "m", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    first = sns.publish(**member)["MessageId"]
    still.advance(290)
    assert sns.publish(**member)["MessageId"] == first
    still.advance(11)
    assert sns.publish(**member)["MessageId"] != first
    assert len(queue.take(2)) == 2


def test_a_fifo_topic_sends_to_plain_queues_too(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    queue = Queue(aws, "plain")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    sns.publish(TopicArn=arn, Message="m", MessageGroupId="g", MessageDeduplicationId="d")
    (got,) = queue.take()
    assert "MessageGroupId" not in got["Attributes"]
    assert json.loads(got["Body"])["Message"] == "m"


def test_the_trace_goes_along(aws: Any, sns: Any) -> None:
    arn, queue, _ = subscribed(aws, sns)
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"

    def add(request: Any, **_: Any) -> None:
        request.headers["X-Amzn-Trace-Id"] = trace

    sns.meta.events.register("before-send.sns.Publish", add)
    sns.publish(TopicArn=arn, Message="m")
    assert queue.take()[0]["Attributes"]["AWSTraceHeader"] == trace
