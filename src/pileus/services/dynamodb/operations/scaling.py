"""Auto scaling of a global table's replicas.

Sources: the API reference's pages DescribeTableReplicaAutoScaling, UpdateTableReplicaAutoScaling; the AWS CLI
reference's example of the first.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.dynamodb import errors, replicas, scaling, tables
from pileus.services.dynamodb.scaling import Scaled
from pileus.services.dynamodb.tables import Table
from pileus.store.contract import Reader, Transaction


async def describe_table_replica_auto_scaling(ctx: Context, request: Request) -> Answer:
    return await _description(ctx, await _members(ctx, request))


async def update_table_replica_auto_scaling(ctx: Context, request: Request) -> Answer:
    members = await _members(ctx, request)
    record = members[0].record
    if record.billing == "PAY_PER_REQUEST":
        raise errors.validation("Auto scaling settings cannot be specified when BillingMode is PAY_PER_REQUEST")
    by_region = {member.region: member for member in members}
    names = {index.name for index in members[0].indexes if not index.is_local}
    changes: list[tuple[Scaled, dict[str, Any]]] = []

    def ask(region: str, index: str, kind: str, update: dict[str, Any] | None) -> None:
        if index and index not in names:
            raise errors.no_resource()
        if update:
            changes.append((_scaled(ctx, by_region[region], index, kind), update))

    for region in by_region:
        ask(region, "", "Write", request.get("ProvisionedWriteCapacityAutoScalingUpdate"))
        for each in request.get("GlobalSecondaryIndexUpdates", ()):
            ask(region, each["IndexName"], "Write", each.get("ProvisionedWriteCapacityAutoScalingUpdate"))
    for replica in request.get("ReplicaUpdates", ()):
        region = replica["RegionName"]
        if region not in by_region:
            raise errors.validation(
                "Replica specified in the Replica Update or Replica Delete action of the request was not found."
            )
        ask(region, "", "Read", replica.get("ReplicaProvisionedReadCapacityAutoScalingUpdate"))
        for each in replica.get("ReplicaGlobalSecondaryIndexUpdates", ()):
            ask(region, each["IndexName"], "Read", each.get("ProvisionedReadCapacityAutoScalingUpdate"))
    if not changes:
        raise errors.validation("At least one auto scaling update must be specified")
    await ctx.cloud.store.write(lambda tx: _own_reads(ctx, tx, changes))
    for scaled, update in changes:
        await scaling.change(scaled, update)
    return await _description(ctx, members)


async def _own_reads(ctx: Context, tx: Transaction, changes: list[tuple[Scaled, dict[str, Any]]]) -> None:
    """Read capacity that is scaled in one region is that region's own."""
    for scaled, _ in changes:
        there = replicas.in_region(ctx, scaled.region)
        table = await tables.find(there, tx, scaled.table)
        if scaled.kind == "Read" and table is not None and table.record.replicas:
            reads = {**table.record.read_overrides, scaled.index_name: 0}
            record = msgspec.structs.replace(table.record, read_overrides=reads)
            tables.store(there, tx, replicas.kept(record))


async def _members(ctx: Context, request: Request) -> list[Table]:
    """The table in all its regions, its own first."""

    async def load(tx: Reader) -> list[Table]:
        table = await tables.load_for_control(ctx, tx, request["TableName"])
        return [table, *await replicas.others(ctx, tx, table)]

    return await ctx.cloud.store.read(load)


def _scaled(ctx: Context, member: Table, index: str, kind: str) -> Scaled:
    return Scaled(ctx.cloud, ctx.principal, member.region, member.name, index, kind)


async def _description(ctx: Context, members: list[Table]) -> Answer:
    shown = []
    for member in members:
        indexes = []
        for index in member.indexes:
            if not index.is_local:
                settings = {
                    f"Provisioned{kind}CapacityAutoScalingSettings": await scaling.described(
                        _scaled(ctx, member, index.name, kind)
                    )
                    for kind in ("Read", "Write")
                }
                indexes.append({"IndexName": index.name, "IndexStatus": index.record.status, **settings})
        settings = {
            f"ReplicaProvisioned{kind}CapacityAutoScalingSettings": await scaling.described(
                _scaled(ctx, member, "", kind)
            )
            for kind in ("Read", "Write")
        }
        status = replicas.status(member.record)
        shown.append(
            {"RegionName": member.region, "GlobalSecondaryIndexes": indexes, **settings, "ReplicaStatus": status}
        )
    settled = all(member.record.usable for member in members)
    table = {"TableName": members[0].name, "TableStatus": "ACTIVE" if settled else "UPDATING", "Replicas": shown}
    return {"TableAutoScalingDescription": table}
