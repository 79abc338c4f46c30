"""Batches of rows: bounded in number and in bytes, and together everything there is."""

from __future__ import annotations

import pytest

from pileus.services.dynamodb import batching
from pileus.services.dynamodb.batching import BATCH_BYTES, Row
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after
from pileus.store.sqlite import SqliteStore, open_store


async def store_of(sizes: list[int]) -> tuple[SqliteStore, list[bytes]]:
    store = open_store(None, "memory")
    keys = [b"k%05d" % number for number in range(len(sizes))]

    async def fill(tx: Transaction) -> None:
        for key, size in zip(keys, sizes, strict=True):
            tx.put(key, b"x" * size)

    await store.write(fill)
    return store, keys


async def batches(store: SqliteStore, most: int, *, reverse: bool) -> list[list[Row]]:
    found = []
    start, end = b"k", b"l"
    while True:

        async def read(tx: Reader, start: bytes = start, end: bytes = end) -> tuple[list[Row], bool]:
            return await batching.scan(tx, start, end, most, reverse=reverse)

        rows, more = await store.read(read)
        found.append(rows)
        if not more:
            return found
        if reverse:
            end = rows[-1][0]
        else:
            start = after(rows[-1][0])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [1],
        [500] * 10,
        [500] * 457,
        [300_000] * 25,
        [500] * 150 + [400_000] * 9 + [500] * 150,
        [BATCH_BYTES + 1] * 3,
    ],
)
async def test_batches_have_everything_once(sizes: list[int], reverse: bool) -> None:
    store, keys = await store_of(sizes)
    found = await batches(store, 200, reverse=reverse)
    assert [key for batch in found for key, _ in batch] == (keys[::-1] if reverse else keys)
    largest = max(sizes, default=0)
    for batch in found:
        assert len(batch) <= 200
        # Nothing is known of the first ten, nor of those that are asked for in view of smaller ones.
        assert sum(len(raw) for _, raw in batch) <= BATCH_BYTES + 10 * largest
    await store.close()


async def test_large_rows_come_a_few_at_a_time() -> None:
    store, _ = await store_of([300_000] * 40)
    assert {len(batch) for batch in await batches(store, 200, reverse=False)} <= {10, 0}
    await store.close()


async def test_small_rows_come_as_many_as_may_be() -> None:
    store, _ = await store_of([500] * 500)
    assert [len(batch) for batch in await batches(store, 200, reverse=False)] == [200, 200, 100]
    await store.close()
