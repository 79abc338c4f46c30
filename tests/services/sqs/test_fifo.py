"""FIFO queues: order within groups, deduplication, repeated receives."""

from __future__ import annotations

from typing import Any

import pytest
from sqs_kit import bodies, caught, counts


def make(sqs: Any, name: str = "q", **attributes: str) -> str:
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true", **attributes}
    return sqs.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"]


def send(sqs: Any, url: str, body: str, group: str = "g", **members: Any) -> dict[str, Any]:
    return sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, **members)


def receive(sqs: Any, url: str, count: int = 10, **members: Any) -> list[dict[str, Any]]:
    return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=count, **members).get("Messages", [])


def said(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]


def test_groups_keep_their_order_and_wait_for_their_first(sqs: Any) -> None:
    url = make(sqs)
    for body in ("a1", "a2", "b1", "a3"):
        send(sqs, url, body, body[0])
    first = receive(sqs, url, 1)
    assert said(first) == ["a1"]
    # As long as a1 is in flight, its group waits.
    second = receive(sqs, url)
    assert said(second) == ["b1"]
    assert receive(sqs, url) == []
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    assert said(receive(sqs, url)) == ["a2", "a3"]


def test_system_attributes(sqs: Any) -> None:
    url = make(sqs, "attributes")
    sent = send(sqs, url, "m", MessageDeduplicationId="d")
    (message,) = receive(sqs, url, AttributeNames=["All"])
    shown = message["Attributes"]
    assert (shown["MessageGroupId"], shown["MessageDeduplicationId"]) == ("g", "d")
    assert shown["SequenceNumber"] == sent["SequenceNumber"]
    assert len(sent["SequenceNumber"]) == 20
    later = send(sqs, url, "n")
    assert later["SequenceNumber"] > sent["SequenceNumber"]


def test_a_repeated_message_is_acknowledged_and_not_kept(later: Any, still: Any) -> None:
    url = make(later, "dedup")
    first = send(later, url, "m", "one")
    again = send(later, url, "m", "two")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    (message,) = receive(later, url)
    later.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    # Deleted or not, for five minutes it is the same.
    still.advance(299)
    send(later, url, "m", "one")
    assert receive(later, url) == []
    still.advance(1)
    assert send(later, url, "m", "one")["MessageId"] != first["MessageId"]
    assert said(receive(later, url)) == ["m"]


def test_ids_count_before_contents(sqs: Any) -> None:
    url = make(sqs, "ids")
    for body, deduplication in (("m", "1"), ("m", "2"), ("n", "1")):
        send(sqs, url, body, MessageDeduplicationId=deduplication)
    assert said(receive(sqs, url)) == ["m", "m"]


def test_the_group_as_the_scope(sqs: Any) -> None:
    high = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    url = make(sqs, "scope", **high)
    for group in ("one", "two", "one"):
        send(sqs, url, "m", group)
    assert len(receive(sqs, url)) == 2
    # What was remembered of each group says nothing of the queue.
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"}
    )
    send(sqs, url, "m", "three")
    assert len(receive(sqs, url)) == 1
    # And what was remembered of the queue holds in every group.
    sqs.set_queue_attributes(QueueUrl=url, Attributes=high)
    send(sqs, url, "m", "four")
    assert receive(sqs, url) == []


def test_the_limit_by_group_needs_the_scope(sqs: Any) -> None:
    code, message, _ = caught(
        sqs.create_queue,
        QueueName="limit.fifo",
        Attributes={"FifoQueue": "true", "FifoThroughputLimit": "perMessageGroupId"},
    )
    assert code == "InvalidAttributeValue"
    assert "DeduplicationScope is messageGroup" in message


def test_a_handle_ends_with_its_visibility_timeout(later: Any, still: Any) -> None:
    url = make(later, "handle")
    send(later, url, "m")
    handle = receive(later, url, VisibilityTimeout=10)[0]["ReceiptHandle"]
    still.advance(10)
    over = (
        "InvalidParameterValue",
        f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
        400,
    )
    assert caught(later.delete_message, QueueUrl=url, ReceiptHandle=handle) == over
    assert caught(later.change_message_visibility, QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=5) == over
    entry = {"Id": "a", "ReceiptHandle": handle}
    (failed,) = later.delete_message_batch(QueueUrl=url, Entries=[entry])["Failed"]
    assert (failed["Code"], failed["Message"]) == over[:2]
    entry["VisibilityTimeout"] = 0
    (failed,) = later.change_message_visibility_batch(QueueUrl=url, Entries=[entry])["Failed"]
    assert (failed["Code"], failed["Message"]) == over[:2]
    handle = receive(later, url, VisibilityTimeout=10)[0]["ReceiptHandle"]
    later.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=30)
    still.advance(20)
    later.delete_message(QueueUrl=url, ReceiptHandle=handle)
    assert counts(later, url) == (0, 0, 0)


