"""PartiQL: one statement, a batch of them, or a transaction.

Sources: the API reference's pages ExecuteStatement, BatchExecuteStatement, ExecuteTransaction; "PartiQL select
statements for DynamoDB" and its like.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Permission, Request
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import (
    capacity,
    errors,
    items,
    keys,
    pages,
    schema,
    tables,
    throughput,
    tokens,
    values,
    writes,
)
from pileus.services.dynamodb.expressions.keyconditions import OPERATORS, KeyTerm
from pileus.services.dynamodb.expressions.parameters import Predicate
from pileus.services.dynamodb.expressions.projections import Projection
from pileus.services.dynamodb.items import Stored
from pileus.services.dynamodb.keys import Range
from pileus.services.dynamodb.operations import policies, transactions
from pileus.services.dynamodb.pages import Plan, Source
from pileus.services.dynamodb.partiql import binding
from pileus.services.dynamodb.partiql.binding import Bound, bind
from pileus.services.dynamodb.partiql.parser import Exists, Select, parse
from pileus.services.dynamodb.permissions import arn_of
from pileus.services.dynamodb.ranges import key_range
from pileus.services.dynamodb.tables import Table
from pileus.services.dynamodb.values import Item
from pileus.services.dynamodb.writes import Outcome, Write
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

# Values of a partition key that one SELECT may name.
PARTITIONS_MAX = 50

_PASSED_ON = frozenset(("ConsistentRead", "ReturnConsumedCapacity"))
_BATCH_CODES = {
    "ConditionalCheckFailedException": "ConditionalCheckFailed",
    "ItemCollectionSizeLimitExceededException": "ItemCollectionSizeLimitExceeded",
    "RequestLimitExceeded": "RequestLimitExceeded",
    "ValidationException": "ValidationError",
    "ProvisionedThroughputExceededException": "ProvisionedThroughputExceeded",
    "TransactionConflictException": "TransactionConflict",
    "ThrottlingException": "ThrottlingError",
    "ResourceNotFoundException": "ResourceNotFound",
    "AccessDeniedException": "AccessDenied",
    "DuplicateItemException": "DuplicateItem",
}


# ------------------------------------------------------------------------------------------------------ permissions


def _needed(ctx: Context, request: Request) -> Permission:
    body = parse(request["Statement"]).body
    select = body.select if isinstance(body, Exists) else body
    index = select.index if isinstance(select, Select) else ""
    return Permission(binding.action(body), arn_of(ctx, body.table, index))


def of_statement(ctx: Context, request: Request) -> Sequence[Permission]:
    return (_needed(ctx, request),)


def of_transaction(ctx: Context, request: Request) -> Sequence[Permission]:
    return [_needed(ctx, each) for each in request["TransactStatements"]]


def of_batch(ctx: Context, request: Request) -> Sequence[Permission]:
    """None: each of the statements is allowed or refused by itself."""
    return ()


async def resource_policy(ctx: Context, reader: Reader, request: Request) -> Any:
    """The policies of the tables that the statements name."""
    names = []
    for each in request.get("TransactStatements") or request.get("Statements") or [request]:
        try:
            names.append(parse(each["Statement"]).body.table)
        except AWSError:
            continue
    return await policies.documents(ctx, reader, names)


async def refine(ctx: Context, reader: Reader, request: Request, needed: Sequence[Permission]) -> Sequence[Permission]:
    """With what policies may ask: whether a whole table is read, which partitions and attributes are meant."""
    each = request.get("TransactStatements", [request])
    return [await _refined(ctx, reader, one, permission) for one, permission in zip(each, needed, strict=True)]


async def _refined(ctx: Context, reader: Reader, request: Request, needed: Permission) -> Permission:
    try:
        bound = bind(request)
        table = await tables.load(ctx, reader, bound.table)
        body = bound.statement.body
        select = body.select if isinstance(body, Exists) else body
        if isinstance(select, Select):
            place = pages.source(table, {"IndexName": select.index} if select.index else {})
            leading = _partitions(place, select, bound)
            conditions: dict[str, str | list[str]] = {"dynamodb:FullTableScan": "false" if leading else "true"}
            picked = binding.projection(select)
            kept = binding.predicate(select.where, bound.given)
            names = [*(picked.attributes if picked else ()), *(kept.attributes if kept else ())]
        else:
            write = binding.write(table, bound)
            conditions, leading = {}, [write.item[table.schema.partition]]
            names = [*write.item, *(write.update.touched.attributes if write.update else ())]
    except (AWSError, KeyError):
        return needed
    if leading:
        conditions["dynamodb:LeadingKeys"] = [str(content) for value in leading for content in value.values()]
    conditions["dynamodb:Attributes"] = list(dict.fromkeys(names))
    return Permission(needed.action, needed.resource, conditions)


# --------------------------------------------------------------------------------------------------- one statement


async def execute_statement(ctx: Context, request: Request) -> Answer:
    bound = bind(request)
    body = bound.statement.body
    if isinstance(body, Exists):
        raise errors.validation("EXISTS can only be used in ExecuteTransaction")
    if isinstance(body, Select):
        return await _select(ctx, request, bound, body)

    async def run(tx: Transaction) -> Answer:
        write, outcome = await _perform(ctx, tx, bound)
        attributes = writes.returned(write, outcome)
        answer: Answer = {"Items": [] if attributes is None else [attributes]}
        _add_capacity(answer, request, write, outcome)
        return answer

    return await ctx.cloud.store.write(run)


async def _perform(ctx: Context, tx: Transaction, bound: Bound) -> tuple[Write, Outcome]:
    table = await tables.load(ctx, tx, bound.table)
    write = binding.write(table, bound)
    place = writes.locate(table, write)
    return write, await writes.perform(ctx, tx, table, place, await tx.get(place), write)


def _add_capacity(answer: Answer, request: Request, write: Write, outcome: Outcome) -> None:
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    if wanted != "NONE":
        consumed = capacity.Consumed(write.request["TableName"])
        writes.consume(consumed, outcome.written)
        answer["ConsumedCapacity"] = consumed.describe(wanted)


def _partitions(place: Source, select: Select, bound: Bound) -> list[values.Value]:
    """The partitions that a SELECT's conditions name; none: all of them are looked through."""
    for term in binding.key_terms(select.where, bound.given, place.schema.partition):
        if term.operator in ("=", "IN"):
            unique = {orjson.dumps(value): value for value in term.values}
            return list(unique.values())
    return []


