"""What AWS charges for keeping snapshots: while a version is active, and three hours at least.

Java's cost nothing. What restoring them costs is counted with the invocations (`usage.py`). Source: "AWS Lambda
pricing", SnapStart.
"""

from __future__ import annotations

from functools import partial

from pileus.cloud.context import Cloud
from pileus.services.lambda_ import keys
from pileus.services.lambda_.names import Target
from pileus.services.lambda_.records import CachedSnapshot, Usage, Version, decode, encode
from pileus.services.lambda_.usage import Place, day_of, record
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after, unpack

CHARGED_AT_LEAST_S = 3 * 3600.0
SCAN_LIMIT = 500
_DAY_S = 86400


async def begin(tx: Transaction, at: Target, version: Version, now: float) -> None:
    settings = version.configuration
    if settings.runtime.startswith("java"):
        return
    # Of a function of that name that was deleted.
    await end(tx, at, version.version, now)
    cached = CachedSnapshot(began=now, counted=now, memory_mb=settings.memory_mb, architecture=settings.architecture)
    tx.put(keys.cached_snapshot(at, version.version), encode(cached))


async def end(tx: Transaction, at: Target, version: str, now: float) -> None:
    """There is no snapshot any more; nothing happens where there was none."""
    key = keys.cached_snapshot(at, version)
    data = await tx.get(key)
    if data is not None:
        cached = decode(CachedSnapshot, data)
        await _count(tx, at, cached, max(now, cached.began + CHARGED_AT_LEAST_S))
        tx.delete(key)


async def count(cloud: Cloud) -> None:
    """The loop, and before a bill is made: add to the usage records what was kept until now."""
    now = cloud.clock.time()
    start, stop = keys.all_cached_snapshots()
    while True:
        page_start = start

        async def page(tx: Reader, start: bytes = page_start) -> list[tuple[bytes, bytes]]:
            return await tx.scan(start, stop, limit=SCAN_LIMIT)

        rows = await cloud.store.read(page)
        for key, _ in rows:
            await cloud.store.write(partial(_go_on, key, now))
        if len(rows) < SCAN_LIMIT:
            return
        start = after(rows[-1][0])


async def _go_on(key: bytes, now: float, tx: Transaction) -> None:
    data = await tx.get(key)
    if data is None:
        return
    account, region, name, _version = unpack(key)[4:]
    cached = decode(CachedSnapshot, data)
    await _count(tx, Target(str(account), str(region), str(name), ""), cached, now)
    tx.put(key, encode(cached))


async def _count(tx: Transaction, at: Target, cached: CachedSnapshot, now: float) -> None:
    """Each day has its own record."""
    while cached.counted < now:
        until = min(now, (cached.counted // _DAY_S + 1) * _DAY_S)
        place = Place(day_of(cached.counted), at.account, at.region, at.name, cached.architecture)
        used = Usage(cached_mb_ms=round(cached.memory_mb * (until - cached.counted) * 1000))
        await record(tx, place, used)
        cached.counted = until
