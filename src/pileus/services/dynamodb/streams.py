"""Streams: what is written into them, and how they begin, end and are trimmed.

A change's record is written in the transaction of the change itself, under a number that goes up by one for each: so
there is exactly one for every change, in the order of the commits. A stream has one shard, which ends when the stream
is switched off or its table deleted, and can be read for another 24 hours.

Sources: "Change data capture for DynamoDB Streams" in the Developer Guide; the API reference's pages Record,
StreamRecord; the records of streams.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from pileus.cloud.context import Cloud, Context
from pileus.services.dynamodb import batching, keys, records, values, versions
from pileus.services.dynamodb.tables import Table, memory, table_arn
from pileus.services.dynamodb.values import Item
from pileus.services.dynamodb.versions import Version
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

RETENTION_S = 24 * 3600.0
# Numbers begin with the millisecond in which the stream began: a table's later streams go on behind its earlier ones.
_NUMBERS_PER_MS = 1_000_000
_NUMBER_BYTES = 8
# Added to the numbers in what callers see, which has at least 21 digits.
_SHOWN_BASE = 10**20
_SHOWN_DIGITS_MAX = 21
# Records removed by one transaction.
BATCH_RECORDS = 500


class Image(msgspec.Struct, frozen=True):
    """An item before or after a change."""

    item: Item
    json: bytes
    size: int


def stream_arn(region: str, account: str, table: str, label: str) -> str:
    return f"{table_arn(region, account, table)}/stream/{label}"


def shard_id(stream: records.Stream) -> str:
    return f"shardId-{stream.first // _NUMBERS_PER_MS:020}-{stream.table_id[:8]}"


def shown_number(number: int) -> str:
    """A record's number as a SequenceNumber."""
    return str(_SHOWN_BASE + number)


def number_of(text: str) -> int | None:
    """The number in a SequenceNumber; None where it cannot be one of ours."""
    if not (text.isascii() and text.isdigit() and len(text) <= _SHOWN_DIGITS_MAX):
        return None
    number = int(text) - _SHOWN_BASE
    return number if 0 <= number < 1 << (8 * _NUMBER_BYTES) else None


async def record(
    cloud: Cloud,
    tx: Transaction,
    table: Table,
    place: bytes,
    old: Image | None,
    new: Image | None,
    *,
    now: float,
    expired: bool,
    version: Version | None = None,
) -> None:
    """Write the record of a change of a table that has a stream; none where nothing is changed.

    `place` is the item's key; `version` that of a change which another replica handed on.
    """
    stream, some = table.stream, new or old
    if stream is None or some is None:
        return
    if version is not None:
        await versions.take(tx, table, place, version, deleted=new is None)
    if old is not None and new is not None and values.equal({"M": old.item}, {"M": new.item}):
        return
    if version is None and table.versions:
        version = await versions.follow(tx, table, place, now, deleted=new is None)
    key = {name: some.item[name] for name in table.schema.names}
    shows_new = new is not None and stream.view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")
    shows_old = old is not None and stream.view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES")
    change = records.Change(
        id=cloud.ids.hex(32),
        name="INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
        at=int(now),
        keys=values.dump(key),
        new=new.json if new is not None and shows_new else None,
        old=old.json if old is not None and shows_old else None,
        size=values.item_size(key)
        + (new.size if new is not None and shows_new else 0)
        + (old.size if old is not None and shows_old else 0),
        by_ttl=expired,
        stamp=0 if version is None else int(now * 1_000_000),
        version=0 if version is None else version.at,
        origin="" if version is None else version.region,
    )
    number = await last_number(tx, stream.sequence) + 1
    tx.put(stream.sequence, number.to_bytes(_NUMBER_BYTES, "big"))
    tx.put(keys.change(stream.prefix, number), records.encode(change))
    tx.on_commit(lambda: cloud.signals.fire(stream.arn))
    if version is not None:
        tx.on_commit(lambda: memory(cloud).hand_on(cloud, now))


async def last_number(tx: Reader, sequence: bytes) -> int:
    """The number of a table's last record, or of the one before the first of its newest stream."""
    return int.from_bytes(await tx.get(sequence) or b"", "big")


