"""The policies of registries: whom else they let in.

Source: the pages of these operations in the EventBridge Schemas API reference.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.access.policy import PolicyError, compile_policy
from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError
from pileus.services.schemas import errors, keys
from pileus.services.schemas.operations.registries import get_registry
from pileus.services.schemas.records import Registry, decode, encode
from pileus.store.contract import Reader, Transaction


async def _named(ctx: Context, tx: Reader, request: Request) -> Registry:
    name = request.get("RegistryName")
    if not name:
        raise errors.bad_request("RegistryName is required.")
    return await get_registry(ctx, tx, name)


def _with_policy(registry: Registry) -> Answer:
    if not registry.policy:
        raise errors.not_found(f"Registry with name {registry.name} has no policy.")
    return {"Policy": registry.policy, "RevisionId": registry.policy_revision}


async def put_resource_policy(ctx: Context, tx: Transaction, request: Request) -> Answer:
    registry = await _named(ctx, tx, request)
    document = _parsed(request["Policy"])
    if not isinstance(document, dict):
        raise errors.bad_request("The policy is not a JSON object.")
    try:
        compile_policy(document)
    except PolicyError as error:
        raise errors.bad_request(f"The policy is not valid: {error}.") from error
    if request.get("RevisionId") and request["RevisionId"] != registry.policy_revision:
        raise AWSError(
            "PreconditionFailedException", "The RevisionId is not that of the policy.", status=412, Code="Precondition"
        )
    registry.policy, registry.policy_revision = request["Policy"], ctx.cloud.ids.uuid()
    tx.put(keys.registry(ctx.account, ctx.region, registry.name), encode(registry))
    return _with_policy(registry)


async def get_resource_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    return _with_policy(await _named(ctx, tx, request))


async def delete_resource_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    registry = await _named(ctx, tx, request)
    _with_policy(registry)
    registry.policy = registry.policy_revision = ""
    tx.put(keys.registry(ctx.account, ctx.region, registry.name), encode(registry))


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


async def of_registry(ctx: Context, tx: Reader, request: Request) -> dict[str, Any] | None:
    """The policy that has a say about a call on a registry, or a schema in it."""
    name = request.get("RegistryName")
    data = await tx.get(keys.registry(ctx.account, ctx.region, name)) if name else None
    registry = decode(Registry, data) if data is not None else None
    return _parsed(registry.policy) if registry is not None and registry.policy else None
