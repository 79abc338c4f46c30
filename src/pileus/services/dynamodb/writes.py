"""One write of one item: what PutItem, UpdateItem, DeleteItem, batches and transactions are made of.

    parse_put, parse_update, ...    the checks that need no table
    locate                          those that need its schema; gives the item's key
    perform                         condition and change, in the caller's transaction

A failed check raises; in what order they come is AWS's: values, expressions, table, key, condition, new item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.kernel.raw import RawJson
from pileus.services.dynamodb import capacity, errors, items, legacy, schema, throughput, values
from pileus.services.dynamodb.expressions.parameters import (
    Expressions,
    Predicate,
    Update,
    check_styles,
    condition_of,
)
from pileus.services.dynamodb.items import Stored, Written
from pileus.services.dynamodb.tables import Index, Table
from pileus.services.dynamodb.values import Item
from pileus.store.contract import Transaction

Request = Mapping[str, Any]


class Write(msgspec.Struct, eq=False):
    """A parsed write. `item` is what is put, or else the key."""

    request: Request
    item: Item
    condition: Predicate | None
    # Of what is put.
    size: int = 0
    puts: bool = False
    # Puts only where nothing is.
    inserts: bool = False
    deletes: bool = False
    update: Update | None = None


class Outcome(msgspec.Struct, eq=False):
    """What a write did. `new_item` is None where nothing is left."""

    old: Stored | None
    old_item: Item | None
    new_item: Item | None
    written: Written


def parse_put(request: Request) -> Write:
    # Mostly there is a table and an item, and nothing else to look at.
    more = len(request) > 2
    if more:
        check_styles(request, ("ConditionExpression",), ("Expected", "ConditionalOperator"))
    item, size = values.check_item(request["Item"])
    if more:
        _check_returns(request)
    items.check_size(size)
    return Write(request, item, _condition(request), size, puts=True)


def parse_delete(request: Request) -> Write:
    if len(request) > 2:
        check_styles(request, ("ConditionExpression",), ("Expected", "ConditionalOperator"))
    key, _ = values.check_item(request["Key"])
    _check_returns(request)
    return Write(request, key, _condition(request), deletes=True)


def parse_check(request: Request) -> Write:
    """A transaction's ConditionCheck."""
    key, _ = values.check_item(request["Key"])
    return Write(request, key, _condition(request))


def parse_update(request: Request) -> Write:
    check_styles(
        request,
        ("UpdateExpression", "ConditionExpression"),
        ("AttributeUpdates", "Expected", "ConditionalOperator"),
    )
    key, _ = values.check_item(request["Key"])
    if "UpdateExpression" in request or "ConditionExpression" in request:
        expressions = Expressions(request)
        update = expressions.update()
        condition = expressions.condition("ConditionExpression")
        expressions.finish()
    else:
        condition = _condition(request)
        update = Update(*legacy.attribute_updates(request.get("AttributeUpdates") or {}))
    return Write(request, key, condition, update=update or Update(*legacy.attribute_updates({})))


def _condition(request: Request) -> Predicate | None:
    if len(request) == 2:
        return None
    return condition_of(request, "ConditionExpression", "Expected")


def _check_returns(request: Request) -> None:
    if request.get("ReturnValues", "NONE") not in ("NONE", "ALL_OLD"):
        raise errors.validation("ReturnValues can only be ALL_OLD or NONE")


def locate(table: Table, write: Write) -> bytes:
    """The store key of the write's item."""
    if write.puts:
        key = schema.item_key(table.prefix, table.schema, write.item)
        for index in table.indexes:
            schema.check_index_keys(index.name, index.schema, write.item, update=False)
        return key
    key = schema.given_key(table.prefix, table.schema, write.item)
    if write.update is not None:
        for name in table.schema.names:
            if name in write.update.touched.attributes:
                raise errors.invalid(f"Cannot update attribute {name}. This attribute is part of the key")
    return key


