"""Query and Scan. They read in batches, and so open their transactions themselves.

Sources: the API reference's pages Query and Scan.
"""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors, keys, legacy, pages, schema, tables
from pileus.services.dynamodb.expressions.keyconditions import KeyTerm
from pileus.services.dynamodb.expressions.parameters import Expressions, Predicate, check_styles
from pileus.services.dynamodb.expressions.projections import Projection
from pileus.services.dynamodb.keys import Range
from pileus.services.dynamodb.pages import Plan, Source
from pileus.store.contract import Reader
from pileus.store.keys import after

_NOT_SUPPORTED = "Query key condition not supported"


async def query(ctx: Context, request: Request) -> Answer:
    check_styles(
        request,
        ("ProjectionExpression", "FilterExpression", "KeyConditionExpression"),
        ("AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"),
    )
    start = pages.start_key(request)
    terms, keep, projection = _parse_query(request)
    if terms is None:
        raise errors.validation(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
        )
    pages.check_select(request)
    reverse = not request.get("ScanIndexForward", True)

    async def plan(tx: Reader) -> Plan:
        table = await tables.load(ctx, tx, request["TableName"])
        place = pages.source(table, request)
        span, bounds = key_range(place, terms)
        _check_filter(place, keep, "QueryFilter" in request)
        fetch = pages.check_projected(place, request, projection, "Querying")
        if start is not None:
            at = pages.start_place(place, start)
            if not bounds[0] <= at < bounds[1]:
                raise errors.validation(
                    "The provided starting key is outside query boundaries based on provided conditions"
                )
            if not span[0] <= at < span[1]:
                raise errors.validation("The provided starting key does not match the range key predicate")
            span = (span[0], at) if reverse else (after(at), span[1])
        return Plan(request, place, span, keep, projection, fetch, reverse)

    return await pages.read(ctx, await ctx.cloud.store.read(plan))


def _parse_query(request: Request) -> tuple[list[KeyTerm] | None, Predicate | None, Projection | None]:
    """Key terms, filter and projection, in either style."""
    terms: list[KeyTerm] | None = None
    if not any(name in request for name in ("KeyConditionExpression", "FilterExpression", "ProjectionExpression")):
        projection = legacy.projection(request["AttributesToGet"]) if "AttributesToGet" in request else None
        keep = _old_filter(request, "QueryFilter")
        if "KeyConditions" in request:
            terms = legacy.key_terms(request["KeyConditions"])
        return terms, keep, projection
    expressions = Expressions(request)
    terms = expressions.key_terms()
    keep = expressions.condition("FilterExpression")
    projection = expressions.projection()
    expressions.finish()
    return terms, keep, projection


def _old_filter(request: Request, member: str) -> Predicate | None:
    test = legacy.predicate(request, member)
    return None if test is None else Predicate(test, tuple(request[member]))


def key_range(place: Source, terms: list[KeyTerm]) -> tuple[Range, Range]:
    """The store keys that the terms mean, and those of their whole partition.

    All attributes of the partition key are equal to something; those of the sort key are from the first on, of which
    the last that is named may be compared otherwise.
    """
    layout = place.schema
    if len(terms) > max(2, len(layout.names)):
        raise errors.validation("Conditions can be of length 1 or 2 only")
    by_name = {term.attribute: term for term in terms}
    partition = []
    for name, kind in layout.hashes:
        term = by_name.pop(name, None)
        if term is None:
            raise _missed(name)
        _check_values(term, kind)
        if term.operator != "=":
            raise errors.validation(_NOT_SUPPORTED)
        part = schema.part(kind, term.values[0])
        schema.check_length(kind, part, sort=False)
        partition.append(part)
    sort = []
    for name, kind in layout.ranges:
        term = by_name.pop(name, None)
        if term is None:
            if by_name:
                # A condition on something else: said of the sort key, where there is one that has none.
                raise _missed(name)
            break
        sort.append((term, kind))
    if by_name:
        raise errors.validation(_NOT_SUPPORTED)
    start = keys.composite_partition(place.prefix, partition)
    whole = keys.partition_range(start)
    if not sort:
        return whole, whole
    for term, kind in sort:
        _check_values(term, kind)
        if term.operator == "begins_with" and kind == "N":
            raise errors.validation(_NOT_SUPPORTED)
        for value in term.values:
            schema.check_length(kind, schema.part(kind, value), sort=True)
    *equal, (last, kind) = sort
    if any(term.operator != "=" for term, _ in equal):
        raise errors.validation(_NOT_SUPPORTED)
    start = keys.within(start, [schema.part(each, term.values[0]) for term, each in equal])
    return keys.sorted_range(start, last.operator, tuple(schema.part(kind, value) for value in last.values)), whole


def _missed(name: str) -> AWSError:
    return errors.validation(f"Query condition missed key schema element: {name}")


def _check_values(term: KeyTerm, kind: str) -> None:
    for value in term.values:
        if kind not in value:
            raise errors.invalid("Condition parameter type does not match schema type")
        if not value[kind] and term.operator != "begins_with":
            raise schema.empty_key(term.attribute, kind)


def _check_filter(place: Source, keep: Predicate | None, old_style: bool) -> None:
    """A query's filter must leave the key alone."""
    if keep is None:
        return
    for name in keep.attributes:
        if name in place.schema.names:
            spoken = "QueryFilter can" if old_style else "Filter Expression can"
            raise errors.validation(f"{spoken} only contain non-primary key attributes: Primary key attribute: {name}")


async def scan(ctx: Context, request: Request) -> Answer:
    check_styles(
        request,
        ("ProjectionExpression", "FilterExpression"),
        ("AttributesToGet", "ScanFilter", "ConditionalOperator"),
    )
    start = pages.start_key(request)
    segment, total = _segment(request)
    keep, projection = _parse_scan(request)
    pages.check_select(request)

    async def plan(tx: Reader) -> Plan:
        table = await tables.load(ctx, tx, request["TableName"])
        place = pages.source(table, request)
        fetch = pages.check_projected(place, request, projection, "Scanning")
        span = keys.segment_range(place.prefix, segment, total)
        if start is not None:
            at = pages.start_place(place, start)
            if not span[0] <= at < span[1]:
                raise errors.validation(
                    "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey "
                    f"with correct Segment. TotalSegments: {total} Segment: {segment}"
                )
            span = (after(at), span[1])
        return Plan(request, place, span, keep, projection, fetch)

    return await pages.read(ctx, await ctx.cloud.store.read(plan))


def _parse_scan(request: Request) -> tuple[Predicate | None, Projection | None]:
    if "FilterExpression" not in request and "ProjectionExpression" not in request:
        projection = legacy.projection(request["AttributesToGet"]) if "AttributesToGet" in request else None
        return _old_filter(request, "ScanFilter"), projection
    expressions = Expressions(request)
    keep = expressions.condition("FilterExpression")
    projection = expressions.projection()
    expressions.finish()
    return keep, projection


def _segment(request: Request) -> tuple[int, int]:
    segment: int | None = request.get("Segment")
    total: int | None = request.get("TotalSegments")
    if segment is None and total is None:
        return 0, 1
    if total is None:
        raise errors.validation(
            "The TotalSegments parameter is required but was not present in the request "
            "when Segment parameter is present"
        )
    if segment is None:
        raise errors.validation(
            "The Segment parameter is required but was not present in the request "
            "when parameter TotalSegments is present"
        )
    if segment >= total:
        raise errors.validation(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )
    return segment, total
