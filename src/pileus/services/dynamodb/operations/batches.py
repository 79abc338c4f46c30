"""Many items in one call, each for itself.

Sources: the API reference's pages BatchGetItem and BatchWriteItem.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors, items, schema, tables, throughput, values, writes
from pileus.services.dynamodb.capacity import Consumed, read_units
from pileus.services.dynamodb.expressions.projections import Projection
from pileus.services.dynamodb.items import Stored
from pileus.services.dynamodb.operations.items import collection_metrics, parse_projection, picked
from pileus.services.dynamodb.tables import Table
from pileus.services.dynamodb.writes import Write
from pileus.store.contract import Reader, Transaction

GETS_MAX = 100
WRITES_MAX = 25
ANSWER_BYTES_MAX = 16 << 20
DUPLICATES = "Provided list of item keys contains duplicates"


async def batch_get_item(ctx: Context, tx: Reader, request: Request) -> Answer:
    asked: dict[str, Any] = request["RequestItems"]
    if sum(len(part["Keys"]) for part in asked.values()) > GETS_MAX:
        raise errors.validation("Too many items requested for the BatchGetItem call")
    parsed = {
        name: (parse_projection(part), [values.check_item(key)[0] for key in part["Keys"]])
        for name, part in asked.items()
    }
    located: dict[str, tuple[Table, list[bytes]]] = {}
    for name, (_, given) in parsed.items():
        table = await tables.load(ctx, tx, name)
        places = [schema.given_key(table.prefix, table.schema, key) for key in given]
        if len(set(places)) < len(places):
            raise errors.validation(DUPLICATES)
        located[name] = (table, places)
    responses: dict[str, list[Any]] = {}
    unprocessed: dict[str, Any] = {}
    consumed: list[Consumed] = []
    room = ANSWER_BYTES_MAX
    throttled: AWSError | None = None
    for name, (table, places) in located.items():
        part, projection = asked[name], parsed[name][0]
        used = Consumed(name)
        found = responses[name] = []
        for at, place in enumerate(places):
            stored = await items.read(tx, place)
            size = 0 if stored is None else stored.size
            units = read_units(size, consistent=part.get("ConsistentRead", False))
            room -= size
            cut = room < 0
            if not cut:
                try:
                    throughput.read(ctx, table, place, units)
                except AWSError as error:
                    throttled, cut = error, True
            if cut:
                unprocessed[name] = {**part, "Keys": part["Keys"][at:]}
                break
            used.table += units
            if stored is not None:
                found.append(_answered(stored, projection))
        consumed.append(used)
    if throttled is not None and not any(used.table for used in consumed):
        raise throttled
    answer: Answer = {"Responses": responses, "UnprocessedKeys": unprocessed}
    _add_capacity(answer, request, consumed)
    return answer


def _answered(stored: Stored, projection: Projection | None) -> Any:
    return writes.answered(stored) if projection is None else picked(stored, projection)


def _add_capacity(answer: Answer, request: Request, consumed: list[Consumed]) -> None:
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    if wanted != "NONE":
        answer["ConsumedCapacity"] = [each.describe(wanted) for each in consumed]


async def batch_write_item(ctx: Context, tx: Transaction, request: Request) -> Answer:
    asked: dict[str, list[Any]] = request["RequestItems"]
    if sum(map(len, asked.values())) > WRITES_MAX:
        raise errors.validation("Too many items requested for the BatchWriteItem call")
    parsed = {name: [_parse(part) for part in parts] for name, parts in asked.items()}
    located: list[tuple[str, Table, list[tuple[bytes, Write]]]] = []
    for name, given in parsed.items():
        table = await tables.load(ctx, tx, name)
        for write in given:
            # Of puts, too, it is said so here.
            schema.check_keys(table.schema, write.item)
        places = [(writes.locate(table, write), write) for write in given]
        if len({place for place, _ in places}) < len(places):
            raise errors.validation(DUPLICATES)
        located.append((name, table, places))
    consumed: list[Consumed] = []
    metrics: dict[str, list[Any]] = {}
    unprocessed: dict[str, list[Any]] = {}
    throttled: AWSError | None = None
    for name, table, places in located:
        used = Consumed(name)
        for (place, write), part in zip(places, asked[name], strict=True):
            try:
                outcome = await writes.perform(ctx, tx, table, place, await tx.get(place), write)
            except AWSError as error:
                if not errors.is_throttled(error):
                    raise
                throttled = error
                unprocessed.setdefault(name, []).append(part)
                continue
            writes.consume(used, outcome.written)
            if request.get("ReturnItemCollectionMetrics") == "SIZE":
                measured = await collection_metrics(ctx, tx, table, write.item)
                if measured is not None:
                    metrics.setdefault(name, []).append(measured)
        consumed.append(used)
    if throttled is not None and sum(map(len, unprocessed.values())) == sum(map(len, asked.values())):
        raise throttled
    answer: Answer = {"UnprocessedItems": unprocessed}
    if metrics:
        answer["ItemCollectionMetrics"] = metrics
    _add_capacity(answer, request, consumed)
    return answer


def _parse(part: Request) -> Write:
    """One WriteRequest."""
    if len(part) != 1:
        raise errors.datatypes(some=bool(part))
    if "PutRequest" in part:
        return writes.parse_put({"Item": part["PutRequest"]["Item"], "TableName": ""})
    return writes.parse_delete({"Key": part["DeleteRequest"]["Key"], "TableName": ""})
