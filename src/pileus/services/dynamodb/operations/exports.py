"""Exports to S3.

Sources: the API reference's pages ExportTableToPointInTime, DescribeExport, ListExports.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Permission, Request
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.dynamodb import errors, filtering, keys, records, tables, work
from pileus.services.dynamodb.operations.backups import earliest, existing
from pileus.services.dynamodb.permissions import arn_of
from pileus.services.dynamodb.tables import table_arn
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

PAGE_MAX = 25
TOKEN_AGE_S = 8 * 3600.0
# How much time an incremental export may be about.
WINDOW_MIN_S, WINDOW_MAX_S = 15 * 60, 24 * 3600


def of_table_arn(ctx: Context, request: Request) -> list[Permission]:
    return [Permission(f"dynamodb:{ctx.operation}", arn_of(ctx, request["TableArn"]))]


def of_export(ctx: Context, request: Request) -> list[Permission]:
    return [Permission(f"dynamodb:{ctx.operation}", request["ExportArn"])]


async def export_table_to_point_in_time(ctx: Context, tx: Transaction, request: Request) -> Answer:
    if request.get("S3SseAlgorithm") == "KMS":
        raise NotBuilt("DynamoDB's exports with a KMS key")
    table = await existing(ctx, tx, request["TableArn"])
    record = table.record
    if not record.pitr_since:
        raise AWSError(
            "PointInTimeRecoveryUnavailableException",
            f"Point in time recovery is not enabled for table '{record.name}'",
        )
    since, moment, view = _window(ctx, record, request)
    limited_to = b""
    if "FilterSpecification" in request:
        filtering.check(table, request["FilterSpecification"])
        limited_to = filtering.stored(request["FilterSpecification"])
    token = request.get("ClientToken")
    if token is not None:
        known = await _by_token(ctx, tx, record.id, token)
        if known is not None:
            kind = request.get("ExportFormat", "DYNAMODB_JSON")
            asked = (request["S3Bucket"], request.get("S3Prefix", ""), kind, bool(since), limited_to)
            if (known.bucket, known.prefix, known.format, bool(known.since), known.limited_to) != asked:
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
        format=request.get("ExportFormat", "DYNAMODB_JSON"),
        since=since,
        keys=table.schema.names,
        view=view,
        limited_to=limited_to,
        token=token or ctx.cloud.ids.uuid(),
        principal=ctx.principal,
    )
    tx.put(keys.export(ctx.account, ctx.region, export_id), records.encode(export))
    tables.store(ctx, tx, msgspec.structs.replace(record, copying=(*record.copying, export_id)))
    work.export(ctx, tx, export_id)
    return {"ExportDescription": _description(export)}


def _window(ctx: Context, record: records.Table, request: Request) -> tuple[float, float, Any]:
    """From when (0: a full export) and up to when, and the view of an incremental export."""
    first = int(earliest(ctx, record))
    asked = request.get("IncrementalExportSpecification")
    if request.get("ExportType", "FULL_EXPORT") == "FULL_EXPORT":
        if asked:
            raise errors.validation(
                "IncrementalExportSpecification can only be used with ExportType INCREMENTAL_EXPORT"
            )
        moment = request.get("ExportTime", ctx.now)
        if not first <= moment <= ctx.now:
            raise AWSError("InvalidExportTimeException", "ExportTime is not within the recovery period")
        return 0.0, moment, "NEW_AND_OLD_IMAGES"
    if not asked or "ExportFromTime" not in asked:
        raise errors.validation("ExportFromTime must be specified with ExportType INCREMENTAL_EXPORT")
    if "ExportTime" in request:
        raise errors.validation("ExportTime cannot be specified with ExportType INCREMENTAL_EXPORT")
    since, until = asked["ExportFromTime"], asked.get("ExportToTime", ctx.now)
    if not first <= since <= until <= ctx.now:
        raise AWSError(
            "InvalidExportTimeException", "ExportFromTime and ExportToTime are not within the recovery period"
        )
    if not WINDOW_MIN_S <= until - since <= WINDOW_MAX_S:
        raise AWSError(
            "InvalidExportTimeException",
            "The time between ExportFromTime and ExportToTime must be at least 15 minutes and at most 24 hours",
        )
    return since, until, asked.get("ExportViewType", "NEW_AND_OLD_IMAGES")


async def _by_token(ctx: Context, tx: Reader, table_id: str, token: str) -> records.Export | None:
    """The export that a call with this token has begun within the last eight hours."""
    for _, raw in await tx.scan(*keys.exports(ctx.account, ctx.region), limit=10_000):
        known = records.decode_export(raw)
        if known.token == token and known.table_id == table_id and ctx.now - known.started < TOKEN_AGE_S:
            return known
    return None


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
            {"ExportArn": export.arn, "ExportStatus": export.status, "ExportType": _type(export)}
            for export in found[:limit]
        ]
    }
    if len(found) > limit:
        answer["NextToken"] = found[limit - 1].id
    return answer


def _type(export: records.Export) -> str:
    return "INCREMENTAL_EXPORT" if export.since else "FULL_EXPORT"


def _description(export: records.Export) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "ExportArn": export.arn,
        "ExportStatus": export.status,
        "StartTime": export.started,
        "TableArn": export.table_arn,
        "TableId": export.table_id,
        "ClientToken": export.token,
        "S3Bucket": export.bucket,
        "S3SseAlgorithm": export.encryption or "AES256",
        "ExportFormat": export.format,
        "ExportType": _type(export),
    }
    if export.since:
        answer["IncrementalExportSpecification"] = {
            "ExportFromTime": export.since,
            "ExportToTime": export.moment,
            "ExportViewType": export.view,
        }
    else:
        answer["ExportTime"] = export.moment
    if export.limited_to:
        answer["FilterSpecification"] = filtering.described(export.limited_to)
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
