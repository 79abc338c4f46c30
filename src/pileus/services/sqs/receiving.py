"""Receiving: what a caller asks for, waiting for it, and how messages are shown.

Sources: the API reference's page ReceiveMessage; "Amazon SQS short and long polling", "Receiving message quickly with
ReceiveRequestAttemptId" (Amazon SQS Developer Guide); recorded answers of AWS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from pileus.cloud.context import Context
from pileus.services.sqs import errors, fifo, handles, keys
from pileus.services.sqs.content import attributes_md5
from pileus.services.sqs.handles import Handle
from pileus.services.sqs.memory import Memory, Waiter
from pileus.services.sqs.messages import kind_of, receive
from pileus.services.sqs.permissions import on_queue
from pileus.services.sqs.places import Taken
from pileus.services.sqs.queues import Live, counts_of, find
from pileus.services.sqs.records import Attempt, Counts, decode, encode
from pileus.services.sqs.sending import sequence_number
from pileus.store.contract import Transaction

# Of either type of queue: "Amazon SQS standard queue quotas", "Amazon SQS FIFO queue quotas".
IN_FLIGHT_MAX = 120_000
VISIBILITY_MAX_S = 43_200
WAIT_MAX_S = 20
ATTEMPT_MS = 5 * 60 * 1000
_needed = on_queue("ReceiveMessage")


class Wanted(NamedTuple):
    limit: int
    # Seconds; None: the queue's own.
    visibility_s: int | None
    attributes: frozenset[str]
    # Names, and beginnings of names with ".*" behind them.
    message_attributes: tuple[str, ...]
    attempt: str


def read(request: dict[str, Any]) -> Wanted:
    limit = request.get("MaxNumberOfMessages")
    if limit is not None and not 1 <= limit <= 10:
        raise errors.invalid_value(limit, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
    wait = request.get("WaitTimeSeconds")
    if wait is not None and not 0 <= wait <= WAIT_MAX_S:
        raise errors.invalid_value(wait, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
    visibility = request.get("VisibilityTimeout")
    if visibility is not None and not 0 <= visibility <= VISIBILITY_MAX_S:
        raise errors.invalid_value(visibility, "VisibilityTimeout", "Must be between 0 and 43200, if provided.")
    names = frozenset((*request.get("AttributeNames", ()), *request.get("MessageSystemAttributeNames", ())))
    for name in names:
        if name not in _SHOWN and name != "All":
            raise errors.unknown_attribute(name)
    return Wanted(
        1 if limit is None else limit,
        visibility,
        names,
        tuple(request.get("MessageAttributeNames", ())),
        request.get("ReceiveRequestAttemptId", ""),
    )


class Outcome(NamedTuple):
    queue: Live
    messages: list[Taken]


async def take(
    ctx: Context,
    request: dict[str, Any],
    wanted: Wanted,
    now: int,
    asks: bool,
    join: Callable[[Live], None],
    tx: Transaction,
) -> Outcome:
    """Receive once. `asks`: whether it is allowed. Who waits is not told that too many messages are in flight.

    Where there is nothing, `join` is called as the transaction commits: a message that comes with the same commit, and
    after this transaction, finds the receiver in line.
    """
    if asks and ctx.permit is not None:
        await ctx.permit(ctx, tx, _needed(ctx, request))
    queue = await find(ctx, tx, request["QueueUrl"])
    counts = await counts_of(tx, queue)
    visibility_s = queue.visibility_s if wanted.visibility_s is None else wanted.visibility_s
    if wanted.attempt and queue.fifo:
        repeated = await _repeat(tx, queue, counts, wanted.attempt, now + visibility_s * 1000, now)
        if repeated is not None:
            tx.put(queue.counts_key, encode(counts))
            return Outcome(queue, repeated)
    before = encode(counts)
    messages: list[Taken] = []
    if counts.in_flight >= IN_FLIGHT_MAX:
        # Those whose time has run out are not in flight any more.
        await kind_of(queue).promote(tx, queue, counts, now, 1000)
    limit = min(wanted.limit, IN_FLIGHT_MAX - counts.in_flight)
    if limit > 0:
        messages = await receive(ctx.cloud, tx, queue, counts, limit, visibility_s * 1000, now)
    elif not queue.fifo and not request.get("WaitTimeSeconds", queue.wait_s):
        raise errors.too_many_in_flight()
    after = encode(counts)
    if after != before:
        tx.put(queue.counts_key, after)
    if messages:
        if wanted.attempt and queue.fifo:
            _note_attempt(tx, queue, wanted.attempt, messages, now)
        if counts.visible > 0:
            tx.on_commit(lambda: ctx.cloud.part(Memory).arrived(queue.id, 1))
    else:
        tx.on_commit(partial(join, queue))
    return Outcome(queue, messages)


async def _repeat(
    tx: Transaction, queue: Live, counts: Counts, attempt_id: str, due: int, now: int
) -> list[Taken] | None:
    """What an earlier call with the same attempt id was answered; None where there was none.

    Raises InvalidParameterValue where something has happened to one of its messages since.
    """
    key = keys.attempt(queue.id, attempt_id)
    raw = await tx.get(key)
    if raw is None:
        return None
    attempt = decode(Attempt, raw)
    if attempt.expires <= now:
        return None
    messages = await fifo.again(tx, queue, counts, attempt.messages, attempt.due, due, now)
    if messages is None:
        raise errors.attempt_over(attempt_id)
    attempt.due = due
    tx.put(key, encode(attempt))
    return messages


def _note_attempt(tx: Transaction, queue: Live, attempt_id: str, messages: list[Taken], now: int) -> None:
    key = keys.attempt(queue.id, attempt_id)
    expires = now + ATTEMPT_MS
    taken = [(one.content.group, one.seq, one.entry.count) for one in messages]
    tx.put(key, encode(Attempt(expires, taken, messages[0].due)))
    tx.put(keys.expiry(expires, key), b"")


async def receive_waiting(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    """Receive; where there is nothing, wait for it as long as the caller or the queue says."""
    wanted = read(request)
    clock = ctx.cloud.clock
    wait_s = request.get("WaitTimeSeconds")
    gone: asyncio.Future[None] | None = None
    memory = ctx.cloud.part(Memory)
    now, asks = ctx.now, True
    place: tuple[Live, Waiter] | None = None

    def join(queue: Live) -> None:
        nonlocal place
        deadline = ctx.now + (queue.wait_s if wait_s is None else wait_s)
        if clock.time() < deadline and not memory.closed:
            place = queue, memory.wait(queue.id, deadline)

    try:
        while True:
            moment = int(now * 1000)
            outcome = await ctx.cloud.store.write(partial(take, ctx, request, wanted, moment, asks, join))
            asks = False
            if outcome.messages:
                return {"Messages": [show(outcome.queue, one, wanted) for one in outcome.messages]}
            if place is None:
                return {}
            if gone is None and ctx.http.disconnected is not None:
                gone = asyncio.ensure_future(ctx.http.disconnected())
            queue, waiter = place
            if gone is None:
                await waiter.future
            else:
                await asyncio.wait((waiter.future, gone), return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return {}
            memory.leave(queue.id, waiter)
            place = None
            now = clock.time()
    finally:
        if place is not None:
            # Gone, or cancelled, the while it waited.
            queue, waiter = place
            _pass_on(memory, queue, waiter.future)
            memory.leave(queue.id, waiter)
        if gone is not None:
            gone.cancel()


def _pass_on(memory: Memory, queue: Live, woken: asyncio.Future[None]) -> None:
    """Somebody who was woken will not receive: the next one shall."""
    if woken.done():
        memory.arrived(queue.id, 1)


# ------------------------------------------------------------------------------------------------------ as it is shown


def _shown_attributes(queue: Live, one: Taken) -> dict[str, str]:
    entry, content = one.entry, one.content
    shown = {
        "SenderId": content.sender,
        "ApproximateFirstReceiveTimestamp": str(entry.first),
        "ApproximateReceiveCount": str(entry.count),
        "SentTimestamp": str(entry.sent),
    }
    if queue.fifo:
        shown["SequenceNumber"] = sequence_number(one.seq)
        shown["MessageDeduplicationId"] = content.deduplication
    if content.group:
        shown["MessageGroupId"] = content.group
    if content.trace:
        shown["AWSTraceHeader"] = content.trace
    if content.source:
        shown["DeadLetterQueueSourceArn"] = content.source
    return shown


_SHOWN = frozenset(
    (
        "SenderId",
        "ApproximateFirstReceiveTimestamp",
        "ApproximateReceiveCount",
        "SentTimestamp",
        "SequenceNumber",
        "MessageDeduplicationId",
        "MessageGroupId",
        "AWSTraceHeader",
        "DeadLetterQueueSourceArn",
    )
)


def handle_of(queue: Live, one: Taken) -> str:
    group, due = "", one.due
    if queue.fifo:
        # The line says where the message is; a repeated receive gives the same handle with a later time.
        group, due = one.content.group, min(one.due, 1)
    return handles.write(Handle(queue.id, queue.data, one.seq, one.entry.rank, due, one.entry.count, group))


def show(queue: Live, one: Taken, wanted: Wanted) -> dict[str, Any]:
    content = one.content
    message: dict[str, Any] = {
        "MessageId": content.id,
        "ReceiptHandle": handle_of(queue, one),
        "MD5OfBody": content.md5,
        "Body": content.body,
    }
    if wanted.attributes:
        attributes = _shown_attributes(queue, one)
        if "All" not in wanted.attributes:
            attributes = {name: value for name, value in attributes.items() if name in wanted.attributes}
        if attributes:
            message["Attributes"] = attributes
    if wanted.message_attributes and content.attributes:
        chosen = _choose(content.attributes, wanted.message_attributes)
        if chosen:
            message["MessageAttributes"] = chosen
            message["MD5OfMessageAttributes"] = (
                content.attributes_md5 if len(chosen) == len(content.attributes) else attributes_md5(chosen)
            )
    return message


def _choose(attributes: dict[str, dict[str, Any]], names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    if "All" in names or ".*" in names:
        return attributes
    exact = {name for name in names if not name.endswith(".*")}
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    return {name: value for name, value in attributes.items() if name in exact or name.startswith(prefixes)}
