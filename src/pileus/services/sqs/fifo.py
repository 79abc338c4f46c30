"""FIFO queues.

Every message is in its group's line, in the order in which it was sent. `ready` holds the groups whose first message is
visible, by that message's number; `waiting` holds the messages that are in flight or delayed, by the time at which they
become visible. A group's messages are handed out from the first on, as far as the first one that waits.
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
from pileus.store.keys import range_onto, unpack


def _line(queue: Live, group: str) -> bytes:
    return keys.onto(queue.line, group)


async def _first(tx: Reader, queue: Live, group: str) -> tuple[int, Entry] | None:
    line = _line(queue, group)
    rows = await tx.scan(*range_onto(line), limit=1)
    if not rows:
        return None
    (seq,) = unpack(rows[0][0], len(line))
    assert isinstance(seq, int)
    return seq, decode_entry(rows[0][1])


async def put(tx: Transaction, queue: Live, counts: Counts, entry: Entry, content: Content, due: int) -> None:
    """See `standard.put`."""
    seq, group = add(tx, queue, counts, entry, content), content.group
    first = await _first(tx, queue, group)
    entry.due = due
    tx.put(keys.onto(_line(queue, group), seq), encode(entry))
    if due:
        tx.put(keys.onto(queue.waiting, due, seq), group.encode())
        note_due(counts, due)
        counts.delayed += 1
        return
    counts.visible += 1
    if first is None:
        tx.put(keys.onto(queue.ready, seq), group.encode())


async def promote(tx: Transaction, queue: Live, counts: Counts, now: int, limit: int) -> int:
    """Make visible what is due, at most `limit`; returns how many."""
    if not is_due(counts, now):
        return 0
    rows = await tx.scan(queue.waiting + b"\x00", keys.onto(queue.waiting, now + 1), limit=limit)
    for key, raw_group in rows:
        _, seq = unpack(key, len(queue.waiting))
        group = raw_group.decode()
        tx.delete(key)
        place = keys.onto(_line(queue, group), seq)
        raw = await tx.get(place)
        if raw is None:
            continue
        entry = decode_entry(raw)
        count_waiting(counts, entry, -1)
        counts.visible += 1
        entry.due = 0
        tx.put(place, encode(entry))
        first = await _first(tx, queue, group)
        if first is not None and first[0] == seq:
            tx.put(keys.onto(queue.ready, seq), raw_group)
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
    for _ in range(200):
        if len(taken) >= limit:
            break
        rows = await tx.scan(start, end, limit=limit - len(taken))
        if not rows:
            break
        for key, raw_group in rows:
            start = key + b"\x00"
            if len(taken) >= limit:
                break
            await _take_group(
                tx, queue, counts, raw_group.decode(), key, limit, now, due, receives_max, taken, given_up
            )
    return taken


async def _take_group(
    tx: Transaction,
    queue: Live,
    counts: Counts,
    group: str,
    ready_key: bytes,
    limit: int,
    now: int,
    due: int,
    receives_max: int,
    taken: list[Taken],
    given_up: list[Taken],
) -> None:
    line = _line(queue, group)
    rows = await tx.scan(*range_onto(line), limit=limit - len(taken))
    first: tuple[int, bool] | None = None
    for key, raw in rows:
        (seq,) = unpack(key, len(line))
        assert isinstance(seq, int)
        entry = decode_entry(raw)
        if entry.due:
            first = first or (seq, False)
            break
        content = await load_content(tx, queue, seq, entry)
        expired = entry.sent + queue.retention_ms <= now
        if expired or (receives_max and entry.count >= receives_max):
            tx.delete(key)
            drop_content(tx, queue, seq, entry)
            counts.visible -= 1
            if not expired:
                given_up.append(Taken(seq, entry, content))
            continue
        entry.count += 1
        entry.first = entry.first or now
        entry.received = now
        entry.due = due
        tx.put(key, encode(entry))
        if due:
            tx.put(keys.onto(queue.waiting, due, seq), group.encode())
            note_due(counts, due)
            counts.visible -= 1
            count_waiting(counts, entry, 1)
        first = first or (seq, not due)
        taken.append(Taken(seq, entry, content, due))
    tx.delete(ready_key)
    if first is None:
        # All that was looked at is gone: whoever is first now has its turn at the next receive.
        await _offer(tx, queue, group)
    elif first[1]:
        tx.put(keys.onto(queue.ready, first[0]), group.encode())


async def _offer(tx: Transaction, queue: Live, group: str) -> None:
    """Let the group be received from where its first message is visible."""
    first = await _first(tx, queue, group)
    if first is not None and not first[1].due:
        tx.put(keys.onto(queue.ready, first[0]), group.encode())


def _key(queue: Live, handle: Handle) -> bytes:
    return keys.onto(_line(queue, handle.group), handle.seq)


async def remove(tx: Transaction, queue: Live, counts: Counts, handle: Handle, now: int) -> bool:
    """Delete a message. False: its visibility timeout has run out, so the handle no longer counts."""
    key = _key(queue, handle)
    raw = await tx.get(key)
    if raw is None:
        return True
    entry = decode_entry(raw)
    if _is_over(entry, handle, now):
        return False
    first = await _first(tx, queue, handle.group)
    _leave(tx, queue, counts, handle.seq, entry)
    tx.delete(key)
    drop_content(tx, queue, handle.seq, entry)
    if first is not None and first[0] == handle.seq:
        if not entry.due:
            tx.delete(keys.onto(queue.ready, handle.seq))
        await _offer(tx, queue, handle.group)
    return True


def _is_over(entry: Entry, handle: Handle, now: int) -> bool:
    # Received with a visibility timeout of 0 it is visible from the start: then nobody may have received it since.
    return entry.count != handle.receives or (bool(handle.due) and (not entry.due or entry.due <= now))


async def has_expired(tx: Reader, queue: Live, handle: Handle, now: int) -> bool:
    """Whether the message is there and the visibility timeout has run out for which the handle was given."""
    raw = await tx.get(_key(queue, handle))
    return raw is not None and _is_over(decode_entry(raw), handle, now)


def _leave(tx: Transaction, queue: Live, counts: Counts, seq: int, entry: Entry) -> None:
    if entry.due:
        tx.delete(keys.onto(queue.waiting, entry.due, seq))
        count_waiting(counts, entry, -1)
    else:
        counts.visible -= 1


async def change(
    tx: Transaction, queue: Live, counts: Counts, handle: Handle, due: int, check: Callable[[Entry], None]
) -> Entry | None:
    """Have a message become visible at `due` (0: now); None where it cannot be.

    `check` raises where this message may not be; nothing is changed then.
    """
    key = _key(queue, handle)
    raw = await tx.get(key)
    if raw is None:
        return None
    entry = decode_entry(raw)
    if entry.count != handle.receives:
        return None
    check(entry)
    first = await _first(tx, queue, handle.group)
    _leave(tx, queue, counts, handle.seq, entry)
    entry.due = due
    tx.put(key, encode(entry))
    if due:
        tx.put(keys.onto(queue.waiting, due, handle.seq), handle.group.encode())
        note_due(counts, due)
        count_waiting(counts, entry, 1)
    else:
        counts.visible += 1
    if first is not None and first[0] == handle.seq:
        ready = keys.onto(queue.ready, handle.seq)
        if due:
            tx.delete(ready)
        else:
            tx.put(ready, handle.group.encode())
    return entry


async def again(
    tx: Transaction,
    queue: Live,
    counts: Counts,
    messages: list[tuple[str, int, int]],
    was_due: int,
    due: int,
    now: int,
) -> list[Taken] | None:
    """Hand out once more what a repeated call was answered before: (group, number, receive count) of each message.

    None where one of them was deleted, has become visible or got another visibility timeout than `was_due`.
    """
    found = []
    for group, seq, count in messages:
        raw = await tx.get(keys.onto(_line(queue, group), seq))
        entry = None if raw is None else decode_entry(raw)
        if entry is None or entry.count != count or entry.due <= now or entry.due != was_due:
            return None
        found.append((group, seq, entry))
    answered = []
    for group, seq, entry in found:
        tx.delete(keys.onto(queue.waiting, entry.due, seq))
        entry.due = due
        tx.put(keys.onto(queue.waiting, due, seq), group.encode())
        note_due(counts, due)
        tx.put(keys.onto(_line(queue, group), seq), encode(entry))
        answered.append(Taken(seq, entry, await load_content(tx, queue, seq, entry), due))
    return answered


async def take_out(
    tx: Transaction, queue: Live, counts: Counts, limit: int, accept: Callable[[Content], Awaitable[bool]]
) -> list[Taken]:
    """Take visible messages out of the queue, to put them elsewhere, as far as the first that `accept` refuses."""
    found: list[Taken] = []
    refused = False
    for ready, raw_group in await tx.scan(*range_onto(queue.ready), limit=limit):
        group = raw_group.decode()
        line = _line(queue, group)
        for key, raw in await tx.scan(*range_onto(line), limit=limit - len(found)):
            (seq,) = unpack(key, len(line))
            assert isinstance(seq, int)
            entry = decode_entry(raw)
            if entry.due:
                break
            content = await load_content(tx, queue, seq, entry)
            if not await accept(content):
                refused = True
                break
            found.append(Taken(seq, entry, content))
            tx.delete(key)
            drop_content(tx, queue, seq, entry)
            counts.visible -= 1
        tx.delete(ready)
        await _offer(tx, queue, group)
        if refused or len(found) >= limit:
            break
    return found


async def expire(tx: Transaction, queue: Live, counts: Counts, now: int, start: bytes | None, limit: int) -> Swept:
    """Remove messages that are past the retention, from the oldest group on: `ready` has them in their order."""
    removed = 0
    begin, end = range_onto(queue.ready)
    for ready, raw_group in await tx.scan(begin, end, limit=limit):
        group = raw_group.decode()
        line = _line(queue, group)
        gone = 0
        for key, raw in await tx.scan(*range_onto(line), limit=limit):
            entry = decode_entry(raw)
            if entry.due or entry.sent + queue.retention_ms > now:
                break
            (seq,) = unpack(key, len(line))
            assert isinstance(seq, int)
            tx.delete(key)
            drop_content(tx, queue, seq, entry)
            counts.visible -= 1
            gone += 1
        if not gone:
            break
        tx.delete(ready)
        await _offer(tx, queue, group)
        removed += gone
        if removed >= limit:
            return Swept(removed, now, begin)
    return Swept(removed, now, None)