def _spans(place: Source, select: Select, bound: Bound) -> list[Range]:
    """The ranges of keys that a SELECT reads, in the order in which it answers."""
    layout = place.schema
    partitions = _partitions(place, select, bound)
    descending = _check_order(place, select, partitions)
    if layout.more_partition or layout.more_sort:
        return [_composite_span(place, select, bound)]
    if not partitions:
        return [keys.segment_range(place.prefix, 0, 1)]
    if len(partitions) > PARTITIONS_MAX:
        raise errors.validation(f"A SELECT may name at most {PARTITIONS_MAX} partition key values")
    if descending is not None:
        partitions.sort(key=lambda value: _sortable(layout, value), reverse=descending)
    sort = next(
        (
            term
            for term in (binding.key_terms(select.where, bound.given, layout.sort) if layout.sort else ())
            if term.operator in OPERATORS and not (term.operator == "begins_with" and layout.sort_type == "N")
        ),
        None,
    )
    found = []
    for value in partitions:
        terms = [KeyTerm(layout.partition, "=", (value,)), *([sort] if sort is not None else ())]
        found.append(key_range(place, terms)[0])
    return found


def _composite_span(place: Source, select: Select, bound: Bound) -> Range:
    """What to read of an index with several attributes in one key: a partition where all of it is named, else all."""
    terms: list[KeyTerm] = []
    for name, _ in place.schema.hashes:
        found = next(
            (term for term in binding.key_terms(select.where, bound.given, name) if term.operator == "="), None
        )
        if found is None:
            return keys.segment_range(place.prefix, 0, 1)
        terms.append(found)
    for name, kind in place.schema.ranges:
        found = next(binding.key_terms(select.where, bound.given, name), None)
        if found is None or found.operator not in OPERATORS or (found.operator == "begins_with" and kind == "N"):
            break
        terms.append(found)
        if found.operator != "=":
            break
    return key_range(place, terms)[0]


