"""When and where the items of a global table were last written: what decides between writes that cross.

The last writer wins. A write's version is its moment, in microseconds, and its region; it is later than the version of
what it takes the place of, even where clocks do not agree. The versions of deleted items are kept for as long as an
older write may be under way. An item that was there before its table became a global one has none: it is the oldest.

Source: "Global tables core concepts" in the Developer Guide.
"""

from __future__ import annotations

from typing import NamedTuple

from pileus.services.dynamodb import keys, records
from pileus.services.dynamodb.tables import Table
from pileus.store.contract import Reader, Transaction


class Version(NamedTuple):
    at: int
    region: str


OLDEST = Version(0, "")


async def read(tx: Reader, table: Table, place: bytes) -> Version:
    """The version of what is, or was, at an item's key."""
    raw = await tx.get(keys.version(table.versions, keys.digest(place[len(table.prefix) :])))
    if raw is None:
        return OLDEST
    found = records.decode_version(raw)
    return Version(found.at, found.region)


async def follow(tx: Transaction, table: Table, place: bytes, now: float, *, deleted: bool) -> Version:
    """Note a write that is made here, and give it a version."""
    current = await read(tx, table, place)
    version = Version(max(int(now * 1_000_000), current.at + 1), table.region)
    await take(tx, table, place, version, deleted=deleted)
    return version


async def take(tx: Transaction, table: Table, place: bytes, version: Version, *, deleted: bool) -> None:
    """Note a write that has its version."""
    digest = keys.digest(place[len(table.prefix) :])
    key = keys.version(table.versions, digest)
    raw = await tx.get(key)
    before = None if raw is None else records.decode_version(raw)
    if before is not None and before.deleted:
        tx.delete(keys.deletion(table.deleted, before.at, digest))
    if deleted:
        tx.put(keys.deletion(table.deleted, version.at, digest), b"")
    tx.put(key, records.encode(records.Version(at=version.at, region=version.region, deleted=deleted)))


async def forget_deleted(tx: Transaction, table: Table, until: int, limit: int) -> bool:
    """Remove the versions of items that were deleted before `until`, a batch; whether there may be more."""
    rows = await tx.scan(*keys.deletions_until(table.deleted, until), limit=limit)
    for key, _ in rows:
        tx.delete(key)
        tx.delete(keys.version(table.versions, keys.deleted_item(table.deleted, key)))
    return len(rows) == limit
