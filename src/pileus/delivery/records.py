"""What the outbox keeps, and where.

    ("outbox", "record", id)                     a delivery
    ("outbox", "due", target, time, seq)         when it is to be tried next -> its id and order key
    ("outbox", "line", target, order, seq)       the line of one order key -> its id

`seq` is the delivery's number: the order in which deliveries were put, and what tells a delivery from an earlier one of
the same id. Putting reads nothing, so it leaves behind the entries of a delivery that it replaces: they are dropped
when they are come across. Of a line the first always has an entry by time, and the others need none.
"""

from __future__ import annotations

import msgspec

from pileus.delivery.contract import Delivery
from pileus.store import keys
from pileus.store.contract import Reader, Transaction

_RECORD = keys.pack("outbox", "record")
_DUE = keys.pack("outbox", "due")
_LINE = keys.pack("outbox", "line")
_STARTS = keys.pack("outbox", "starts")

# Numbers of one start of the process.
_SEQ_BITS = 40

VERSION = 1


class Record(msgspec.Struct, array_like=True):
    """A delivery with what only the outbox needs."""

    version: int
    seq: int
    delivery: Delivery
    # When it was first due: its age counts from here.
    since: float
    # All attempts, those included that do not count.
    tries: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode
_decode_entry = msgspec.msgpack.Decoder(tuple[str, str]).decode


def record_key(id: str) -> bytes:
    return keys.pack_onto(_RECORD, id)


def due_key(record: Record) -> bytes:
    return keys.pack_onto(_DUE, record.delivery.target, record.delivery.due, record.seq)


def due_range(target: str) -> tuple[bytes, bytes]:
    return keys.range_onto(keys.pack_onto(_DUE, target))


def due_of(key: bytes) -> tuple[float, int]:
    """Time and number of an entry by time."""
    _, due, seq = keys.unpack(key, len(_DUE))
    assert isinstance(due, float)
    assert isinstance(seq, int)
    return due, seq


async def next_start(tx: Transaction) -> int:
    """The first number of a process that starts: beyond those of all earlier ones."""
    starts = int(await tx.get(_STARTS) or b"0") + 1
    tx.put(_STARTS, b"%d" % starts)
    return starts << _SEQ_BITS


async def read(reader: Reader, id: str) -> Record | None:
    data = await reader.get(record_key(id))
    return None if data is None else _decode(data)


def put(tx: Transaction, record: Record) -> None:
    """Put a new record, at the end of its line."""
    update(tx, record)
    if record.delivery.order:
        tx.put(_line_key(record), record.delivery.id.encode())


def update(tx: Transaction, record: Record) -> None:
    """Put a record that may be tried, with its entry by time."""
    delivery = record.delivery
    tx.put(record_key(delivery.id), _encode(record))
    tx.put(due_key(record), _encode((delivery.id, delivery.order)))


async def remove(tx: Transaction, record: Record) -> None:
    """Remove what there is of a record; whoever is the first of its line then may be tried."""
    delivery = record.delivery
    current = await read(tx, delivery.id)
    if current is not None and current.seq == record.seq:
        tx.delete(record_key(delivery.id))
    tx.delete(due_key(record))
    if delivery.order:
        await _leave_line(tx, delivery.target, delivery.order, record.seq)


async def of_entry(reader: Reader, key: bytes, value: bytes) -> Record | None:
    """The record that an entry by time belongs to, or None where it belongs to none any more."""
    id, _ = _decode_entry(value)
    record = await read(reader, id)
    return record if record is not None and due_key(record) == key else None


async def drop_entry(tx: Transaction, target: str, key: bytes, value: bytes) -> None:
    """Drop an entry by time unless it belongs to a record that may be tried."""
    record = await of_entry(tx, key, value)
    if record is None:
        tx.delete(key)
        _, order = _decode_entry(value)
        if order:
            await _leave_line(tx, target, order, due_of(key)[1])
    elif not await is_first(tx, record):
        tx.delete(key)


async def is_first(reader: Reader, record: Record) -> bool:
    """Whether nothing stands before it in its line."""
    delivery = record.delivery
    if not delivery.order:
        return True
    start, _ = _line_range(delivery.target, delivery.order)
    return not await reader.scan(start, _line_key(record), limit=1)


async def _leave_line(tx: Transaction, target: str, order: str, seq: int) -> None:
    start, end = _line_range(target, order)
    tx.delete(keys.pack_onto(_LINE, target, order, seq))
    while first := await tx.scan(start, end, limit=1):
        key, id = first[0]
        following = await read(tx, id.decode())
        if following is not None and _line_key(following) == key:
            update(tx, following)
            return
        # Replaced by another delivery of the same id.
        tx.delete(key)


def _line_key(record: Record) -> bytes:
    return keys.pack_onto(_LINE, record.delivery.target, record.delivery.order, record.seq)


def _line_range(target: str, order: str) -> tuple[bytes, bytes]:
    return keys.range_onto(keys.pack_onto(_LINE, target, order))
