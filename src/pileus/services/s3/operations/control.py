"""The account's own public access block, and tags of resources by their ARNs.

Source: the pages of these actions under "Amazon S3 Control" in the API Reference; recorded answers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.kernel.arn import Arn, parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.s3 import accesspoints, buckets, errors, grants, keys, lens
from pileus.services.s3.control_tags import check
from pileus.services.s3.grants import AccessGrant, GrantsInstance, GrantsLocation
from pileus.services.s3.lens import LensGroup
from pileus.services.s3.metadata import Tags, shown_tags
from pileus.services.s3.operations.accesspoints import check_account
from pileus.services.s3.operations.configuration import save
from pileus.services.s3.records import PUBLIC_ACCESS, AccessPoint, Bucket, decode_public_access, encode
from pileus.store.contract import Reader, Transaction


async def get_public_access_block(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    account = check_account(ctx, request)
    data = await tx.get(keys.public_access(account))
    if data is None:
        raise AWSError(
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
            status=404,
            AccountId=account,
        )
    return {"PublicAccessBlockConfiguration": decode_public_access(data)}


async def put_public_access_block(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    account = check_account(ctx, request)
    given = request["PublicAccessBlockConfiguration"]
    if not given:
        raise errors.invalid_request("Must specify at least one configuration.")
    tx.put(keys.public_access(account), encode({name: bool(given.get(name)) for name in PUBLIC_ACCESS}))


async def delete_public_access_block(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    tx.delete(keys.public_access(check_account(ctx, request)))
    ctx.status = 204


_Tagged = Bucket | AccessPoint | GrantsInstance | GrantsLocation | AccessGrant | LensGroup


async def _tagged(ctx: Context, tx: Reader, request: dict[str, Any]) -> _Tagged:
    account, given = check_account(ctx, request), request["ResourceArn"]
    arn = parse_arn(given)
    if arn is None or arn.service not in ("s3", "s3express"):
        raise errors.invalid_request("The specified resource ARN is not valid.")
    if arn.account not in ("", account):
        raise errors.access_denied()
    kind, _, name = arn.resource.partition("/")
    found: _Tagged | None = None
    if kind == "accesspoint":
        return await accesspoints.load(tx, arn.account, arn.region, name)
    if arn.service == "s3" and kind == "access-grants":
        found = await _of_grants(tx, arn, name)
    elif arn.service == "s3" and kind == "storage-lens-group":
        data = await tx.get(keys.lens_group(arn.account, arn.region, name))
        found = None if data is None else lens.decode_group(data)
    else:
        found = await buckets.load(tx, name if arn.service == "s3express" else arn.resource)
        if found is not None and found.account != account:
            raise errors.access_denied()
    if found is None or found.arn != given:
        raise AWSError("NoSuchResource", "The specified resource doesn't exist.", status=404)
    return found


async def _of_grants(tx: Reader, arn: Arn, name: str) -> GrantsInstance | GrantsLocation | AccessGrant | None:
    """The Access Grants instance, or what is in it, of a name: "default", "default/grant/{id}"."""
    _, _, rest = name.partition("/")
    kind, _, id = rest.partition("/")
    account, region = arn.account, arn.region
    if not rest:
        data = await tx.get(keys.grants_instance(account, region))
        return None if data is None else grants.decode_instance(data)
    if kind == "location":
        data = await tx.get(keys.grants_location(account, region, id))
        return None if data is None else grants.decode_location(data)
    data = await tx.get(keys.access_grant(account, region, id))
    return None if data is None else grants.decode_grant(data)


def _keep(tx: Transaction, resource: _Tagged, tags: Tags) -> None:
    match resource:
        case Bucket():
            save(tx, resource, tags=tags)
            return
        case AccessPoint():
            at = keys.access_point(resource.account, resource.region, resource.name)
        case GrantsInstance():
            at = keys.grants_instance(resource.account, resource.region)
        case GrantsLocation():
            at = keys.grants_location(resource.account, resource.region, resource.id)
        case AccessGrant():
            at = keys.access_grant(resource.account, resource.region, resource.id)
        case LensGroup():
            at = keys.lens_group(resource.account, resource.region, resource.name)
    tx.put(at, encode(msgspec.structs.replace(resource, tags=tags)))


async def tag_resource(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    tags = check(request["Tags"])
    resource = await _tagged(ctx, tx, request)
    merged = [{"Key": key, "Value": value} for key, value in {**dict(resource.tags), **dict(tags)}.items()]
    _keep(tx, resource, check(merged))


async def untag_resource(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    resource = await _tagged(ctx, tx, request)
    gone = set(request.get("TagKeys") or ())
    _keep(tx, resource, tuple(tag for tag in resource.tags if tag[0] not in gone))


async def list_tags_for_resource(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    return {"Tags": shown_tags((await _tagged(ctx, tx, request)).tags)}
