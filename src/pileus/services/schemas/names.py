"""The ARNs of registries, schemas and discoverers."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.kernel.arn import make_arn

# The registry of what discoverers find.
DISCOVERED = "discovered-schemas"


def registry_arn(ctx: Context, name: str) -> str:
    return make_arn("schemas", ctx.region, ctx.account, f"registry/{name}")


def schema_arn(ctx: Context, registry: str, name: str) -> str:
    return make_arn("schemas", ctx.region, ctx.account, f"schema/{registry}/{name}")


def discoverer_arn(ctx: Context, id: str) -> str:
    return make_arn("schemas", ctx.region, ctx.account, f"discoverer/{id}")
