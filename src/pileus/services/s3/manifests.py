"""What a batch job is to be done to: manifests in CSV, inventory reports, lists made by a filter.

Sources: "Specifying a manifest" in "Creating an S3 Batch Operations job", "Amazon S3 Inventory list", "Configuring an
IAM role for S3 Batch Replication" in the Amazon S3 User Guide; JobManifestGeneratorFilter in the API Reference.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.s3 import buckets, inventories, replicating, replication, versions
from pileus.services.s3.batch import INVENTORY_FORMAT, Job, Task
from pileus.services.s3.records import Bucket, Object

# What gzip may make of one file of a report.
_FILE_BYTES_MAX = 512 * 1024 * 1024


class _File(msgspec.Struct, kw_only=True):
    key: str
    md5: str = msgspec.field(name="MD5checksum")


class _Inventory(msgspec.Struct, kw_only=True):
    """A report's manifest.json, as far as it is of use here."""

    bucket: str = msgspec.field(name="destinationBucket")
    format: str = msgspec.field(name="fileFormat")
    schema: str = msgspec.field(name="fileSchema")
    files: list[_File]


async def region_of(cloud: Cloud, name: str) -> str:
    bucket = await cloud.store.read(lambda tx: buckets.load(tx, name))
    return bucket.region if bucket is not None else buckets.DEFAULT_REGION


async def tasks(cloud: Cloud, principal: Principal, job: Job) -> AsyncIterator[Task]:
    """The job's tasks in their order. Raises ValueError where its manifest is none."""
    if "ManifestGenerator" in job.request:
        async for task in _generated(cloud, principal, job.request["ManifestGenerator"]["S3JobManifestGenerator"]):
            yield task
        return
    manifest = job.request["Manifest"]
    location, spec = manifest["Location"], manifest["Spec"]
    name, _, key = location["ObjectArn"].rpartition(":::")[2].partition("/")
    version = {"VersionId": location["ObjectVersionId"]} if location.get("ObjectVersionId") else {}
    data = await _read(cloud, principal, name, key, IfMatch=location["ETag"], **version)
    if spec["Format"] != INVENTORY_FORMAT:
        for task in rows(data, spec["Fields"]):
            yield task
        return
    try:
        inventory = msgspec.json.decode(data, type=_Inventory)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    if inventory.format != "CSV":
        raise ValueError(f"the inventory report is in {inventory.format}, not in CSV")
    fields = inventory.schema.split(", ")
    for file in inventory.files:
        packed = await _read(cloud, principal, inventory.bucket.rpartition(":")[2], file.key)
        # A file may have hundreds of megabytes: others are not to wait for it.
        for task in rows(await asyncio.to_thread(_unpacked, file, packed), fields):
            yield task


async def _read(cloud: Cloud, principal: Principal, bucket: str, key: str, **more: str) -> bytes:
    request = {"Bucket": bucket, "Key": key, **more}
    answer = await cloud.call(principal, "s3", "GetObject", request, region=await region_of(cloud, bucket))
    body = answer["Body"]
    return body if isinstance(body, bytes) else b"".join([chunk async for chunk in body])


def _unpacked(file: _File, packed: bytes) -> bytes:
    if hashlib.md5(packed, usedforsecurity=False).hexdigest() != file.md5:
        raise ValueError(f"{file.key} is not what the report's MD5 checksum says")
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        data = unpacking.decompress(packed, _FILE_BYTES_MAX)
    except zlib.error:
        raise ValueError("a file of the report is not in gzip") from None
    if not unpacking.eof:
        raise ValueError("a file of the report is cut off or too large")
    return data


def rows(data: bytes, fields: list[str]) -> Iterator[Task]:
    """The tasks of rows in CSV, whose keys are URL-encoded; columns of other names do not count."""
    at = {name: number for number, name in enumerate(fields)}
    if "Bucket" not in at or "Key" not in at:
        raise ValueError("the columns Bucket and Key are missing")
    try:
        for number, row in enumerate(csv.reader(io.StringIO(data.decode())), 1):
            if not row:
                continue
            if len(row) != len(fields):
                raise ValueError(f"line {number} has {len(row)} columns")
            version_id = row[at["VersionId"]] if "VersionId" in at else ""
            yield Task(row[at["Bucket"]], unquote_plus(row[at["Key"]]), version_id)
    except csv.Error as error:
        raise ValueError(str(error)) from error


# ------------------------------------------------------------------------------------------------------ generated


async def _generated(cloud: Cloud, principal: Principal, asked: Mapping[str, Any]) -> AsyncIterator[Task]:
    """Every version that the filter lets through, delete markers among them."""
    name = asked["SourceBucket"].rpartition(":")[2]
    bucket = await cloud.store.read(lambda tx: buckets.load(tx, name))
    if bucket is None or asked.get("ExpectedBucketOwner", bucket.account) != bucket.account:
        raise AWSError("NoSuchBucket", "The specified bucket does not exist", status=404)
    needed = [("s3:PutInventoryConfiguration", bucket.arn, "s3:PutInventoryConfiguration is not allowed")]
    try:
        await replicating.demand(cloud, principal, bucket, "", needed)
    except replicating.Failed as failure:
        raise AWSError("AccessDenied", f"Access Denied: {failure}", status=403) from failure
    lets = asked.get("Filter") or {}
    async for key, version, _ in inventories.rows(cloud, bucket, "", every=True):
        if _passes(lets, bucket, key, version):
            yield Task(bucket.name, key, version.version_id or versions.NULL_VERSION)


def _passes(lets: Mapping[str, Any], bucket: Bucket, key: str, version: Object) -> bool:
    names = lets.get("KeyNameConstraint") or {}
    wanted = (
        ("MatchAnyPrefix", key.startswith),
        ("MatchAnySuffix", key.endswith),
        ("MatchAnySubstring", key.__contains__),
    )
    if any(names.get(member) and not any(map(fits, names[member])) for member, fits in wanted):
        return False
    if lets.get("EligibleForReplication") and not replication.matching(bucket.replication, key, version):
        return False
    states = lets.get("ObjectReplicationStatuses")
    if states and (replication.status(version) or "NONE") not in states:
        return False
    classes = lets.get("MatchAnyStorageClass")
    if classes and version.storage_class not in classes:
        return False
    if not lets.get("CreatedAfter", float("-inf")) < version.modified < lets.get("CreatedBefore", float("inf")):
        return False
    return bool(
        lets.get("ObjectSizeGreaterThanBytes", -1) < version.size < lets.get("ObjectSizeLessThanBytes", 1 << 63)
    )
