"""Query and Scan. They read in batches, and so open their transactions themselves.

Sources: the API reference's pages Query and Scan.
"""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.dynamodb import errors, keys, legacy, pages, ranges, tables
from pileus.services.dynamodb.expressions.keyconditions import KeyTerm
from pileus.services.dynamodb.expressions.parameters import Expressions, Predicate, check_styles
from pileus.services.dynamodb.expressions.projections import Projection
from pileus.services.dynamodb.pages import Plan
from pileus.store.contract import Reader
from pileus.store.keys import after


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
        span, bounds = ranges.key_range(place, terms)
        ranges.check_filter(place, keep, old_style="QueryFilter" in request)
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


async def scan(ctx: Context, request: Request) -> Answer:
    check_styles(
        request,
        ("ProjectionExpression", "FilterExpression"),
        ("AttributesToGet", "ScanFilter", "ConditionalOperator"),
    )
    start = pages.start_key(request)
    segment, total = _segment(request)
    keep, projection = _parse_scan(request)
    pages.check_select(request, scans=True)

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
