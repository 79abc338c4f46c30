"""Work that goes on after a call: filling new indexes, clearing away what dropped tables and indexes leave.

What a call cannot do within its own transaction goes on in deliveries of the target `dynamodb.work`: they survive a
crash, and doing one again from the start does no harm.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from pileus.cloud.context import Cloud, Context, HttpInfo
from pileus.delivery.contract import Delivery
from pileus.kernel.principal import service_principal
from pileus.services.dynamodb import (
    batching,
    copying,
    exporting,
    importing,
    items,
    keys,
    records,
    streams,
    tables,
    throughput,
    timetolive,
)
from pileus.services.dynamodb.copying import Copy
from pileus.services.dynamodb.items import Stored
from pileus.services.dynamodb.keys import Range
from pileus.services.dynamodb.tables import Index, Table
from pileus.store.contract import Transaction
from pileus.store.keys import after, range_onto

TARGET = "dynamodb.work"
# There is no giving up: what is left undone would never be found again.
AGE_MAX_S = 10 * 365 * 86400.0
# Items moved by one transaction: a millisecond or two of everybody's time.
BATCH_ITEMS = 200
# A backup that has expired while it is restored from is looked at again after so long.
_IN_USE_S = 600.0


def _put(ctx: Context, tx: Transaction, *, due: float | None = None, **payload: str) -> None:
    ctx.cloud.outbox.put(
        tx,
        target=TARGET,
        payload={"account": ctx.account, "region": ctx.region, **payload},
        now=ctx.now,
        due=due,
        age_max_s=AGE_MAX_S,
    )


def sweep_table(ctx: Context, tx: Transaction, table: Table, *, keep_items: bool = False) -> None:
    """Have a dropped table's items, entries and statistics removed."""
    known = tables.memory(ctx.cloud)
    gone = [table.statistics, *(index.statistics for index in table.indexes)]
    for key in gone:
        tx.delete(key)
    _put(ctx, tx, work="sweep-kept" if keep_items else "sweep-table", table=table.record.id)
    if table.versions:
        sweep_versions(ctx, tx, table)
    tx.on_commit(lambda: _forget(known, gone))


async def drop_table(ctx: Context, tx: Transaction, table: Table, *, keep_items: bool = False) -> None:
    """Drop a table and all that goes with it; but its items where a backup takes them over."""
    if table.stream is not None:
        await streams.end(ctx, tx, table.record)
    if table.ttl is not None:
        tx.delete(keys.watch("expiry", ctx.account, ctx.region, table.name))
    if table.record.policy:
        tx.delete(keys.watch("policies", ctx.account, ctx.region, table.name))
    tx.delete(keys.table(ctx.account, ctx.region, table.name))
    sweep_table(ctx, tx, table, keep_items=keep_items)
    named = (("TableName", table.name),)
    tx.on_commit(lambda: ctx.cloud.metrics.forget(named, ctx.account, ctx.region, throughput.NAMESPACE))


def sweep_versions(ctx: Context, tx: Transaction, table: Table) -> None:
    """Have the versions removed that the items of a replica have now."""
    _put(ctx, tx, work="sweep-versions", table=table.record.id, group=table.record.group.hex())


def sweep_index(ctx: Context, tx: Transaction, table: Table, index_id: bytes) -> None:
    """Have a dropped index's entries removed."""
    known = tables.memory(ctx.cloud)
    gone = [keys.statistics(ctx.account, ctx.region, table.record.id, index_id)]
    for key in gone:
        tx.delete(key)
    _put(ctx, tx, work="sweep-index", table=table.record.id, index=index_id.hex())
    tx.on_commit(lambda: _forget(known, gone))


def sweep_backup(ctx: Context, tx: Transaction, backup: records.Backup) -> None:
    """Have a deleted backup's items removed."""
    if backup.kept:
        _put(ctx, tx, work="sweep-table", table=backup.kept)
    else:
        _put(ctx, tx, work="sweep-backup", table="", backup=backup.id)


def expire_backup(ctx: Context, tx: Transaction, backup_id: str, expires: float) -> None:
    """Have a backup deleted when its time has come."""
    _put(ctx, tx, due=expires, work="expire-backup", table="", backup=backup_id)


