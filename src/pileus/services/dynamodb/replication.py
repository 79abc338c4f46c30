"""How changes of a global table come to its other replicas, by the loop `dynamodb.replicate`.

What is written to a replica stands in its stream. For every other replica there is a cursor: the number of the last
record that was handed on to it, moved in the transaction that makes the changes there, so that each arrives once,
whenever a node dies. A record whose change came from another replica is passed over: whoever wrote it hands it on to
all. Which of two writes stands in the end is the versions' to say.

Source: "Global tables core concepts" in the Developer Guide.
"""

from __future__ import annotations

import math

from pileus.cloud.context import Cloud
from pileus.services.dynamodb import batching, items, keys, records, schema, streams, tables, values, versions
from pileus.services.dynamodb.items import Stored
from pileus.services.dynamodb.tables import Table
from pileus.services.dynamodb.versions import Version
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

# Records handed on by one transaction.
BATCH_RECORDS = 100
# Items that one transaction puts into a new replica.
BATCH_ITEMS = 200
_BATCH_PAIRS = 500
# What falls due so soon after what was handed on is handed on together: a transaction for each would cost most of all.
GATHER_S = 0.02
# Deleted items' versions are kept for so long behind the oldest change that is under way, microseconds: a call has its
# time from its beginning.
_MARGIN = 3600 * 1_000_000
_NUMBER_BYTES = 8


async def load(tx: Reader, account: str, region: str, name: str) -> Table | None:
    raw = await tx.get(keys.table(account, region, name))
    return None if raw is None else tables.laid_out(account, region, records.decode_table(raw), raw)


async def cursor(tx: Reader, source: Table, target: str) -> int | None:
    """The number of the last change handed on to a region; None where there is no such replica."""
    raw = await tx.get(keys.cursor(source.account, source.region, source.record.id, target))
    return None if raw is None else int.from_bytes(raw, "big")


def put_cursor(tx: Transaction, source: Table, target: str, number: int) -> None:
    key = keys.cursor(source.account, source.region, source.record.id, target)
    tx.put(key, number.to_bytes(_NUMBER_BYTES, "big"))


async def replicate(cloud: Cloud) -> float:
    """Hand on what is due; returns the seconds until more is."""
    known = tables.memory(cloud)
    # Who commits from now on has it changed.
    known.replicates_at = math.inf
    following = math.inf
    async for watch in batching.keys_of(cloud.store, *keys.all_watched("replicas"), _BATCH_PAIRS):
        following = min(following, await _hand_on(cloud, watch))
    now = cloud.clock.time()
    # Infinite where nothing waits: a change will have it run.
    known.replicates_at = max(now + GATHER_S, min(known.replicates_at, following))
    return known.replicates_at - now


async def _hand_on(cloud: Cloud, watch: bytes) -> float:
    """Hand on what is due from one replica to another; returns when more is."""
    account, region, (name, target) = keys.watched(watch)

    async def pending(tx: Reader) -> bool:
        source = await load(tx, account, region, name)
        return source is None or await _next(tx, source, target) is not None

    async def batch(tx: Transaction) -> float:
        source = await load(tx, account, region, name)
        other = await load(tx, account, target, name)
        if source is None or other is None or target not in source.record.replicas:
            tx.delete(watch)
            return math.inf
        return await hand_on(cloud, tx, source, other)

    if not await cloud.store.read(pending):
        return math.inf
    while (due := await cloud.store.write(batch)) <= cloud.clock.time():
        # Let others have their turn.
        await cloud.clock.sleep(0)
    return due


async def _next(tx: Reader, source: Table, target: str) -> records.Change | None:
    """The first change that has not been handed on."""
    number = await cursor(tx, source, target)
    if number is None or source.stream is None:
        return None
    start = keys.change(source.stream.prefix, number + 1)
    rows = await tx.scan(start, source.stream.prefix + b"\xff", limit=1)
    return records.decode_change(rows[0][1]) if rows else None


