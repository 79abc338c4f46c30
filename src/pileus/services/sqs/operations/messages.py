"""Messages: sent, received, deleted, hidden for longer or shorter.

Sources: the API reference's pages SendMessage, SendMessageBatch, ReceiveMessage, DeleteMessage, DeleteMessageBatch,
ChangeMessageVisibility, ChangeMessageVisibilityBatch; recorded answers of AWS.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError
from pileus.services.sqs import content, errors, fifo, handles, receiving, sending
from pileus.services.sqs.handles import Handle
from pileus.services.sqs.memory import Memory
from pileus.services.sqs.messages import kind_of, tell_of
from pileus.services.sqs.operations.batches import check_entries, failed, outcome
from pileus.services.sqs.queues import Live, counts_of, find
from pileus.services.sqs.records import Counts, Entry, encode
from pileus.store.contract import Transaction


async def send_message(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    sending.check_sending(request, queue)
    sent = sending.check(ctx, request, queue)
    if sent.size > queue.size_max:
        raise errors.too_long(queue.size_max)
    counts = await counts_of(tx, queue)
    answer: Answer = {}
    due = await sending.put(tx, queue, counts, sent, int(ctx.now * 1000), answer)
    tx.put(queue.counts_key, encode(counts))
    if due is not None:
        tell_of(ctx.cloud, tx, queue, [due])
    return answer


async def send_message_batch(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    entries: list[dict[str, Any]] = request["Entries"]
    check_entries(entries, "SendMessageBatchRequestEntry")
    size = 0
    for entry in entries:
        if queue.fifo and "MessageGroupId" not in entry:
            raise errors.invalid("The request must contain the parameter MessageGroupId.")
        sending.check_sending(entry, queue)
    successful, failures = [], []
    checked = []
    for entry in entries:
        try:
            sent = sending.check(ctx, entry, queue)
            size += sent.size
            checked.append((entry, sent))
        except AWSError as error:
            size += len(entry["MessageBody"].encode())
            failures.append(failed(entry, error))
    if size > content.BATCH_BYTES_MAX:
        raise errors.batch_too_long(content.BATCH_BYTES_MAX, size)
    counts = await counts_of(tx, queue)
    now = int(ctx.now * 1000)
    dues: list[int] = []
    for entry, sent in checked:
        if sent.size > queue.size_max:
            failures.append(failed(entry, errors.entry_too_long(queue.size_max)))
        else:
            answer: Answer = {"Id": entry["Id"]}
            due = await sending.put(tx, queue, counts, sent, now, answer)
            if due is not None:
                dues.append(due)
            successful.append(answer)
    if successful:
        tx.put(queue.counts_key, encode(counts))
        tell_of(ctx.cloud, tx, queue, dues)
    return outcome(successful, failures)


async def receive_message(ctx: Context, request: Request) -> Answer:
    return await receiving.receive_waiting(ctx, request)


def _handle(queue: Live, text: str) -> Handle:
    handle = handles.read(text)
    if handle.queue_id != queue.id:
        raise errors.other_handle(text)
    return handle


async def _delete(ctx: Context, tx: Transaction, queue: Live, counts: Counts, text: str) -> None:
    handle = _handle(queue, text)
    # Of a purged generation nothing is left to delete.
    if handle.data == queue.data and not await kind_of(queue).remove(tx, queue, counts, handle, int(ctx.now * 1000)):
        raise errors.expired_handle(text)


async def delete_message(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    counts = await counts_of(tx, queue)
    await _delete(ctx, tx, queue, counts, request["ReceiptHandle"])
    _written(ctx, tx, queue, counts)
    return {}


def _written(ctx: Context, tx: Transaction, queue: Live, counts: Counts) -> None:
    tx.put(queue.counts_key, encode(counts))
    if counts.visible > 0:
        # A group may be free again, a message visible.
        tx.on_commit(lambda: ctx.cloud.part(Memory).arrived(queue.id, 1))


async def delete_message_batch(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    entries: list[dict[str, Any]] = request["Entries"]
    check_entries(entries, "DeleteMessageBatchRequestEntry")
    counts = await counts_of(tx, queue)
    successful, failures = [], []
    for entry in entries:
        try:
            await _delete(ctx, tx, queue, counts, entry["ReceiptHandle"])
            successful.append({"Id": entry["Id"]})
        except AWSError as error:
            failures.append(failed(entry, error))
    _written(ctx, tx, queue, counts)
    return outcome(successful, failures)


async def _change(ctx: Context, tx: Transaction, queue: Live, counts: Counts, text: str, seconds: int) -> None:
    if not 0 <= seconds <= receiving.VISIBILITY_MAX_S:
        raise errors.invalid_value(seconds, "VisibilityTimeout", "Must be between 0 and 43200.")
    handle = _handle(queue, text)
    now = int(ctx.now * 1000)
    due = now + seconds * 1000 if seconds else 0

    def check(entry: Entry) -> None:
        if (now - entry.received) // 1000 + seconds > receiving.VISIBILITY_MAX_S:
            raise errors.invalid_value(
                seconds,
                "VisibilityTimeout",
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].",
            )

    changed = None
    if queue.fifo and handle.data == queue.data and await fifo.has_expired(tx, queue, handle, now):
        raise errors.expired_handle(text)
    if handle.data == queue.data:
        changed = await kind_of(queue).change(tx, queue, counts, handle, due, check)
    if changed is None:
        raise errors.not_available(text)
    if due:
        tx.on_commit(lambda: ctx.cloud.part(Memory).note_due(queue, due))


async def change_message_visibility(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    counts = await counts_of(tx, queue)
    await _change(ctx, tx, queue, counts, request["ReceiptHandle"], request["VisibilityTimeout"])
    _written(ctx, tx, queue, counts)
    return {}


async def change_message_visibility_batch(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    entries: list[dict[str, Any]] = request["Entries"]
    check_entries(entries, "ChangeMessageVisibilityBatchRequestEntry")
    counts = await counts_of(tx, queue)
    successful, failures = [], []
    for entry in entries:
        try:
            if "VisibilityTimeout" not in entry:
                raise errors.missing("VisibilityTimeout")
            await _change(ctx, tx, queue, counts, entry["ReceiptHandle"], entry["VisibilityTimeout"])
            successful.append({"Id": entry["Id"]})
        except AWSError as error:
            failures.append(failed(entry, error))
    _written(ctx, tx, queue, counts)
    return outcome(successful, failures)
