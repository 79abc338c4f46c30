"""Writing and deleting objects."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.kernel.streams import ByteStream
from pileus.services.s3 import (
    abac,
    access_logs,
    acls,
    appending,
    bodies,
    buckets,
    checksums,
    conditions,
    deleting,
    directories,
    encryption,
    errors,
    lifecycle,
    locks,
    metadata,
    notifications,
    permissions,
    uploading,
    versions,
)
from pileus.services.s3.records import Bucket, Checksum, Grant, Object
from pileus.store.contract import Reader, Transaction

DELETE_MAX = 1000


async def put_object(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    key = request["Key"]
    metadata.check_key(key)
    conditions.check_write_form(request)
    encryption.check_method(request, "PutObject")
    customer_key = encryption.customer_key(request)
    kept: dict[str, Any] = {
        "headers": metadata.content_headers(request),
        "metadata": metadata.user_metadata(request),
        "tags": metadata.header_tags(request),
        "storage_class": metadata.storage_class(request),
        "customer_key": uploading.remembered(ctx, customer_key),
    }
    expected = uploading.announced(ctx, request)
    stream = uploading.body_of(request)
    if request.get("WriteOffsetBytes") is not None:
        return await _append(ctx, request, expected, stream)
    if stream.length is None or stream.length > bodies.INLINE_BYTES_MAX:
        # Before much is sent, not after it.
        await ctx.cloud.store.read(lambda tx: _check_target(ctx, tx, request, expected))
    algorithm = expected.algorithm or checksums.DEFAULT_ALGORITHM
    received = await uploading.receive(ctx, stream, expected, (algorithm,), md5_in_hex=True, customer_key=customer_key)
    checksum = Checksum(algorithm, received.checksums[algorithm])
    etag = uploading.etag(ctx, received, request["Bucket"])
    token = bodies.new_token(ctx.cloud)
    now = ctx.cloud.clock.time()

    async def change(tx: Transaction) -> tuple[Bucket, Object]:
        target = await _check_target(ctx, tx, request, expected)
        bucket, old = target.bucket, target.old
        new = Object(
            body=bodies.keep(ctx.cloud, tx, received, token),
            etag=etag,
            owner=target.owner,
            acl=target.acl,
            modified=now,
            sequence=versions.next_sequence(now, old),
            checksum=checksum,
            lock=locks.of_request(bucket, request, now),
            **kept,
        )
        await versions.put(ctx, tx, bucket, key, old=old, new=new)
        # A browser's form is put by POST.
        event = "s3:ObjectCreated:Post" if ctx.http.method == "POST" else "s3:ObjectCreated:Put"
        notifications.announce(ctx, tx, bucket, event, key=key, version=new, now=now)
        return bucket, new

    bucket, new = await bodies.commit(ctx.cloud, received, change)
    return {
        "ETag": f'"{new.etag}"',
        **checksums.members(checksum),
        **encryption.shown(new.customer_key),
        **versions.written_id(new),
        **lifecycle.expiration_header(bucket, key, new),
    }


async def _append(
    ctx: Context, request: dict[str, Any], expected: uploading.Announced, stream: ByteStream
) -> dict[str, Any]:
    """Put bytes behind those that an object has, or make it of them."""
    key = request["Key"]
    if not directories.is_one(request["Bucket"]):
        raise errors.header_not_implemented("x-amz-write-offset-bytes")
    appending.check_form(request)

    async def look(tx: Reader) -> Object | None:
        old = (await _check_target(ctx, tx, request, expected)).old
        appending.check(request, old, stream.length, expected.algorithm)
        return old

    before = await ctx.cloud.store.read(look)
    algorithm = appending.algorithm_of(before) or expected.algorithm or checksums.DEFAULT_ALGORITHM
    received = await uploading.receive(ctx, stream, expected, (algorithm,), md5_in_hex=True)
    value, etag = received.checksums[algorithm], uploading.etag(ctx, received, request["Bucket"])
    token = bodies.new_token(ctx.cloud)
    now = ctx.cloud.clock.time()

    async def change(tx: Transaction) -> tuple[Object, bool]:
        target = await _check_target(ctx, tx, request, expected)
        bucket, old = target.bucket, target.old
        appending.check(request, old, received.size, algorithm)
        body = bodies.keep(ctx.cloud, tx, received, token, apart=old is not None)
        if old is None:
            new = Object(
                body=body,
                etag=etag,
                modified=now,
                sequence=versions.next_sequence(now, None),
                checksum=Checksum(algorithm, value),
                headers=metadata.content_headers(request),
                metadata=metadata.user_metadata(request),
                storage_class=metadata.storage_class(request),
            )
        else:
            new = await appending.extended(ctx.cloud, tx, old, body, algorithm, value)
            new.etag, new.modified, new.sequence = etag, now, versions.next_sequence(now, old)
        versions.place(tx, bucket, key, new)
        return new, old is not None

    new, appended = await bodies.commit(ctx.cloud, received, change)
    return {
        "ETag": f'"{new.etag}"',
        **checksums.members(new.checksum),
        **encryption.shown(None),
        **({"Size": new.size} if appended else {}),
        "Expiration": lifecycle.NO_EXPIRATION,
    }


class _Target(msgspec.Struct):
    bucket: Bucket
    # The newest version of the key so far.
    old: Object | None
    # Of the object that is written.
    owner: str
    acl: tuple[Grant, ...]


async def _check_target(ctx: Context, tx: Reader, request: dict[str, Any], expected: uploading.Announced) -> _Target:
    """Where a write goes. Refuses what the bucket does not take."""
    bucket = await buckets.find(ctx, tx, request)
    encryption.check_bucket(bucket, request, ctx.operation)
    owner, acl = await new_acl(ctx, tx, bucket, request)
    if locks.of_request(bucket, request, ctx.now) is not None and ctx.http.method == "PUT":
        # Not what browsers post, nor what the cloud itself puts.
        locks.check_integrity("Object", locked=True, checked=bool(expected))
    old = await versions.latest(tx, bucket, request["Key"])
    conditions.check_write(request, versions.visible(old), request["Key"])
    return _Target(bucket, old, owner, acl)


async def new_acl(ctx: Context, tx: Reader, bucket: Bucket, request: dict[str, Any]) -> tuple[str, tuple[Grant, ...]]:
    """(owner, access control list) of the object that a request writes. Refuses what the bucket does not take."""
    if bucket.ownership == acls.ENFORCED and not acls.asks(request):
        return "", ()
    block_public = acls.asks(request) and (await buckets.public_access(tx, bucket))["BlockPublicAcls"]
    return acls.of_new_object(bucket, request, ctx.principal, block_public=block_public)


async def delete_object(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    if not directories.is_one(request["Bucket"]):
        for member, header in (
            ("IfMatchSize", "x-amz-if-match-size"),
            ("IfMatchLastModifiedTime", "x-amz-if-match-last-modified-time"),
        ):
            if request.get(member) is not None:
                raise errors.header_not_implemented(header)
    bucket = await buckets.find(ctx, tx, request)
    metadata.check_key(request["Key"])
    bypass = locks.check_bypass(bucket, request)
    removed = await deleting.delete(ctx, tx, bucket, request["Key"], request, bypass=bypass)
    answer: dict[str, Any] = {}
    if removed.delete_marker:
        answer["DeleteMarker"] = True
    if bucket.versioning:
        answer["VersionId"] = removed.version_id
    return answer


async def delete_objects(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    """Each of the objects for itself: one that cannot be deleted is told of, and the others go."""
    bucket = await buckets.find(ctx, tx, request)
    wanted = (request.get("Delete") or {}).get("Objects") or []
    if not 1 <= len(wanted) <= DELETE_MAX or not all(one.get("Key") for one in wanted):
        raise errors.malformed_xml()
    quiet = bool(request["Delete"].get("Quiet"))
    bypass = locks.check_bypass(bucket, request)
    if bucket.is_directory:
        for one in wanted:
            directories.check_deleted_key(one["Key"])
    # Who may write into a directory bucket may delete anything in it.
    denied = {} if bucket.is_directory else await _denied(ctx, tx, bucket.name, wanted, bypass=bypass)
    deleted: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for one in wanted:
        key, version_id = one["Key"], one.get("VersionId")
        named = {"Key": key, **({"VersionId": version_id} if version_id is not None else {})}
        error = denied.get((key, version_id)) or await _refusal(ctx, tx, bucket, one, bypass=bypass)
        if error is not None:
            access_logs.watch_deleted(ctx, bucket, key, version_id, status=error.status or 400, error=error.code)
            failed.append({**named, "Code": error.code, "Message": error.message})
            continue
        removed = await deleting.delete(ctx, tx, bucket, key, named, bypass=bypass)
        access_logs.watch_deleted(ctx, bucket, key, version_id)
        if removed.delete_marker:
            named |= {"DeleteMarker": True, "DeleteMarkerVersionId": removed.version_id}
        deleted.append(named)
    answer: dict[str, Any] = {}
    if deleted and not quiet:
        answer["Deleted"] = deleted
    if failed:
        answer["Errors"] = failed
    return answer


async def _denied(
    ctx: Context, tx: Transaction, bucket: str, wanted: list[dict[str, Any]], *, bypass: bool
) -> dict[tuple[str, str | None], AWSError]:
    """Those of the objects (key, version id) that the caller may not delete."""
    assert ctx.permit is not None
    needed = [
        await abac.with_tags(
            tx, [permissions.delete_one(bucket, one), *([permissions.bypass_one(bucket, one)] if bypass else ())]
        )
        for one in wanted
    ]
    try:
        await ctx.permit(ctx, tx, [permission for of_one in needed for permission in of_one])
    except AWSError:
        found: dict[tuple[str, str | None], AWSError] = {}
        for one, of_one in zip(wanted, needed, strict=True):
            try:
                await ctx.permit(ctx, tx, of_one)
            except AWSError as error:
                found[one["Key"], one.get("VersionId")] = error
        return found
    return {}


async def _refusal(
    ctx: Context, tx: Transaction, bucket: Bucket, one: dict[str, Any], *, bypass: bool
) -> AWSError | None:
    """What keeps one of DeleteObjects' objects from being deleted."""
    key, version_id = one["Key"], one.get("VersionId")
    if (size := len(key.encode("utf-8", "surrogateescape"))) > metadata.KEY_BYTES_MAX:
        return errors.key_too_long(size)
    if version_id not in (None, versions.NULL_VERSION) and versions.sequence_of(version_id) is None:
        return errors.no_such_version(key, version_id)
    if bucket.is_directory:
        return await _precondition(tx, bucket, one)
    for member in ("LastModifiedTime", "Size"):
        if one.get(member) is not None:
            return errors.header_not_implemented(member)
    if (etag := one.get("ETag")) is not None:
        old = await deleting.meant(tx, bucket, key, version_id)
        if old is None:
            return errors.no_such_key(key)
        if etag.strip('"') not in ("*", old.etag):
            return errors.precondition_failed("If-Match")
    if version_id is not None and bucket.object_lock:
        version = await versions.named(tx, bucket, key, version_id)
        if version is not None and locks.is_locked(version, ctx.now, bypass=bypass):
            return locks.denied()
    return None


async def _precondition(tx: Transaction, bucket: Bucket, one: dict[str, Any]) -> AWSError | None:
    """What DeleteObjects asks of an object of a directory bucket before it goes."""
    old = await deleting.meant(tx, bucket, one["Key"], one.get("VersionId"))
    asked = {
        "IfMatch": one.get("ETag"),
        "IfMatchSize": one.get("Size"),
        "IfMatchLastModifiedTime": one.get("LastModifiedTime"),
    }
    try:
        conditions.check_delete(asked, old, one["Key"])
    except AWSError as error:
        return error
    return None
