"""Copying objects inside the cloud."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.kernel import digests
from pileus.services.s3 import (
    access_logs,
    bodies,
    buckets,
    checksums,
    conditions,
    directories,
    encryption,
    errors,
    lifecycle,
    locks,
    metadata,
    notifications,
    uploading,
    versions,
)
from pileus.services.s3.copysource import CopySource, parse_copy_source
from pileus.services.s3.operations.objects import new_acl
from pileus.services.s3.operations.reading import missing
from pileus.services.s3.records import Bucket, Checksum, Object
from pileus.store.contract import Reader, Transaction


class _Plan(msgspec.Struct):
    source: CopySource
    version: Object
    segments: list[bodies.Segment]


async def copy_object(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    key = request["Key"]
    metadata.check_key(key)
    conditions.check_write_form(request)
    encryption.check_method(request, "CopyObject")
    customer_key = encryption.customer_key(request)
    source_key = encryption.customer_key(request, encryption.SOURCE, reading=True)
    for directive in ("metadata", "tagging"):
        given = request.get(f"{directive.capitalize()}Directive")
        if given not in (None, "COPY", "REPLACE"):
            raise errors.invalid_argument(f"Unknown {directive} directive.", f"x-amz-{directive}-directive", given)
    algorithm = request.get("ChecksumAlgorithm")
    if algorithm is not None and algorithm not in digests.ALGORITHMS:
        raise checksums.unsupported()
    storage_class = metadata.storage_class(request)
    plan = await _plan(ctx, request)
    old_version = plan.version
    algorithm = algorithm or (old_version.checksum.algorithm if old_version.checksum else checksums.DEFAULT_ALGORITHM)
    stream = bodies.SegmentStream(ctx.cloud, plan.segments, source_key)
    received = await bodies.receive(ctx.cloud, stream, (algorithm,), customer_key=customer_key)
    checksum = Checksum(algorithm, received.checksums[algorithm])
    etag = uploading.etag(ctx, received, request["Bucket"])
    remembered = uploading.remembered(ctx, customer_key)
    headers, user_metadata = _metadata(request, old_version)
    tags = metadata.header_tags(request) if request.get("TaggingDirective") == "REPLACE" else old_version.tags
    if tags and directories.is_one(request["Bucket"]):
        raise errors.header_not_implemented("x-amz-tagging-directive")
    token = bodies.new_token(ctx.cloud)
    now = ctx.cloud.clock.time()

    async def change(tx: Transaction) -> tuple[Bucket, Object]:
        bucket, old = await _target(ctx, tx, request)
        owner, acl = await new_acl(ctx, tx, bucket, request)
        new = Object(
            body=bodies.keep(ctx.cloud, tx, received, token),
            etag=etag,
            owner=owner,
            acl=acl,
            customer_key=remembered,
            modified=now,
            sequence=versions.next_sequence(now, old),
            headers=headers,
            metadata=user_metadata,
            tags=tags,
            storage_class=storage_class,
            lock=locks.of_request(bucket, request, now),
            checksum=checksum,
        )
        await versions.put(ctx, tx, bucket, key, old=old, new=new)
        notifications.announce(ctx, tx, bucket, "s3:ObjectCreated:Copy", key=key, version=new, now=now)
        return bucket, new

    bucket, new = await bodies.commit(ctx.cloud, received, change)
    return {
        "CopyObjectResult": {
            "ETag": f'"{new.etag}"',
            "LastModified": float(int(new.modified)),
            **checksums.members(checksum),
        },
        **encryption.shown(new.customer_key),
        **({"CopySourceVersionId": old_version.version_id} if old_version.version_id else {}),
        **versions.shown_id(bucket, new),
        **lifecycle.expiration_header(bucket, key, new),
    }


async def _plan(ctx: Context, request: dict[str, Any]) -> _Plan:
    source = parse_copy_source(request["CopySource"])

    async def look(tx: Reader) -> _Plan:
        from_bucket, version = await find_source(ctx, tx, request, source)
        bucket, _ = await _target(ctx, tx, request)
        in_place = (source.bucket, source.key) == (bucket.name, request["Key"])
        if version is not None and in_place and source.version_id is None and not _changes(request, bucket, version):
            raise errors.invalid_request(
                "This copy request is illegal because it is trying to copy an object to itself without changing the "
                "object's metadata, storage class, website redirect location or encryption attributes."
            )
        if version is None or version.delete_marker:
            raise await missing(ctx, tx, from_bucket, {"Key": source.key}, version)
        if version.size > bodies.UPLOAD_BYTES_MAX:
            raise errors.invalid_request(
                "The specified copy source is larger than the maximum allowable size for a copy source: "
                f"{bodies.UPLOAD_BYTES_MAX}"
            )
        return _Plan(source, version, await bodies.locate(tx, version.body, 0, version.size - 1))

    return await ctx.cloud.store.read(look)


async def find_source(
    ctx: Context, tx: Reader, request: dict[str, Any], source: CopySource
) -> tuple[Bucket, Object | None]:
    """The source's bucket, and the version meant: it is readable, and its conditions hold."""
    bucket = await buckets.find_source(tx, source.bucket, request.get("ExpectedSourceBucketOwner"))
    version = await versions.wanted(tx, bucket, source.key, source.version_id)
    size = version.size if version is not None and not version.delete_marker else None
    access_logs.watch_source(ctx, bucket, source.key, source.version_id, size)
    if version is not None and version.delete_marker and source.version_id is not None:
        raise errors.invalid_request(
            "The source of a copy request may not specifically refer to a delete marker by version id."
        )
    if version is not None and not version.delete_marker:
        metadata.check_readable(version, ctx.now)
        encryption.check_key(version.customer_key, encryption.customer_key(request, encryption.SOURCE, reading=True))
        conditions.check_copy_source(request, version, ctx.now)
    return bucket, version


def _changes(request: dict[str, Any], bucket: Bucket, version: Object) -> bool:
    """Whether a copy onto itself would change anything that a copy may change."""
    return (
        request.get("MetadataDirective") == "REPLACE"
        or request.get("StorageClass") is not None
        or request.get("WebsiteRedirectLocation") is not None
        or request.get("ServerSideEncryption") is not None
        or request.get("SSECustomerAlgorithm") is not None
        or version.customer_key is not None
        or request.get("ChecksumAlgorithm") is not None
        or bool(bucket.encryption)
        or version.storage_class != metadata.storage_class(request)
    )


def _metadata(request: dict[str, Any], source: Object) -> tuple[dict[str, str], dict[str, str]]:
    """(content headers, user metadata) of the copy. A redirect location is never copied along."""
    if request.get("MetadataDirective") == "REPLACE":
        return metadata.content_headers(request), metadata.user_metadata(request)
    headers = {name: value for name, value in source.headers.items() if name != "WebsiteRedirectLocation"}
    if request.get("WebsiteRedirectLocation") is not None:
        headers["WebsiteRedirectLocation"] = metadata.content_headers(request)["WebsiteRedirectLocation"]
    return headers, source.metadata


async def _target(ctx: Context, tx: Reader, request: dict[str, Any]) -> tuple[Bucket, Object | None]:
    bucket = await buckets.find(ctx, tx, request)
    encryption.check_bucket(bucket, request, ctx.operation)
    await new_acl(ctx, tx, bucket, request)
    locks.of_request(bucket, request, ctx.now)
    old = await versions.latest(tx, bucket, request["Key"])
    conditions.check_write(request, versions.visible(old), request["Key"])
    return bucket, old
