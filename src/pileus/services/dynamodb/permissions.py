"""What a call must be allowed: its action on the tables and indexes that it names, with condition keys.

Sources: "Actions, resources, and condition keys for Amazon DynamoDB" in the Service Authorization Reference; "Using IAM
policy conditions for fine-grained access control", "Using IAM with DynamoDB global tables" in the Developer Guide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Request
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import iterators, tables
from pileus.services.dynamodb.expressions.parameters import Expressions
from pileus.services.dynamodb.tables import table_arn
from pileus.services.dynamodb.values import check_value
from pileus.store.contract import Reader

# A transaction needs what its actions would need alone.
_ACTIONS = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Get": "dynamodb:GetItem",
}
_READS = frozenset(
    ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:ConditionCheckItem")
)


class Part(NamedTuple):
    """What a call does with one table."""

    action: str
    table: str
    # The request, or the part of a batch or transaction that is about this table.
    request: Mapping[str, Any]
    # The items and keys that it names.
    items: Sequence[Mapping[str, Any]] = ()
    index_name: str = ""
    enclosing: str = ""


def parts(ctx: Context, request: Request) -> Iterator[Part]:
    """The parts of an operation on items."""
    action = f"dynamodb:{ctx.operation}"
    if "TableName" in request:
        items = [request[name] for name in ("Item", "Key") if name in request]
        yield Part(action, request["TableName"], request, items, request.get("IndexName", ""))
    elif "TransactItems" in request:
        for each in request["TransactItems"]:
            for name, part in each.items():
                items = [part[member] for member in ("Item", "Key") if member in part]
                yield Part(_ACTIONS[name], part["TableName"], part, items, enclosing=ctx.operation)
    else:
        for name, part in request["RequestItems"].items():
            if isinstance(part, Mapping):
                yield Part(action, name, part, part["Keys"])
            else:
                members = [inner for each in part for inner in each.values()]
                yield Part(action, name, {}, [inner.get("Item") or inner.get("Key") or {} for inner in members])


def items(ctx: Context, request: Request) -> Sequence[Permission]:
    """Of an operation on items: on each table or index that it names."""
    if "TableName" in request and "IndexName" not in request:
        return (_on_table(f"dynamodb:{ctx.operation}", ctx.region, ctx.account, request["TableName"]),)
    if "TransactItems" in request:
        actions = {(name, part["TableName"]): None for each in request["TransactItems"] for name, part in each.items()}
        return [_on_table(_ACTIONS[name], ctx.region, ctx.account, table) for name, table in actions]
    named = dict.fromkeys((part.action, _arn(ctx, part)) for part in parts(ctx, request))
    return [Permission(action, arn) for action, arn in named]


@lru_cache(maxsize=4096)
def _on_table(action: str, region: str, account: str, table: str) -> Permission:
    """On a table by its name or ARN."""
    return Permission(action, table if table.startswith("arn:") else table_arn(region, account, table))


async def refine(ctx: Context, reader: Reader, request: Request, needed: Sequence[Permission]) -> Sequence[Permission]:
    """Of an operation on items: what it needs, with what policies may ask of it."""
    return [
        Permission(part.action, _arn(ctx, part), await _conditions(ctx, reader, part)) for part in parts(ctx, request)
    ]


def table(ctx: Context, request: Request) -> Sequence[Permission]:
    return (_on_table(f"dynamodb:{ctx.operation}", ctx.region, ctx.account, request["TableName"]),)


def global_table(ctx: Context, request: Request) -> Sequence[Permission]:
    """Of an operation on a global table of version 2017.11.29."""
    arn = f"arn:aws:dynamodb::{ctx.account}:global-table/{request['GlobalTableName']}"
    return (Permission(f"dynamodb:{ctx.operation}", arn),)


# What a replica's region must allow for one to be made there, or deleted.
_REPLICA_ACTIONS = {
    "Create": (
        "CreateTable",
        "CreateTableReplica",
        "Scan",
        "Query",
        "UpdateItem",
        "PutItem",
        "GetItem",
        "DeleteItem",
        "BatchWriteItem",
    ),
    "Update": ("UpdateTable",),
    "Delete": ("DeleteTable", "DeleteTableReplica"),
    "Disassociate": ("DisassociateTableReplica",),
}


def update_table(ctx: Context, request: Request) -> Sequence[Permission]:
    found = list(table(ctx, request))
    for update in request.get("ReplicaUpdates") or ():
        for kind, action in update.items():
            arn = _in_region(found[0].resource, action["RegionName"])
            found += [Permission(f"dynamodb:{each}", arn) for each in _REPLICA_ACTIONS.get(kind, ())]
    for update in request.get("GlobalTableWitnessUpdates") or ():
        found += [Permission(f"dynamodb:{kind}GlobalTableWitness", found[0].resource) for kind in update]
    return found


async def all_replicas(
    ctx: Context, reader: Reader, request: Request, needed: Sequence[Permission]
) -> Sequence[Permission]:
    """What a call needs of the table that it names, of every replica of it."""
    try:
        known = await tables.load_for_control(ctx, reader, request["TableName"])
    except AWSError:
        return needed
    found = [
        Permission(each.action, _in_region(each.resource, region))
        for each in needed
        for region in known.record.replicas
    ]
    return [*needed, *found]


def _in_region(arn: str, region: str) -> str:
    parts = arn.split(":")
    return ":".join((*parts[:3], region, *parts[4:]))


def resource(ctx: Context, request: Request) -> Sequence[Permission]:
    return (Permission(f"dynamodb:{ctx.operation}", request["ResourceArn"]),)


def stream(ctx: Context, request: Request) -> Sequence[Permission]:
    return (Permission(f"dynamodb:{ctx.operation}", request["StreamArn"]),)


def shard_iterator(ctx: Context, request: Request) -> Sequence[Permission]:
    return (Permission(f"dynamodb:{ctx.operation}", iterators.stream_arn(request["ShardIterator"])),)


def _arn(ctx: Context, part: Part) -> str:
    return arn_of(ctx, part.table, part.index_name)


def arn_of(ctx: Context, table: str, index: str = "") -> str:
    """The ARN of a table or of one of its indexes."""
    arn = table if table.startswith("arn:") else table_arn(ctx.region, ctx.account, table)
    return f"{arn}/index/{index}" if index else arn


async def _conditions(ctx: Context, reader: Reader, part: Part) -> dict[str, str | list[str]]:
    """Condition keys; of a request that is wrong (and so will not be done) as many as can be told."""
    request = part.request
    found: dict[str, str | list[str]] = {}
    if part.enclosing:
        found["dynamodb:EnclosingOperation"] = part.enclosing
    if "ReturnConsumedCapacity" in request:
        found["dynamodb:ReturnConsumedCapacity"] = request["ReturnConsumedCapacity"]
    if part.action in _READS:
        found["dynamodb:Select"] = _select(request)
    else:
        found["dynamodb:ReturnValues"] = request.get("ReturnValues", "NONE")
    if part.action == "dynamodb:Scan":
        found["dynamodb:FullTableScan"] = "true"
    try:
        known = await tables.load(ctx, reader, part.table)
        looked_at, equal = _looked_at(request)
        index = known.index(part.index_name) if part.index_name else None
        names = [name for name, _ in (index or known).schema.hashes]
        given = [item[name] for item in part.items for name in names if name in item]
        values = [_text(value) for value in (*given, *(equal[name] for name in names if name in equal))]
    except AWSError:
        return found
    if values:
        found["dynamodb:LeadingKeys"] = list(dict.fromkeys(values))
    found["dynamodb:Attributes"] = list(dict.fromkeys((*(name for item in part.items for name in item), *looked_at)))
    return found


def _select(request: Mapping[str, Any]) -> str:
    if "ProjectionExpression" in request or "AttributesToGet" in request:
        return "SPECIFIC_ATTRIBUTES"
    select: str = request.get("Select", "ALL_PROJECTED_ATTRIBUTES" if "IndexName" in request else "ALL_ATTRIBUTES")
    return select


def _looked_at(request: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The top-level attributes that a request's expressions name, and the values that keys must be equal to."""
    names: list[str] = list(request.get("AttributesToGet", ()))
    for member in ("Expected", "AttributeUpdates", "QueryFilter", "ScanFilter", "KeyConditions"):
        names += request.get(member, ())
    equal: dict[str, Any] = {
        name: condition["AttributeValueList"][0]
        for name, condition in request.get("KeyConditions", {}).items()
        if condition.get("ComparisonOperator") == "EQ" and condition.get("AttributeValueList")
    }
    if not any(name.endswith("Expression") for name in request):
        return names, equal
    expressions = Expressions(request)
    for term in expressions.key_terms() or ():
        names.append(term.attribute)
        if term.operator == "=":
            equal[term.attribute] = term.values[0]
    for member in ("ConditionExpression", "FilterExpression"):
        condition = expressions.condition(member)
        names += condition.attributes if condition else ()
    update, projection = expressions.update(), expressions.projection()
    names += update.touched.attributes if update else ()
    names += projection.attributes if projection else ()
    return names, equal


def _text(value: Mapping[str, Any]) -> str:
    """A key's value as policies write it: text, a number in its canonical form, base64."""
    checked, _ = check_value(value) if not isinstance(value.get("B"), str) else (value, 0)
    return "".join(str(content) for content in checked.values())
