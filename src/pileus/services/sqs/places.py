"""What `standard.py` and `fifo.py` share."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pileus.services.sqs import keys
from pileus.services.sqs.queues import Live
from pileus.services.sqs.records import Content, Counts, Entry, decode_content, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import range_onto, unpack


class Taken(msgspec.Struct, gc=False):
    """A message that was received, as it is now."""

    seq: int
    entry: Entry
    content: Content
    # When it becomes visible again; 0: it is.
    due: int = 0


class Swept(NamedTuple):
    """What a look for messages past the retention has come to."""

    removed: int
    # When the oldest message that was seen and stays was sent; the time of the look where there was none.
    oldest: int
    # The key from which on the rest is to be looked at; None: there is none.
    start: bytes | None


# A larger content is kept beside its entry, so that moving the entry does not copy it.
INLINE_BYTES_MAX = 3 * 1024


def add(tx: Transaction, queue: Live, counts: Counts, entry: Entry, content: Content) -> int:
    """Give a message the next number, and its entry the content; returns the number."""
    seq = counts.seq
    counts.seq += 1
    raw = encode(content)
    if len(raw) > INLINE_BYTES_MAX:
        tx.put(keys.onto(queue.content, seq), raw)
        raw = b""
    entry.content = raw
    return seq


async def load_content(tx: Reader, queue: Live, seq: int, entry: Entry) -> Content:
    raw = entry.content or await tx.get(keys.onto(queue.content, seq))
    assert raw is not None, "a message without content"
    return decode_content(raw)


def drop_content(tx: Transaction, queue: Live, seq: int, entry: Entry) -> None:
    if not entry.content:
        tx.delete(keys.onto(queue.content, seq))


NEVER = 1 << 62


def is_due(counts: Counts, now: int) -> bool:
    """Whether something that waits may have become visible."""
    return counts.due <= now


def note_due(counts: Counts, due: int) -> None:
    """Something is put to wait until `due`."""
    counts.due = min(counts.due, due)


async def find_due(tx: Reader, queue: Live, counts: Counts) -> None:
    """Look when the first of those that wait becomes visible."""
    rows = await tx.scan(*range_onto(queue.waiting), limit=1)
    due = unpack(rows[0][0], len(queue.waiting))[0] if rows else NEVER
    assert isinstance(due, int)
    counts.due = due


def count_waiting(counts: Counts, entry: Entry, change: int) -> None:
    """Count a message that waits: in flight, or delayed where nobody has received it yet."""
    if entry.received:
        counts.in_flight += change
    else:
        counts.delayed += change
