"""Tags of functions: TagResource, UntagResource, ListTags."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import NotBuilt
from pileus.services.lambda_ import errors, keys
from pileus.services.lambda_.lookup import get_function, get_latest
from pileus.services.lambda_.names import LATEST, Target
from pileus.services.lambda_.records import Function, encode
from pileus.store.contract import Reader, Transaction

TAGS_MAX = 50


def check_tags(tags: dict[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise errors.invalid_parameter("Number of tags exceeds resource tag limit.")


def _at(ctx: Context, request: Request) -> Target:
    arn = parse_arn(request["Resource"])
    assert arn is not None, "the modelled pattern takes ARNs only"
    kind, _, rest = arn.resource.partition(":")
    if kind == "event-source-mapping":
        raise errors.not_found(f"Event source mapping not found: {arn}")
    if kind == "capacity-provider":
        raise errors.not_found(f"Capacity provider not found: {arn}")
    if kind != "function":
        raise NotBuilt(f"Tags of a Lambda {kind}")
    name, _, qualifier = rest.partition(":")
    if qualifier:
        raise errors.invalid_parameter(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    if arn.region != ctx.region:
        raise errors.not_found(f"Functions from '{arn.region}' are not reachable in this region ('{ctx.region}')")
    return Target(arn.account, arn.region, name, "")


async def _save(ctx: Context, tx: Transaction, at: Target, function: Function) -> None:
    """Tags are part of what a revision id stands for."""
    latest = await get_latest(tx, at)
    latest.revision = ctx.cloud.ids.uuid()
    tx.put(keys.version(at, LATEST), encode(latest))
    tx.put(keys.function(at), encode(function))


async def tag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    at = _at(ctx, request)
    function = await get_function(tx, at)
    if not request["Tags"]:
        raise errors.invalid_parameter("An error occurred and the request cannot be processed.")
    function.tags = {**function.tags, **request["Tags"]}
    check_tags(function.tags)
    await _save(ctx, tx, at, function)


async def untag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    at = _at(ctx, request)
    function = await get_function(tx, at)
    left = {key: value for key, value in function.tags.items() if key not in request["TagKeys"]}
    if left != function.tags:
        function.tags = left
        await _save(ctx, tx, at, function)


async def list_tags(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"Tags": (await get_function(tx, _at(ctx, request))).tags}
