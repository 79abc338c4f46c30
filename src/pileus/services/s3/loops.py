"""S3's background work: what lifecycle rules ask for.

Everything falls due at a midnight, so each bucket with rules is gone through once a day, and when its rules have
changed. It is read in batches, and what is due is done in small transactions, each of which looks again: what a step
leaves undone, the next one does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import NamedTuple

from pileus.cloud.context import Cloud, Context, HttpInfo
from pileus.kernel.principal import service_principal
from pileus.services.s3 import (
    access_logs,
    buckets,
    deleting,
    keys,
    lifecycle,
    locks,
    notifications,
    uploading,
    versions,
)
from pileus.services.s3.records import Bucket, Object, decode_object, decode_upload
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after, range_onto, unpack

SCAN_BATCH = 500
# Versions that one transaction removes or moves: other writers wait no longer than for these.
WRITE_BATCH = 100
# How access logs tell of moves, by the class that an object comes to ("Lifecycle and logging").
_MOVES = {
    "STANDARD_IA": "S3.TRANSITION_SIA.OBJECT",
    "ONEZONE_IA": "S3.TRANSITION_ZIA.OBJECT",
    "INTELLIGENT_TIERING": "S3.TRANSITION_INT.OBJECT",
    "GLACIER_IR": "S3.TRANSITION_GIR.OBJECT",
    "GLACIER": "S3.TRANSITION.OBJECT",
    "DEEP_ARCHIVE": "S3.TRANSITION_GDA.OBJECT",
}


class _Seen(NamedTuple):
    """A version that may be due; `since` and `newer` where it is not current."""

    key: str
    version: Object
    since: float = 0.0
    newer: int = -1


async def run_lifecycles(cloud: Cloud) -> None:
    day = str(int(cloud.clock.time() // lifecycle.DAY_S))
    at, end = keys.lifecycles_range()

    async def look(tx: Reader) -> list[tuple[bytes, bytes]]:
        return await tx.scan(at, end, limit=SCAN_BATCH)

    while rows := await cloud.store.read(look):
        for store_key, done in rows:
            if done.decode() != day:
                name = keys.lifecycle_name(store_key)
                rules = await _run(cloud, name)
                await cloud.store.write(partial(_note, name, day, rules))
        at = after(rows[-1][0])


async def _note(name: str, day: str, rules: list[object], tx: Transaction) -> None:
    """Nothing is due in this bucket before the next day, if its rules are still the same."""
    bucket = await buckets.load(tx, name)
    if bucket is not None and bucket.lifecycle == rules:
        tx.put(keys.lifecycle(name), day.encode())


async def _run(cloud: Cloud, name: str) -> list[object]:
    bucket = await cloud.store.read(lambda tx: buckets.load(tx, name))
    if bucket is None:
        return []
    await _objects(cloud, bucket)
    await _versions(cloud, bucket)
    await _uploads(cloud, bucket)
    return list(bucket.lifecycle)


async def _batches(cloud: Cloud, space: bytes) -> AsyncIterator[list[tuple[bytes, bytes]]]:
    """The entries of a space, each batch in a snapshot of its own."""
    at, end = range_onto(space)

    async def look(tx: Reader) -> list[tuple[bytes, bytes]]:
        return await tx.scan(at, end, limit=SCAN_BATCH)

    while rows := await cloud.store.read(look):
        yield rows
        at = after(rows[-1][0])


def _object_key(store_key: bytes, space: bytes) -> str:
    key = unpack(store_key, len(space))[0]
    assert isinstance(key, bytes)
    return key.decode()


async def _objects(cloud: Cloud, bucket: Bucket) -> None:
    space = keys.objects(bucket.name)
    async for rows in _batches(cloud, space):
        found = [_Seen(_object_key(at, space), decode_object(value)) for at, value in rows]
        await _do(cloud, bucket, found)


async def _versions(cloud: Cloud, bucket: Bucket) -> None:
    """Goes through the versions of each key from the newest to the oldest."""
    space = keys.versions(bucket.name)
    before, since, newer = "", 0.0, 0
    async for rows in _batches(cloud, space):
        current = await cloud.store.read(partial(_current_of, bucket.name, space, rows))
        found = []
        for at, value in rows:
            key, version = _object_key(at, space), decode_object(value)
            if key != before:
                before, newer = key, 0
                if (object_ := current.get(key)) is not None:
                    since = object_.modified
                else:
                    # The newest version: a delete marker, which is current.
                    found.append(_Seen(key, version))
                    since = version.modified
                    continue
            found.append(_Seen(key, version, since, newer))
            newer += 1
            since = version.modified
        await _do(cloud, bucket, found)


async def _current_of(bucket: str, space: bytes, rows: Sequence[tuple[bytes, bytes]], tx: Reader) -> dict[str, Object]:
    names = list(dict.fromkeys(_object_key(at, space) for at, _ in rows))
    values = await tx.get_many([keys.object_(bucket, name) for name in names])
    return {name: decode_object(value) for name, value in zip(names, values, strict=True) if value is not None}


async def _do(cloud: Cloud, bucket: Bucket, seen: Sequence[_Seen]) -> None:
    now = cloud.clock.time()
    due = [one for one in seen if lifecycle.chosen(_dues(bucket, one), now) is not None]
    for first in range(0, len(due), WRITE_BATCH):
        await cloud.store.write(partial(_change, cloud, bucket.name, due[first : first + WRITE_BATCH], now))


def _dues(bucket: Bucket, one: _Seen) -> list[lifecycle.Due]:
    if one.newer < 0:
        return lifecycle.of_current(bucket, one.key, one.version)
    return lifecycle.of_noncurrent(bucket, one.key, one.version, one.since, one.newer)


async def _change(cloud: Cloud, name: str, seen: Sequence[_Seen], now: float, tx: Transaction) -> None:
    """Do what is due, where the version is still there, still in its place and still due."""
    bucket = await buckets.load(tx, name)
    if bucket is None:
        return
    ctx = own_context(cloud, bucket, now)
    for one in seen:
        latest = await versions.latest(tx, bucket, one.key)
        version_id = one.version.version_id or versions.NULL_VERSION
        version = await versions.named(tx, bucket, one.key, version_id)
        if latest is None or version is None or version.sequence != one.version.sequence:
            continue
        if (version.sequence == latest.sequence) != (one.newer < 0):
            continue
        due = lifecycle.chosen(_dues(bucket, one._replace(version=version)), now)
        if due is None or (one.newer >= 0 and not due.storage_class and locks.is_locked(version, now)):
            continue
        if due.storage_class:
            version.storage_class = due.storage_class
            await versions.change(tx, bucket, one.key, version)
            access_logs.keep_own(ctx, tx, bucket, _MOVES[due.storage_class], one.key, version.version_id)
            moved = {"transitionEventData": {"destinationStorageClass": version.storage_class}}
            notifications.announce(
                ctx,
                tx,
                bucket,
                "s3:LifecycleTransition",
                key=one.key,
                version=version,
                now=now,
                more={"lifecycleEventData": moved},
            )
        elif one.newer >= 0 or not bucket.versioning:
            access_logs.keep_own(ctx, tx, bucket, "S3.EXPIRE.OBJECT", one.key, version.version_id)
            await deleting.remove(ctx, tx, bucket, one.key, version, latest, "s3:LifecycleExpiration:Delete")
        elif not version.delete_marker:
            access_logs.keep_own(ctx, tx, bucket, "S3.CREATE.DELETEMARKER", one.key)
            await deleting.mark(ctx, tx, bucket, one.key, latest, "s3:LifecycleExpiration:DeleteMarkerCreated")
        elif len(await tx.scan(*range_onto(keys.versions_of(name, one.key)), limit=2)) == 1:
            # A delete marker behind which nothing is left to hide.
            access_logs.keep_own(ctx, tx, bucket, "S3.EXPIRE.OBJECT", one.key, version.version_id)
            await deleting.remove(ctx, tx, bucket, one.key, version, latest, "s3:LifecycleExpiration:Delete")


def own_context(cloud: Cloud, bucket: Bucket, now: float) -> Context:
    """S3 acting for itself."""
    return Context(
        cloud=cloud,
        request_id=cloud.ids.string(16),
        service="s3",
        operation="Lifecycle",
        account=bucket.account,
        region=bucket.region,
        principal=service_principal("s3", account=bucket.account, source_arn=bucket.arn),
        now=now,
        http=HttpInfo(source_ip="s3.amazonaws.com"),
    )


async def _uploads(cloud: Cloud, bucket: Bucket) -> None:
    now = cloud.clock.time()
    space = keys.uploads(bucket.name)
    async for rows in _batches(cloud, space):
        for at, value in rows:
            key = _object_key(at, space)
            due = lifecycle.abort_of(bucket, key, decode_upload(value).initiated)
            if due is not None and due.when <= now:
                await cloud.store.write(
                    partial(_abort, own_context(cloud, bucket, now), bucket, key, keys.last_name(at))
                )


async def _abort(ctx: Context, bucket: Bucket, key: str, upload_id: str, tx: Transaction) -> None:
    if await tx.get(keys.upload(bucket.name, key, upload_id)) is not None:
        access_logs.keep_own(ctx, tx, bucket, "S3.DELETE.UPLOAD", key)
        await uploading.drop(ctx.cloud, tx, bucket.name, key, upload_id)
