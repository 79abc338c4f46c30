"""Checking what is sent, and putting it into a queue.

Sources: the API reference's pages SendMessage and SendMessageBatch; "Exactly-once processing in Amazon SQS", "High
throughput for FIFO queues" (Amazon SQS Developer Guide); recorded answers of AWS.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.services.sqs import content, errors, keys
from pileus.services.sqs.messages import kind_of
from pileus.services.sqs.queues import Live
from pileus.services.sqs.records import Content, Counts, Deduplication, Entry, decode, encode
from pileus.store.contract import Transaction

TRACE_CHARS_MAX = 1024
DELAY_MAX_S = 900
DEDUPLICATION_MS = 5 * 60 * 1000
_SEQUENCE_BASE = 18_870_000_000_000_000_000


class Sent(msgspec.Struct, gc=False):
    """A checked message."""

    content: Content
    size: int
    delay_ms: int
    trace_md5: str


def sequence_number(seq: int) -> str:
    """20 digits, as at AWS; larger for every later message of the queue, and not consecutive."""
    return str(_SEQUENCE_BASE + seq * 256)


def sender_id(ctx: Context) -> str:
    """The unique id of a user, role and session (AIDA..., AROA...:session), else the account."""
    principal = ctx.principal
    return principal.id or principal.account or "anonymous"


def check_sending(request: dict[str, Any], queue: Live) -> None:
    """What fails a call, and a whole batch."""
    group, deduplication = request.get("MessageGroupId"), request.get("MessageDeduplicationId")
    if queue.fifo and not group and group != "":
        raise errors.missing("MessageGroupId")
    if group is not None:
        content.check_id(group, "MessageGroupId")
    if deduplication is not None:
        if not queue.fifo:
            raise errors.invalid_value(
                deduplication,
                "MessageDeduplicationId",
                "The request include parameter that is not valid for this queue type.",
            )
        content.check_id(deduplication, "MessageDeduplicationId")
    elif queue.fifo and queue.setting("ContentBasedDeduplication") != "true":
        raise errors.invalid(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly"
        )


def check(ctx: Context, request: dict[str, Any], queue: Live) -> Sent:
    """The message of a SendMessage request or a batch's entry. Raises what is wrong with it."""
    body: str = request.get("MessageBody", "")
    if not body:
        raise errors.missing("MessageBody")
    delay = request.get("DelaySeconds")
    if delay is not None and not 0 <= delay <= DELAY_MAX_S:
        raise errors.invalid_value(delay, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
    if delay and queue.fifo:
        raise errors.invalid_value(
            delay, "DelaySeconds", "The request include parameter that is not valid for this queue type."
        )
    data = body.encode()
    content.check_body(body, data)
    size = len(data)
    attributes: content.Attributes = {}
    attributes_md5 = trace = trace_md5 = ""
    if given := request.get("MessageAttributes"):
        attributes = content.check_attributes(given)
        size += content.attributes_bytes(attributes)
        attributes_md5 = content.attributes_md5(attributes)
    if system := request.get("MessageSystemAttributes"):
        trace, trace_md5 = _trace(system)
    # "X-Ray and Amazon SQS": instrumented clients send the header of the request itself.
    trace = trace or ctx.http.headers.get("x-amzn-trace-id", "")[:TRACE_CHARS_MAX]
    group = request.get("MessageGroupId") or ""
    deduplication = request.get("MessageDeduplicationId") or ""
    if queue.fifo and not deduplication:
        deduplication = sha256(data).hexdigest()
    message = Content(
        id=ctx.cloud.ids.uuid(),
        body=body,
        md5=content.body_md5(data),
        sender=sender_id(ctx),
        attributes=attributes,
        attributes_md5=attributes_md5,
        trace=trace,
        group=group,
        deduplication=deduplication,
    )
    delay_ms = queue.delay_ms if delay is None or queue.fifo else delay * 1000
    return Sent(message, size, delay_ms, trace_md5)


def _trace(system: dict[str, Any]) -> tuple[str, str]:
    unknown = [name for name in system if name != "AWSTraceHeader"]
    if unknown:
        raise errors.invalid(f"Message system attribute name '{unknown[0]}' is invalid.")
    attributes = content.check_attributes(system, "system")
    value = attributes["AWSTraceHeader"]
    if value["DataType"] != "String":
        raise errors.invalid("Message (system) attribute 'AWSTraceHeader' must be of type 'String'.")
    return value["StringValue"], content.attributes_md5(attributes)


async def put(tx: Transaction, queue: Live, counts: Counts, sent: Sent, now: int, answer: dict[str, Any]) -> int | None:
    """Put a checked message into the queue, and what is said of it into `answer`.

    Returns when it becomes visible (0: now), for `messages.tell_of`; None where it repeats another and is not kept.
    """
    message = sent.content
    answer["MD5OfMessageBody"] = message.md5
    answer["MessageId"] = message.id
    if message.attributes_md5:
        answer["MD5OfMessageAttributes"] = message.attributes_md5
    if sent.trace_md5:
        answer["MD5OfMessageSystemAttributes"] = sent.trace_md5
    if queue.fifo:
        known = await _known(tx, queue, message, now)
        if known is not None:
            answer["MessageId"] = known.message_id
            answer["SequenceNumber"] = sequence_number(known.seq)
            return None
        _remember(tx, queue, message, counts.seq, now)
        answer["SequenceNumber"] = sequence_number(counts.seq)
    due = now + sent.delay_ms if sent.delay_ms else 0
    await kind_of(queue).put(tx, queue, counts, Entry(sent=now), message, due)
    return due


async def _known(tx: Transaction, queue: Live, message: Content, now: int) -> Deduplication | None:
    """The message that this one repeats, in the queue or, where that is its scope, in the group.

    Both are looked up, so that changing the scope lets no repetition through that was one before.
    """
    for group in ("", message.group):
        raw = await tx.get(keys.deduplication(queue.id, group, message.deduplication))
        if raw is not None:
            known = decode(Deduplication, raw)
            if known.expires > now:
                return known
    return None


def _remember(tx: Transaction, queue: Live, message: Content, seq: int, now: int) -> None:
    group = message.group if queue.setting("DeduplicationScope") == "messageGroup" else ""
    key = keys.deduplication(queue.id, group, message.deduplication)
    expires = now + DEDUPLICATION_MS
    tx.put(key, encode(Deduplication(expires, message.id, seq)))
    tx.put(keys.expiry(expires, key), b"")
