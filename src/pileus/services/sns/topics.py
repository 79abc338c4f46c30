"""Topics with their subscriptions as publishing sees them, and the cache of them.

A topic's record is read in every transaction and compared with the cached one, so a change is seen at once on every
node. What is made from it (the policy, the subscriptions with their filters) is never changed, only made anew.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from pileus.cloud.context import Cloud
from pileus.services.sns import content, delivery_policies, errors, keys, policies, quotas
from pileus.services.sns.filters import Filter, Filters
from pileus.services.sns.names import SubscriptionName, TopicName
from pileus.services.sns.records import Counts, Recipient, Subscription, Topic, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

CACHED_MAX = 4096
HTTP = ("http", "https")
_SCAN = 1000


class Members:
    """The subscriptions that get what a topic publishes, in the order of their ids."""

    def __init__(self, subscriptions: list[Subscription], delivery_policy: dict[str, Any] | None) -> None:
        self.recipients: dict[str, Recipient] = {}
        # Who has subscribed each.
        self.principals = {one.id: one.principal for one in subscriptions}
        filters: dict[str, Filter] = {}
        for one in subscriptions:
            self.recipients[one.id] = recipient_of(one, delivery_policy)
            policy = one.attributes.get("FilterPolicy")
            if policy:
                filters[one.id] = Filter(policy, in_body=one.attributes.get("FilterPolicyScope") == "MessageBody")
        self.unfiltered = [recipient for id, recipient in self.recipients.items() if id not in filters]
        self._filters = Filters(filters)

    def wanting(
        self, attributes: dict[str, dict[str, Any]], body: str, matches: Matches | None = None
    ) -> tuple[list[Recipient], int]:
        """Who is to get a message; and how many filters did not let it pass.

        Raises Unmatched where that takes long and is not among `matches`.
        """
        if not len(self._filters):
            return self.unfiltered, 0
        if matches is not None and self._filters.is_much(attributes, body):
            matched = matches.known(self._filters, attributes, body)
        else:
            matched = self._filters.match(attributes, body)
        return [*self.unfiltered, *(self.recipients[id] for id in matched)], len(self._filters) - len(matched)


class Unmatched(Exception):
    """A message is still to be held against filters, outside the transaction: that takes long."""

    def __init__(self, filters: Filters, attributes: dict[str, dict[str, Any]], body: str) -> None:
        super().__init__()
        self.wanted = filters, attributes, body


class Matches:
    """Which filters large messages match: found out between the attempts of one call to publish them."""

    def __init__(self) -> None:
        self._found: list[tuple[tuple[Filters, dict[str, dict[str, Any]], str], list[str]]] = []

    def known(self, filters: Filters, attributes: dict[str, dict[str, Any]], body: str) -> list[str]:
        """Raises Unmatched."""
        for wanted, matched in self._found:
            # Filters are never changed, only made anew.
            if wanted[0] is filters and wanted[1:] == (attributes, body):
                return matched
        raise Unmatched(filters, attributes, body)

    async def find(self, cloud: Cloud, unmatched: Unmatched) -> None:
        filters, attributes, body = unmatched.wanted
        matched = []
        for id in filters.steps(attributes, body):
            if id is not None:
                matched.append(id)
            # Let others have their turn.
            await cloud.clock.sleep(0)
        self._found.append((unmatched.wanted, matched))


def recipient_of(subscription: Subscription, topic_policy: dict[str, Any] | None) -> Recipient:
    """What deliveries need to know of a subscription; `topic_policy` is its topic's delivery policy."""
    redrive = subscription.attributes.get("RedrivePolicy")
    recipient = Recipient(
        id=subscription.id,
        protocol=subscription.protocol,
        endpoint=subscription.endpoint,
        raw=subscription.raw,
        dead_letters=orjson.loads(redrive).get("deadLetterTargetArn", "") if redrive else "",
        role=subscription.attributes.get("SubscriptionRoleArn", ""),
    )
    if subscription.protocol in HTTP:
        own = subscription.attributes.get("DeliveryPolicy")
        policy = delivery_policies.effective_subscription(orjson.loads(own) if own else None, topic_policy)
        recipient.waits = tuple(delivery_policies.waits(policy["healthyRetryPolicy"]))
        recipient.content_type = policy["requestPolicy"]["headerContentType"]
        recipient.rate = (policy["throttlePolicy"] or {}).get("maxReceivesPerSecond", 0)
    return recipient


class Live:
    """A topic with what is worked out of its record."""

    __slots__ = ("at", "fifo", "id", "members", "policy", "raw", "record")

    def __init__(self, at: TopicName, raw: bytes, former: Live | None) -> None:
        self.at = at
        self.raw = raw
        self.record = record = decode(Topic, raw)
        self.id = record.id
        self.fifo = record.fifo
        policy = record.attributes.get("Policy")
        self.policy: dict[str, Any] = orjson.loads(policy) if policy else policies.default(at.arn, at.account)
        self.members: Members | None = None
        if former is not None and former.is_same_for_members(self):
            self.members = former.members

    def is_same_for_members(self, other: Live) -> bool:
        return (self.id, self.record.members, self.setting("DeliveryPolicy")) == (
            other.id,
            other.record.members,
            other.setting("DeliveryPolicy"),
        )

    @property
    def delivery_policy(self) -> dict[str, Any] | None:
        policy = self.setting("DeliveryPolicy")
        found: dict[str, Any] | None = orjson.loads(policy) if policy else None
        return found

    @property
    def message_bytes_max(self) -> int:
        return int(self.setting("MaximumMessageSize") or content.MESSAGE_BYTES_MAX)

    @property
    def is_large(self) -> bool:
        """Whether it takes larger messages than topics do by default."""
        return self.message_bytes_max > content.MESSAGE_BYTES_MAX

    def setting(self, name: str, default: str = "") -> str:
        return self.record.attributes.get(name, default)


