"""Publishing. Sources: Publish and PublishBatch of the API reference; recorded answers."""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import NotBuilt
from pileus.services.sns import content, errors, publishing, topics
from pileus.services.sns.names import check_arn, topic_of
from pileus.store.contract import Transaction


async def publish(ctx: Context, tx: Transaction, request: Request) -> Answer:
    if request.get("PhoneNumber") is not None:
        raise NotBuilt("Publishing to phone numbers")
    parameter = "TopicArn" if request.get("TopicArn") is not None else "TargetArn"
    target = request.get(parameter)
    if target is None:
        raise errors.no_value("TopicArn or TargetArn")
    arn = check_arn(target, parameter)
    if parameter == "TargetArn" and arn.resource.startswith("endpoint/"):
        raise errors.invalid_reason("TargetArn", "No endpoint found for the target arn specified")
    topic = await topics.get(ctx.cloud, tx, topic_of(ctx, target, parameter))
    message = publishing.check_message(ctx, topic, request)
    return await publishing.publish(ctx, tx, topic, message)


async def publish_batch(ctx: Context, tx: Transaction, request: Request) -> Answer:
    topic = await topics.get(ctx.cloud, tx, topic_of(ctx, request["TopicArn"]))
    entries: list[dict[str, Any]] = request["PublishBatchRequestEntries"]
    content.check_entries(entries)
    messages = [publishing.check_message(ctx, topic, entry) for entry in entries]
    size = sum(
        content.size_of(entry["Message"], message.attributes) for entry, message in zip(entries, messages, strict=True)
    )
    if size > content.MESSAGE_BYTES_MAX:
        raise errors.batch_too_long()
    successful = [
        {"Id": entry["Id"], **await publishing.publish(ctx, tx, topic, message)}
        for entry, message in zip(entries, messages, strict=True)
    ]
    return {"Successful": successful, "Failed": []}
