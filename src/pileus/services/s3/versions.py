"""The versions of one key: which is current, and what a new one does to it.

So far buckets keep one version of a key, the null version; the store's layout (keys.py) has room for the others.
"""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.services.s3 import bodies, errors, keys
from pileus.services.s3.records import Bucket, Object, decode_object, encode
from pileus.store.contract import Reader, Transaction

NULL_VERSION = "null"


async def current(tx: Reader, bucket: Bucket, key: str) -> Object | None:
    data = await tx.get(keys.object_(bucket.name, key))
    return decode_object(data) if data is not None else None


async def wanted(tx: Reader, bucket: Bucket, key: str, version_id: str | None) -> Object | None:
    """The version that a request means; None where the key has none."""
    check_version_id(version_id)
    return await current(tx, bucket, key)


def check_version_id(version_id: str | None) -> None:
    if version_id is not None and version_id != NULL_VERSION:
        raise errors.invalid_argument("Invalid version id specified", "versionId", version_id)


def next_sequence(now: float, old: Object | None) -> int:
    """Greater than that of every version of the key before."""
    return max(int(now * 1e6), old.sequence + 1 if old else 0)


async def put(ctx: Context, tx: Transaction, bucket: Bucket, key: str, *, old: Object | None, new: Object) -> None:
    """Make `new` the current version in place of `old`."""
    if old is not None:
        await bodies.release(ctx.cloud, tx, old.body)
    tx.put(keys.object_(bucket.name, key), encode(new))


def change(tx: Transaction, bucket: Bucket, key: str, version: Object) -> None:
    """Keep a version whose tags have changed."""
    tx.put(keys.object_(bucket.name, key), encode(version))


async def remove(ctx: Context, tx: Transaction, bucket: Bucket, key: str, old: Object) -> None:
    await bodies.release(ctx.cloud, tx, old.body)
    tx.delete(keys.object_(bucket.name, key))
