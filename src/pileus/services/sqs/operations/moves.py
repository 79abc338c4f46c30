"""Message move tasks.

Sources: the API reference's pages StartMessageMoveTask, CancelMessageMoveTask, ListMessageMoveTasks; recorded answers
of AWS.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Permission, Request
from pileus.services.sqs import errors, keys, moving
from pileus.services.sqs.queues import Live, counts_of, find_arn
from pileus.services.sqs.records import Task, decode, encode
from pileus.store.contract import Reader, Transaction

PER_SECOND_MAX = 500
RESULTS_MAX = 10


async def _source(ctx: Context, tx: Reader, arn: str) -> Live:
    queue = await find_arn(ctx.cloud, tx, arn)
    if queue is None:
        raise errors.no_resource("SourceArn")
    return queue


async def start_message_move_task(ctx: Context, tx: Transaction, request: Request) -> Answer:
    arn, destination = request["SourceArn"], request.get("DestinationArn") or ""
    per_second = request.get("MaxNumberOfMessagesPerSecond")
    if per_second is not None and not 1 <= per_second <= PER_SECOND_MAX:
        raise errors.invalid_value(
            per_second, "MaxNumberOfMessagesPerSecond", f"Must be between 1 and {PER_SECOND_MAX}, if provided."
        )
    source = await _source(ctx, tx, arn)
    if not await tx.scan(*keys.sources(arn), limit=1):
        raise errors.not_a_dead_letter_queue()
    needed = [Permission(f"sqs:{action}", arn) for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")]
    if destination:
        target = await find_arn(ctx.cloud, tx, destination)
        if target is None:
            raise errors.no_resource("DestinationArn")
        if target.fifo != source.fifo:
            raise errors.invalid("Source and destination queues must be of the same type.")
        needed.append(Permission("sqs:SendMessage", destination))
    if ctx.permit is not None:
        await ctx.permit(ctx, tx, needed)
    if await tx.scan(*keys.running_of(source.id), limit=1):
        raise errors.task_running()
    counts = await counts_of(tx, source)
    task = Task(
        id=ctx.cloud.ids.uuid(),
        source=arn,
        destination=destination,
        started=int(ctx.now * 1000),
        per_second=per_second or 0,
        to_move=counts.visible,
    )
    key = keys.task(source.id, task.started, task.id)
    tx.put(key, encode(task))
    tx.put(keys.running(source.id, task.id), key)
    await moving.forget_old(tx, source.id)
    tx.on_commit(lambda: ctx.cloud.nudge(moving.LOOP))
    return {"TaskHandle": moving.write_handle(task)}


async def cancel_message_move_task(ctx: Context, tx: Transaction, request: Request) -> Answer:
    task_id, arn = moving.read_handle(request["TaskHandle"])
    source = await _source(ctx, tx, arn)
    running = keys.running(source.id, task_id)
    key = await tx.get(running)
    raw = None if key is None else await tx.get(key)
    if key is None or raw is None:
        raise errors.no_task()
    task = decode(Task, raw)
    task.status = "CANCELLED"
    tx.put(key, encode(task))
    tx.delete(running)
    return {"ApproximateNumberOfMessagesMoved": task.moved}


async def list_message_move_tasks(ctx: Context, tx: Reader, request: Request) -> Answer:
    limit = request.get("MaxResults")
    if limit is not None and not 1 <= limit <= RESULTS_MAX:
        raise errors.invalid_value(limit, "MaxResults", "Must be between 1 and 10, if provided.")
    source = await _source(ctx, tx, request["SourceArn"])
    rows = await tx.scan(*keys.tasks(source.id), limit=limit or 1, reverse=True)
    results = [_shown(decode(Task, raw)) for _, raw in rows]
    return {"Results": results} if results else {}


def _shown(task: Task) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Status": task.status,
        "SourceArn": task.source,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": task.started,
    }
    if task.status == "RUNNING":
        shown["TaskHandle"] = moving.write_handle(task)
    if task.destination:
        shown["DestinationArn"] = task.destination
    if task.per_second:
        shown["MaxNumberOfMessagesPerSecond"] = task.per_second
    if task.failure:
        shown["FailureReason"] = task.failure
    return shown
