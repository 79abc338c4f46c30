"""SQS against models of a few lines: any sequence of calls, and of time passing, leaves what the model has."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqs_node import ACCOUNT, REGION, Node

from pileus.kernel.errors import AWSError

RETENTION_S = 600
VISIBILITY_S = 30
RECEIVES_MAX = 2
DEDUPLICATION_S = 300

limits = st.integers(1, 10)
hiding = st.sampled_from([0, 5, 30, 100])
steps = st.sampled_from([1, 4, 31, 70, 299, 601])


@dataclass
class Message:
    body: str
    sent: float
    # When it becomes visible; at once where that is past.
    due: float
    count: int = 0
    handle: str = ""
    group: str = ""
    id: str = ""


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.node = Node(None)
        self.run(self.node.start())
        self.attributes = {"MessageRetentionPeriod": str(RETENTION_S), "VisibilityTimeout": str(VISIBILITY_S)}
        self.messages: list[Message] = []
        self.numbers = count()
        self.purged = -1000.0

    def teardown(self) -> None:
        self.run(self.node.stop())
        self.loop.close()

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def call(self, operation: str, url: str, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.run(self.node.call(operation, QueueUrl=url, **request))
        return answer

    @property
    def now(self) -> float:
        return self.node.clock.time()

    def lives(self, message: Message) -> bool:
        return self.now < message.sent + RETENTION_S

    def visible(self, message: Message) -> bool:
        return message.due <= self.now and self.lives(message)

    def counted(self, url: str) -> tuple[int, int, int]:
        shown = self.call("GetQueueAttributes", url, AttributeNames=["All"])["Attributes"]
        names = ("", "NotVisible", "Delayed")
        return tuple(int(shown[f"ApproximateNumberOfMessages{name}"]) for name in names)  # type: ignore[return-value]

    @rule(seconds=steps)
    def time_passes(self, seconds: int) -> None:
        self.run(self.node.advance(seconds))

    def purge(self, url: str) -> None:
        if self.now < self.purged + 60:
            with pytest.raises(AWSError, match="PurgeQueue"):
                self.call("PurgeQueue", url)
        else:
            self.call("PurgeQueue", url)
            self.purged = self.now
            self.messages.clear()

    def hide(self, url: str, message: Message, seconds: int) -> None:
        self.call("ChangeMessageVisibility", url, ReceiptHandle=message.handle, VisibilityTimeout=seconds)
        message.due = self.now + seconds


class Standard(Machine):
    """With a dead-letter queue. Which messages a receive passes over is the queue's own affair."""

    def __init__(self) -> None:
        super().__init__()
        self.dead = self.run(self.node.queue("dead", MessageRetentionPeriod=str(RETENTION_S)))
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": RECEIVES_MAX})
        self.url = self.run(self.node.queue("q", RedrivePolicy=policy, **self.attributes))

    @rule(delay=st.sampled_from([0, 0, 0, 10]), group=st.sampled_from(["", "g", "h"]), number=st.integers(1, 4))
    def send(self, delay: int, group: str, number: int) -> None:
        entries = []
        for _ in range(number):
            body = str(next(self.numbers))
            entries.append({"Id": body, "MessageBody": body, "DelaySeconds": delay})
            if group:
                entries[-1]["MessageGroupId"] = group
            self.messages.append(Message(body, self.now, self.now + delay))
        assert len(self.call("SendMessageBatch", self.url, Entries=entries)["Successful"]) == number

    @rule(limit=limits, seconds=hiding)
    def receive(self, limit: int, seconds: int) -> None:
        able = {one.body: one for one in self.messages if self.visible(one) and one.count < RECEIVES_MAX}
        answer = self.call(
            "ReceiveMessage",
            self.url,
            MaxNumberOfMessages=limit,
            VisibilityTimeout=seconds,
            WaitTimeSeconds=0,
            AttributeNames=["ApproximateReceiveCount"],
        )
        got = answer.get("Messages", [])
        assert len({one["Body"] for one in got}) == len(got) == min(limit, len(able))
        for one in got:
            message = able[one["Body"]]
            message.count += 1
            assert one["Attributes"]["ApproximateReceiveCount"] == str(message.count)
            message.due, message.handle = self.now + seconds, one["ReceiptHandle"]

    @rule(limit=limits)
    def receive_dead(self, limit: int) -> None:
        answer = self.call("ReceiveMessage", self.dead, MaxNumberOfMessages=limit, WaitTimeSeconds=0)
        doomed = {one.body: one for one in self.messages if self.visible(one) and one.count >= RECEIVES_MAX}
        for one in answer.get("Messages", []):
            # Nobody else gets there.
            self.messages.remove(doomed[one["Body"]])
            self.call("DeleteMessage", self.dead, ReceiptHandle=one["ReceiptHandle"])

    @precondition(lambda self: any(one.handle and one.due > self.now for one in self.messages))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        taken = [one for one in self.messages if one.handle and one.due > self.now]
        message = data.draw(st.sampled_from(taken))
        self.call("DeleteMessage", self.url, ReceiptHandle=message.handle)
        self.messages.remove(message)

    @precondition(lambda self: any(one.handle and one.due > self.now for one in self.messages))
    @rule(data=st.data(), seconds=hiding)
    def change(self, data: st.DataObject, seconds: int) -> None:
        taken = [one for one in self.messages if one.handle and one.due > self.now]
        self.hide(self.url, data.draw(st.sampled_from(taken)), seconds)

    @rule()
    def empty(self) -> None:
        before, purged = self.counted(self.dead)[0], self.purged
        self.purge(self.url)
        if self.purged != purged and before:
            # The dead-letter queue keeps what it has; it is emptied by hand, so that the model knows what is left.
            while got := self.call("ReceiveMessage", self.dead, MaxNumberOfMessages=10, WaitTimeSeconds=0).get(
                "Messages"
            ):
                for one in got:
                    self.call("DeleteMessage", self.dead, ReceiptHandle=one["ReceiptHandle"])

    @invariant()
    def counts(self) -> None:
        (live, hidden, delayed), (dead, _, _) = self.counted(self.url), self.counted(self.dead)
        visible = [one for one in self.messages if one.due <= self.now]
        # What is past its retention may not have been swept yet.
        assert len([one for one in visible if self.lives(one)]) <= live + dead <= len(visible)
        waiting = [one for one in self.messages if one.due > self.now]
        assert hidden == len([one for one in waiting if one.count])
        assert delayed == len([one for one in waiting if not one.count])
        if live + dead == len([one for one in visible if self.lives(one)]):
            self.messages = [one for one in self.messages if one.due > self.now or self.lives(one)]


