"""Log events: PutLogEvents, GetLogEvents, FilterLogEvents."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from itertools import pairwise

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import NotBuilt
from pileus.services.logs import chunks, errors, keys
from pileus.services.logs.chunks import EVENT_OVERHEAD_BYTES, Event
from pileus.services.logs.lookup import get_group, get_stream, group_name
from pileus.services.logs.operations.streams import sequence_token
from pileus.services.logs.records import Group, Stream, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

BATCH_BYTES_MAX = 1_048_576
DAY_MS = 24 * 3600 * 1000
TOO_OLD_MS = 14 * DAY_MS
TOO_NEW_MS = 2 * 3600 * 1000
PAGE_EVENTS_MAX = 10_000
PAGE_BYTES_MAX = 1 << 20
# What one FilterLogEvents call looks through before it answers with what it has.
SEARCH_BYTES_MAX = 4 << 20
STREAM_NAMES_MAX = 100
_TOKEN_DIGITS = 56


async def put_log_events(ctx: Context, tx: Transaction, request: Request) -> Answer:
    events = request["logEvents"]
    now_ms = int(ctx.now * 1000)
    times = [event["timestamp"] for event in events]
    size = sum(len(event["message"].encode()) for event in events) + EVENT_OVERHEAD_BYTES * len(events)
    if size > BATCH_BYTES_MAX:
        raise errors.invalid(f"Upload too large: {size} bytes exceeds limit of {BATCH_BYTES_MAX}")
    if any(later < earlier for earlier, later in pairwise(times)):
        raise errors.invalid("Log events in a single PutLogEvents request must be in chronological order.")
    if times and times[-1] - times[0] > DAY_MS:
        raise errors.invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
    group = await get_group(ctx, tx, request["logGroupName"])
    stream = await get_stream(ctx, tx, group, request["logStreamName"])

    # Times are in order, so what is refused is a head (too old, expired) and a tail (too new).
    expired = _count_below(times, _oldest_kept_ms(group, now_ms))
    too_old = _count_below(times, now_ms - TOO_OLD_MS)
    end = _count_below(times, now_ms + TOO_NEW_MS + 1)
    start = max(expired, too_old)
    rejected: dict[str, int] = {}
    if end < len(times):
        rejected["tooNewLogEventStartIndex"] = end
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if expired > too_old:
        rejected["expiredLogEventEndIndex"] = expired

    if start < end:
        kept = times[start:end]
        messages = [event["message"] for event in events[start:end]]
        for first_ms, value in chunks.encode(now_ms, kept, messages):
            tx.put(keys.chunk(stream.id, first_ms, stream.sequence), value)
            stream.sequence += 1
        first, last = stream.first_event_ms, stream.last_event_ms
        stream.first_event_ms = kept[0] if first is None else min(kept[0], first)
        stream.last_event_ms = kept[-1] if last is None else max(kept[-1], last)
        stream.last_ingestion_ms = now_ms
        stream.size_bytes += size
        tx.put(keys.stream(ctx.account, ctx.region, group.id, stream.name), encode(stream))
    answer: Answer = {"nextSequenceToken": sequence_token(stream)}
    if rejected:
        answer["rejectedLogEventsInfo"] = rejected
    return answer


def _count_below(times: list[int], limit_ms: int) -> int:
    for index, time_ms in enumerate(times):
        if time_ms >= limit_ms:
            return index
    return len(times)


def _oldest_kept_ms(group: Group, now_ms: int) -> int:
    return now_ms - group.retention_days * DAY_MS if group.retention_days else 0


def _token(direction: str, position: int) -> str:
    return f"{direction}/{max(position, 0):0{_TOKEN_DIGITS}d}/s"


def _read_token(token: str) -> tuple[str, int]:
    direction, _, rest = token.partition("/")
    digits, _, tail = rest.partition("/")
    if direction not in ("f", "b") or not digits.isascii() or not digits.isdigit() or tail not in ("", "s"):
        raise errors.bad_token()
    if len(digits) != _TOKEN_DIGITS:
        raise errors.bad_token()
    return direction, int(digits)


async def get_log_events(ctx: Context, tx: Reader, request: Request) -> Answer:
    group = await get_group(ctx, tx, group_name(request))
    stream = await get_stream(ctx, tx, group, request["logStreamName"])
    limit = request.get("limit", PAGE_EVENTS_MAX)
    # Both bounds are exclusive positions; `endTime` itself is not included.
    low = chunks.least(max(request.get("startTime", 0), _oldest_kept_ms(group, int(ctx.now * 1000))))
    high = chunks.least(request["endTime"]) + 1 if "endTime" in request else 1 << (144 + 63)
    if "startTime" in request and "endTime" in request and request["startTime"] > request["endTime"]:
        raise errors.invalid("startTime must be less than or equal to endTime.")
    given = request.get("nextToken")
    if given is not None:
        direction, position = _read_token(given)
        if direction == "f":
            low = max(low, position)
        else:
            high = min(high, position)
    else:
        direction = "f" if request.get("startFromHead") else "b"

    page: list[Event] = []
    size = 0
    source = chunks.forwards(tx, stream.id, low) if direction == "f" else chunks.backwards(tx, stream.id, high)
    async for event in source:
        if not low < event.position < high:
            break
        size += len(event.message) + EVENT_OVERHEAD_BYTES
        if page and size > PAGE_BYTES_MAX:
            break
        page.append(event)
        if len(page) == limit:
            break
    if direction == "b":
        page.reverse()

    # At either end the token that was given comes back, and going on from it later finds what has arrived since.
    if page:
        forward, backward = page[-1].position, page[0].position
    elif direction == "f":
        forward, backward = low, low + 1
    else:
        newest = max(low, chunks.least((stream.last_event_ms or 0) + 1))
        forward, backward = (newest, newest + 1) if given is None else (high - 1, high)
    return {
        "events": [
            {"timestamp": event.timestamp_ms, "message": event.message, "ingestionTime": event.ingestion_ms}
            for event in page
        ],
        "nextForwardToken": given if not page and given and direction == "f" else _token("f", forward),
        "nextBackwardToken": given if not page and given and direction == "b" else _token("b", backward),
    }


async def filter_log_events(ctx: Context, tx: Reader, request: Request) -> Answer:
    group = await get_group(ctx, tx, group_name(request))
    # Patterns bring an engine of expressions with them, which starting need not wait for.
    from pileus.services.logs.patterns import compile_pattern

    matches = compile_pattern(request.get("filterPattern") or "")
    if request.get("startFromHead") is False:
        raise NotBuilt("FilterLogEvents with startFromHead false")
    names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix")
    if names and prefix:
        raise errors.invalid("logStreamNamePrefix and logStreamNames are mutually exclusive parameters.")
    low = chunks.least(max(request.get("startTime", 0), _oldest_kept_ms(group, int(ctx.now * 1000))))
    # Here `endTime` is the last millisecond that counts.
    high = chunks.least(request["endTime"] + 1) + 1 if "endTime" in request else 1 << (144 + 63)
    if (given := request.get("nextToken")) is not None:
        low = max(low, _read_filter_token(given))
    limit = request.get("limit", PAGE_EVENTS_MAX)

    streams = await _searched(ctx, tx, group, names, prefix)
    page: list[Answer] = []
    size = searched = 0
    last = low
    async for stream, event in _merged(tx, streams, low, high):
        searched += len(event.message) + EVENT_OVERHEAD_BYTES
        if len(page) == limit or size > PAGE_BYTES_MAX or searched > SEARCH_BYTES_MAX:
            return {"events": page, "searchedLogStreams": [], "nextToken": f"{last:0{_TOKEN_DIGITS}d}"}
        last = event.position
        if matches(event.message):
            size += len(event.message) + EVENT_OVERHEAD_BYTES
            page.append(
                {
                    "logStreamName": stream.name,
                    "timestamp": event.timestamp_ms,
                    "message": event.message,
                    "ingestionTime": event.ingestion_ms,
                    "eventId": f"{event.position:0{_TOKEN_DIGITS}d}",
                }
            )
    return {"events": page, "searchedLogStreams": []}


def _read_filter_token(token: str) -> int:
    if len(token) != _TOKEN_DIGITS or not token.isascii() or not token.isdigit():
        raise errors.bad_token()
    return int(token)


async def _searched(
    ctx: Context, tx: Reader, group: Group, names: list[str] | None, prefix: str | None
) -> list[Stream]:
    if names:
        if len(names) > STREAM_NAMES_MAX:
            raise errors.invalid(f"Number of log streams exceeds the limit of {STREAM_NAMES_MAX}.")
        return [await get_stream(ctx, tx, group, name) for name in dict.fromkeys(names)]
    start, end = keys.streams(ctx.account, ctx.region, group.id, prefix or "")
    out: list[Stream] = []
    while found := await tx.scan(start, end, limit=1000):
        out += [decode(Stream, data) for _, data in found]
        start = after(found[-1][0])
    return out


async def _merged(tx: Reader, streams: list[Stream], low: int, high: int) -> AsyncIterator[tuple[Stream, Event]]:
    """Events of all `streams` between the two positions, upwards; a stream is opened when its first event is due."""
    closed = [
        stream
        for stream in streams
        if stream.first_event_ms is not None
        and stream.last_event_ms is not None
        and chunks.least(stream.last_event_ms + 1) > low
        and chunks.least(stream.first_event_ms) < high
    ]
    closed.sort(key=lambda stream: stream.first_event_ms or 0, reverse=True)
    # (position, tie breaker, event, stream, the rest)
    heads: list[tuple[int, int, Event, Stream, AsyncIterator[Event]]] = []
    opened = 0
    while True:
        while closed and (not heads or chunks.least(closed[-1].first_event_ms or 0) < heads[0][0]):
            stream = closed.pop()
            rest = chunks.forwards(tx, stream.id, low)
            if (event := await anext(rest, None)) is not None:
                opened += 1
                heapq.heappush(heads, (event.position, opened, event, stream, rest))
        if not heads:
            return
        at, order, event, stream, rest = heads[0]
        if at >= high:
            return
        yield stream, event
        if (following := await anext(rest, None)) is not None:
            heapq.heapreplace(heads, (following.position, order, following, stream, rest))
        else:
            heapq.heappop(heads)
