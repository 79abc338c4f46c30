"""Messages at their places in a queue: putting, taking, finding, removing them.

Each is a few gets, puts and short scans, whatever the queue holds: see "How messages are kept" in the README. What
standard and FIFO queues do differently is in `standard.py` and `fifo.py`, behind the same functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from pileus.cloud.context import Cloud
from pileus.services.sqs import fifo, standard
from pileus.services.sqs.memory import Memory
from pileus.services.sqs.places import Taken
from pileus.services.sqs.queues import Live, counts_of, find_arn
from pileus.services.sqs.records import Counts, Entry, encode
from pileus.store.contract import Transaction


def kind_of(queue: Live) -> ModuleType:
    return fifo if queue.fifo else standard


def tell_of(cloud: Cloud, tx: Transaction, queue: Live, dues: Sequence[int]) -> None:
    """Wake who waits for the messages that were put, once the commit is on disk; `dues` has each one's."""
    memory = cloud.part(Memory)
    visible = dues.count(0)
    if visible:
        tx.on_commit(lambda: memory.arrived(queue.id, visible))
    if visible < len(dues):
        first = min(due for due in dues if due)
        tx.on_commit(lambda: memory.note_due(queue, first))


async def receive(
    cloud: Cloud, tx: Transaction, queue: Live, counts: Counts, limit: int, visibility_ms: int, now: int
) -> list[Taken]:
    """Take up to `limit` visible messages; those received too often go to the dead-letter queue instead."""
    kind = kind_of(queue)
    await kind.promote(tx, queue, counts, now, limit + 10)
    dead = await find_arn(cloud, tx, queue.dead_letter_arn) if queue.receives_max else None
    given_up: list[Taken] = []
    taken: list[Taken] = await kind.take(
        tx,
        queue,
        counts,
        limit=limit,
        now=now,
        due=now + visibility_ms if visibility_ms else 0,
        receives_max=queue.receives_max if dead is not None else 0,
        given_up=given_up,
    )
    if given_up and dead is not None:
        await give_up(cloud, tx, queue, dead, given_up, now)
    if taken and visibility_ms:
        tx.on_commit(lambda: cloud.part(Memory).note_due(queue, now + visibility_ms))
    return taken


async def give_up(cloud: Cloud, tx: Transaction, queue: Live, dead: Live, messages: list[Taken], now: int) -> None:
    """Put messages that were taken out of `queue` into its dead-letter queue."""
    counts = await counts_of(tx, dead)
    for one in messages:
        content = one.content
        content.source = queue.arn
        # In a standard queue a message expires as if it had not been moved; in a FIFO queue it starts anew.
        entry = Entry(sent=now if queue.fifo else one.entry.sent, count=one.entry.count, first=one.entry.first)
        await kind_of(dead).put(tx, dead, counts, entry, content, 0)
    tell_of(cloud, tx, dead, [0] * len(messages))
    # In a standard queue they are older than others before them.
    counts.mixed = not queue.fifo
    tx.put(dead.counts_key, encode(counts))
