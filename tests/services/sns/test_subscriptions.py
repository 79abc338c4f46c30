"""Subscriptions: made, set, listed, ended; and what cannot be delivered to them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sns_kit import Queue, bare, refused, status_of

from waiting import until


def test_a_subscription_says_what_it_is(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    queue = Queue(aws, "q")
    subscribed = bare(sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn))
    id = subscribed["SubscriptionArn"]
    assert id.startswith(arn + ":")
    again = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    assert again["SubscriptionArn"] == id
    shown = {
        "ConfirmationWasAuthenticated": "true",
        "Endpoint": queue.arn,
        "Owner": aws.account,
        "PendingConfirmation": "false",
        "Protocol": "sqs",
        "RawMessageDelivery": "false",
        "SubscriptionArn": id,
        "SubscriptionPrincipal": f"arn:aws:iam::{aws.account}:root",
        "TopicArn": arn,
    }
    get = sns.get_subscription_attributes
    assert bare(get(SubscriptionArn=id)) == {"Attributes": shown}

    def put(name: str, value: str) -> None:
        sns.set_subscription_attributes(SubscriptionArn=id, AttributeName=name, AttributeValue=value)

    put("RawMessageDelivery", "true")
    put("FilterPolicy", '{"a": ["b"]}')
    more = {"RawMessageDelivery": "true", "FilterPolicy": '{"a": ["b"]}', "FilterPolicyScope": "MessageAttributes"}
    assert get(SubscriptionArn=id)["Attributes"] == {**shown, **more}
    put("FilterPolicy", "")
    put("RawMessageDelivery", "false")
    assert get(SubscriptionArn=id)["Attributes"] == shown
    listed = {member: shown[member] for member in ("SubscriptionArn", "Owner", "Protocol", "Endpoint", "TopicArn")}
    assert bare(sns.list_subscriptions()) == {"Subscriptions": [listed]}
    assert bare(sns.list_subscriptions_by_topic(TopicArn=arn)) == {"Subscriptions": [listed]}
    sns.unsubscribe(SubscriptionArn=id)
    sns.unsubscribe(SubscriptionArn=id)
    assert refused(get, SubscriptionArn=id) == ("NotFound", "Subscription does not exist")
    assert status_of(get, SubscriptionArn=id) == 404
    counts = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert (counts["SubscriptionsConfirmed"], counts["SubscriptionsDeleted"]) == ("0", "1")


def test_another_subscription_of_the_same_endpoint(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    queue = Queue(aws, "q")
    request = {"TopicArn": arn, "Protocol": "sqs", "Endpoint": queue.arn}
    first = sns.subscribe(**request, Attributes={"RawMessageDelivery": "true"})
    assert (
        sns.subscribe(**request, Attributes={"RawMessageDelivery": "true"})["SubscriptionArn"]
        == (first["SubscriptionArn"])
    )
    assert refused(sns.subscribe, **request, Attributes={"RawMessageDelivery": "false"}) == (
        "InvalidParameter",
        "Invalid parameter: Attributes Reason: Subscription already exists with different attributes",
    )


@pytest.mark.parametrize(
    ("protocol", "endpoint", "message"),
    [
        ("test-protocol", "x", "Invalid parameter: Amazon SNS does not support this protocol string: test-protocol"),
        ("sqs", "http://localhost/queue", "Invalid parameter: SQS endpoint ARN"),
        ("lambda", "f", "Invalid parameter: Lambda endpoint ARN"),
        ("email", "nobody", "Invalid parameter: Email address"),
        ("sms", "invalid-number", "Invalid SMS endpoint: invalid-number"),
        ("sms", "NAA+15551234567", "Invalid SMS endpoint: NAA+15551234567"),
        ("sms", "+15--551234567", "Invalid SMS endpoint: +15--551234567"),
        ("sms", "+15551234567.", "Invalid SMS endpoint: +15551234567."),
        ("sms", "/+15551234567", "Invalid SMS endpoint: /+15551234567"),
        (
            "sqs",
            "arn:aws:sqs:us-east-1:111122223333:q.fifo",
            "Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard "
            "SNS topics",
        ),
    ],
)
def test_bad_endpoints_are_refused(sns: Any, protocol: str, endpoint: str, message: str) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    assert refused(sns.subscribe, TopicArn=arn, Protocol=protocol, Endpoint=endpoint) == ("InvalidParameter", message)


_TOKEN = (
    "Unexpected character ('i' (code 105)): was expecting double-quote to start field name\n at [Source: REDACTED "
    "(`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 2]"
)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FakeAttribute", "x", "AttributeName"),
        ("RawMessageDelivery", "test-ValUe", "RawMessageDelivery: Invalid value [test-ValUe]. Must be true or false."),
        ("RawMessageDelivery", "", "RawMessageDelivery: Invalid value []. Must be true or false."),
        ("RedrivePolicy", "{invalidjson}", f"RedrivePolicy: failed to parse JSON. {_TOKEN}"),
        ("FilterPolicy", "{invalidjson}", f"FilterPolicy: failed to parse JSON. {_TOKEN}"),
        (
            "RedrivePolicy",
            '{"deadLetterTargetArn": "fake-arn"}',
            "RedrivePolicy: deadLetterTargetArn is an invalid arn",
        ),
        (
            "RedrivePolicy",
            '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:111122223333:q", "maxReceiveCount": 5}',
            "RedrivePolicy: invalid JSON. Attribute maxReceiveCount is unknown.",
        ),
        (
            "FilterPolicyScope",
            "Message",
            "FilterPolicyScope: Invalid value [Message]. Please use either MessageBody or MessageAttributes",
        ),
        (
            "DeliveryPolicy",
            '{"healthyRetryPolicy": {"numRetries": 5}}',
            "DeliveryPolicy: healthyRetryPolicy.minDelayTarget must be specified",
        ),
    ],
)
def test_bad_attributes_are_refused(aws: Any, sns: Any, name: str, value: str, message: str) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    request = {"TopicArn": arn, "Protocol": "sqs", "Endpoint": f"arn:aws:sqs:us-east-1:{aws.account}:q"}
    id = sns.subscribe(**request)["SubscriptionArn"]
    put = sns.set_subscription_attributes
    assert refused(put, SubscriptionArn=id, AttributeName=name, AttributeValue=value) == (
        "InvalidParameter",
        f"Invalid parameter: {message}",
    )
    reason = message if name != "FakeAttribute" else "Unknown attribute FakeAttribute"
    assert refused(sns.subscribe, **request, Attributes={name: value}) == (
        "InvalidParameter",
        f"Invalid parameter: Attributes Reason: {reason}",
    )


def test_a_fifo_subscription_needs_a_fifo_dead_letter_queue(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    queue, dead = Queue(aws, "q.fifo"), Queue(aws, "dead")
    id = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)["SubscriptionArn"]
    policy = json.dumps({"deadLetterTargetArn": dead.arn})
    request = {"SubscriptionArn": id, "AttributeName": "RedrivePolicy", "AttributeValue": policy}
    assert refused(sns.set_subscription_attributes, **request)[1] == (
        "Invalid parameter: RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic."
    )


def test_bad_arns_of_subscriptions(sns: Any) -> None:
    for arn, message in (
        ("randomstring", "SubscriptionArn Reason: An ARN must have at least 6 elements, not 1"),
        ("arn:aws:sns:us-east-1:random", "SubscriptionArn Reason: An ARN must have at least 6 elements, not 5"),
        ("arn:aws:sns:us-east-1:111122223333:random", "SubscriptionId"),
        ("", "SubscriptionArn Reason: no value for required parameter"),
    ):
        assert refused(sns.unsubscribe, SubscriptionArn=arn) == ("InvalidParameter", f"Invalid parameter: {message}")
    none = "arn:aws:sns:us-east-1:111122223333:t:51b2ff3e-db44-4875-a3c0-1234567890ab"
    sns.unsubscribe(SubscriptionArn=none)


def test_bad_tokens(sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    confirm = sns.confirm_subscription
    assert refused(confirm, TopicArn=arn, Token="randomtoken") == ("InvalidParameter", "Invalid token")
    token = "51b2ff3edb4487553c7dd2f29566c2aecada20b9" * 5
    for topic in (arn, arn + "x"):
        assert refused(confirm, TopicArn=topic, Token=token) == ("InvalidParameter", "Invalid parameter: Token")


def test_listing_goes_page_by_page(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    prefix = f"arn:aws:sqs:us-east-1:{aws.account}:q"
    made = {sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=f"{prefix}{n}")["SubscriptionArn"] for n in range(103)}
    for listing, request in ((sns.list_subscriptions, {}), (sns.list_subscriptions_by_topic, {"TopicArn": arn})):
        first = listing(**request)
        assert len(first["Subscriptions"]) == 100
        rest = listing(**request, NextToken=first["NextToken"])
        assert {one["SubscriptionArn"] for one in first["Subscriptions"] + rest["Subscriptions"]} == made
        assert "NextToken" not in rest


def test_messages_before_a_subscription_do_not_come(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    queue = Queue(aws, "q")
    sns.publish(TopicArn=arn, Message="before")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    sns.publish(TopicArn=arn, Message="after")
    assert queue.texts() == ["after"]


def test_queues_that_do_not_let_the_topic_in_get_nothing(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    dead = Queue(aws, "dead", source=arn)
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead.arn})}
    closed = Queue(aws, "closed", open_to_sns=False)
    others = Queue(aws, "others", source=arn + "x")
    ours = Queue(aws, "ours", source=arn)
    for one in (closed, others, ours):
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=one.arn, Attributes=redrive)
    gone = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=ours.arn + "x", Attributes=redrive)
    sns.publish(
        TopicArn=arn, Message="m", Subject="s", MessageAttributes={"a": {"DataType": "Number", "StringValue": "1"}}
    )
    assert ours.texts() == ["m"]
    letters = dead.bodies(3)
    assert [one["Message"] for one in letters] == ["m"] * 3
    assert letters[0]["MessageAttributes"] == {"a": {"Type": "Number", "Value": "1"}}
    assert sum(gone["SubscriptionArn"] in one["UnsubscribeURL"] for one in letters) == 1
    assert (closed.held(), others.held()) == (0, 0)


def test_fifo_dead_letters_keep_their_order(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    dead = Queue(aws, "dead.fifo")
    values = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead.arn}), "RawMessageDelivery": "true"}
    gone = f"arn:aws:sqs:us-east-1:{aws.account}:gone.fifo"
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=gone, Attributes=values)
    entries = [
        {"Id": str(n), "Message": f"m{n}", "MessageGroupId": "g", "MessageDeduplicationId": f"d{n}"} for n in range(5)
    ]
    sns.publish_batch(TopicArn=arn, PublishBatchRequestEntries=entries)
    got = dead.take(5)
    assert [one["Body"] for one in got] == [f"m{n}" for n in range(5)]
    assert [one["Attributes"]["MessageDeduplicationId"] for one in got] == [f"d{n}" for n in range(5)]


def test_another_account_confirms_with_what_its_queue_was_sent(aws: Any, pileus: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    other = type(aws)(pileus.endpoint)
    queue = Queue(other, "q", source=arn)
    # The topic's owner subscribes a stranger's queue: the stranger is asked.
    answer = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    assert answer["SubscriptionArn"] == "pending confirmation"
    (asked,) = queue.bodies()
    assert asked["Type"] == "SubscriptionConfirmation"
    theirs = other.client("sns")
    sns.add_permission(TopicArn=arn, Label="l", AWSAccountId=[other.account], ActionName=["Subscribe"])
    # He subscribes his queue himself: nobody needs to be asked.
    second = Queue(other, "second", source=arn)
    id = theirs.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=second.arn)["SubscriptionArn"]
    assert id.startswith(arn)
    shown = theirs.get_subscription_attributes(SubscriptionArn=id)["Attributes"]
    assert (shown["Owner"], shown["PendingConfirmation"]) == (other.account, "false")
    assert [one["SubscriptionArn"] for one in theirs.list_subscriptions()["Subscriptions"]] == [id]
    confirmed = theirs.confirm_subscription(TopicArn=arn, Token=asked["Token"])
    sns.publish(TopicArn=arn, Message="m")
    assert (queue.texts(), second.texts()) == (["m"], ["m"])
    third = type(aws)(pileus.endpoint).client("sns")
    assert refused(third.unsubscribe, SubscriptionArn=id)[0] == "AuthorizationError"
    assert refused(third.get_subscription_attributes, SubscriptionArn=id)[0] == "AuthorizationError"
    sns.unsubscribe(SubscriptionArn=confirmed["SubscriptionArn"])
    theirs.unsubscribe(SubscriptionArn=id)
    assert until(lambda: not sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"])


def test_topics_reach_queues_of_other_regions(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    elsewhere = type(aws)(aws.endpoint, aws.account)
    elsewhere.region = "eu-central-1"
    queue = Queue(elsewhere, "q", source=arn)
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    sns.publish(TopicArn=arn, Message="m")
    assert queue.texts() == ["m"]
