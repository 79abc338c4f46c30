"""Background work."""

from __future__ import annotations

from functools import partial

from pileus.cloud.context import Cloud
from pileus.services.sqs import keys, moving
from pileus.services.sqs.expiring import BATCH, Passes, Place, expire
from pileus.services.sqs.memory import LOOP, Memory
from pileus.services.sqs.messages import kind_of
from pileus.services.sqs.places import NEVER
from pileus.services.sqs.queues import Known, counts_of, find_at
from pileus.services.sqs.records import encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after, unpack


async def start(cloud: Cloud) -> None:
    cloud.parts[Known] = Known()
    cloud.parts[Passes] = Passes()
    memory = cloud.parts[Memory] = Memory(partial(cloud.nudge, LOOP))
    cloud.before_end.append(memory.close)
    # What becomes visible while nobody receives is found by the loops: they look at every queue once.
    for account, region, name in await every_queue(cloud):
        memory.note(account, region, name, 0)


async def every_queue(cloud: Cloud) -> list[Place]:
    found: list[Place] = []

    async def read(tx: Reader) -> None:
        start, end = keys.indexes()
        while rows := await tx.scan(start, end, limit=1000):
            for key, _ in rows:
                account, region, name = unpack(key)[-3:]
                found.append((str(account), str(region), str(name)))
            start = after(rows[-1][0])

    await cloud.store.read(read)
    return found


async def due(cloud: Cloud) -> float:
    """Make visible what is due, and end the waits whose time is over; returns the seconds until there is more."""
    memory = cloud.part(Memory)
    now = cloud.clock.time()
    for place in memory.take_due(now):
        await cloud.store.write(partial(_promote, cloud, place, int(now * 1000)))
    memory.end_waits(cloud.clock.time())
    return max(0.0, memory.next_at() - cloud.clock.time())


async def _promote(cloud: Cloud, place: Place, now: int, tx: Transaction) -> None:
    queue = await find_at(cloud, tx, *place)
    if queue is None:
        return
    counts = await counts_of(tx, queue)
    before = encode(counts)
    promoted = await kind_of(queue).promote(tx, queue, counts, now, BATCH)
    if encode(counts) != before:
        tx.put(queue.counts_key, encode(counts))
    memory = cloud.part(Memory)

    def tell() -> None:
        memory.arrived(queue.id, promoted)
        if counts.due < NEVER:
            memory.note_due(queue, counts.due)

    tx.on_commit(tell)


async def move(cloud: Cloud) -> float:
    return await moving.step(cloud)


async def sweep(cloud: Cloud) -> float | None:
    """Remove what has expired: messages past their retention, deduplications, what purged queues held."""
    now = int(cloud.clock.time() * 1000)
    more = await cloud.store.write(partial(_remove_expired, now))
    more = await cloud.store.write(_remove_garbage) or more
    places = await every_queue(cloud)
    cloud.part(Passes).keep(places)
    for place in places:
        more = await expire(cloud, place) or more
    return 0.0 if more else None


async def _remove_expired(now: int, tx: Transaction) -> bool:
    rows = await tx.scan(*keys.expired(now), limit=BATCH)
    for key, _ in rows:
        expires, target = unpack(key)[-2:]
        assert isinstance(expires, int)
        assert isinstance(target, bytes)
        raw = await tx.get(target)
        # It may have been put again since, with a later end.
        if raw is not None and _expires(raw) <= expires:
            tx.delete(target)
        tx.delete(key)
    return len(rows) == BATCH


def _expires(raw: bytes) -> int:
    """The first field of what expires, whatever it is."""
    from msgspec import msgpack

    fields = msgpack.decode(raw)
    assert isinstance(fields, list)
    return int(fields[0])


async def _remove_garbage(tx: Transaction) -> bool:
    rows = await tx.scan(*keys.garbages(), limit=1)
    if not rows:
        return False
    data = str(unpack(rows[0][0])[-1])
    left = BATCH
    for begin, end in keys.data_ranges(data):
        found = await tx.scan(begin, end, limit=left)
        for key, _ in found:
            tx.delete(key)
        left -= len(found)
        if left <= 0:
            return True
    tx.delete(rows[0][0])
    return True
