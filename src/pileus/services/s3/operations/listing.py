"""Listing a bucket's objects."""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.services.s3 import buckets, keys
from pileus.services.s3.listing import Page, check_encoding, from_token, list_page, page_size, shown, token
from pileus.services.s3.records import Bucket, decode_object
from pileus.store.contract import Reader


async def list_objects(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await _begin(ctx, tx, request)
    encoding = request.get("EncodingType")
    marker: str = request.get("Marker") or ""
    page = await _page(tx, bucket, request, marker.encode())
    answer = _shown(bucket, request, page, with_owner=True)
    answer["Marker"] = shown(marker, encoding)
    if page.truncated and request.get("Delimiter"):
        answer["NextMarker"] = shown(page.last.decode(), encoding)
    return answer


async def list_objects_v2(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await _begin(ctx, tx, request)
    given = request.get("ContinuationToken")
    start_after: str | None = request.get("StartAfter")
    marker = from_token(given) if given is not None else (start_after or "").encode()
    page = await _page(tx, bucket, request, marker)
    answer = _shown(bucket, request, page, with_owner=bool(request.get("FetchOwner")))
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


def _shown(bucket: Bucket, request: dict[str, Any], page: Page, *, with_owner: bool) -> dict[str, Any]:
    encoding = request.get("EncodingType")
    owner = {"Owner": buckets.owner(bucket)} if with_owner else {}
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
    for key, _, value in page.entries:
        version = decode_object(value)
        entry: dict[str, Any] = {
            "Key": shown(key.decode(), encoding),
            "LastModified": float(int(version.modified)),
            "ETag": f'"{version.etag}"',
        }
        if version.checksum:
            entry["ChecksumAlgorithm"] = [version.checksum.algorithm]
            entry["ChecksumType"] = version.checksum.type
        contents.append(entry | {"Size": version.size, "StorageClass": version.storage_class} | owner)
    if contents:
        answer["Contents"] = contents
    if page.prefixes:
        answer["CommonPrefixes"] = [
            {"Prefix": shown(prefix.decode("utf-8", "replace"), encoding)} for prefix in page.prefixes
        ]
    return answer
