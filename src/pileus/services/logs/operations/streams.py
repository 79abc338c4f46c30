"""Log streams: CreateLogStream, DescribeLogStreams, DeleteLogStream."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.paging import page_token
from pileus.services.logs import errors, keys
from pileus.services.logs.lookup import NAME_LENGTH_MAX, get_group, get_stream, group_arn, group_name
from pileus.services.logs.paging import place
from pileus.services.logs.records import Stream, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

DESCRIBE_LIMIT_MAX = 50
SCAN_LIMIT = 1000


def sequence_token(stream: Stream) -> str:
    """Sequence tokens have no use any more; AWS still answers them."""
    return f"{49 * 10**54 + (int(stream.id, 16) % 10**30) * 10**12 + stream.sequence:056d}"


async def create_log_stream(ctx: Context, tx: Transaction, request: Request) -> None:
    name = request["logStreamName"]
    if len(name) > NAME_LENGTH_MAX:
        raise errors.name_too_long()
    group = await get_group(ctx, tx, request["logGroupName"])
    key = keys.stream(ctx.account, ctx.region, group.id, name)
    if await tx.get(key) is not None:
        raise errors.stream_exists()
    tx.put(key, encode(Stream(name=name, id=ctx.cloud.ids.hex(16), created_ms=int(ctx.now * 1000))))


def _describe(ctx: Context, group: str, stream: Stream) -> Answer:
    out: Answer = {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "arn": group_arn(ctx, f"{group}:log-stream:{stream.name}"),
        # "From June 17, 2019, this parameter is deprecated and is always 0 for log streams."
        "storedBytes": 0,
    }
    if stream.last_event_ms is not None:
        out["firstEventTimestamp"] = stream.first_event_ms
        out["lastEventTimestamp"] = stream.last_event_ms
        out["lastIngestionTime"] = stream.last_ingestion_ms
        out["uploadSequenceToken"] = sequence_token(stream)
    return out


async def describe_log_streams(ctx: Context, tx: Reader, request: Request) -> Answer:
    group = await get_group(ctx, tx, group_name(request))
    prefix = request.get("logStreamNamePrefix") or ""
    limit = request.get("limit", DESCRIBE_LIMIT_MAX)
    descending = bool(request.get("descending"))
    by_time = request.get("orderBy") == "LastEventTime"
    if by_time and prefix:
        raise errors.invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    start, end = keys.streams(ctx.account, ctx.region, group.id, prefix)
    from_token = request.get("nextToken")
    more: str | None = None
    if by_time:
        every = await _all(tx, start, end)
        every.sort(key=lambda stream: (stream.last_event_ms or 0, stream.name), reverse=descending)
        skip = _place_of(every, place(from_token, b"", b"\xff" * 8).decode(errors="replace")) if from_token else 0
        streams = every[skip : skip + limit]
        if skip + limit < len(every):
            more = page_token(every[skip + limit].name.encode(), b"")
    else:
        at = place(from_token, start, end) if from_token else None
        if descending:
            found = await tx.scan(start, after(at) if at else end, limit=limit + 1, reverse=True)
        else:
            found = await tx.scan(at or start, end, limit=limit + 1)
        if len(found) > limit:
            more = page_token(found[limit][0], start)
        streams = [decode(Stream, data) for _, data in found[:limit]]
    answer: Answer = {"logStreams": [_describe(ctx, group.name, stream) for stream in streams]}
    if more:
        answer["nextToken"] = more
    return answer


async def _all(tx: Reader, start: bytes, end: bytes) -> list[Stream]:
    out: list[Stream] = []
    while found := await tx.scan(start, end, limit=SCAN_LIMIT):
        out += [decode(Stream, data) for _, data in found]
        start = after(found[-1][0])
    return out


def _place_of(streams: list[Stream], name: str) -> int:
    for at, stream in enumerate(streams):
        if stream.name == name:
            return at
    raise errors.bad_token()


async def delete_log_stream(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await get_group(ctx, tx, request["logGroupName"])
    if group.deletion_protection:
        raise errors.protected()
    stream = await get_stream(ctx, tx, group, request["logStreamName"])
    tx.delete(keys.stream(ctx.account, ctx.region, group.id, stream.name))
    tx.put(keys.garbage(stream.id), b"")
    tx.on_commit(lambda: ctx.cloud.nudge("logs.sweep"))
