"""Many items in one call, all or nothing.

Sources: the API reference's pages TransactWriteItems and TransactGetItems; "Amazon DynamoDB Transactions: How it
works".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import (
    consistent,
    errors,
    items,
    schema,
    tables,
    throughput,
    tokens,
    values,
    writes,
)
from pileus.services.dynamodb.capacity import Consumed, read_units
from pileus.services.dynamodb.items import Stored
from pileus.services.dynamodb.operations.items import collection_metrics, parse_projection, picked
from pileus.services.dynamodb.tables import Table
from pileus.services.dynamodb.writes import Outcome, Write
from pileus.store.contract import Reader, Transaction

BYTES_MAX = 4 << 20

_PARSERS = {
    "Put": writes.parse_put,
    "Update": writes.parse_update,
    "Delete": writes.parse_delete,
    "ConditionCheck": writes.parse_check,
}
# How the reasons call the errors of single actions.
_REASONS = {
    "ConditionalCheckFailedException": "ConditionalCheckFailed",
    "ValidationException": "ValidationError",
    "DuplicateItemException": "DuplicateItem",
    "ProvisionedThroughputExceededException": "ProvisionedThroughputExceeded",
    "ThrottlingException": "ThrottlingError",
    "RequestLimitExceeded": "ThrottlingError",
}


async def transact_write_items(ctx: Context, tx: Transaction, request: Request) -> Answer:
    actions = request["TransactItems"]
    parsed = [_parse(action) for action in actions]
    token = request.get("ClientRequestToken")
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    again = token is not None and await tokens.seen(ctx, tx, token, request)
    if again and wanted == "NONE":
        return {}
    known: dict[str, Table] = {}
    located: list[tuple[Table, Write]] = []
    for write in parsed:
        name = write.request["TableName"]
        if name not in known:
            known[name] = await tables.load(ctx, tx, name)
        located.append((known[name], write))
    if again:
        return {"ConsumedCapacity": await read_again(ctx, tx, wanted, located)}
    done = await commit(ctx, tx, located)
    if token is not None:
        await tokens.remember(ctx, tx, token, request)
    answer: Answer = {} if wanted == "NONE" else {"ConsumedCapacity": consumed_by(wanted, done)}
    if request.get("ReturnItemCollectionMetrics") == "SIZE":
        metrics: dict[str, list[Any]] = {}
        for table, write, _ in done:
            measured = await collection_metrics(ctx, tx, table, write.item)
            if measured is not None:
                metrics.setdefault(write.request["TableName"], []).append(measured)
        if metrics:
            answer["ItemCollectionMetrics"] = metrics
    return answer


async def commit(ctx: Context, tx: Transaction, asked: list[tuple[Table, Write]]) -> list[tuple[Table, Write, Outcome]]:
    """Do all of the writes, or raise `TransactionCanceledException` with the reason of each."""
    places: list[bytes] = []
    # By the number of the action.
    reasons: dict[int, dict[str, Any]] = {}
    for number, (table, write) in enumerate(asked):
        consistent.check_transactions(table)
        try:
            places.append(writes.locate(table, write))
        except schema.EmptyKey:
            raise
        except AWSError as error:
            reasons[number] = {"Code": "ValidationError", "Message": error.message}
    if reasons:
        raise canceled(reasons, len(asked))
    if len(set(places)) < len(places):
        raise errors.validation("Transaction request cannot include multiple operations on one item")
    # No write changes what another finds: they are of different items.
    stored = await tx.get_many(places)
    done: list[tuple[Table, Write, Outcome]] = []
    size = 0
    for number, (table, write) in enumerate(asked):
        try:
            outcome = await writes.perform(ctx, tx, table, places[number], stored[number], write, times=2)
        except AWSError as error:
            if error.code not in _REASONS:
                raise
            reasons[number] = _reason(error)
        else:
            done.append((table, write, outcome))
            size += outcome.written.size
    if reasons:
        # Takes back everything that the other actions have done.
        raise canceled(reasons, len(asked))
    if size > BYTES_MAX:
        raise _too_large()
    return done


def _too_large() -> AWSError:
    return errors.validation("Transaction request size exceeds the limit of 4 MB")


def _reason(error: AWSError) -> dict[str, Any]:
    item = {"Item": error.members["Item"]} if "Item" in error.members else {}
    return {"Code": _REASONS[error.code], "Message": error.message, **item}


def canceled(found: Mapping[int, dict[str, Any]], actions: int) -> AWSError:
    """For what was found of so many actions, by their numbers."""
    reasons = [found.get(number) or {"Code": "None"} for number in range(actions)]
    codes = ", ".join(reason["Code"] for reason in reasons)
    return AWSError(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        CancellationReasons=reasons,
    )


def _parse(action: Request) -> Write:
    if len(action) == 1:
        for name, given in action.items():
            if name in _PARSERS:
                return _PARSERS[name](given)
    raise errors.validation("TransactItems can only contain one of Check, Put, Update or Delete")


def consumed_by(wanted: str, done: list[tuple[Table, Write, Outcome]]) -> list[dict[str, Any]]:
    """As ConsumedCapacity: what the writes of a transaction consumed of each table."""
    consumed: dict[str, Consumed] = {}
    for _, write, outcome in done:
        name = write.request["TableName"]
        writes.consume(consumed.setdefault(name, Consumed(name)), outcome.written, times=2)
    return [each.describe(wanted, "WriteCapacityUnits") for each in consumed.values()]


async def read_again(ctx: Context, tx: Reader, wanted: str, asked: list[tuple[Table, Write]]) -> list[dict[str, Any]]:
    """As ConsumedCapacity, for a call whose token went through before: what reading its items consumes."""
    places = [writes.locate(table, write) for table, write in asked]
    found = [(table, place, await items.read(tx, place)) for (table, _), place in zip(asked, places, strict=True)]
    meter_reads(ctx, found)
    consumed: dict[str, Consumed] = {}
    for (_, write), (_, _, stored) in zip(asked, found, strict=True):
        name = write.request["TableName"]
        consumed.setdefault(name, Consumed(name)).table += read_units_of(stored)
    return [each.describe(wanted, "ReadCapacityUnits") for each in consumed.values()]


def read_units_of(stored: Stored | None) -> float:
    """What the read of an item, or of nothing, consumes in a transaction."""
    return 2 * read_units(0 if stored is None else stored.size, consistent=True)


def meter_reads(ctx: Context, found: list[tuple[Table, bytes, Stored | None]]) -> None:
    """Have a transaction's reads consume their units, or raise `TransactionCanceledException`."""
    reasons: dict[int, dict[str, Any]] = {}
    for number, (table, place, stored) in enumerate(found):
        try:
            throughput.read(ctx, table, place, read_units_of(stored))
        except AWSError as error:
            reasons[number] = _reason(error)
    if reasons:
        raise canceled(reasons, len(found))


