"""A range's rows in batches: no more than one transaction should take, in number and in bytes.

Others wait while a batch is worked on, and it is held in memory; items may have 400 KB each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from pileus.store.contract import Reader, Store
from pileus.store.keys import after

BATCH_BYTES = 1 << 20
# Rows that are asked for before it is known how large they are.
_FIRST = 10

Row = tuple[bytes, bytes]


async def scan(tx: Reader, start: bytes, end: bytes, most: int, *, reverse: bool = False) -> tuple[list[Row], bool]:
    """The first rows of a range (or the last, backwards), at most so many; and whether there may be more."""
    found: list[Row] = []
    size = 0
    ask = min(_FIRST, most)
    while True:
        rows = await tx.scan(start, end, limit=ask, reverse=reverse)
        found += rows
        size += sum([len(raw) for _, raw in rows])
        if len(rows) < ask:
            return found, False
        if len(found) >= most or size >= BATCH_BYTES:
            return found, True
        if reverse:
            end = rows[-1][0]
        else:
            start = after(rows[-1][0])
        ask = max(1, min(most - len(found), (BATCH_BYTES - size) * len(found) // (size + 1)))


async def keys_of(store: Store, start: bytes, end: bytes, most: int) -> AsyncIterator[bytes]:
    """The keys of a range of small rows, read so many at a time: whoever goes through them may write meanwhile."""
    while True:

        async def page(tx: Reader, start: bytes = start) -> list[Row]:
            return await tx.scan(start, end, limit=most)

        rows = await store.read(page)
        for key, _ in rows:
            yield key
        if len(rows) < most:
            return
        start = after(rows[-1][0])
