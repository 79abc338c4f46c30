"""The removal of items whose time to live is over, by the loop `dynamodb.expire`.

Sources: "Using time to live (TTL) in DynamoDB", "DynamoDB Streams and time to live" in the Developer Guide.
"""

from __future__ import annotations

import math

from pileus.cloud.context import Cloud
from pileus.services.dynamodb import batching, items, keys, records, tables, timetolive
from pileus.services.dynamodb.keys import Range
from pileus.services.dynamodb.tables import Table
from pileus.store.contract import Reader, Transaction

# Items that are to expire sooner than the next one known are seen after this time at the latest.
PERIOD_S = 5.0
# Items removed by one transaction.
BATCH_ITEMS = 100
_BATCH_TABLES = 500


async def expire(cloud: Cloud) -> float:
    """Remove what has expired in all tables; returns the seconds until more may be due.

    Without a table whose items expire there is nothing to wait for: a table's first time to live has it run.
    """
    following = latest = math.inf
    async for watch in batching.keys_of(cloud.store, *keys.all_watched("expiry"), _BATCH_TABLES):
        following = min(following, await _expire_table(cloud, watch))
        latest = PERIOD_S
    return min(latest, max(0.0, following - cloud.clock.time()))


async def _expire_table(cloud: Cloud, watch: bytes) -> float:
    """Remove what has expired in one table; returns when the next of its items expires."""
    now = cloud.clock.time()

    async def following(tx: Reader) -> float:
        table = await _table(tx, watch)
        rows = await tx.scan(*_span(table, now, ahead=True), limit=1) if table is not None else []
        return keys.expiry_time(table.ttl.prefix, rows[0][0]) if table and table.ttl and rows else math.inf

    async def batch(tx: Transaction) -> bool:
        table = await _table(tx, watch)
        if table is None or table.ttl is None:
            return False
        rows = await tx.scan(*_span(table, now), limit=BATCH_ITEMS)
        for entry, key in rows:
            stored = await items.read(tx, key)
            item = None if stored is None else stored.item()
            if timetolive.due(item, table.ttl.attribute) == keys.expiry_time(table.ttl.prefix, entry):
                await items.change(cloud, tx, table, key, now=now, old=stored, new=None, old_item=item, expired=True)
            else:
                # Entries follow their items; one that does not would be met again and again.
                tx.delete(entry)
        return len(rows) == BATCH_ITEMS

    at = await cloud.store.read(following)
    if at > now:
        return at
    while await cloud.store.write(batch):
        # Let others have their turn.
        await cloud.clock.sleep(0)
    return await cloud.store.read(following)


async def _table(tx: Reader, watch: bytes) -> Table | None:
    account, region, (name,) = keys.watched(watch)
    raw = await tx.get(keys.table(account, region, name))
    table = None if raw is None else tables.laid_out(account, region, records.decode_table(raw), raw)
    # Of a global table's replicas one removes what has expired, and hands that on as any deletion.
    return None if table is None or region > min((region, *table.record.replicas)) else table


def _span(table: Table, now: float, *, ahead: bool = False) -> Range:
    """The entries of what has expired by now, or with `ahead` those of what will, too."""
    prefix = b"" if table.ttl is None else table.ttl.prefix
    if not prefix:
        return b"", b""
    start = keys.expiry_from(prefix, max(0, math.ceil(now) - timetolive.AGE_MAX_S))
    return start, prefix + b"\xff" if ahead else keys.expiry_from(prefix, math.floor(now) + 1)
