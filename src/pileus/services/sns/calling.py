"""Deliveries over HTTP.

A subscriber's messages go out in a few lanes, so one that hangs keeps a few requests busy and nobody else waiting. What
fails leaves its lane and comes back later in another one, so that it holds up nothing behind it either.

Sources: "Fanout to HTTP/S endpoints", "Amazon SNS message delivery retries" of the developer guide; recorded answers.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import blake2b
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from pileus.cloud import outgoing
from pileus.cloud.context import Cloud
from pileus.delivery.contract import Dead, Delivery
from pileus.services.sns import feedback, metrics
from pileus.services.sns.delivery_policies import CONTENT_TYPE
from pileus.services.sns.envelopes import Envelopes
from pileus.services.sns.payloads import DEAD, HTTP, payload_of, read_payload
from pileus.services.sns.records import Message, Recipient
from pileus.store.contract import Transaction

# "Your endpoint has 15 seconds to respond."
TIMEOUT_S = 15.0
LANES = 4
# Requests under way: they cost little while they wait.
LIMIT = 2048
USER_AGENT = "Amazon Simple Notification Service Agent"


class Rates:
    """When a subscriber whose policy has a throttle may be called next; in `cloud.parts`."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    async def wait(self, cloud: Cloud, to: Recipient) -> None:
        if not to.rate:
            return
        now = cloud.clock.time()
        at = max(now, self._next.get(to.id, 0.0))
        if len(self._next) > 10_000:
            self._next.clear()
        self._next[to.id] = at + 1.0 / to.rate
        if at > now:
            await cloud.clock.sleep(at - now)


def put(
    cloud: Cloud, tx: Transaction, message: bytes, message_id: str, to: Recipient, *, now: float, attempt: int = 1
) -> None:
    lane = blake2b(message_id.encode(), digest_size=1).digest()[0] % LANES
    due = now + to.waits[attempt - 2] if attempt > 1 else now
    order = f"{to.id}/{'again' if attempt > 1 else ''}{lane}"
    payload = payload_of(message, (to,)) | {"attempt": attempt}
    cloud.outbox.put(tx, target=HTTP, payload=payload, now=now, due=due, order=order, dead_target=DEAD)


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler: one attempt; the next one, or the dead letter, is a delivery of its own."""
    message, recipients = read_payload(delivery.payload)
    to, attempt = recipients[0], delivery.payload["attempt"]
    await cloud.part(Rates).wait(cloud, to)
    error, final = await call(cloud, to.endpoint, await _headers(message, to), await _body(cloud, message, to))
    if not error:
        metrics.count(cloud, metrics.DELIVERED, message.topic_arn)
        if message.feedback:
            await feedback.succeeded(cloud, message, to)
        return

    async def go_on(tx: Transaction) -> None:
        now = cloud.clock.time()
        if not final and attempt <= len(to.waits):
            put(cloud, tx, delivery.payload["message"], message.id, to, now=now, attempt=attempt + 1)
            return
        reason: Literal["Undeliverable", "AttemptsExhausted"] = "Undeliverable" if final else "AttemptsExhausted"
        lost = msgspec.structs.replace(delivery, attempts=attempt, last_error=error)
        payload = msgspec.to_builtins(Dead(delivery=lost, reason=reason), builtin_types=(bytes,))
        cloud.outbox.put(tx, target=DEAD, payload=payload, now=now)

    await cloud.store.write(go_on)


async def call(cloud: Cloud, url: str, headers: list[tuple[str, str]], body: str) -> tuple[str, bool]:
    """What went wrong ("": nothing), and whether it will go wrong again."""
    parts = urlsplit(url)
    if parts.username is not None:
        who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = [*headers, ("Authorization", f"Basic {b64encode(who.encode()).decode()}")]
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        answer = await outgoing.request("POST", url, headers=headers, body=body.encode(), timeout_s=TIMEOUT_S)
    except outgoing.CannotConnect as error:
        return str(error), False
    if 200 <= answer.status < 300:
        return "", False
    # What the endpoint says of itself may change; what it says of the request will not.
    passing = answer.status < 200 or answer.status >= 500 or answer.status == 429
    return f"{parts.hostname} answered {answer.status}", not passing


def headers_for(kind: str, message_id: str, topic_arn: str, content_type: str) -> list[tuple[str, str]]:
    return [
        ("x-amz-sns-message-type", kind),
        ("x-amz-sns-message-id", message_id),
        ("x-amz-sns-topic-arn", topic_arn),
        ("Content-Type", content_type or CONTENT_TYPE),
        ("User-Agent", USER_AGENT),
        ("Accept-Encoding", "gzip,deflate"),
    ]


async def _headers(message: Message, to: Recipient) -> list[tuple[str, str]]:
    headers = headers_for("Notification", message.id, message.topic_arn, to.content_type)
    headers.append(("x-amz-sns-subscription-arn", f"{message.topic_arn}:{to.id}"))
    if to.raw:
        headers.append(("x-amz-sns-rawdelivery", "true"))
    if message.trace:
        headers.append(("X-Amzn-Trace-Id", message.trace))
    return headers


async def _body(cloud: Cloud, message: Message, to: Recipient) -> str:
    if to.raw:
        return message.body_for(to.protocol)
    return await Envelopes(cloud, message).notification(to.protocol, to.id)
