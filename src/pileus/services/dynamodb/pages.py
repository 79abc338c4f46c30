"""Reading many items in order: what Query and Scan share.

Sources: the API reference's pages Query and Scan; "Query results pagination in DynamoDB".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.kernel.raw import RawList
from pileus.services.dynamodb import capacity, errors, schema, throughput, values
from pileus.services.dynamodb.expressions.parameters import Predicate
from pileus.services.dynamodb.expressions.projections import Projection
from pileus.services.dynamodb.items import Stored, size_of
from pileus.services.dynamodb.keys import Range
from pileus.services.dynamodb.tables import Index, Table
from pileus.services.dynamodb.values import Item
from pileus.store.contract import Reader
from pileus.store.keys import after

PAGE_BYTES_MAX = 1 << 20
# Rows asked of the store at a time: few at first, as items may have 400 KB each.
ROWS_FIRST = 64
ROWS_MAX = 512

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


def check_select(request: Request, *, scans: bool = False) -> None:
    """Check Select against the parameters that name attributes."""
    select = request.get("Select")
    named = next((name for name in ("AttributesToGet", "ProjectionExpression") if name in request), None)
    if select == "SPECIFIC_ATTRIBUTES" and named is None:
        raise errors.validation(
            f"{'' if scans else '1 validation error detected: '}"
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


class Plan(msgspec.Struct, frozen=True, eq=False):
    """What a Query or Scan reads and answers."""

    request: Request
    place: Source
    span: Range
    keep: Predicate | None
    projection: Projection | None
    # Whether a local index's items are fetched from the table.
    fetch: bool
    reverse: bool = False


class _Page(msgspec.Struct, eq=False):
    """A page as far as it has been read."""

    # The JSON of what was found.
    found: list[bytes] = msgspec.field(default_factory=list)
    count: int = 0
    scanned: int = 0
    size: int = 0
    # Of the items that were fetched from the table.
    fetched_units: float = 0.0
    last: bytes = b""
    # Keys and sizes of what was read, where partitions have limits.
    places: list[tuple[bytes, int]] = msgspec.field(default_factory=list)
    # Whether it has ended at a limit, so that there may be more.
    cut: bool = False


async def read(ctx: Context, plan: Plan) -> dict[str, Any]:
    """The answer: items up to the request's Limit or 1 MB, the one that goes past it included.

    Others have their turn between the batches, so a page of many small items holds nobody up. Each batch is a snapshot
    of its own: AWS promises no more for a whole page.
    """
    meter = throughput.meter(ctx, plan.place.table)
    meter.admit_read(ctx, plan.span[0], plan.place.index)
    cloud = ctx.cloud
    limit: int | None = plan.request.get("Limit")
    page = _Page()
    start, end = plan.span
    ask = ROWS_FIRST
    while start < end:
        if limit is not None:
            ask = min(ask, limit - page.scanned)
        rows, shown = await cloud.store.read(partial(_rows, plan=plan, span=(start, end), limit=ask))
        known = page.scanned
        _take(page, plan, rows, shown)
        if meter.partitions:
            page.places += [(key, *size_of(raw)) for key, raw in rows[: page.scanned - known]]
        if limit is not None and page.scanned >= limit:
            page.cut = True
        if page.cut or len(rows) < ask:
            break
        if plan.reverse:
            end = rows[-1][0]
        else:
            start = after(rows[-1][0])
        # As many as fill the page, by what they have been so far.
        ask = max(ROWS_FIRST, min(ROWS_MAX, (PAGE_BYTES_MAX - page.size) * page.scanned // (page.size + 1) + 1))
        await cloud.clock.sleep(0)
    units = capacity.read_units(page.size, consistent=plan.request.get("ConsistentRead", False))
    meter.read(ctx, units + page.fetched_units, plan.place.index)
    for key, size in page.places:
        meter.read_partition(ctx, key, units * size / page.size, plan.place.index)
    return _answer(page, plan, units)


async def _rows(tx: Reader, *, plan: Plan, span: Range, limit: int) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    """A batch of rows, and what is shown for them: themselves, or the table's items."""
    rows = await tx.scan(*span, limit=limit, reverse=plan.reverse)
    if not plan.fetch:
        return rows, [raw for _, raw in rows]
    table = plan.place.table
    places = []
    for _, raw in rows:
        item = Stored(raw).item()
        places.append(schema.given_key(table.prefix, table.schema, {name: item[name] for name in table.schema.names}))
    # An entry's item is there: they are written together.
    return rows, [raw for raw in await tx.get_many(places) if raw is not None]


def _take(page: _Page, plan: Plan, rows: list[tuple[bytes, bytes]], shown: list[bytes]) -> None:
    """Add a batch to the page, as far as there is room."""
    if plan.keep is None and plan.projection is None and not plan.fetch and rows:
        size = sum([each for (each,) in map(size_of, shown)])
        if page.size + size <= PAGE_BYTES_MAX:
            # All of it as it stands, which is the most frequent case by far.
            page.size += size
            page.scanned += len(rows)
            page.count += len(rows)
            page.last = shown[-1]
            if plan.request.get("Select") != "COUNT":
                page.found += [raw[5:] for raw in shown]
            return
    test = None if plan.keep is None else plan.keep.test
    pick = None if plan.projection is None else plan.projection.pick
    counted = plan.request.get("Select") == "COUNT"
    consistent = plan.request.get("ConsistentRead", False)
    for (_, raw), whole in zip(rows, shown, strict=True):
        page.size += int.from_bytes(raw[1:5], "big")
        page.scanned += 1
        page.last = raw
        stored = Stored(whole)
        if plan.fetch:
            page.fetched_units += capacity.read_units(stored.size, consistent=consistent)
        item = stored.item() if test is not None or (pick is not None and not counted) else None
        if test is None or (item is not None and test(item)):
            page.count += 1
            if not counted:
                page.found.append(stored.json if pick is None or item is None else values.dump(pick(item)))
        if page.size > PAGE_BYTES_MAX:
            page.cut = True
            return


def _answer(page: _Page, plan: Plan, units: float) -> dict[str, Any]:
    request, place = plan.request, plan.place
    answer: dict[str, Any] = {}
    if request.get("Select") != "COUNT":
        answer["Items"] = RawList(page.found, values.plain)
    answer["Count"] = page.count
    answer["ScannedCount"] = page.scanned
    if page.cut:
        last = Stored(page.last).item()
        answer["LastEvaluatedKey"] = {name: values.plain_value(last[name]) for name in place.key_names}
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    if wanted != "NONE":
        consumed = capacity.Consumed(request["TableName"])
        if place.index is None:
            consumed.table = units
        else:
            consumed.add_index(place.index.name, units, local=place.index.is_local)
            consumed.table = page.fetched_units
        answer["ConsumedCapacity"] = consumed.describe(wanted)
    return answer
