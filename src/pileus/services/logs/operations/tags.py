"""Tags of log groups: both generations of the operations."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.logs import errors, keys
from pileus.services.logs.lookup import get_group
from pileus.services.logs.records import Group, decode, encode
from pileus.store.contract import Reader, Transaction

TAGS_MAX = 50


def check_tags(tags: dict[str, str]) -> None:
    if any(key.lower().startswith("aws:") for key in tags):
        raise errors.invalid("aws: prefixed tag key names are not allowed for external use.")
    if len(tags) > TAGS_MAX:
        raise errors.invalid(f"Number of tags exceeds the limit of {TAGS_MAX}.")


async def _resource(ctx: Context, tx: Reader, resource: str) -> Group:
    arn = parse_arn(resource)
    if arn is None or arn.service != "logs":
        raise errors.invalid(f"The specified resource ARN {resource} is invalid.")
    if arn.resource.startswith("destination:"):
        raise NotBuilt("Tags of log destinations")
    if not arn.resource.startswith("log-group:"):
        raise errors.no_resource()
    name = arn.resource.removeprefix("log-group:").removesuffix(":*")
    data = await tx.get(keys.group(arn.account, arn.region, name))
    if data is None or arn.account != ctx.account:
        raise errors.no_resource()
    return decode(Group, data)


def _save(ctx: Context, tx: Transaction, group: Group) -> None:
    tx.put(keys.group(ctx.account, ctx.region, group.name), encode(group))


async def tag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await _resource(ctx, tx, request["resourceArn"])
    check_tags(request["tags"])
    group.tags = {**group.tags, **request["tags"]}
    if len(group.tags) > TAGS_MAX:
        raise AWSError(
            "TooManyTagsException",
            f"The resource already has {TAGS_MAX} tags.",
            resourceName=request["resourceArn"],
        )
    _save(ctx, tx, group)


async def untag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await _resource(ctx, tx, request["resourceArn"])
    group.tags = {key: value for key, value in group.tags.items() if key not in request["tagKeys"]}
    _save(ctx, tx, group)


async def list_tags_for_resource(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"tags": (await _resource(ctx, tx, request["resourceArn"])).tags}


async def tag_log_group(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await get_group(ctx, tx, request["logGroupName"])
    group.tags = {**group.tags, **request["tags"]}
    check_tags(group.tags)
    _save(ctx, tx, group)


async def untag_log_group(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await get_group(ctx, tx, request["logGroupName"])
    group.tags = {key: value for key, value in group.tags.items() if key not in request["tags"]}
    _save(ctx, tx, group)


async def list_tags_log_group(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"tags": (await get_group(ctx, tx, request["logGroupName"])).tags}
