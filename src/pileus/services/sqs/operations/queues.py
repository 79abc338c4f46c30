"""Queues: made, listed, found, emptied, deleted.

Sources: the API reference's pages CreateQueue, DeleteQueue, GetQueueUrl, ListQueues, ListDeadLetterSourceQueues,
PurgeQueue; recorded answers of AWS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import make_arn
from pileus.kernel.paging import BadToken, page_place, page_token
from pileus.services.sqs import attributes, errors, keys, urls
from pileus.services.sqs.handles import ID_LENGTH
from pileus.services.sqs.memory import Memory
from pileus.services.sqs.operations.tags import check_tags
from pileus.services.sqs.queues import Live, find, find_arn, find_at, put
from pileus.services.sqs.records import Queue
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after, unpack

PAGE_MAX = 1000
PURGE_MS = 60_000


async def create_queue(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["QueueName"]
    given: dict[str, str] = request.get("Attributes") or {}
    url = urls.write(ctx, ctx.account, name)
    for attribute in given:
        if attribute not in attributes.SETTABLE:
            raise errors.unknown_attribute(attribute)
    fifo = attributes.check_name(name, given)
    queue = await find_at(ctx.cloud, tx, ctx.account, ctx.region, name)
    if queue is not None:
        differing = attributes.differing(given, queue)
        if differing:
            raise errors.queue_exists(f"a different value for attribute {differing}")
        if request.get("tags") and request["tags"] != queue.record.tags:
            raise errors.queue_exists("different tags")
        return {"QueueUrl": url}
    arn = make_arn("sqs", ctx.region, ctx.account, name)
    record = Queue(
        name=name,
        id=ctx.cloud.ids.hex(ID_LENGTH),
        data=ctx.cloud.ids.hex(ID_LENGTH),
        created=int(ctx.now),
        modified=int(ctx.now),
        attributes=attributes.check(given, {}, fifo=fifo, arn=arn, new=True),
        tags=check_tags(request.get("tags") or {}, {}),
    )
    await set_source(ctx, tx, record, "")
    put(tx, ctx.account, ctx.region, record)
    tx.put(keys.index(ctx.account, ctx.region, name), b"")
    return {"QueueUrl": url}


async def set_source(ctx: Context, tx: Transaction, record: Queue, former_target: str, arn: str = "") -> None:
    """Note with the dead-letter queue that it is this one's; it must be there, and take its messages."""
    import orjson

    target_arn = orjson.loads(record.attributes.get("RedrivePolicy", "{}")).get("deadLetterTargetArn", "")
    own = arn or make_arn("sqs", ctx.region, ctx.account, record.name)
    _, _, _, region, account, name = own.split(":")
    if target_arn == former_target:
        return
    if target_arn:
        target = await find_arn(ctx.cloud, tx, target_arn)
        policy = record.attributes["RedrivePolicy"]
        if target is None:
            raise errors.invalid_value(policy, "RedrivePolicy", "Dead letter target does not exist.")
        if not attributes.allows_redrive(target, own):
            raise errors.invalid_value(
                policy, "RedrivePolicy", "Queue does not have permissions to use dead letter target."
            )
        tx.put(keys.source(target_arn, account, region, name), b"")
    if former_target:
        tx.delete(keys.source(former_target, account, region, name))


async def delete_queue(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    tx.delete(keys.queue(queue.account, queue.region, queue.name))
    tx.delete(keys.index(queue.account, queue.region, queue.name))
    tx.delete(queue.counts_key)
    if queue.dead_letter_arn:
        tx.delete(keys.source(queue.dead_letter_arn, queue.account, queue.region, queue.name))
    for start, end in (keys.tasks(queue.id), keys.running_of(queue.id)):
        tx.delete_range(start, end)
    _forget_messages(ctx, tx, queue)
    return {}


def _forget_messages(ctx: Context, tx: Transaction, queue: Live) -> None:
    """What the queue held is out of sight at once; the loop removes it bit by bit."""
    tx.put(keys.garbage(queue.data), b"")
    tx.on_commit(lambda: ctx.cloud.nudge("sqs.sweep"))
    tx.on_commit(lambda: ctx.cloud.part(Memory).wake_all(queue.id))


async def purge_queue(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    now = int(ctx.now * 1000)
    record = queue.record
    if record.purged_ms and now < record.purged_ms + PURGE_MS:
        raise errors.purge_in_progress(queue.name)
    _forget_messages(ctx, tx, queue)
    changed = Queue(
        name=record.name,
        id=record.id,
        data=ctx.cloud.ids.hex(ID_LENGTH),
        created=record.created,
        modified=record.modified,
        attributes=record.attributes,
        tags=record.tags,
        purged_ms=now,
    )
    put(tx, queue.account, queue.region, changed)
    return {}


async def get_queue_url(ctx: Context, tx: Reader, request: Request) -> Answer:
    account = request.get("QueueOwnerAWSAccountId") or ctx.account
    queue = await find_at(ctx.cloud, tx, account, ctx.region, request["QueueName"])
    if queue is None:
        raise errors.no_queue(ctx)
    return {"QueueUrl": urls.write(ctx, account, queue.name)}


async def list_queues(ctx: Context, tx: Reader, request: Request) -> Answer:
    start, end = keys.queues(ctx.account, ctx.region, request.get("QueueNamePrefix") or "")
    answer = await _page(ctx, tx, request, start, end, lambda key: (ctx.account, str(unpack(key)[-1])))
    found = answer.pop("urls")
    return {"QueueUrls": found, **answer} if found else answer


async def list_dead_letter_source_queues(ctx: Context, tx: Reader, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])

    def named(key: bytes) -> tuple[str, str]:
        account, _, name = unpack(key)[-3:]
        return str(account), str(name)

    answer = await _page(ctx, tx, request, *keys.sources(queue.arn), named)
    return {"queueUrls": answer.pop("urls"), **answer}


async def _page(
    ctx: Context, tx: Reader, request: Request, start: bytes, end: bytes, named: Callable[[bytes], tuple[str, str]]
) -> dict[str, Any]:
    """One page of a listing: the queues' URLs under "urls", and NextToken where there are more and a limit was set."""
    limit = request.get("MaxResults")
    if limit is not None and not 1 <= limit <= PAGE_MAX:
        raise errors.invalid_value(limit, "MaxResults", "Must be between 1 and 1000, if provided.")
    token = request.get("NextToken")
    place = start
    if token:
        try:
            place = page_place(token, start, end)
        except BadToken:
            raise errors.invalid("Invalid or expired next token.") from None
    size = limit or PAGE_MAX
    rows = await tx.scan(place, end, limit=size + 1)
    answer: dict[str, Any] = {"urls": [urls.write(ctx, *named(key)) for key, _ in rows[:size]]}
    if len(rows) > size and (limit is not None or token):
        answer["NextToken"] = page_token(after(rows[size - 1][0]), start)
    return answer
