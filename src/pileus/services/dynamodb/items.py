"""Items in the store: how they are written, and everything that a change of one brings with it.

An item is stored as one format byte, its size as AWS counts it (4 bytes, big-endian), and its JSON, which is answered
as it stands. Index entries have the same form.
"""

from __future__ import annotations

from functools import partial
from struct import Struct

import msgspec

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors, history, keys, schema, streams, tables, timetolive, values
from pileus.services.dynamodb.tables import Index, Table
from pileus.services.dynamodb.values import Item
from pileus.services.dynamodb.versions import Version
from pileus.store.contract import Reader, Transaction

FORMAT = 1
HEAD = Struct(">BI")
# Of a stored item, its size.
size_of = Struct(">xI").unpack_from


class Stored(msgspec.Struct, frozen=True, eq=False):
    """An item as it stands in the store."""

    raw: bytes

    @property
    def size(self) -> int:
        return int.from_bytes(self.raw[1:5], "big")

    @property
    def json(self) -> bytes:
        return self.raw[5:]

    def item(self) -> Item:
        return values.load(memoryview(self.raw)[5:])


def encode(item: Item, size: int) -> bytes:
    return HEAD.pack(FORMAT, size) + values.dump(item)


async def read(tx: Reader, key: bytes) -> Stored | None:
    raw = await tx.get(key)
    return None if raw is None else Stored(raw)


class Written(msgspec.Struct, frozen=True):
    """What a change came to, for the capacity it consumed: bytes of the table's and of each index's bigger image."""

    size: int
    # By index: how many writes of which size; a moved entry is two.
    indexes: tuple[tuple[Index, tuple[int, ...]], ...] = ()


async def change(
    cloud: Cloud,
    tx: Transaction,
    table: Table,
    key: bytes,
    *,
    now: float,
    old: Stored | None,
    new: Item | None,
    new_size: int = 0,
    old_item: Item | None = None,
    expired: bool = False,
    version: Version | None = None,
    mirrored: bool = False,
) -> Written:
    """Put `new` (None: nothing) in the place of `old`, with everything that follows from it.

    Every change of an item goes through here. `new` has been checked against the keys of the table and its indexes;
    `old_item` is `old` decoded, where the caller has it. `expired`: it is the service itself that removes the item.
    `version`: that of a change which another replica handed on. `mirrored`: it is made in another replica, too.
    """
    if old is None and new is None:
        return Written(0)
    raw = None if new is None else encode(new, new_size)
    if raw is None:
        tx.delete(key)
    else:
        tx.put(key, raw)
    old_size = 0 if old is None else old.size
    _grow(cloud, tx, table, table.statistics, (new is not None) - (old is not None), new_size - old_size, key)
    if table.plain:
        return Written(max(old_size, new_size))
    consumed = []
    if old_item is None and old is not None and (table.indexes or table.stream is not None or table.ttl is not None):
        old_item = old.item()
    if table.record.keeps_history:
        history.note(cloud, tx, table, key, None if old is None else old.raw, now)
    if table.ttl is not None:
        timetolive.follow(tx, table.ttl, key, old_item, new)
    if table.stream is not None:
        before_image = None if old is None or old_item is None else streams.Image(old_item, old.json, old.size)
        after_image = None if new is None or raw is None else streams.Image(new, Stored(raw).json, new_size)
        await streams.record(
            cloud, tx, table, key, before_image, after_image, now=now, expired=expired, version=version
        )
    if table.indexes:
        for index in table.indexes:
            before = entry(index, key, old_item, old)
            after = entry(index, key, new, None if raw is None else Stored(raw))
            sizes = _replace(tx, before, after)
            if sizes:
                consumed.append((index, sizes))
                if before is not None:
                    _grow(cloud, tx, table, index.statistics, -1, -before.size, before.key)
                if after is not None:
                    _grow(cloud, tx, table, index.statistics, 1, after.size, after.key)
    if table.record.strong and not mirrored:
        for region in table.record.replicas:
            other = await tables.elsewhere(cloud, tx, table, region)
            if other is not None:
                there = other.prefix + key[len(table.prefix) :]
                await change(
                    cloud,
                    tx,
                    other,
                    there,
                    now=now,
                    old=old,
                    new=new,
                    new_size=new_size,
                    expired=expired,
                    mirrored=True,
                )
    return Written(max(old_size, new_size), tuple(consumed))


def _grow(cloud: Cloud, tx: Transaction, table: Table, statistics: bytes, count: int, size: int, place: bytes) -> None:
    """Count a change at `place` in the statistics of the table or of an index, once it is committed."""
    known = tables.memory(cloud)
    known.touched.add(table.statistics)
    if table.statistics not in known.marked:
        mark = keys.watch("counts", table.account, table.region, table.name, table.record.id)
        tx.put(mark, b"")
        tx.on_commit(partial(known.mark, cloud, table.statistics, mark))
    if count or size:
        tx.on_commit(partial(known.grown, statistics, count, size, place))


def touches(index: Index, key: bytes, old: Stored | None, new: Item | None, new_size: int) -> bool:
    """Whether putting `new` in the place of `old` changes an entry of the index."""
    before = entry(index, key, None if old is None else old.item(), old)
    return before != entry(index, key, new, None if new is None else Stored(encode(new, new_size)))


class Entry(msgspec.Struct, frozen=True):
    key: bytes
    raw: bytes

    @property
    def size(self) -> int:
        return Stored(self.raw).size


def entry(index: Index, key: bytes, item: Item | None, stored: Stored | None) -> Entry | None:
    """An item's entry in an index, or None where it has none."""
    if item is None or stored is None:
        return None
    place = schema.entry_key(index.prefix, index.schema, item, key)
    if place is None:
        return None
    if index.attributes is None:
        return Entry(place, stored.raw)
    projected = {name: value for name, value in item.items() if name in index.attributes}
    return Entry(place, encode(projected, values.item_size(projected)))


def _replace(tx: Transaction, before: Entry | None, after: Entry | None) -> tuple[int, ...]:
    """Put one entry in the place of another; gives the sizes that were written."""
    if before == after:
        return ()
    if before is not None and after is not None and before.key == after.key:
        tx.put(after.key, after.raw)
        return (max(before.size, after.size),)
    sizes = []
    if before is not None:
        tx.delete(before.key)
        sizes.append(before.size)
    if after is not None:
        tx.put(after.key, after.raw)
        sizes.append(after.size)
    return tuple(sizes)


def fits_with_entries(table: Table, key: bytes, item: Item, size: int) -> bool:
    """Whether an item is small enough together with its entries in local indexes."""
    local = [index for index in table.indexes if index.is_local]
    if not local or size * (1 + len(local)) <= values.ITEM_BYTES_MAX:
        # No entry is larger than the item.
        return True
    stored = Stored(encode(item, size))
    entries = [found for index in local if (found := entry(index, key, item, stored)) is not None]
    return size + sum(found.size for found in entries) <= values.ITEM_BYTES_MAX


def too_large(*, updated: bool) -> AWSError:
    return errors.validation(f"Item size{' to update' if updated else ''} has exceeded the maximum allowed size")


def check_size(size: int, *, updated: bool = False) -> None:
    if size > values.ITEM_BYTES_MAX:
        raise too_large(updated=updated)
