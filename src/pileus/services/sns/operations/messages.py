"""Publishing. Sources: Publish and PublishBatch of the API reference; recorded answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import make_arn
from pileus.kernel.errors import AWSError
from pileus.services.sns import content, endpoints, errors, feedback, mailbox, platforms, publishing, texting, topics
from pileus.services.sns.names import check_arn, topic_of
from pileus.services.sns.records import Sent
from pileus.services.sns.topics import Matches, Unmatched
from pileus.store.contract import Transaction

SMS_CHARS_MAX = 1600


async def publish(ctx: Context, request: Request) -> Answer:
    return await _published(ctx, request, _publish)


async def publish_batch(ctx: Context, request: Request) -> Answer:
    return await _published(ctx, request, _publish_batch)


async def _published(
    ctx: Context,
    request: Request,
    publish: Callable[[Context, Transaction, Request, Matches | None], Awaitable[Answer]],
) -> Answer:
    """Publish in one transaction, again after each message that is to be held against filters outside of it.

    Where the topic's filters change all the time what was found does not count any more: then it is done within.
    """
    matches = Matches()
    for _ in range(2 * content.ENTRIES_MAX):
        try:
            return await ctx.cloud.store.write(lambda tx: publish(ctx, tx, request, matches))
        except Unmatched as unmatched:
            await matches.find(ctx.cloud, unmatched)
    return await ctx.cloud.store.write(lambda tx: publish(ctx, tx, request, None))


async def _publish(ctx: Context, tx: Transaction, request: Request, matches: Matches | None) -> Answer:
    if request.get("PhoneNumber") is not None and request.get("TopicArn") is None:
        return await _publish_to_phone(ctx, tx, request)
    parameter = "TopicArn" if request.get("TopicArn") else "TargetArn"
    target = request.get(parameter)
    if not target:
        raise errors.no_value("TopicArn or TargetArn")
    arn = check_arn(target, parameter)
    if parameter == "TargetArn" and arn.resource.startswith("endpoint/"):
        return await _publish_to_device(ctx, tx, request)
    topic = await topics.get(ctx.cloud, tx, topic_of(ctx, target, parameter))
    message = publishing.check_message(ctx, topic, request)
    let_in = publishing.protect(ctx, tx, topic, message)
    return await publishing.publish(ctx.cloud, tx, topic, let_in, now=ctx.now, matches=matches)


async def _publish_to_phone(ctx: Context, tx: Transaction, request: Request) -> Answer:
    number = endpoints.check_number(request["PhoneNumber"])
    sent = _sent(ctx, request, "sms", number)
    if len(request["Message"]) > SMS_CHARS_MAX:
        raise errors.invalid("Message too long")
    # Whoever has opted out gets nothing; the publisher is not told.
    opted_out = await texting.is_opted_out(tx, ctx.account, ctx.region, number)
    if not opted_out:
        mailbox.put(tx, ctx.account, ctx.region, sent, sent.message_id)
    settings = await texting.settings_of(tx, ctx.account, ctx.region)
    resource = make_arn("sns", ctx.region, ctx.account, feedback.DIRECT)
    error = mailbox.OPTED_OUT if opted_out else ""
    await feedback.sent_to_phone(ctx.cloud, tx, settings, resource, sent, error=error)
    return {"MessageId": sent.message_id}


async def _publish_to_device(ctx: Context, tx: Transaction, request: Request) -> Answer:
    target = request["TargetArn"]
    at = platforms.endpoint_of(ctx, target, "TargetArn")
    if await platforms.find_endpoint(tx, at) is None:
        raise errors.invalid_reason("TargetArn", "No endpoint found for the target arn specified")
    sent = _sent(ctx, request, "application", target, platform=at.platform)
    await mailbox.to_device(ctx.cloud, tx, sent)
    mailbox.put(tx, at.account, at.region, sent, sent.message_id)
    return {"MessageId": sent.message_id}


def _sent(ctx: Context, request: Request, kind: str, to: str, *, platform: str = "") -> Sent:
    """What goes to one recipient without a topic between."""
    text = request["Message"]
    if not text:
        raise errors.invalid("Empty message")
    subject = content.check_subject(request.get("Subject"))
    attributes = content.check_attributes(request.get("MessageAttributes") or {})
    if content.size_of(text, attributes) > content.MESSAGE_BYTES_MAX:
        raise errors.invalid("Message too long")
    bodies = content.bodies_of(text, request.get("MessageStructure"), platform=platform)
    return Sent(
        kind=kind,
        to=to,
        message_id=ctx.cloud.ids.uuid(),
        time=ctx.now,
        body=bodies.get(platform or kind) or bodies.get("default", "") if bodies else text,
        subject=subject,
        attributes=attributes,
        structured=bool(bodies),
    )


async def _publish_batch(ctx: Context, tx: Transaction, request: Request, matches: Matches | None) -> Answer:
    topic = await topics.get(ctx.cloud, tx, topic_of(ctx, request["TopicArn"]))
    entries: list[dict[str, Any]] = request["PublishBatchRequestEntries"]
    content.check_entries(entries)
    messages = [publishing.check_message(ctx, topic, entry) for entry in entries]
    size = sum(
        content.size_of(entry["Message"], message.attributes) for entry, message in zip(entries, messages, strict=True)
    )
    if size > topic.message_bytes_max:
        raise errors.batch_too_long()
    successful: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for entry, message in zip(entries, messages, strict=True):
        try:
            let_in = publishing.protect(ctx, tx, topic, message)
        except AWSError as error:
            code = {"Code": "AuthorizationError", "Message": error.message, "SenderFault": True}
            failed.append({"Id": entry["Id"], **code})
            continue
        published = await publishing.publish(ctx.cloud, tx, topic, let_in, now=ctx.now, matches=matches)
        successful.append({"Id": entry["Id"], **published})
    return {"Successful": successful, "Failed": failed}
