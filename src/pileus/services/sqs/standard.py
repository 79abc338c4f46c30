"""Standard queues.

A visible message is at (rank, number) under `ready`, one that is in flight or delayed at (time, number) under
`waiting`. A receive handle says where its receive has put the message; only what was moved in another way (received
again, another visibility timeout) has a record of its own that says where it is.

Fairness: in a queue with message groups the rank is a round, with at most one message of each group in it. A message
goes into the round behind its group's last one, and not before the round that is handed out now: so the messages of a
group that has few do not wait for those of a group that has many.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pileus.services.sqs import keys
from pileus.services.sqs.handles import Handle
from pileus.services.sqs.places import (
    Swept,
    Taken,
    add,
    count_waiting,
    drop_content,
    find_due,
    is_due,
    load_content,
    note_due,
)
from pileus.services.sqs.queues import Live
from pileus.services.sqs.records import Content, Counts, Entry, decode_entry, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after, range_onto, unpack_numbers


async def put(tx: Transaction, queue: Live, counts: Counts, entry: Entry, content: Content, due: int) -> None:
    """Put a message at the end of the queue, visible from `due` on (0: now).

    The caller writes the counts, and then calls `messages.tell_of`.
    """
    seq = add(tx, queue, counts, entry, content)
    if content.group:
        counts.mixed = True
        key = keys.onto(queue.round, content.group)
        last = await tx.get(key)
        entry.rank = max(counts.round, int(last) + 1 if last else 0)
        tx.put(key, b"%d" % entry.rank)
    else:
        entry.rank = counts.round
    if due:
        tx.put(keys.onto(queue.waiting, due, seq), encode(entry))
        note_due(counts, due)
        counts.delayed += 1
    else:
        tx.put(keys.onto(queue.ready, entry.rank, seq), encode(entry))
        counts.visible += 1


async def _leave_round(tx: Transaction, queue: Live, group: str, rank: int) -> None:
    """A visible message goes: with its group's last one goes what is known of the group."""
    key = keys.onto(queue.round, group)
    if await tx.get(key) == b"%d" % rank:
        tx.delete(key)


async def _drop_visible(tx: Transaction, queue: Live, counts: Counts, seq: int, key: bytes, entry: Entry) -> None:
    """Remove a visible message altogether."""
    if counts.mixed:
        content = await load_content(tx, queue, seq, entry)
        if content.group:
            await _leave_round(tx, queue, content.group, entry.rank)
    tx.delete(key)
    drop_content(tx, queue, seq, entry)
    counts.visible -= 1


async def promote(tx: Transaction, queue: Live, counts: Counts, now: int, limit: int) -> int:
    """Make visible what is due, at most `limit`; returns how many."""
    if not is_due(counts, now):
        return 0
    rows = await tx.scan(queue.waiting + b"\x00", keys.onto(queue.waiting, now + 1), limit=limit)
    for key, raw in rows:
        _, seq = unpack_numbers(key, len(queue.waiting))
        entry = decode_entry(raw)
        count_waiting(counts, entry, -1)
        counts.visible += 1
        if entry.located:
            entry.located = False
            tx.delete(keys.onto(queue.place, seq))
        tx.delete(key)
        tx.put(keys.onto(queue.ready, entry.rank, seq), encode(entry))
    await find_due(tx, queue, counts)
    return len(rows)


async def take(
    tx: Transaction,
    queue: Live,
    counts: Counts,
    *,
    limit: int,
    now: int,
    due: int,
    receives_max: int,
    given_up: list[Taken],
) -> list[Taken]:
    taken: list[Taken] = []
    start, end = range_onto(queue.ready)
    waiting = keys.onto(queue.waiting, due)
    passed = 0
    while len(taken) < limit and passed < 200:
        rows = await tx.scan(start, end, limit=limit - len(taken))
        for key, raw in rows:
            rank, seq = unpack_numbers(key, len(queue.ready))
            entry = decode_entry(raw)
            counts.round = max(counts.round, rank)
            if entry.sent + queue.retention_ms <= now:
                passed += 1
                await _drop_visible(tx, queue, counts, seq, key, entry)
                continue
            content = await load_content(tx, queue, seq, entry)
            if receives_max and entry.count >= receives_max:
                passed += 1
                await _drop_visible(tx, queue, counts, seq, key, entry)
                given_up.append(Taken(seq, entry, content))
                continue
            entry.count += 1
            entry.first = entry.first or now
            entry.received = now
            if due:
                tx.delete(key)
                if content.group:
                    await _leave_round(tx, queue, content.group, entry.rank)
                if entry.count > 1:
                    _locate(tx, queue, seq, entry, due)
                tx.put(keys.onto(waiting, seq), encode(entry))
                counts.visible -= 1
                count_waiting(counts, entry, 1)
            else:
                tx.put(key, encode(entry))
            taken.append(Taken(seq, entry, content, due))
        if not rows:
            break
        start = after(rows[-1][0])
    if taken and due:
        note_due(counts, due)
    return taken


