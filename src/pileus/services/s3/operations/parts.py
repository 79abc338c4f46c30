"""Uploading parts: from the request's body, and from other objects."""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.services.s3 import bodies, buckets, checksums, encryption, errors, keys, locks, ranges, uploading
from pileus.services.s3.copysource import parse_copy_source
from pileus.services.s3.operations.copies import find_source
from pileus.services.s3.operations.reading import missing
from pileus.services.s3.operations.uploads import PARTS_MAX, find_upload
from pileus.services.s3.records import Object, Part, Upload, decode_part, encode
from pileus.store.contract import Reader, Transaction


async def upload_part(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    _check_number(request)
    expected = uploading.announced(ctx, request)
    stream = uploading.body_of(request)
    customer_key = encryption.customer_key(request)

    async def look(tx: Reader) -> Upload:
        bucket = await buckets.find(ctx, tx, request)
        upload = await find_upload(tx, bucket, request)
        locks.check_integrity("Part", locked=bool(upload.lock or bucket.lock_default), checked=bool(expected))
        return upload

    upload = await ctx.cloud.store.read(look)
    encryption.check_part_key(upload.customer_key, customer_key)
    if upload.checksum_algorithm and expected.algorithm not in (None, upload.checksum_algorithm):
        raise errors.invalid_request(
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.checksum_algorithm.lower()}, "
            f"actual checksum Type: {str(expected.algorithm).lower()}"
        )
    algorithm = upload.checksum_algorithm or checksums.DEFAULT_ALGORITHM
    received = await uploading.receive(ctx, stream, expected, (algorithm,), md5_in_hex=False, customer_key=customer_key)
    part = await _keep(ctx, request, received, algorithm)
    answer = {"ETag": f'"{part.etag}"', **encryption.shown(upload.customer_key)}
    shown = expected.algorithm or upload.checksum_algorithm
    if shown:
        answer[checksums.member(shown)] = received.checksums[shown]
    return answer


async def upload_part_copy(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    _check_number(request)
    source = parse_copy_source(request["CopySource"])
    customer_key = encryption.customer_key(request)
    source_key = encryption.customer_key(request, encryption.SOURCE, reading=True)

    async def look(tx: Reader) -> tuple[Object, list[bodies.Segment], Upload]:
        upload = await _find(ctx, tx, request)
        bucket, version = await find_source(ctx, tx, request, source)
        if version is None or version.delete_marker:
            raise await missing(ctx, tx, bucket, {"Key": source.key}, version)
        first, last = 0, version.size - 1
        if (span := request.get("CopySourceRange")) is not None:
            first, last = ranges.parse_copy_range(span, version.size)
        return version, await bodies.locate(tx, version.body, first, last), upload

    version, segments, upload = await ctx.cloud.store.read(look)
    encryption.check_part_key(upload.customer_key, customer_key)
    algorithm = upload.checksum_algorithm or checksums.DEFAULT_ALGORITHM
    stream = bodies.SegmentStream(ctx.cloud, segments, source_key)
    received = await bodies.receive(ctx.cloud, stream, (algorithm,), customer_key=customer_key)
    part = await _keep(ctx, request, received, algorithm)
    result: dict[str, Any] = {"ETag": f'"{part.etag}"', "LastModified": float(int(part.modified))}
    if upload.checksum_algorithm:
        result[checksums.member(algorithm)] = part.checksum
    answer: dict[str, Any] = {"CopyPartResult": result, **encryption.shown(upload.customer_key)}
    if version.version_id:
        answer["CopySourceVersionId"] = version.version_id
    return answer


def _check_number(request: dict[str, Any]) -> None:
    number = request.get("PartNumber")
    if number is None or not 1 <= number <= PARTS_MAX:
        shown = "" if number is None else str(number)
        raise errors.invalid_argument(
            "Part number must be an integer between 1 and 10000, inclusive", "partNumber", shown
        )


async def _find(ctx: Context, tx: Reader, request: dict[str, Any]) -> Upload:
    return await find_upload(tx, await buckets.find(ctx, tx, request), request)


async def _keep(ctx: Context, request: dict[str, Any], received: bodies.Received, algorithm: str) -> Part:
    """Record the part in place of an earlier one of its number, as long as the upload is still there."""
    token = bodies.new_token(ctx.cloud)
    now = ctx.cloud.clock.time()
    etag = uploading.etag(ctx, received, request["Bucket"])

    async def change(tx: Transaction) -> Part:
        await _find(ctx, tx, request)
        key = keys.part(request["UploadId"], request["PartNumber"])
        if (old := await tx.get(key)) is not None:
            await bodies.release(ctx.cloud, tx, decode_part(old).body)
        part = Part(
            body=bodies.keep(ctx.cloud, tx, received, token),
            etag=etag,
            modified=now,
            checksum=received.checksums[algorithm],
        )
        tx.put(key, encode(part))
        return part

    return await bodies.commit(ctx.cloud, received, change)
