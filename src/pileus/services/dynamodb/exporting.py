"""Exports to S3: a table as of a moment, or what changed in it between two, in the files that AWS lays out, written as
whoever asked for it.

    AWSDynamoDB/<export>/_started
    AWSDynamoDB/<export>/data/<name>.json.gz            {"Item": {...}} a line, or as Ion; of an incremental export in
                                                        AWSDynamoDB/data/, {"Metadata": ..., "Keys": ..., images} a line
    AWSDynamoDB/<export>/manifest-files.json            a line for each of them
    AWSDynamoDB/<export>/manifest-summary.json          and the MD5 of both manifests beside them

Source: "DynamoDB table export output format" in the Developer Guide.
"""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

import msgspec
import orjson

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.kernel.streams import BytesStream
from pileus.services.dynamodb import batching, copying, filtering, increments, ion, keys, records, replication, values
from pileus.services.dynamodb.batching import Row
from pileus.services.dynamodb.copying import Copy
from pileus.services.dynamodb.filtering import Filter
from pileus.services.dynamodb.items import Stored
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

BATCH_ITEMS = 500
# A data file is closed when so much is in it.
FILE_BYTES = 16 << 20
# The formats' versions.
_FULL, _INCREMENTAL = "2020-06-30", "2023-08-01"

_FAILURES = {"NoSuchBucket": "S3NoSuchBucket", "AccessDenied": "S3AccessDenied"}

# Puts a file: its key, its content, its type; gives its entity tag.
_Put = Callable[[str, bytes, str], Awaitable[str]]


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
        if export.since:
            await increments.gather(cloud, account, region, export)
            await _gathered(cloud, account, region, export)
        else:
            copy = Copy(account, region, export.table, target_backup=export.id, moment=export.moment)
            await copying.run(cloud, copy)
        export.copied = True
    try:
        await _write(cloud, account, region, export)
        export.status = "COMPLETED"
    except AWSError as error:
        export.status = "FAILED"
        export.failure = (_FAILURES.get(error.code, error.code), error.message)
    export.ended = cloud.clock.time()
    await _save(cloud, key, export)


async def _gathered(cloud: Cloud, account: str, region: str, export: records.Export) -> None:
    """Note that all changes are gathered: the table's history is needed no more."""

    async def note(tx: Transaction) -> None:
        table = await replication.load(tx, account, region, export.table)
        if table is not None and export.id in table.record.copying:
            left = tuple(each for each in table.record.copying if each != export.id)
            changed = msgspec.structs.replace(table.record, copying=left)
            tx.put(keys.table(account, region, export.table), records.encode(changed))
        noted = msgspec.structs.replace(export, copied=True)
        tx.put(keys.export(account, region, export.id), records.encode(noted))

    await cloud.store.write(note)


async def _save(cloud: Cloud, key: bytes, export: records.Export) -> None:
    async def save(tx: Transaction) -> None:
        tx.put(key, records.encode(export))

    await cloud.store.write(save)


async def _write(cloud: Cloud, account: str, region: str, export: records.Export) -> None:
    root = f"{export.prefix.rstrip('/') + '/' if export.prefix else ''}AWSDynamoDB"
    folder = f"{root}/{export.id}"

    async def put(name: str, body: bytes, kind: str = "application/json") -> str:
        request: dict[str, Any] = {"Bucket": export.bucket, "Key": name, "Body": BytesStream(body)}
        request["ContentType"] = kind
        if export.encryption:
            request["ServerSideEncryption"] = export.encryption
        if export.bucket_owner:
            request["ExpectedBucketOwner"] = export.bucket_owner
        answer = await cloud.call(export.principal, "s3", "PutObject", request, region=region)
        return str(answer.get("ETag", "")).strip('"')

    await put(f"{folder}/_started", b"")
    listed = await _write_data(cloud, account, region, export, put=put, root=root)
    await put(f"{folder}/manifest-files.json", listed)
    await put(f"{folder}/manifest-files.md5", _checksum(listed), "text/plain")
    summary = orjson.dumps(_summary(export, f"{folder}/manifest-files.json", cloud.clock.time()))
    await put(f"{folder}/manifest-summary.json", summary)
    await put(f"{folder}/manifest-summary.md5", _checksum(summary), "text/plain")
    export.manifest = f"{folder}/manifest-summary.json"


