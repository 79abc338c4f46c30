"""Tables as they are described to callers.

Source: the records of CreateTable, DescribeTable, DeleteTable; the API reference's page TableDescription.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.services.dynamodb import encryption, records, replicas
from pileus.services.dynamodb.capacity import ON_DEMAND_READS, ON_DEMAND_WRITES
from pileus.services.dynamodb.statistics import held
from pileus.services.dynamodb.streams import stream_arn
from pileus.services.dynamodb.tables import Index, Table, table_arn
from pileus.store.contract import Reader

# What a table in on-demand mode, and its indexes, can take at once.
ON_DEMAND_WARM = (ON_DEMAND_READS, ON_DEMAND_WRITES)
DAY_S = 86_400.0


async def describe(ctx: Context, tx: Reader, table: Table, *, status: str = "ACTIVE") -> dict[str, Any]:
    """The TableDescription of a table; `status` CREATING and UPDATING stand for the moment of the change itself."""
    record = table.record
    others = await replicas.others(ctx, tx, table) if record.replicas else []
    if record.restoring:
        status = "CREATING"
    elif record.leaving:
        status = "DELETING"
    elif record.parting or any(not other.record.usable or other.record.parting for other in others):
        status = "UPDATING"
    items, size = await held(ctx, tx, table.statistics)
    answer: dict[str, Any] = {
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind} for name, kind in sorted(record.attributes.items())
        ],
        "TableName": record.name,
        "KeySchema": table.schema.description(),
        "TableStatus": status,
        "CreationDateTime": record.created,
        "ProvisionedThroughput": _throughput(record, ctx.now),
        "TableSizeBytes": size,
        "ItemCount": items,
        "TableArn": table_arn(table.region, table.account, record.name),
        "TableId": record.id,
        "DeletionProtectionEnabled": record.deletion_protection,
    }
    if record.on_demand_since:
        answer["BillingModeSummary"] = {"BillingMode": record.billing}
        if status != "CREATING":
            answer["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"] = record.on_demand_since
    if record.stream_view:
        answer["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": record.stream_view}
    if record.stream_label:
        answer["LatestStreamLabel"] = record.stream_label
        answer["LatestStreamArn"] = stream_arn(table.region, table.account, record.name, record.stream_label)
    if record.restored_from:
        answer["RestoreSummary"] = {**record.restored_from, "RestoreInProgress": status == "CREATING"}
    if record.on_demand:
        answer["OnDemandThroughput"] = record.on_demand
    if record.table_class:
        answer["TableClassSummary"] = {"TableClass": record.table_class}
    if record.managed_key:
        answer["SSEDescription"] = encryption.describe(table.account, table.region, record)
    if status != "CREATING" or record.warm_read or record.warm_write:
        answer["WarmThroughput"] = {
            **warm_throughput(table, record.warm_read, record.warm_write, record.read_units, record.write_units),
            "Status": "UPDATING" if status == "CREATING" else "ACTIVE",
        }
    if others:
        answer |= {
            "GlobalTableVersion": replicas.VERSION,
            "Replicas": [_replica(other) for other in others],
            "MultiRegionConsistency": "STRONG" if record.strong else "EVENTUAL",
        }
        if not record.strong:
            answer["DisassociationProtectionEnabled"] = not record.disassociable
    if record.witness:
        answer["GlobalTableWitnesses"] = [{"RegionName": record.witness, "WitnessStatus": "ACTIVE"}]
    for index in table.indexes:
        member = "LocalSecondaryIndexes" if index.is_local else "GlobalSecondaryIndexes"
        answer.setdefault(member, []).append(await _describe_index(ctx, tx, table, index, status))
    return answer


def _replica(table: Table) -> dict[str, Any]:
    """The ReplicaDescription of a replica."""
    record = table.record
    answer: dict[str, Any] = {
        "RegionName": table.region,
        "ReplicaStatus": replicas.status(record),
        "ReplicaArn": table_arn(table.region, table.account, record.name),
        "WarmThroughput": {
            **warm_throughput(table, record.warm_read, record.warm_write, record.read_units, record.write_units),
            "Status": "ACTIVE",
        },
        **_overrides(record, ""),
    }
    for index in table.indexes:
        if not index.is_local:
            shown = {"IndexName": index.name, **_overrides(record, index.name)}
            answer.setdefault("GlobalSecondaryIndexes", []).append(shown)
    if record.managed_key:
        answer["KMSMasterKeyId"] = encryption.managed_key(table.account, table.region)
    if record.table_class:
        answer["ReplicaTableClassSummary"] = {"TableClass": record.table_class}
    return answer


def _overrides(record: records.Table, index: str) -> dict[str, Any]:
    """What a replica, or its index of that name, has of its own."""
    answer: dict[str, Any] = {}
    if index in record.read_overrides:
        answer["ProvisionedThroughputOverride"] = {"ReadCapacityUnits": record.read_overrides[index]}
    if index in record.on_demand_overrides:
        answer["OnDemandThroughputOverride"] = {"MaxReadRequestUnits": record.on_demand_overrides[index]}
    return answer


def describe_deleted(table: Table, items: int, size: int, now: float) -> dict[str, Any]:
    """The shorter TableDescription of DeleteTable."""
    answer: dict[str, Any] = {
        "TableName": table.name,
        "TableStatus": "DELETING",
        "ProvisionedThroughput": _throughput(table.record, now),
        "TableSizeBytes": size,
        "ItemCount": items,
        "TableArn": table_arn(table.region, table.account, table.name),
        "TableId": table.record.id,
        "DeletionProtectionEnabled": table.record.deletion_protection,
    }
    if table.record.on_demand_since:
        answer["BillingModeSummary"] = {
            "BillingMode": table.record.billing,
            "LastUpdateToPayPerRequestDateTime": table.record.on_demand_since,
        }
    return answer


def _throughput(record: records.Table | records.Index, now: float) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "NumberOfDecreasesToday": decreases_today(record, now),
        "ReadCapacityUnits": record.read_units,
        "WriteCapacityUnits": record.write_units,
    }
    if record.last_increase:
        answer["LastIncreaseDateTime"] = record.last_increase
    if record.last_decrease:
        answer["LastDecreaseDateTime"] = record.last_decrease
    return answer


def decreases_today(record: records.Table | records.Index, now: float) -> int:
    return record.decreases if now // DAY_S == record.last_decrease // DAY_S else 0


def warm_throughput(table: Table, read: int, write: int, read_units: int, write_units: int) -> dict[str, int]:
    """What was asked for, at least what the billing mode gives."""
    given = ON_DEMAND_WARM if table.record.billing == "PAY_PER_REQUEST" else (read_units, write_units)
    return {"ReadUnitsPerSecond": max(read, given[0]), "WriteUnitsPerSecond": max(write, given[1])}


def projection_of(index: records.Index) -> dict[str, Any]:
    """As Projection."""
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.non_key_attributes:
        projection["NonKeyAttributes"] = list(index.non_key_attributes)
    return projection


async def _describe_index(ctx: Context, tx: Reader, table: Table, index: Index, status: str) -> dict[str, Any]:
    record = index.record
    items, size = await held(ctx, tx, index.statistics)
    answer: dict[str, Any] = {
        "IndexName": record.name,
        "KeySchema": index.schema.description(),
        "Projection": projection_of(record),
        "IndexSizeBytes": size,
        "ItemCount": items,
        "IndexArn": f"{table_arn(table.region, table.account, table.name)}/index/{record.name}",
    }
    if index.is_local:
        return answer
    answer["IndexStatus"] = "CREATING" if status == "CREATING" else record.status
    if record.status == "CREATING":
        answer["Backfilling"] = True
    answer["ProvisionedThroughput"] = _throughput(record, ctx.now)
    if record.on_demand:
        answer["OnDemandThroughput"] = record.on_demand
    if status != "CREATING" or record.warm_read or record.warm_write:
        answer["WarmThroughput"] = {
            **warm_throughput(table, record.warm_read, record.warm_write, record.read_units, record.write_units),
            "Status": "UPDATING" if status == "CREATING" else "ACTIVE",
        }
    return answer
