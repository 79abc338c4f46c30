"""Making, finding, routing and deleting multi-Region access points, and their policies.

What makes or changes one is asked for and done by a delivery of the outbox, in the order in which it was asked for;
what is wrong with it, beyond who asks, the outcome says.

Sources: the pages of these actions under "Amazon S3 Control" in the API Reference, "Using Multi-Region Access Points
with supported API operations" in the User Guide.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from pileus.cloud.context import Cloud, Context
from pileus.delivery.contract import Delivery
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.s3 import accesspoints, buckets, errors, keys, multiregion, policies
from pileus.services.s3.multiregion import Asked, MultiRegionPoint, Side
from pileus.services.s3.operations.accesspoints import check_account
from pileus.services.s3.records import PUBLIC_ACCESS, encode
from pileus.store.contract import Reader, Transaction

_ALIAS_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_ALIAS_LENGTH = 12


def _managed(ctx: Context, request: dict[str, Any]) -> str:
    """The account whose points are asked for, at the endpoint that has them."""
    multiregion.check_region(ctx.region, (multiregion.HOME_REGION,))
    return check_account(ctx, request)


async def _load(tx: Reader, account: str, name: str) -> MultiRegionPoint | None:
    data = await tx.get(keys.multi_region_point(account, name))
    return None if data is None else multiregion.decode_point(data)


async def _find(ctx: Context, tx: Reader, request: dict[str, Any]) -> MultiRegionPoint:
    point = await _load(tx, _managed(ctx, request), request["Name"])
    if point is None:
        raise multiregion.missing()
    return point


def _save(tx: Transaction, point: MultiRegionPoint) -> None:
    tx.put(keys.multi_region_point(point.account, point.name), encode(point))


# ---------------------------------------------------------------------------------------------------- asking for it


async def create_multi_region_access_point(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    account, details = _managed(ctx, request), request["Details"]
    if not accesspoints.NAME.fullmatch(details["Name"]):
        raise errors.invalid_request("The specified Multi-Region Access Point name is not valid.")
    if not details["Regions"] or len(details["Regions"]) > multiregion.BUCKETS_MAX:
        raise errors.invalid_request(
            f"A Multi-Region Access Point must have between 1 and {multiregion.BUCKETS_MAX} Regions."
        )
    asked = await _ask(ctx, tx, account, request)
    if asked.created == ctx.now and await _load(tx, account, details["Name"]) is None:
        if len(await tx.scan(*keys.multi_region_points_range(account), limit=multiregion.POINTS_MAX)) == (
            multiregion.POINTS_MAX
        ):
            raise AWSError(
                "TooManyMultiRegionAccessPoints",
                "You have attempted to create more Multi-Region Access Points than are allowed for an account.",
                status=400,
            )
        blocked = details.get("PublicAccessBlock")
        alias = f"m{ctx.cloud.ids.string(_ALIAS_LENGTH, _ALIAS_CHARACTERS)}{multiregion.ALIAS_END}"
        point = MultiRegionPoint(
            name=details["Name"],
            account=account,
            alias=alias,
            created=ctx.now,
            status="CREATING",
            public_access_block={one: True if blocked is None else bool(blocked.get(one)) for one in PUBLIC_ACCESS},
            sides=[
                Side(bucket=one["Bucket"], account=one.get("BucketAccountId") or account) for one in details["Regions"]
            ],
            made_by=asked.id,
        )
        _save(tx, point)
        tx.put(keys.alias(alias), keys.multi_region_point(account, point.name))
    return {"RequestTokenARN": asked.arn}


async def delete_multi_region_access_point(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    account = _managed(ctx, request)
    asked = await _ask(ctx, tx, account, request)
    point = await _load(tx, account, request["Details"]["Name"])
    if point is not None and asked.status == "INPROGRESS":
        point.status = "DELETING"
        _save(tx, point)
    return {"RequestTokenARN": asked.arn}


async def put_multi_region_access_point_policy(
    ctx: Context, tx: Transaction, request: dict[str, Any]
) -> dict[str, Any]:
    account, details = _managed(ctx, request), request["Details"]
    asked = await _ask(ctx, tx, account, request)
    point = await _load(tx, account, details["Name"])
    if point is not None and asked.status == "INPROGRESS":
        point.proposed = details["Policy"]
        _save(tx, point)
    return {"RequestTokenARN": asked.arn}


async def _ask(ctx: Context, tx: Transaction, account: str, request: dict[str, Any]) -> Asked:
    """Note what is asked for, and have it done; a token that has asked before gets what it got then."""
    details, token = request["Details"], request["ClientToken"]
    digest = hashlib.sha256(msgspec.json.encode([ctx.operation, details], order="deterministic")).hexdigest()
    at = keys.multi_region_token(account, token)
    if (before := await tx.get(at)) is not None:
        id, same = msgspec.msgpack.decode(before, type=tuple[str, str])
        if same != digest:
            raise AWSError("IdempotencyException", "The client request token was used with another request", status=400)
        data = await tx.get(keys.multi_region_request(account, id))
        assert data is not None, "a token is forgotten with its request"
        return multiregion.decode_asked(data)
    asked = Asked(
        id=ctx.cloud.ids.uuid(),
        account=account,
        operation=ctx.operation,
        details=details,
        created=ctx.now,
        request_id=ctx.request_id,
        client_token=token,
    )
    tx.put(at, encode((asked.id, digest)))
    tx.put(keys.multi_region_request(account, asked.id), encode(asked))
    payload = {"account": account, "id": asked.id}
    ctx.cloud.outbox.put(tx, target=multiregion.TARGET, payload=payload, now=ctx.now, order=f"do:{account}")
    ctx.cloud.outbox.put(
        tx,
        target=multiregion.TARGET,
        payload={**payload, "forget": True},
        now=ctx.now,
        due=ctx.now + multiregion.REMEMBERED_S,
    )
    return asked


# --------------------------------------------------------------------------------------------------------- doing it


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    """Do what was asked for, or forget that it was."""
    account, id = delivery.payload["account"], delivery.payload["id"]

    async def run(tx: Transaction) -> None:
        at = keys.multi_region_request(account, id)
        data = await tx.get(at)
        if data is None:
            return
        asked = multiregion.decode_asked(data)
        if delivery.payload.get("forget"):
            tx.delete(at)
            tx.delete(keys.multi_region_token(account, asked.client_token))
        elif asked.status == "INPROGRESS":
            try:
                asked.regions = await _DO[asked.operation](tx, asked)
                asked.status = "SUCCEEDED"
            except AWSError as error:
                asked.status, asked.failure = "FAILED", (error.code, error.message)
            tx.put(at, encode(asked))

    await cloud.store.write(run)


async def _create(tx: Transaction, asked: Asked) -> list[str]:
    name = asked.details["Name"]
    point = await _load(tx, asked.account, name)
    if point is None or point.made_by != asked.id:
        raise AWSError(
            "MultiRegionAccessPointAlreadyOwnedByYou",
            "You already have a Multi-Region Access Point with the same name.",
        )
    try:
        for side in point.sides:
            side.region = await _region_of(tx, side)
        regions = [side.region for side in point.sides]
        if len(set(regions)) != len(regions):
            raise AWSError(
                "MultiRegionAccessPointSameBucketRegion",
                "The buckets used to create a Multi-Region Access Point cannot be in the same Region.",
            )
    except AWSError:
        _drop(tx, point)
        raise
    point.status = "READY"
    _save(tx, point)
    return regions


async def _region_of(tx: Reader, side: Side) -> str:
    bucket = await buckets.load(tx, side.bucket)
    if bucket is None:
        raise AWSError("NoSuchBucket", "The specified bucket does not exist.")
    if bucket.account != side.account:
        raise AWSError("AccessDenied", "Access denied.")
    if bucket.is_directory or not multiregion.supports(bucket.region):
        raise AWSError(
            "MultiRegionAccessPointUnsupportedRegion",
            "One of the buckets supplied to create the Multi-Region Access Point is in a Region that is not supported.",
        )
    return bucket.region


def _drop(tx: Transaction, point: MultiRegionPoint) -> None:
    tx.delete(keys.multi_region_point(point.account, point.name))
    tx.delete(keys.alias(point.alias))


async def _wanted(tx: Reader, asked: Asked) -> MultiRegionPoint:
    point = await _load(tx, asked.account, asked.details["Name"])
    if point is None:
        raise multiregion.missing()
    return point


async def _delete(tx: Transaction, asked: Asked) -> list[str]:
    point = await _wanted(tx, asked)
    _drop(tx, point)
    return [side.region for side in point.sides]


async def _put_policy(tx: Transaction, asked: Asked) -> list[str]:
    point = await _wanted(tx, asked)
    policy = asked.details["Policy"]
    if point.proposed == policy:
        point.proposed = ""
        _save(tx, point)
    document = policies.check(policy, point.arn)
    if point.public_access_block["BlockPublicPolicy"] and policies.is_public(document):
        raise AWSError("AccessDenied", "Access denied.")
    point.policy = policy
    _save(tx, point)
    return [side.region for side in point.sides]


_DO = {
    "CreateMultiRegionAccessPoint": _create,
    "DeleteMultiRegionAccessPoint": _delete,
    "PutMultiRegionAccessPointPolicy": _put_policy,
}


# ------------------------------------------------------------------------------------------------------- looking at it


async def describe_multi_region_access_point_operation(
    ctx: Context, tx: Reader, request: dict[str, Any]
) -> dict[str, Any]:
    account, token = _managed(ctx, request), request["RequestTokenARN"]
    data = await tx.get(keys.multi_region_request(account, token.rpartition("/")[2]))
    asked = None if data is None else multiregion.decode_asked(data)
    if asked is None or asked.arn != token:
        raise AWSError("NoSuchAsyncRequest", "The specified request does not exist.", status=404)
    shown: dict[str, Any] = {
        "CreationTime": asked.created,
        "Operation": asked.operation,
        "RequestTokenARN": asked.arn,
        "RequestParameters": {f"{asked.operation}Request": asked.details},
        "RequestStatus": asked.status,
    }
    details: dict[str, Any] = {}
    if asked.regions:
        regions = [{"Name": region, "RequestStatus": asked.status} for region in asked.regions]
        details["MultiRegionAccessPointDetails"] = {"Regions": regions}
    if asked.failure is not None:
        details["ErrorDetails"] = {
            "Code": asked.failure[0],
            "Message": asked.failure[1],
            "Resource": asked.details["Name"],
            "RequestId": asked.request_id,
        }
    return {"AsyncOperation": shown | ({"ResponseDetails": details} if details else {})}


def _shown(point: MultiRegionPoint) -> dict[str, Any]:
    return {
        "Name": point.name,
        "Alias": point.alias,
        "CreatedAt": point.created,
        "PublicAccessBlock": point.public_access_block,
        "Status": point.status,
        "Regions": [
            {
                "Bucket": side.bucket,
                **({"Region": side.region} if side.region else {}),
                "BucketAccountId": side.account,
            }
            for side in point.sides
        ],
    }


async def get_multi_region_access_point(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    return {"AccessPoint": _shown(await _find(ctx, tx, request))}


async def list_multi_region_access_points(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    """All of them: there are no pages of so few."""
    rows = await tx.scan(*keys.multi_region_points_range(_managed(ctx, request)), limit=multiregion.POINTS_MAX)
    return {"AccessPoints": [_shown(multiregion.decode_point(value)) for _, value in rows]}


async def get_multi_region_access_point_policy(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    point = await _find(ctx, tx, request)
    found = {"Established": point.policy, "Proposed": point.proposed}
    return {"Policy": {name: {"Policy": policy} for name, policy in found.items() if policy}}


async def get_multi_region_access_point_policy_status(
    ctx: Context, tx: Reader, request: dict[str, Any]
) -> dict[str, Any]:
    point = await _find(ctx, tx, request)
    public = bool(point.policy) and policies.is_public(msgspec.json.decode(point.policy))
    return {"Established": {"IsPublic": public}}


# ---------------------------------------------------------------------------------------------------------- routes


async def _by_arn(ctx: Context, tx: Reader, request: dict[str, Any]) -> MultiRegionPoint:
    multiregion.check_region(ctx.region, multiregion.ROUTING_REGIONS)
    account = check_account(ctx, request)
    arn = parse_arn(request["Mrap"])
    alias = arn.resource.removeprefix("accesspoint/") if arn is not None else request["Mrap"]
    at = await tx.get(keys.alias(alias)) if alias.endswith(multiregion.ALIAS_END) else None
    data = await tx.get(at) if at is not None else None
    point = None if data is None else multiregion.decode_point(data)
    if point is None or point.account != account or point.status == "CREATING":
        raise multiregion.missing()
    return point


async def get_multi_region_access_point_routes(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    point = await _by_arn(ctx, tx, request)
    routes = [
        {"Bucket": side.bucket, "Region": side.region, "TrafficDialPercentage": side.dial} for side in point.sides
    ]
    return {"Mrap": point.arn, "Routes": routes}


async def submit_multi_region_access_point_routes(
    ctx: Context, tx: Transaction, request: dict[str, Any]
) -> dict[str, Any]:
    point = await _by_arn(ctx, tx, request)
    point.sides = multiregion.routed(point, request["RouteUpdates"])
    _save(tx, point)
    return {}
