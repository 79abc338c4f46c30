"""What changed in a table between two moments, for incremental exports: each item once, as it was before and after.

It is gathered aside, as the items of a copy are, from the table's history: the first entry behind a moment holds what
an item was at that moment, and where there is none the item is as it is now. The table is written to meanwhile. It can
be done again from the start.

Source: "DynamoDB table export output format" in the Developer Guide.
"""

from __future__ import annotations

import msgspec

from pileus.cloud.context import Cloud
from pileus.services.dynamodb import batching, history, keys, records, replication
from pileus.services.dynamodb.tables import Table
from pileus.store.contract import Transaction
from pileus.store.keys import after

BATCH_ENTRIES = 500


class Changed(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """An item that changed: when last, microseconds since the epoch, and its images where it was there."""

    at: int
    old: bytes | None = None
    new: bytes | None = None
    # Whether `new` is known.
    settled: bool = False


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Changed).decode


class _Place(msgspec.Struct, frozen=True):
    """How far it is: the next entry of the history, and behind which changed item the unsettled ones are."""

    number: int
    at: bytes | None = None


async def gather(cloud: Cloud, account: str, region: str, export: records.Export) -> None:
    """Gather what changed from an export's first moment on and before its last."""
    start, stop = _micros(export.since), _micros(export.moment)
    prefix = keys.backup_items(account, region, export.id)
    place: _Place | None = _Place(start)
    while place is not None:

        async def batch(tx: Transaction, place: _Place = place) -> _Place | None:
            table = await replication.load(tx, account, region, export.table)
            return None if table is None else await _step(tx, table, prefix, stop, place)

        place = await cloud.store.write(batch)
        # Let others have their turn.
        await cloud.clock.sleep(0)


def _micros(moment: float) -> int:
    return round(moment * 1_000_000)


async def _step(tx: Transaction, table: Table, prefix: bytes, stop: int, place: _Place) -> _Place | None:
    entries, more = await history.between(tx, table, place.number)
    for number, entry in entries:
        key = prefix + entry.place
        raw = await tx.get(key)
        known = None if raw is None else decode(raw)
        if number < stop:
            known = known or Changed(at=number, old=entry.old)
            known.at = max(known.at, number)
        elif known is None or known.settled:
            continue
        else:
            known.new, known.settled = entry.old, True
        tx.put(key, encode(known))
    if more:
        return _Place(entries[-1][0] + 1, place.at)
    number = entries[-1][0] + 1 if entries else place.number
    # In this transaction nothing lies behind the history's end: what is not settled is as it is now.
    start = prefix if place.at is None else after(place.at)
    rows, more = await batching.scan(tx, start, prefix + b"\xff", BATCH_ENTRIES)
    for key, raw in rows:
        known = decode(raw)
        if not known.settled:
            known.new, known.settled = await tx.get(table.prefix + key[len(prefix) :]), True
            tx.put(key, encode(known))
    return _Place(number, rows[-1][0]) if more else None
