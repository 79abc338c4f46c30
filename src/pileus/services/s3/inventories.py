"""Inventory reports: lists of a bucket's objects, written to another bucket once a day or once a week.

Sources: "Cataloging and analyzing your data with S3 Inventory", "Inventory manifest", "Granting permissions for S3
Inventory and S3 analytics" in the Amazon S3 User Guide.

A report is dated by the midnight (UTC) at which it falls due, weekly ones by Sunday's. Its files have the same names
when it is written again: a run that is cut off is repeated.
"""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import orjson

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import service_principal
from pileus.services.s3 import acls, buckets, keys, lifecycle, replication, versions
from pileus.services.s3.listing import url_encoded
from pileus.services.s3.records import Bucket, Object, decode_object, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after, pack_onto, range_onto, unpack

log = logging.getLogger("pileus.s3")

DAY_S = 86_400
ROWS_PER_FILE = 100_000
_SCAN_BATCH = 500
_THURSDAY_TO_SUNDAY = 3

Row = tuple[str, Object, bool]
# (bucket, key, version, whether it is the latest): what a row has there.
_Column = Callable[[Bucket, str, Object, bool], str]


def _date(when: float | None) -> str:
    return "" if not when else datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _of_object(value: Callable[[Object], Any]) -> _Column:
    """A column that delete markers leave empty."""
    return lambda bucket, key, version, latest: "" if version.delete_marker else str(value(version))


def _list(bucket: Bucket, key: str, version: Object, latest: bool) -> str:
    """The access control list, in base64 of JSON ("Working with the Object ACL field")."""
    if version.delete_marker:
        return ""
    grants = [
        {
            "canonicalId" if grant.type == "CanonicalUser" else "uri": grant.grantee,
            "permission": grant.permission,
            "type": grant.type,
        }
        for grant in acls.effective(version.acl, acls.owner_id(bucket, version))
    ]
    shown = {"version": "2022-11-10", "status": "AVAILABLE", "grants": grants}
    return base64.b64encode(orjson.dumps(shown)).decode()


def _expires(bucket: Bucket, key: str, version: Object, latest: bool) -> str:
    due = lifecycle.expires(bucket, key, version) if latest else None
    return "" if due is None else _date(due.when)


# In this order, whatever that of the configuration.
_FIELDS: dict[str, tuple[str, _Column]] = {
    "Size": ("Size", _of_object(lambda version: version.size)),
    "LastModifiedDate": ("LastModifiedDate", lambda bucket, key, version, latest: _date(version.modified)),
    "ETag": ("ETag", _of_object(lambda version: version.etag)),
    "StorageClass": ("StorageClass", _of_object(lambda version: version.storage_class)),
    "IsMultipartUploaded": ("IsMultipartUploaded", _of_object(lambda version: str(version.parts > 0).lower())),
    "ReplicationStatus": ("ReplicationStatus", lambda bucket, key, version, latest: replication.status(version)),
    "EncryptionStatus": (
        "EncryptionStatus",
        _of_object(lambda version: "SSE-S3" if version.customer_key is None else "SSE-C"),
    ),
    "ObjectLockRetainUntilDate": (
        "ObjectLockRetainUntilDate",
        lambda bucket, key, version, latest: _date(version.lock.until if version.lock else None),
    ),
    "ObjectLockMode": (
        "ObjectLockMode",
        lambda bucket, key, version, latest: version.lock.mode if version.lock else "",
    ),
    "ObjectLockLegalHoldStatus": (
        "ObjectLockLegalHoldStatus",
        _of_object(lambda version: (version.lock.legal_hold if version.lock else "") or "OFF"),
    ),
    "IntelligentTieringAccessTier": (
        "IntelligentTieringAccessTier",
        _of_object(lambda version: "FREQUENT" if version.storage_class == "INTELLIGENT_TIERING" else ""),
    ),
    "BucketKeyStatus": ("BucketKeyStatus", _of_object(lambda version: "DISABLED")),
    "ChecksumAlgorithm": (
        "ChecksumAlgorithm",
        _of_object(lambda version: version.checksum.algorithm if version.checksum else ""),
    ),
    "ObjectAccessControlList": ("ObjectAccessControlList", _list),
    "ObjectOwner": ("ObjectOwner", lambda bucket, key, version, latest: acls.owner_id(bucket, version)),
    "LifecycleExpirationDate": ("LifecycleExpirationDate", _expires),
}


