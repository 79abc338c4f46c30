"""Backups on demand, point-in-time recovery, and tables restored from either.

Sources: the API reference's pages CreateBackup, DescribeBackup, ListBackups, DeleteBackup, RestoreTableFromBackup,
UpdateContinuousBackups, RestoreTableToPointInTime; the records of continuous backups.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Permission, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.dynamodb import (
    copying,
    encryption,
    errors,
    keys,
    records,
    schema,
    statistics,
    tables,
    work,
)
from pileus.services.dynamodb.copying import Copy
from pileus.services.dynamodb.descriptions import DAY_S, describe, projection_of
from pileus.services.dynamodb.permissions import arn_of
from pileus.services.dynamodb.replicas import in_region
from pileus.services.dynamodb.tables import Table, table_arn
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

PAGE_MAX = 100
PERIOD_DAYS = 35


def of_backup(ctx: Context, request: Request) -> list[Permission]:
    return [Permission(f"dynamodb:{ctx.operation}", request["BackupArn"])]


def of_restore(ctx: Context, request: Request) -> list[Permission]:
    source = request.get("BackupArn") or request.get("SourceTableArn") or request.get("SourceTableName", "")
    if not source.startswith("arn:"):
        source = arn_of(ctx, source)
    action = f"dynamodb:{ctx.operation}"
    return [Permission(action, source), Permission(action, arn_of(ctx, request["TargetTableName"]))]


async def existing(ctx: Context, tx: Reader, text: str) -> Table:
    """The table that a member names, in these operations' own words where there is none."""
    name = tables.table_name(ctx, text)
    table = await tables.find(ctx, tx, name)
    if table is None:
        raise AWSError("TableNotFoundException", f"Table not found: {name}")
    return table


# -------------------------------------------------------------------------------------------------------------- backups


async def create_backup(ctx: Context, tx: Transaction, request: Request) -> Answer:
    table = await existing(ctx, tx, request["TableName"])
    if table.record.restoring:
        raise AWSError("TableInUseException", f"Table is being created: {table.name}")
    items, size = await statistics.held(ctx, tx, table.statistics)
    backup = records.Backup(
        id=f"{int(ctx.now * 1000):014}-{ctx.cloud.ids.hex(8)}",
        name=request["BackupName"],
        created=ctx.now,
        table=table.record,
        items=items,
        size_bytes=size,
    )
    tx.put(keys.backup(ctx.account, ctx.region, backup.id), records.encode(backup))
    copying_now = (*table.record.copying, backup.id)
    tables.store(ctx, tx, msgspec.structs.replace(table.record, copying=copying_now))
    tx.put(keys.watch("history", ctx.account, ctx.region, table.name, table.record.id), b"")
    await _start(ctx, tx, Copy(ctx.account, ctx.region, table.name, target_backup=backup.id, moment=ctx.now))
    return {"BackupDetails": _details(ctx, backup, "CREATING")}


async def keep_deleted(ctx: Context, tx: Transaction, table: Table, items: int, size: int) -> None:
    """Make the backup that is left of a table with point-in-time recovery when it is deleted."""
    backup = records.Backup(
        id=f"{int(ctx.now * 1000):014}-{ctx.cloud.ids.hex(8)}",
        name=f"{table.name}$DeletedTableBackup",
        created=ctx.now,
        table=table.record,
        items=items,
        size_bytes=size,
        ready=True,
        kept=table.record.id,
        expires=ctx.now + PERIOD_DAYS * DAY_S,
    )
    tx.put(keys.backup(ctx.account, ctx.region, backup.id), records.encode(backup))
    work.expire_backup(ctx, tx, backup.id, backup.expires)


async def _start(ctx: Context, tx: Transaction, copy: Copy) -> None:
    """Copy what one batch holds at once, and leave more to a delivery."""
    place: copying.Place = (None, False)
    for _ in range(2):
        if place is not None:
            place = await copying.step(ctx.cloud, tx, copy, ctx.now, place[0], undoing=place[1])
    if place is None:
        return
    work.copy_table(ctx, tx, copy)


async def describe_backup(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"BackupDescription": _description(ctx, await _backup(ctx, tx, request["BackupArn"]))}


async def delete_backup(ctx: Context, tx: Transaction, request: Request) -> Answer:
    backup = await _backup(ctx, tx, request["BackupArn"])
    if not backup.ready:
        raise AWSError("BackupInUseException", f"Backup is being created: {request['BackupArn']}")
    if backup.copying:
        raise AWSError("BackupInUseException", f"Backup is being restored from: {request['BackupArn']}")
    tx.delete(keys.backup(ctx.account, ctx.region, backup.id))
    work.sweep_backup(ctx, tx, backup)
    return {"BackupDescription": _description(ctx, backup, "DELETED")}


