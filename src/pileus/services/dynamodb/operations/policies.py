"""Resource-based policies of tables, kept in their records and looked at with every call.

Sources: the API reference's pages PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy; "Using resource-based
policies for DynamoDB".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from pileus.access.policy import PolicyError, compile_policy
from pileus.cloud.context import Cloud, Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.dynamodb import errors, keys, permissions, tables
from pileus.services.dynamodb.operations.settings import of_arn
from pileus.services.dynamodb.tables import Table, memory
from pileus.store.contract import Reader, Transaction

POLICY_BYTES_MAX = 20 * 1024
_NONE = "NO_POLICY"


async def put_resource_policy(ctx: Context, tx: Transaction, request: Request) -> Answer:
    table = await _table(ctx, tx, request["ResourceArn"])
    check(request["Policy"])
    _check_revision(table, request)
    if table.record.policy == request["Policy"]:
        return {"RevisionId": table.record.policy_revision}
    revision = str(int(ctx.now * 1000))
    keep(ctx, tx, msgspec.structs.replace(table.record, policy=request["Policy"], policy_revision=revision))
    return {"RevisionId": revision}


def keep(ctx: Context, tx: Transaction, record: Any) -> Table:
    """Store a table's record that has a policy."""
    tx.put(keys.watch("policies", ctx.account, ctx.region, record.name), b"")
    known = memory(ctx.cloud)
    # Before the commit: what is looked at once too often does no harm.
    known.policies = True
    return tables.store(ctx, tx, record)


async def get_resource_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    table = await _table(ctx, tx, request["ResourceArn"])
    if not table.record.policy:
        raise _no_policy(request["ResourceArn"])
    return {"Policy": table.record.policy, "RevisionId": table.record.policy_revision}


async def delete_resource_policy(ctx: Context, tx: Transaction, request: Request) -> Answer:
    table = await _table(ctx, tx, request["ResourceArn"])
    _check_revision(table, request)
    if not table.record.policy:
        return {"RevisionId": ""}
    revision = table.record.policy_revision
    tables.store(ctx, tx, msgspec.structs.replace(table.record, policy="", policy_revision=""))
    tx.delete(keys.watch("policies", ctx.account, ctx.region, table.name))
    return {"RevisionId": revision}


async def _table(ctx: Context, tx: Reader, text: str) -> Table:
    arn = parse_arn(text)
    if arn is not None and "/stream/" in arn.resource:
        raise NotBuilt("DynamoDB's policies of streams")
    if arn is not None and "/index/" in arn.resource:
        raise errors.validation(f"Resource-based policies cannot be attached to indexes: {text}")
    return await of_arn(ctx, tx, text)


def check(policy: str) -> None:
    if len(policy.encode()) > POLICY_BYTES_MAX:
        raise errors.validation("Resource-based policy document exceeds the maximum size limit of 20 KB")
    try:
        document = orjson.loads(policy)
        statements = document["Statement"]
        compile_policy(policy)
    except (orjson.JSONDecodeError, PolicyError, KeyError, TypeError):
        raise errors.validation("Resource-based policy document is malformed") from None
    for statement in statements if isinstance(statements, list) else [statements]:
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise errors.validation("Resource-based policy document must name a principal in each statement")


def _check_revision(table: Table, request: Request) -> None:
    expected = request.get("ExpectedRevisionId")
    if expected is None:
        return
    if expected != (table.record.policy_revision or _NONE):
        raise AWSError(
            "PolicyNotFoundException",
            "The resource-based policy's revision ID does not match the ExpectedRevisionId "
            f"for the provided ResourceArn: {request['ResourceArn']}",
        )


def _no_policy(arn: str) -> AWSError:
    return AWSError("PolicyNotFoundException", f"Resource-based policy not found for the provided ResourceArn: {arn}")


# ---------------------------------------------------------------------------------------------------- their evaluation


async def load(cloud: Cloud) -> None:
    """Find out whether any table has a policy, when the node starts."""

    async def first(tx: Reader) -> bool:
        return bool(await tx.scan(*keys.all_watched("policies"), limit=1))

    memory(cloud).policies = await cloud.store.read(first)


def guarded(ctx: Context) -> bool:
    """Whether policies of tables can have a say at all."""
    return memory(ctx.cloud).policies


async def of_items(ctx: Context, reader: Reader, request: Request) -> Any:
    return await documents(ctx, reader, [part.table for part in permissions.parts(ctx, request)])


async def of_table(ctx: Context, reader: Reader, request: Request) -> Any:
    return await documents(ctx, reader, [request["TableName"]])


async def documents(ctx: Context, reader: Reader, names: Sequence[str]) -> Any:
    """The policies of the tables of those names."""
    found = []
    for name in dict.fromkeys(names):
        try:
            table = await tables.find(ctx, reader, tables.table_name(ctx, name))
        except AWSError:
            continue  # the operation says itself what is wrong with the name
        if table is not None and table.record.policy:
            found.append(orjson.loads(table.record.policy))
    return found or None
