"""Copies of tables as they were at a moment: into a backup, or from a backup or a table into a new table.

What is small is copied in the call's own transaction, the rest by a delivery of `dynamodb.work` in batches, which can
be done again from its start.
"""

from __future__ import annotations

import msgspec

from pileus.cloud.context import Cloud
from pileus.services.dynamodb import batching, history, items, keys, records, tables
from pileus.services.dynamodb.items import Stored
from pileus.services.dynamodb.tables import Table
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

BATCH_ITEMS = 200


# Where to go on, and whether what is left is to be undone; None: all is done.
Place = tuple[bytes | None, bool] | None


class Copy(msgspec.Struct, frozen=True):
    """What is copied; one of the sources and one of the targets is named, the others are ""."""

    account: str
    region: str
    # The table's name, or the backup's id.
    source_table: str = ""
    source_backup: str = ""
    target_table: str = ""
    target_backup: str = ""
    # As of when; of a table.
    moment: float = 0.0
    # Of the target table: another one may come to have its name.
    target_id: str = ""
    # Where the source is, if not where the target is.
    source_region: str = ""
    # The id of the deleted table whose items are those of the backup.
    source_kept: str = ""

    @property
    def source_place(self) -> tuple[str, str]:
        """The source's account and region."""
        return self.account, self.source_region or self.region


async def load(tx: Reader, account: str, region: str, name: str) -> Table | None:
    raw = await tx.get(keys.table(account, region, name))
    return None if raw is None else tables.laid_out(account, region, records.decode_table(raw), raw)


async def step(cloud: Cloud, tx: Transaction, copy: Copy, now: float, at: bytes | None, *, undoing: bool) -> Place:
    """Copy a batch, or undo one of changes since the moment; gives what comes next.

    A copy that is done is left alone: what asked for it may ask again after a node's death, when it is in use.
    """
    source = await load(tx, *copy.source_place, copy.source_table) if copy.source_table else None
    target = await load(tx, copy.account, copy.region, copy.target_table) if copy.target_table else None
    if copy.source_table and source is None:
        return None  # deleted meanwhile
    if copy.target_table and (target is None or not target.record.restoring or target.record.id != copy.target_id):
        return None
    if copy.target_backup and not await _incomplete(tx, copy):
        return None
    if undoing and source is not None:
        entries, following = await history.since(tx, source, copy.moment, at)
        for entry in entries:
            await _put(cloud, tx, copy, target, entry.place, entry.old, now)
        if following is None:
            await finish(tx, copy, source, target)
            return None
        return following, True
    prefix = _source_prefix(copy, source)
    start = prefix if at is None else after(at)
    rows, more = await batching.scan(tx, start, prefix + b"\xff", BATCH_ITEMS)
    for key, raw in rows:
        await _put(cloud, tx, copy, target, key[len(prefix) :], raw, now)
    if more:
        return rows[-1][0], False
    if source is not None:
        return None, True
    await finish(tx, copy, source, target)
    return None


def _source_prefix(copy: Copy, source: Table | None) -> bytes:
    if source is not None:
        return source.prefix
    if copy.source_kept:
        return keys.items(*copy.source_place, copy.source_kept)
    return keys.backup_items(*copy.source_place, copy.source_backup)


async def _put(
    cloud: Cloud, tx: Transaction, copy: Copy, target: Table | None, place: bytes, raw: bytes | None, now: float
) -> None:
    if target is None:
        key = keys.backup_items(copy.account, copy.region, copy.target_backup) + place
        if raw is None:
            tx.delete(key)
        else:
            tx.put(key, raw)
        return
    key = target.prefix + place
    old = await items.read(tx, key)
    new = None if raw is None else Stored(raw)
    await items.change(
        cloud,
        tx,
        target,
        key,
        now=now,
        old=old,
        new=None if new is None else new.item(),
        new_size=0 if new is None else new.size,
    )


async def finish(tx: Transaction, copy: Copy, source: Table | None, target: Table | None) -> None:
    if source is not None:
        left = tuple(each for each in source.record.copying if each != (copy.target_backup or copy.target_id))
        changed = msgspec.structs.replace(source.record, copying=left)
        tx.put(keys.table(*copy.source_place, source.name), records.encode(changed))
    elif copy.source_backup:
        await _let_go(tx, copy)
    if target is not None:
        done = msgspec.structs.replace(target.record, restoring=False)
        tx.put(keys.table(copy.account, copy.region, target.name), records.encode(done))
    elif copy.target_backup:
        await _complete(tx, copy)


async def _let_go(tx: Transaction, copy: Copy) -> None:
    """The backup that was copied is not needed any more for that."""
    key = keys.backup(*copy.source_place, copy.source_backup)
    raw = await tx.get(key)
    if raw is not None:
        backup = records.decode_backup(raw)
        backup.copying = tuple(each for each in backup.copying if each != copy.target_id)
        tx.put(key, records.encode(backup))


async def _incomplete(tx: Reader, copy: Copy) -> bool:
    """Whether items are missing of a backup or an export."""
    raw = await tx.get(keys.backup(copy.account, copy.region, copy.target_backup))
    if raw is not None:
        return not records.decode_backup(raw).ready
    raw = await tx.get(keys.export(copy.account, copy.region, copy.target_backup))
    return raw is not None and not records.decode_export(raw).copied


async def _complete(tx: Transaction, copy: Copy) -> None:
    """Note that all items are there of a backup, or of an export, whose items are copied as those of a backup."""
    key = keys.backup(copy.account, copy.region, copy.target_backup)
    raw = await tx.get(key)
    if raw is not None:
        backup = records.decode_backup(raw)
        backup.ready = True
        tx.put(key, records.encode(backup))
        return
    key = keys.export(copy.account, copy.region, copy.target_backup)
    raw = await tx.get(key)
    if raw is not None:
        export = records.decode_export(raw)
        export.copied = True
        tx.put(key, records.encode(export))


async def run(cloud: Cloud, copy: Copy) -> None:
    """All of a copy, in batches."""
    place: Place = (None, False)
    while place is not None:
        at, undoing = place

        async def batch(tx: Transaction, at: bytes | None = at, undoing: bool = undoing) -> Place:
            return await step(cloud, tx, copy, cloud.clock.time(), at, undoing=undoing)

        place = await cloud.store.write(batch)
        await cloud.clock.sleep(0)
