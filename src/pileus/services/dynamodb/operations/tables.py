"""Tables.

A table is there with all its parts as soon as the call that makes or changes it commits: the CREATING and UPDATING of
the answers last no longer than that, except for the filling of a new index.

Sources: the API reference's pages CreateTable, DescribeTable, ListTables, UpdateTable, DeleteTable; their records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import (
    consistent,
    definitions,
    disassociating,
    encryption,
    errors,
    keys,
    provisioning,
    records,
    replicas,
    statistics,
    streams,
    tables,
    work,
)
from pileus.services.dynamodb.descriptions import describe, describe_deleted
from pileus.services.dynamodb.operations import backups, policies
from pileus.services.dynamodb.tables import Table
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

NAMES_MAX = 100
# What UpdateTable changes in all replicas of a global table.
_SPREAD = {
    "BillingMode",
    "ProvisionedThroughput",
    "GlobalSecondaryIndexUpdates",
    "TableClass",
    "OnDemandThroughput",
    "WarmThroughput",
    "SSESpecification",
}


async def create_table(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = tables.table_name(ctx, request["TableName"])
    record = definitions.new_table(ctx, name, request)
    if await tx.get(keys.table(ctx.account, ctx.region, name)) is not None:
        raise errors.table_exists(name)
    await provisioning.check_account(ctx, tx, record)
    view = definitions.stream_view(request)
    if view is not None:
        record = await streams.begin(ctx, tx, record, view)
    if "ResourcePolicy" in request:
        policies.check(request["ResourcePolicy"])
        revision = str(int(ctx.now * 1000))
        record = msgspec.structs.replace(record, policy=request["ResourcePolicy"], policy_revision=revision)
        table = policies.keep(ctx, tx, record)
    else:
        table = tables.store(ctx, tx, record)
    for key in (table.statistics, *(index.statistics for index in table.indexes)):
        tx.put(key, records.encode(records.Statistics()))
    return {"TableDescription": await describe(ctx, tx, table, status="CREATING")}


async def describe_table(ctx: Context, tx: Reader, request: Request) -> Answer:
    ctx = tables.at_home(ctx, request["TableName"])
    table = await tables.load_for_control(ctx, tx, request["TableName"])
    return {"Table": await describe(ctx, tx, table)}


async def list_tables(ctx: Context, tx: Reader, request: Request) -> Answer:
    start, end = keys.tables(ctx.account, ctx.region)
    if "ExclusiveStartTableName" in request:
        start = after(keys.table(ctx.account, ctx.region, request["ExclusiveStartTableName"]))
    limit = request.get("Limit", NAMES_MAX)
    found = await tx.scan(start, end, limit=limit + 1)
    names = [keys.table_name(key) for key, _ in found[:limit]]
    answer: Answer = {"TableNames": names}
    if len(found) > limit:
        answer["LastEvaluatedTableName"] = names[-1]
    return answer


async def delete_table(ctx: Context, tx: Transaction, request: Request) -> Answer:
    table = await tables.load_for_control(ctx, tx, request["TableName"])
    if table.record.restoring:
        await replicas.check_settled(ctx, tx, table)
    tables.check_deletable(table)
    items, size = await statistics.held(ctx, tx, table.statistics)
    if table.record.replicas:
        consistent.check_deletable(table)
        replicas.check_deletable(ctx, table)
        await replicas.check_settled(ctx, tx, table)
        await replicas.leave(ctx, tx, table)
    else:
        recoverable = bool(table.record.pitr_since) and not table.record.restoring
        if recoverable:
            await backups.keep_deleted(ctx, tx, table, items, size)
        await work.drop_table(ctx, tx, table, keep_items=recoverable)
    return {"TableDescription": describe_deleted(table, items, size, ctx.now)}


async def update_table(ctx: Context, request: Request) -> Answer:
    await replicas.check_scaled(ctx, request)
    return await ctx.cloud.store.write(lambda tx: _update_table(ctx, tx, request))


async def _update_table(ctx: Context, tx: Transaction, request: Request) -> Answer:
    table = await tables.load_for_control(ctx, tx, request["TableName"])
    definitions.refuse_unbuilt(request)
    asked = {name for name, value in request.items() if value != []}
    if not asked & {
        "BillingMode",
        "ProvisionedThroughput",
        "GlobalSecondaryIndexUpdates",
        "DeletionProtectionEnabled",
        "TableClass",
        "OnDemandThroughput",
        "WarmThroughput",
        "SSESpecification",
        "StreamSpecification",
        "ReplicaUpdates",
        "GlobalTableWitnessUpdates",
        "DisassociationProtectionEnabled",
    }:
        raise errors.validation(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
            "SSESpecification or ReplicaUpdates is required"
        )
    await replicas.check_settled(ctx, tx, table)
    record = provisioning.updated(ctx, table.record, request)
    changes: dict[str, Any] = {}
    if "DeletionProtectionEnabled" in request:
        changes["deletion_protection"] = request["DeletionProtectionEnabled"]
    if "TableClass" in request:
        changes["table_class"] = request["TableClass"]
    record = msgspec.structs.replace(record, **changes)
    if "SSESpecification" in request:
        record = encryption.changed(ctx, record, request["SSESpecification"])
    if "StreamSpecification" in request:
        record = await _with_stream(ctx, tx, record, request)
    updates = request.get("GlobalSecondaryIndexUpdates", ())
    _check_distinct(updates)
    for update in updates:
        record = await _with_index_update(
            ctx,
            tx,
            table,
            record=record,
            definitions_given=request.get("AttributeDefinitions", []),
            update=update,
        )
    provisioning.check_indexes(record)
    await provisioning.check_account(ctx, tx, record, table.record)
    changed = tables.store(ctx, tx, replicas.kept(record) if record.replicas else record)
    changed = disassociating.protected(ctx, tx, changed, request)
    strong = consistent.asked(changed, request)
    if disassociating.is_asked(request):
        changed = await disassociating.begin(ctx, tx, changed, request)
    elif request.get("ReplicaUpdates") or request.get("GlobalTableWitnessUpdates"):
        if strong:
            changed = await consistent.update(ctx, tx, changed, request)
        else:
            changed = await replicas.update(ctx, tx, changed, request["ReplicaUpdates"])
    elif "MultiRegionConsistency" in request:
        raise errors.invalid("MultiRegionConsistency can only be specified when replicas are created")
    answer = await describe(ctx, tx, changed, status="UPDATING")
    if "SSESpecification" in request:
        # As it was until now.
        answer["SSEDescription"] = encryption.describe(ctx.account, ctx.region, table.record, "UPDATING")
    await work.fill_new(ctx, tx, table, changed)
    if request.keys() & _SPREAD:
        await replicas.spread(ctx, tx, changed)
    return {"TableDescription": answer}


def _check_distinct(updates: Sequence[Request]) -> None:
    seen: set[str] = set()
    for update in updates:
        for action in update.values():
            name = action["IndexName"]
            if name in seen:
                raise errors.invalid(
                    f"Only one global secondary index update per index is allowed simultaneously. Index: {name}"
                )
            seen.add(name)


async def _with_stream(ctx: Context, tx: Transaction, record: records.Table, request: Request) -> records.Table:
    """The record with its stream switched on or off."""
    view = definitions.stream_view(request)
    if view is None:
        if record.replicas and not record.strong:
            raise errors.invalid("Streams cannot be disabled on a table with replicas")
        if not record.stream_view:
            raise errors.validation(f"Table has no stream to disable: TableName: {record.name}")
        return await streams.end(ctx, tx, record)
    if record.stream_view:
        raise errors.validation(f"Table already has an enabled stream: TableName: {record.name}")
    return await streams.begin(ctx, tx, record, view)


async def _with_index_update(
    ctx: Context,
    tx: Transaction,
    table: Table,
    *,
    record: records.Table,
    definitions_given: list[Any],
    update: dict[str, Any],
) -> records.Table:
    """The record after one element of GlobalSecondaryIndexUpdates."""
    by_name = {index.name: index for index in record.indexes}
    if "Create" in update:
        index = definitions.global_index(ctx, update["Create"], record.billing)
        if index.name in by_name:
            raise errors.validation(f"Attempting to create an index which already exists: {index.name}")
        if any(
            other.status == "CREATING" or other.id not in {known.record.id for known in table.indexes}
            for other in record.indexes
        ):
            raise AWSError(
                "LimitExceededException",
                "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
            )
        attributes = definitions.merged_definitions(record.attributes, definitions_given, index)
        if len([other for other in record.indexes if other.scope == "global"]) >= definitions.GLOBAL_INDEXES_MAX:
            raise AWSError(
                "LimitExceededException",
                f"Number of GlobalSecondaryIndexes exceeds per-table limit of {definitions.GLOBAL_INDEXES_MAX}",
            )
        return _keyed(record, (*record.indexes, msgspec.structs.replace(index, status="CREATING")), attributes)
    if "Delete" in update:
        gone = by_name.get(update["Delete"]["IndexName"])
        if gone is None or gone.scope == "local":
            raise errors.no_resource()
        work.sweep_index(ctx, tx, table, gone.id)
        return _keyed(record, tuple(index for index in record.indexes if index is not gone), record.attributes)
    if "Update" in update:
        asked = update["Update"]
        changed = by_name.get(asked["IndexName"])
        if changed is None or changed.scope == "local":
            raise errors.no_resource()
        new = provisioning.updated_index(ctx, changed, asked, record.billing)
        return _keyed(record, tuple(new if index is changed else index for index in record.indexes), record.attributes)
    raise errors.invalid(
        "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
        "GlobalSecondaryIndexUpdate.Delete must not be null"
    )


def _keyed(record: records.Table, indexes: tuple[records.Index, ...], attributes: dict[str, str]) -> records.Table:
    """The record with these indexes, and the definitions of those attributes that are in a key."""
    used = {record.hash, record.range}.union(*(index.names for index in indexes))
    return msgspec.structs.replace(
        record,
        indexes=indexes,
        attributes={name: kind for name, kind in attributes.items() if name in used},
    )