def _sortable(layout: schema.Schema, value: values.Value) -> Any:
    if layout.partition_type not in value:
        raise errors.invalid("Condition parameter type does not match schema type")
    part = schema.part(layout.partition_type, value)
    return part.encode() if isinstance(part, str) else part


def _check_order(place: Source, select: Select, partitions: list[values.Value]) -> bool | None:
    """Check ORDER BY; whether the partitions are ordered downwards, None where nothing is said of them."""
    layout = place.schema
    found: bool | None = None
    for name, descending in select.order:
        if name not in layout.names:
            raise errors.validation(f"Variable reference {name} in ORDER BY clause must be part of the primary key")
        if not partitions:
            raise errors.validation(
                "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause."
            )
        if name == layout.partition:
            found = descending
    if len(partitions) > 1 and select.order and select.order[0][0] == layout.sort:
        raise errors.validation(
            "Must have hash key in ORDER BY clause when more than one hash key condition specified in WHERE clause."
        )
    return found


async def _select(ctx: Context, request: Request, bound: Bound, select: Select) -> Answer:
    reading = _Reading(
        request,
        bound,
        select,
        binding.predicate(select.where, bound.given),
        binding.projection(select),
    )
    digest = hashlib.sha256(request["Statement"].encode()).digest()[:8]
    number, start = _read_token(request.get("NextToken"), digest)
    limit: int | None = request.get("Limit")
    found: list[Any] = []
    answer: Answer = {"Items": found}
    while True:
        plan, count = await ctx.cloud.store.read(
            partial(_plan, ctx, reading=reading, number=number, start=start, limit=limit)
        )
        page = await pages.read(ctx, plan)
        found += page["Items"]
        if "ConsumedCapacity" in page:
            known = answer.get("ConsumedCapacity")
            answer["ConsumedCapacity"] = _added(known, page["ConsumedCapacity"]) if known else page["ConsumedCapacity"]
        if "LastEvaluatedKey" in page:
            answer["LastEvaluatedKey"] = page["LastEvaluatedKey"]
            answer["NextToken"] = _token(number, page["LastEvaluatedKey"], digest)
            return answer
        number, start = number + 1, None
        if number >= count:
            return answer
        if limit is not None:
            limit -= page["ScannedCount"]
            if limit <= 0:
                answer["NextToken"] = _token(number, None, digest)
                return answer


class _Reading(NamedTuple):
    """A SELECT that is on its way, from page to page."""

    request: Request
    bound: Bound
    select: Select
    keep: Predicate | None
    projection: Projection | None


async def _plan(
    ctx: Context, tx: Reader, *, reading: _Reading, number: int, start: Item | None, limit: int | None
) -> tuple[Plan, int]:
    """What to read of the range of that number, and how many ranges there are."""
    select = reading.select
    asked = {name: value for name, value in reading.request.items() if name in _PASSED_ON}
    asked["TableName"] = select.table
    if select.index:
        asked["IndexName"] = select.index
    if limit is not None:
        asked["Limit"] = limit
    table = await tables.load(ctx, tx, select.table)
    place = pages.source(table, asked)
    fetch = pages.check_projected(place, asked, reading.projection, "Querying")
    spans = _spans(place, select, reading.bound)
    span = spans[min(number, len(spans) - 1)]
    backwards = any(descending for name, descending in select.order if name == place.schema.sort)
    if start is not None:
        at = pages.start_place(place, start)
        span = (span[0], at) if backwards else (after(at), span[1])
    return Plan(asked, place, span, reading.keep, reading.projection, fetch, backwards), len(spans)


