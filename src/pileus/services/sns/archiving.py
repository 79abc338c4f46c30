"""Archives of FIFO topics, and replaying them to a subscription.

While a replay without an end runs, its subscription gets nothing else: what is published is in the archive, and comes
in its turn. Where a step finds nothing more, the same transaction has the subscription get what is published from then
on: it misses nothing, and gets all in order.

Sources: "Amazon SNS message archiving and replay for FIFO topics" of the developer guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import orjson

from pileus.cloud.context import Cloud, Context
from pileus.delivery.contract import Delivery
from pileus.services.sns import data_protection, keys, topics
from pileus.services.sns.filters import Filter, Filters
from pileus.services.sns.names import SubscriptionName, topic_of_arn
from pileus.services.sns.payloads import IN_ORDER, REPLAY
from pileus.services.sns.publishing import put_retried
from pileus.services.sns.records import ENDED, Message, Replay, Subscription, Topic, decode, encode
from pileus.services.sns.topics import Live
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

MESSAGES_PER_STEP = 100
PENDING, RUNNING = "Pending", "In progress"
COMPLETED, FAILED = ENDED
_POINTS = {"PointType", "StartingPoint", "EndingPoint"}


class InvalidReplay(Exception):
    """What is wrong with a replay policy."""


def read_policy(text: str) -> tuple[int, int | None]:
    """(start, end) of a replay policy, milliseconds; the end is None where there is none. Raises InvalidReplay."""
    try:
        policy = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidReplay("failed to parse JSON.") from None
    if not isinstance(policy, dict) or not policy.keys() <= _POINTS:
        raise InvalidReplay("must have PointType and StartingPoint, and may have EndingPoint")
    if policy.get("PointType") != "Timestamp":
        raise InvalidReplay("PointType must be Timestamp")
    start = _point(policy, "StartingPoint")
    end = _point(policy, "EndingPoint") if "EndingPoint" in policy else None
    if end is not None and end <= start:
        raise InvalidReplay("EndingPoint must be later than StartingPoint")
    return start, end


def _point(policy: Mapping[str, Any], name: str) -> int:
    try:
        return int(datetime.fromisoformat(policy[name]).timestamp() * 1000)
    except (KeyError, TypeError, ValueError):
        raise InvalidReplay(f"{name} must be a timestamp") from None


def begin(ctx: Context, tx: Transaction, topic: Live, subscription: Subscription) -> Subscription:
    """The subscription with the replay that its policy, which has just been set or dropped, asks for."""
    policy = subscription.attributes.get("ReplayPolicy")
    if not policy:
        return msgspec.structs.replace(subscription, replay=None)
    if not topic.setting("ArchivePolicy"):
        raise InvalidReplay("the topic has no ArchivePolicy")
    start, end = read_policy(policy)
    replay = Replay(id=ctx.cloud.ids.hex(16), status=PENDING, start_ms=start, end_ms=end)
    changed = msgspec.structs.replace(subscription, replay=replay)
    _put_step(ctx.cloud, tx, changed, replay.id, now=ctx.now)
    return changed


def _put_step(cloud: Cloud, tx: Transaction, subscription: Subscription, id: str, *, now: float) -> None:
    cloud.outbox.put(tx, target=REPLAY, payload={"subscription": subscription.arn, "replay": id}, now=now)


async def step(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler: the next messages of a replay."""
    arn, id = delivery.payload["subscription"], delivery.payload["replay"]
    topic_arn, _, subscription_id = arn.rpartition(":")
    at = topic_of_arn(topic_arn)
    assert at is not None, "it was made of a topic's name"
    now = cloud.clock.time()

    async def work(tx: Transaction) -> None:
        topic = await topics.find(cloud, tx, at)
        former = await topics.find_subscription(tx, SubscriptionName(at, subscription_id))
        if topic is None or former is None or former.replay is None or former.replay.id != id:
            # Ended, or begun anew.
            return
        replay = msgspec.structs.replace(former.replay, status=RUNNING)
        if not topic.setting("ArchivePolicy"):
            replay.status = FAILED
        else:
            entries = await _next(tx, topic, replay)
            for key, data in entries:
                _deliver(cloud, tx, topic, former, msgspec.msgpack.decode(data, type=Message), now)
                replay.cursor = key
            if len(entries) < MESSAGES_PER_STEP:
                replay.status = COMPLETED
            else:
                _put_step(cloud, tx, former, id, now=now)
        changed = msgspec.structs.replace(former, replay=replay)
        await topics.keep_subscription(cloud, tx, at, changed, former=former)

    await cloud.store.write(work)


async def _next(tx: Reader, topic: Live, replay: Replay) -> list[tuple[bytes, bytes]]:
    start, end = keys.archived_between(topic.id, replay.start_ms, replay.end_ms)
    return await tx.scan(after(replay.cursor) if replay.cursor else start, end, limit=MESSAGES_PER_STEP)


def _deliver(
    cloud: Cloud, tx: Transaction, topic: Live, subscription: Subscription, message: Message, now: float
) -> None:
    policy = subscription.attributes.get("FilterPolicy")
    if policy:
        in_body = subscription.attributes.get("FilterPolicyScope") == "MessageBody"
        filters = Filters({subscription.id: Filter(policy, in_body=in_body)})
        if not filters.match(message.attributes, message.body):
            return
    message.replayed = True
    recipient = topics.recipient_of(subscription, topic.delivery_policy)
    order = f"{subscription.id}/{message.group}"
    shown = [message]
    if policy := topic.record.data_protection:
        principals = {subscription.id: subscription.principal}
        shown = [one for one, _ in data_protection.let_out(policy, message, (recipient,), principals)]
    for one in shown:
        put_retried(cloud, tx, IN_ORDER, encode(one), recipient, now=now, order=order)


async def retain(cloud: Cloud) -> None:
    """Drop what is older than topics keep it."""
    for key, _ in await cloud.store.read(lambda tx: tx.scan(*keys.archives(), limit=10_000)):
        at = keys.topic_of_archive(key)
        raw = await cloud.store.read(lambda tx, at=at: tx.get(keys.topic(*at)))  # type: ignore[misc]
        if raw is None:
            continue
        record = decode(Topic, raw)
        policy = record.attributes.get("ArchivePolicy")
        if not policy:
            continue
        days = int(orjson.loads(policy)["MessageRetentionPeriod"])
        span = keys.archived_between(record.id, 0, int((cloud.clock.time() - days * 86400) * 1000))
        while await cloud.store.write(lambda tx, span=span: _drop(tx, span)) == MESSAGES_PER_STEP:  # type: ignore[misc]
            pass


async def _drop(tx: Transaction, span: tuple[bytes, bytes]) -> int:
    entries = await tx.scan(*span, limit=MESSAGES_PER_STEP)
    for key, _ in entries:
        tx.delete(key)
    return len(entries)
