"""Archives of FIFO topics, and replaying them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sns_kit import Queue, refused

from waiting import until

ARCHIVE = json.dumps({"MessageRetentionPeriod": "30"})


def topic_with_archive(sns: Any, days: int = 30) -> str:
    archive = json.dumps({"MessageRetentionPeriod": str(days)})
    attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "true", "ArchivePolicy": archive}
    arn: str = sns.create_topic(Name="t.fifo", Attributes=attributes)["TopicArn"]
    return arn


def publish(sns: Any, arn: str, *texts: str, group: str = "g") -> list[str]:
    return [sns.publish(TopicArn=arn, Message=text, MessageGroupId=group)["MessageId"] for text in texts]


def at(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def policy(start: datetime, end: datetime | None = None) -> str:
    points = {"PointType": "Timestamp", "StartingPoint": at(start)}
    return json.dumps({**points, "EndingPoint": at(end)} if end else points)


def test_an_archive_is_replayed_and_goes_on_live(aws: Any, sns: Any) -> None:
    arn = topic_with_archive(sns)
    shown = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert json.loads(shown["ArchivePolicy"]) == {"MessageRetentionPeriod": "30"}
    assert shown["BeginningArchiveTime"].endswith("Z")
    texts = [f"m{n}" for n in range(250)]
    ids = publish(sns, arn, *texts)
    queue = Queue(aws, "q.fifo")
    start = datetime.now(UTC) - timedelta(hours=1)
    subscription = sns.subscribe(
        TopicArn=arn, Protocol="sqs", Endpoint=queue.arn, Attributes={"ReplayPolicy": policy(start)}
    )["SubscriptionArn"]
    publish(sns, arn, "new")
    got = queue.bodies(251)
    assert [one["Message"] for one in got] == [*texts, "new"]
    assert [one["MessageId"] for one in got[:250]] == ids
    assert got[0]["Replayed"] == "true"

    def status() -> str:
        return str(sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["ReplayStatus"])

    until(lambda: status() == "Completed")
    publish(sns, arn, "live")
    (live,) = queue.bodies()
    assert (live["Message"], "Replayed" in live) == ("live", False)


def test_a_window_is_replayed_through_the_filter(later: Any, still: Any) -> None:
    sns = later.client("sns")
    arn = topic_with_archive(sns, days=1)
    queue = Queue(later, "q.fifo")
    values = {"FilterPolicyScope": "MessageBody", "FilterPolicy": '{"keep": [true]}', "RawMessageDelivery": "true"}
    begun = sns.get_topic_attributes(TopicArn=arn)["Attributes"]["BeginningArchiveTime"]
    start = datetime.fromisoformat(begun)

    def both(n: int) -> None:
        publish(sns, arn, json.dumps({"keep": True, "n": n}), json.dumps({"keep": False, "n": n}))

    both(1)
    still.advance(600)
    both(2)
    still.advance(600)
    both(3)
    subscription = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn, Attributes=values)["SubscriptionArn"]
    window = policy(start + timedelta(seconds=300), start + timedelta(seconds=900))
    sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName="ReplayPolicy", AttributeValue=window)
    assert [json.loads(one["Body"])["n"] for one in queue.take()] == [2]
    # The archive forgets what is older than its topic keeps it.
    still.advance(26 * 3600)
    begins = sns.get_topic_attributes(TopicArn=arn)["Attributes"]["BeginningArchiveTime"]
    assert datetime.fromisoformat(begins) > start + timedelta(hours=2)
    both(4)
    assert [json.loads(one["Body"])["n"] for one in queue.take()] == [4]
    again = policy(start)
    sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName="ReplayPolicy", AttributeValue=again)
    still.advance(600)
    # The queue has had it within the time in which it takes no message twice, or has it once more.
    assert {json.loads(one["Body"])["n"] for one in queue.take(queue.held())} <= {4}


def test_archives_and_replays_are_checked(aws: Any, sns: Any) -> None:
    arn = topic_with_archive(sns)
    assert refused(sns.delete_topic, TopicArn=arn)[0] == "InvalidState"
    put = sns.set_topic_attributes
    put(TopicArn=arn, AttributeName="ArchivePolicy", AttributeValue='{"MessageRetentionPeriod":7}')
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["ArchivePolicy"] == '{"MessageRetentionPeriod":7}'
    for value in ('{"MessageRetentionPeriod": "0"}', '{"MessageRetentionPeriod": "366"}', "[]", "{", '{"x": 1}'):
        code, message = refused(put, TopicArn=arn, AttributeName="ArchivePolicy", AttributeValue=value)
        assert (code, message.startswith("Invalid parameter: ArchivePolicy")) == ("InvalidParameter", True)
    plain = sns.create_topic(Name="plain")["TopicArn"]
    assert refused(put, TopicArn=plain, AttributeName="ArchivePolicy", AttributeValue=ARCHIVE)[0] == "InvalidParameter"
    endpoint = f"arn:aws:sqs:us-east-1:{aws.account}:q.fifo"
    now = datetime.now(UTC)
    for value in ("{", '{"PointType": "Offset"}', '{"PointType": "Timestamp"}', policy(now, now - timedelta(1))):
        code, message = refused(
            sns.subscribe, TopicArn=arn, Protocol="sqs", Endpoint=endpoint, Attributes={"ReplayPolicy": value}
        )
        assert (code, message.startswith("Invalid parameter: Attributes Reason: ReplayPolicy: ")) == (
            "InvalidParameter",
            True,
        )
    put(TopicArn=arn, AttributeName="ArchivePolicy", AttributeValue="{}")
    shown = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert not {"ArchivePolicy", "BeginningArchiveTime"} & shown.keys()
    values = {"ReplayPolicy": policy(now)}
    assert refused(sns.subscribe, TopicArn=arn, Protocol="sqs", Endpoint=endpoint, Attributes=values)[0] == (
        "InvalidParameter"
    )
    sns.delete_topic(TopicArn=arn)
