"""Tables as the operations see them, and the cache of them.

A table's record is read in every transaction and compared with the cached one, so a changed or dropped table is seen at
once on every node; decoding it and laying out its schema is done once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pileus.cloud.context import Cloud, Context
from pileus.kernel.arn import make_arn, parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors, keys, records
from pileus.services.dynamodb.schema import Schema
from pileus.store.contract import Reader, Transaction

NAME_LENGTH_MIN = 3
NAME_LENGTH_MAX = 255
CACHED_TABLES_MAX = 4096
# What tables have grown by is written so often, while it is changing.
COUNTING_S = 5.0

_NAME = re.compile(r"[a-zA-Z0-9_.-]+", re.ASCII)
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)


class Index(msgspec.Struct, frozen=True, eq=False):
    """A secondary index of a table."""

    record: records.Index
    schema: Schema
    prefix: bytes
    # The key of its statistics.
    statistics: bytes
    # The attributes that its entries have; None: all.
    attributes: frozenset[str] | None

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def is_local(self) -> bool:
        return self.record.scope == "local"


class Stream(msgspec.Struct, frozen=True, eq=False):
    """The open stream of a table."""

    arn: str
    view: records.View
    # What the store keys of its records begin with, and where the number of the last one is.
    prefix: bytes
    sequence: bytes


class TimeToLive(msgspec.Struct, frozen=True, eq=False):
    """By which attribute items expire, and what the keys of their expiry entries begin with."""

    attribute: str
    prefix: bytes


class Table(msgspec.Struct, frozen=True, eq=False):
    """A table's record, laid out for use."""

    record: records.Table
    # The record as it is stored.
    raw: bytes
    schema: Schema
    # What the store keys of its items begin with.
    prefix: bytes
    # The key of its statistics.
    statistics: bytes
    indexes: tuple[Index, ...]
    # Attributes in any key: the table's or an index's.
    key_names: frozenset[str]
    account: str
    region: str
    stream: Stream | None
    ttl: TimeToLive | None
    # What the store keys of its items' versions, and of those of its deleted items, begin with; b"": it is no replica.
    versions: bytes = b""
    deleted: bytes = b""
    # Whether a change of an item brings nothing with it: no entries, no record in a stream or a history, no expiry, no
    # change in another region. See `items.change`.
    plain: bool = False

    @property
    def name(self) -> str:
        return self.record.name

    def index(self, name: str) -> Index | None:
        return next((index for index in self.indexes if index.name == name), None)


class Change(msgspec.Struct):
    """By how much a table or index has grown since its statistics were last written."""

    items: int = 0
    size_bytes: int = 0


class Memory:
    """What a node keeps of DynamoDB in memory: nothing that is lost with it for good."""

    def __init__(self) -> None:
        self.tables: dict[bytes, Table] = {}
        # By the key of the statistics record.
        self.growth: dict[bytes, Change] = {}
        # Tables with a mark in the store that says that not all of their growth may be written, by the key of their
        # statistics; and those changed since the last writing. See `statistics`.
        self.marked: dict[bytes, bytes] = {}
        self.touched: set[bytes] = set()
        # When what has been added up is written, seconds since the epoch; infinite where there is nothing.
        self.counts_at = math.inf
        # The marks that the node before this one has left.
        self.uncounted: list[bytes] = []
        # What is being counted anew, and up to which key it is.
        self.counting: dict[bytes, bytes] = {}
        # Whether any table may have a resource-based policy.
        self.policies = False
        # The number of the last change that was kept in a history.
        self.last_change = 0
        # How fast tables are read and written, by the key of their statistics: see `throughput`.
        self.meters: dict[bytes, Any] = {}
        # When the loop that hands changes on to replicas looks again, seconds since the epoch.
        self.replicates_at = 0.0

    def mark(self, cloud: Cloud, key: bytes, mark: bytes) -> None:
        """Note a table's mark, and have its growth written when it is time."""
        self.marked[key] = mark
        if self.counts_at == math.inf:
            self.counts_at = cloud.clock.time() + COUNTING_S
            cloud.nudge("dynamodb.statistics")

    def hand_on(self, cloud: Cloud, now: float) -> None:
        """Have a change of a global table handed on to the other replicas, when it is time."""
        due = now + cloud.settings.replication_lag_s
        if due < self.replicates_at:
            self.replicates_at = due
            cloud.nudge("dynamodb.replicate")

    def grown(self, key: bytes, items: int, size_bytes: int, place: bytes) -> None:
        """Add a change of the item or entry at `place`, which a count under way will meet if it is still ahead."""
        counted = self.counting.get(key)
        if counted is not None and place >= counted:
            return
        change = self.growth.get(key)
        if change is None:
            change = self.growth[key] = Change()
        change.items += items
        change.size_bytes += size_bytes


