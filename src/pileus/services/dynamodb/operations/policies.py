"""Resource-based policies of tables and streams, kept in their records and looked at with every call.

Sources: the API reference's pages PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy; "Using resource-based
policies for DynamoDB".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from pileus.access.contract import Scoped
from pileus.access.policy import PolicyError, compile_policy
from pileus.cloud.context import Cloud, Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors, iterators, keys, permissions, publicity, records, tables
from pileus.services.dynamodb.operations import streams
from pileus.services.dynamodb.operations.settings import of_arn
from pileus.services.dynamodb.tables import Table, memory
from pileus.store.contract import Reader, Transaction

POLICY_BYTES_MAX = 20 * 1024
_NONE = "NO_POLICY"


async def put_resource_policy(ctx: Context, tx: Transaction, request: Request) -> Answer:
    record = await _record(ctx, tx, request["ResourceArn"])
    check(request["Policy"])
    _check_revision(record, request)
    if record.policy == request["Policy"]:
        return {"RevisionId": record.policy_revision}
    revision = str(int(ctx.now * 1000))
    record = msgspec.structs.replace(record, policy=request["Policy"], policy_revision=revision)
    if isinstance(record, records.Stream):
        _watch(ctx, tx, record.table, record.label)
        tx.put(keys.stream(ctx.account, ctx.region, record.table, record.label), records.encode(record))
    else:
        keep(ctx, tx, record)
    return {"RevisionId": revision}


def keep(ctx: Context, tx: Transaction, record: records.Table) -> Table:
    """Store a table's record that has a policy."""
    _watch(ctx, tx, record.name)
    return tables.store(ctx, tx, record)


def _watch(ctx: Context, tx: Transaction, *parts: str) -> None:
    """Have policies looked at from now on: there is one of this table (and label of a stream)."""
    tx.put(keys.watch("policies", ctx.account, ctx.region, *parts), b"")
    # Before the commit: what is looked at once too often does no harm.
    memory(ctx.cloud).policies = True


async def get_resource_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    record = await _record(ctx, tx, request["ResourceArn"])
    if not record.policy:
        raise _no_policy(request["ResourceArn"])
    return {"Policy": record.policy, "RevisionId": record.policy_revision}


async def delete_resource_policy(ctx: Context, tx: Transaction, request: Request) -> Answer:
    record = await _record(ctx, tx, request["ResourceArn"])
    _check_revision(record, request)
    if not record.policy:
        return {"RevisionId": ""}
    revision = record.policy_revision
    record = msgspec.structs.replace(record, policy="", policy_revision="")
    if isinstance(record, records.Stream):
        tx.put(keys.stream(ctx.account, ctx.region, record.table, record.label), records.encode(record))
        tx.delete(keys.watch("policies", ctx.account, ctx.region, record.table, record.label))
    else:
        tables.store(ctx, tx, record)
        tx.delete(keys.watch("policies", ctx.account, ctx.region, record.name))
    return {"RevisionId": revision}


async def _record(ctx: Context, tx: Reader, text: str) -> records.Table | records.Stream:
    """What has, or could have, a policy under that ARN."""
    arn = parse_arn(text)
    if arn is not None and "/stream/" in arn.resource:
        return await streams.load(ctx, tx, text)
    if arn is not None and "/index/" in arn.resource:
        raise errors.validation(f"Resource-based policies cannot be attached to indexes: {text}")
    return (await of_arn(ctx, tx, text)).record


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
    if publicity.is_public(document):
        raise errors.validation("Resource-based policy document grants public access, which is blocked")


def _check_revision(record: records.Table | records.Stream, request: Request) -> None:
    expected = request.get("ExpectedRevisionId")
    if expected is None:
        return
    if expected != (record.policy_revision or _NONE):
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
    """Whether policies can have a say at all."""
    known = ctx.cloud.parts.get(tables.Memory)
    # Streams may be read before DynamoDB itself has been started.
    return known is None or known.policies


async def of_items(ctx: Context, reader: Reader, request: Request) -> Any:
    return await documents(ctx, reader, [part.table for part in permissions.parts(ctx, request)])


async def of_table(ctx: Context, reader: Reader, request: Request) -> Any:
    return await documents(ctx, reader, [request["TableName"]])


async def of_stream(ctx: Context, reader: Reader, request: Request) -> Any:
    return await _of_stream(ctx, reader, request["StreamArn"])


async def of_iterator(ctx: Context, reader: Reader, request: Request) -> Any:
    return await _of_stream(ctx, reader, iterators.stream_arn(request["ShardIterator"]))


async def _of_stream(ctx: Context, reader: Reader, arn: str) -> Any:
    try:
        stream = await streams.load(ctx, reader, arn)
    except AWSError:
        return None  # the operation says itself what is wrong with the name
    return [orjson.loads(stream.policy)] if stream.policy else None


async def documents(ctx: Context, reader: Reader, names: Sequence[str]) -> Any:
    """The policies of the tables of those names, each of which has a say about its own table only."""
    found = []
    for name in dict.fromkeys(names):
        home = tables.at_home(ctx, name)
        try:
            table = await tables.find(home, reader, tables.table_name(home, name))
        except AWSError:
            continue  # the operation says itself what is wrong with the name
        if table is not None and table.record.policy:
            arn = tables.table_arn(table.region, table.account, table.name)
            found.append(Scoped(table.record.policy, arn))
    return found or None