async def _write_data(
    cloud: Cloud, account: str, region: str, export: records.Export, *, put: _Put, root: str
) -> bytes:
    """Write the data files; gives the manifest of them."""
    folder = f"{root}/data" if export.since else f"{root}/{export.id}/data"
    ending = "ion" if export.format == "ION" else "json"
    prefix = keys.backup_items(account, region, export.id)
    at: bytes | None = prefix
    limited = filtering.load(export.limited_to)
    held: list[bytes] = []
    held_bytes = 0
    files: list[bytes] = []
    export.items = export.size_bytes = 0
    while at is not None:
        place = at

        async def page(tx: Reader, place: bytes = place) -> tuple[list[Row], bool]:
            return await batching.scan(tx, place, prefix + b"\xff", BATCH_ITEMS)

        rows, more = await cloud.store.read(page)
        for _, raw in rows:
            line, size = (_change_line if export.since else _item_line)(export, limited, raw)
            # What is read costs, written or not.
            export.size_bytes += size
            if line:
                held.append(line)
                held_bytes += len(line)
                export.items += 1
        at = after(rows[-1][0]) if more else None
        if held and (held_bytes >= FILE_BYTES or at is None):
            # The same name when it is done again: nothing is left over.
            body = gzip.compress(b"".join(held), mtime=0)
            name = md5(f"{export.id}/{len(files)}".encode(), usedforsecurity=False).hexdigest()
            key = f"{folder}/{name}.{ending}.gz"
            etag = await put(key, body, "application/octet-stream")
            entry = {
                "itemCount": len(held),
                "md5Checksum": _checksum(body).decode(),
                "etag": etag,
                "dataFileS3Key": key,
            }
            files.append(orjson.dumps(entry) + b"\n")
            held, held_bytes = [], 0
        await cloud.clock.sleep(0)
    return b"".join(files)


def _item_line(export: records.Export, limited: Filter, raw: bytes) -> tuple[bytes, int]:
    """An item's line, empty where it is left out, and the size of what was read of it."""
    stored = Stored(raw)
    if export.format != "ION" and not export.limited_to:
        return b'{"Item":%b}\n' % stored.json, stored.size
    item = stored.item()
    if not limited.reads(item):
        return b"", 0
    if not limited.keeps(item):
        return b"", stored.size
    shown = limited.shown(item)
    if export.format == "ION":
        return ion.write({"Item": ion.item(shown)}), stored.size
    return b'{"Item":%b}\n' % values.dump(shown), stored.size


def _change_line(export: records.Export, limited: Filter, raw: bytes) -> tuple[bytes, int]:
    """The line of an item that changed, and its images' size; empty where it came and went between the moments.

    What it became decides whether it is left out; of one that is gone, what it was.
    """
    change = increments.decode(raw)
    old = None if change.old is None else Stored(change.old)
    new = None if change.new is None else Stored(change.new)
    some = new or old
    if some is None:
        return b"", 0
    item = some.item()
    if not limited.reads(item):
        return b"", 0
    key = {name: item[name] for name in export.keys}
    images = {"OldImage": old, "NewImage": new}
    shown = {
        name: image
        for name, image in images.items()
        if image is not None and (name == "NewImage" or export.view == "NEW_AND_OLD_IMAGES")
    }
    size = sum(image.size for image in shown.values())
    if not limited.keeps(item):
        return b"", size
    if export.format == "ION":
        members = {"Keys": ion.item(key), "Metadata": f"{{WriteTimestampMicros:{change.at}.}}"}
        members |= {name: ion.item(limited.shown(image.item())) for name, image in shown.items()}
        text = ",".join(f"{name}:{member}" for name, member in members.items())
        return ion.write({"Record": f"{{{text}}}"}), size
    parts = [b'"Metadata":{"WriteTimestampMicros":{"N":"%d"}}' % change.at, b'"Keys":%b' % values.dump(key)]
    for name, image in shown.items():
        json = values.dump(limited.shown(image.item())) if export.limited_to else image.json
        parts.append(b'"%b":%b' % (name.encode(), json))
    return b"{%b}\n" % b",".join(parts), size


def _summary(export: records.Export, manifest: str, ended: float) -> dict[str, Any]:
    moments: dict[str, Any] = {"exportTime": _iso(export.moment)}
    if export.since:
        moments = {"exportFromTime": _iso(export.since), "exportToTime": _iso(export.moment)}
    answer = {
        "version": _INCREMENTAL if export.since else _FULL,
        "exportArn": export.arn,
        "startTime": _iso(export.started),
        "endTime": _iso(ended),
        "tableArn": export.table_arn,
        "tableId": export.table_id,
        **moments,
        "s3Bucket": export.bucket,
        "s3Prefix": export.prefix or None,
        "s3SseAlgorithm": export.encryption or "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": manifest,
        "billedSizeBytes": export.size_bytes,
        "itemCount": export.items,
        "outputFormat": export.format,
    }
    if export.since:
        answer["outputView"] = export.view
    return {**answer, "exportType": "INCREMENTAL_EXPORT" if export.since else "FULL_EXPORT"}


def _iso(when: float) -> str:
    moment = datetime.fromtimestamp(when, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def _checksum(body: bytes) -> bytes:
    return b64encode(md5(body, usedforsecurity=False).digest())
