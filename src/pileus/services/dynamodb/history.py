"""What items were before they changed, of tables that keep it: those with point-in-time recovery, or being backed up.

Entries stand in the order of the changes. A table as it was at some moment is its items as they are, with the changes
since then undone, the newest first: so a copy may be made in batches while the table is written to.

Source: "Point-in-time backups for DynamoDB" in the Developer Guide.
"""

from __future__ import annotations

import msgspec

from pileus.cloud.context import Cloud
from pileus.services.dynamodb import batching, keys, records
from pileus.services.dynamodb.tables import Table, memory
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

# Entries removed by one transaction.
BATCH_ENTRIES = 500


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """One change: the item's key behind its table's prefix, and what was there before."""

    place: bytes
    old: bytes | None = None


_decode = msgspec.msgpack.Decoder(Entry).decode


def note(cloud: Cloud, tx: Transaction, table: Table, key: bytes, old: bytes | None, now: float) -> None:
    """Keep what an item was. Changes are numbered by the moment of their call, and never backwards."""
    known = memory(cloud)
    known.last_change = max(known.last_change + 1, int(now * 1_000_000))
    entry = Entry(place=key[len(table.prefix) :], old=old)
    tx.put(keys.past(_prefix(table), known.last_change), records.encode(entry))


def _prefix(table: Table) -> bytes:
    return keys.history(table.account, table.region, table.record.id)


async def since(tx: Reader, table: Table, moment: float, before: bytes | None) -> tuple[list[Entry], bytes | None]:
    """A batch of the changes after a moment, the newest first, and from where to go on; None when there are no more."""
    prefix = _prefix(table)
    start = keys.past(prefix, int(moment * 1_000_000) + 1)
    stop = max(start, before or prefix + b"\xff")
    rows, more = await batching.scan(tx, start, stop, BATCH_ENTRIES, reverse=True)
    return [_decode(raw) for _, raw in rows], rows[-1][0] if more else None


async def between(tx: Reader, table: Table, number: int) -> tuple[list[tuple[int, Entry]], bool]:
    """A batch of the changes from a number (their moment in microseconds) on, the oldest first, with their numbers.

    And whether there may be more.
    """
    prefix = _prefix(table)
    rows, more = await batching.scan(tx, keys.past(prefix, number), prefix + b"\xff", BATCH_ENTRIES)
    return [(keys.past_number(prefix, key), _decode(raw)) for key, raw in rows], more


async def trim(cloud: Cloud) -> None:
    """Forget what lies before every table's recovery period."""
    async for watch in batching.keys_of(cloud.store, *keys.all_watched("history"), BATCH_ENTRIES):
        await _trim_table(cloud, watch)


async def _trim_table(cloud: Cloud, watch: bytes) -> None:
    account, region, (name, table_id) = keys.watched(watch)

    async def batch(tx: Transaction) -> bool:
        raw = await tx.get(keys.table(account, region, name))
        record = None if raw is None else records.decode_table(raw)
        if record is not None and record.id != table_id:
            record = None
        prefix = keys.history(account, region, table_id)
        stop = prefix + b"\xff"
        if record is not None and record.copying:
            return False
        if record is not None and record.pitr_since:
            stop = keys.past(prefix, int((cloud.clock.time() - record.pitr_days * 86400) * 1_000_000))
        rows = await tx.scan(prefix, max(prefix, stop), limit=BATCH_ENTRIES)
        if rows:
            tx.delete_range(prefix, after(rows[-1][0]))
        elif record is None or not record.pitr_since:
            tx.delete(watch)
        return len(rows) == BATCH_ENTRIES

    while await cloud.store.write(batch):
        await cloud.clock.sleep(0)
