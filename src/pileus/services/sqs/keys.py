"""The keys of everything SQS stores.

    queue      account, region, name             Queue
    index      account, region, name             every queue, for the loops: empty
    source     queue's ARN, account, region, name    the queues whose dead letters go to it: empty
    counts     queue's id                        Counts
    attempt    queue's id, attempt id            Attempt
    dedup      queue's id, group, dedup id       Deduplication; group "" where the whole queue is the scope
    expiry     time, a key                       what is removed at that time: attempts, deduplications
    task       queue's id, start, task id        Task
    running    queue's id, task id               tasks that run: the task's key
    ready      data, rank, number                Entry of a visible message; in a FIFO queue the group whose first
                                                 message is visible
    waiting    data, time, number                Entry of a message that becomes visible at that time; in a FIFO queue
                                                 its group
    line       data, group, number               Entry of a FIFO queue's message, in its group's order
    round      data, group                       the last round of a message group in a standard queue, while it has
                                                 messages there that nobody has received
    place      data, number                      the time under which a message waits, where no handle says it
    content    data, number                      Content that is too large to be moved with its entry
    garbage    data                              a purged or deleted queue's messages, still to be removed

`data` is the generation of a queue's messages. Numbers are those of the messages, in the order in which they were sent.
"""

from __future__ import annotations

from pileus.store.keys import pack, pack_onto, prefix_range, text_range

Range = tuple[bytes, bytes]

_DATA = ("ready", "waiting", "line", "round", "place", "content")


def queue(account: str, region: str, name: str) -> bytes:
    return pack("sqs", account, region, "queue", name)


def queues(account: str, region: str, prefix: str = "") -> Range:
    if prefix:
        return text_range(pack("sqs", account, region, "queue"), prefix)
    return prefix_range("sqs", account, region, "queue")


def index(account: str, region: str, name: str) -> bytes:
    return pack("sqs", "", "", "index", account, region, name)


def indexes() -> Range:
    return prefix_range("sqs", "", "", "index")


def source(target_arn: str, account: str, region: str, name: str) -> bytes:
    return pack("sqs", "", "", "source", target_arn, account, region, name)


def sources(target_arn: str) -> Range:
    return prefix_range("sqs", "", "", "source", target_arn)


def counts(queue_id: str) -> bytes:
    return pack("sqs", "", "", "counts", queue_id)


def attempt(queue_id: str, attempt_id: str) -> bytes:
    return pack("sqs", "", "", "attempt", queue_id, attempt_id)


def deduplication(queue_id: str, group: str, deduplication_id: str) -> bytes:
    return pack("sqs", "", "", "dedup", queue_id, group, deduplication_id)


def expiry(time: int, key: bytes) -> bytes:
    return pack("sqs", "", "", "expiry", time, key)


def expired(now: int) -> Range:
    start, _ = prefix_range("sqs", "", "", "expiry")
    return start, pack("sqs", "", "", "expiry", now + 1)


def task(queue_id: str, started: int, task_id: str) -> bytes:
    return pack("sqs", "", "", "task", queue_id, started, task_id)


def tasks(queue_id: str) -> Range:
    return prefix_range("sqs", "", "", "task", queue_id)


def running(queue_id: str, task_id: str) -> bytes:
    return pack("sqs", "", "", "running", queue_id, task_id)


def all_running() -> Range:
    return prefix_range("sqs", "", "", "running")


def running_of(queue_id: str) -> Range:
    return prefix_range("sqs", "", "", "running", queue_id)


def data_prefix(kind: str, data: str) -> bytes:
    """What the keys of one kind begin with, for one generation of a queue's messages."""
    return pack("sqs", "", "", kind, data)


def data_ranges(data: str) -> list[Range]:
    """All that is kept of a generation of messages."""
    return [prefix_range("sqs", "", "", kind, data) for kind in _DATA]


def garbage(data: str) -> bytes:
    return pack("sqs", "", "", "garbage", data)


def garbages() -> Range:
    return prefix_range("sqs", "", "", "garbage")


# (prefix, *parts): a key, of a prefix that is packed already.
onto = pack_onto
