"""Tags of queues. Sources: the API reference's pages TagQueue, UntagQueue, ListQueueTags; "Amazon SQS cost allocation
tags"."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.sqs import errors
from pileus.services.sqs.queues import find, put
from pileus.services.sqs.records import Queue
from pileus.store.contract import Reader, Transaction

TAGS_MAX = 50


def check_tags(given: dict[str, str], current: dict[str, str]) -> dict[str, str]:
    """`current` with `given`. Raises what is wrong with them."""
    for key, value in given.items():
        if not 1 <= len(key) <= 128:
            raise errors.invalid("Tag keys must be between 1 and 128 characters in length.")
        if len(value) > 256:
            raise errors.invalid("Tag values must be between 0 and 256 characters in length.")
        if key.lower().startswith("aws:"):
            raise errors.invalid("Tag keys must not start with aws:.")
    tags = {**current, **given}
    if len(tags) > TAGS_MAX:
        raise errors.invalid(f"Too many tags added for queue. Maximum number of tags is {TAGS_MAX}.")
    return tags


def with_tags(record: Queue, tags: dict[str, str]) -> Queue:
    return Queue(
        name=record.name,
        id=record.id,
        data=record.data,
        created=record.created,
        modified=record.modified,
        attributes=record.attributes,
        tags=tags,
        purged_ms=record.purged_ms,
    )


async def tag_queue(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    if not request["Tags"]:
        raise errors.missing("Tag.Key")
    tags = check_tags(request["Tags"], queue.record.tags)
    put(tx, queue.account, queue.region, with_tags(queue.record, tags))
    return {}


async def untag_queue(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    if not request["TagKeys"]:
        raise errors.invalid("Tag keys can not be empty.")
    gone = set(request["TagKeys"])
    tags = {key: value for key, value in queue.record.tags.items() if key not in gone}
    put(tx, queue.account, queue.region, with_tags(queue.record, tags))
    return {}


async def list_queue_tags(ctx: Context, tx: Reader, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    return {"Tags": queue.record.tags} if queue.record.tags else {}