def _added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The sum of two ConsumedCapacity."""
    added = dict(one)
    for name, value in other.items():
        if isinstance(value, dict):
            added[name] = _added(one.get(name, {}), value)
        elif not isinstance(value, str):
            added[name] = one.get(name, 0.0) + value
    return added


def _token(number: int, key: dict[str, Any] | None, digest: bytes) -> str:
    checked = None if key is None else values.check_item(key)[0]
    return urlsafe_b64encode(digest + orjson.dumps([number, checked])).decode()


def _read_token(token: str | None, digest: bytes) -> tuple[int, Item | None]:
    if token is None:
        return 0, None
    try:
        data = urlsafe_b64decode(token.encode("ascii"))
        number, key = orjson.loads(data[len(digest) :])
        start = None if key is None else values.check_item({name: _wire(each) for name, each in key.items()})[0]
        if not isinstance(number, int) or number < 0:
            raise ValueError
    except (ValueError, TypeError, AttributeError, AWSError):
        raise errors.validation("Given NextToken is invalid") from None
    if data[: len(digest)] != digest:
        raise errors.validation("NextToken does not match request")
    return number, start


def _wire(value: Any) -> dict[str, Any]:
    return values.plain_value(value)


# ----------------------------------------------------------------------------------------------------------- batches


async def batch_execute_statement(ctx: Context, request: Request) -> Answer:
    statements = request["Statements"]
    kinds = set()
    for each in statements:
        try:
            kinds.add(parse(each["Statement"]).reads)
        except AWSError:
            continue
    if len(kinds) > 1:
        raise errors.validation("The entire batch must consist of either read statements or write statements")
    consumed: dict[str, capacity.Consumed] = {}

    async def all_reads(tx: Reader) -> list[dict[str, Any]]:
        return [await _told(partial(_read_one, ctx, tx, each, consumed)) for each in statements]

    async def all_writes(tx: Transaction) -> list[dict[str, Any]]:
        consumed.clear()
        return [await _told(partial(_write_one, ctx, tx, each, consumed)) for each in statements]

    answer: Answer = {}
    store = ctx.cloud.store
    answer["Responses"] = await (store.read(all_reads) if kinds == {True} else store.write(all_writes))
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    if wanted != "NONE":
        answer["ConsumedCapacity"] = [each.describe(wanted) for each in consumed.values()]
    return answer


async def _told(run: Any) -> dict[str, Any]:
    """A statement's answer, or its error in the place of one."""
    try:
        answer: dict[str, Any] = await run()
    except AWSError as error:
        code = _BATCH_CODES.get(error.code)
        if code is None:
            raise
        item = {"Item": error.members["Item"]} if "Item" in error.members else {}
        return {"Error": {"Code": code, "Message": error.message, **item}}
    return answer


async def _allow(ctx: Context, reader: Reader, request: Request) -> None:
    if ctx.permit is not None:
        needed = await _refined(ctx, reader, request, _needed(ctx, request))
        await ctx.permit(ctx, reader, (needed,))


async def _read_one(
    ctx: Context, tx: Reader, request: Request, consumed: dict[str, capacity.Consumed]
) -> dict[str, Any]:
    bound = bind(request)
    body = bound.statement.body
    await _allow(ctx, tx, request)
    assert isinstance(body, Select)
    table = await tables.load(ctx, tx, body.table)
    answer = {"TableName": body.table}
    place, stored = await _singleton(tx, table, body, bound, "BatchExecuteStatement")
    used = consumed.setdefault(body.table, capacity.Consumed(body.table))
    units = capacity.read_units(0 if stored is None else stored.size, consistent=request.get("ConsistentRead", False))
    throughput.read(ctx, table, place, units)
    used.table += units
    return answer if stored is None else {**answer, "Item": _picked(stored, body)}


