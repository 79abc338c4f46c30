"""What deleting does: it removes a version for good, or puts a delete marker on the key.

Source: "Deleting object versions from a versioning-enabled bucket", "Deleting objects from versioning-suspended
buckets" in the Amazon S3 User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pileus.cloud.context import Context
from pileus.services.s3 import conditions, locks, notifications, versions
from pileus.services.s3.records import Bucket, Object
from pileus.store.contract import Reader, Transaction


class Removed(NamedTuple):
    """What a deletion made (a delete marker) or removed."""

    version_id: str
    delete_marker: bool


async def meant(tx: Reader, bucket: Bucket, key: str, version_id: str | None) -> Object | None:
    """The version that a deletion is about; None: there is none, or a delete marker."""
    if version_id is None:
        return versions.visible(await versions.latest(tx, bucket, key))
    return versions.visible(await versions.named(tx, bucket, key, version_id))


async def delete(
    ctx: Context, tx: Transaction, bucket: Bucket, key: str, request: Mapping[str, Any], *, bypass: bool = False
) -> Removed:
    """Delete the key, or the version that `request` names. Deleting what is not there is no error.

    `bypass`: retention in governance mode does not count.
    """
    version_id = request.get("VersionId")
    versions.check_version_id(version_id)
    conditions.check_delete(request, await meant(tx, bucket, key, version_id), key)
    latest = await versions.latest(tx, bucket, key)
    if version_id is not None:
        old = await versions.named(tx, bucket, key, version_id)
    elif bucket.versioning:
        marker = await mark(ctx, tx, bucket, key, latest, "s3:ObjectRemoved:DeleteMarkerCreated")
        return Removed(marker.version_id or versions.NULL_VERSION, True)
    else:
        old = latest
    if old is None:
        return Removed(version_id or "", False)
    if locks.is_locked(old, ctx.now, bypass=bypass):
        raise locks.denied()
    await remove(ctx, tx, bucket, key, old, latest, "s3:ObjectRemoved:Delete")
    return Removed(version_id or "", old.delete_marker)


async def mark(ctx: Context, tx: Transaction, bucket: Bucket, key: str, latest: Object | None, event: str) -> Object:
    """Put a delete marker on the key, behind its newest version."""
    marker = versions.delete_marker(ctx.now, latest)
    await versions.put(ctx, tx, bucket, key, old=latest, new=marker)
    notifications.announce(ctx, tx, bucket, event, key=key, version=marker, now=ctx.now)
    return marker


async def remove(
    ctx: Context, tx: Transaction, bucket: Bucket, key: str, old: Object, latest: Object | None, event: str
) -> None:
    """Remove a version for good."""
    await versions.remove(ctx, tx, bucket, key, old)
    version_id = old.version_id or (versions.NULL_VERSION if bucket.versioning else "")
    gone = notifications.removal(ctx.now, versions.next_sequence(ctx.now, latest), version_id)
    notifications.announce(ctx, tx, bucket, event, key=key, version=gone, now=ctx.now)
