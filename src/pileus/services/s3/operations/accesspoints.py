"""Making, finding and deleting access points, and their policies.

Source: the pages of these actions under "Amazon S3 Control" in the API Reference; recorded answers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.services.s3 import accesspoints, buckets, directories, errors, keys, policies, scopes
from pileus.services.s3.control_pages import page
from pileus.services.s3.control_tags import check
from pileus.services.s3.records import PUBLIC_ACCESS, AccessPoint, decode_access_point, encode
from pileus.store.contract import Reader, Transaction

_ALIAS_NAME = 20


def check_account(ctx: Context, request: dict[str, Any]) -> str:
    """`x-amz-account-id`: nobody asks for what another account has."""
    given = request.get("AccountId")
    if given is not None and given != ctx.principal.account:
        raise errors.access_denied()
    return ctx.principal.account


async def find(ctx: Context, tx: Reader, request: dict[str, Any]) -> AccessPoint:
    account = check_account(ctx, request)
    return await accesspoints.load(tx, account, ctx.region, request["Name"])


def _save(tx: Transaction, point: AccessPoint) -> None:
    tx.put(keys.access_point(point.account, point.region, point.name), encode(point))


async def create_access_point(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    account, name = check_account(ctx, request), request["Name"]
    zone = directories.point_zone(name)
    if not zone and not accesspoints.NAME.fullmatch(name):
        raise errors.invalid_request("The specified access point name is not valid.")
    if request.get("Scope") and not zone:
        raise errors.invalid_request("A scope is supported by access points for directory buckets only.")
    bucket = await buckets.load(tx, request["Bucket"])
    if bucket is None:
        raise errors.no_such_bucket(request["Bucket"])
    if directories.zone_of(bucket.name) != zone or bucket.region != ctx.region:
        raise errors.invalid_request("An access point must be created in the zone of its directory bucket.")
    if request.get("BucketAccountId", bucket.account) != bucket.account:
        raise errors.access_denied()
    at = keys.access_point(account, ctx.region, name)
    taken = await tx.get(keys.alias(name)) if zone else None
    if taken not in (None, at):
        raise AWSError("AccessPointAlreadyExists", "The requested access point name is not available.", status=409)
    if await tx.get(at) is not None:
        raise accesspoints.already_owned()
    blocked = request.get("PublicAccessBlockConfiguration")
    point = AccessPoint(
        name=name,
        account=account,
        region=ctx.region,
        bucket=bucket.name,
        bucket_account=bucket.account,
        alias=name if zone else f"{name[:_ALIAS_NAME].rstrip('-')}-{ctx.cloud.ids.hex(32)}{accesspoints.ALIAS_END}",
        created=ctx.now,
        public_access_block={one: True if blocked is None else bool(blocked.get(one)) for one in PUBLIC_ACCESS},
        vpc=request.get("VpcConfiguration") or {},
        tags=check(request.get("Tags") or ()),
        scope=scopes.check(request.get("Scope") or {}),
    )
    _save(tx, point)
    tx.put(keys.alias(point.alias), at)
    return {"AccessPointArn": point.arn, "Alias": point.alias}


def _shown(point: AccessPoint) -> dict[str, Any]:
    return {
        "Name": point.name,
        "Bucket": point.bucket,
        "NetworkOrigin": "VPC" if point.vpc else "Internet",
        **({"VpcConfiguration": point.vpc} if point.vpc else {}),
        "Alias": point.alias,
        "AccessPointArn": point.arn,
        "BucketAccountId": point.bucket_account,
    }


async def get_access_point(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    point = await find(ctx, tx, request)
    behind = f"{point.region}.amazonaws.com"
    return {
        **_shown(point),
        "PublicAccessBlockConfiguration": point.public_access_block,
        "CreationDate": float(int(point.created)),
        "Endpoints": {
            "ipv4": f"s3-accesspoint.{behind}",
            "dualstack": f"s3-accesspoint.dualstack.{behind}",
            "fips": f"s3-accesspoint-fips.{behind}",
            "fips_dualstack": f"s3-accesspoint-fips.dualstack.{behind}",
        },
    }


async def list_access_points(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    account = check_account(ctx, request)
    return await _listed(tx, account, ctx.region, request, request.get("Bucket"), directory=False)


async def list_access_points_for_directory_buckets(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    account = check_account(ctx, request)
    return await _listed(tx, account, ctx.region, request, request.get("DirectoryBucket"), directory=True)


async def _listed(
    tx: Reader, account: str, region: str, request: dict[str, Any], bucket: str | None, *, directory: bool
) -> dict[str, Any]:
    found, token = await page(
        tx,
        keys.access_points_range(account, region),
        request,
        decode_access_point,
        lambda one: one.is_directory == directory and bucket in (None, one.bucket),
    )
    return {"AccessPointList": [_shown(point) for point in found], **token}


async def delete_access_point(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    point = await find(ctx, tx, request)
    tx.delete(keys.access_point(point.account, point.region, point.name))
    tx.delete(keys.alias(point.alias))
    ctx.status = 204


async def put_access_point_policy(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    point = await find(ctx, tx, request)
    document = policies.check(request["Policy"], point.arn)
    if point.public_access_block["BlockPublicPolicy"] and policies.is_public(document):
        raise errors.access_denied()
    _save(tx, msgspec.structs.replace(point, policy=request["Policy"]))


async def get_access_point_policy(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    point = await find(ctx, tx, request)
    if not point.policy:
        raise accesspoints.no_policy(point.name)
    return {"Policy": point.policy}


async def get_access_point_policy_status(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    point = await find(ctx, tx, request)
    if not point.policy:
        raise accesspoints.no_policy(point.name)
    return {"PolicyStatus": {"IsPublic": policies.is_public(msgspec.json.decode(point.policy))}}


async def delete_access_point_policy(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    _save(tx, msgspec.structs.replace(await find(ctx, tx, request), policy=""))
    ctx.status = 204


async def _scoped(ctx: Context, tx: Reader, request: dict[str, Any]) -> AccessPoint:
    point = await find(ctx, tx, request)
    if not point.is_directory:
        raise errors.invalid_request("A scope is supported by access points for directory buckets only.")
    return point


async def put_access_point_scope(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    point = await _scoped(ctx, tx, request)
    _save(tx, msgspec.structs.replace(point, scope=scopes.check(request["Scope"])))


async def get_access_point_scope(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    return {"Scope": (await _scoped(ctx, tx, request)).scope}


async def delete_access_point_scope(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    _save(tx, msgspec.structs.replace(await _scoped(ctx, tx, request), scope={}))
    ctx.status = 204
