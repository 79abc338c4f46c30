"""EventBridge's background work: events that archives keep no longer."""

from __future__ import annotations

import orjson

from pileus.cloud.context import Cloud
from pileus.services.events import keys
from pileus.services.events.archiving import size_of, size_of_event
from pileus.services.events.records import Archive, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

_PART = 500


async def sweep(cloud: Cloud) -> None:
    """Drop the events of deleted archives."""
    garbage = await cloud.store.read(lambda tx: tx.scan(*keys.archive_garbages(), limit=_PART))
    for key, _ in garbage:
        span = keys.all_archived(keys.archive_of_garbage(key))
        while await cloud.store.write(lambda tx, span=span: _drop(tx, span)) == _PART:  # type: ignore[misc]
            pass
        await cloud.store.write(lambda tx, key=key: _forget(tx, key))  # type: ignore[misc]


async def _forget(tx: Transaction, key: bytes) -> None:
    tx.delete(key)


async def _drop(tx: Transaction, span: tuple[bytes, bytes]) -> int:
    entries = await tx.scan(*span, limit=_PART)
    for key, _ in entries:
        tx.delete(key)
    return len(entries)


async def retain(cloud: Cloud) -> None:
    """Drop the events that are older than their archives keep them."""
    start, end = keys.archive_indexes()
    while True:
        entries = await cloud.store.read(lambda tx, start=start: tx.scan(start, end, limit=_PART))  # type: ignore[misc]
        for key, _ in entries:
            await _retain(cloud, keys.archive_of_index(key))
        if len(entries) < _PART:
            return
        start = after(entries[-1][0])


async def _retain(cloud: Cloud, name: tuple[str, str, str]) -> None:
    async def find(tx: Reader) -> Archive | None:
        data = await tx.get(keys.archive(*name))
        return None if data is None else decode(Archive, data)

    archive = await cloud.store.read(find)
    if archive is None or not archive.retention_days:
        return
    until_ms = int((cloud.clock.time() - archive.retention_days * 86400) * 1000)
    id, span = archive.id, keys.archived_between(archive.id, 0, until_ms)

    async def drop(tx: Transaction) -> int:
        entries = await tx.scan(*span, limit=_PART)
        if entries:
            size = await size_of(tx, id)
            for key, data in entries:
                tx.delete(key)
                size.events -= 1
                size.bytes -= size_of_event(orjson.loads(data))
            tx.put(keys.archive_size(id), encode(size))
        return len(entries)

    while await cloud.store.write(drop) == _PART:
        pass
