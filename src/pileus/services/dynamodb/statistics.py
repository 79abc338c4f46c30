"""How many items and bytes tables and indexes hold.

Changes are added up in memory and written behind the writes, every few seconds, so that no write waits for a record
that all of them would change. What a killed node had not written yet is missing from the figures, which AWS, too, calls
approximate.
"""

from __future__ import annotations

from pileus.cloud.context import Cloud, Context
from pileus.services.dynamodb import records
from pileus.services.dynamodb.tables import memory
from pileus.store.contract import Reader, Transaction


async def held(ctx: Context, tx: Reader, key: bytes) -> tuple[int, int]:
    """Items and bytes that a table or index holds, by the key of its statistics."""
    raw = await tx.get(key)
    written = records.Statistics() if raw is None else records.decode_statistics(raw)
    growth = memory(ctx.cloud).growth.get(key)
    if growth is None:
        return written.items, written.size_bytes
    return max(0, written.items + growth.items), max(0, written.size_bytes + growth.size_bytes)


async def write(cloud: Cloud) -> None:
    """Write what has been added up."""
    growth = memory(cloud).growth
    taken = {key: (change.items, change.size_bytes) for key, change in growth.items()}
    if not taken:
        return

    async def add(tx: Transaction) -> None:
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
