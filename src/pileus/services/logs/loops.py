"""CloudWatch Logs' background work: events past their retention, chunks of deleted streams."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.services.logs import keys
from pileus.services.logs.chunks import SPAN_MS, first_ms, size_bytes
from pileus.services.logs.records import Group, Stream, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after, unpack

DAY_MS = 24 * 3600 * 1000
# Keys that one transaction removes: other writers wait no longer than for these.
SWEEP_BATCH = 200
SCAN_LIMIT = 500


async def sweep(cloud: Cloud) -> None:
    """Remove what deleted streams held, a batch at a time."""
    while True:
        if not await cloud.store.write(_sweep_batch):
            return


async def _sweep_batch(tx: Transaction) -> bool:
    marks = await tx.scan(*keys.garbages(), limit=1)
    if not marks:
        return False
    stream_id = str(unpack(marks[0][0])[-1])
    found = await tx.scan(*keys.chunks(stream_id), limit=SWEEP_BATCH)
    for key, _ in found:
        tx.delete(key)
    if len(found) < SWEEP_BATCH:
        tx.delete(marks[0][0])
    return True


async def expire(cloud: Cloud) -> None:
    """Remove events past their group's retention, and count what each group holds."""
    now_ms = int(cloud.clock.time() * 1000)
    at, end = keys.group_indexes()

    async def names(tx: Reader) -> list[bytes]:
        return [key for key, _ in await tx.scan(at, end, limit=SCAN_LIMIT)]

    while found := await cloud.store.read(names):
        for key in found:
            account, region, name = (str(part) for part in unpack(key)[-3:])
            await _expire_group(cloud, account, region, name, now_ms)
        at = after(found[-1])


async def _expire_group(cloud: Cloud, account: str, region: str, name: str, now_ms: int) -> None:
    key = keys.group(account, region, name)

    async def load(tx: Reader) -> tuple[Group, list[Stream]] | None:
        if (data := await tx.get(key)) is None:
            return None
        group = decode(Group, data)
        start, end = keys.streams(account, region, group.id)
        streams: list[Stream] = []
        while found := await tx.scan(start, end, limit=SCAN_LIMIT):
            streams += [decode(Stream, value) for _, value in found]
            start = after(found[-1][0])
        return group, streams

    loaded = await cloud.store.read(load)
    if loaded is None:
        return
    group, streams = loaded
    if group.retention_days:
        # A chunk goes when its last event must be gone.
        before_ms = now_ms - group.retention_days * DAY_MS - SPAN_MS
        for stream in streams:
            if stream.first_event_ms is not None and stream.first_event_ms < before_ms:
                await _expire_stream(cloud, keys.stream(account, region, group.id, stream.name), stream.id, before_ms)
    total = sum(stream.size_bytes for stream in streams)
    if total != group.stored_bytes:

        async def count(tx: Transaction) -> None:
            if (data := await tx.get(key)) is not None:
                current = decode(Group, data)
                current.stored_bytes = total
                tx.put(key, encode(current))

        await cloud.store.write(count)


async def _expire_stream(cloud: Cloud, key: bytes, stream_id: str, before_ms: int) -> None:
    async def batch(tx: Transaction) -> bool:
        return await _expire_batch(tx, key, stream_id, before_ms)

    while await cloud.store.write(batch):
        pass


async def _expire_batch(tx: Transaction, key: bytes, stream_id: str, before_ms: int) -> bool:
    start, end = keys.chunks(stream_id)
    found = await tx.scan(start, keys.chunks_from(stream_id, max(before_ms, 0)), limit=SWEEP_BATCH)
    for chunk, _ in found:
        tx.delete(chunk)
    data = await tx.get(key)
    if data is None:
        return False
    current = decode(Stream, data)
    current.size_bytes -= sum(size_bytes(value) for _, value in found)
    if left := await tx.scan(start, end, limit=1):
        current.first_event_ms = first_ms(left[0][0])
    else:
        current.first_event_ms = current.last_event_ms = None
    tx.put(key, encode(current))
    return len(found) == SWEEP_BATCH