def copy_table(ctx: Context, tx: Transaction, copy: Copy) -> None:
    """Have a copy made that is too large for its call."""
    _put(ctx, tx, work="copy", table="", copy=msgspec.json.encode(copy).decode())


def export(ctx: Context, tx: Transaction, export_id: str) -> None:
    """Have an export written."""
    _put(ctx, tx, work="export", table="", export=export_id)


def import_table(ctx: Context, tx: Transaction, import_id: str) -> None:
    """Have an import read."""
    _put(ctx, tx, work="import", table="", job=import_id)


def _forget(known: tables.Memory, gone: list[bytes]) -> None:
    for key in gone:
        known.growth.pop(key, None)
        known.meters.pop(key, None)


async def fill_new(ctx: Context, tx: Transaction, before: Table, after: Table) -> None:
    """Fill the indexes that `after` has and `before` had not: at once where there is little to fill them with."""
    known = {index.record.id for index in before.indexes}
    for index in after.indexes:
        if index.record.id in known:
            continue
        tx.put(index.statistics, records.encode(records.Statistics()))
        if await _fill(tx, after, index, keys.all_items(after.account, after.region, after.record.id)) is None:
            _activate(ctx.account, ctx.region, tx, after, index)
        else:
            _put(ctx, tx, work="fill", table=after.record.id, name=after.name, index=index.record.id.hex())


async def _fill(tx: Transaction, table: Table, index: Index, span: Range) -> bytes | None:
    """Put a batch of the table's items into the index; where to go on, None when all are in it."""
    rows, more = await batching.scan(tx, *span, BATCH_ITEMS)
    count = size = 0
    for key, raw in rows:
        stored = Stored(raw)
        entry = items.entry(index, key, stored.item(), stored)
        if entry is not None and await tx.get(entry.key) is None:
            tx.put(entry.key, entry.raw)
            count += 1
            size += entry.size
    known = await tx.get(index.statistics)
    if count and known is not None:
        held = records.decode_statistics(known)
        tx.put(
            index.statistics,
            records.encode(records.Statistics(items=held.items + count, size_bytes=held.size_bytes + size)),
        )
    return rows[-1][0] if more else None


def _activate(account: str, region: str, tx: Transaction, table: Table, index: Index) -> None:
    record = msgspec.structs.replace(
        table.record,
        indexes=tuple(
            msgspec.structs.replace(each, status="ACTIVE") if each.id == index.record.id else each
            for each in table.record.indexes
        ),
    )
    tx.put(keys.table(account, region, record.name), records.encode(record))


async def fill_expiries(ctx: Context, tx: Transaction, table: Table) -> None:
    """Give the items of a table that has got a time to live their expiry entries."""
    if await _fill_expiries(tx, table, keys.all_items(table.account, table.region, table.record.id)) is not None:
        _put(ctx, tx, work="fill-expiry", table=table.record.id, name=table.name, ttl=table.record.ttl_id.hex())


def sweep_expiries(ctx: Context, tx: Transaction, table: Table) -> None:
    """Have the expiry entries removed that a table has now."""
    _put(ctx, tx, work="sweep-expiry", table=table.record.id, ttl=table.record.ttl_id.hex())


async def _fill_expiries(tx: Transaction, table: Table, span: Range) -> bytes | None:
    """Make the entries of a batch of items; where to go on, None when all have theirs."""
    rows, more = await batching.scan(tx, *span, BATCH_ITEMS)
    for key, raw in rows:
        if table.ttl is not None:
            timetolive.follow(tx, table.ttl, key, None, Stored(raw).item())
    return rows[-1][0] if more else None


def acting(cloud: Cloud, account: str, region: str) -> Context:
    """DynamoDB acting for itself."""
    return Context(
        cloud=cloud,
        request_id=cloud.ids.uuid(),
        service="dynamodb",
        operation="Work",
        account=account,
        region=region,
        principal=service_principal("dynamodb", account=account),
        now=cloud.clock.time(),
        http=HttpInfo(source_ip="dynamodb.amazonaws.com"),
    )


