"""Object lock: a bucket's configuration, and versions' retention and legal hold."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.services.s3 import buckets, errors, locks, replication, versions
from pileus.services.s3.operations.configuration import save
from pileus.services.s3.records import Bucket, Lock, Object
from pileus.store.contract import Reader, Transaction


async def get_object_lock_configuration(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    if not bucket.object_lock:
        raise errors.not_found(
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
            bucket.name,
        )
    rule = {"Rule": {"DefaultRetention": bucket.lock_default}} if bucket.lock_default else {}
    return {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", **rule}}


async def put_object_lock_configuration(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    default = locks.check_configuration(request.get("ObjectLockConfiguration"))
    if bucket.versioning != "Enabled":
        raise errors.invalid_bucket_state(
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
        )
    save(tx, bucket, object_lock=True, lock_default=default)


async def _find(ctx: Context, tx: Reader, request: dict[str, Any]) -> tuple[Bucket, Object]:
    bucket = await buckets.find(ctx, tx, request)
    locks.require(bucket)
    version = await versions.wanted(tx, bucket, request["Key"], request.get("VersionId"))
    if version is None:
        raise errors.no_such_key(request["Key"])
    if version.delete_marker:
        raise errors.method_not_allowed(ctx.http.method, versions.marker_headers(version, named=True))
    return bucket, version


async def get_object_retention(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    _, version = await _find(ctx, tx, request)
    if version.lock is None or not version.lock.mode:
        raise errors.no_object_lock()
    return {"Retention": {"Mode": version.lock.mode, "RetainUntilDate": version.lock.until}}


async def put_object_retention(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket, version = await _find(ctx, tx, request)
    bypass = bool(request.get("BypassGovernanceRetention"))
    version.lock = locks.retained(version, request.get("Retention"), ctx.now, bypass=bypass)
    replication.change(ctx, tx, bucket, request["Key"], version)
    await versions.change(tx, bucket, request["Key"], version)


async def get_object_legal_hold(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    _, version = await _find(ctx, tx, request)
    if version.lock is None or not version.lock.legal_hold:
        raise errors.no_object_lock()
    return {"LegalHold": {"Status": version.lock.legal_hold}}


async def put_object_legal_hold(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket, version = await _find(ctx, tx, request)
    status = (request.get("LegalHold") or {}).get("Status")
    if status not in locks.HOLDS:
        raise errors.malformed_xml()
    version.lock = msgspec.structs.replace(version.lock or Lock(), legal_hold=status)
    replication.change(ctx, tx, bucket, request["Key"], version)
    await versions.change(tx, bucket, request["Key"], version)
