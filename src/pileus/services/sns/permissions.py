"""What calls of SNS need: "Actions, resources, and condition keys for Amazon SNS" of the service authorization
reference.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Permissions, Request
from pileus.kernel.arn import make_arn
from pileus.services.sns.names import topic_of_arn
from pileus.services.sns.topics import find
from pileus.store.contract import Reader


def on_topic(action: str, member: str = "TopicArn") -> Permissions:
    """Needs `action` on the topic of that member."""
    full = f"sns:{action}"

    def permissions(ctx: Context, request: Request) -> tuple[Permission, ...]:
        return (Permission(full, request.get(member) or "*"),)

    return permissions


def on_all(action: str) -> Permissions:
    def permissions(ctx: Context, request: Request) -> tuple[Permission, ...]:
        return (Permission(f"sns:{action}"),)

    return permissions


def create_topic(ctx: Context, request: Request) -> list[Permission]:
    arn = make_arn("sns", ctx.region, ctx.account, request["Name"])
    needed = [Permission("sns:CreateTopic", arn)]
    if request.get("Tags"):
        tags = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in request["Tags"]}
        needed.append(Permission("sns:TagResource", arn, tags))
    if request.get("DataProtectionPolicy"):
        needed.append(Permission("sns:PutDataProtectionPolicy", arn))
    return needed


def subscribe(ctx: Context, request: Request) -> tuple[Permission, ...]:
    conditions = {"sns:Protocol": request["Protocol"], "sns:Endpoint": request.get("Endpoint") or ""}
    return (Permission("sns:Subscribe", request["TopicArn"] or "*", conditions),)


def publish(ctx: Context, request: Request) -> tuple[Permission, ...]:
    return (Permission("sns:Publish", request.get("TopicArn") or request.get("TargetArn") or "*"),)


def by_token(action: str) -> Permissions:
    """What counts is the token, or the link: a signed call needs its own policies' leave only."""

    def permissions(ctx: Context, request: Request) -> tuple[Permission, ...]:
        if ctx.principal.kind == "anonymous":
            return ()
        return (Permission(f"sns:{action}"),)

    return permissions


async def topic_policy(ctx: Context, tx: Reader, request: Request) -> dict[str, Any] | None:
    """The topic's own policy."""
    at = topic_of_arn(request.get("TopicArn") or request.get("TargetArn") or request.get("ResourceArn") or "")
    topic = None if at is None else await find(ctx.cloud, tx, at)
    return None if topic is None else topic.policy
