"""From a published message to the deliveries to the subscriptions that it is for.

Messages of standard topics are fanned out by one delivery for many subscriptions; what fails there is tried again on
its own. In FIFO topics every subscription has a line of its own for each message group, in which nothing overtakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from pileus.cloud.context import Cloud, Context
from pileus.services.sns import calling, content, data_protection, errors, feedback, keys, metrics
from pileus.services.sns.envelopes import shown_time
from pileus.services.sns.payloads import AUDIT, DEAD, FAN_OUT, IN_ORDER, payload_of
from pileus.services.sns.records import Deduplication, Message, Recipient, decode, encode
from pileus.services.sns.topics import HTTP, Live, Matches, counts_of, members_of
from pileus.store.contract import Transaction

DEDUPLICATION_MS = 5 * 60 * 1000
# Subscriptions that one delivery fans out to.
FAN_OUT_MAX = 200
# "Amazon managed endpoints": 3 times at once, 2 times after 1 s, 10 times after 1 to 20 s, then every 20 s for 23 days.
BACKOFF_S = (0.0, 0.0, 0.0, 1.0, 1.0, *(20.0 ** (step / 9) for step in range(10)), 20.0)
ATTEMPTS_MAX = 100_015
AGE_MAX_S = 23 * 24 * 3600.0


def check_message(ctx: Context, topic: Live, request: dict[str, Any]) -> Message:
    """The message of a Publish, or of an entry of a batch; raises what is wrong with it."""
    text = request["Message"]
    if not text:
        raise errors.invalid("Empty message")
    subject = content.check_subject(request.get("Subject"))
    attributes = content.check_attributes(request.get("MessageAttributes") or {})
    group, deduplication = request.get("MessageGroupId"), request.get("MessageDeduplicationId")
    if topic.fifo:
        if not group:
            raise errors.invalid("The MessageGroupId parameter is required for FIFO topics")
        if not deduplication and topic.setting("ContentBasedDeduplication") != "true":
            raise errors.invalid(
                "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                "explicitly"
            )
    elif deduplication is not None:
        raise errors.invalid_reason(
            "MessageDeduplicationId",
            "The request includes MessageDeduplicationId parameter that is not valid for this topic type",
        )
    if group is not None:
        content.check_id(group, "MessageGroupId")
    if deduplication is not None:
        content.check_id(deduplication, "MessageDeduplicationId")
    if content.size_of(text, attributes) > topic.message_bytes_max:
        raise errors.invalid("Message too long")
    bodies = content.bodies_of(text, request.get("MessageStructure"))
    body = bodies.get("default", text)
    if topic.fifo and not deduplication:
        deduplication = sha256(body.encode()).hexdigest()
    return Message(
        id=ctx.cloud.ids.uuid(),
        topic_arn=topic.at.arn,
        time=ctx.now,
        body=body,
        bodies=bodies,
        subject=subject,
        attributes=attributes,
        group=group or "",
        deduplication=deduplication or "",
        trace=ctx.http.headers.get("x-amzn-trace-id", ""),
        signature_version=topic.setting("SignatureVersion", "1"),
        feedback=feedback.settings_of(topic),
    )


def protect(ctx: Context, tx: Transaction, topic: Live, message: Message) -> Message:
    """The message as the topic's data protection policy lets it in. Raises AuthorizationError."""
    policy = topic.record.data_protection
    if not policy:
        return message
    principal = ctx.principal.role_arn or ctx.principal.arn or ctx.principal.service
    sample = ctx.cloud.ids.uniform(0.0, 100.0)
    for group, text in data_protection.reports(policy, message, principal, sample=sample, time=shown_time(ctx.now)):
        payload = {"topic": topic.at.arn, "group": group, "report": text}
        ctx.cloud.outbox.put(tx, target=AUDIT, payload=payload, now=ctx.now, age_max_s=3600.0)
    try:
        return data_protection.let_in(policy, message, principal)
    except data_protection.Denied:
        raise errors.not_authorized(
            "The message is denied: it has data that the topic's data protection policy does not let in"
        ) from None


