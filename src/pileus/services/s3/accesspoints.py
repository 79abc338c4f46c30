"""Access points as such: names, ARNs and aliases, and the bucket behind one.

Sources: "Managing access to shared datasets with access points", "Referencing access points" in the Amazon S3 User
Guide; recorded answers.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from pileus.cloud.context import Context
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.s3 import keys
from pileus.services.s3.records import AccessPoint, decode_access_point
from pileus.store.contract import Reader

ALIAS_END = "-s3alias"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,48}[a-z0-9]", re.ASCII)
# The member by which a request that came through an access point says so, after `resolve`.
VIA = "DataAccessPointArn"
_COPY_SOURCE = re.compile(r"/?(arn(?::|%3A)[^/]+?(?:/|%2F)[a-z0-9-]+)(?:/|%2F)object(?:/|%2F)(.+)", re.IGNORECASE)


def missing(name: str) -> AWSError:
    return AWSError("NoSuchAccessPoint", "The specified accesspoint does not exist", status=404, AccessPointName=name)


async def load(tx: Reader, account: str, region: str, name: str) -> AccessPoint:
    data = await tx.get(keys.access_point(account, region, name))
    if data is None:
        raise missing(name)
    return decode_access_point(data)


async def named(ctx: Context, tx: Reader, name: str) -> AccessPoint:
    """The access point of an ARN or alias."""
    if name.endswith(ALIAS_END):
        at = await tx.get(keys.alias(name))
        data = await tx.get(at) if at is not None else None
        if data is None:
            raise missing(name)
        return decode_access_point(data)
    arn = parse_arn(name)
    if arn is None or arn.service != "s3" or not arn.resource.startswith("accesspoint"):
        raise AWSError("InvalidARN", "Invalid Arn", status=400)
    return await load(tx, arn.account, arn.region or ctx.region, arn.resource[len("accesspoint/") :])


def _is_one(name: Any) -> bool:
    return isinstance(name, str) and (name.startswith("arn:") or name.endswith(ALIAS_END))


async def resolve(ctx: Context, request: dict[str, Any]) -> None:
    """Put the bucket in the place of the access point that a request names."""
    if _is_one(request.get("Bucket")) and ctx.operation != "CreateBucket":
        point = await ctx.cloud.store.read(lambda tx: named(ctx, tx, request["Bucket"]))
        request["Bucket"] = point.bucket
        request[VIA] = point.arn
    source = request.get("CopySource")
    if source is None:
        return
    if found := _COPY_SOURCE.fullmatch(source):
        name, rest = found[1].replace("%3A", ":").replace("%2F", "/"), found[2]
    else:
        name, _, rest = source.removeprefix("/").partition("/")
    if _is_one(name):
        point = await ctx.cloud.store.read(lambda tx: named(ctx, tx, name))
        request["CopySource"] = f"{point.bucket}/{rest}"


def translated(point: AccessPoint) -> dict[str, Any]:
    """The access point's policy, of the bucket's own resources."""
    bucket = f"arn:aws:s3:::{point.bucket}"
    return dict(orjson.loads(point.policy.replace(f"{point.arn}/object/", f"{bucket}/").replace(point.arn, bucket)))