async def perform(
    ctx: Context, tx: Transaction, table: Table, key: bytes, found: bytes | None, write: Write, times: int = 1
) -> Outcome:
    """Do the write, or raise `ConditionalCheckFailedException` or what is wrong with the new item.

    `found`: what the store has at `key`, as the transaction sees it now. It consumes its units as often as `times`
    says. Throttled, it is refused before it has changed anything.
    """
    meter = throughput.meter(ctx, table)
    meter.admit_write(ctx, key)
    old = None if found is None else Stored(found)
    old_item: Item | None = None
    if write.inserts and old is not None:
        raise errors.duplicate_item()
    if old is not None and (write.condition is not None or write.update is not None):
        old_item = old.item()
    if write.condition is not None and not write.condition.test(old_item or {}):
        meter.write(ctx, key, 0 if old is None else old.size, (), times)
        wanted = write.request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        raise errors.condition_failed(answered(old) if wanted and old is not None else None)
    new: Item | None = None
    size = 0
    if write.puts:
        new, size = write.item, write.size
    elif not write.deletes:
        if write.update is None or (old is None and not write.update.creates):
            written = Written(0 if old is None else old.size)
            meter.write(ctx, key, written.size, (), times)
            return Outcome(old, old_item, old_item, written)
        new = write.update.apply(old_item or {}, write.item if old_item is None else old_item)
        values.check_nesting(new)
        size = values.item_size(new)
        items.check_size(size, updated=True)
        for index in table.indexes:
            schema.check_index_keys(index.name, index.schema, new, update=True)
    places = _entry_places(table, key, old, new) if meter.partitions else []
    if table.indexes:
        if new is not None and not items.fits_with_entries(table, key, new, size):
            raise items.too_large(updated=not write.puts)
        for index in meter.full_indexes(ctx):
            if items.touches(index, key, old, new, size):
                raise meter.refuse_write(ctx, index)
        for index, at in places:
            if meter.is_hot(ctx, index, at) and items.touches(index, key, old, new, size):
                raise meter.refuse_write(ctx, index, hot=True)
    written = await items.change(
        ctx.cloud, tx, table, key, now=ctx.now, old=old, new=new, new_size=size, old_item=old_item
    )
    meter.write(ctx, key, written.size, written.indexes, times)
    if places:
        sizes = dict(written.indexes)
        for index, at in places:
            for place, entry_size in zip(at, sizes.get(index, ()), strict=False):
                meter.write_entry(ctx, index, place, times * capacity.write_units(entry_size))
    return Outcome(old, old_item, new, written)


def _entry_places(table: Table, key: bytes, old: Stored | None, new: Item | None) -> list[tuple[Index, list[bytes]]]:
    """The keys of an item's old and new entries in global indexes, in the order in which `Written` has their sizes."""
    found = []
    for index in table.indexes:
        if not index.is_local:
            both = [
                schema.entry_key(index.prefix, index.schema, item, key)
                for item in (None if old is None else old.item(), new)
                if item is not None
            ]
            found.append((index, list(dict.fromkeys(place for place in both if place is not None))))
    return found


def answered(stored: Stored) -> RawJson:
    """A stored item as a member of an answer."""
    return RawJson(stored.json, values.plain)


def answered_item(item: Item) -> RawJson:
    """An item that is at hand as a member of an answer."""
    return RawJson(values.dump(item), values.plain)


def returned(write: Write, outcome: Outcome) -> RawJson | None:
    """The Attributes that ReturnValues asks for."""
    wanted = write.request.get("ReturnValues", "NONE")
    if wanted == "ALL_OLD":
        return None if outcome.old is None else answered(outcome.old)
    if wanted == "NONE" or write.update is None:
        return None
    if wanted == "ALL_NEW":
        return None if outcome.new_item is None else answered_item(outcome.new_item)
    item = outcome.old_item if wanted == "UPDATED_OLD" else outcome.new_item
    picked = write.update.touched.pick(item) if item is not None else {}
    return answered_item(picked) if picked else None


def consume(consumed: capacity.Consumed, written: Written, times: int = 1) -> None:
    """Add what a write consumed."""
    consumed.table += times * capacity.write_units(written.size)
    for index, sizes in written.indexes:
        for size in sizes:
            consumed.add_index(index.name, times * capacity.write_units(size), local=index.is_local)
