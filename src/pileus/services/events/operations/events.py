"""Putting events, and trying patterns on them.

Sources: "PutEvents" of the API reference, "Calculating PutEvents event entry size" of the user guide; recorded answers.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.delivery.event_patterns import InvalidPattern, compile_pattern
from pileus.services.events import errors, failover, routing
from pileus.services.events.archiving import TIME_BYTES
from pileus.services.events.book import Books
from pileus.services.events.lookup import find_bus
from pileus.services.events.names import bus_name
from pileus.store.contract import Reader, Transaction

# "Amazon EventBridge quotas": raised from 256 KB in January 2026.
SIZE_MAX = 1024 * 1024
# What one bus hands on to another: the event as it is there, which no client can say.
FORWARDED = "InternalMetadata"


async def resolve(ctx: Context, request: Request) -> None:
    """Put the bus of the endpoint that `PutEvents` may name into its place: what is allowed is told of the bus."""
    if ctx.operation == "PutEvents":
        await failover.resolve(ctx, request)


async def put_events(ctx: Context, request: Request) -> Answer:
    """Read the buses' rules, which a transaction cannot wait for, then put the events in one.

    Both are done for those who may put events only: others cannot have the node read rules, nor forget those it has.
    """
    entries = request["Entries"]
    check_size(entries)
    books = ctx.cloud.part(Books)
    for bus in {bus_name(ctx, entry.get("EventBusName")) for entry in entries}:
        await books.prepare(ctx.cloud.store, bus)

    async def put(tx: Transaction) -> list[Answer]:
        return [await _put(ctx, tx, entry) for entry in entries]

    answers = await ctx.cloud.store.write(put)
    return {"FailedEntryCount": sum("ErrorCode" in one for one in answers), "Entries": answers}


def check_size(entries: list[dict[str, Any]]) -> None:
    if sum(_size(entry) for entry in entries) > SIZE_MAX:
        raise errors.invalid("Total size of the entries in the request is over the limit.")


def _size(entry: dict[str, Any]) -> int:
    size = TIME_BYTES if entry.get("Time") is not None else 0
    for member in ("Source", "DetailType", "Detail"):
        size += len((entry.get(member) or "").encode())
    return size + sum(len(resource.encode()) for resource in entry.get("Resources") or ())


async def _put(ctx: Context, tx: Transaction, entry: dict[str, Any]) -> Answer:
    bus = bus_name(ctx, entry.get("EventBusName"))
    forwarded = entry.get(FORWARDED)
    if forwarded is not None:
        event, way = forwarded["event"], forwarded["way"]
    else:
        event = new_event(ctx, entry, own=ctx.principal.kind != "service")
        if "ErrorCode" in event:
            return event
        way = ()
    # An event for a bus that is not there is taken, and nobody gets it.
    if await find_bus(tx, bus) is not None:
        await routing.route(
            ctx.cloud, tx, bus, event, now=ctx.now, way=way, trace=entry.get("TraceHeader") or _trace(ctx)
        )
    return {"EventId": event["id"]}


def new_event(ctx: Context, entry: dict[str, Any], *, own: bool = False) -> dict[str, Any]:
    """The event that an entry means; an answer with an `ErrorCode` where it means none.

    `own`: from a source of the caller's own, which is not AWS's nor a partner's.
    """
    for member in ("Source", "DetailType", "Detail"):
        if not entry.get(member):
            return _failed(
                "InvalidArgument", f"Parameter {member} is not valid. Reason: {member} is a required argument."
            )
    if own and entry["Source"].startswith("aws."):
        return _failed("NotAuthorizedForSourceException", "Not authorized for the source.")
    try:
        detail = orjson.loads(entry["Detail"])
        # What is nested so deep that it could not be written again reaches nobody.
        orjson.dumps({"event": {"detail": detail}})
    except (orjson.JSONDecodeError, TypeError):
        detail = None
    if not isinstance(detail, dict):
        return _failed("MalformedDetail", "Detail is malformed.")
    return {
        "version": "0",
        "id": ctx.cloud.ids.uuid(),
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "account": ctx.principal.account or ctx.account,
        "time": routing.shown_time(entry["Time"] if entry.get("Time") is not None else ctx.now),
        "region": ctx.region,
        "resources": list(entry.get("Resources") or ()),
        "detail": detail,
    }


def _trace(ctx: Context) -> str:
    return ctx.http.headers.get("x-amzn-trace-id", "")


def _failed(code: str, message: str) -> Answer:
    return {"ErrorCode": code, "ErrorMessage": message}


async def test_event_pattern(ctx: Context, tx: Reader, request: Request) -> Answer:
    try:
        event = orjson.loads(request["Event"])
    except orjson.JSONDecodeError:
        event = None
    if not isinstance(event, dict):
        raise errors.invalid("Parameter Event is not valid.")
    try:
        pattern = compile_pattern(request["EventPattern"])
    except InvalidPattern as reason:
        raise errors.bad_pattern(reason) from None
    return {"Result": pattern.matches(event)}
