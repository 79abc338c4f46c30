"""Imports from S3: files of items into a new table, read as whoever asked for it.

What is no item, or none for this table, is left out, counted, and told of in the log group `/aws-dynamodb/imports`; the
import has failed then, and the other items stay. An item that comes twice takes the place of the first. Where the
import is, is noted with the items: a node that dies leaves the rest to another.

Sources: "DynamoDB data import from Amazon S3: how it works", "Amazon S3 import formats for DynamoDB", "Import format
quotas and validation" in the Developer Guide.
"""

from __future__ import annotations

import csv
import io
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import orjson

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import copying, errors, ion, items, keys, records, schema, values
from pileus.services.dynamodb.batching import BATCH_BYTES
from pileus.services.dynamodb.tables import Table
from pileus.services.dynamodb.values import Item
from pileus.store.contract import Reader, Transaction

# Items put by one transaction.
BATCH_ITEMS = 200
# What one file may grow to: what is compressed well must not take all memory.
FILE_BYTES_MAX = 256 << 20
# Errors that are logged; more are counted only.
LOGGED_MAX = 10_000
LOG_GROUP = "/aws-dynamodb/imports"
_MESSAGE_CHARS_MAX = 1000
# A cell may be as long as an item.
csv.field_size_limit(values.ITEM_BYTES_MAX)

_FAILURES = {"NoSuchBucket": "S3NoSuchBucket", "AccessDenied": "S3AccessDenied"}

# An item, or what is wrong with it.
Found = Item | str
Drop = Callable[[Transaction, Table], Awaitable[None]]


class _S3Error(Exception):
    """What S3 has answered."""

    def __init__(self, error: AWSError) -> None:
        super().__init__(error.message)
        self.code = _FAILURES.get(error.code, error.code)
        status = f"Status Code: {error.status}; " if error.status else ""
        self.message = f"{error.message} (Service: Amazon S3; {status}Error Code: {error.code})"


async def run(cloud: Cloud, account: str, region: str, import_id: str, drop: Drop) -> None:
    """All of an import, or what is left of it; `drop` takes the table back where nothing was read."""
    key = keys.imported(account, region, import_id)

    async def load(tx: Reader) -> tuple[bytes | None, Table | None]:
        raw = await tx.get(key)
        return raw, None if raw is None else await copying.load(tx, account, region, records.decode_import(raw).table)

    raw, table = await cloud.store.read(load)
    if raw is None or table is None or records.decode_import(raw).status != "IN_PROGRESS":
        return
    job = records.decode_import(raw)
    try:
        await _Import(cloud, account, region, job, table).run()
        job.status = "FAILED" if job.errors else "COMPLETED"
        if job.errors:
            job.failure = (
                "ItemValidationError",
                "Some of the items failed validation checks and were not imported. Please check CloudWatch error logs "
                "for more details.",
            )
    except _S3Error as error:
        job.status, job.failure = "FAILED", (error.code, error.message)
    except AWSError as error:
        job.status, job.failure = "FAILED", (error.code, error.message)
    job.ended = cloud.clock.time()

    async def end(tx: Transaction) -> None:
        tx.put(key, records.encode(job))
        table = await copying.load(tx, account, region, job.table)
        if table is None or table.record.id != job.table_id:
            return
        if job.status == "FAILED" and not job.processed and not job.errors:
            await drop(tx, table)
        else:
            done = msgspec.structs.replace(table.record, restoring=False)
            tx.put(keys.table(account, region, job.table), records.encode(done))

    await cloud.store.write(end)


