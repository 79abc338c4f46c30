"""Listing against a model: a sorted list of keys, rolled up by hand."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.services.s3 import keys
from pileus.services.s3.listing import from_token, list_directory, list_page, successor, token
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import pack_onto
from pileus.store.sqlite import open_store

TEXT = st.text(alphabet="ab/\x00é\U0001f600￿", min_size=1, max_size=7)
BUCKET = "bucket"


def model_page(
    names: list[bytes], prefix: bytes, delimiter: bytes, marker: bytes, most: int
) -> tuple[list[bytes], list[bytes], bool]:
    """(keys, common prefixes, truncated) of one page, in the plainest way."""
    shown: list[tuple[bytes, bool]] = []
    for name in sorted(names):
        if not name.startswith(prefix) or name <= marker:
            continue
        at = name.find(delimiter, len(prefix)) if delimiter else -1
        entry = (name[: at + len(delimiter)], True) if at >= 0 else (name, False)
        # A marker inside a common prefix leaves all of that behind.
        if entry[1] and marker.startswith(entry[0]):
            continue
        if entry not in shown:
            shown.append(entry)
    page = shown[:most]
    return [n for n, rolled in page if not rolled], [n for n, rolled in page if rolled], len(shown) > most > 0


@settings(max_examples=300, deadline=None)
@given(
    names=st.sets(TEXT, max_size=40),
    prefix=st.one_of(st.just(""), TEXT),
    delimiter=st.sampled_from(["", "/", "a", "b/", "é"]),
    marker=st.one_of(st.just(""), TEXT),
    most=st.integers(0, 6),
)
def test_pages_are_those_of_a_sorted_list(names: set[str], prefix: str, delimiter: str, marker: str, most: int) -> None:
    encoded = [name.encode() for name in names]

    async def run() -> None:
        store = open_store(None, "memory")
        try:
            await store.write(lambda tx: _fill(tx, encoded))
            at = marker.encode()
            for _ in range(50):
                page = await store.read(
                    lambda tx, at=at: list_page(
                        tx,
                        keys.objects(BUCKET),
                        prefix=prefix.encode(),
                        delimiter=delimiter.encode(),
                        marker=at,
                        most=most,
                    )
                )
                found = [key for key, _, _ in page.entries]
                assert (found, page.prefixes, page.truncated) == model_page(
                    encoded, prefix.encode(), delimiter.encode(), at, most
                )
                if not page.truncated:
                    break
                at = from_token(token(page.last))
        finally:
            await store.close()

    asyncio.run(run())


@settings(max_examples=200, deadline=None)
@given(
    names=st.sets(TEXT, max_size=20),
    uploads=st.lists(TEXT, max_size=20),
    prefix=st.sampled_from(["", "a/", "b/", "a/b/"]),
    delimiter=st.sampled_from(["", "/"]),
    most=st.integers(1, 5),
)
def test_pages_of_a_directory_bucket_show_all_of_it_once(
    names: set[str], uploads: list[str], prefix: str, delimiter: str, most: int
) -> None:
    encoded, under_way = [name.encode() for name in names], [name.encode() for name in uploads]
    contents, rolled, _ = model_page(encoded, prefix.encode(), delimiter.encode(), b"", 1000)
    if delimiter:
        both = model_page(encoded + under_way, prefix.encode(), delimiter.encode(), b"", 1000)
        rolled = both[1]

    async def fill(tx: Transaction) -> None:
        await _fill(tx, encoded)
        for number, name in enumerate(uploads):
            tx.put(keys.upload(BUCKET, name, str(number)), b"")

    async def run() -> None:
        store = open_store(None, "memory")
        found: list[bytes] = []
        prefixes: list[bytes] = []
        try:
            await store.write(fill)
            at = b""
            for _ in range(len(names) + len(uploads) + 1):
                page = await store.read(
                    lambda tx, at=at: list_directory(
                        tx, BUCKET, prefix=prefix.encode(), delimiter=delimiter.encode(), marker=at, most=most
                    )
                )
                assert page.count <= most
                found += [key for key, _, _ in page.entries]
                prefixes += page.prefixes
                if not page.truncated:
                    break
                at = from_token(token(page.last))
            assert not page.truncated
        finally:
            await store.close()
        assert (sorted(found), sorted(prefixes)) == (contents, rolled)

    asyncio.run(run())


async def _fill(tx: Transaction, names: list[bytes]) -> None:
    for name in names:
        tx.put(pack_onto(keys.objects(BUCKET), name), b"")
    # Neighbours that must never show.
    tx.put(pack_onto(keys.objects(BUCKET + "2"), b"a"), b"")
    tx.put(pack_onto(keys.objects("bucke"), b"a"), b"")


@given(st.binary(min_size=1, max_size=6), st.binary(max_size=4))
def test_successor_stands_behind_everything_that_begins_with_a_prefix(prefix: bytes, tail: bytes) -> None:
    behind = successor(prefix)
    if behind is None:
        assert set(prefix) == {255}
        return
    assert behind > prefix + tail
    assert not behind.startswith(prefix)


class _Counting:
    """A reader that counts the entries it is made to read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.rows = 0

    async def scan(self, start: bytes, end: bytes, *, limit: int, reverse: bool = False) -> list[tuple[bytes, bytes]]:
        rows = await self._reader.scan(start, end, limit=limit, reverse=reverse)
        self.rows += len(rows)
        return rows


async def test_common_prefixes_are_skipped_not_read() -> None:
    store = open_store(None, "memory")
    try:
        names = [f"{folder}/{number:05}".encode() for folder in "abc" for number in range(5_000)]
        await store.write(lambda tx: _fill(tx, names))

        async def look(tx: Reader) -> tuple[list[bytes], int]:
            counting = _Counting(tx)
            page = await list_page(counting, keys.objects(BUCKET), delimiter=b"/")  # type: ignore[arg-type]
            return page.prefixes, counting.rows

        prefixes, rows = await store.read(look)
        assert prefixes == [b"a/", b"b/", b"c/"]
        assert rows < 300
    finally:
        await store.close()
