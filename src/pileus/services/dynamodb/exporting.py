"""Exports to S3: a table as of a moment, in the files that AWS lays out, written as whoever asked for it.

    AWSDynamoDB/<export>/_started
    AWSDynamoDB/<export>/data/<name>.json.gz            {"Item": {...}} a line
    AWSDynamoDB/<export>/manifest-files.json            a line for each of them
    AWSDynamoDB/<export>/manifest-summary.json          and the MD5 of both manifests beside them

Source: "DynamoDB table export output format" in the Developer Guide.
"""

from __future__ import annotations

import gzip
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.kernel.streams import BytesStream
from pileus.services.dynamodb import copying, keys, records
from pileus.services.dynamodb.copying import Copy
from pileus.services.dynamodb.items import Stored
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

BATCH_ITEMS = 500
# A data file is closed when so much JSON is in it.
FILE_BYTES = 16 << 20

_FAILURES = {"NoSuchBucket": "S3NoSuchBucket", "AccessDenied": "S3AccessDenied"}


async def run(cloud: Cloud, account: str, region: str, export_id: str) -> None:
    """All of an export; done again from its start where it was cut off."""
    key = keys.export(account, region, export_id)

    async def load(tx: Reader) -> bytes | None:
        return await tx.get(key)

    raw = await cloud.store.read(load)
    if raw is None or records.decode_export(raw).status != "IN_PROGRESS":
        return
    export = records.decode_export(raw)
    if not export.copied:
        await copying.run(cloud, Copy(account, region, export.table, target_backup=export.id, moment=export.moment))
        export.copied = True
        await _save(cloud, key, export)
    try:
        await _write(cloud, account, region, export)
        export.status = "COMPLETED"
    except AWSError as error:
        export.status = "FAILED"
        export.failure = (_FAILURES.get(error.code, error.code), error.message)
    export.ended = cloud.clock.time()
    await _save(cloud, key, export)


async def _save(cloud: Cloud, key: bytes, export: records.Export) -> None:
    async def save(tx: Transaction) -> None:
        tx.put(key, records.encode(export))

    await cloud.store.write(save)


async def _write(cloud: Cloud, account: str, region: str, export: records.Export) -> None:
    folder = f"{export.prefix.rstrip('/') + '/' if export.prefix else ''}AWSDynamoDB/{export.id}"

    async def put(name: str, body: bytes, kind: str = "application/json") -> str:
        request: dict[str, Any] = {"Bucket": export.bucket, "Key": f"{folder}/{name}", "Body": BytesStream(body)}
        request["ContentType"] = kind
        if export.encryption:
            request["ServerSideEncryption"] = export.encryption
        if export.bucket_owner:
            request["ExpectedBucketOwner"] = export.bucket_owner
        answer = await cloud.call(export.principal, "s3", "PutObject", request, region=region)
        return str(answer.get("ETag", "")).strip('"')

    await put("_started", b"")
    prefix = keys.backup_items(account, region, export.id)
    at: bytes | None = prefix
    held: list[bytes] = []
    held_bytes = 0
    files: list[bytes] = []
    export.items = export.size_bytes = 0
    while at is not None:
        place = at

        async def page(tx: Reader, place: bytes = place) -> list[tuple[bytes, bytes]]:
            return await tx.scan(place, prefix + b"\xff", limit=BATCH_ITEMS)

        rows = await cloud.store.read(page)
        for _, raw in rows:
            line = b'{"Item":%b}\n' % Stored(raw).json
            held.append(line)
            held_bytes += len(line)
            export.items += 1
            export.size_bytes += Stored(raw).size
        at = after(rows[-1][0]) if len(rows) == BATCH_ITEMS else None
        if held and (held_bytes >= FILE_BYTES or at is None):
            # The same name when it is done again: nothing is left over.
            body = gzip.compress(b"".join(held), mtime=0)
            digest = md5(body, usedforsecurity=False)
            name = f"data/{md5(f'{export.id}/{len(files)}'.encode(), usedforsecurity=False).hexdigest()}.json.gz"
            etag = await put(name, body, "application/octet-stream")
            entry = {
                "itemCount": len(held),
                "md5Checksum": b64encode(digest.digest()).decode(),
                "etag": etag,
                "dataFileS3Key": f"{folder}/{name}",
            }
            files.append(orjson.dumps(entry) + b"\n")
            held, held_bytes = [], 0
        await cloud.clock.sleep(0)
    listed = b"".join(files)
    await put("manifest-files.json", listed)
    await put("manifest-files.md5", _checksum(listed), "text/plain")
    summary = orjson.dumps(
        {
            "version": "2020-06-30",
            "exportArn": export.arn,
            "startTime": _iso(export.started),
            "endTime": _iso(cloud.clock.time()),
            "tableArn": export.table_arn,
            "tableId": export.table_id,
            "exportTime": _iso(export.moment),
            "s3Bucket": export.bucket,
            "s3Prefix": export.prefix or None,
            "s3SseAlgorithm": export.encryption or "AES256",
            "s3SseKmsKeyId": None,
            "manifestFilesS3Key": f"{folder}/manifest-files.json",
            "billedSizeBytes": export.size_bytes,
            "itemCount": export.items,
            "outputFormat": "DYNAMODB_JSON",
            "exportType": "FULL_EXPORT",
        }
    )
    await put("manifest-summary.json", summary)
    await put("manifest-summary.md5", _checksum(summary), "text/plain")
    export.manifest = f"{folder}/manifest-summary.json"


def _iso(when: float) -> str:
    moment = datetime.fromtimestamp(when, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def _checksum(body: bytes) -> bytes:
    return b64encode(md5(body, usedforsecurity=False).digest())
