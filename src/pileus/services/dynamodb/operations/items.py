"""Single items.

Sources: the API reference's pages PutItem, GetItem, UpdateItem, DeleteItem.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import items, keys, legacy, schema, statistics, tables, throughput, values, writes
from pileus.services.dynamodb.capacity import Consumed, read_units
from pileus.services.dynamodb.expressions.parameters import Expressions, check_styles
from pileus.services.dynamodb.expressions.projections import Projection
from pileus.services.dynamodb.items import Stored
from pileus.services.dynamodb.tables import Table
from pileus.services.dynamodb.writes import Write
from pileus.store.contract import Reader, Transaction

GIGABYTE = 1 << 30


async def put_item(ctx: Context, tx: Transaction, request: Request) -> Answer:
    return await _write(ctx, tx, writes.parse_put(request))


async def update_item(ctx: Context, tx: Transaction, request: Request) -> Answer:
    return await _write(ctx, tx, writes.parse_update(request))


async def delete_item(ctx: Context, tx: Transaction, request: Request) -> Answer:
    return await _write(ctx, tx, writes.parse_delete(request))


async def _write(ctx: Context, tx: Transaction, write: Write) -> Answer:
    request = write.request
    table = await tables.load(ctx, tx, request["TableName"])
    place = writes.locate(table, write)
    outcome = await writes.perform(ctx, tx, table, place, await tx.get(place), write)
    answer: Answer = {}
    if len(request) == 2:
        return answer
    attributes = writes.returned(write, outcome)
    if attributes is not None:
        answer["Attributes"] = attributes
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    if wanted != "NONE":
        consumed = Consumed(request["TableName"])
        writes.consume(consumed, outcome.written)
        answer["ConsumedCapacity"] = consumed.describe(wanted)
    if request.get("ReturnItemCollectionMetrics") == "SIZE":
        metrics = await collection_metrics(ctx, tx, table, write.item)
        if metrics is not None:
            answer["ItemCollectionMetrics"] = metrics
    return answer


async def collection_metrics(ctx: Context, tx: Reader, table: Table, item: values.Item) -> dict[str, Any] | None:
    """ItemCollectionMetrics of the item's collection; None where the table has no local index.

    The estimate is the one that the whole table allows: a collection is not counted by itself.
    """
    if not any(index.is_local for index in table.indexes):
        return None
    _, size = await statistics.held(ctx, tx, table.statistics)
    name = table.schema.partition
    return {
        "ItemCollectionKey": {name: values.plain_value(item[name])},
        "SizeEstimateRangeGB": [0.0, float(1 + size // GIGABYTE)],
    }


async def get_item(ctx: Context, tx: Reader, request: Request) -> Answer:
    projection = parse_projection(request) if len(request) > 2 else None
    key, _ = values.check_item(request["Key"])
    table, place, stored = await find_item(ctx, tx, request["TableName"], key)
    units = read_units(0 if stored is None else stored.size, consistent=request.get("ConsistentRead", False))
    throughput.read(ctx, table, place, units)
    answer: Answer = {}
    if stored is not None:
        answer["Item"] = writes.answered(stored) if projection is None else picked(stored, projection)
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    if wanted != "NONE":
        consumed = Consumed(request["TableName"])
        consumed.table = units
        answer["ConsumedCapacity"] = consumed.describe(wanted)
    return answer


def picked(stored: Stored, projection: Projection) -> Any:
    return writes.answered_item(projection.pick(stored.item()))


def parse_projection(request: Request) -> Projection | None:
    """ProjectionExpression or AttributesToGet of a request that has no other expression."""
    check_styles(request, ("ProjectionExpression",), ("AttributesToGet",))
    if "AttributesToGet" in request:
        return legacy.projection(request["AttributesToGet"])
    if "ProjectionExpression" not in request:
        return None
    expressions = Expressions(request)
    projection = expressions.projection()
    expressions.finish()
    return projection


async def find_item(ctx: Context, tx: Reader, table_name: str, key: values.Item) -> tuple[Table, bytes, Stored | None]:
    """The table, the store key of its item of that key, and the item.

    It is one read: the table's record comes along, to see if the remembered one holds.
    """
    table = tables.cached(ctx, table_name)
    if table is not None and not table.record.restoring:
        try:
            place = schema.given_key(table.prefix, table.schema, key)
        except AWSError:
            # What is wrong with the key is said only if the table is still this one.
            place = b""
        if place:
            table_key = keys.table(ctx.account, ctx.region, table_name)
            table_raw, raw = await tx.get_many((table_key, place))
            if table_raw == table.raw:
                return table, place, None if raw is None else Stored(raw)
    table = await tables.load(ctx, tx, table_name)
    place = schema.given_key(table.prefix, table.schema, key)
    return table, place, await items.read(tx, place)
