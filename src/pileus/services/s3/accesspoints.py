"""Access points as such: names, ARNs and aliases, and the bucket behind one.

Sources: "Managing access to shared datasets with access points", "Referencing access points" in the Amazon S3 User
Guide; recorded answers.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_plus

import orjson

from pileus.cloud.context import Context
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.s3 import directories, errors, keys, multiregion, object_lambda, scopes
from pileus.services.s3.multiregion import MultiRegionPoint
from pileus.services.s3.records import DIRECTORY_POINT_END, AccessPoint, decode_access_point
from pileus.store.contract import Reader

ALIAS_END = "-s3alias"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,48}[a-z0-9]", re.ASCII)
# The members by which a request that came through an access point says so, after `resolve`, and whose that is.
VIA = "DataAccessPointArn"
VIA_ACCOUNT = "DataAccessPointAccount"
_ENDS = (ALIAS_END, multiregion.ALIAS_END, DIRECTORY_POINT_END, object_lambda.ALIAS_END)
_COPY_SOURCE = re.compile(r"/?(arn(?::|%3A)[^/]+?(?:/|%2F)[a-z0-9.-]+)(?:/|%2F)object(?:/|%2F)(.+)", re.IGNORECASE)


def already_owned() -> AWSError:
    return AWSError(
        "AccessPointAlreadyOwnedByYou",
        "Your previous request to create the named accesspoint succeeded and you already own it.",
        status=409,
    )


def no_policy(name: str) -> AWSError:
    return AWSError(
        "NoSuchAccessPointPolicy", "The specified accesspoint policy does not exist", status=404, AccessPointName=name
    )


async def load(tx: Reader, account: str, region: str, name: str) -> AccessPoint:
    data = await tx.get(keys.access_point(account, region, name))
    if data is None:
        raise errors.no_such_access_point(name)
    return decode_access_point(data)


async def named(ctx: Context, tx: Reader, name: str) -> AccessPoint | MultiRegionPoint:
    """The access point of an ARN or alias."""
    arn = parse_arn(name)
    alias = name if arn is None else arn.resource.removeprefix("accesspoint/")
    if alias.endswith(multiregion.ALIAS_END):
        return await _multi_region(tx, alias, "" if arn is None else arn.account)
    if alias.endswith((ALIAS_END, DIRECTORY_POINT_END)):
        at = await tx.get(keys.alias(alias))
        data = await tx.get(at) if at is not None else None
        if data is None:
            raise errors.no_such_access_point(alias)
        return decode_access_point(data)
    if arn is None or arn.service != "s3" or not arn.resource.startswith("accesspoint"):
        raise AWSError("InvalidARN", "Invalid Arn", status=400)
    return await load(tx, arn.account, arn.region or ctx.region, arn.resource[len("accesspoint/") :])


async def _multi_region(tx: Reader, alias: str, account: str) -> MultiRegionPoint:
    """The one of an alias, and of that account if one is given; ready for requests."""
    at = await tx.get(keys.alias(alias))
    data = await tx.get(at) if at is not None else None
    point = None if data is None else multiregion.decode_point(data)
    if point is None or account not in ("", point.account) or point.status == "CREATING":
        raise multiregion.missing()
    return point


def _is_one(name: Any) -> bool:
    return isinstance(name, str) and (name.startswith("arn:") or name.endswith(_ENDS))


async def resolve(ctx: Context, request: dict[str, Any]) -> str | None:
    """Put the bucket in the place of the access point that a request names; the region, too, is then the bucket's.

    Returns what is done instead, where a function answers.
    """
    if _is_one(request.get("Bucket")) and ctx.operation != "CreateBucket":
        if object_lambda.is_one(request["Bucket"]):
            through = await object_lambda.resolve(ctx, request)
            if through.function(ctx.operation) is not None:
                return object_lambda.TRANSFORMED[ctx.operation]
        point, bucket, region = await ctx.cloud.store.read(lambda tx: _behind(ctx, tx, request))
        ctx.region = region
        request["Bucket"] = bucket
        request[VIA] = point.arn
        request[VIA_ACCOUNT] = point.account
    source = request.get("CopySource")
    if source is None:
        return None
    if found := _COPY_SOURCE.fullmatch(source):
        name, rest = found[1].replace("%3A", ":").replace("%2F", "/"), found[2]
    else:
        name, _, rest = source.removeprefix("/").partition("/")
    if _is_one(name):
        point = await ctx.cloud.store.read(lambda tx: named(ctx, tx, name))
        if isinstance(point, MultiRegionPoint):
            raise errors.invalid_request("A Multi-Region Access Point cannot be the source of a copy.")
        if not scopes.covers(point.scope, "GetObject", {"Key": unquote_plus(rest.partition("?versionId=")[0])}):
            raise errors.access_denied()
        request["CopySource"] = f"{point.bucket}/{rest}"
    return None


async def _behind(ctx: Context, tx: Reader, request: dict[str, Any]) -> tuple[AccessPoint | MultiRegionPoint, str, str]:
    """The access point, the bucket behind it that the request goes to, and its region."""
    point = await named(ctx, tx, request["Bucket"])
    if isinstance(point, AccessPoint):
        if point.is_directory:
            directories.check_through_point(ctx.operation)
        if not scopes.covers(point.scope, ctx.operation, request):
            raise errors.access_denied()
        return point, point.bucket, ctx.region
    multiregion.check_operation(ctx.operation)
    side = multiregion.choose(point, ctx.region)
    if (upload_id := request.get("UploadId")) is not None and "Key" in request:
        # What is under way goes on where it began, whatever routes have changed.
        for one in point.sides:
            if await tx.get(keys.upload(one.bucket, request["Key"], upload_id)) is not None:
                side = one
    return point, side.bucket, side.region


def translated(point: AccessPoint | MultiRegionPoint, bucket: str) -> dict[str, Any]:
    """The access point's policy, of the own resources of the bucket of that ARN."""
    return dict(orjson.loads(point.policy.replace(f"{point.arn}/object/", f"{bucket}/").replace(point.arn, bucket)))
