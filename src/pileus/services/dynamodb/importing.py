"""Imports from S3: files of items into a new table, read as whoever asked for it.

A line that is no item, or none for this table, is counted and left out; the rest go in, an item that comes twice takes
the place of the first.

Source: "DynamoDB data import from Amazon S3: how it works", "Amazon S3 import formats for DynamoDB".
"""

from __future__ import annotations

import csv
import io
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import copying, items, keys, records, schema, values
from pileus.services.dynamodb.tables import Table
from pileus.services.dynamodb.values import Item
from pileus.store.contract import Reader, Transaction

# Items put by one transaction.
BATCH_ITEMS = 200
# What one file may grow to: what is compressed well must not take all memory.
FILE_BYTES_MAX = 256 << 20
# A cell may be as long as an item.
csv.field_size_limit(values.ITEM_BYTES_MAX)

_FAILURES = {"NoSuchBucket": "S3NoSuchBucket", "AccessDenied": "S3AccessDenied"}


async def run(cloud: Cloud, account: str, region: str, import_id: str) -> None:
    """All of an import; done again from its start where it was cut off."""
    key = keys.imported(account, region, import_id)

    async def load(tx: Reader) -> bytes | None:
        return await tx.get(key)

    raw = await cloud.store.read(load)
    if raw is None or records.decode_import(raw).status != "IN_PROGRESS":
        return
    job = records.decode_import(raw)
    job.errors = job.processed = job.processed_bytes = job.imported = 0
    try:
        await _read_all(cloud, account, region, job)
        job.status = "COMPLETED"
    except AWSError as error:
        job.status = "FAILED"
        job.failure = (_FAILURES.get(error.code, error.code), error.message)
    job.ended = cloud.clock.time()

    async def end(tx: Transaction) -> None:
        tx.put(key, records.encode(job))
        table = await copying.load(tx, account, region, job.table)
        if table is not None and table.record.id == job.table_id:
            done = msgspec.structs.replace(table.record, restoring=False)
            tx.put(keys.table(account, region, job.table), records.encode(done))

    await cloud.store.write(end)


async def _read_all(cloud: Cloud, account: str, region: str, job: records.Import) -> None:
    owner = {"ExpectedBucketOwner": job.bucket_owner} if job.bucket_owner else {}
    listing: dict[str, Any] = {"Bucket": job.bucket, "Prefix": job.prefix, **owner}
    while True:
        page = await cloud.call(job.principal, "s3", "ListObjectsV2", listing, region=region)
        for entry in page.get("Contents", ()):
            if entry["Key"].endswith("/"):
                continue
            request = {"Bucket": job.bucket, "Key": entry["Key"], **owner}
            answer = await cloud.call(job.principal, "s3", "GetObject", request, region=region)
            body = answer["Body"]
            data = body if isinstance(body, bytes) else b"".join([chunk async for chunk in body])
            job.processed_bytes += len(data)
            await _read_file(cloud, account, region, job, data)
        if not page.get("IsTruncated"):
            return
        listing["ContinuationToken"] = page["NextContinuationToken"]


async def _read_file(cloud: Cloud, account: str, region: str, job: records.Import, data: bytes) -> None:
    try:
        text = gunzipped(data) if job.compression == "GZIP" else data
    except ValueError:
        job.errors += 1
        return
    batch: list[Item | None] = []
    for item in csv_items(text, job) if job.format == "CSV" else json_items(text):
        batch.append(item)
        if len(batch) == BATCH_ITEMS:
            await _put(cloud, account, region, job, batch)
            batch = []
    await _put(cloud, account, region, job, batch)


def gunzipped(data: bytes) -> bytes:
    """Raises `ValueError` for what is not gzip, or too much of it."""
    found: list[bytes] = []
    size = 0
    while data:
        member = zlib.decompressobj(wbits=31)
        try:
            piece = member.decompress(data, FILE_BYTES_MAX - size + 1)
        except zlib.error as error:
            raise ValueError from error
        size += len(piece)
        if size > FILE_BYTES_MAX or not member.eof:
            raise ValueError
        found.append(piece)
        data = member.unused_data
    return b"".join(found)


def json_items(text: bytes) -> Iterator[Item | None]:
    """The items of DynamoDB JSON, `{"Item": {...}}` a line; None for what is none."""
    for line in text.splitlines():
        if line.strip():
            try:
                yield values.check_item(_decoded(orjson.loads(line)["Item"]))[0]
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError, AWSError, RecursionError):
                yield None


def _decoded(item: dict[str, Any]) -> dict[str, Any]:
    """An item of a file as one of a request."""
    return {name: _value(value) for name, value in item.items()}


def _value(value: dict[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    try:
        match kind:
            case "B":
                return {"B": b64decode(content, validate=True)}
            case "BS":
                return {"BS": [b64decode(each, validate=True) for each in content]}
            case "L":
                return {"L": [_value(each) for each in content]}
            case "M":
                return {"M": _decoded(content)}
    except Base64Error as error:
        raise ValueError from error
    return value


def csv_items(text: bytes, job: records.Import) -> Iterator[Item | None]:
    """The items of a CSV file: keys by their types, everything else as text; None for what is none."""
    lines = csv.reader(io.StringIO(text.decode("utf-8", "replace"), newline=""), delimiter=job.delimiter or ",")
    header = list(job.header)
    while True:
        try:
            row = next(lines)
        except StopIteration:
            return
        except csv.Error:
            yield None
            continue
        if not row:
            continue
        if not header:
            header = row
            continue
        if len(row) > len(header):
            yield None
            continue
        try:
            given = {
                name: _cell(job.key_types.get(name, "S"), cell) for name, cell in zip(header, row, strict=False) if cell
            }
            yield values.check_item(given)[0]
        except (AWSError, ValueError):
            yield None


def _cell(kind: str, text: str) -> dict[str, Any]:
    return {"B": b64decode(text, validate=True)} if kind == "B" else {kind: text}


async def _put(cloud: Cloud, account: str, region: str, job: records.Import, batch: list[Item | None]) -> None:
    async def put(tx: Transaction) -> int:
        table = await copying.load(tx, account, region, job.table)
        if table is None or table.record.id != job.table_id:
            raise AWSError("TableNotFoundException", f"Table not found: {job.table}")
        return sum([await _put_one(cloud, tx, table, item) for item in batch if item is not None])

    good = await cloud.store.write(put)
    job.processed += len(batch)
    job.imported += good
    job.errors += len(batch) - good


async def _put_one(cloud: Cloud, tx: Transaction, table: Table, item: Item) -> bool:
    size = values.item_size(item)
    try:
        items.check_size(size)
        key = schema.item_key(table.prefix, table.schema, item)
        for index in table.indexes:
            schema.check_index_keys(index.name, index.schema, item, update=False)
    except AWSError:
        return False
    old = await items.read(tx, key)
    await items.change(cloud, tx, table, key, now=cloud.clock.time(), old=old, new=item, new_size=size)
    return True
