"""What calls of SQS need: actions and resources as in "Actions, resources, and condition keys for Amazon SQS"."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Permissions, Request
from pileus.kernel.arn import make_arn
from pileus.services.sqs import errors, urls
from pileus.services.sqs.queues import find, find_arn, find_at
from pileus.store.contract import Reader


def on_queue(action: str) -> Permissions:
    """Needs `action` on the queue of `QueueUrl`."""
    full = f"sqs:{action}"

    @lru_cache(4096)
    def on(place: urls.Place) -> tuple[Permission, ...]:
        account, region, name = place
        return (Permission(full, make_arn("sqs", region, account, name)),)

    def permissions(ctx: Context, request: Request) -> tuple[Permission, ...]:
        return on(urls.place(ctx, request["QueueUrl"]))

    return permissions


def inside(ctx: Context, request: Request) -> tuple[Permission, ...]:
    """Nothing beforehand: the operation asks in its own transaction."""
    return ()


def by_name(action: str) -> Permissions:
    """Needs `action` on the queue of `QueueName`, which may be another account's."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        account = request.get("QueueOwnerAWSAccountId") or ctx.account
        arn = make_arn("sqs", ctx.region, account, request["QueueName"])
        needed = [Permission(f"sqs:{action}", arn)]
        if action == "CreateQueue" and request.get("tags"):
            needed.append(Permission("sqs:TagQueue", arn))
        return needed

    return permissions


def on_source(action: str) -> Permissions:
    """Needs `action` on the queue in `SourceArn`."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"sqs:{action}", request["SourceArn"])]

    return permissions


def on_task(ctx: Context, request: Request) -> list[Permission]:
    from pileus.services.sqs.moving import read_handle

    _, source = read_handle(request["TaskHandle"])
    return [Permission("sqs:CancelMessageMoveTask", source)]


async def queue_policy(ctx: Context, tx: Reader, request: Request) -> dict[str, Any] | None:
    """The queue's own policy. A queue that does not exist is told as such to whoever asks for it."""
    return (await find(ctx, tx, request["QueueUrl"])).policy


async def named_policy(ctx: Context, tx: Reader, request: Request) -> dict[str, Any] | None:
    account = request.get("QueueOwnerAWSAccountId") or ctx.account
    queue = await find_at(ctx.cloud, tx, account, ctx.region, request["QueueName"])
    if queue is None:
        raise errors.no_queue(ctx)
    return queue.policy


async def source_policy(ctx: Context, tx: Reader, request: Request) -> dict[str, Any] | None:
    queue = await find_arn(ctx.cloud, tx, request["SourceArn"])
    return None if queue is None else queue.policy
