"""The versions of one key: which is current, what a new one does to it, what is left when one goes.

Source: "How S3 Versioning works", "Working with delete markers" in the Amazon S3 User Guide.

The current version stands in the space of the objects, unless it is a delete marker; all others stand in the space of
the versions, the newest first. So the space of the versions begins with a delete marker where the key has no object.
A key has one null version at most; where that is not the current one, a note says where it stands.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64

from pileus.cloud.context import Context
from pileus.kernel.ids import Ids
from pileus.services.s3 import bodies, errors, keys, replication
from pileus.services.s3.conditions import http_date
from pileus.services.s3.records import Body, Bucket, Object, decode_object, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import range_onto

NULL_VERSION = "null"
# The entity tag of no bytes: what events say of delete markers.
_MARKER_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
_ID_CHARACTERS = 32


def new_id(ids: Ids, sequence: int) -> str:
    """A version id: chance, the version's sequence (so that the id says where the version stands), a check value."""
    data = ids.token_bytes(10) + sequence.to_bytes(8, "big")
    return b64encode(data + _check_value(data), b"._").decode()


def _check_value(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=6).digest()


def sequence_of(version_id: str) -> int | None:
    """The sequence in a version id; None where it is none of S3's."""
    if len(version_id) != _ID_CHARACTERS or not version_id.isascii():
        return None
    try:
        data = b64decode(version_id, b"._", validate=True)
    except NotBase64:
        return None
    return int.from_bytes(data[10:18], "big") if _check_value(data[:18]) == data[18:] else None


def check_version_id(version_id: str | None) -> None:
    if version_id is not None and version_id != NULL_VERSION and sequence_of(version_id) is None:
        if not version_id:
            raise errors.invalid_argument("Version id cannot be the empty string", "versionId", "")
        raise errors.invalid_argument("Invalid version id specified", "versionId", version_id)


def shown_id(bucket: Bucket, version: Object) -> dict[str, str]:
    """`VersionId` as reading answers give it: not in a bucket that never had versions."""
    return {"VersionId": version.version_id or NULL_VERSION} if bucket.versioning else {}


def written_id(version: Object) -> dict[str, str]:
    """`VersionId` as writing answers give it: not of a null version."""
    return {"VersionId": version.version_id} if version.version_id else {}


async def latest(tx: Reader, bucket: Bucket, key: str) -> Object | None:
    """The key's newest version, which may be a delete marker."""
    data = await tx.get(keys.object_(bucket.name, key))
    if data is None and bucket.versioning:
        rows = await tx.scan(*range_onto(keys.versions_of(bucket.name, key)), limit=1)
        data = rows[0][1] if rows else None
    return decode_object(data) if data is not None else None


def visible(version: Object | None) -> Object | None:
    """What plain reads and conditions see of the newest version."""
    return None if version is None or version.delete_marker else version


async def wanted(tx: Reader, bucket: Bucket, key: str, version_id: str | None) -> Object | None:
    """The version that a request means, which may be a delete marker; None where the key has no version at all.

    NoSuchVersion where it names one that is not there.
    """
    if version_id is None:
        return await latest(tx, bucket, key)
    found = await named(tx, bucket, key, version_id)
    if found is None:
        raise errors.no_such_version(key, version_id)
    return found


async def named(tx: Reader, bucket: Bucket, key: str, version_id: str) -> Object | None:
    """The version of this id."""
    check_version_id(version_id)
    data = await tx.get(keys.object_(bucket.name, key))
    current = decode_object(data) if data is not None else None
    if version_id == NULL_VERSION:
        if current is not None and not current.version_id:
            return current
        return await _null(tx, bucket, key) if bucket.versioning else None
    if current is not None and current.version_id == version_id:
        return current
    data = await tx.get(keys.version(bucket.name, key, sequence_of(version_id) or 0))
    found = decode_object(data) if data is not None else None
    return found if found is not None and found.version_id == version_id else None


async def _null(tx: Reader, bucket: Bucket, key: str) -> Object | None:
    """The null version, where it is not the current object."""
    at = await tx.get(keys.null(bucket.name, key))
    data = await tx.get(at) if at is not None else None
    return decode_object(data) if data is not None else None


def next_sequence(now: float, old: Object | None) -> int:
    """Greater than that of every version of the key before (`old`: the latest)."""
    return max(int(now * 1e6), old.sequence + 1 if old else 0)