@pytest.mark.parametrize(
    ("longer", "seen"), [([0], []), ([1], ["foo"]), ([2], ["foo", "bar"]), ([0, 1, 2], []), ([], ["foo", "bar", "baz"])]
)
def test_a_group_is_received_as_far_as_its_first_hidden_message(
    later: Any, still: Any, longer: list[int], seen: list[str]
) -> None:
    url = make(later, f"hidden-{''.join(map(str, longer))}")
    for body in ("foo", "bar", "baz"):
        send(later, url, body)
    got = receive(later, url, VisibilityTimeout=10)
    for number in longer:
        later.change_message_visibility(QueueUrl=url, ReceiptHandle=got[number]["ReceiptHandle"], VisibilityTimeout=100)
    still.advance(10)
    assert said(receive(later, url)) == seen


def test_a_repeated_receive_gets_the_same(later: Any, still: Any) -> None:
    url = make(later, "attempt")
    for body in ("a", "b", "c"):
        send(later, url, body, body)
    first = receive(later, url, 2, VisibilityTimeout=60, ReceiveRequestAttemptId="try")
    still.advance(30)
    again = receive(later, url, 2, VisibilityTimeout=60, ReceiveRequestAttemptId="try")
    assert again == first
    # The repetition began the visibility timeout anew.
    still.advance(40)
    later.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    # Once something has happened to one of them, it cannot be repeated any more.
    over = (
        "InvalidParameterValue",
        "Value try for parameter ReceiveRequestAttemptId is invalid. Reason: The receiveRequestAttemptId is not valid "
        "anymore since the receive call is not retryable.",
        400,
    )
    assert caught(later.receive_message, QueueUrl=url, ReceiveRequestAttemptId="try") == over
    other = receive(later, url, 1, VisibilityTimeout=60, ReceiveRequestAttemptId="other")
    assert said(other) == ["c"]
    later.change_message_visibility(QueueUrl=url, ReceiptHandle=other[0]["ReceiptHandle"], VisibilityTimeout=90)
    assert caught(later.receive_message, QueueUrl=url, ReceiveRequestAttemptId="other")[0] == "InvalidParameterValue"
    # What is remembered ends after five minutes.
    still.advance(300)
    assert said(receive(later, url, 10, ReceiveRequestAttemptId="other")) == ["b", "c"]


def test_the_queue_delays(later: Any, still: Any) -> None:
    url = make(later, "delay", DelaySeconds="5")
    send(later, url, "m", DelaySeconds=0)
    assert counts(later, url) == (0, 0, 1)
    assert receive(later, url) == []
    still.advance(5)
    assert said(receive(later, url)) == ["m"]
    assert caught(send, sqs=later, url=url, body="n", DelaySeconds=2) == (
        "InvalidParameterValue",
        "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for "
        "this queue type.",
        400,
    )


def test_what_fifo_queues_demand(sqs: Any) -> None:
    url = make(sqs, "demand", ContentBasedDeduplication="false")
    assert caught(sqs.send_message, QueueUrl=url, MessageBody="m") == (
        "MissingParameter",
        "The request must contain the parameter MessageGroupId.",
        400,
    )
    neither = (
        "InvalidParameterValue",
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
        400,
    )
    assert caught(sqs.send_message, QueueUrl=url, MessageBody="m", MessageGroupId="g") == neither
    entry = {"Id": "1", "MessageBody": "m", "MessageGroupId": "g"}
    assert caught(sqs.send_message_batch, QueueUrl=url, Entries=[entry]) == neither
    del entry["MessageGroupId"]
    assert caught(sqs.send_message_batch, QueueUrl=url, Entries=[entry]) == (
        "InvalidParameterValue",
        "The request must contain the parameter MessageGroupId.",
        400,
    )
    for bad in ("", "group 123", "a" * 129):
        assert caught(sqs.send_message, QueueUrl=url, MessageBody="m", MessageGroupId="g", MessageDeduplicationId=bad)[
            1
        ] == (
            f"Value {bad} for parameter MessageDeduplicationId is invalid. Reason: MessageDeduplicationId can only "
            "include alphanumeric and punctuation characters. 1 to 128 in length."
        )


def test_batches_are_sent_in_their_order(sqs: Any) -> None:
    url = make(sqs, "batch")
    sqs.send_message_batch(
        QueueUrl=url,
        Entries=[{"Id": str(at), "MessageBody": str(at), "MessageGroupId": "g"} for at in range(10)],
    )
    got = receive(sqs, url)
    assert said(got) == [str(at) for at in range(10)]
    gone = sqs.delete_message_batch(
        QueueUrl=url, Entries=[{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(got)]
    )
    assert len(gone["Successful"]) == 10
    assert counts(sqs, url) == (0, 0, 0)
    assert bodies(sqs.receive_message(QueueUrl=url)) == []