async def begin(ctx: Context, tx: Transaction, table: records.Table, view: records.View) -> records.Table:
    """Give a table a stream; returns its record with it."""
    sequence = keys.sequence(ctx.account, ctx.region, table.id)
    now_ms = max(int(ctx.now * 1000), await last_number(tx, sequence) // _NUMBERS_PER_MS + 1)
    # Another table of this name may have had a stream in the same moment.
    while await tx.get(keys.stream(ctx.account, ctx.region, table.name, _label(now_ms))) is not None:
        now_ms += 1
    stream = records.Stream(
        table=table.name,
        table_id=table.id,
        label=_label(now_ms),
        created=ctx.now,
        view=view,
        hash=table.hash,
        range=table.range,
        first=now_ms * _NUMBERS_PER_MS,
    )
    tx.put(keys.stream(ctx.account, ctx.region, table.name, stream.label), records.encode(stream))
    tx.put(sequence, (stream.first - 1).to_bytes(_NUMBER_BYTES, "big"))
    tx.put(keys.watch("streams", ctx.account, ctx.region, table.name, stream.label), b"")
    return msgspec.structs.replace(table, stream_label=stream.label, stream_view=view)


def _label(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


async def end(ctx: Context, tx: Transaction, table: records.Table) -> records.Table:
    """Switch a table's stream off; returns its record without it."""
    key = keys.stream(ctx.account, ctx.region, table.name, table.stream_label)
    raw = await tx.get(key)
    if raw is not None:
        stream = records.decode_stream(raw)
        stream.ended = ctx.now
        stream.last = await last_number(tx, keys.sequence(ctx.account, ctx.region, table.id))
        tx.put(key, records.encode(stream))
        arn = stream_arn(ctx.region, ctx.account, table.name, table.stream_label)
        tx.on_commit(lambda: ctx.cloud.signals.fire(arn))
    return msgspec.structs.replace(table, stream_view="")


async def trim(cloud: Cloud) -> None:
    """Remove what is older than 24 hours: records, and streams that ended so long ago."""
    async for watch in batching.keys_of(cloud.store, *keys.all_watched("streams"), BATCH_RECORDS):
        await _trim_stream(cloud, watch)


async def _trim_stream(cloud: Cloud, watch: bytes) -> None:
    account, region, (table, label) = keys.watched(watch)
    stream_key = keys.stream(account, region, table, label)
    limit = cloud.clock.time() - RETENTION_S

    async def due(tx: Reader) -> bool:
        raw = await tx.get(stream_key)
        if raw is None:
            return True
        stream = records.decode_stream(raw)
        start, stop = span(account, region, stream)
        stop = await _handed_on(tx, account, region, stream, stop)
        rows = await tx.scan(start, max(start, stop), limit=1)
        gone = bool(stream.ended) and stream.ended <= limit
        return gone or any(records.decode_change(value).at < limit for _, value in rows)

    async def batch(tx: Transaction) -> bool:
        raw = await tx.get(stream_key)
        if raw is None:
            tx.delete(watch)
            return False
        stream = records.decode_stream(raw)
        gone = bool(stream.ended) and stream.ended <= limit
        start, stop = span(account, region, stream)
        stop = await _handed_on(tx, account, region, stream, stop)
        rows = await tx.scan(start, max(start, stop), limit=BATCH_RECORDS)
        old = [key for key, value in rows if gone or records.decode_change(value).at < limit]
        if old:
            tx.delete_range(start, after(old[-1]))
        if len(old) == BATCH_RECORDS:
            return True
        if gone:
            tx.delete(stream_key)
            tx.delete(watch)
            if stream.policy:
                tx.delete(keys.watch("policies", account, region, table, label))
            sequence = keys.sequence(account, region, stream.table_id)
            # The number goes with the table's last stream.
            if await last_number(tx, sequence) == stream.last and not await _has_table(tx, account, region, stream):
                tx.delete(sequence)
        return False

    if not await cloud.store.read(due):
        return
    while await cloud.store.write(batch):
        await cloud.clock.sleep(0)


async def _handed_on(tx: Reader, account: str, region: str, stream: records.Stream, stop: bytes) -> bytes:
    """Where the records end that every other replica has got; `stop` where there is none."""
    cursors = await tx.scan(*keys.cursors(account, region, stream.table_id), limit=1000)
    if not cursors:
        return stop
    least = min(int.from_bytes(number, "big") for _, number in cursors)
    return min(stop, keys.change(keys.changes(account, region, stream.table_id), least + 1))


async def _has_table(tx: Reader, account: str, region: str, stream: records.Stream) -> bool:
    raw = await tx.get(keys.table(account, region, stream.table))
    return raw is not None and records.decode_table(raw).id == stream.table_id


def span(account: str, region: str, stream: records.Stream, number: int = 0) -> keys.Range:
    """The keys of a stream's records from `number` on."""
    prefix = keys.changes(account, region, stream.table_id)
    start = keys.change(prefix, max(number, stream.first))
    return start, keys.change(prefix, stream.last + 1) if stream.ended else prefix + b"\xff"
