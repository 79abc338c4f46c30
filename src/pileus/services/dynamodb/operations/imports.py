"""Imports from S3.

Sources: the API reference's pages ImportTable, DescribeImport, ListImports.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Permission, Request
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import definitions, errors, importing, keys, records, tables, work
from pileus.services.dynamodb.permissions import arn_of
from pileus.services.dynamodb.tables import table_arn
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

PAGE_MAX = 25


def of_new_table(ctx: Context, request: Request) -> list[Permission]:
    return [Permission("dynamodb:ImportTable", arn_of(ctx, request["TableCreationParameters"]["TableName"]))]


def of_import(ctx: Context, request: Request) -> list[Permission]:
    return [Permission("dynamodb:DescribeImport", request["ImportArn"])]


async def import_table(ctx: Context, tx: Transaction, request: Request) -> Answer:
    asked = request["TableCreationParameters"]
    name = tables.table_name(ctx, asked["TableName"])
    token = request.get("ClientToken")
    if token is not None:
        for _, raw in await tx.scan(*keys.all_imported(ctx.account, ctx.region), limit=10_000):
            known = records.decode_import(raw)
            if known.token == token and ctx.now - known.started < 8 * 3600:
                if known.table != name or known.bucket != request["S3BucketSource"]["S3Bucket"]:
                    raise AWSError("ImportConflictException", "ClientToken was used with other parameters")
                return {"ImportTableDescription": _description(ctx, known)}
    record = definitions.new_table(ctx, name, asked)
    if await tx.get(keys.table(ctx.account, ctx.region, name)) is not None:
        raise errors.table_exists(name)
    table = tables.store(ctx, tx, msgspec.structs.replace(record, restoring=True))
    for key in (table.statistics, *(index.statistics for index in table.indexes)):
        tx.put(key, records.encode(records.Statistics()))
    source, options = request["S3BucketSource"], (request.get("InputFormatOptions") or {}).get("Csv") or {}
    import_id = f"{int(ctx.now * 1000):014}-{ctx.cloud.ids.hex(8)}"
    arn = table_arn(ctx.region, ctx.account, name)
    job = records.Import(
        id=import_id,
        arn=f"{arn}/import/{import_id}",
        table=name,
        table_arn=arn,
        table_id=record.id,
        started=ctx.now,
        bucket=source["S3Bucket"],
        bucket_owner=source.get("S3BucketOwner", ""),
        prefix=source.get("S3KeyPrefix", ""),
        format=request["InputFormat"],
        compression=request.get("InputCompressionType", "NONE"),
        delimiter=options.get("Delimiter", ""),
        header=tuple(options.get("HeaderList", ())),
        key_types=record.attributes,
        creation=asked,
        token=token or ctx.cloud.ids.uuid(),
        principal=ctx.principal,
    )
    tx.put(keys.imported(ctx.account, ctx.region, import_id), records.encode(job))
    work.import_table(ctx, tx, import_id)
    return {"ImportTableDescription": _description(ctx, job)}


async def describe_import(ctx: Context, tx: Reader, request: Request) -> Answer:
    arn = request["ImportArn"]
    raw = await tx.get(keys.imported(ctx.account, ctx.region, arn.rpartition("/import/")[2]))
    job = None if raw is None else records.decode_import(raw)
    if job is None or job.arn != arn:
        raise AWSError("ImportNotFoundException", f"Import not found: {arn}")
    return {"ImportTableDescription": _description(ctx, job)}


async def list_imports(ctx: Context, tx: Reader, request: Request) -> Answer:
    limit = request.get("PageSize", PAGE_MAX)
    start, end = keys.all_imported(ctx.account, ctx.region)
    if "NextToken" in request:
        start = max(start, after(keys.imported(ctx.account, ctx.region, request["NextToken"].strip("."))))
    found: list[records.Import] = []
    while len(found) <= limit:
        rows = await tx.scan(start, max(start, end), limit=100)
        jobs = [records.decode_import(raw) for _, raw in rows]
        found += [job for job in jobs if request.get("TableArn", job.table_arn) == job.table_arn]
        if len(rows) < 100:
            break
        start = after(rows[-1][0])
    members = (
        "ImportArn",
        "ImportStatus",
        "TableArn",
        "S3BucketSource",
        "CloudWatchLogGroupArn",
        "InputFormat",
        "StartTime",
        "EndTime",
    )
    answer: Answer = {"ImportSummaryList": []}
    for job in found[:limit]:
        shown = _description(ctx, job)
        answer["ImportSummaryList"].append({name: shown[name] for name in members if name in shown})
    if len(found) > limit:
        # A token has at least 112 characters.
        answer["NextToken"] = found[limit - 1].id.ljust(112, ".")
    return answer


def _description(ctx: Context, job: records.Import) -> dict[str, Any]:
    source: dict[str, Any] = {"S3Bucket": job.bucket}
    if job.bucket_owner:
        source["S3BucketOwner"] = job.bucket_owner
    if job.prefix:
        source["S3KeyPrefix"] = job.prefix
    answer: dict[str, Any] = {
        "ImportArn": job.arn,
        "ImportStatus": job.status,
        "TableArn": job.table_arn,
        "TableId": job.table_id,
        "ClientToken": job.token,
        "S3BucketSource": source,
        "ErrorCount": job.errors,
        "CloudWatchLogGroupArn": f"arn:aws:logs:{ctx.region}:{ctx.account}:log-group:{importing.LOG_GROUP}:*",
        "InputFormat": job.format,
        "InputCompressionType": job.compression,
        "TableCreationParameters": job.creation,
        "StartTime": job.started,
        "ProcessedSizeBytes": job.processed_bytes,
        "ProcessedItemCount": job.processed,
        "ImportedItemCount": job.imported,
    }
    if job.format == "CSV":
        csv: dict[str, Any] = {"Delimiter": job.delimiter or ","}
        if job.header:
            csv["HeaderList"] = list(job.header)
        answer["InputFormatOptions"] = {"Csv": csv}
    if job.ended:
        answer["EndTime"] = job.ended
    if job.status == "FAILED":
        answer["FailureCode"], answer["FailureMessage"] = job.failure
    return answer
