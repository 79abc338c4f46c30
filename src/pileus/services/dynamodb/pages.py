"""Reading many items in order: what Query and Scan share.

Sources: the API reference's pages Query and Scan; "Query results pagination in DynamoDB".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import capacity, errors, schema, values, writes
from pileus.services.dynamodb.expressions.parameters import Predicate
from pileus.services.dynamodb.expressions.projections import Projection
from pileus.services.dynamodb.items import Stored
from pileus.services.dynamodb.keys import Range
from pileus.services.dynamodb.tables import Index, Table
from pileus.services.dynamodb.values import Item
from pileus.store.contract import Reader
from pileus.store.keys import after

PAGE_BYTES_MAX = 1 << 20
# Rows asked of the store at a time: few at first, as items may have 400 KB each.
ROWS_FIRST = 32
ROWS_MAX = 1024

Request = Mapping[str, Any]


class Source(msgspec.Struct, frozen=True):
    """What is read: a table or one of its indexes."""

    table: Table
    index: Index | None

    @property
    def prefix(self) -> bytes:
        return self.table.prefix if self.index is None else self.index.prefix

    @property
    def schema(self) -> schema.Schema:
        return self.table.schema if self.index is None else self.index.schema

    @property
    def key_names(self) -> tuple[str, ...]:
        """The attributes of a LastEvaluatedKey."""
        if self.index is None:
            return self.table.schema.names
        return tuple(dict.fromkeys((*self.table.schema.names, *self.index.schema.names)))

    def type_of(self, name: str) -> str:
        return self.table.record.attributes[name]


def source(table: Table, request: Request) -> Source:
    """The table or the index that the request names."""
    name = request.get("IndexName")
    if name is None:
        return Source(table, None)
    index = table.index(name)
    if index is None:
        raise errors.validation(f"The table does not have the specified index: {name}")
    if not index.is_local:
        if request.get("ConsistentRead"):
            raise errors.validation("Consistent reads are not supported on global secondary indexes")
        if index.record.status == "CREATING":
            raise errors.validation(f"Cannot read from backfilling global secondary index: {name}")
    return Source(table, index)


def check_select(request: Request) -> None:
    """Check Select against the parameters that name attributes."""
    select = request.get("Select")
    named = next((name for name in ("AttributesToGet", "ProjectionExpression") if name in request), None)
    if select == "SPECIFIC_ATTRIBUTES" and named is None:
        raise errors.validation(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
        )
    if named is not None and select not in (None, "SPECIFIC_ATTRIBUTES"):
        raise errors.validation(f"Cannot specify the {named} when choosing to get {select}")


def check_projected(place: Source, request: Request, projection: Projection | None, verb: str) -> bool:
    """Check that the source has the attributes asked for; whether they must be fetched from the table."""
    index, select = place.index, request.get("Select")
    if index is None:
        if select == "ALL_PROJECTED_ATTRIBUTES":
            raise errors.invalid(f"ALL_PROJECTED_ATTRIBUTES can be used only when {verb} using an IndexName")
        return False
    if index.attributes is None:
        return False
    missing = [name for name in projection.attributes if name not in index.attributes] if projection else []
    if index.is_local:
        return bool(missing) or select == "ALL_ATTRIBUTES"
    if select == "ALL_ATTRIBUTES":
        raise errors.invalid(
            f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name} "
            "because its projection type is not ALL"
        )
    if missing:
        raise errors.invalid(f"Global secondary index {index.name} does not project [{', '.join(missing)}]")
    return False


def start_key(request: Request) -> Item | None:
    """The ExclusiveStartKey, its values checked."""
    key = request.get("ExclusiveStartKey")
    if key is None:
        return None
    try:
        return values.check_item(key)[0]
    except AWSError as error:
        raise _bad_start(error.message) from None


def start_place(place: Source, start: Item) -> bytes:
    """The store key that an ExclusiveStartKey stands for."""
    names = place.key_names
    if start.keys() != set(names):
        raise _bad_start(errors.KEY_MISMATCH if place.index is None else "")
    for name in names:
        if place.type_of(name) not in start[name]:
            raise _bad_start(errors.KEY_MISMATCH)
    table = place.table
    key = schema.given_key(table.prefix, table.schema, {name: start[name] for name in table.schema.names})
    if place.index is None:
        return key
    entry = schema.entry_key(place.index.prefix, place.index.schema, start, key)
    if entry is None:
        raise _bad_start("")
    return entry


def _bad_start(reason: str) -> AWSError:
    return errors.validation(f"The provided starting key is invalid{': ' + reason if reason else ''}")


class Page(msgspec.Struct):
    rows: list[bytes]
    size: int
    # Whether it ended at a limit, so that there may be more.
    cut: bool


async def read_page(tx: Reader, span: Range, *, limit: int | None, reverse: bool = False) -> Page:
    """Items from `span` up to `limit` of them or 1 MB, the one that goes past it included."""
    start, end = span
    rows: list[bytes] = []
    size = 0
    ask = ROWS_FIRST
    while start < end:
        if limit is not None:
            ask = min(ask, limit - len(rows))
        found = await tx.scan(start, end, limit=ask, reverse=reverse)
        for _, raw in found:
            rows.append(raw)
            size += int.from_bytes(raw[1:5], "big")
            if size > PAGE_BYTES_MAX:
                return Page(rows, size, True)
        if limit is not None and len(rows) >= limit:
            return Page(rows, size, True)
        if len(found) < ask:
            break
        if reverse:
            end = found[-1][0]
        else:
            start = after(found[-1][0])
        # As many as fill the page, by what they have been so far.
        ask = max(ROWS_FIRST, min(ROWS_MAX, (PAGE_BYTES_MAX - size) * len(rows) // (size + 1) + 1))
    return Page(rows, size, False)


async def answer(
    tx: Reader,
    place: Source,
    page: Page,
    request: Request,
    *,
    keep: Predicate | None,
    projection: Projection | None,
    fetch: bool,
) -> dict[str, Any]:
    """What Query and Scan answer for a page."""
    stored = [Stored(raw) for raw in page.rows]
    fetched = await _fetch(tx, place, stored) if fetch else []
    shown = fetched if fetch else stored
    counted = request.get("Select") == "COUNT"
    if keep is None and projection is None:
        found: list[Any] = [] if counted else [writes.answered(each) for each in shown]
        count = len(shown)
    else:
        found, count = _picked(shown, keep.test if keep else None, projection, counted)
    result: dict[str, Any] = {} if counted else {"Items": found}
    result["Count"] = count
    result["ScannedCount"] = len(page.rows)
    if page.cut:
        last = stored[-1].item()
        result["LastEvaluatedKey"] = {name: values.plain_value(last[name]) for name in place.key_names}
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    if wanted != "NONE":
        consumed = _consumed(place, page, fetched, request)
        result["ConsumedCapacity"] = consumed.describe(wanted)
    return result


def _picked(
    shown: list[Stored], test: Callable[[Item], bool] | None, projection: Projection | None, counted: bool
) -> tuple[list[Any], int]:
    found: list[Any] = []
    count = 0
    for each in shown:
        item = each.item()
        if test is not None and not test(item):
            continue
        count += 1
        if not counted:
            found.append(writes.answered(each) if projection is None else writes.answered_item(projection.pick(item)))
    return found, count


async def _fetch(tx: Reader, place: Source, entries: list[Stored]) -> list[Stored]:
    """The whole items of a local index's entries."""
    table = place.table
    places = []
    for each in entries:
        item = each.item()
        places.append(schema.given_key(table.prefix, table.schema, {name: item[name] for name in table.schema.names}))
    found = await tx.get_many(places)
    return [Stored(raw) for raw in found if raw is not None]


def _consumed(place: Source, page: Page, fetched: list[Stored], request: Request) -> capacity.Consumed:
    consistent = request.get("ConsistentRead", False)
    consumed = capacity.Consumed(request["TableName"])
    units = capacity.read_units(page.size, consistent=consistent)
    if place.index is None:
        consumed.table = units
    else:
        consumed.add_index(place.index.name, units, local=place.index.is_local)
        consumed.table = sum(capacity.read_units(each.size, consistent=consistent) for each in fetched)
    return consumed