async def transact_get_items(ctx: Context, tx: Reader, request: Request) -> Answer:
    actions = request["TransactItems"]
    parsed = []
    for action in actions:
        get = action["Get"]
        parsed.append((get, parse_projection(get), values.check_item(get["Key"])[0]))
    located = []
    reasons: dict[int, dict[str, Any]] = {}
    for number, (get, projection, key) in enumerate(parsed):
        table = await tables.load(ctx, tx, get["TableName"])
        consistent.check_transactions(table)
        try:
            place = schema.given_key(table.prefix, table.schema, key)
        except AWSError as error:
            reasons[number] = {"Code": "ValidationError", "Message": error.message}
        else:
            located.append((get["TableName"], table, place, projection))
    if reasons:
        raise canceled(reasons, len(parsed))
    if len({place for _, _, place, _ in located}) < len(located):
        raise errors.validation("Transaction request cannot include multiple operations on one item")
    found = [(table, place, await items.read(tx, place)) for _, table, place, _ in located]
    if sum(stored.size for _, _, stored in found if stored is not None) > BYTES_MAX:
        raise _too_large()
    meter_reads(ctx, found)
    responses: list[dict[str, Any]] = []
    consumed: dict[str, Consumed] = {}
    for (name, _, _, projection), (_, _, stored) in zip(located, found, strict=True):
        used = consumed.setdefault(name, Consumed(name))
        used.table += read_units_of(stored)
        if stored is None:
            responses.append({})
        else:
            responses.append({"Item": writes.answered(stored) if projection is None else picked(stored, projection)})
    answer: Answer = {"Responses": responses}
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    if wanted != "NONE":
        answer["ConsumedCapacity"] = [each.describe(wanted, "ReadCapacityUnits") for each in consumed.values()]
    return answer