def _locate(tx: Transaction, queue: Live, seq: int, entry: Entry, due: int) -> None:
    """Note where a message waits."""
    entry.located = True
    tx.put(keys.onto(queue.place, seq), b"%d" % due)


async def find(tx: Reader, queue: Live, handle: Handle) -> tuple[bytes, Entry, int] | None:
    """(key, entry, when it becomes visible or 0) of a message; None where it is gone."""
    if handle.due:
        key = keys.onto(queue.waiting, handle.due, handle.seq)
        raw = await tx.get(key)
        if raw is not None:
            return key, decode_entry(raw), handle.due
    key = keys.onto(queue.ready, handle.rank, handle.seq)
    raw = await tx.get(key)
    if raw is not None:
        return key, decode_entry(raw), 0
    place = await tx.get(keys.onto(queue.place, handle.seq))
    if place is None:
        return None
    key = keys.onto(queue.waiting, int(place), handle.seq)
    raw = await tx.get(key)
    return None if raw is None else (key, decode_entry(raw), int(place))


def _leave(tx: Transaction, queue: Live, counts: Counts, seq: int, key: bytes, entry: Entry, due: int) -> None:
    tx.delete(key)
    if entry.located:
        tx.delete(keys.onto(queue.place, seq))
    if due:
        count_waiting(counts, entry, -1)
    else:
        counts.visible -= 1


async def remove(tx: Transaction, queue: Live, counts: Counts, handle: Handle, now: int) -> bool:
    """Delete a message. False: the handle no longer counts (never in a standard queue)."""
    found = await find(tx, queue, handle)
    if found is not None:
        key, entry, due = found
        if due:
            _leave(tx, queue, counts, handle.seq, key, entry, due)
            drop_content(tx, queue, handle.seq, entry)
        else:
            await _drop_visible(tx, queue, counts, handle.seq, key, entry)
    return True


async def change(
    tx: Transaction, queue: Live, counts: Counts, handle: Handle, due: int, check: Callable[[Entry], None]
) -> Entry | None:
    """Have a message become visible at `due` (0: now); None where it cannot be.

    `check` raises where this message may not be; nothing is changed then.
    """
    found = await find(tx, queue, handle)
    if found is None or found[1].count != handle.receives:
        return None
    key, entry, old_due = found
    check(entry)
    _leave(tx, queue, counts, handle.seq, key, entry, old_due)
    if due:
        _locate(tx, queue, handle.seq, entry, due)
        tx.put(keys.onto(queue.waiting, due, handle.seq), encode(entry))
        note_due(counts, due)
        count_waiting(counts, entry, 1)
    else:
        entry.located = False
        tx.put(keys.onto(queue.ready, entry.rank, handle.seq), encode(entry))
        counts.visible += 1
    return entry


async def take_out(
    tx: Transaction, queue: Live, counts: Counts, limit: int, accept: Callable[[Content], Awaitable[bool]]
) -> list[Taken]:
    """Take visible messages out of the queue, to put them elsewhere, as far as the first that `accept` refuses."""
    found = []
    for key, raw in await tx.scan(*range_onto(queue.ready), limit=limit):
        _, seq = unpack_numbers(key, len(queue.ready))
        entry = decode_entry(raw)
        content = await load_content(tx, queue, seq, entry)
        if not await accept(content):
            break
        found.append(Taken(seq, entry, content))
        await _drop_visible(tx, queue, counts, seq, key, entry)
    return found


async def expire(tx: Transaction, queue: Live, counts: Counts, now: int, start: bytes | None, limit: int) -> Swept:
    """Remove visible messages that are past the retention, of those from the key `start` on."""
    begin, end = range_onto(queue.ready)
    removed, oldest = 0, now
    if not counts.mixed:
        # The oldest one is in front.
        rows = await tx.scan(begin, end, limit=1)
        if not rows or decode_entry(rows[0][1]).sent + queue.retention_ms > now:
            return Swept(removed, oldest, None)
    rows = await tx.scan(start or begin, end, limit=limit)
    for key, raw in rows:
        entry = decode_entry(raw)
        if entry.sent + queue.retention_ms <= now:
            _, seq = unpack_numbers(key, len(queue.ready))
            await _drop_visible(tx, queue, counts, seq, key, entry)
            removed += 1
            continue
        oldest = min(oldest, entry.sent)
        if not counts.mixed:
            return Swept(removed, oldest, None)
    return Swept(removed, oldest, rows[-1][0] + b"\x00" if rows else None)