async def list_backups(ctx: Context, tx: Reader, request: Request) -> Answer:
    limit = request.get("Limit", PAGE_MAX)
    start, end = keys.backups(ctx.account, ctx.region)
    if "ExclusiveStartBackupArn" in request:
        start = max(start, after(keys.backup(ctx.account, ctx.region, _id(request["ExclusiveStartBackupArn"]))))
    name = tables.table_name(ctx, request["TableName"]) if "TableName" in request else ""
    kind = request.get("BackupType", "USER")
    low, high = request.get("TimeRangeLowerBound", 0.0), request.get("TimeRangeUpperBound", float("inf"))
    found: list[records.Backup] = []
    while len(found) <= limit:
        rows = await tx.scan(start, max(start, end), limit=PAGE_MAX)
        for _, raw in rows:
            backup = records.decode_backup(raw)
            if kind not in ("ALL", _kind(backup)):
                continue
            if (not name or backup.table.name == name) and low <= backup.created < high:
                found.append(backup)
        if len(rows) < PAGE_MAX:
            break
        start = after(rows[-1][0])
    answer: Answer = {"BackupSummaries": [_summary(ctx, backup) for backup in found[:limit]]}
    if len(found) > limit:
        answer["LastEvaluatedBackupArn"] = _arn(ctx, found[limit - 1])
    return answer


def _id(arn: str) -> str:
    return arn.rpartition("/backup/")[2]


def _arn(ctx: Context, backup: records.Backup) -> str:
    return f"{table_arn(ctx.region, ctx.account, backup.table.name)}/backup/{backup.id}"


async def _backup(ctx: Context, tx: Reader, text: str) -> records.Backup:
    arn = parse_arn(text)
    if arn is None or "/backup/" not in arn.resource:
        raise errors.validation(f"Invalid BackupArn: {text}")
    raw = await tx.get(keys.backup(ctx.account, ctx.region, _id(text)))
    backup = None if raw is None else records.decode_backup(raw)
    if backup is None or _arn(ctx, backup) != text:
        raise AWSError("BackupNotFoundException", f"Backup not found: {text}")
    return backup


def _kind(backup: records.Backup) -> str:
    """As BackupType."""
    return "SYSTEM" if backup.kept else "USER"


def _details(ctx: Context, backup: records.Backup, status: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = {
        "BackupArn": _arn(ctx, backup),
        "BackupName": backup.name,
        "BackupSizeBytes": backup.size_bytes,
        "BackupStatus": status or ("AVAILABLE" if backup.ready else "CREATING"),
        "BackupType": _kind(backup),
        "BackupCreationDateTime": backup.created,
    }
    if backup.expires:
        answer["BackupExpiryDateTime"] = backup.expires
    return answer


def _summary(ctx: Context, backup: records.Backup) -> dict[str, Any]:
    record = backup.table
    named = {
        "TableName": record.name,
        "TableId": record.id,
        "TableArn": table_arn(ctx.region, ctx.account, record.name),
    }
    return {**named, **_details(ctx, backup)}


def _description(ctx: Context, backup: records.Backup, status: str = "") -> dict[str, Any]:
    record = backup.table
    features: dict[str, Any] = {}
    for index in record.indexes:
        shown: dict[str, Any] = {
            "IndexName": index.name,
            "KeySchema": schema.described(index.hashes, index.ranges),
            "Projection": projection_of(index),
        }
        if index.scope == "global":
            units = {"ReadCapacityUnits": index.read_units, "WriteCapacityUnits": index.write_units}
            shown["ProvisionedThroughput"] = units
        member = "GlobalSecondaryIndexes" if index.scope == "global" else "LocalSecondaryIndexes"
        features.setdefault(member, []).append(shown)
    if record.stream_view:
        features["StreamDescription"] = {"StreamEnabled": True, "StreamViewType": record.stream_view}
    if record.ttl_attribute:
        features["TimeToLiveDescription"] = {"TimeToLiveStatus": "ENABLED", "AttributeName": record.ttl_attribute}
    if record.managed_key:
        features["SSEDescription"] = encryption.describe(ctx.account, ctx.region, record)
    return {
        "BackupDetails": _details(ctx, backup, status),
        "SourceTableDetails": {
            "TableName": record.name,
            "TableId": record.id,
            "TableArn": table_arn(ctx.region, ctx.account, record.name),
            "TableSizeBytes": backup.size_bytes,
            "KeySchema": schema.described([record.hash], [record.range]),
            "TableCreationDateTime": record.created,
            "ProvisionedThroughput": {
                "ReadCapacityUnits": record.read_units,
                "WriteCapacityUnits": record.write_units,
            },
            "ItemCount": backup.items,
            "BillingMode": record.billing,
        },
        "SourceTableFeatureDetails": features,
    }


# ------------------------------------------------------------------------------------------------------- point in time


async def update_continuous_backups(ctx: Context, tx: Transaction, request: Request) -> Answer:
    table = await existing(ctx, tx, request["TableName"])
    asked = request["PointInTimeRecoverySpecification"]
    days = asked.get("RecoveryPeriodInDays")
    if not asked["PointInTimeRecoveryEnabled"]:
        if days is not None:
            raise errors.validation("RecoveryPeriodInDays cannot be specified when PointInTimeRecovery is disabled")
        record = msgspec.structs.replace(table.record, pitr_since=0.0)
    else:
        record = msgspec.structs.replace(
            table.record,
            pitr_since=table.record.pitr_since or ctx.now,
            pitr_days=days or (table.record.pitr_days if table.record.pitr_since else PERIOD_DAYS),
        )
        tx.put(keys.watch("history", ctx.account, ctx.region, table.name, record.id), b"")
    tables.store(ctx, tx, record)
    return _continuous(ctx, record)


async def describe_continuous_backups(ctx: Context, tx: Reader, request: Request) -> Answer:
    return _continuous(ctx, (await existing(ctx, tx, request["TableName"])).record)


def earliest(ctx: Context, record: records.Table) -> float:
    """The first moment that a table can be recovered to."""
    return max(record.pitr_since, ctx.now - record.pitr_days * 86400)


def _continuous(ctx: Context, record: records.Table) -> Answer:
    shown: dict[str, Any] = {"PointInTimeRecoveryStatus": "DISABLED"}
    if record.pitr_since:
        shown = {
            "PointInTimeRecoveryStatus": "ENABLED",
            "RecoveryPeriodInDays": record.pitr_days,
            "EarliestRestorableDateTime": earliest(ctx, record),
            "LatestRestorableDateTime": ctx.now,
        }
    return {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": shown,
        }
    }


# -------------------------------------------------------------------------------------------------------------- restore


def _source_place(ctx: Context, text: str) -> Context:
    """The call, meaning the region of its source's ARN: what is restored may come from another one."""
    arn = parse_arn(text) if text.startswith("arn:") else None
    return ctx if arn is None or not arn.region else in_region(ctx, arn.region)


async def restore_table_from_backup(ctx: Context, tx: Transaction, request: Request) -> Answer:
    there = _source_place(ctx, request["BackupArn"])
    backup = await _backup(there, tx, request["BackupArn"])
    if not backup.ready:
        raise AWSError("BackupInUseException", f"Backup is being created: {request['BackupArn']}")
    summary = {
        "SourceBackupArn": request["BackupArn"],
        "SourceTableArn": table_arn(there.region, ctx.account, backup.table.name),
        "RestoreDateTime": backup.created,
    }
    target = await _new_table(ctx, tx, request, backup.table, summary)
    backup.copying = (*backup.copying, target.record.id)
    tx.put(keys.backup(ctx.account, there.region, backup.id), records.encode(backup))
    copy = Copy(
        ctx.account,
        ctx.region,
        source_backup=backup.id,
        target_table=target.name,
        target_id=target.record.id,
        source_region=there.region,
        source_kept=backup.kept,
    )
    return await _restored(ctx, tx, target, copy)


async def restore_table_to_point_in_time(ctx: Context, tx: Transaction, request: Request) -> Answer:
    text = request.get("SourceTableArn") or request.get("SourceTableName")
    if text is None:
        raise errors.validation("One of SourceTableArn and SourceTableName must be specified")
    there = _source_place(ctx, text)
    source = await existing(there, tx, text)
    record = source.record
    if not record.pitr_since:
        raise AWSError(
            "PointInTimeRecoveryUnavailableException",
            f"Point in time recovery is not enabled for table '{record.name}'",
        )
    latest = request.get("UseLatestRestorableTime", False)
    if latest is ("RestoreDateTime" in request):
        raise errors.validation("Exactly one of UseLatestRestorableTime and RestoreDateTime must be specified")
    moment = ctx.now if latest else request["RestoreDateTime"]
    # Moments are told in whole seconds: the one in which recovery was switched on is one of them.
    if not int(earliest(ctx, record)) <= moment <= ctx.now:
        raise AWSError("InvalidRestoreTimeException", "RestoreDateTime is not within the recovery period")
    arn = table_arn(there.region, ctx.account, record.name)
    summary = {"SourceTableArn": arn, "RestoreDateTime": moment}
    target = await _new_table(ctx, tx, request, record, summary)
    copying_now = (*record.copying, target.record.id)
    tables.store(there, tx, msgspec.structs.replace(record, copying=copying_now))
    copy = Copy(
        ctx.account,
        ctx.region,
        record.name,
        target_table=target.name,
        moment=moment,
        target_id=target.record.id,
        source_region=there.region,
    )
    return await _restored(ctx, tx, target, copy)


async def _new_table(
    ctx: Context, tx: Transaction, request: Request, source: records.Table, summary: dict[str, Any]
) -> Table:
    name = tables.table_name(ctx, request["TargetTableName"])
    if await tables.find(ctx, tx, name) is not None:
        raise AWSError("TableAlreadyExistsException", f"Table already exists: {name}")
    managed_key = source.managed_key
    if "SSESpecificationOverride" in request:
        managed_key = encryption.is_managed(ctx, request["SSESpecificationOverride"])
    if request.get("VectorIndexOverride"):
        raise NotBuilt("DynamoDB's VectorIndexOverride")
    billing = request.get("BillingModeOverride", source.billing)
    read, write = _units(request, source, billing)
    if request.get("OnDemandThroughputOverride") and billing == "PROVISIONED":
        raise errors.invalid("OnDemandThroughput cannot be specified when BillingMode is PROVISIONED")
    record = records.Table(
        name=name,
        id=ctx.cloud.ids.uuid(),
        created=ctx.now,
        attributes=source.attributes,
        hash=source.hash,
        range=source.range,
        indexes=_indexes(ctx, request, source, billing),
        billing=billing,
        on_demand_since=ctx.now if billing == "PAY_PER_REQUEST" else 0.0,
        read_units=read,
        write_units=write,
        on_demand=dict(request.get("OnDemandThroughputOverride") or {}),
        table_class=source.table_class,
        managed_key=managed_key,
        restoring=True,
        restored_from=summary,
    )
    used = {record.hash, record.range}.union(*(index.names for index in record.indexes))
    record.attributes = {attribute: kind for attribute, kind in source.attributes.items() if attribute in used}
    table = tables.store(ctx, tx, record)
    for key in (table.statistics, *(index.statistics for index in table.indexes)):
        tx.put(key, records.encode(records.Statistics()))
    return table


def _units(request: Request, source: records.Table, billing: str) -> tuple[int, int]:
    """The throughput that a restored table gets: its source's, unless it gets another."""
    given = request.get("ProvisionedThroughputOverride")
    if billing == "PAY_PER_REQUEST":
        if given is not None:
            raise errors.invalid(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
            )
        return 0, 0
    if given is not None:
        return given["ReadCapacityUnits"], given["WriteCapacityUnits"]
    if source.billing != billing:
        raise errors.invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    return source.read_units, source.write_units


def _indexes(ctx: Context, request: Request, source: records.Table, billing: str) -> tuple[records.Index, ...]:
    """Those of the source, or of them those that the overrides name."""
    found = []
    for scope, member in (("global", "GlobalSecondaryIndexOverride"), ("local", "LocalSecondaryIndexOverride")):
        wanted = request.get(member)
        by_name = {index.name: index for index in source.indexes if index.scope == scope}
        given: dict[str, Any] = {each["IndexName"]: each for each in wanted or ()}
        for name in by_name if wanted is None else given:
            index = by_name.get(name)
            if index is None or (name in given and not _is_alike(index, given[name])):
                raise errors.invalid(f"{member} must match an index of the source table: {name}")
            read, write = (0, 0) if scope == "local" else _index_units(index, given.get(name, {}), source, billing)
            found.append(
                msgspec.structs.replace(
                    index,
                    id=ctx.cloud.ids.token_bytes(8),
                    status="ACTIVE",
                    read_units=read,
                    write_units=write,
                    on_demand=dict(given.get(name, {}).get("OnDemandThroughput") or {}),
                )
            )
    return tuple(found)


def _is_alike(index: records.Index, given: dict[str, Any]) -> bool:
    """Whether an override describes the index as it is."""
    projection = given.get("Projection") or {}
    others = tuple(projection.get("NonKeyAttributes", ()))
    return (
        given["KeySchema"] == schema.described(index.hashes, index.ranges)
        and projection.get("ProjectionType") == index.projection
        and sorted(others) == sorted(index.non_key_attributes)
    )


def _index_units(index: records.Index, given: dict[str, Any], source: records.Table, billing: str) -> tuple[int, int]:
    units = given.get("ProvisionedThroughput")
    if billing == "PAY_PER_REQUEST":
        if units is not None:
            raise errors.invalid(
                f"ProvisionedThroughput should not be specified for index: {index.name} when BillingMode is "
                "PAY_PER_REQUEST"
            )
        return 0, 0
    if units is not None:
        return units["ReadCapacityUnits"], units["WriteCapacityUnits"]
    if source.billing != billing:
        raise errors.invalid(f"ProvisionedThroughput must be specified for index: {index.name}")
    return index.read_units, index.write_units


async def _restored(ctx: Context, tx: Transaction, target: Table, copy: Copy) -> Answer:
    answer = await describe(ctx, tx, target, status="CREATING")
    await _start(ctx, tx, copy)
    return {"TableDescription": answer}