async def handle(cloud: Cloud, delivery: Delivery) -> None:
    """Handle one delivery of TARGET."""
    payload: dict[str, Any] = delivery.payload
    account, region, table_id = payload["account"], payload["region"], payload["table"]
    match payload["work"]:
        case "sweep-table":
            await _sweep(cloud, keys.all_items(account, region, table_id))
            await _sweep(cloud, keys.all_entries(account, region, table_id))
            await _sweep(cloud, keys.all_expiries(account, region, table_id))
        case "sweep-kept":
            await _sweep(cloud, keys.all_entries(account, region, table_id))
            await _sweep(cloud, keys.all_expiries(account, region, table_id))
        case "expire-backup":
            await _expire_backup(acting(cloud, account, region), payload["backup"])
        case "sweep-versions":
            group = bytes.fromhex(payload["group"])
            await _sweep(cloud, range_onto(keys.versions(account, region, table_id, group)))
            await _sweep(cloud, range_onto(keys.deleted(account, region, table_id, group)))
        case "sweep-index":
            await _sweep(cloud, keys.all_entries(account, region, table_id, bytes.fromhex(payload["index"])))
        case "sweep-expiry":
            await _sweep(cloud, keys.all_expiries(account, region, table_id, bytes.fromhex(payload["ttl"])))
        case "fill-expiry":
            await _fill_all_expiries(cloud, account, region, payload["name"], bytes.fromhex(payload["ttl"]))
        case "sweep-backup":
            await _sweep(cloud, range_onto(keys.backup_items(account, region, payload["backup"])))
        case "copy":
            await copying.run(cloud, msgspec.json.decode(payload["copy"], type=Copy))
        case "export":
            await exporting.run(cloud, account, region, payload["export"])
            await _sweep(cloud, range_onto(keys.backup_items(account, region, payload["export"])))
        case "import":
            await importing.run(
                cloud, account, region, payload["job"], partial(drop_table, acting(cloud, account, region))
            )
        case "fill":
            await _fill_all(cloud, account, region, payload["name"], bytes.fromhex(payload["index"]))


async def _sweep(cloud: Cloud, span: Range) -> None:
    start, end = span

    async def batch(tx: Transaction) -> bool:
        rows, more = await batching.scan(tx, start, end, BATCH_ITEMS)
        if rows:
            tx.delete_range(start, after(rows[-1][0]))
        return more

    while await cloud.store.write(batch):
        # Let others have their turn.
        await cloud.clock.sleep(0)


async def _expire_backup(ctx: Context, backup_id: str) -> None:
    async def expire(tx: Transaction) -> None:
        key = keys.backup(ctx.account, ctx.region, backup_id)
        raw = await tx.get(key)
        if raw is None:
            return
        backup = records.decode_backup(raw)
        if backup.copying:
            expire_backup(ctx, tx, backup_id, ctx.now + _IN_USE_S)
            return
        tx.delete(key)
        sweep_backup(ctx, tx, backup)

    await ctx.cloud.store.write(expire)


async def _fill_all(cloud: Cloud, account: str, region: str, name: str, index_id: bytes) -> None:
    at: bytes | None = None

    async def batch(tx: Transaction) -> bytes | None:
        raw = await tx.get(keys.table(account, region, name))
        if raw is None:
            return None
        table = tables.laid_out(account, region, records.decode_table(raw), raw)
        index = next((index for index in table.indexes if index.record.id == index_id), None)
        if index is None or index.record.status != "CREATING":
            return None
        start, end = keys.all_items(account, region, table.record.id)
        last = await _fill(tx, table, index, (start if at is None else after(at), end))
        if last is None:
            _activate(account, region, tx, table, index)
        return last

    while (at := await cloud.store.write(batch)) is not None:
        await cloud.clock.sleep(0)


async def _fill_all_expiries(cloud: Cloud, account: str, region: str, name: str, ttl_id: bytes) -> None:
    at: bytes | None = None

    async def batch(tx: Transaction) -> bytes | None:
        raw = await tx.get(keys.table(account, region, name))
        table = None if raw is None else tables.laid_out(account, region, records.decode_table(raw), raw)
        if table is None or table.record.ttl_id != ttl_id:
            return None
        start, end = keys.all_items(account, region, table.record.id)
        return await _fill_expiries(tx, table, (start if at is None else after(at), end))

    while (at := await cloud.store.write(batch)) is not None:
        await cloud.clock.sleep(0)
