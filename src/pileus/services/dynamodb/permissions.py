"""What a call must be allowed: its action on the tables and indexes that it names.

Source: "Actions, resources, and condition keys for Amazon DynamoDB" in the Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Sequence

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Request
from pileus.services.dynamodb.tables import table_arn


def _arn(ctx: Context, name: str) -> str:
    return name if name.startswith("arn:") else table_arn(ctx.region, ctx.account, name)


def table(ctx: Context, request: Request) -> Sequence[Permission]:
    return (Permission(f"dynamodb:{ctx.operation}", _arn(ctx, request["TableName"])),)


def table_or_index(ctx: Context, request: Request) -> Sequence[Permission]:
    arn = _arn(ctx, request["TableName"])
    if "IndexName" in request:
        arn = f"{arn}/index/{request['IndexName']}"
    return (Permission(f"dynamodb:{ctx.operation}", arn),)


def tables(ctx: Context, request: Request) -> Sequence[Permission]:
    """Of a batch: every table in it."""
    return tuple(Permission(f"dynamodb:{ctx.operation}", _arn(ctx, name)) for name in request["RequestItems"])


# A transaction needs what its actions would need alone.
_ACTIONS = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Get": "dynamodb:GetItem",
}


def transaction(ctx: Context, request: Request) -> Sequence[Permission]:
    needed = {
        (_ACTIONS[name], _arn(ctx, part["TableName"])): None
        for action in request["TransactItems"]
        for name, part in action.items()
        if name in _ACTIONS
    }
    return tuple(Permission(action, arn) for action, arn in needed)


def resource(ctx: Context, request: Request) -> Sequence[Permission]:
    return (Permission(f"dynamodb:{ctx.operation}", request["ResourceArn"]),)
