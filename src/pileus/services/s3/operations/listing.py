"""Listing a bucket's objects."""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.services.s3 import acls, buckets, errors, keys, versions
from pileus.services.s3.listing import (
    Page,
    check_encoding,
    from_token,
    list_directory,
    list_page,
    list_versions,
    page_size,
    shown,
    token,
)
from pileus.services.s3.records import Bucket, Object, decode_object
from pileus.store.contract import Reader


async def list_objects(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await _begin(ctx, tx, request)
    encoding = request.get("EncodingType")
    marker: str = request.get("Marker") or ""
    page = await _page(tx, bucket, request, marker.encode())
    answer = _shown(bucket, request, page, ctx.now, with_owner=True)
    answer["Marker"] = shown(marker, encoding)
    if page.truncated and request.get("Delimiter"):
        answer["NextMarker"] = shown(page.last.decode(), encoding)
    return answer


async def list_objects_v2(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await _begin(ctx, tx, request)
    given = request.get("ContinuationToken")
    start_after: str | None = request.get("StartAfter")
    marker = from_token(given) if given is not None else (start_after or "").encode()
    page = await (_directory_page if bucket.is_directory else _page)(tx, bucket, request, marker)
    answer = _shown(bucket, request, page, ctx.now, with_owner=bool(request.get("FetchOwner")))
    answer["KeyCount"] = page.count
    if given is not None:
        answer["ContinuationToken"] = given
    if start_after:
        answer["StartAfter"] = shown(start_after, request.get("EncodingType"))
    if page.truncated:
        answer["NextContinuationToken"] = token(page.last)
    return answer


async def _begin(ctx: Context, tx: Reader, request: dict[str, Any]) -> Bucket:
    bucket = await buckets.find(ctx, tx, request)
    ctx.response_headers["x-amz-bucket-region"] = bucket.region
    check_encoding(request.get("EncodingType"))
    return bucket


async def _page(tx: Reader, bucket: Bucket, request: dict[str, Any], marker: bytes) -> Page:
    return await list_page(
        tx,
        keys.objects(bucket.name),
        prefix=(request.get("Prefix") or "").encode(),
        delimiter=(request.get("Delimiter") or "").encode(),
        marker=marker,
        most=page_size(request.get("MaxKeys"), "max-keys"),
    )


async def _directory_page(tx: Reader, bucket: Bucket, request: dict[str, Any], marker: bytes) -> Page:
    return await list_directory(
        tx,
        bucket.name,
        prefix=(request.get("Prefix") or "").encode(),
        delimiter=(request.get("Delimiter") or "").encode(),
        marker=marker,
        most=page_size(request.get("MaxKeys"), "max-keys"),
    )


def _shown(bucket: Bucket, request: dict[str, Any], page: Page, now: float, *, with_owner: bool) -> dict[str, Any]:
    encoding = request.get("EncodingType")
    answer: dict[str, Any] = {
        "Name": bucket.name,
        "Prefix": shown(request.get("Prefix") or "", encoding),
        "MaxKeys": page_size(request.get("MaxKeys"), "max-keys"),
        "IsTruncated": page.truncated,
    }
    if request.get("Delimiter"):
        answer["Delimiter"] = shown(request["Delimiter"], encoding)
    if encoding:
        answer["EncodingType"] = encoding
    contents = []
    with_restoration = "RestoreStatus" in (request.get("OptionalObjectAttributes") or ())
    for key, _, value in page.entries:
        version = decode_object(value)
        entry = {"Key": shown(key.decode(), encoding), **_described(version)}
        if with_restoration:
            entry |= _restoration(version, now)
        if with_owner:
            entry["Owner"] = {"ID": acls.owner_id(bucket, version)}
        contents.append(entry)
    if contents:
        answer["Contents"] = contents
    return answer | _prefixes(page.prefixes, encoding)


def _restoration(version: Object, now: float) -> dict[str, Any]:
    """`RestoreStatus`, of what is being restored or is readable again."""
    restored = version.restoration
    if restored is None or now >= max(restored.ready, restored.expires):
        return {}
    if now < restored.ready:
        return {"RestoreStatus": {"IsRestoreInProgress": True}}
    return {"RestoreStatus": {"IsRestoreInProgress": False, "RestoreExpiryDate": restored.expires}}


def _described(version: Object) -> dict[str, Any]:
    entry: dict[str, Any] = {"LastModified": float(int(version.modified)), "ETag": f'"{version.etag}"'}
    if version.checksum:
        entry["ChecksumAlgorithm"] = [version.checksum.algorithm]
        entry["ChecksumType"] = version.checksum.type
    return entry | {"Size": version.size, "StorageClass": version.storage_class}


def _prefixes(prefixes: list[bytes], encoding: str | None) -> dict[str, Any]:
    if not prefixes:
        return {}
    return {"CommonPrefixes": [{"Prefix": shown(prefix.decode("utf-8", "replace"), encoding)} for prefix in prefixes]}


async def list_object_versions(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await _begin(ctx, tx, request)
    encoding = request.get("EncodingType")
    key_marker: str = request.get("KeyMarker") or ""
    id_marker: str | None = request.get("VersionIdMarker")
    behind = None
    if id_marker is not None:
        if not id_marker:
            raise errors.invalid_argument("A version-id marker cannot be empty.", "version-id-marker", "")
        if not key_marker:
            raise errors.invalid_argument(
                "A version-id marker cannot be specified without a key marker.", "version-id-marker", id_marker
            )
        behind = await _sequence(tx, bucket, key_marker, id_marker)
    page = await list_versions(
        tx,
        bucket.name,
        prefix=(request.get("Prefix") or "").encode(),
        delimiter=(request.get("Delimiter") or "").encode(),
        key_marker=key_marker.encode(),
        behind=behind,
        most=page_size(request.get("MaxKeys"), "max-keys"),
    )
    answer: dict[str, Any] = {
        "Name": bucket.name,
        "Prefix": shown(request.get("Prefix") or "", encoding),
        "KeyMarker": shown(key_marker, encoding),
        "VersionIdMarker": id_marker or "",
        "MaxKeys": page_size(request.get("MaxKeys"), "max-keys"),
        "IsTruncated": page.truncated,
    }
    if request.get("Delimiter"):
        answer["Delimiter"] = shown(request["Delimiter"], encoding)
    if encoding:
        answer["EncodingType"] = encoding
    with_restoration = "RestoreStatus" in (request.get("OptionalObjectAttributes") or ())
    found: dict[str, list[dict[str, Any]]] = {}
    for key, is_latest, version in page.entries:
        entry = {
            "Key": shown(key.decode(), encoding),
            "VersionId": version.version_id or versions.NULL_VERSION,
            "IsLatest": is_latest,
            "Owner": {"ID": acls.owner_id(bucket, version)},
        }
        if version.delete_marker:
            found.setdefault("DeleteMarkers", []).append({**entry, "LastModified": float(int(version.modified))})
        else:
            restoration = _restoration(version, ctx.now) if with_restoration else {}
            found.setdefault("Versions", []).append({**entry, **_described(version), **restoration})
    if page.truncated:
        answer["NextKeyMarker"] = shown(page.last.decode("utf-8", "replace"), encoding)
        if page.last_version is not None:
            answer["NextVersionIdMarker"] = page.last_version.version_id or versions.NULL_VERSION
    return answer | found | _prefixes(page.prefixes, encoding)


async def _sequence(tx: Reader, bucket: Bucket, key: str, version_id: str) -> int | None:
    """Where a version stands, be it still there or not; None: nothing tells any more."""
    if version_id == versions.NULL_VERSION:
        version = await versions.named(tx, bucket, key, version_id)
        return version.sequence if version else None
    sequence = versions.sequence_of(version_id)
    if sequence is None:
        raise errors.invalid_argument("Invalid version id specified", "version-id-marker", version_id)
    return sequence