async def publish(
    cloud: Cloud, tx: Transaction, topic: Live, message: Message, *, now: float, matches: Matches | None = None
) -> dict[str, str]:
    """Put the deliveries of a checked message; returns what the answer says of it.

    Raises Unmatched where matching takes long and is not done; without `matches` it is done however long it takes.
    """
    if topic.fifo:
        known = await _known(tx, topic, message, now=now)
        if known is not None:
            return {"MessageId": known.message_id, "SequenceNumber": known.sequence}
        message.sequence = await _next_sequence(tx, topic)
        _remember(tx, topic, message, now=now)
        if topic.setting("ArchivePolicy"):
            tx.put(keys.archived(topic.id, int(message.time * 1000), message.sequence), encode(message))
    members = await members_of(tx, topic)
    recipients, filtered = members.wanting(message.attributes, message.body, matches)
    policy = topic.record.data_protection
    if policy and recipients:
        for shown, own in data_protection.let_out(policy, message, recipients, members.principals):
            put_deliveries(cloud, tx, shown, own, now=now)
    elif recipients:
        put_deliveries(cloud, tx, message, recipients, now=now)
    tx.on_commit(partial(_count, cloud, message, filtered))
    answer = {"MessageId": message.id}
    return answer | {"SequenceNumber": message.sequence} if message.sequence else answer


def _count(cloud: Cloud, message: Message, filtered: int) -> None:
    metrics.count(cloud, metrics.PUBLISHED, message.topic_arn)
    metrics.count(cloud, metrics.SIZE, message.topic_arn, content.size_of(message.body, message.attributes))
    if filtered:
        metrics.count(cloud, metrics.FILTERED_OUT, message.topic_arn, filtered)


def put_deliveries(
    cloud: Cloud, tx: Transaction, message: Message, recipients: Sequence[Recipient], *, now: float
) -> None:
    data = encode(message)
    if message.sequence:
        for one in recipients:
            put_retried(cloud, tx, IN_ORDER, data, one, now=now, order=f"{one.id}/{message.group}")
        return
    inside: list[Recipient] = []
    for one in recipients:
        if one.protocol in HTTP:
            calling.put(cloud, tx, data, message.id, one, now=now)
        else:
            inside.append(one)
    for at in range(0, len(inside), FAN_OUT_MAX):
        part = inside[at : at + FAN_OUT_MAX]
        cloud.outbox.put(tx, target=FAN_OUT, payload=payload_of(data, part), now=now, age_max_s=AGE_MAX_S)


def put_retried(
    cloud: Cloud, tx: Transaction, target: str, message: bytes, recipient: Recipient, *, now: float, order: str = ""
) -> None:
    """A delivery to one subscription, tried as often as SNS tries."""
    cloud.outbox.put(
        tx,
        target=target,
        payload=payload_of(message, (recipient,)),
        now=now,
        order=order,
        attempts_max=ATTEMPTS_MAX,
        age_max_s=AGE_MAX_S,
        backoff_s=BACKOFF_S,
        dead_target=DEAD,
    )


async def _next_sequence(tx: Transaction, topic: Live) -> str:
    counts = await counts_of(tx, topic.id)
    counts.sequence += 1
    tx.put(keys.counts(topic.id), encode(counts))
    return f"1{counts.sequence * 1000:019d}"


def _scope(topic: Live, message: Message) -> str:
    return message.group if topic.setting("FifoThroughputScope") == "MessageGroup" else ""


async def _known(tx: Transaction, topic: Live, message: Message, *, now: float) -> Deduplication | None:
    """The message that this one repeats, in the topic or, where that is its scope, in the group.

    Both are looked up, so that changing the scope lets no repetition through that was one before.
    """
    for group in ("", message.group):
        raw = await tx.get(keys.deduplication(topic.id, group, message.deduplication))
        if raw is not None:
            known = decode(Deduplication, raw)
            if known.expires_ms > now * 1000:
                return known
    return None


def _remember(tx: Transaction, topic: Live, message: Message, *, now: float) -> None:
    key = keys.deduplication(topic.id, _scope(topic, message), message.deduplication)
    expires = int(now * 1000) + DEDUPLICATION_MS
    tx.put(key, encode(Deduplication(expires, message.id, message.sequence)))
    tx.put(keys.expiry(expires, key), b"")