def memory(cloud: Cloud) -> Memory:
    return cloud.part(Memory)


def at_home(ctx: Context, text: str) -> Context:
    """The same call, meaning the account of the table that a member names: another's, where it is that one's ARN.

    Whether the caller may use that account's table is not asked here: the operation's permissions say it.
    """
    if text.startswith("arn:"):
        arn = parse_arn(text)
        if arn is not None and arn.account != ctx.account and _ACCOUNT.fullmatch(arn.account):
            return msgspec.structs.replace(ctx, account=arn.account)
    return ctx


def table_name(ctx: Context, text: str) -> str:
    """The name in a TableName member, which may be the table's ARN."""
    if text.startswith("arn:"):
        arn = parse_arn(text)
        if arn is None or arn.service != "dynamodb" or not arn.resource.startswith("table/"):
            raise errors.validation(f"Invalid table ARN: {text}")
        if arn.resource.count("/") > 1:
            # What stands behind the name is part of what was allowed: an index is not its table.
            raise errors.validation(f"Invalid table ARN: {text}")
        if arn.region != ctx.region:
            raise errors.validation(f"Region mismatch: the table's ARN names {arn.region}, the request {ctx.region}")
        if arn.account != ctx.account:
            raise AWSError(
                "AccessDeniedException",
                f"User: {ctx.principal.arn} is not authorized to perform: dynamodb:{ctx.operation} on resource: {text} "
                f"because no resource-based policy allows the dynamodb:{ctx.operation} action",
            )
        text = arn.resource[len("table/") :]
    if not NAME_LENGTH_MIN <= len(text) <= NAME_LENGTH_MAX:
        raise errors.validation("TableName must be at least 3 characters long and at most 255 characters long")
    if not _NAME.fullmatch(text):
        raise errors.constraint(text, "tableName", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
    return text


def table_arn(region: str, account: str, name: str) -> str:
    return make_arn("dynamodb", region, account, f"table/{name}")


async def find(ctx: Context, tx: Reader, name: str) -> Table | None:
    """The table of that name, or None."""
    key = keys.table(ctx.account, ctx.region, name)
    return of_raw(ctx, key, await tx.get(key))


def cached(ctx: Context, name: str) -> Table | None:
    """What is remembered of a table: a guess, to be compared with what the store has. Of what is no name: nothing."""
    return memory(ctx.cloud).tables.get(keys.table(ctx.account, ctx.region, name))


def of_raw(ctx: Context, key: bytes, raw: bytes | None) -> Table | None:
    """The table whose record is `raw`, from the cache where it is the same."""
    return _of_raw(ctx.cloud, ctx.account, ctx.region, key, raw)


async def elsewhere(cloud: Cloud, tx: Reader, table: Table, region: str) -> Table | None:
    """A table's replica in another region."""
    key = keys.table(table.account, region, table.name)
    return _of_raw(cloud, table.account, region, key, await tx.get(key))


def _of_raw(cloud: Cloud, account: str, region: str, key: bytes, raw: bytes | None) -> Table | None:
    known = memory(cloud).tables
    if raw is None:
        known.pop(key, None)
        return None
    table = known.get(key)
    if table is None or table.raw != raw:
        table = laid_out(account, region, records.decode_table(raw), raw)
        if len(known) >= CACHED_TABLES_MAX:
            known.clear()
        known[key] = table
    return table


async def load(ctx: Context, tx: Reader, text: str) -> Table:
    """The table that a TableName member names, for item operations; it may be another account's."""
    table = cached(ctx, text)
    if table is None or await tx.get(keys.table(ctx.account, ctx.region, text)) != table.raw:
        ctx = at_home(ctx, text)
        table = await find(ctx, tx, table_name(ctx, text))
    if table is None or not table.record.usable:
        raise errors.no_resource()
    return table


async def load_for_control(ctx: Context, tx: Reader, text: str) -> Table:
    """The table that a TableName member names, for operations on tables."""
    name = table_name(ctx, text)
    table = await find(ctx, tx, name)
    if table is None:
        raise errors.no_table(name)
    return table


def check_deletable(table: Table) -> None:
    """Refuse to delete a table that is protected, or being copied."""
    if table.record.deletion_protection:
        raise errors.validation(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    if table.record.copying:
        raise AWSError("ResourceInUseException", f"Table is being backed up or restored from: {table.name}")


def store(ctx: Context, tx: Transaction, record: records.Table) -> Table:
    """Write a table's record."""
    raw = records.encode(record)
    tx.put(keys.table(ctx.account, ctx.region, record.name), raw)
    return laid_out(ctx.account, ctx.region, record, raw)


def laid_out(account: str, region: str, record: records.Table, raw: bytes) -> Table:
    schema = _schema(record.attributes, record.hash, record.range)
    indexes = tuple(_index(account, region, record, index, schema) for index in record.indexes)
    return Table(
        record=record,
        raw=raw,
        schema=schema,
        prefix=keys.items(account, region, record.id),
        statistics=keys.statistics(account, region, record.id),
        indexes=indexes,
        key_names=frozenset(schema.names).union(*(index.schema.names for index in indexes)),
        account=account,
        region=region,
        stream=_stream(account, region, record),
        ttl=TimeToLive(record.ttl_attribute, keys.expiries(account, region, record.id, record.ttl_id))
        if record.ttl_attribute
        else None,
        versions=keys.versions(account, region, record.id, record.group) if record.group else b"",
        deleted=keys.deleted(account, region, record.id, record.group) if record.group else b"",
        plain=not (indexes or record.stream_view or record.ttl_attribute or record.keeps_history or record.strong),
    )


def without_stream(table: Table) -> Table:
    """The table for changes that its stream does not tell of."""
    return msgspec.structs.replace(table, stream=None)


def _stream(account: str, region: str, record: records.Table) -> Stream | None:
    if not record.stream_view:
        return None
    prefix = keys.changes(account, region, record.id)
    arn = f"{table_arn(region, account, record.name)}/stream/{record.stream_label}"
    return Stream(arn, record.stream_view, prefix, keys.sequence(account, region, record.id))


def _schema(attributes: Mapping[str, str], partition: str, sort: str) -> Schema:
    return Schema(partition, attributes[partition], sort, attributes[sort] if sort else "")


def _index(account: str, region: str, record: records.Table, index: records.Index, base: Schema) -> Index:
    schema = msgspec.structs.replace(
        _schema(record.attributes, index.hash, index.range),
        more_partition=tuple((name, record.attributes[name]) for name in index.more_hash),
        more_sort=tuple((name, record.attributes[name]) for name in index.more_range),
    )
    return Index(
        record=index,
        schema=schema,
        prefix=keys.entries(account, region, record.id, index.id),
        statistics=keys.statistics(account, region, record.id, index.id),
        attributes=None
        if index.projection == "ALL"
        else frozenset((*schema.names, *base.names, *index.non_key_attributes)),
    )


Request = Mapping[str, Any]