class Fifo(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.url = self.run(self.node.queue("q.fifo", FifoQueue="true", **self.attributes))
        # By deduplication id: when it was sent, and the message's id.
        self.known: dict[str, tuple[float, str]] = {}
        # By attempt id: when, what was handed out, and until when it was hidden.
        self.attempts: dict[str, tuple[float, list[tuple[Message, int]], float]] = {}

    @rule(group=st.sampled_from("gh"), deduplication=st.integers(0, 12))
    def send(self, group: str, deduplication: int) -> None:
        body, key = str(next(self.numbers)), str(deduplication)
        answer = self.call("SendMessage", self.url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=key)
        sent, id = self.known.get(key, (-1000.0, ""))
        if self.now < sent + DEDUPLICATION_S:
            assert answer["MessageId"] == id
            return
        self.known[key] = self.now, answer["MessageId"]
        self.messages.append(Message(body, self.now, self.now, group=group, id=answer["MessageId"]))

    def available(self, group: str) -> list[Message]:
        """A group's messages from the first on, as far as the first that is hidden."""
        found = []
        for one in self.messages:
            if one.group == group and (self.lives(one) or one.due > self.now):
                if one.due > self.now:
                    break
                found.append(one)
        return found

    @rule(limit=limits, seconds=hiding, attempt=st.sampled_from(["", "", "one", "two"]))
    def receive(self, limit: int, seconds: int, attempt: str) -> None:
        lines = {group: self.available(group) for group in "gh"}
        request: dict[str, Any] = {
            "MaxNumberOfMessages": limit,
            "VisibilityTimeout": seconds,
            "WaitTimeSeconds": 0,
            "AttributeNames": ["All"],
        }
        if attempt:
            request["ReceiveRequestAttemptId"] = attempt
        when, handed, hidden = self.attempts.get(attempt, (-1000.0, [], 0.0))
        repeats = attempt and self.now < when + DEDUPLICATION_S
        if repeats and not self._untouched(handed, hidden):
            with pytest.raises(AWSError, match="not valid anymore"):
                self.call("ReceiveMessage", self.url, **request)
            return
        got = self.call("ReceiveMessage", self.url, **request).get("Messages", [])
        if repeats:
            assert [one["Body"] for one in got] == [one.body for one, _ in handed]
            for message, _ in handed:
                message.due = self.now + seconds
            self.attempts[attempt] = when, handed, self.now + seconds
            return
        assert len(got) == min(limit, sum(map(len, lines.values())))
        taken = []
        for one in got:
            message = lines[one["Attributes"]["MessageGroupId"]].pop(0)
            assert (one["Body"], one["MessageId"]) == (message.body, message.id)
            message.count += 1
            assert one["Attributes"]["ApproximateReceiveCount"] == str(message.count)
            message.due, message.handle = self.now + seconds, one["ReceiptHandle"]
            taken.append((message, message.count))
        if attempt and taken:
            self.attempts[attempt] = self.now, taken, self.now + seconds

    def _untouched(self, handed: list[tuple[Message, int]], hidden: float) -> bool:
        return all(one in self.messages and self.now < one.due == hidden and one.count == n for one, n in handed)

    @precondition(lambda self: any(one.handle for one in self.messages))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from([one for one in self.messages if one.handle]))
        if message.due > self.now:
            self.call("DeleteMessage", self.url, ReceiptHandle=message.handle)
            self.messages.remove(message)

    @precondition(lambda self: any(one.handle and one.due > self.now for one in self.messages))
    @rule(data=st.data(), seconds=hiding)
    def change(self, data: st.DataObject, seconds: int) -> None:
        taken = [one for one in self.messages if one.handle and one.due > self.now]
        self.hide(self.url, data.draw(st.sampled_from(taken)), seconds)

    @rule()
    def empty(self) -> None:
        self.purge(self.url)

    @invariant()
    def counts(self) -> None:
        live, hidden, delayed = self.counted(self.url)
        visible = [one for one in self.messages if one.due <= self.now]
        assert len([one for one in visible if self.lives(one)]) <= live <= len(visible)
        assert (hidden, delayed) == (len(self.messages) - len(visible), 0)


@pytest.mark.parametrize("machine", [Standard, Fifo])
def test_any_sequence_of_calls(machine: type[Machine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )
