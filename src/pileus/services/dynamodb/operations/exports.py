"""Exports to S3.

Sources: the API reference's pages ExportTableToPointInTime, DescribeExport, ListExports.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Permission, Request
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.dynamodb import keys, records, tables, work
from pileus.services.dynamodb.operations.backups import earliest, existing
from pileus.services.dynamodb.permissions import arn_of
from pileus.services.dynamodb.tables import table_arn
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

PAGE_MAX = 25


def of_table_arn(ctx: Context, request: Request) -> list[Permission]:
    return [Permission(f"dynamodb:{ctx.operation}", arn_of(ctx, request["TableArn"]))]


def of_export(ctx: Context, request: Request) -> list[Permission]:
    return [Permission(f"dynamodb:{ctx.operation}", request["ExportArn"])]


async def export_table_to_point_in_time(ctx: Context, tx: Transaction, request: Request) -> Answer:
    for member, built in (("ExportFormat", "DYNAMODB_JSON"), ("ExportType", "FULL_EXPORT")):
        if request.get(member, built) != built:
            raise NotBuilt(f"DynamoDB's exports with {member} {request[member]}")
    if request.get("FilterSpecification") or request.get("S3SseAlgorithm") == "KMS":
        raise NotBuilt("DynamoDB's exports with FilterSpecification or a KMS key")
    table = await existing(ctx, tx, request["TableArn"])
    record = table.record
    if not record.pitr_since:
        raise AWSError(
            "PointInTimeRecoveryUnavailableException",
            f"Point in time recovery is not enabled for table '{record.name}'",
        )
    moment = request.get("ExportTime", ctx.now)
    if not int(earliest(ctx, record)) <= moment <= ctx.now:
        raise AWSError("InvalidExportTimeException", "ExportTime is not within the recovery period")
    token = request.get("ClientToken")
    if token is not None:
        for _, raw in await tx.scan(*keys.exports(ctx.account, ctx.region), limit=10_000):
            known = records.decode_export(raw)
            if known.token == token and known.table_id == record.id and ctx.now - known.started < 8 * 3600:
                if known.bucket != request["S3Bucket"]:
                    raise AWSError("ExportConflictException", "ClientToken was used with other parameters")
                return {"ExportDescription": _description(known)}
    export_id = f"{int(ctx.now * 1000):014}-{ctx.cloud.ids.hex(8)}"
    arn = table_arn(ctx.region, ctx.account, record.name)
    export = records.Export(
        id=export_id,
        arn=f"{arn}/export/{export_id}",
        table=record.name,
        table_arn=arn,
        table_id=record.id,
        moment=moment,
        started=ctx.now,
        bucket=request["S3Bucket"],
        bucket_owner=request.get("S3BucketOwner", ""),
        prefix=request.get("S3Prefix", ""),
        encryption=request.get("S3SseAlgorithm", ""),
        token=token or ctx.cloud.ids.uuid(),
        principal=ctx.principal,
    )
    tx.put(keys.export(ctx.account, ctx.region, export_id), records.encode(export))
    tables.store(ctx, tx, msgspec.structs.replace(record, copying=(*record.copying, export_id)))
    work.export(ctx, tx, export_id)
    return {"ExportDescription": _description(export)}


async def describe_export(ctx: Context, tx: Reader, request: Request) -> Answer:
    arn = request["ExportArn"]
    raw = await tx.get(keys.export(ctx.account, ctx.region, arn.rpartition("/export/")[2]))
    export = None if raw is None else records.decode_export(raw)
    if export is None or export.arn != arn:
        raise AWSError("ExportNotFoundException", f"Export not found: {arn}")
    return {"ExportDescription": _description(export)}


async def list_exports(ctx: Context, tx: Reader, request: Request) -> Answer:
    limit = request.get("MaxResults", PAGE_MAX)
    start, end = keys.exports(ctx.account, ctx.region)
    if "NextToken" in request:
        start = max(start, after(keys.export(ctx.account, ctx.region, request["NextToken"])))
    found: list[records.Export] = []
    while len(found) <= limit:
        rows = await tx.scan(start, max(start, end), limit=100)
        exports = [records.decode_export(raw) for _, raw in rows]
        found += [export for export in exports if request.get("TableArn", export.table_arn) == export.table_arn]
        if len(rows) < 100:
            break
        start = after(rows[-1][0])
    answer: Answer = {
        "ExportSummaries": [
            {"ExportArn": export.arn, "ExportStatus": export.status, "ExportType": "FULL_EXPORT"}
            for export in found[:limit]
        ]
    }
    if len(found) > limit:
        answer["NextToken"] = found[limit - 1].id
    return answer


def _description(export: records.Export) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "ExportArn": export.arn,
        "ExportStatus": export.status,
        "StartTime": export.started,
        "TableArn": export.table_arn,
        "TableId": export.table_id,
        "ExportTime": export.moment,
        "ClientToken": export.token,
        "S3Bucket": export.bucket,
        "S3SseAlgorithm": export.encryption or "AES256",
        "ExportFormat": "DYNAMODB_JSON",
        "ExportType": "FULL_EXPORT",
    }
    if export.bucket_owner:
        answer["S3BucketOwner"] = export.bucket_owner
    if export.prefix:
        answer["S3Prefix"] = export.prefix
    if export.ended:
        answer["EndTime"] = export.ended
    if export.status == "COMPLETED":
        answer |= {
            "ExportManifest": export.manifest,
            "BilledSizeBytes": export.size_bytes,
            "ItemCount": export.items,
        }
    if export.status == "FAILED":
        answer["FailureCode"], answer["FailureMessage"] = export.failure
    return answer
