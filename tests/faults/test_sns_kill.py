"""SNS on a node that is killed again and again: what was acknowledged reaches every queue that it was for."""

from __future__ import annotations

import json
import random
import threading
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from sns_kit import Queue, until

KILLS = 5
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
