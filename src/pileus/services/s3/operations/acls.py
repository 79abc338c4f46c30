"""Reading and putting access control lists."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.services.s3 import acls, buckets, errors, notifications, replication, versions
from pileus.services.s3.accounts import canonical_id
from pileus.services.s3.operations.configuration import save
from pileus.services.s3.operations.reading import missing
from pileus.services.s3.records import Bucket, Grant
from pileus.store.contract import Reader, Transaction


async def get_bucket_acl(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    grants = () if bucket.ownership == acls.ENFORCED else bucket.acl
    return acls.shown(grants, canonical_id(bucket.account))


async def put_bucket_acl(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    owner = canonical_id(bucket.account)
    grants = acls.of_request(request, acls.BUCKET_CANNED, owner=owner, bucket_owner=owner)
    await _check(tx, bucket, grants)
    save(tx, bucket, acl=acls.kept(grants, owner))


async def _check(tx: Reader, bucket: Bucket, grants: tuple[Grant, ...]) -> None:
    if bucket.ownership == acls.ENFORCED:
        raise acls.not_supported()
    block = await buckets.public_access(tx, bucket)
    if block["BlockPublicAcls"] and acls.is_public(grants):
        raise errors.access_denied()


async def get_object_acl(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    version = await versions.wanted(tx, bucket, request["Key"], request.get("VersionId"))
    if version is None or version.delete_marker:
        raise await missing(ctx, tx, bucket, request, version)
    grants = () if bucket.ownership == acls.ENFORCED else version.acl
    return acls.shown(grants, acls.owner_id(bucket, version))


async def put_object_acl(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    version = await versions.wanted(tx, bucket, request["Key"], request.get("VersionId"))
    if version is None:
        raise errors.no_such_key(request["Key"])
    if version.delete_marker:
        raise errors.method_not_allowed(ctx.http.method, versions.marker_headers(version, named=True))
    owner = acls.owner_id(bucket, version)
    bucket_owner = canonical_id(bucket.account)
    grants = acls.of_request(request, acls.OBJECT_CANNED, owner=owner, bucket_owner=bucket_owner)
    await _check(tx, bucket, grants)
    changed = msgspec.structs.replace(version, acl=acls.kept(grants, owner))
    replication.change(ctx, tx, bucket, request["Key"], changed)
    await versions.change(tx, bucket, request["Key"], changed)
    notifications.announce(ctx, tx, bucket, "s3:ObjectAcl:Put", key=request["Key"], version=changed, now=ctx.now)