async def hand_on(cloud: Cloud, tx: Transaction, source: Table, target: Table, *, at_once: bool = False) -> float:
    """Hand on a batch of what is due, or of everything; returns when more is due, `math.inf` where there is none."""
    number = await cursor(tx, source, target.region)
    if number is None or source.stream is None:
        return math.inf
    now, lag = cloud.clock.time(), cloud.settings.replication_lag_s
    prefix, first = source.stream.prefix, number
    rows, more = await batching.scan(tx, keys.change(prefix, number + 1), prefix + b"\xff", BATCH_RECORDS)
    due = now if more else math.inf
    for key, raw in rows:
        change = records.decode_change(raw)
        written = change.stamp / 1_000_000
        # One from the future was written before the clock was set back, unless rounding alone has put it there.
        if not at_once and written - lag <= now < written + lag:
            due = written + lag
            break
        if change.origin == source.region:
            await _apply(cloud, tx, target, change, now)
        number = keys.change_number(prefix, key)
    if number != first:
        put_cursor(tx, source, target.region, number)
    return due


async def _apply(cloud: Cloud, tx: Transaction, target: Table, change: records.Change, now: float) -> None:
    """Make another replica's change, unless what is here is newer."""
    place = schema.given_key(target.prefix, target.schema, values.load(change.keys))
    new = None if change.new is None else values.load(change.new)
    size = 0 if new is None else values.item_size(new)
    version = Version(change.version, change.origin)
    if version <= await versions.read(tx, target, place):
        return
    old = await items.read(tx, place)
    if old is None and new is None:
        await versions.take(tx, target, place, version, deleted=True)
    await items.change(cloud, tx, target, place, now=now, old=old, new=new, new_size=size, version=version)


# -------------------------------------------------------------------------------------------------------- new replicas


async def fill(cloud: Cloud, tx: Transaction, source: Table, target: Table, at: bytes | None) -> bytes | None:
    """Put a batch of a replica's items into a new one; where to go on (behind the prefix), None when all are there.

    Both are written to meanwhile: what is newer in the new one stays.
    """
    now = cloud.clock.time()
    # Its stream tells what is written from now on.
    silent = tables.without_stream(target)
    start = source.prefix if at is None else after(source.prefix + at)
    rows, more = await batching.scan(tx, start, source.prefix + b"\xff", BATCH_ITEMS)
    for key, raw in rows:
        place = target.prefix + key[len(source.prefix) :]
        version = await versions.read(tx, source, key)
        here = await versions.read(tx, target, place)
        if here > version or (here == version and here != versions.OLDEST):
            continue
        stored = Stored(raw)
        old = await items.read(tx, place)
        await items.change(cloud, tx, silent, place, now=now, old=old, new=stored.item(), new_size=stored.size)
        if version != versions.OLDEST:
            await versions.take(tx, target, place, version, deleted=False)
    return rows[-1][0][len(source.prefix) :] if more else None


# ------------------------------------------------------------------------------------------------------- deleted items


async def forget_deleted(cloud: Cloud) -> None:
    """Remove the versions of deleted items that no write under way can be older than."""
    places: set[tuple[str, str, str]] = set()
    async for watch in batching.keys_of(cloud.store, *keys.all_watched("replicas"), _BATCH_PAIRS):
        account, region, (name, *_) = keys.watched(watch)
        places.add((account, region, name))
    for place in places:
        await _forget_deleted(cloud, *place)


async def _forget_deleted(cloud: Cloud, account: str, region: str, name: str) -> None:
    async def batch(tx: Transaction) -> bool:
        table = await load(tx, account, region, name)
        # While it is being filled, what it is filled with may be older.
        if table is None or not table.versions or table.record.restoring:
            return False
        oldest = int(cloud.clock.time() * 1_000_000)
        for other in table.record.replicas:
            source = await load(tx, account, other, name)
            change = None if source is None else await _next(tx, source, region)
            if change is not None:
                oldest = min(oldest, change.stamp)
        return await versions.forget_deleted(tx, table, oldest - _MARGIN, streams.BATCH_RECORDS)

    while await cloud.store.write(batch):
        await cloud.clock.sleep(0)
