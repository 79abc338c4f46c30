"""What `standard.py` and `fifo.py` share."""

from __future__ import annotations

from typing import NamedTuple

from pileus.services.sqs import keys
from pileus.services.sqs.queues import Live
from pileus.services.sqs.records import Content, Counts, Entry, decode_content
from pileus.store.contract import Reader, Transaction


class Taken(NamedTuple):
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


async def load_content(tx: Reader, queue: Live, seq: int, entry: Entry) -> Content:
    raw = entry.content or await tx.get(keys.onto(queue.content, seq))
    assert raw is not None, "a message without content"
    return decode_content(raw)


def drop_content(tx: Transaction, queue: Live, seq: int, entry: Entry) -> None:
    if not entry.content:
        tx.delete(keys.onto(queue.content, seq))


def count_waiting(counts: Counts, entry: Entry, change: int) -> None:
    """Count a message that waits: in flight, or delayed where nobody has received it yet."""
    if entry.received:
        counts.in_flight += change
    else:
        counts.delayed += change
