"""Reading objects: GetObject, HeadObject, GetObjectAttributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.services.s3 import (
    abac,
    bodies,
    buckets,
    checksums,
    conditions,
    encryption,
    errors,
    lifecycle,
    locks,
    metadata,
    permissions,
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


async def get_object(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    return await _read(ctx, tx, request, with_body=True)


async def head_object(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    return await _read(ctx, tx, request, with_body=False)


async def _read(ctx: Context, tx: Reader, request: dict[str, Any], *, with_body: bool) -> dict[str, Any]:
    key = request["Key"]
    metadata.check_key(key)
    overrides = _overrides(ctx, request)
    customer_key = encryption.customer_key(request, reading=True)
    bucket = await buckets.find(ctx, tx, request)
    version = await versions.wanted(tx, bucket, key, request.get("VersionId"))
    if version is None or version.delete_marker:
        raise await missing(ctx, tx, bucket, request, version)
    encryption.check_key(version.customer_key, customer_key)
    if with_body:
        metadata.check_readable(version, ctx.now)
    conditions.check_read(request, version, ctx.now)
    first, last = 0, version.size - 1
    checksum = version.checksum
    answer = _described(version, ctx.now)
    if (number := request.get("PartNumber")) is not None:
        if request.get("Range") is not None:
            raise errors.invalid_request("Cannot specify both Range header and partNumber query parameter")
        pieces = await _pieces(tx, version)
        first, last, checksum = _part(version, pieces, number)
        if version.parts:
            answer["PartsCount"] = version.parts
        ctx.status = 206
    elif (span := ranges.parse_range(request.get("Range"), version.size)) is not None:
        first, last = span
        checksum = None
        ctx.status = 206
    if ctx.status == 206:
        answer["ContentRange"] = f"bytes {first}-{last}/{version.size}"
    answer["ContentLength"] = last - first + 1
    if bucket.versioning:
        answer.update(versions.shown_id(bucket, version))
    if (bucket.lifecycle or bucket.is_directory) and request.get("VersionId") is None:
        answer.update(lifecycle.expiration_header(bucket, key, version))
    if request.get("ChecksumMode") == "ENABLED":
        answer.update(checksums.members(checksum))
    if with_body:
        answer["Body"] = bodies.content(ctx.cloud, await bodies.locate(tx, version.body, first, last), customer_key)
    answer.update(overrides)
    return answer


def _overrides(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    """The members of the answer that the request itself says."""
    if _OVERRIDES.keys().isdisjoint(request):
        return {}
    found = {}
    for member, value in request.items():
        if member not in _OVERRIDES or value is None:
            continue
        shown, name = _OVERRIDES[member]
        if ctx.principal.kind == "anonymous":
            raise errors.invalid_request("Request specific response headers cannot be used for anonymous GET requests.")
        if isinstance(value, str) and not all(ord(char) < 256 for char in value):
            raise errors.invalid_argument("Header value cannot be represented using ISO-8859-1.", name, value)
        found[shown] = conditions.http_date(value) if isinstance(value, int | float) else value
    return found


async def missing(
    ctx: Context, tx: Reader, bucket: Bucket, request: Mapping[str, Any], marker: Object | None = None
) -> AWSError:
    """The error for a key that is not there, or is deleted. Raises another where the caller may not list the bucket,
    and so is not to know.

    A request that names a delete marker by its id is told that this is no object.
    """
    if marker is not None and request.get("VersionId") is not None:
        return errors.method_not_allowed(ctx.http.method, versions.marker_headers(marker, named=True))
    if bucket.is_directory:
        # Whoever may read here may list.
        return errors.no_such_key(request["Key"])
    assert ctx.permit is not None
    await ctx.permit(ctx, tx, await abac.with_tags(tx, [permissions.list_bucket(bucket.name)]))
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
    if version.lock is not None:
        answer |= locks.shown(version)
    if version.replication or version.replica:
        answer["ReplicationStatus"] = replication.status(version)
    if (restored := version.restoration) is not None and (now < restored.expires or now < restored.ready):
        expires = conditions.http_date(restored.expires)
        answer["Restore"] = (
            'ongoing-request="true"' if now < restored.ready else f'ongoing-request="false", expiry-date="{expires}"'
        )
    if version.tags:
        answer["TagCount"] = len(version.tags)
    return answer


async def get_object_attributes(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    names = [name.strip() for one in request.get("ObjectAttributes") or () for name in one.split(",")]
    if not names or any(name not in _ATTRIBUTES for name in names):
        raise errors.invalid_argument("Invalid attribute name specified.", "x-amz-object-attributes")
    metadata.check_key(request["Key"])
    customer_key = encryption.customer_key(request, reading=True)
    bucket = await buckets.find(ctx, tx, request)
    version = await versions.wanted(tx, bucket, request["Key"], request.get("VersionId"))
    if version is None or version.delete_marker:
        raise await missing(ctx, tx, bucket, request, version)
    encryption.check_key(version.customer_key, customer_key)
    answer: dict[str, Any] = {"LastModified": float(int(version.modified)), **versions.shown_id(bucket, version)}
    if "ETag" in names:
        answer["ETag"] = version.etag
    if "Checksum" in names and version.checksum:
        answer["Checksum"] = checksums.members(version.checksum)
    if "ObjectParts" in names and version.parts:
        answer["ObjectParts"] = _shown_parts(request, version, await _pieces(tx, version))
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
