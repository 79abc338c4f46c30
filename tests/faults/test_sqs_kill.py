"""kill -9 between a send, a receive, a delete, a redrive and a move: what was acknowledged stays so."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fifo_history import Deleted, Deleting, Event, Received, Sent, faults
from killing import run_and_kill
from sqs_node import ACCOUNT, BEGIN, REGION, Node

from pileus.kernel.errors import AWSError

LIVES = 100
GROUPS = ("a", "b", "c")
# In every life it is that much later, so that what was in flight when its node died is visible again.
LIFE_S = 2.0
Report = Callable[[str], Any]


async def _standard(node: Node) -> tuple[str, str, str]:
    """(queue, its dead-letter queue, the latter's ARN)"""
    dead = await node.queue("dead")
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
    return await node.queue("live", RedrivePolicy=policy, VisibilityTimeout="1"), dead, arn


async def _live_with_standard_queues(report: Report, folder: Path, life: int) -> None:
    chance = random.Random(life)
    node = Node(folder, BEGIN + life * LIFE_S)
    await node.start()
    live, dead, arn = await _standard(node)
    report("started")

    async def delete(queue: str, message: dict[str, Any]) -> None:
        body = message["Body"]
        report(f"deleting {body}")
        await node.call("DeleteMessage", QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        report(f"deleted {body}")

    async def client(name: int) -> None:
        for n in range(10**9):
            what = chance.random()
            if what < 0.3:
                body = f"{life}-{name}-{n}"
                await node.call("SendMessage", QueueUrl=live, MessageBody=body)
                report(f"sent {body}")
            elif what < 0.4:
                bodies = [f"{life}-{name}-{n}-{each}" for each in range(3)]
                entries = [{"Id": body, "MessageBody": body, "MessageGroupId": "g"} for body in bodies]
                answer = await node.call("SendMessageBatch", QueueUrl=live, Entries=entries)
                for one in answer["Successful"]:
                    report(f"sent {one['Id']}")
            elif what < 0.9:
                hidden = 0 if chance.random() < 0.5 else 1
                queue = live if chance.random() < 0.8 else dead
                answer = await node.call(
                    "ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=5, VisibilityTimeout=hidden, WaitTimeSeconds=0
                )
                for message in answer.get("Messages", []):
                    report(f"received {message['Body']}")
                    # What is not hidden another client may have moved on meanwhile.
                    if hidden and chance.random() < 0.5:
                        await delete(queue, message)
            else:
                # Where another client's task runs, it is refused.
                with suppress(AWSError):
                    await node.call("StartMessageMoveTask", SourceArn=arn)
                    report("moving")
            await asyncio.sleep(0)

    await asyncio.gather(client(0), client(1), client(2))


def test_standard_queues_lose_nothing(tmp_path: Path) -> None:
    chance = random.Random(23)
    sent: set[str] = set()
    deleting: set[str] = set()
    deleted: set[str] = set()
    for life in range(LIVES):
        # After so many reports, not after so much time: on a busy machine little would be done by then.
        lines = run_and_kill(
            lambda report, life=life: _live_with_standard_queues(report, tmp_path, life),
            after_reports=chance.randrange(1, 40),
            after_s=chance.uniform(0.0, 0.004),
        )
        for line in lines:
            what, _, body = line.partition(" ")
            if what == "sent":
                sent.add(body)
            elif what == "deleting":
                deleting.add(body)
            elif what == "deleted":
                deleted.add(body)
            elif what == "received":
                assert body not in deleted, f"{body} came back from its delete"
    assert len(sent) > LIVES * 3
    assert len(deleted) > LIVES

    async def drain() -> dict[str, int]:
        node = Node(tmp_path, BEGIN + LIVES * LIFE_S)
        await node.start()
        live, dead, _ = await _standard(node)
        # A task that was carried on to the last ends.
        await node.advance(5)
        found: dict[str, int] = {}
        left = 0
        for queue in (live, dead):
            while messages := (
                await node.call("ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=0)
            ).get("Messages"):
                for message in messages:
                    found[message["Body"]] = found.get(message["Body"], 0) + 1
                    await node.call("DeleteMessage", QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            shown = await node.call("GetQueueAttributes", QueueUrl=queue, AttributeNames=["All"])
            left += sum(int(value) for name, value in shown["Attributes"].items() if name.startswith("Approximate"))
        # The counts are right after all that, too.
        assert left == 0
        await node.stop()
        return found

    found = asyncio.run(drain())
    assert set(found.values()) == {1}, "a message was there twice"
    assert not sent - deleting - set(found), "acknowledged messages are lost"
    assert not deleted & set(found), "deleted messages are back"


async def _live_with_a_fifo_queue(report: Report, folder: Path, life: int, again: list[str]) -> None:
    """`again`: sends of which the life before has not heard; they are repeated first."""
    chance = random.Random(life)
    node = Node(folder, BEGIN + life * LIFE_S)
    await node.start()
    queue = await node.queue("q.fifo", FifoQueue="true", VisibilityTimeout="1")
    report("started")

    async def send(group: str, body: str) -> None:
        report(f"sending {group} {body}")
        await node.call(
            "SendMessage", QueueUrl=queue, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=body
        )
        report(f"sent {group} {body}")

    async def sender(group: str) -> None:
        for body in again:
            if body.startswith(group):
                await send(group, body)
        for n in range(10**9):
            await send(group, f"{group}-{life}-{n}")
            await asyncio.sleep(0)

    async def receiver() -> None:
        while True:
            wanted = chance.randint(1, 10)
            answer = await node.call(
                "ReceiveMessage",
                QueueUrl=queue,
                MaxNumberOfMessages=wanted,
                WaitTimeSeconds=0,
                AttributeNames=["MessageGroupId"],
            )
            messages = answer.get("Messages", [])
            report(f"received {' '.join(one['Attributes']['MessageGroupId'] + '/' + one['Body'] for one in messages)}")
            for message in messages:
                group, body = message["Attributes"]["MessageGroupId"], message["Body"]
                report(f"deleting {group} {body}")
                await node.call("DeleteMessage", QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                report(f"deleted {group} {body}")
            await asyncio.sleep(0)

    await asyncio.gather(*map(sender, GROUPS), receiver())


def test_fifo_queues_neither_lose_nor_repeat_nor_reorder(tmp_path: Path) -> None:
    chance = random.Random(29)
    history: list[Event] = []
    pending: dict[str, str] = {}

    def read(lines: list[str]) -> None:
        for line in lines:
            what, _, rest = line.partition(" ")
            if what == "received":
                history.append(Received(tuple(tuple(one.split("/")) for one in rest.split())))  # type: ignore[misc]
                continue
            if what == "started":
                continue
            group, body = rest.split(" ")
            match what:
                case "sending":
                    pending[body] = group
                    history.append(Sent(group, body, known=False))
                case "sent":
                    pending.pop(body)
                    history.append(Sent(group, body))
                case "deleting":
                    history.append(Deleting(group, body))
                case "deleted":
                    history.append(Deleted(group, body))

    for life in range(LIVES):
        again = list(pending)
        read(
            run_and_kill(
                lambda report, life=life, again=again: _live_with_a_fifo_queue(report, tmp_path, life, again),
                after_reports=chance.randrange(1, 40),
                after_s=chance.uniform(0.0, 0.004),
            )
        )

    async def drain() -> None:
        node = Node(tmp_path, BEGIN + LIVES * LIFE_S)
        await node.start()
        queue = await node.queue("q.fifo", FifoQueue="true", VisibilityTimeout="1")
        while messages := (
            await node.call(
                "ReceiveMessage",
                QueueUrl=queue,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=0,
                AttributeNames=["MessageGroupId"],
            )
        ).get("Messages"):
            taken = [(one["Attributes"]["MessageGroupId"], one["Body"]) for one in messages]
            history.append(Received(tuple(taken)))
            for (group, body), message in zip(taken, messages, strict=True):
                await node.call("DeleteMessage", QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                history.extend((Deleting(group, body), Deleted(group, body)))
        await node.stop()

    asyncio.run(drain())
    assert sum(isinstance(event, Deleted) for event in history) > LIVES * 3
    assert faults(history) == []