def _picked(stored: Stored, select: Select) -> Any:
    projection = binding.projection(select)
    return writes.answered(stored) if projection is None else writes.answered_item(projection.pick(stored.item()))


async def _singleton(tx: Reader, table: Table, select: Select, bound: Bound, of: str) -> tuple[bytes, Stored | None]:
    """The store key of the one item that a SELECT means, and the item: None where it is not as it says."""
    key = None if select.index else binding.key_of(table.schema, select.where, bound.given)
    if key is None:
        raise errors.validation(f"Select statements within {of} must specify the primary key in the where clause.")
    keep = binding.predicate(select.where, bound.given)
    place = schema.given_key(table.prefix, table.schema, key)
    stored = await items.read(tx, place)
    return place, stored if stored is not None and keep is not None and keep.test(stored.item()) else None


async def _write_one(
    ctx: Context, tx: Transaction, request: Request, consumed: dict[str, capacity.Consumed]
) -> dict[str, Any]:
    bound = bind(request)
    if isinstance(bound.statement.body, Exists):
        raise errors.validation("EXISTS can only be used in ExecuteTransaction")
    await _allow(ctx, tx, request)
    write, outcome = await _perform(ctx, tx, bound)
    writes.consume(consumed.setdefault(bound.table, capacity.Consumed(bound.table)), outcome.written)
    answer: dict[str, Any] = {"TableName": bound.table}
    attributes = writes.returned(write, outcome)
    return answer if attributes is None else {**answer, "Item": attributes}


# ------------------------------------------------------------------------------------------------------ transactions


async def execute_transaction(ctx: Context, request: Request) -> Answer:
    bound = [bind(each) for each in request["TransactStatements"]]
    reads = {one.statement.reads for one in bound}
    if len(reads) > 1:
        raise errors.validation("The entire transaction must consist of either read statements or write statements")
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    if reads == {True}:
        return await ctx.cloud.store.read(partial(_transact_reads, ctx, bound=bound, wanted=wanted))
    token = request.get("ClientRequestToken")

    async def run(tx: Transaction) -> Answer:
        answer: Answer = {"Responses": [{} for _ in bound]}
        again = token is not None and await tokens.seen(ctx, tx, token, request)
        if again and wanted == "NONE":
            return answer
        asked = []
        for one in bound:
            table = await tables.load(ctx, tx, one.table)
            asked.append((table, binding.write(table, one)))
        if again:
            return {**answer, "ConsumedCapacity": await transactions.read_again(ctx, tx, wanted, asked)}
        done = await transactions.commit(ctx, tx, asked)
        if token is not None:
            await tokens.remember(ctx, tx, token, request)
        if wanted != "NONE":
            answer["ConsumedCapacity"] = transactions.consumed_by(wanted, done)
        return answer

    return await ctx.cloud.store.write(run)


async def _transact_reads(ctx: Context, tx: Reader, *, bound: list[Bound], wanted: str) -> Answer:
    responses: list[Mapping[str, Any]] = []
    consumed: dict[str, capacity.Consumed] = {}
    found: list[tuple[Table, bytes, Stored | None]] = []
    for one in bound:
        body = one.statement.body
        assert isinstance(body, Select)
        table = await tables.load(ctx, tx, body.table)
        place, stored = await _singleton(tx, table, body, one, "ExecuteTransaction")
        found.append((table, place, stored))
        used = consumed.setdefault(body.table, capacity.Consumed(body.table))
        used.table += transactions.read_units_of(stored)
        responses.append({} if stored is None else {"Item": _picked(stored, body)})
    transactions.meter_reads(ctx, found)
    answer: Answer = {"Responses": responses}
    if wanted != "NONE":
        answer["ConsumedCapacity"] = [each.describe(wanted, "ReadCapacityUnits") for each in consumed.values()]
    return answer
