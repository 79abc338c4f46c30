"""DynamoDB Streams.

Sources: the API reference's pages DescribeStream, GetRecords, GetShardIterator, ListStreams; their records.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.kernel.raw import RawJson
from pileus.services.dynamodb import errors, iterators, keys, records, schema, streams, values
from pileus.services.dynamodb.iterators import Place
from pileus.store.contract import Reader
from pileus.store.keys import after

RECORDS_MAX = 1000
PAGE_BYTES_MAX = 1 << 20
SHARDS_MAX = 100
STREAMS_MAX = 100
# Records read at a time: images are large.
_BATCH = 50


async def list_streams(ctx: Context, tx: Reader, request: Request) -> Answer:
    limit = _limit(request, STREAMS_MAX)
    start, stop = keys.streams(ctx.account, ctx.region, request.get("TableName"))
    if "ExclusiveStartStreamArn" in request:
        table, label = _parts(ctx, request["ExclusiveStartStreamArn"])
        start = max(start, after(keys.stream(ctx.account, ctx.region, table, label)))
    found = await tx.scan(start, max(start, stop), limit=limit + 1)
    listed = []
    for _, raw in found[:limit]:
        stream = records.decode_stream(raw)
        listed.append({"StreamArn": _arn(ctx, stream), "TableName": stream.table, "StreamLabel": stream.label})
    answer: Answer = {"Streams": listed}
    if len(found) > limit:
        answer["LastEvaluatedStreamArn"] = listed[-1]["StreamArn"]
    return answer


async def describe_stream(ctx: Context, tx: Reader, request: Request) -> Answer:
    limit = _limit(request, SHARDS_MAX)
    stream = await load(ctx, tx, request["StreamArn"])
    shards = [_shard(stream)]
    if "ShardFilter" in request:
        wanted = request["ShardFilter"].get("ShardId")
        if wanted is None:
            raise errors.validation("ShardFilter must have a ShardId")
        if wanted != streams.shard_id(stream):
            raise errors.no_shard()
        # Its only shard has no children.
        shards = []
    behind = request.get("ExclusiveStartShardId", "")
    return {
        "StreamDescription": {
            "StreamArn": request["StreamArn"],
            "StreamLabel": stream.label,
            "StreamStatus": "DISABLED" if stream.ended else "ENABLED",
            "StreamViewType": stream.view,
            "CreationRequestDateTime": stream.created,
            "TableName": stream.table,
            "KeySchema": schema.described([stream.hash], [stream.range]),
            "Shards": [shard for shard in shards if shard["ShardId"] > behind][:limit],
        }
    }


def _shard(stream: records.Stream) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": streams.shown_number(stream.first)}
    if stream.ended:
        numbers["EndingSequenceNumber"] = streams.shown_number(max(stream.first, stream.last))
    return {"ShardId": streams.shard_id(stream), "SequenceNumberRange": numbers}


async def get_shard_iterator(ctx: Context, tx: Reader, request: Request) -> Answer:
    stream = await load(ctx, tx, request["StreamArn"])
    if request["ShardId"] != streams.shard_id(stream):
        raise errors.no_shard()
    last = await _last(ctx, tx, stream)
    kind = request["ShardIteratorType"]
    oldest = False
    match kind:
        case "TRIM_HORIZON":
            number, oldest = stream.first, True
        case "LATEST":
            number = last + 1
        case "AT_TIMESTAMP":
            number = await _at_time(ctx, tx, stream, request, last)
        case _:
            number = await _at_number(ctx, tx, stream, request, last)
    return {"ShardIterator": _iterator(ctx, request["StreamArn"], number, oldest=oldest)}


async def _at_number(ctx: Context, tx: Reader, stream: records.Stream, request: Request, last: int) -> int:
    kind = request["ShardIteratorType"]
    if "SequenceNumber" not in request:
        raise errors.validation(f"SequenceNumber must be specified with ShardIteratorType {kind}")
    number = streams.number_of(request["SequenceNumber"])
    if number is None or not stream.first <= number <= max(last, stream.first):
        raise errors.validation(f"Invalid SequenceNumber: {request['SequenceNumber']}")
    if kind == "AFTER_SEQUENCE_NUMBER" and number <= last:
        number += 1
    await _check_kept(ctx, tx, stream, number, last)
    return number


async def _at_time(ctx: Context, tx: Reader, stream: records.Stream, request: Request, last: int) -> int:
    if "Timestamp" not in request:
        raise errors.validation("Timestamp must be specified with ShardIteratorType AT_TIMESTAMP")
    wanted = request["Timestamp"]
    if wanted > ctx.now:
        raise errors.validation("Timestamp must not be in the future")
    # The records stand in the order of their times, all of their numbers are there: halve the range.
    first = await _first_kept(ctx, tx, stream)
    if first is None:
        return last + 1
    low, high = first, last + 1
    prefix = keys.changes(ctx.account, ctx.region, stream.table_id)
    while low < high:
        middle = (low + high) // 2
        raw = await tx.get(keys.change(prefix, middle))
        if raw is None or records.decode_change(raw).at < wanted:
            low = middle + 1
        else:
            high = middle
    return low


async def get_records(ctx: Context, tx: Reader, request: Request) -> Answer:
    limit = _limit(request, RECORDS_MAX)
    place = iterators.decode(request["ShardIterator"])
    stream = await load(ctx, tx, place.stream)
    if place.expires_ms <= ctx.now * 1000:
        raise errors.expired_iterator()
    last = await _last(ctx, tx, stream)
    if not place.oldest:
        await _check_kept(ctx, tx, stream, place.number, last)
    start, stop = streams.span(ctx.account, ctx.region, stream, place.number)
    prefix = keys.changes(ctx.account, ctx.region, stream.table_id)
    found: list[dict[str, Any]] = []
    number, size = place.number, 0
    while len(found) < limit:
        rows = await tx.scan(start, max(start, stop), limit=min(_BATCH, limit - len(found)))
        for key, raw in rows:
            change = records.decode_change(raw)
            size += change.size
            if found and size > PAGE_BYTES_MAX:
                break
            number = keys.change_number(prefix, key) + 1
            found.append(_record(ctx, stream, change, number - 1))
        else:
            if rows:
                start = after(rows[-1][0])
                continue
        break
    answer: Answer = {"Records": found}
    # A shard that has ended has nothing behind its last record.
    if not stream.ended or number <= stream.last:
        answer["NextShardIterator"] = _iterator(ctx, place.stream, number, oldest=place.oldest and not found)
    return answer


def _record(ctx: Context, stream: records.Stream, change: records.Change, number: int) -> dict[str, Any]:
    inner: dict[str, Any] = {
        "ApproximateCreationDateTime": float(change.at),
        "Keys": RawJson(change.keys, values.plain),
    }
    if change.new is not None:
        inner["NewImage"] = RawJson(change.new, values.plain)
    if change.old is not None:
        inner["OldImage"] = RawJson(change.old, values.plain)
    inner |= {
        "SequenceNumber": streams.shown_number(number),
        "SizeBytes": change.size,
        "StreamViewType": stream.view,
    }
    found: dict[str, Any] = {
        "eventID": change.id,
        "eventName": change.name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": ctx.region,
        "dynamodb": inner,
    }
    if change.by_ttl:
        found["userIdentity"] = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    return found


def _limit(request: Request, most: int) -> int:
    limit: int = request.get("Limit", most)
    if limit > most:
        raise errors.constraint(str(limit), "limit", f"Member must have value less than or equal to {most}")
    return limit


def _arn(ctx: Context, stream: records.Stream) -> str:
    return streams.stream_arn(ctx.region, ctx.account, stream.table, stream.label)


def _parts(ctx: Context, text: str) -> tuple[str, str]:
    """The table's name and the label in a stream's ARN."""
    arn = parse_arn(text)
    kind, _, rest = ("", "", "") if arn is None else arn.resource.partition("/")
    table, _, label = rest.partition("/stream/")
    if arn is None or arn.service != "dynamodb" or kind != "table" or not table or not label:
        raise errors.validation(f"Invalid StreamArn: {text}")
    if arn.account != ctx.account:
        raise AWSError(
            "AccessDeniedException",
            f"User: {ctx.principal.arn} is not authorized to perform: dynamodb:{ctx.operation} on resource: {text}",
        )
    if arn.region != ctx.region:
        raise errors.no_stream(text)
    return table, label


async def load(ctx: Context, tx: Reader, text: str) -> records.Stream:
    """The stream of that ARN."""
    table, label = _parts(ctx, text)
    raw = await tx.get(keys.stream(ctx.account, ctx.region, table, label))
    if raw is None:
        raise errors.no_stream(text)
    return records.decode_stream(raw)


async def _last(ctx: Context, tx: Reader, stream: records.Stream) -> int:
    """The number of the stream's last record; of the one before its first where it has none."""
    if stream.ended:
        return stream.last
    return await streams.last_number(tx, keys.sequence(ctx.account, ctx.region, stream.table_id))


async def _first_kept(ctx: Context, tx: Reader, stream: records.Stream) -> int | None:
    rows = await tx.scan(*streams.span(ctx.account, ctx.region, stream), limit=1)
    return keys.change_number(keys.changes(ctx.account, ctx.region, stream.table_id), rows[0][0]) if rows else None


async def _check_kept(ctx: Context, tx: Reader, stream: records.Stream, number: int, last: int) -> None:
    """Refuse a place whose record is there no more."""
    if number > last:
        return
    first = await _first_kept(ctx, tx, stream)
    if first is None or number < first:
        raise errors.trimmed()


def _iterator(ctx: Context, arn: str, number: int, *, oldest: bool) -> str:
    return iterators.encode(Place(arn, number, int((ctx.now + iterators.AGE_MAX_S) * 1000), oldest))
