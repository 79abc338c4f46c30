"""SNS on a node that is killed again and again: what was acknowledged reaches every queue that it was for.

`PILEUS_KILL_ROUNDS` says how many kills, where somebody has the time for hundreds.
"""

from __future__ import annotations

import json
import os
import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from sns_kit import Queue

from waiting import until

KILLS = int(os.environ.get("PILEUS_KILL_ROUNDS", "5"))
QUEUES = 6
MESSAGES_PER_LIFE = 30


def test_acknowledged_messages_arrive(aws: Any, start_pileus: Any) -> None:
    chance = random.Random(7)
    server = start_pileus()
    number = aws.account

    def account() -> Any:
        return type(aws)(server.endpoint, number)

    here = account()
    sns = here.client("sns")
    plain = sns.create_topic(Name="plain")["TopicArn"]
    fifo = sns.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    raw = {"RawMessageDelivery": "true"}
    for at in range(QUEUES):
        filters = {"FilterPolicy": json.dumps({"kind": [str(at % 2)]}), **raw}
        sns.subscribe(TopicArn=plain, Protocol="sqs", Endpoint=Queue(here, f"q{at}").arn, Attributes=filters)
        # Enough to be retried for, and to end as dead letters: nobody is held up.
        gone = f"arn:aws:sqs:us-east-1:{number}:gone{at}"
        sns.subscribe(TopicArn=plain, Protocol="sqs", Endpoint=gone)
    for name in ("a.fifo", "b.fifo"):
        sns.subscribe(TopicArn=fifo, Protocol="sqs", Endpoint=Queue(here, name).arn, Attributes=raw)
    acknowledged: dict[str, set[str]] = {"0": set(), "1": set()}
    ordered: list[int] = []
    attempted = 0

    def publish(enough: threading.Event, life: int) -> None:
        client = account().client("sns")
        for n in range(100_000):
            kind, text = str(n % 2), f"{life}-{n}"
            attribute = {"kind": {"DataType": "String", "StringValue": kind}}
            try:
                client.publish(TopicArn=plain, Message=text, MessageAttributes=attribute)
            except (BotoCoreError, ClientError):
                return
            acknowledged[kind].add(text)
            if n >= MESSAGES_PER_LIFE:
                enough.set()

    def publish_in_order() -> None:
        nonlocal attempted
        client = account().client("sns")
        while True:
            attempted += 1
            try:
                client.publish(
                    TopicArn=fifo,
                    Message=str(attempted),
                    MessageGroupId=f"g{attempted % 3}",
                    MessageDeduplicationId=str(attempted),
                )
            except (BotoCoreError, ClientError):
                return
            ordered.append(attempted)

    for life in range(KILLS):
        enough = threading.Event()
        writers = [threading.Thread(target=publish, args=(enough, life)), threading.Thread(target=publish_in_order)]
        for one in writers:
            one.start()
        assert enough.wait(60)
        # Somewhere between a publish, its deliveries and their end.
        threading.Event().wait(chance.uniform(0.0, 0.05))
        server.kill()
        for one in writers:
            one.join()
        server = start_pileus()
    assert min(map(len, acknowledged.values())) > KILLS * MESSAGES_PER_LIFE / 3
    assert len(ordered) > KILLS
    for at in range(QUEUES):
        wanted = acknowledged[str(at % 2)]
        _arrives(account(), f"q{at}", wanted)
    for name in ("a.fifo", "b.fifo"):
        got = _arrives(account(), name, {str(n) for n in ordered})
        assert len(got) == len(set(got)), "a FIFO queue was given a message twice"
        for group in range(3):
            own = [int(text) for text in got if int(text) % 3 == group]
            assert own == sorted(own)


def test_a_replay_goes_on_where_it_was(aws: Any, start_pileus: Any) -> None:
    """An archive that is replayed and published to while the node is killed: all of it arrives once, in its order."""
    chance = random.Random(3)
    server = start_pileus()
    number, kept, groups = aws.account, 600, 3

    def account() -> Any:
        return type(aws)(server.endpoint, number)

    sns = account().client("sns")
    archived = {"FifoTopic": "true", "ArchivePolicy": json.dumps({"MessageRetentionPeriod": "1"})}
    topic = sns.create_topic(Name="t.fifo", Attributes=archived)["TopicArn"]

    def entry(n: int) -> dict[str, str]:
        return {"Id": str(n), "Message": str(n), "MessageGroupId": f"g{n % groups}", "MessageDeduplicationId": str(n)}

    for first in range(0, kept, 10):
        entries = [entry(n) for n in range(first, first + 10)]
        assert not sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)["Failed"]
    start = {"PointType": "Timestamp", "StartingPoint": (datetime.now(UTC) - timedelta(hours=1)).isoformat()[:23] + "Z"}
    settings = {"RawMessageDelivery": "true", "ReplayPolicy": json.dumps(start)}
    queue = Queue(account(), "q.fifo")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes=settings)
    wanted = kept
    for _ in range(KILLS):
        threading.Event().wait(chance.uniform(0.0, 0.1))
        server.kill()
        server = start_pileus()
        # What is published meanwhile comes behind what is being replayed.
        account().client("sns").publish_batch(
            TopicArn=topic, PublishBatchRequestEntries=[entry(n) for n in range(wanted, wanted + 6)]
        )
        wanted += 6
    got = [int(text) for text in _arrives(account(), "q.fifo", {str(n) for n in range(wanted)})]
    assert len(got) == wanted, "a FIFO queue was given a message twice"
    for group in range(groups):
        assert [n for n in got if n % groups == group] == list(range(group, wanted, groups))


def _arrives(account: Any, name: str, wanted: set[str]) -> list[str]:
    """Every message that the queue holds, once all of those wanted have come."""
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    got: list[str] = []

    def take() -> bool:
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            got.extend(one["Body"] for one in found)
            entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(found)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return wanted <= set(got)

    until(take, seconds=60)
    return got
