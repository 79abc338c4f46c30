"""Aliases: CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.lambda_ import errors, keys, provisioning
from pileus.services.lambda_.lookup import find_alias, find_version, get_function
from pileus.services.lambda_.lookup import get_alias as load_alias
from pileus.services.lambda_.names import LATEST, Target, parse
from pileus.services.lambda_.node import node
from pileus.services.lambda_.paging import page
from pileus.services.lambda_.provisioned import check_not_snapshotted
from pileus.services.lambda_.records import Alias, decode, encode
from pileus.store.contract import Reader, Transaction

WEIGHTS_MAX = 1


def _at(ctx: Context, request: Request) -> Target:
    return parse(ctx, request["FunctionName"])._replace(qualifier="")


def _describe(at: Target, alias: Alias) -> Answer:
    answer: Answer = {
        "AliasArn": f"{at.arn}:{alias.name}",
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision,
    }
    if alias.weights:
        answer["RoutingConfig"] = {"AdditionalVersionWeights": alias.weights}
    return answer


def _put(ctx: Context, tx: Transaction, at: Target, alias: Alias) -> None:
    tx.put(keys.alias(at, alias.name), encode(alias))
    tx.on_commit(lambda: node(ctx.cloud).resolver.forget(at))


async def _check_version(tx: Reader, at: Target, version: str) -> None:
    found = await find_version(tx, at, version)
    if found is None:
        raise errors.function_not_found(f"{at.arn}:{version}")
    if found.state == "Failed":
        raise errors.resource_in_state(f"{at.arn}:{version}", found.state, found.reason_code)


async def _check_weights(tx: Reader, at: Target, version: str, weights: dict[str, float]) -> None:
    if not weights:
        return
    if len(weights) > WEIGHTS_MAX:
        raise errors.invalid_parameter(
            f"Number of items in AdditionalVersionWeights cannot be greater than {WEIGHTS_MAX}"
        )
    if version == LATEST:
        raise errors.untyped_invalid_parameter("$LATEST is not supported for an alias pointing to more than 1 version")
    for other in weights:
        if other == version:
            raise errors.invalid_parameter(
                f"Invalid function version {version}. Function version {version} is already included in routing "
                "configuration."
            )
        await _check_version(tx, at, other)


def _weights(request: Request) -> dict[str, float]:
    given = (request.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    return {version: float(share) for version, share in given.items()}


async def create_alias(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at, name, version, weights = _at(ctx, request), request["Name"], request["FunctionVersion"], _weights(request)
    await _check_version(tx, at, version)
    await _check_weights(tx, at, version, weights)
    if await find_alias(tx, at, name) is not None:
        raise errors.conflict(f"Alias already exists: {at.arn}:{name}")
    alias = Alias(
        name=name,
        version=version,
        description=request.get("Description") or "",
        revision=ctx.cloud.ids.uuid(),
        weights=weights,
    )
    _put(ctx, tx, at, alias)
    return _describe(at, alias)


async def get_alias(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = _at(ctx, request)
    return _describe(at, await load_alias(tx, at, request["Name"]))


async def update_alias(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = _at(ctx, request)
    alias = await find_alias(tx, at, request["Name"])
    if alias is None:
        # Here, and only here, AWS says it otherwise.
        raise errors.not_found(f"Alias not found: {at.arn}:{request['Name']}")
    if request.get("RevisionId") not in (None, alias.revision):
        raise errors.revision_mismatch()
    if request.get("FunctionVersion"):
        alias.version = request["FunctionVersion"]
        await _check_version(tx, at, alias.version)
    if request.get("RoutingConfig") is not None:
        alias.weights = _weights(request)
    await _check_weights(tx, at, alias.version, alias.weights)
    if request.get("Description") is not None:
        alias.description = request["Description"]
    alias.revision = ctx.cloud.ids.uuid()
    _put(ctx, tx, at, alias)
    if await tx.get(keys.provisioned(at._replace(qualifier=alias.name))) is not None:
        await check_not_snapshotted(tx, at, (alias.version, *alias.weights))
        provisioning.change(ctx.cloud, tx, at)
    return _describe(at, alias)


async def delete_alias(ctx: Context, tx: Transaction, request: Request) -> None:
    at = _at(ctx, request)._replace(qualifier=request["Name"])
    tx.delete(keys.alias(at, request["Name"]))
    tx.delete(keys.policy(at))
    tx.delete(keys.async_config(at))
    if await tx.get(keys.provisioned(at)) is not None:
        provisioning.drop(ctx.cloud, tx, at)
    tx.on_commit(lambda: node(ctx.cloud).resolver.forget(at))


async def list_aliases(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = _at(ctx, request)
    await get_function(tx, at)
    wanted = request.get("FunctionVersion")

    def leads_there(_: bytes, data: bytes) -> bool:
        alias = decode(Alias, data)
        return wanted == alias.version or wanted in alias.weights

    found, marker = await page(tx, request, *keys.aliases(at), accept=leads_there if wanted else None)
    answer: Answer = {"Aliases": [_describe(at, decode(Alias, data)) for _, data in found]}
    if marker:
        answer["NextMarker"] = marker
    return answer
