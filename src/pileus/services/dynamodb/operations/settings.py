"""What goes with tables: tags, time to live; and what the service says of itself.

Sources: the API reference's pages TagResource, UpdateTimeToLive, DescribeLimits,
DescribeEndpoints and their like.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import consistent, definitions, errors, keys, replicas, tables, work
from pileus.services.dynamodb.capacity import ACCOUNT_UNITS_MAX, TABLE_UNITS_MAX
from pileus.services.dynamodb.tables import Table
from pileus.store.contract import Reader, Transaction

TAGS_PER_PAGE = 10
ENDPOINT_CACHE_MINUTES = 1440


async def of_arn(ctx: Context, tx: Reader, text: str) -> Table:
    """The table that a ResourceArn member names."""
    arn = parse_arn(text)
    if arn is None or arn.service != "dynamodb" or not arn.resource.startswith("table/"):
        raise errors.validation(f"Invalid TableArn: Invalid ResourceArn provided as input {text}")
    if (arn.account, arn.region) != (ctx.account, ctx.region):
        raise AWSError(
            "AccessDeniedException",
            f"User: {ctx.principal.arn} is not authorized to perform: dynamodb:{ctx.operation} on resource: {text}",
        )
    table = await tables.find(ctx, tx, arn.resource[len("table/") :])
    if table is None:
        raise errors.no_arn(text)
    return table


async def tag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    table = await of_arn(ctx, tx, request["ResourceArn"])
    tags = definitions.merged_tags(table.record.tags, request["Tags"])
    tables.store(ctx, tx, msgspec.structs.replace(table.record, tags=tags))


async def untag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    table = await of_arn(ctx, tx, request["ResourceArn"])
    gone = set(request["TagKeys"])
    tags = {name: value for name, value in table.record.tags.items() if name not in gone}
    tables.store(ctx, tx, msgspec.structs.replace(table.record, tags=tags))


async def list_tags_of_resource(ctx: Context, tx: Reader, request: Request) -> Answer:
    table = await of_arn(ctx, tx, request["ResourceArn"])
    names = sorted(table.record.tags)
    if "NextToken" in request:
        names = [name for name in names if name > request["NextToken"]]
    page = names[:TAGS_PER_PAGE]
    answer: Answer = {"Tags": [{"Key": name, "Value": table.record.tags[name]} for name in page]}
    if len(names) > len(page):
        answer["NextToken"] = page[-1]
    return answer


async def update_time_to_live(ctx: Context, tx: Transaction, request: Request) -> Answer:
    table = await tables.load_for_control(ctx, tx, request["TableName"])
    asked = request["TimeToLiveSpecification"]
    if table.record.strong:
        raise consistent.no_time_to_live()
    now, name = table.record.ttl_attribute, asked["AttributeName"]
    if asked["Enabled"]:
        if now == name:
            raise errors.validation("TimeToLive is already enabled")
        if now:
            raise errors.validation(
                f"TimeToLive is active on a different AttributeName: current AttributeName is {now}"
            )
    elif not now:
        raise errors.validation("TimeToLive is already disabled")
    elif now != name:
        raise errors.validation(f"TimeToLive is active on a different AttributeName: current AttributeName is {now}")
    for each in (table, *await replicas.others(ctx, tx, table)):
        await _switch(replicas.in_region(ctx, each.region), tx, each, name if asked["Enabled"] else "")
    return {"TimeToLiveSpecification": asked}


async def _switch(ctx: Context, tx: Transaction, table: Table, attribute: str) -> None:
    """Let a table's items expire by an attribute, or not any more ("")."""
    watch = keys.watch("expiry", ctx.account, ctx.region, table.name)
    if attribute:
        ttl_id = ctx.cloud.ids.token_bytes(8)
        changed = tables.store(ctx, tx, msgspec.structs.replace(table.record, ttl_attribute=attribute, ttl_id=ttl_id))
        tx.put(watch, b"")
        tx.on_commit(lambda: ctx.cloud.nudge("dynamodb.expire"))
        await work.fill_expiries(ctx, tx, changed)
    else:
        work.sweep_expiries(ctx, tx, table)
        tables.store(ctx, tx, msgspec.structs.replace(table.record, ttl_attribute="", ttl_id=b""))
        tx.delete(watch)


async def describe_time_to_live(ctx: Context, tx: Reader, request: Request) -> Answer:
    home = tables.at_home(ctx, request["TableName"])
    table = await tables.load_for_control(home, tx, request["TableName"])
    name = table.record.ttl_attribute
    if name:
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": name}}
    return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}


async def describe_limits(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {
        "AccountMaxReadCapacityUnits": ACCOUNT_UNITS_MAX,
        "AccountMaxWriteCapacityUnits": ACCOUNT_UNITS_MAX,
        "TableMaxReadCapacityUnits": TABLE_UNITS_MAX,
        "TableMaxWriteCapacityUnits": TABLE_UNITS_MAX,
    }


async def describe_endpoints(ctx: Context, tx: Reader, request: Request) -> Answer:
    address = urlsplit(ctx.http.origin or ctx.cloud.endpoint).netloc
    return {"Endpoints": [{"Address": address, "CachePeriodInMinutes": ENDPOINT_CACHE_MINUTES}]}
