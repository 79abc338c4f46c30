"""What each IAM operation must be allowed: the action of its name, on the entity it is about.

A request names an entity without its path, and permissions are told before anything is read: so resources are told
apart by name, and a policy written for `role/team/*` does not cover what is reached by name alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Permissions, Request
from pileus.kernel.arn import make_arn


def on(kind: str, member: str) -> Permissions:
    """On the entity that `member` names; on all of the kind where the request names none."""

    def permissions(ctx: Context, request: Request) -> Sequence[Permission]:
        path = request.get("Path", "/")
        name = request.get(member) if member else "*"
        if name is None:
            own = kind == "user" and ctx.principal.kind == "user"
            name = ctx.principal.name if own else "*"
        conditions: dict[str, str | list[str]] = {}
        if "PolicyArn" in request:
            conditions["iam:PolicyARN"] = request["PolicyArn"]
        if "PermissionsBoundary" in request:
            conditions["iam:PermissionsBoundary"] = request["PermissionsBoundary"]
        tags = request.get("Tags", ())
        if tags:
            conditions["aws:TagKeys"] = [tag["Key"] for tag in tags]
            conditions |= {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}
        return (
            Permission(f"iam:{ctx.operation}", make_arn("iam", "", ctx.account, f"{kind}{path}{name}"), conditions),
        )

    return permissions


def on_policy(ctx: Context, request: Request) -> Sequence[Permission]:
    """On the managed policy of the request."""
    return (Permission(f"iam:{ctx.operation}", request["PolicyArn"]),)


def everywhere(ctx: Context, request: Request) -> Sequence[Permission]:
    return (Permission(f"iam:{ctx.operation}"),)


def on_source(ctx: Context, request: Request) -> Sequence[Permission]:
    """On the principal whose policies are simulated."""
    return (Permission(f"iam:{ctx.operation}", request["PolicySourceArn"]),)
