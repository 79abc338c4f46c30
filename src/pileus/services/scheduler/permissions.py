"""Which permissions EventBridge Scheduler's operations need.

Source: "Actions, resources, and condition keys for Amazon EventBridge Scheduler" of the Service Authorization
Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Request
from pileus.services.scheduler.names import group_arn, schedule_name

Needed = Callable[[Context, Request], Sequence[Permission]]


def on_schedule(action: str) -> Needed:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        needed = [Permission(f"scheduler:{action}", schedule_name(ctx, request).arn)]
        if role := (request.get("Target") or {}).get("RoleArn"):
            needed.append(Permission("iam:PassRole", role, {"iam:PassedToService": "scheduler.amazonaws.com"}))
        return needed

    return permissions


def on_group(action: str) -> Needed:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"scheduler:{action}", group_arn(ctx.account, ctx.region, request["Name"]))]

    return permissions


def on_all(action: str) -> Needed:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"scheduler:{action}")]

    return permissions


def on_resource(action: str) -> Needed:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"scheduler:{action}", request["ResourceArn"])]

    return permissions
