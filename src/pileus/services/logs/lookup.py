"""Finding the group and the stream that a request names, and the ARNs they have."""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Request
from pileus.kernel.arn import make_arn, parse_arn
from pileus.services.logs import errors, keys
from pileus.services.logs.records import Group, Stream, decode
from pileus.store.contract import Reader

NAME_LENGTH_MAX = 512


def group_arn(ctx: Context, name: str) -> str:
    return make_arn("logs", ctx.region, ctx.account, f"log-group:{name}")


def name_of(identifier: str) -> str:
    """The group's name in a `logGroupIdentifier`: a name, or an ARN with or without its final `:*`."""
    arn = parse_arn(identifier)
    if arn is None:
        return identifier
    if arn.service != "logs" or not arn.resource.startswith("log-group:"):
        raise errors.invalid(f"The specified log group ARN {identifier} is invalid.")
    return arn.resource.removeprefix("log-group:").removesuffix(":*")


def group_name(request: Request) -> str:
    """The name of the group meant by `logGroupName` or `logGroupIdentifier`, of which one must be there."""
    name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
    if name is not None and identifier is not None:
        raise errors.name_and_identifier()
    if name is None and identifier is None:
        raise errors.invalid("Either logGroupName or logGroupIdentifier must be specified.")
    return name if name is not None else name_of(str(identifier))


async def get_group(ctx: Context, tx: Reader, name: str) -> Group:
    if len(name) > NAME_LENGTH_MAX:
        raise errors.name_too_long()
    data = await tx.get(keys.group(ctx.account, ctx.region, name))
    if data is None:
        raise errors.no_group()
    return decode(Group, data)


async def get_stream(ctx: Context, tx: Reader, group: Group, name: str) -> Stream:
    if len(name) > NAME_LENGTH_MAX:
        raise errors.name_too_long()
    data = await tx.get(keys.stream(ctx.account, ctx.region, group.id, name))
    if data is None:
        raise errors.no_stream()
    return decode(Stream, data)


def _named_group(request: Request) -> str:
    name = request.get("logGroupName") or request.get("logGroupIdentifier") or ""
    arn = parse_arn(name)
    return arn.resource.removeprefix("log-group:").removesuffix(":*") if arn else name


def on_group(action: str) -> Any:
    """Needs `action` on the group; IAM sees a group as the stream without a name in it."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        name = request.get("logGroupNamePrefix") or _named_group(request)
        return [Permission(f"logs:{action}", group_arn(ctx, f"{name}:log-stream:"))]

    return permissions


def on_stream(action: str) -> Any:
    """Needs `action` on the stream."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        stream = request.get("logStreamName", "")
        return [Permission(f"logs:{action}", group_arn(ctx, f"{_named_group(request)}:log-stream:{stream}"))]

    return permissions


def on_resource(action: str) -> Any:
    """Needs `action` on the ARN in `resourceArn`."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"logs:{action}", request["resourceArn"])]

    return permissions
