"""How much there may be: what an account may have is set near its end in the store, what a topic may is reached."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from sns_kit import Queue, refused, status_of

from pileus.kernel.errors import AWSError
from pileus.services.sns import keys, quotas
from pileus.services.sns.records import Topic, Usage, encode
from pileus.store.contract import Transaction
from pileus.store.sqlite import open_store

TOPICS = ("TopicLimitExceeded", "The customer already owns the maximum allowed number of topics")
SUBSCRIPTIONS = ("SubscriptionLimitExceeded", "The customer already owns the maximum allowed number of subscriptions")
FILTERS = (
    "FilterPolicyLimitExceeded",
    "The number of filter policies in your Amazon Web Services account exceeds the limit",
)


def in_store(work: Callable[[Transaction], Any]) -> None:
    async def run() -> None:
        store = open_store(None, "memory")
        try:
            await store.write(work)
        finally:
            await store.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("most", "share", "error"),
    [
        (Usage(standard=99_999), quotas.Share(standard=1), TOPICS),
        (Usage(fifo=999), quotas.Share(fifo=1), TOPICS),
        (Usage(pending=4_999), quotas.Share(pending=1), SUBSCRIPTIONS),
        (Usage(filters=9_999), quotas.Share(filters=1), FILTERS),
    ],
)
def test_an_account_has_only_so_many(most: Usage, share: quotas.Share, error: tuple[str, str]) -> None:
    async def fill(tx: Transaction) -> None:
        tx.put(keys.usage("1", "r"), encode(most))
        await quotas.change(tx, "1", "r", quotas.NOTHING, share)
        with pytest.raises(AWSError) as caught:
            await quotas.change(tx, "1", "r", quotas.NOTHING, share)
        assert (caught.value.code.removesuffix("Exception"), caught.value.message) == error
        # One goes, and there is room again; another region has all of its own.
        await quotas.change(tx, "1", "r", share, quotas.NOTHING)
        await quotas.change(tx, "1", "r", quotas.NOTHING, share)
        await quotas.change(tx, "1", "other", quotas.NOTHING, share)

    in_store(fill)


def test_what_nobody_has_counted_is_counted() -> None:
    async def count(tx: Transaction) -> None:
        for name in ("a", "b", "c.fifo"):
            tx.put(keys.topic("1", "r", name), encode(Topic(name=name, id=name, created=0.0)))
        await quotas.change(tx, "1", "r", quotas.NOTHING, quotas.Share(standard=1))
        usage = await quotas.usage_of(tx, "1", "r")
        assert (usage.standard, usage.fifo, usage.pending, usage.filters) == (3, 1, 0, 0)

    in_store(count)


def queues(aws: Any, count: int) -> list[str]:
    """ARNs of queues that need not be there."""
    return [f"arn:aws:sqs:us-east-1:{aws.account}:q{n}" for n in range(count)]


def test_a_fifo_topic_has_a_hundred_subscriptions(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    *hundred, one_more = queues(aws, 101)
    made = [sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=one)["SubscriptionArn"] for one in hundred]
    request = {"TopicArn": arn, "Protocol": "sqs", "Endpoint": one_more}
    assert refused(sns.subscribe, **request) == SUBSCRIPTIONS
    assert status_of(sns.subscribe, **request) == 403
    assert sns.subscribe(**{**request, "Endpoint": hundred[0]})["SubscriptionArn"] == made[0]
    sns.unsubscribe(SubscriptionArn=made[0])
    assert sns.subscribe(**request)["SubscriptionArn"]


def test_a_topic_has_two_hundred_filter_policies(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    policy = json.dumps({"a": ["b"]})
    *filtered, more, other = queues(aws, 202)
    made = [
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=one, Attributes={"FilterPolicy": policy})
        for one in filtered
    ]
    request = {"TopicArn": arn, "Protocol": "sqs", "Endpoint": more}
    assert refused(sns.subscribe, **request, Attributes={"FilterPolicy": policy}) == FILTERS
    without = sns.subscribe(**request)["SubscriptionArn"]
    put = sns.set_subscription_attributes
    setting = {"AttributeName": "FilterPolicy", "AttributeValue": policy}
    assert refused(put, SubscriptionArn=without, **setting) == FILTERS
    assert status_of(put, SubscriptionArn=without, **setting) == 403
    # A policy may be changed, and is free again when it is taken away.
    put(SubscriptionArn=made[0]["SubscriptionArn"], AttributeName="FilterPolicy", AttributeValue='{"a": ["c"]}')
    put(SubscriptionArn=made[0]["SubscriptionArn"], AttributeName="FilterPolicy", AttributeValue="")
    put(SubscriptionArn=without, **setting)
    sns.unsubscribe(SubscriptionArn=without)
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=other, Attributes={"FilterPolicy": policy})


def test_an_account_subscribes_five_delivery_streams_to_a_topic(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    role = {"SubscriptionRoleArn": f"arn:aws:iam::{aws.account}:role/r"}
    streams = [f"arn:aws:firehose:us-east-1:{aws.account}:deliverystream/s{n}" for n in range(6)]
    for one in streams[:5]:
        sns.subscribe(TopicArn=arn, Protocol="firehose", Endpoint=one, Attributes=role)
    request = {"TopicArn": arn, "Protocol": "firehose", "Endpoint": streams[5], "Attributes": role}
    assert refused(sns.subscribe, **request) == SUBSCRIPTIONS


def test_a_topic_may_take_larger_messages(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t", Attributes={"MaximumMessageSize": "1048576"})["TopicArn"]
    shown = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert shown["MaximumMessageSize"] == "1048576"
    queue = Queue(aws, "q")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"})
    sns.publish(TopicArn=arn, Message="x" * 1048576)
    (got,) = queue.take()
    assert len(got["Body"]) == 1048576
    too_long = ("InvalidParameter", "Invalid parameter: Message too long")
    assert refused(sns.publish, TopicArn=arn, Message="x" * 1048577) == too_long
    half = [{"Id": str(n), "Message": "x" * 524288} for n in range(2)]
    assert len(sns.publish_batch(TopicArn=arn, PublishBatchRequestEntries=half)["Successful"]) == 2
    half.append({"Id": "more", "Message": "x"})
    assert refused(sns.publish_batch, TopicArn=arn, PublishBatchRequestEntries=half)[0] == "BatchRequestTooLong"
    # Or only smaller ones.
    sns.set_topic_attributes(TopicArn=arn, AttributeName="MaximumMessageSize", AttributeValue="1024")
    assert refused(sns.publish, TopicArn=arn, Message="x" * 1025) == too_long
    attribute = {"a": {"DataType": "String", "StringValue": "x" * 7}}
    assert refused(sns.publish, TopicArn=arn, Message="x" * 1011, MessageAttributes=attribute) == too_long
    sns.publish(TopicArn=arn, Message="x" * 1010, MessageAttributes=attribute)


def test_larger_messages_are_for_a_hundred_queues_and_functions(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    put = {"TopicArn": arn, "AttributeName": "MaximumMessageSize", "AttributeValue": "262145"}
    asked = sns.subscribe(TopicArn=arn, Protocol="sms", Endpoint="+15551234567")["SubscriptionArn"]
    kinds = (
        "Invalid parameter: Each subscription of a topic with a MaximumMessageSize above 256 KiB must be an Amazon "
        "SQS, Amazon Data Firehose, or Lambda subscription"
    )
    assert refused(sns.set_topic_attributes, **put) == ("InvalidParameter", kinds)
    sns.unsubscribe(SubscriptionArn=asked)
    for one in queues(aws, 101):
        last = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=one)["SubscriptionArn"]
    many = "Invalid parameter: A topic with a MaximumMessageSize above 256 KiB must have 100 or fewer subscriptions"
    assert refused(sns.set_topic_attributes, **put) == ("InvalidParameter", many)
    sns.unsubscribe(SubscriptionArn=last)
    sns.set_topic_attributes(**put)
    request = {"TopicArn": arn, "Protocol": "sqs", "Endpoint": queues(aws, 101)[-1]}
    assert refused(sns.subscribe, **request) == ("InvalidParameter", many)
    assert refused(sns.subscribe, TopicArn=arn, Protocol="email", Endpoint="me@example.com")[1] == kinds