class _Import:
    """One import under way."""

    def __init__(self, cloud: Cloud, account: str, region: str, job: records.Import, table: Table) -> None:
        self.cloud = cloud
        self.account = account
        self.region = region
        self.job = job
        self.table = table

    async def run(self) -> None:
        job = self.job
        await self._begin_log()
        owner = {"ExpectedBucketOwner": job.bucket_owner} if job.bucket_owner else {}
        listing: dict[str, Any] = {"Bucket": job.bucket, "Prefix": job.prefix, **owner}
        if job.done:
            listing["StartAfter"] = job.done
        while True:
            page = await self._s3("ListObjectsV2", listing)
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):
                    await self._read_file(entry["Key"], entry["Size"], owner)
            if not page.get("IsTruncated"):
                return
            listing["ContinuationToken"] = page["NextContinuationToken"]

    async def _s3(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self.cloud.call(self.job.principal, "s3", operation, request, region=self.region)
        except AWSError as error:
            raise _S3Error(error) from error

    async def _read_file(self, key: str, size: int, owner: dict[str, str]) -> None:
        text: bytes | str = "The object is larger than what is imported"
        if size <= FILE_BYTES_MAX:
            answer = await self._s3("GetObject", {"Bucket": self.job.bucket, "Key": key, **owner})
            body = answer["Body"]
            data = body if isinstance(body, bytes) else b"".join([chunk async for chunk in body])
            text = decompressed(data, self.job.compression)
        known, self.job.lines = self.job.lines, 0
        batch: list[Found] = []
        batch_bytes = 0
        first = known
        for number, found in enumerate([text] if isinstance(text, str) else found_items(text, self.job)):
            if number < known:
                continue
            batch.append(found)
            batch_bytes += len(found) if isinstance(found, str) else values.item_size(found)
            if len(batch) == BATCH_ITEMS or batch_bytes >= BATCH_BYTES:
                await self._put(key, first, batch, lines=number + 1)
                batch, batch_bytes, first = [], 0, number + 1
        await self._put(key, first, batch, done=key, size=size)

    async def _put(
        self, file: str, first: int, batch: list[Found], *, lines: int = 0, done: str = "", size: int = 0
    ) -> None:
        """Put what is good of a batch, and note with it where the import is."""
        good: list[tuple[bytes, Item, int]] = []
        wrong: list[tuple[int, str]] = []
        for number, found in enumerate(batch, first):
            try:
                good.append(_located(self.table, found))
            except AWSError as error:
                wrong.append((number, error.message))
        await self._log(file, wrong)
        job = msgspec.structs.replace(
            self.job,
            done=done or self.job.done,
            lines=lines,
            errors=self.job.errors + len(wrong),
            processed=self.job.processed + len(batch),
            processed_bytes=self.job.processed_bytes + size,
            imported=self.job.imported + len(good),
        )

        async def put(tx: Transaction) -> None:
            table = await copying.load(tx, self.account, self.region, job.table)
            if table is None or table.record.id != job.table_id:
                raise AWSError("TableNotFoundException", f"Table not found: {job.table}")
            now = self.cloud.clock.time()
            for key, item, item_size in good:
                old = await items.read(tx, key)
                await items.change(self.cloud, tx, table, key, now=now, old=old, new=item, new_size=item_size)
            tx.put(keys.imported(self.account, self.region, job.id), records.encode(job))

        await self.cloud.store.write(put)
        for name in ("done", "lines", "errors", "processed", "processed_bytes", "imported"):
            setattr(self.job, name, getattr(job, name))

    async def _begin_log(self) -> None:
        named = {"logGroupName": LOG_GROUP}
        for operation, request in (
            ("CreateLogGroup", named),
            ("CreateLogStream", {**named, "logStreamName": f"{self.job.id}/error"}),
        ):
            try:
                await self.cloud.call(self.job.principal, "logs", operation, request, region=self.region)
            except AWSError as error:
                if error.code != "ResourceAlreadyExistsException":
                    raise

    async def _log(self, file: str, wrong: list[tuple[int, str]]) -> None:
        at = int(self.cloud.clock.time() * 1000)
        events = []
        for number, message in wrong[: max(0, LOGGED_MAX - self.job.errors)]:
            told = {
                "itemS3Pointer": {"bucket": self.job.bucket, "key": file, "itemIndex": number},
                "importArn": self.job.arn,
                "errorMessages": [message[:_MESSAGE_CHARS_MAX]],
            }
            events.append({"timestamp": at, "message": orjson.dumps(told).decode()})
        if events:
            request = {"logGroupName": LOG_GROUP, "logStreamName": f"{self.job.id}/error", "logEvents": events}
            await self.cloud.call(self.job.principal, "logs", "PutLogEvents", request, region=self.region)


def _located(table: Table, found: Found) -> tuple[bytes, Item, int]:
    """The key of an item, the item, its size; raises what is wrong with it."""
    if isinstance(found, str):
        raise errors.validation(found)
    size = values.item_size(found)
    items.check_size(size)
    key = schema.item_key(table.prefix, table.schema, found)
    for index in table.indexes:
        schema.check_index_keys(index.name, index.schema, found, update=False)
    return key, found, size


def decompressed(data: bytes, compression: str) -> bytes | str:
    """The content of a file, or what is wrong with it."""
    if compression == "NONE":
        return data
    try:
        return _inflated(data, lambda: zlib.decompressobj(wbits=31)) if compression == "GZIP" else _unzstd(data)
    except (ValueError, EOFError):
        return f"The object is not {compression}, or its content is larger than what is imported"


def _inflated(data: bytes, begin: Callable[[], Any], error: type[Exception] = zlib.error) -> bytes:
    found: list[bytes] = []
    size = 0
    while data:
        member = begin()
        try:
            piece = member.decompress(data, FILE_BYTES_MAX - size + 1)
        except error as wrong:
            raise ValueError from wrong
        size += len(piece)
        if size > FILE_BYTES_MAX or not member.eof:
            raise ValueError
        found.append(piece)
        data = member.unused_data
    return b"".join(found)


def _unzstd(data: bytes) -> bytes:
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return _inflated(data, zstd.ZstdDecompressor, zstd.ZstdError)


def found_items(text: bytes, job: records.Import) -> Iterator[Found]:
    """The items of a file, each as it is found."""
    if job.format == "CSV":
        return csv_items(text, job)
    return json_items(text) if job.format == "DYNAMODB_JSON" else ion_items(text)


def ion_items(text: bytes) -> Iterator[Found]:
    """The items of an Ion file, one a line."""
    for line in text.split(b"\n"):
        if line.strip():
            try:
                yield values.check_item(ion.read(line.decode()))[0]
            except AWSError as error:
                yield error.message
            except (ValueError, RecursionError) as error:
                yield str(error) or "The line is not Ion"


def json_items(text: bytes) -> Iterator[Found]:
    """The items of DynamoDB JSON, `{"Item": {...}}` a line."""
    for line in text.splitlines():
        if line.strip():
            try:
                yield values.check_item(_decoded(orjson.loads(line)["Item"]))[0]
            except AWSError as error:
                yield error.message
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError, RecursionError):
                yield "The line is not DynamoDB JSON"


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


def csv_items(text: bytes, job: records.Import) -> Iterator[Found]:
    """The items of a CSV file: keys by their types, everything else as text."""
    lines = csv.reader(io.StringIO(text.decode("utf-8", "replace"), newline=""), delimiter=job.delimiter or ",")
    header = list(job.header)
    while True:
        try:
            row = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"The row is not CSV: {error}"
            continue
        if not row:
            continue
        if not header:
            header = row
            continue
        if len(row) > len(header):
            yield "The row has more columns than the header"
            continue
        try:
            given = {
                name: _cell(job.key_types.get(name, "S"), cell) for name, cell in zip(header, row, strict=False) if cell
            }
            yield values.check_item(given)[0]
        except AWSError as error:
            yield error.message
        except ValueError:
            yield "A cell of a key of type B is not base64"


def _cell(kind: str, text: str) -> dict[str, Any]:
    return {"B": b64decode(text, validate=True)} if kind == "B" else {kind: text}