async def put(ctx: Context, tx: Transaction, bucket: Bucket, key: str, *, old: Object | None, new: Object) -> None:
    """Make `new` the newest version, behind `old`; gives it its version id.

    A null version takes the place of the null version before.
    """
    if bucket.versioning == "Enabled":
        new.version_id = new_id(ctx.cloud.ids, new.sequence)
    elif bucket.versioning and (old is None or old.version_id or old.delete_marker):
        before = await _null(tx, bucket, key)
        if before is not None:
            await _drop(ctx, tx, bucket, key, before)
    if bucket.replication:
        replication.begin(ctx, tx, bucket, key, new)
    if old is not None and not old.delete_marker:
        if old.version_id or new.version_id:
            _put_behind(tx, bucket, key, old)
        else:
            await bodies.release(ctx.cloud, tx, old.body)
        if new.delete_marker:
            tx.delete(keys.object_(bucket.name, key))
    if new.delete_marker:
        _put_behind(tx, bucket, key, new)
    else:
        tx.put(keys.object_(bucket.name, key), encode(new))


def place(tx: Transaction, bucket: Bucket, key: str, new: Object) -> None:
    """Keep `new` as the only version of a key of a bucket without versions; what was there before is in it."""
    tx.put(keys.object_(bucket.name, key), encode(new))


async def insert(tx: Transaction, bucket: Bucket, key: str, new: Object) -> None:
    """Put a version that another bucket made among the key's own, where its sequence says."""
    newest = await latest(tx, bucket, key)
    if newest is not None and newest.sequence > new.sequence:
        _put_behind(tx, bucket, key, new)
        return
    if newest is not None and not newest.delete_marker:
        _put_behind(tx, bucket, key, newest)
        tx.delete(keys.object_(bucket.name, key))
    if new.delete_marker:
        _put_behind(tx, bucket, key, new)
    else:
        tx.put(keys.object_(bucket.name, key), encode(new))


def _put_behind(tx: Transaction, bucket: Bucket, key: str, version: Object) -> None:
    at = keys.version(bucket.name, key, version.sequence)
    tx.put(at, encode(version))
    if not version.version_id:
        tx.put(keys.null(bucket.name, key), at)


async def _drop(ctx: Context, tx: Transaction, bucket: Bucket, key: str, version: Object) -> None:
    """Take a version out of the space of the versions."""
    await bodies.release(ctx.cloud, tx, version.body)
    tx.delete(keys.version(bucket.name, key, version.sequence))
    if not version.version_id:
        tx.delete(keys.null(bucket.name, key))


def marker_headers(marker: Object, *, named: bool) -> dict[str, str]:
    """What answers to requests for a delete marker say of it; `named`: the request named it by its id."""
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id or NULL_VERSION}
    if named:
        headers |= {"Last-Modified": http_date(marker.modified), "Allow": "DELETE"}
    return headers


def delete_marker(now: float, old: Object | None) -> Object:
    return Object(body=Body(), etag=_MARKER_ETAG, modified=now, sequence=next_sequence(now, old), delete_marker=True)


async def change(tx: Transaction, bucket: Bucket, key: str, version: Object) -> None:
    """Keep a version of which something other than its place has changed."""
    at = keys.object_(bucket.name, key)
    data = await tx.get(at)
    if data is None or decode_object(data).sequence != version.sequence:
        at = keys.version(bucket.name, key, version.sequence)
    tx.put(at, encode(version))


async def remove(ctx: Context, tx: Transaction, bucket: Bucket, key: str, old: Object) -> None:
    """Remove one version for good; the one behind it becomes the current one, if `old` was."""
    at = keys.object_(bucket.name, key)
    data = await tx.get(at)
    if data is not None and decode_object(data).sequence != old.sequence:
        await _drop(ctx, tx, bucket, key, old)
        return
    if data is not None:
        await bodies.release(ctx.cloud, tx, old.body)
        tx.delete(at)
        if not bucket.versioning:
            return
    else:
        await _drop(ctx, tx, bucket, key, old)
    rows = await tx.scan(*range_onto(keys.versions_of(bucket.name, key)), limit=1)
    if rows:
        behind = decode_object(rows[0][1])
        if not behind.delete_marker:
            tx.delete(rows[0][0])
            if not behind.version_id:
                tx.delete(keys.null(bucket.name, key))
            tx.put(at, rows[0][1])
