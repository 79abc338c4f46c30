"""Background work: what has expired, and what deleted topics have left."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.services.sns import keys, quotas, topics
from pileus.services.sns.names import SubscriptionName, topic_of_arn
from pileus.services.sns.records import Subscription, Token, decode
from pileus.store.contract import Transaction
from pileus.store.keys import after

_PART = 500


async def sweep(cloud: Cloud) -> None:
    now_ms = int(cloud.clock.time() * 1000)

    async def expire(tx: Transaction) -> int:
        entries = await tx.scan(*keys.expired(now_ms), limit=_PART)
        for key, _ in entries:
            tx.delete(key)
            kept = keys.of_expiry(key)
            if keys.is_token(kept):
                await _drop_pending(cloud, tx, kept)
            tx.delete(kept)
        return len(entries)

    while await cloud.store.write(expire) == _PART:
        pass
    for key, _ in await cloud.store.read(lambda tx: tx.scan(*keys.garbages(), limit=_PART)):
        await _sweep_topic(cloud, key)


async def _drop_pending(cloud: Cloud, tx: Transaction, token: bytes) -> None:
    """Nobody has confirmed it in time."""
    raw = await tx.get(token)
    if raw is None:
        return
    kept = decode(Token, raw)
    at = topic_of_arn(kept.subscription.topic_arn)
    assert at is not None, "it was made of a topic's name"
    subscription = await topics.find_subscription(tx, SubscriptionName(at, kept.subscription.id))
    if subscription is not None and subscription.pending and subscription.token == kept.token:
        await topics.drop_subscription(cloud, tx, at, subscription)


async def _sweep_topic(cloud: Cloud, garbage: bytes) -> None:
    """The subscriptions of a deleted topic."""
    account, region, name, topic_id = keys.of_garbage(garbage)
    start, end = keys.subscriptions(account, region, name)

    async def drop(tx: Transaction) -> bytes | None:
        entries = await tx.scan(start, end, limit=_PART)
        for key, data in entries:
            subscription = decode(Subscription, data)
            if subscription.topic_id == topic_id:
                share = quotas.of_subscription(subscription)
                await quotas.change(tx, subscription.owner, region, share, quotas.NOTHING)
                tx.delete(key)
                tx.delete(keys.owned(subscription.owner, region, subscription.arn))
        if len(entries) == _PART:
            return after(entries[-1][0])
        tx.delete_range(*keys.all_same(topic_id))
        tx.delete(keys.counts(topic_id))
        tx.delete(garbage)
        return None

    while (place := await cloud.store.write(drop)) is not None:
        start = place
