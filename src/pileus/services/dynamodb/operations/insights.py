"""Contributor insights' settings, and what there is to say of streaming to Kinesis and of the older global tables.

Sources: the API reference's pages UpdateContributorInsights, DescribeContributorInsights, ListContributorInsights,
UpdateKinesisStreamingDestination and its like; the records of both.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.dynamodb import errors, keys, records, tables
from pileus.services.dynamodb.tables import Table
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

_MODE = "ACCESSED_AND_THROTTLED_KEYS"
PAGE_MAX = 100


async def update_contributor_insights(ctx: Context, tx: Transaction, request: Request) -> Answer:
    table, index = await _place(ctx, tx, request)
    insights = dict(table.record.insights)
    answer: Answer = {"TableName": table.name}
    if index:
        answer["IndexName"] = index
    if request["ContributorInsightsAction"] == "ENABLE":
        mode = request.get("ContributorInsightsMode", _MODE)
        insights[index] = (mode, ctx.now)
        answer |= {"ContributorInsightsStatus": "ENABLING", "ContributorInsightsMode": mode}
    else:
        insights.pop(index, None)
        answer["ContributorInsightsStatus"] = "DISABLING"
    tables.store(ctx, tx, msgspec.structs.replace(table.record, insights=insights))
    return answer


async def describe_contributor_insights(ctx: Context, tx: Reader, request: Request) -> Answer:
    table, index = await _place(ctx, tx, request)
    answer = _summary(table.record, index)
    if index in table.record.insights:
        mode, since = table.record.insights[index]
        named = f"{table.name}{'-' + index if index else ''}-{int(since * 1000)}"
        kinds = ["PKC", "PKT"] if mode == _MODE else ["PKT"]
        if (table.index(index) or table).schema.sort:
            kinds += ["SKC", "SKT"] if mode == _MODE else ["SKT"]
        answer["ContributorInsightsRuleList"] = [f"DynamoDBContributorInsights-{kind}-{named}" for kind in kinds]
        answer["LastUpdateDateTime"] = since
    return answer


async def list_contributor_insights(ctx: Context, tx: Reader, request: Request) -> Answer:
    limit = request.get("MaxResults") or PAGE_MAX
    if "TableName" in request:
        found = [(await tables.load_for_control(ctx, tx, request["TableName"])).record]
    else:
        start, end = keys.tables(ctx.account, ctx.region)
        if "NextToken" in request:
            start = max(start, after(keys.table(ctx.account, ctx.region, request["NextToken"])))
        rows = await tx.scan(start, max(start, end), limit=limit + 1)
        found = [records.decode_table(raw) for _, raw in rows]
    summaries = [_summary(record, index) for record in found[:limit] for index in sorted(record.insights)]
    answer: Answer = {"ContributorInsightsSummaries": summaries}
    if len(found) > limit:
        answer["NextToken"] = found[limit - 1].name
    return answer


async def _place(ctx: Context, tx: Reader, request: Request) -> tuple[Table, str]:
    table = await tables.load_for_control(ctx, tx, request["TableName"])
    index = request.get("IndexName", "")
    if index and table.index(index) is None:
        raise AWSError(
            "ResourceNotFoundException",
            f"Requested resource not found: Table: {table.name} Index: {index} not found",
        )
    return table, index


def _summary(record: records.Table, index: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"TableName": record.name}
    if index:
        answer["IndexName"] = index
    if index in record.insights:
        answer |= {"ContributorInsightsStatus": "ENABLED", "ContributorInsightsMode": record.insights[index][0]}
    else:
        answer["ContributorInsightsStatus"] = "DISABLED"
    return answer


# -------------------------------------------------------------------------------------------------------------- Kinesis


async def describe_kinesis_streaming_destination(ctx: Context, tx: Reader, request: Request) -> Answer:
    table = await tables.load_for_control(ctx, tx, request["TableName"])
    return {"TableName": table.name, "KinesisDataStreamDestinations": []}


async def enable_kinesis_streaming_destination(ctx: Context, tx: Reader, request: Request) -> Answer:
    await tables.load_for_control(ctx, tx, request["TableName"])
    raise NotBuilt("DynamoDB's streaming to Kinesis")


async def disable_kinesis_streaming_destination(ctx: Context, tx: Reader, request: Request) -> Answer:
    table = await tables.load_for_control(ctx, tx, request["TableName"])
    raise _no_destination("disable", request["StreamArn"], table)


async def update_kinesis_streaming_destination(ctx: Context, tx: Reader, request: Request) -> Answer:
    table = await tables.load_for_control(ctx, tx, request["TableName"])
    if not request.get("UpdateKinesisStreamingConfiguration"):
        raise errors.validation(
            "Streaming destination cannot be updated with given parameters: "
            "UpdateKinesisStreamingConfiguration cannot be null or contain only null values"
        )
    raise _no_destination("enable", request["StreamArn"], table)


def _no_destination(verb: str, arn: str, table: Table) -> AWSError:
    return errors.validation(
        f"Table is not in a valid state to {verb} Kinesis Streaming Destination: "
        f"No streaming destination with streamArn: {arn} found for table with tableName: {table.name}"
    )


# ---------------------------------------------------------------------------------- global tables of version 2017.11.29


async def create_global_table(ctx: Context, tx: Reader, request: Request) -> Answer:
    # AWS makes none of them any more.
    raise errors.invalid(
        "DynamoDB global tables version 2017.11.29 is not supported. We recommend using DynamoDB global tables version "
        "2019.11.21, instead of version 2017.11.29 (Legacy)."
    )


async def list_global_tables(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"GlobalTables": []}


async def no_global_table(ctx: Context, tx: Reader, request: Request) -> Answer:
    """What every operation on one of them answers: there is none."""
    name = request["GlobalTableName"]
    raise AWSError(
        "GlobalTableNotFoundException",
        f"Global table not found: Global table with name: '{name}' does not exist.",
    )
