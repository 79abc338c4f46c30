"""Tags of functions, event source mappings and code signing configurations: TagResource, UntagResource, ListTags."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import Arn, parse_arn
from pileus.kernel.errors import NotBuilt
from pileus.services.lambda_ import errors, keys
from pileus.services.lambda_.configurations import check_tags
from pileus.services.lambda_.feeding.feeds import find_mapping
from pileus.services.lambda_.lookup import get_function, get_latest
from pileus.services.lambda_.names import LATEST, Target
from pileus.services.lambda_.operations import code_signing
from pileus.services.lambda_.records import encode
from pileus.store.contract import Reader, Transaction


class _Tagged(Protocol):
    """A record with tags."""

    tags: dict[str, str]


# What is tagged, and how to keep it.
_Found = tuple[_Tagged, Callable[[], Awaitable[None]]]


async def _find(ctx: Context, tx: Reader, request: Request) -> _Found:
    arn = parse_arn(request["Resource"])
    assert arn is not None, "the modelled pattern takes ARNs only"
    kind, _, rest = arn.resource.partition(":")
    if kind == "function":
        return await _find_function(ctx, tx, arn, rest)
    if kind == "event-source-mapping":
        return await _find_mapping(ctx, tx, arn, rest)
    if kind == "capacity-provider":
        raise errors.not_found(f"Capacity provider not found: {arn}")
    if kind == "code-signing-config":
        return await _find_code_signing(ctx, tx, arn)
    raise NotBuilt(f"Tags of a Lambda {kind}")


async def _find_function(ctx: Context, tx: Reader, arn: Arn, rest: str) -> _Found:
    name, _, qualifier = rest.partition(":")
    if qualifier:
        raise errors.invalid_parameter(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    if arn.region != ctx.region:
        raise errors.not_found(f"Functions from '{arn.region}' are not reachable in this region ('{ctx.region}')")
    at = Target(arn.account, arn.region, name, "")
    function = await get_function(tx, at)

    async def save() -> None:
        """Tags are part of what a revision id stands for."""
        latest = await get_latest(tx, at)
        latest.revision = ctx.cloud.ids.uuid()
        writer = cast(Transaction, tx)
        writer.put(keys.version(at, LATEST), encode(latest))
        writer.put(keys.function(at), encode(function))

    return function, save


async def _find_mapping(ctx: Context, tx: Reader, arn: Arn, rest: str) -> _Found:
    place = (arn.account, arn.region, rest)
    mapping = await find_mapping(tx, place) if (arn.account, arn.region) == (ctx.account, ctx.region) else None
    if mapping is None:
        raise errors.not_found(f"Event source mapping not found: {arn}")

    async def save() -> None:
        cast(Transaction, tx).put(keys.event_source(*place), encode(mapping))

    return mapping, save


async def _find_code_signing(ctx: Context, tx: Reader, arn: Arn) -> _Found:
    config = await code_signing.get_config(ctx, tx, str(arn))

    async def save() -> None:
        code_signing.put_config(ctx, cast(Transaction, tx), config)

    return config, save


async def tag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    found, save = await _find(ctx, tx, request)
    if not request["Tags"]:
        raise errors.invalid_parameter("An error occurred and the request cannot be processed.")
    found.tags = {**found.tags, **request["Tags"]}
    check_tags(found.tags)
    await save()


async def untag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    found, save = await _find(ctx, tx, request)
    left = {key: value for key, value in found.tags.items() if key not in request["TagKeys"]}
    if left != found.tags:
        found.tags = left
        await save()


async def list_tags(ctx: Context, tx: Reader, request: Request) -> Answer:
    found, _ = await _find(ctx, tx, request)
    return {"Tags": found.tags}
