"""Scalable targets and their tags.

Sources: the API reference's pages RegisterScalableTarget, DeregisterScalableTarget, DescribeScalableTargets,
TagResource.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import make_arn, parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.application_autoscaling import errors, forgetting, keys, listing, resources
from pileus.services.application_autoscaling.names import Target, target_of
from pileus.services.application_autoscaling.records import ScalableTarget, decode, encode
from pileus.store.contract import Reader, Transaction

TAGS_MAX = 50
_TARGETS_MAX = 10_000


async def find(tx: Reader, at: Target) -> ScalableTarget | None:
    data = await tx.get(keys.target(at))
    return None if data is None else decode(ScalableTarget, data)


def _arn(ctx: Context, target: ScalableTarget) -> str:
    return make_arn("application-autoscaling", ctx.region, ctx.account, f"scalable-target/{target.id}")


async def register_scalable_target(ctx: Context, request: Request) -> Answer:
    at = target_of(ctx.account, ctx.region, request)
    least, most = request.get("MinCapacity"), request.get("MaxCapacity")
    known = await ctx.cloud.store.read(lambda tx: find(tx, at))
    if known is None and (least is None or most is None):
        missing = "MinCapacity" if least is None else "MaxCapacity"
        raise errors.invalid(f"{missing} must be specified when registering a new scalable target")
    if await resources.capacity(ctx.cloud, at) is None:
        raise errors.invalid(_absent(at))
    await _make_role(ctx, at)

    async def put(tx: Transaction) -> ScalableTarget:
        found = await find(tx, at)
        if found is None:
            found = ScalableTarget(
                id="0" + ctx.cloud.ids.hex(31),
                resource=at.resource,
                dimension=at.dimension,
                created=ctx.now,
                least=least or 0,
                most=most or 0,
                role=at.role_arn,
                tags=_tagged({}, request.get("Tags", {}), ""),
            )
        elif request.get("Tags"):
            raise errors.invalid("Tags can only be specified when a scalable target is registered for the first time")
        found.least = found.least if least is None else least
        found.most = found.most if most is None else most
        _check_limits(at, found)
        found.suspended = {**found.suspended, **request.get("SuspendedState", {})}
        tx.put(keys.target(at), encode(found))
        return found

    return {"ScalableTargetARN": _arn(ctx, await ctx.cloud.store.write(put))}


def _absent(at: Target) -> str:
    if at.namespace == "lambda":
        return f"Lambda function or alias does not exist: {at.resource}"
    return f"DynamoDB {'index' if len(at.parts) > 1 else 'table'} does not exist: {at.resource}"


def _check_limits(at: Target, target: ScalableTarget) -> None:
    if target.least < 0 or target.most < 0:
        raise errors.invalid("Minimum and maximum capacity must be greater than or equal to 0")
    if target.least > target.most:
        raise errors.invalid("Maximum capacity cannot be less than minimum capacity")
    if at.namespace == "dynamodb" and target.least < 1:
        raise errors.invalid("Minimum capacity must be greater than or equal to 1")


async def _make_role(ctx: Context, at: Target) -> None:
    """The service-linked role that goes with an account's first target of a service."""
    request = {"AWSServiceName": at.service}
    try:
        await ctx.cloud.call(resources.owner(at), "iam", "CreateServiceLinkedRole", request, region=ctx.region)
    except AWSError as error:
        # It is there already.
        if error.code != "InvalidInput":
            raise


async def deregister_scalable_target(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = target_of(ctx.account, ctx.region, request)
    if await find(tx, at) is None:
        raise errors.no_target(at)
    await forgetting.forget(ctx.cloud, tx, at)
    return {}


async def describe_scalable_targets(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(target: ScalableTarget) -> dict[str, Any]:
        states = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
        return {
            **listing.described(request["ServiceNamespace"], target),
            "MinCapacity": target.least,
            "MaxCapacity": target.most,
            "RoleARN": target.role,
            "CreationTime": target.created,
            "SuspendedState": {state: target.suspended.get(state, False) for state in states},
            "ScalableTargetARN": _arn(ctx, target),
        }

    return await listing.describe(
        ctx, tx, request, member="ScalableTargets", kind="target", record=ScalableTarget, show=show
    )


# ----------------------------------------------------------------------------------------------------------------- tags


async def _of_arn(ctx: Context, tx: Reader, text: str) -> tuple[bytes, ScalableTarget]:
    """The target's key and record."""
    arn = parse_arn(text)
    if arn is not None and (arn.service, arn.account, arn.region) == (keys.SERVICE, ctx.account, ctx.region):
        for key, data in await tx.scan(*keys.all_of("target", ctx.account, ctx.region), limit=_TARGETS_MAX):
            target = decode(ScalableTarget, data)
            if arn.resource == f"scalable-target/{target.id}":
                return key, target
    raise errors.no_resource(text)


def _tagged(tags: dict[str, str], given: dict[str, str], arn: str) -> dict[str, str]:
    if any(name.lower().startswith("aws:") for name in given):
        raise errors.invalid("Tag keys cannot begin with aws:")
    merged = {**tags, **given}
    if len(merged) > TAGS_MAX:
        raise AWSError("TooManyTagsException", f"A resource can have at most {TAGS_MAX} tags.", ResourceName=arn)
    return merged


async def tag_resource(ctx: Context, tx: Transaction, request: Request) -> Answer:
    arn = request["ResourceARN"]
    key, target = await _of_arn(ctx, tx, arn)
    tx.put(key, encode(msgspec.structs.replace(target, tags=_tagged(target.tags, request["Tags"], arn))))
    return {}


async def untag_resource(ctx: Context, tx: Transaction, request: Request) -> Answer:
    key, target = await _of_arn(ctx, tx, request["ResourceARN"])
    left = {name: value for name, value in target.tags.items() if name not in request["TagKeys"]}
    tx.put(key, encode(msgspec.structs.replace(target, tags=left)))
    return {}


async def list_tags_for_resource(ctx: Context, tx: Reader, request: Request) -> Answer:
    _, target = await _of_arn(ctx, tx, request["ResourceARN"])
    return {"Tags": target.tags}
