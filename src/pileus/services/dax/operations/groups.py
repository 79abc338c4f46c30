"""Parameter groups and subnet groups.

Source: the pages of these operations in the "Amazon DynamoDB Accelerator" API reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.dax import errors, keys
from pileus.services.dax.nodes import DEFAULT_GROUP, Nodes, find_group
from pileus.services.dax.operations.clusters import DEFAULT_SUBNETS
from pileus.services.dax.operations.common import named, page
from pileus.services.dax.records import (
    ITEM_TTL,
    QUERY_TTL,
    TTL_DEFAULT_MS,
    Cluster,
    ParameterGroup,
    SubnetGroup,
    decode,
    encode,
)
from pileus.store.contract import Reader, Transaction

_DESCRIPTIONS = {
    QUERY_TTL: "Duration in milliseconds for queries to remain cached",
    ITEM_TTL: "Duration in milliseconds for records to remain valid in cache (Default: 0 = infinite)",
}
_TTL_MAX_MS = 10**15
_CHUNK = 256
# "Quotas in Amazon DynamoDB": of an account in a region, and of one group.
PARAMETER_GROUPS_MAX = 20
SUBNET_GROUPS_MAX = 50
SUBNETS_MAX = 20
# There in every account, without subnets, as there are no networks.
_DEFAULT = SubnetGroup(name=DEFAULT_SUBNETS, subnets=(), description="Default subnet group")


async def _clusters(ctx: Context, tx: Reader) -> list[Cluster]:
    start, end = keys.clusters(ctx.account, ctx.region)
    found: list[Cluster] = []
    while rows := await tx.scan(start, end, limit=_CHUNK):
        found += [decode(Cluster, content) for _, content in rows]
        start = rows[-1][0] + b"\0"
    return found


async def _group(ctx: Context, tx: Reader, name: str) -> ParameterGroup:
    found = await find_group(tx, ctx.account, ctx.region, name)
    if found is None:
        raise errors.parameter_group_not_found(name)
    return found


def _shown(group: ParameterGroup) -> dict[str, Any]:
    return {"ParameterGroupName": group.name, "Description": group.description}


async def create_parameter_group(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["ParameterGroupName"]
    if await find_group(tx, ctx.account, ctx.region, name) is not None:
        raise errors.parameter_group_exists(name)
    # The default one is not among them, and counts.
    if len(await tx.scan(*keys.parameter_groups(ctx.account, ctx.region), limit=_CHUNK)) >= PARAMETER_GROUPS_MAX - 1:
        raise errors.too_many_parameter_groups(PARAMETER_GROUPS_MAX)
    group = ParameterGroup(name=name, description=request.get("Description") or "")
    tx.put(keys.parameter_group(ctx.account, ctx.region, name), encode(group))
    return {"ParameterGroup": _shown(group)}


async def update_parameter_group(ctx: Context, tx: Transaction, request: Request) -> Answer:
    group = await _group(ctx, tx, request["ParameterGroupName"])
    if group.name == DEFAULT_GROUP:
        raise errors.invalid_value("The default parameter group cannot be changed.")
    for given in request["ParameterNameValues"]:
        name, value = given.get("ParameterName", ""), given.get("ParameterValue", "")
        if name not in _DESCRIPTIONS:
            raise errors.invalid_value(f"Parameter {name} is not valid.")
        if not (value.isascii() and value.isdecimal()) or len(value) > 15 or int(value) > _TTL_MAX_MS:
            raise errors.invalid_value(f"Value {value} of parameter {name} is not valid.")
        group.parameters = {**group.parameters, name: int(value)}
    tx.put(keys.parameter_group(ctx.account, ctx.region, group.name), encode(group))
    used = [one for one in await _clusters(ctx, tx) if one.parameter_group == group.name]

    def apply() -> None:
        for cluster in used:
            ctx.cloud.part(Nodes).changed(cluster, group)

    tx.on_commit(apply)
    return {"ParameterGroup": _shown(group)}


async def delete_parameter_group(ctx: Context, tx: Transaction, request: Request) -> Answer:
    group = await _group(ctx, tx, request["ParameterGroupName"])
    if group.name == DEFAULT_GROUP or any(one.parameter_group == group.name for one in await _clusters(ctx, tx)):
        raise errors.parameter_group_in_use(group.name)
    tx.delete(keys.parameter_group(ctx.account, ctx.region, group.name))
    return {"DeletionMessage": f"Parameter group {group.name} has been deleted."}


async def describe_parameter_groups(ctx: Context, tx: Reader, request: Request) -> Answer:
    if names := request.get("ParameterGroupNames"):
        return {"ParameterGroups": [_shown(await _group(ctx, tx, name)) for name in names]}
    within = keys.parameter_groups(ctx.account, ctx.region)
    found, more = await page(tx, ParameterGroup, within, request.get("MaxResults"), request.get("NextToken"))
    first = [] if request.get("NextToken") else [await _group(ctx, tx, DEFAULT_GROUP)]
    return {"ParameterGroups": [_shown(one) for one in (*first, *found)], **more}


def _parameters(group: ParameterGroup | None, source: str | None = None) -> Answer:
    changed = {} if group is None else group.parameters
    return {
        "Parameters": [
            {
                "ParameterName": name,
                "ParameterType": "DEFAULT",
                "ParameterValue": str(changed.get(name, TTL_DEFAULT_MS)),
                "NodeTypeSpecificValues": [],
                "Description": description,
                "Source": "user" if name in changed else "system",
                "DataType": "integer",
                "AllowedValues": "0-",
                "IsModifiable": "TRUE",
                "ChangeType": "IMMEDIATE",
            }
            for name, description in _DESCRIPTIONS.items()
            if source in (None, "user" if name in changed else "system")
        ]
    }


async def describe_parameters(ctx: Context, tx: Reader, request: Request) -> Answer:
    return _parameters(await _group(ctx, tx, request["ParameterGroupName"]), request.get("Source"))


async def describe_default_parameters(ctx: Context, tx: Reader, request: Request) -> Answer:
    return _parameters(None)


def _shown_subnets(ctx: Context, group: SubnetGroup) -> dict[str, Any]:
    zones = [f"{ctx.region}{letter}" for letter in "abc"]
    return {
        "SubnetGroupName": group.name,
        "Description": group.description,
        "Subnets": [
            {"SubnetIdentifier": id, "SubnetAvailabilityZone": zones[at % 3]} for at, id in enumerate(group.subnets)
        ],
    }


def _subnets(ctx: Context, name: str) -> bytes:
    return keys.subnet_group(ctx.account, ctx.region, name)


async def create_subnet_group(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["SubnetGroupName"]
    if name == DEFAULT_SUBNETS or await tx.get(_subnets(ctx, name)) is not None:
        raise errors.subnet_group_exists(name)
    if len(await tx.scan(*keys.subnet_groups(ctx.account, ctx.region), limit=_CHUNK)) >= SUBNET_GROUPS_MAX - 1:
        raise errors.too_many_subnet_groups(SUBNET_GROUPS_MAX)
    _check_subnets(request["SubnetIds"])
    group = SubnetGroup(name=name, subnets=tuple(request["SubnetIds"]), description=request.get("Description") or "")
    tx.put(_subnets(ctx, name), encode(group))
    return {"SubnetGroup": _shown_subnets(ctx, group)}


def _check_subnets(subnets: Sequence[str]) -> None:
    if len(subnets) > SUBNETS_MAX:
        raise errors.too_many_subnets(SUBNETS_MAX)


async def _subnet_group(ctx: Context, tx: Reader, name: str) -> SubnetGroup:
    if name == DEFAULT_SUBNETS:
        return _DEFAULT
    [group] = await named(tx, SubnetGroup, [name], lambda one: _subnets(ctx, one), errors.subnet_group_not_found)
    return group


async def _own_subnet_group(ctx: Context, tx: Reader, name: str) -> SubnetGroup:
    """A group that may be changed."""
    if name == DEFAULT_SUBNETS:
        raise errors.invalid_value(f"The subnet group {name} can not be modified or deleted.")
    return await _subnet_group(ctx, tx, name)


async def update_subnet_group(ctx: Context, tx: Transaction, request: Request) -> Answer:
    group = await _own_subnet_group(ctx, tx, request["SubnetGroupName"])
    group.description = request.get("Description", group.description)
    group.subnets = tuple(request.get("SubnetIds", group.subnets))
    _check_subnets(group.subnets)
    tx.put(_subnets(ctx, group.name), encode(group))
    return {"SubnetGroup": _shown_subnets(ctx, group)}


async def delete_subnet_group(ctx: Context, tx: Transaction, request: Request) -> Answer:
    group = await _own_subnet_group(ctx, tx, request["SubnetGroupName"])
    if any(one.subnet_group == group.name for one in await _clusters(ctx, tx)):
        raise errors.subnet_group_in_use(group.name)
    tx.delete(_subnets(ctx, group.name))
    return {"DeletionMessage": f"Subnet group {group.name} has been deleted."}


async def describe_subnet_groups(ctx: Context, tx: Reader, request: Request) -> Answer:
    if names := request.get("SubnetGroupNames"):
        return {"SubnetGroups": [_shown_subnets(ctx, await _subnet_group(ctx, tx, name)) for name in names]}
    within = keys.subnet_groups(ctx.account, ctx.region)
    found, more = await page(
        tx, SubnetGroup, within, request.get("MaxResults"), request.get("NextToken"), first=[_DEFAULT]
    )
    return {"SubnetGroups": [_shown_subnets(ctx, one) for one in found], **more}