def unknown_field(fields: Sequence[str]) -> str | None:
    """A field that no report has yet; None: all are known."""
    return next((field for field in fields if field not in _FIELDS), None)


async def schedule(tx: Transaction, name: str, configuration_id: str, now: float) -> None:
    """A configuration's first report falls due at the next midnight."""
    days = await _days(tx, name)
    days.setdefault(configuration_id, int(now // DAY_S))
    tx.put(keys.inventory(name), encode(days))


async def _days(tx: Reader, name: str) -> dict[str, int]:
    """The day (since the epoch) of each configuration's last report."""
    data = await tx.get(keys.inventory(name))
    return {} if data is None else msgspec.msgpack.decode(data, type=dict[str, int])


async def run_inventories(cloud: Cloud) -> None:
    at, end = keys.inventories_range()

    async def look(tx: Reader) -> list[tuple[bytes, bytes]]:
        return await tx.scan(at, end, limit=_SCAN_BATCH)

    while found := await cloud.store.read(look):
        for store_key, _ in found:
            await _run(cloud, str(unpack(store_key)[4]))
        at = after(found[-1][0])


async def _run(cloud: Cloud, name: str) -> None:
    today = int(cloud.clock.time() // DAY_S)

    async def look(tx: Reader) -> tuple[Bucket | None, dict[str, int]]:
        return await buckets.load(tx, name), await _days(tx, name)

    bucket, days = await cloud.store.read(look)
    configurations = bucket.configurations.get("inventory", {}) if bucket is not None else {}
    for configuration_id, configuration in configurations.items():
        weekly = configuration["Schedule"]["Frequency"] == "Weekly"
        due = today - (today - _THURSDAY_TO_SUNDAY) % 7 if weekly else today
        if bucket is None or not configuration["IsEnabled"] or days.get(configuration_id, today) >= due:
            continue
        try:
            await _write(cloud, bucket, configuration, due)
        except AWSError as error:
            # As AWS: nobody is told but by the report that is missing.
            log.warning("no inventory %s of %s: %s", configuration_id, name, error)
            continue
        await cloud.store.write(partial(_note, name, configuration_id, due))


async def _note(name: str, configuration_id: str, day: int, tx: Transaction) -> None:
    days = await _days(tx, name)
    if configuration_id in days:
        tx.put(keys.inventory(name), encode(days | {configuration_id: day}))


# ---------------------------------------------------------------------------------------------------------- reports


async def _write(cloud: Cloud, bucket: Bucket, configuration: dict[str, Any], day: int) -> None:
    destination = configuration["Destination"]["S3BucketDestination"]
    target = destination["Bucket"].rpartition(":")[2]
    beginning = "/".join(
        part for part in (destination.get("Prefix", "").strip("/"), bucket.name, configuration["Id"]) if part
    )
    fields = [field for field in _FIELDS if field in (configuration.get("OptionalFields") or ())]
    every = configuration["IncludedObjectVersions"] == "All"
    columns = ["Bucket", "Key", *(("VersionId", "IsLatest", "IsDeleteMarker") if every else ())]
    when = datetime.fromtimestamp(day * DAY_S, UTC)

    async def put(key: str, body: bytes) -> None:
        principal = service_principal("s3", account=bucket.account, source_arn=bucket.arn)
        request = {"Bucket": target, "Key": key, "Body": body, "ACL": "bucket-owner-full-control"}
        region = await cloud.store.read(partial(_region, target))
        await cloud.call(principal, "s3", "PutObject", request, region=region)

    files = []
    async for number, data in _files(cloud, bucket, configuration, fields, every=every):
        name = hashlib.sha256(f"{bucket.name} {configuration['Id']} {day} {number}".encode()).hexdigest()[:32]
        name = f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}"
        key = f"{beginning}/data/{name}.csv.gz"
        await put(key, data)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        files.append({"key": key, "size": len(data), "MD5checksum": md5})
    links = "".join(f"s3://{target}/{file['key']}\n" for file in files)
    await put(f"{beginning}/hive/dt={when:%Y-%m-%d-%H-%M}/symlink.txt", links.encode())
    manifest = orjson.dumps(
        {
            "sourceBucket": bucket.name,
            "destinationBucket": destination["Bucket"],
            "version": "2016-11-30",
            "creationTimestamp": str(day * DAY_S * 1000),
            "fileFormat": "CSV",
            "fileSchema": ", ".join([*columns, *(_FIELDS[field][0] for field in fields)]),
            "files": files,
        }
    )
    await put(f"{beginning}/{when:%Y-%m-%dT%H-%MZ}/manifest.json", manifest)
    checksum = hashlib.md5(manifest, usedforsecurity=False).hexdigest()
    await put(f"{beginning}/{when:%Y-%m-%dT%H-%MZ}/manifest.checksum", checksum.encode())


async def _region(name: str, tx: Reader) -> str:
    bucket = await buckets.load(tx, name)
    return bucket.region if bucket is not None else buckets.DEFAULT_REGION


async def _files(
    cloud: Cloud, bucket: Bucket, configuration: dict[str, Any], fields: list[str], *, every: bool
) -> AsyncIterator[tuple[int, bytes]]:
    """The report's files, as they are stored; one at least."""
    prefix = (configuration.get("Filter") or {}).get("Prefix") or ""
    number, count = 0, 0
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    async for key, version, latest in rows(cloud, bucket, prefix, every=every):
        row = [bucket.name, url_encoded(key)]
        if every:
            shown = version.version_id or (versions.NULL_VERSION if bucket.versioning else "")
            row += [shown, str(latest).lower(), str(version.delete_marker).lower()]
        writer.writerow([*row, *(_FIELDS[field][1](bucket, key, version, latest) for field in fields)])
        count += 1
        if count % ROWS_PER_FILE == 0:
            yield number, gzip.compress(text.getvalue().encode(), mtime=0)
            number += 1
            text.seek(0)
            text.truncate()
    if text.tell() or not number:
        yield number, gzip.compress(text.getvalue().encode(), mtime=0)


async def rows(cloud: Cloud, bucket: Bucket, prefix: str, *, every: bool) -> AsyncIterator[Row]:
    """(key, version, whether it is the latest) of the current versions; then, where asked for, of all others."""
    async for key, version in _space(cloud, keys.objects(bucket.name), prefix):
        yield key, version, True
    if not every:
        return
    before = ""
    async for key, version in _space(cloud, keys.versions(bucket.name), prefix):
        # A delete marker that stands before the others of a key without an object is its latest version.
        first, before = key != before, key
        at = keys.object_(bucket.name, key)

        async def is_hidden(tx: Reader, at: bytes = at) -> bool:
            return await tx.get(at) is not None

        yield key, version, first and version.delete_marker and not await cloud.store.read(is_hidden)


async def _space(cloud: Cloud, space: bytes, prefix: str) -> AsyncIterator[tuple[str, Object]]:
    """The versions of keys that begin with `prefix`, each batch in a snapshot of its own."""
    at, end = range_onto(space)
    if prefix:
        at = max(at, pack_onto(space, prefix.encode()))

    async def look(tx: Reader) -> list[tuple[bytes, bytes]]:
        return await tx.scan(at, end, limit=_SCAN_BATCH)

    while batch := await cloud.store.read(look):
        for store_key, value in batch:
            found = unpack(store_key, len(space))[0]
            assert isinstance(found, bytes)
            key = found.decode()
            if not key.startswith(prefix):
                return
            yield key, decode_object(value)
        at = after(batch[-1][0])
