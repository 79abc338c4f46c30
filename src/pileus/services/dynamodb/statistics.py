"""How many items and bytes tables and indexes hold.

Changes are added up in memory and written behind the writes, every few seconds, so that no write waits for a record
that all of them would change. The first change of a table leaves a mark in the store, which goes when the table has
come to rest and everything is written; a node that finds marks at its start counts those tables anew, in batches, while
they are in use: what changes behind the place where the count stands is added up, what changes ahead of it will be met.
"""

from __future__ import annotations

import math

from pileus.cloud.context import Cloud, Context
from pileus.services.dynamodb import batching, keys, records, tables
from pileus.services.dynamodb.items import Stored
from pileus.services.dynamodb.keys import Range
from pileus.services.dynamodb.tables import COUNTING_S, Memory, memory
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

# Items counted by one transaction.
BATCH_ITEMS = 200
_BATCH_MARKS = 500


async def held(ctx: Context, tx: Reader, key: bytes) -> tuple[int, int]:
    """Items and bytes that a table or index holds, by the key of its statistics."""
    raw = await tx.get(key)
    written = records.Statistics() if raw is None else records.decode_statistics(raw)
    growth = memory(ctx.cloud).growth.get(key)
    if growth is None:
        return written.items, written.size_bytes
    return max(0, written.items + growth.items), max(0, written.size_bytes + growth.size_bytes)


async def step(cloud: Cloud) -> float:
    """Count anew what has to be, and write what is due; returns the seconds until more is.

    Where nothing has changed there is nothing to wait for: the first change of a table has it run.
    """
    known = memory(cloud)
    left = known.counts_at - cloud.clock.time()
    # Later than that only where the clock was set back.
    if not known.uncounted and (0 < left <= COUNTING_S or left == math.inf):
        return left
    await count_anew(cloud)
    await write(cloud)
    changing = known.marked or known.growth or known.touched
    known.counts_at = cloud.clock.time() + COUNTING_S if changing else math.inf
    return known.counts_at - cloud.clock.time()


async def write(cloud: Cloud, *, last: bool = False) -> None:
    """Write what has been added up, and remove the marks of tables at rest; when it is the `last` time, of all."""
    known = memory(cloud)
    growth = known.growth
    taken = {key: (change.items, change.size_bytes) for key, change in growth.items() if key not in known.counting}
    if not taken and not known.marked:
        return

    async def add(tx: Transaction) -> None:
        for key in _at_rest(known, taken, last=last):
            # At once, not on commit: who changes the table from now on has to leave a mark again.
            tx.delete(known.marked.pop(key))
        known.touched.clear()
        for (key, (items, size)), raw in zip(taken.items(), await tx.get_many(list(taken)), strict=True):
            # There is none any more where the table or index is dropped.
            if raw is not None:
                found = records.decode_statistics(raw)
                found.items = max(0, found.items + items)
                found.size_bytes = max(0, found.size_bytes + size)
                tx.put(key, records.encode(found))
        tx.on_commit(forget)

    def forget() -> None:
        for key, (items, size) in taken.items():
            change = growth.get(key)
            if change is not None:
                change.items -= items
                change.size_bytes -= size
                if not change.items and not change.size_bytes:
                    del growth[key]

    await cloud.store.write(add)


def _at_rest(known: Memory, taken: dict[bytes, tuple[int, int]], *, last: bool) -> list[bytes]:
    """The tables whose marks may go: nobody has changed them since the last writing, and all of that is written."""
    if last:
        # A count that was cut off is done again.
        uncounted = set(known.uncounted)
        return [
            key
            for key, mark in known.marked.items()
            if mark not in uncounted and (key in taken or key not in known.growth)
        ]
    return [key for key in known.marked if key not in known.touched and key not in known.growth]


async def find_uncounted(cloud: Cloud) -> None:
    """Note the tables whose counts the node before this one has not finished writing."""
    start, stop = keys.all_watched("counts")

    async def page(tx: Reader) -> list[tuple[bytes, bytes]]:
        return await tx.scan(start, stop, limit=_BATCH_MARKS)

    while rows := await cloud.store.read(page):
        memory(cloud).uncounted += [key for key, _ in rows]
        start = after(rows[-1][0])


async def count_anew(cloud: Cloud) -> None:
    """Count the tables that were found so."""
    known = memory(cloud)
    while known.uncounted:
        mark = known.uncounted[-1]
        account, region, (name, table_id) = keys.watched(mark)

        async def load(tx: Reader, key: bytes = keys.table(account, region, name)) -> bytes | None:
            return await tx.get(key)

        raw = await cloud.store.read(load)
        table = None if raw is None else tables.laid_out(account, region, records.decode_table(raw), raw)
        if table is not None and table.record.id == table_id:
            await _count(cloud, table.statistics, keys.all_items(account, region, table_id))
            for index in table.indexes:
                if index.record.status == "ACTIVE":
                    await _count(cloud, index.statistics, keys.all_entries(account, region, table_id, index.record.id))
        # Written: the mark goes with the others.
        known.marked[keys.statistics(account, region, table_id)] = mark
        known.uncounted.pop()


async def _count(cloud: Cloud, key: bytes, span: Range) -> None:
    known = memory(cloud)
    at, stop = span
    items = size = 0

    async def batch(tx: Transaction) -> tuple[int, int, bytes | None]:
        rows, more = await batching.scan(tx, at, stop, BATCH_ITEMS)
        found, held_bytes = items + len(rows), size + sum(Stored(raw).size for _, raw in rows)
        following = after(rows[-1][0]) if more else None
        first = at == span[0]
        if following is None and await tx.get(key) is not None:
            tx.put(key, records.encode(records.Statistics(items=found, size_bytes=held_bytes)))

        def move() -> None:
            if first:
                known.growth.pop(key, None)
            if following is None:
                known.counting.pop(key, None)
            else:
                known.counting[key] = following

        tx.on_commit(move)
        return found, held_bytes, following

    following: bytes | None = at
    try:
        while following is not None:
            at = following
            items, size, following = await cloud.store.write(batch)
            await cloud.clock.sleep(0)
    finally:
        known.counting.pop(key, None)
