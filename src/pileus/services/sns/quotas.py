"""Quotas: what an account may have of topics, pending subscriptions and filter policies, and a topic of subscriptions.

What an account has is counted as it changes; it is counted through once where nobody has counted yet.

Sources: "Amazon SNS endpoints and quotas" of the General Reference, "Filter policy constraints in Amazon SNS" and
"Publishing large messages with Amazon SNS" of the developer guide; the API reference for the errors, whose wording is
ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from pileus.services.sns import errors, keys
from pileus.services.sns.records import Counts, Subscription, Topic, Usage, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

STANDARD_TOPICS_MAX = 100_000
FIFO_TOPICS_MAX = 1_000
PENDING_MAX = 5_000
FILTERS_MAX = 10_000
FILTERS_OF_TOPIC_MAX = 200
SUBSCRIPTIONS_MAX = 12_500_000
FIFO_SUBSCRIPTIONS_MAX = 100
# Of one subscriber to one topic.
STREAMS_MAX = 5
# "With up to 100 total subscriptions": where messages are larger than they are by default.
LARGE_SUBSCRIPTIONS_MAX = 100
# "Up to 10 verified destination phone numbers", of an account in the SMS sandbox.
SANDBOX_NUMBERS_MAX = 10
_SCAN = 1000


@dataclass(frozen=True, slots=True)
class Share:
    """What one topic or one subscription takes of its account's quotas."""

    standard: int = 0
    fifo: int = 0
    pending: int = 0
    filters: int = 0


NOTHING = Share()


def of_topic(record: Topic) -> Share:
    return Share(fifo=1) if record.fifo else Share(standard=1)


def of_subscription(record: Subscription | None) -> Share:
    if record is None:
        return NOTHING
    return Share(pending=int(record.pending), filters=int("FilterPolicy" in record.attributes))


async def usage_of(tx: Reader, account: str, region: str) -> Usage:
    raw = await tx.get(keys.usage(account, region))
    return await _counted(tx, account, region) if raw is None else decode(Usage, raw)


async def _counted(tx: Reader, account: str, region: str) -> Usage:
    usage = Usage()
    start, end = keys.topics(account, region)
    while True:
        entries = await tx.scan(start, end, limit=_SCAN)
        for _, data in entries:
            _add(usage, of_topic(decode(Topic, data)), 1)
        if len(entries) < _SCAN:
            break
        start = after(entries[-1][0])
    start, end = keys.all_owned(account, region)
    while True:
        entries = await tx.scan(start, end, limit=_SCAN)
        for found in await tx.get_many([place for _, place in entries]):
            _add(usage, of_subscription(None if found is None else decode(Subscription, found)), 1)
        if len(entries) < _SCAN:
            return usage
        start = after(entries[-1][0])


def _add(usage: Usage, share: Share, sign: int) -> None:
    usage.standard += sign * share.standard
    usage.fifo += sign * share.fifo
    usage.pending += sign * share.pending
    usage.filters += sign * share.filters


async def change(tx: Transaction, account: str, region: str, old: Share, new: Share) -> None:
    """Count a change before it is made. Raises where the account has as many as it may."""
    if old == new:
        return
    usage = await usage_of(tx, account, region)
    _add(usage, old, -1)
    _add(usage, new, 1)
    if new.standard > old.standard and usage.standard > STANDARD_TOPICS_MAX:
        raise errors.too_many_topics()
    if new.fifo > old.fifo and usage.fifo > FIFO_TOPICS_MAX:
        raise errors.too_many_topics()
    if new.pending > old.pending and usage.pending > PENDING_MAX:
        raise errors.too_many_subscriptions()
    if new.filters > old.filters and usage.filters > FILTERS_MAX:
        raise errors.too_many_filters()
    tx.put(keys.usage(account, region), encode(usage))


def check_topic(counts: Counts, *, fifo: bool, large: bool) -> None:
    """Raise where a topic with these counts, after a change, has more than it may."""
    total = counts.confirmed + counts.pending
    if total > (FIFO_SUBSCRIPTIONS_MAX if fifo else SUBSCRIPTIONS_MAX):
        raise errors.too_many_subscriptions()
    if large and total > LARGE_SUBSCRIPTIONS_MAX:
        raise errors.too_many_for_large_messages(LARGE_SUBSCRIPTIONS_MAX)
    if counts.filters > FILTERS_OF_TOPIC_MAX:
        raise errors.too_many_filters()
