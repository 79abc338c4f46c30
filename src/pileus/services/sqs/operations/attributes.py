"""Queue attributes, and the policy statements that AddPermission writes.

Sources: the API reference's pages SetQueueAttributes, GetQueueAttributes, AddPermission, RemovePermission; recorded
answers of AWS.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.sqs import attributes, errors
from pileus.services.sqs.memory import Memory
from pileus.services.sqs.operations.queues import set_source
from pileus.services.sqs.queues import Live, counts_of, find, put
from pileus.services.sqs.records import Queue, decode_entry
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import pack_onto

# Messages that are due and not yet counted as visible are looked through, up to so many: the loop is not far behind.
_DUE_MAX = 2000
_ACTIONS = (
    "*",
    "AddPermission",
    "ChangeMessageVisibility",
    "CreateQueue",
    "DeleteMessage",
    "DeleteQueue",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "ListQueues",
    "ListQueueTags",
    "PurgeQueue",
    "ReceiveMessage",
    "RemovePermission",
    "SendMessage",
    "SetQueueAttributes",
    "TagQueue",
    "UntagQueue",
)
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,80}")


async def get_queue_attributes(ctx: Context, tx: Reader, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    names = request.get("AttributeNames") or []
    if not names:
        return {}
    counts = await counts_of(tx, queue)
    shown = attributes.show(queue, counts, await _due(tx, queue, int(ctx.now * 1000)), names)
    return {"Attributes": shown} if shown else {}


async def _due(tx: Reader, queue: Live, now: int) -> tuple[int, int]:
    """How many messages in flight, and delayed, have become visible and are not counted so yet."""
    in_flight = delayed = 0
    rows = await tx.scan(queue.waiting + b"\x00", pack_onto(queue.waiting, now + 1), limit=_DUE_MAX)
    for _, raw in rows:
        # A FIFO queue delays as a whole; what waits in it is in flight, but for messages that are seconds old.
        if queue.fifo or decode_entry(raw).received:
            in_flight += 1
        else:
            delayed += 1
    return in_flight, delayed


def _changed(record: Queue, values: dict[str, str], now: float) -> Queue:
    return Queue(
        name=record.name,
        id=record.id,
        data=record.data,
        created=record.created,
        modified=int(now),
        attributes=values,
        tags=record.tags,
        purged_ms=record.purged_ms,
    )


async def set_queue_attributes(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    given = request["Attributes"]
    if not given:
        raise errors.missing("Attribute.Name")
    values = attributes.check(given, queue.record.attributes, fifo=queue.fifo, arn=queue.arn, new=False)
    changed = _changed(queue.record, values, ctx.now)
    await set_source(ctx, tx, changed, queue.dead_letter_arn, queue.arn)
    put(tx, queue.account, queue.region, changed)
    tx.on_commit(lambda: ctx.cloud.part(Memory).wake_all(queue.id))
    return {}


async def add_permission(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    label, accounts, actions = request["Label"], request["AWSAccountIds"], request["Actions"]
    if not _LABEL.fullmatch(label):
        raise errors.invalid_value(
            label,
            "Label",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        )
    if not accounts:
        raise errors.missing("AWSAccountIds")
    if not actions:
        raise errors.missing("Actions")
    for action in actions:
        if action not in _ACTIONS:
            raise errors.invalid_value(
                f"SQS:{action}", "ActionName", "Please refer to the appropriate WSDL for a list of valid actions."
            )
    for account in accounts:
        if not re.fullmatch(r"\d{12}", account):
            raise errors.invalid_value(f"[{account}]", "PrincipalId", "Unable to verify.")
    document: dict[str, Any] = queue.policy or {
        "Version": "2008-10-17",
        "Id": f"{queue.arn}/SQSDefaultPolicy",
        "Statement": [],
    }
    statements = attributes.statements_of(document)
    if any(statement.get("Sid") == label for statement in statements):
        raise errors.invalid_value(label, "Label", "Already exists.")
    principals = [f"arn:aws:iam::{account}:root" for account in accounts]
    named = [f"SQS:{action}" for action in actions]
    statement = {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": principals[0] if len(principals) == 1 else principals},
        "Action": named[0] if len(named) == 1 else named,
        "Resource": queue.arn,
    }
    attributes.check_policy_quotas([*statements, statement])
    _put_policy(ctx, tx, queue, {**document, "Statement": [*statements, statement]})
    return {}


async def remove_permission(ctx: Context, tx: Transaction, request: Request) -> Answer:
    queue = await find(ctx, tx, request["QueueUrl"])
    label = request["Label"]
    statements = attributes.statements_of(queue.policy or {})
    left = [statement for statement in statements if statement.get("Sid") != label]
    if len(left) == len(statements):
        raise errors.invalid_value(label, "Label", "can't find label.")
    _put_policy(ctx, tx, queue, {**(queue.policy or {}), "Statement": left} if left else None)
    return {}


def _put_policy(ctx: Context, tx: Transaction, queue: Live, document: dict[str, Any] | None) -> None:
    values = dict(queue.record.attributes)
    if document is None:
        values.pop("Policy", None)
    else:
        values["Policy"] = orjson.dumps(document).decode()
        if len(values["Policy"].encode()) > attributes.POLICY_BYTES_MAX:
            raise errors.policy_too_large()
    put(tx, queue.account, queue.region, _changed(queue.record, values, ctx.now))
