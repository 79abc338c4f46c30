"""Reading objects: GetObject, HeadObject, GetObjectAttributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.services.s3 import (
    bodies,
    buckets,
    checksums,
    conditions,
    encryption,
    errors,
    lifecycle,
    locks,
    metadata,
    ranges,
    replication,
    versions,
)
from pileus.services.s3.records import Bucket, Checksum, Object, Piece
from pileus.store.contract import Reader

# Query parameters that replace headers of the answer, and the members that they replace.
_OVERRIDES = {
    "ResponseCacheControl": ("CacheControl", "response-cache-control"),
    "ResponseContentDisposition": ("ContentDisposition", "response-content-disposition"),
    "ResponseContentEncoding": ("ContentEncoding", "response-content-encoding"),
    "ResponseContentLanguage": ("ContentLanguage", "response-content-language"),
    "ResponseContentType": ("ContentType", "response-content-type"),
    "ResponseExpires": ("Expires", "response-expires"),
}
_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


class _Found(msgspec.Struct):
    """What a request reads of an object."""

    bucket: Bucket
    version: Object | None
    answer: dict[str, Any] = {}
    status: int | None = None
    segments: list[bodies.Segment] = []


async def get_object(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    found = await ctx.cloud.store.read(lambda tx: _find(ctx, tx, request, with_body=True))
    answer = await _finish(ctx, found, request)
    answer["Body"] = bodies.content(ctx.cloud, found.segments, encryption.customer_key(request, reading=True))
    return answer


async def head_object(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    found = await ctx.cloud.store.read(lambda tx: _find(ctx, tx, request, with_body=False))
    return await _finish(ctx, found, request)


async def _find(ctx: Context, tx: Reader, request: dict[str, Any], *, with_body: bool) -> _Found:
    metadata.check_key(request["Key"])
    _check_overrides(ctx, request)
    customer_key = encryption.customer_key(request, reading=True)
    bucket = await buckets.find(ctx, tx, request)
    version = await versions.wanted(tx, bucket, request["Key"], request.get("VersionId"))
    found = _Found(bucket, version)
    if version is None or version.delete_marker:
        return found
    encryption.check_key(version.customer_key, customer_key)
    if with_body:
        metadata.check_readable(version, ctx.now)
    conditions.check_read(request, version, ctx.now)
    first, last = 0, version.size - 1
    checksum = version.checksum
    answer = found.answer
    if (number := request.get("PartNumber")) is not None:
        if request.get("Range") is not None:
            raise errors.invalid_request("Cannot specify both Range header and partNumber query parameter")
        pieces = await _pieces(tx, version)
        first, last, checksum = _part(version, pieces, number)
        if version.parts:
            answer["PartsCount"] = version.parts
        found.status = 206
    elif (span := ranges.parse_range(request.get("Range"), version.size)) is not None:
        first, last = span
        checksum = None
        found.status = 206
    if found.status == 206:
        answer["ContentRange"] = f"bytes {first}-{last}/{version.size}"
    answer["ContentLength"] = last - first + 1
    answer.update(_described(version, ctx.now))
    answer.update(versions.shown_id(bucket, version))
    if (bucket.lifecycle or bucket.is_directory) and request.get("VersionId") is None:
        answer.update(lifecycle.expiration_header(bucket, request["Key"], version))
    if request.get("ChecksumMode") == "ENABLED":
        answer.update(checksums.members(checksum))
    if with_body:
        found.segments = await bodies.locate(tx, version.body, first, last)
    return found


async def _finish(ctx: Context, found: _Found, request: dict[str, Any]) -> dict[str, Any]:
    if found.version is None or found.version.delete_marker:
        raise await missing(ctx, found.bucket, request, found.version)
    if found.status is not None:
        ctx.status = found.status
    answer = found.answer
    for member, value in request.items():
        if member in _OVERRIDES and value is not None:
            answer[_OVERRIDES[member][0]] = conditions.http_date(value) if isinstance(value, int | float) else value
    return answer


def _check_overrides(ctx: Context, request: dict[str, Any]) -> None:
    given = [
        (_OVERRIDES[member][1], value)
        for member, value in request.items()
        if member in _OVERRIDES and value is not None
    ]
    if given and ctx.principal.kind == "anonymous":
        raise errors.invalid_request("Request specific response headers cannot be used for anonymous GET requests.")
    for name, value in given:
        if isinstance(value, str) and not all(ord(char) < 256 for char in value):
            raise errors.invalid_argument("Header value cannot be represented using ISO-8859-1.", name, value)


async def missing(ctx: Context, bucket: Bucket, request: Mapping[str, Any], marker: Object | None = None) -> AWSError:
    """The error for a key that is not there, or is deleted: only who may list the bucket is told so.

    A request that names a delete marker by its id is told that this is no object.
    """
    if marker is not None and request.get("VersionId") is not None:
        return errors.method_not_allowed(ctx.http.method, versions.marker_headers(marker, named=True))
    if bucket.is_directory:
        # Whoever may read here may list.
        return errors.no_such_key(request["Key"])
    if ctx.principal.kind != "root" or bucket.policy or ctx.principal.account != bucket.account:
        try:
            await ctx.cloud.call(
                ctx.principal, "s3", "HeadBucket", {"Bucket": bucket.name}, region=bucket.region, account=bucket.account
            )
        except AWSError as error:
            if error.status == 403:
                return error
            raise
    return errors.no_such_key(request["Key"], versions.marker_headers(marker, named=False) if marker else None)


async def _pieces(tx: Reader, version: Object) -> list[Piece]:
    if version.body.kind != "pieces":
        return []
    return await bodies.parts(tx, version.body)


def _part(version: Object, pieces: list[Piece], number: int) -> tuple[int, int, Checksum | None]:
    """(first byte, last byte, checksum) of a part, by its place among the parts."""
    count = len(pieces) or 1
    if not 1 <= number <= count:
        raise errors.invalid_part_number(count, number)
    whole = version.checksum
    if not pieces:
        return 0, version.size - 1, whole
    first = sum(piece.body.size for piece in pieces[: number - 1])
    piece = pieces[number - 1]
    checksum = None
    if whole and whole.type == "COMPOSITE":
        checksum = Checksum(whole.algorithm, piece.checksum, "COMPOSITE")
    elif whole and count == 1:
        checksum = whole
    return first, first + piece.body.size - 1, checksum


def _described(version: Object, now: float) -> dict[str, Any]:
    """What every answer says of an object."""
    answer: dict[str, Any] = {
        "AcceptRanges": "bytes",
        "LastModified": float(int(version.modified)),
        "ETag": f'"{version.etag}"',
        **encryption.shown(version.customer_key),
        "Metadata": metadata.shown_metadata(version.metadata),
        **version.headers,
    }
    if version.storage_class != "STANDARD":
        answer["StorageClass"] = version.storage_class
    answer |= locks.shown(version)
    if status := replication.status(version):
        answer["ReplicationStatus"] = status
    if (restored := version.restoration) is not None and (now < restored.expires or now < restored.ready):
        expires = conditions.http_date(restored.expires)
        answer["Restore"] = (
            'ongoing-request="true"' if now < restored.ready else f'ongoing-request="false", expiry-date="{expires}"'
        )
    if version.tags:
        answer["TagCount"] = len(version.tags)
    return answer


async def get_object_attributes(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    names = [name.strip() for one in request.get("ObjectAttributes") or () for name in one.split(",")]
    if not names or any(name not in _ATTRIBUTES for name in names):
        raise errors.invalid_argument("Invalid attribute name specified.", "x-amz-object-attributes")
    metadata.check_key(request["Key"])
    customer_key = encryption.customer_key(request, reading=True)

    async def look(tx: Reader) -> tuple[Bucket, Object | None, list[Piece]]:
        bucket = await buckets.find(ctx, tx, request)
        version = await versions.wanted(tx, bucket, request["Key"], request.get("VersionId"))
        return bucket, version, await _pieces(tx, version) if version and "ObjectParts" in names else []

    bucket, version, pieces = await ctx.cloud.store.read(look)
    if version is None or version.delete_marker:
        raise await missing(ctx, bucket, request, version)
    encryption.check_key(version.customer_key, customer_key)
    answer: dict[str, Any] = {"LastModified": float(int(version.modified)), **versions.shown_id(bucket, version)}
    if "ETag" in names:
        answer["ETag"] = version.etag
    if "Checksum" in names and version.checksum:
        answer["Checksum"] = checksums.members(version.checksum)
    if "ObjectParts" in names and version.parts:
        answer["ObjectParts"] = _shown_parts(request, version, pieces)
    if "StorageClass" in names:
        answer["StorageClass"] = version.storage_class
    if "ObjectSize" in names:
        answer["ObjectSize"] = version.size
    return answer


def _shown_parts(request: dict[str, Any], version: Object, pieces: list[Piece]) -> dict[str, Any]:
    """Parts are told of one by one where each has a checksum of its own."""
    shown: dict[str, Any] = {"TotalPartsCount": version.parts}
    if version.checksum is None or version.checksum.type != "COMPOSITE":
        return shown
    marker = request.get("PartNumberMarker") or 0
    most = min(request.get("MaxParts") or 1000, 1000)
    member = checksums.member(version.checksum.algorithm)
    behind = [piece for piece in pieces if piece.number > marker]
    page = [{"PartNumber": piece.number, "Size": piece.body.size, member: piece.checksum} for piece in behind[:most]]
    shown |= {
        "PartNumberMarker": marker,
        "NextPartNumberMarker": page[-1]["PartNumber"] if page else 0,
        "MaxParts": most,
        "IsTruncated": len(behind) > most,
    }
    if page:
        shown["Parts"] = page
    return shown
