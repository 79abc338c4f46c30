"""Queues as the operations see them, and the cache of them.

A queue's record is read in every transaction and compared with the cached one, so a changed or deleted queue is seen at
once on every node; decoding it and working out its settings is done once.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.cloud.context import Cloud, Context
from pileus.kernel.arn import make_arn
from pileus.services.sqs import errors, keys, urls
from pileus.services.sqs.records import Counts, Queue, decode, decode_counts, encode
from pileus.store.contract import Reader, Transaction

# Shown and counted where a queue does not set them.
DEFAULTS = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
    "SqsManagedSseEnabled": "true",
}
FIFO_DEFAULTS = {
    "FifoQueue": "true",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}
CACHED_MAX = 4096


class Live:
    """A queue with its settings worked out."""

    __slots__ = (
        "account",
        "arn",
        "content",
        "counts_key",
        "data",
        "dead_letter_arn",
        "delay_ms",
        "fifo",
        "id",
        "key",
        "line",
        "name",
        "place",
        "policy",
        "raw",
        "ready",
        "receives_max",
        "record",
        "region",
        "retention_ms",
        "round",
        "size_max",
        "visibility_s",
        "wait_s",
        "waiting",
    )

    def __init__(self, account: str, region: str, raw: bytes) -> None:
        record = decode(Queue, raw)
        self.raw = raw
        self.record = record
        self.account, self.region, self.name = account, region, record.name
        self.id, self.data = record.id, record.data
        self.key = keys.queue(account, region, record.name)
        self.arn = make_arn("sqs", region, account, record.name)
        self.fifo = record.name.endswith(".fifo")
        self.delay_ms = int(self.setting("DelaySeconds")) * 1000
        self.size_max = int(self.setting("MaximumMessageSize"))
        self.retention_ms = int(self.setting("MessageRetentionPeriod")) * 1000
        self.wait_s = int(self.setting("ReceiveMessageWaitTimeSeconds"))
        self.visibility_s = int(self.setting("VisibilityTimeout"))
        redrive = orjson.loads(record.attributes.get("RedrivePolicy", "{}"))
        self.dead_letter_arn: str = redrive.get("deadLetterTargetArn", "")
        self.receives_max: int = redrive.get("maxReceiveCount", 0)
        policy = record.attributes.get("Policy")
        self.policy: dict[str, Any] | None = orjson.loads(policy) if policy else None
        self.counts_key = keys.counts(record.id)
        self.ready, self.waiting, self.line, self.round, self.place, self.content = (
            keys.data_prefix(kind, record.data) for kind in ("ready", "waiting", "line", "round", "place", "content")
        )

    def setting(self, name: str) -> str:
        return self.record.attributes.get(name) or DEFAULTS.get(name) or FIFO_DEFAULTS[name]


class Known:
    """The queues that this node has worked out; in `cloud.parts`."""

    def __init__(self) -> None:
        self.queues: dict[tuple[str, str, str], Live] = {}


async def find_at(cloud: Cloud, tx: Reader, account: str, region: str, name: str) -> Live | None:
    known = cloud.part(Known).queues
    place = (account, region, name)
    live = known.get(place)
    raw = await tx.get(keys.queue(account, region, name) if live is None else live.key)
    if raw is None:
        return None
    if live is None or live.raw != raw:
        if len(known) >= CACHED_MAX:
            known.clear()
        live = known[place] = Live(account, region, raw)
    return live


async def find(ctx: Context, tx: Reader, url: str) -> Live:
    """The queue of a QueueUrl. Raises QueueDoesNotExist."""
    place = urls.place(ctx, url)
    live = await find_at(ctx.cloud, tx, place.account, place.region, place.name)
    if live is None:
        raise errors.no_queue(ctx)
    return live


async def find_arn(cloud: Cloud, tx: Reader, arn: str) -> Live | None:
    """The queue of that ARN; None where there is none."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "sqs":
        return None
    return await find_at(cloud, tx, parts[4], parts[3], parts[5])


def put(tx: Transaction, account: str, region: str, record: Queue) -> None:
    tx.put(keys.queue(account, region, record.name), encode(record))


async def counts_of(tx: Reader, queue: Live) -> Counts:
    raw = await tx.get(queue.counts_key)
    counts = Counts(data=queue.data) if raw is None else decode_counts(raw)
    if counts.data != queue.data:
        return Counts(seq=counts.seq, data=queue.data)
    return counts