class Known:
    """The topics that this node has worked out; in `cloud.parts`."""

    def __init__(self) -> None:
        self.topics: dict[TopicName, Live] = {}


async def find(cloud: Cloud, tx: Reader, at: TopicName) -> Live | None:
    raw = await tx.get(keys.topic(*at))
    if raw is None:
        return None
    known = cloud.part(Known).topics
    live = known.get(at)
    if live is None or live.raw != raw:
        if len(known) >= CACHED_MAX:
            known.clear()
        live = known[at] = Live(at, raw, live)
    return live


async def get(cloud: Cloud, tx: Reader, at: TopicName) -> Live:
    """Raises NotFound."""
    live = await find(cloud, tx, at)
    if live is None:
        raise errors.no_topic()
    return live


async def members_of(tx: Reader, live: Live) -> Members:
    if live.members is None:
        live_ones = [one for one in await subscriptions_of(tx, live) if one.is_live]
        live.members = Members(live_ones, live.delivery_policy)
    return live.members


async def subscriptions_of(tx: Reader, live: Live) -> list[Subscription]:
    found: list[Subscription] = []
    start, end = keys.subscriptions(*live.at)
    while True:
        entries = await tx.scan(start, end, limit=_SCAN)
        for _, data in entries:
            one = decode(Subscription, data)
            # Those of a deleted topic of the same name are still to be swept.
            if one.topic_id == live.id:
                found.append(one)
        if len(entries) < _SCAN:
            return found
        start = after(entries[-1][0])


def put(tx: Transaction, at: TopicName, record: Topic) -> None:
    tx.put(keys.topic(*at), encode(record))


async def counts_of(tx: Reader, topic_id: str) -> Counts:
    raw = await tx.get(keys.counts(topic_id))
    return Counts() if raw is None else decode(Counts, raw)


async def find_subscription(tx: Reader, at: SubscriptionName) -> Subscription | None:
    raw = await tx.get(keys.subscription(*at.topic, at.id))
    return None if raw is None else decode(Subscription, raw)


async def keep_subscription(
    cloud: Cloud, tx: Transaction, at: TopicName, subscription: Subscription, *, former: Subscription | None
) -> None:
    """Put or replace a subscription, with all that is kept beside it."""
    await _count(cloud, tx, at, former, subscription)
    key = keys.subscription(*at, subscription.id)
    tx.put(key, encode(subscription))
    tx.put(keys.owned(subscription.owner, at.region, subscription.arn), key)
    tx.put(keys.same(subscription.topic_id, subscription.protocol, subscription.endpoint), subscription.id.encode())
    await _touch(cloud, tx, at, subscription.topic_id)


async def _count(
    cloud: Cloud, tx: Transaction, at: TopicName, former: Subscription | None, subscription: Subscription
) -> None:
    """Count a subscription that is put, for its topic and for its owner. Raises where there are too many."""
    old, new = quotas.of_subscription(former), quotas.of_subscription(subscription)
    if former is not None and old == new:
        return
    counts = await counts_of(tx, subscription.topic_id)
    for one, share, step in ((subscription, new, 1), (former, old, -1)):
        if one is not None:
            counts.add(one, step)
            counts.filters = max(0, counts.filters + step * share.filters)
    live = await find(cloud, tx, at)
    if former is None or new.filters > old.filters:
        quotas.check_topic(counts, fifo=at.name.endswith(".fifo"), large=live is not None and live.is_large)
    await quotas.change(tx, subscription.owner, at.region, old, new)
    tx.put(keys.counts(subscription.topic_id), encode(counts))


async def drop_subscription(cloud: Cloud, tx: Transaction, at: TopicName, subscription: Subscription) -> None:
    share = quotas.of_subscription(subscription)
    await quotas.change(tx, subscription.owner, at.region, share, quotas.NOTHING)
    tx.delete(keys.subscription(*at, subscription.id))
    tx.delete(keys.owned(subscription.owner, at.region, subscription.arn))
    tx.delete(keys.same(subscription.topic_id, subscription.protocol, subscription.endpoint))
    counts = await counts_of(tx, subscription.topic_id)
    counts.add(subscription, -1)
    counts.filters = max(0, counts.filters - share.filters)
    counts.deleted += 1
    tx.put(keys.counts(subscription.topic_id), encode(counts))
    await _touch(cloud, tx, at, subscription.topic_id)


async def _touch(cloud: Cloud, tx: Transaction, at: TopicName, topic_id: str) -> None:
    live = await find(cloud, tx, at)
    if live is not None and live.id == topic_id:
        # Random, not a counter: a transaction that is not committed must leave no version that another will have.
        put(tx, at, msgspec.structs.replace(live.record, members=cloud.ids.token_bytes(12)))
