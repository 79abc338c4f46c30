"""Message move tasks: a dead-letter queue's messages go back to where they came from, or to another queue.

A task is a record; the loop `sqs.move` carries it on, some messages in each transaction, so that a node that dies in
the middle has moved every message once and counted it. Source: "Learn how to configure a dead-letter queue redrive",
the API reference's pages StartMessageMoveTask and ListMessageMoveTasks; recorded answers of AWS.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from functools import partial

import orjson

from pileus.cloud.context import Cloud
from pileus.kernel.arn import parse_arn
from pileus.services.sqs import errors, keys
from pileus.services.sqs.messages import kind_of, tell_of
from pileus.services.sqs.places import Taken
from pileus.services.sqs.queues import Live, counts_of, find_arn
from pileus.services.sqs.records import Content, Counts, Entry, Task, decode, encode
from pileus.store.contract import Transaction

LOOP = "sqs.move"
# In one transaction, and where nobody sets a rate.
BATCH = 100
KEPT_MAX = 10
# "Troubleshoot Amazon SQS dead-letter queue and DLQ redrive issues".
_NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"
_NO_SOURCE = "CouldNotDetermineMessageSource"


def write_handle(task: Task) -> str:
    return b64encode(orjson.dumps({"taskId": task.id, "sourceArn": task.source})).decode()


def read_handle(handle: str) -> tuple[str, str]:
    """(task id, source queue's ARN) of a task handle. Raises InvalidParameterValue."""
    try:
        content = orjson.loads(b64decode(handle, validate=True))
        task_id, source = content["taskId"], content["sourceArn"]
    except (ValueError, TypeError, KeyError):
        raise errors.bad_task_handle() from None
    if not isinstance(task_id, str) or not isinstance(source, str) or parse_arn(source) is None:
        raise errors.bad_task_handle()
    return task_id, source


async def forget_old(tx: Transaction, queue_id: str) -> None:
    """Only the newest tasks of a queue are kept."""
    rows = await tx.scan(*keys.tasks(queue_id), limit=100, reverse=True)
    for key, _ in rows[KEPT_MAX:]:
        tx.delete(key)


async def step(cloud: Cloud) -> float:
    """Carry every task on; returns the seconds until there is more to do."""
    rows = await cloud.store.read(lambda tx: tx.scan(*keys.all_running(), limit=1000))
    wait = math.inf
    for key, task_key in rows:
        wait = min(wait, await cloud.store.write(partial(_carry_on, cloud, key, task_key)))
    return wait


async def _carry_on(cloud: Cloud, running_key: bytes, task_key: bytes, tx: Transaction) -> float:
    raw = await tx.get(task_key)
    if raw is None:
        tx.delete(running_key)
        return math.inf
    task = decode(Task, raw)
    now = cloud.clock.time()
    wait = 0.0
    if task.status == "RUNNING":
        wait = await _move(cloud, tx, task, now)
        tx.put(task_key, encode(task))
    if task.status != "RUNNING":
        tx.delete(running_key)
        return math.inf
    return wait


async def _move(cloud: Cloud, tx: Transaction, task: Task, now: float) -> float:
    source = await find_arn(cloud, tx, task.source)
    if source is None:
        task.status, task.failure = "FAILED", _NO_QUEUE
        return math.inf
    limit = BATCH
    if task.per_second:
        # As many as its age allows, the first at once.
        due = 1 + int((now - task.started / 1000) * task.per_second)
        limit = min(BATCH, due - task.moved)
        if limit <= 0:
            return task.started / 1000 + task.moved / task.per_second - now
    counts = await counts_of(tx, source)
    now_ms = int(now * 1000)
    kind = kind_of(source)
    await kind.promote(tx, source, counts, now_ms, BATCH)
    failure = ""

    async def accept(content: Content) -> bool:
        nonlocal failure
        target = task.destination or content.source
        if not target:
            failure = _NO_SOURCE
        elif await find_arn(cloud, tx, target) is None:
            failure = _NO_QUEUE
        return not failure

    taken: list[Taken] = await kind.take_out(tx, source, counts, limit, accept)
    tx.put(source.counts_key, encode(counts))
    await _put(cloud, tx, task, taken, now_ms)
    task.moved += len(taken)
    if failure:
        task.status, task.failure = "FAILED", failure
    elif len(taken) < limit:
        task.status = "COMPLETED"
    return task.started / 1000 + task.moved / task.per_second - now if task.per_second else 0.0


async def _put(cloud: Cloud, tx: Transaction, task: Task, taken: list[Taken], now: int) -> None:
    """Put messages where they belong."""
    counted: dict[str, tuple[Live, Counts, list[int]]] = {}
    for one in taken:
        content = one.content
        queue = await find_arn(cloud, tx, task.destination or content.source)
        assert queue is not None, "accepted before"
        if queue.id not in counted:
            counted[queue.id] = (queue, await counts_of(tx, queue), [])
        queue, counts, dues = counted[queue.id]
        # A message that is moved is a new one: with a new id, a new time and no receives.
        content.id, content.source = cloud.ids.uuid(), ""
        dues.append(now + queue.delay_ms if queue.delay_ms else 0)
        await kind_of(queue).put(tx, queue, counts, Entry(sent=now), content, dues[-1])
    for queue, counts, dues in counted.values():
        tx.put(queue.counts_key, encode(counts))
        tell_of(cloud, tx, queue, dues)
