"""FIFO queues on a node that is killed again and again, with clients that send, receive, delete and move meanwhile."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from fifo_traffic import NEVER, Ended, History, Message, Received, Rules, Sent, faults

# 100 for the long run.
KILLS = int(os.environ.get("PILEUS_KILL_ROUNDS", "3"))
RULES = Rules(visibility_s=1, live="live.fifo", dead="dead.fifo", receives_max=2)
# Half of the clients send under deduplication ids of their own, the others leave it to the contents.
SENDERS = 4
GROUPS_EACH = 3
DONE_PER_LIFE = 30


class Dead(Exception):
    """The node was killed."""


class Traffic:
    """What goes on between the clients and their queues, life after life of the node."""

    def __init__(self, account: Callable[[], Any]) -> None:
        self.account = account
        self.history = History([], [], [])
        # By sender: the batches of which nobody knows whether they were sent.
        self.pending: dict[int, list[tuple[str, list[str]]]] = {sender: [] for sender in range(SENDERS)}
        # By receiver: the attempt of whose answer nobody was told.
        self.attempts: dict[tuple[str, int], str] = {}
        self.numbers = itertools.count(1)
        self.enough = threading.Event()
        self.deletes = self.moves = 0

    def create(self) -> None:
        sqs = self.connect()
        kind = {
            "FifoQueue": "true",
            "ContentBasedDeduplication": "true",
            "VisibilityTimeout": str(int(RULES.visibility_s)),
        }
        dead = sqs.create_queue(QueueName=RULES.dead, Attributes=kind)["QueueUrl"]
        self.dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = {"deadLetterTargetArn": self.dead_arn, "maxReceiveCount": RULES.receives_max}
        sqs.create_queue(QueueName=RULES.live, Attributes={**kind, "RedrivePolicy": json.dumps(redrive)})

    def connect(self) -> Any:
        account = self.account()
        client = account.client("sqs", config={"max_pool_connections": 20})
        self.urls = {name: f"{account.endpoint}/{account.account}/{name}" for name in (RULES.live, RULES.dead)}
        return client

    def live(self, seed: int) -> Callable[[], None]:
        """Begin a life; what is returned waits for the clients' end, which comes with the node's."""
        self.sqs = self.connect()
        self.enough.clear()
        self.deletes = 0
        chance = random.Random(seed)
        clients = [
            *((self.send, sender) for sender in range(SENDERS)),
            *((self.receive, (RULES.live, receiver)) for receiver in range(4)),
            (self.receive, (RULES.dead, 0)),
            (self.move, None),
        ]
        failures: list[BaseException] = []

        def run(client: Callable[..., None], of: Any, own: random.Random) -> None:
            try:
                while True:
                    client(of, own)
            except Dead:
                pass
            except BaseException as error:  # noqa: BLE001 -- raised below
                failures.append(error)

        threads = [
            threading.Thread(target=run, args=(client, of, random.Random(chance.random()))) for client, of in clients
        ]
        for one in threads:
            one.start()

        def join() -> None:
            for one in threads:
                one.join()
            if failures:
                raise failures[0]

        return join

    def call(self, operation: str, **request: Any) -> tuple[dict[str, Any] | None, float, float]:
        """(answer, or None where it was refused; begin; end). Raises `Dead` where there is none."""
        begin = time.monotonic()
        try:
            answer = getattr(self.sqs, operation)(**request)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                raise
            return None, begin, NEVER
        except BotoCoreError:
            raise Dead from None
        return answer, begin, time.monotonic()

    def send(self, sender: int, chance: random.Random) -> None:
        """Send one or three messages of a group; first of all those of which the life before has not heard."""
        pending = self.pending[sender]
        if not pending:
            group = f"g{sender * GROUPS_EACH + chance.randrange(GROUPS_EACH)}"
            pending.append((group, [f"{group}-{next(self.numbers)}" for _ in range(chance.choice((1, 1, 3)))]))
        group, bodies = pending[0]
        entries = []
        for body in bodies:
            entries.append({"MessageBody": body, "MessageGroupId": group})
            if sender % 2:
                entries[-1]["MessageDeduplicationId"] = f"id-{body}"
            self.history.sent.append(Sent(time.monotonic(), NEVER, group, body, 0))
        if len(entries) == 1:
            answer, begin, end = self.call("send_message", QueueUrl=self.urls[RULES.live], **entries[0])
            assert answer is not None
            told = [answer]
        else:
            batch = [{"Id": str(at), **entry} for at, entry in enumerate(entries)]
            answer, begin, end = self.call("send_message_batch", QueueUrl=self.urls[RULES.live], Entries=batch)
            assert answer is not None
            told = answer["Successful"]
        assert len(told) == len(bodies)
        for body, one in zip(bodies, told, strict=True):
            self.history.sent.append(Sent(begin, end, group, body, int(one["SequenceNumber"])))
        pending.pop()

    def receive(self, receiver: tuple[str, int], chance: random.Random) -> None:
        """Receive, and delete what came, give it back, or keep it until its time is over.

        Where nobody was told what came, the next life asks once more under the same attempt id.
        """
        queue, _ = receiver
        attempt = self.attempts.pop(receiver, "") or f"attempt-{next(self.numbers)}"
        try:
            got, handles = self.take(
                queue, chance.randint(1, 10), chance.choice((0, 0, 1)), ReceiveRequestAttemptId=attempt
            )
        except Dead:
            self.attempts[receiver] = attempt
            raise
        # Dead letters are mostly left to be moved back.
        weights = (12, 10, 1) if queue == RULES.live else (1, 3, 1)
        fates = chance.choices(("delete", "give back", "keep"), weights, k=len(handles))
        if handles and queue == RULES.live and chance.random() < 0.2:
            self.delete_all(queue, got, handles)
            return
        for message, handle, fate in zip(got.messages, handles, fates, strict=True):
            if fate == "delete":
                self.end("delete_message", queue, got, message, handle)
            elif fate == "give back":
                self.end("change_message_visibility", queue, got, message, handle, VisibilityTimeout=0)

    def take(self, queue: str, limit: int, wait_s: int, **more: Any) -> tuple[Received, list[str]]:
        answer, begin, end = self.call(
            "receive_message",
            QueueUrl=self.urls[queue],
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait_s,
            AttributeNames=["All"],
            **more,
        )
        # An attempt is refused once the visibility timeout of what it got is over.
        shown = answer.get("Messages", []) if answer is not None else []
        messages = []
        for one in shown:
            attributes = one["Attributes"]
            sequence, receives = int(attributes["SequenceNumber"]), int(attributes["ApproximateReceiveCount"])
            messages.append(Message(one["Body"], attributes["MessageGroupId"], sequence, receives))
        got = Received(begin, end, queue, tuple(messages))
        self.history.received.append(got)
        return got, [one["ReceiptHandle"] for one in shown]

    def end(self, operation: str, queue: str, got: Received, message: Message, handle: str, **more: Any) -> None:
        deletes = operation == "delete_message"
        # It counts as tried from here on, whatever comes of it.
        self.history.ended.append(Ended(time.monotonic(), NEVER, got, message, deletes))
        answer, begin, end = self.call(operation, QueueUrl=self.urls[queue], ReceiptHandle=handle, **more)
        if answer is not None:
            self.done(Ended(begin, end, got, message, deletes))

    def delete_all(self, queue: str, got: Received, handles: list[str]) -> None:
        now = time.monotonic()
        self.history.ended.extend(Ended(now, NEVER, got, message, deleted=True) for message in got.messages)
        entries = [{"Id": str(at), "ReceiptHandle": handle} for at, handle in enumerate(handles)]
        answer, begin, end = self.call("delete_message_batch", QueueUrl=self.urls[queue], Entries=entries)
        assert answer is not None
        for one in answer.get("Successful", ()):
            self.done(Ended(begin, end, got, got.messages[int(one["Id"])], deleted=True))

    def done(self, ended: Ended) -> None:
        self.history.ended.append(ended)
        if ended.deleted:
            self.deletes += 1
            if self.deletes >= DONE_PER_LIFE:
                self.enough.set()

    def move(self, _: None, chance: random.Random) -> None:
        """Now and then the dead letters are moved back: to where they came from, or to the queue by its name."""
        request = {"SourceArn": self.dead_arn}
        if chance.random() < 0.5:
            request["DestinationArn"] = self.dead_arn.replace(RULES.dead, RULES.live)
        answer, _, _ = self.call("start_message_move_task", **request)
        self.moves += answer is not None
        threading.Event().wait(chance.uniform(0.02, 0.2))

    def drain(self) -> None:
        """Send what is pending, then receive and delete until there is nothing left."""
        self.sqs = self.connect()
        for sender, pending in self.pending.items():
            while pending:
                self.send(sender, random.Random())
        while self.left():
            # What is still hidden comes back before the last one has waited.
            for queue, wait_s in ((RULES.live, 0), (RULES.dead, 0), (RULES.live, 1)):
                while (taken := self.take(queue, 10, wait_s))[1]:
                    self.delete_all(queue, *taken)

    def left(self) -> bool:
        tasks = self.sqs.list_message_move_tasks(SourceArn=self.dead_arn, MaxResults=1)["Results"]
        if tasks[0]["Status"] == "RUNNING":
            return True
        shown = [self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]) for url in self.urls.values()]
        counts = [one["Attributes"][name] for one in shown for name in one["Attributes"] if name.startswith("Approx")]
        return set(counts) != {"0"}


def test_fifo_queues_through_the_wire(aws: Any, start_pileus: Any) -> None:
    chance = random.Random(31)
    server = start_pileus()
    traffic = Traffic(lambda: type(aws)(server.endpoint, aws.account))
    traffic.create()
    for life in range(KILLS):
        join = traffic.live(life)
        assert traffic.enough.wait(60)
        threading.Event().wait(chance.uniform(0.0, 0.2))
        server.kill()
        join()
        server = start_pileus()
    traffic.drain()
    history = traffic.history
    handed_out = {(one.queue, each.receives > 1) for one in history.received for each in one.messages}
    assert handed_out == {(RULES.live, False), (RULES.live, True), (RULES.dead, True)}
    assert traffic.moves >= KILLS
    assert faults(history, RULES) == []
