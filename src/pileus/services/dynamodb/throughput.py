"""How fast a table and its global indexes may be read and written: token buckets, and what is counted of it.

A bucket gains its rate every second and holds as much as 300 seconds bring: burst capacity is unused capacity of the
last five minutes. What a call costs is known only when it has run, so it is let in while anything is left and may leave
a debt, which later calls wait for: a page of 1 MB can be read from a table with one unit, and then nothing for a while.

    PROVISIONED                            the units provisioned
    PAY_PER_REQUEST, with a maximum        OnDemandThroughput's
    PAY_PER_REQUEST                        the account's quota for a table, without burst

With `--partition-limits` single partition keys have theirs, too, and a table on demand takes what it was made ready for
or has grown to: see `partitions`.

Buckets are in memory: a table that is new, or new to this node, begins with a full one, as if it had rested before.
A write that has to wait for a global index waits as a whole, before it has changed anything.

Sources: "DynamoDB burst and adaptive capacity"; "Diagnosing throttling"; "DynamoDB maximum throughput for on-demand
tables"; "Quotas in Amazon DynamoDB"; the API reference's TransactionCanceledException (messages); "DynamoDB metrics and
dimensions".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pileus.cloud.context import Context
from pileus.cloud.metrics import Metric, Series
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import capacity, errors, keys
from pileus.services.dynamodb.partitions import Growth, Heat
from pileus.services.dynamodb.tables import Index, Table, memory, table_arn

BURST_S = 300.0
METERS_MAX = 4096
# Calls at the same time may be as far apart.
_SET_BACK_S = 10.0
NAMESPACE = "AWS/DynamoDB"

Kind = Literal["Read", "Write"]
Limit = Literal[
    "ProvisionedThroughputExceeded",
    "MaxOnDemandThroughputExceeded",
    "AccountLimitExceeded",
    "KeyRangeThroughputExceeded",
]

_THROTTLED_REQUESTS = Metric(NAMESPACE, "ThrottledRequests")
_CONSUMED = {kind: Metric(NAMESPACE, f"Consumed{kind}CapacityUnits") for kind in ("Read", "Write")}
_THROTTLE_EVENTS = {kind: Metric(NAMESPACE, f"{kind}ThrottleEvents") for kind in ("Read", "Write")}
_LIMIT_EVENTS = {
    (kind, limit): Metric(NAMESPACE, f"{kind}{name}ThrottleEvents")
    for kind in ("Read", "Write")
    for limit, name in (
        ("ProvisionedThroughputExceeded", "ProvisionedThroughput"),
        ("MaxOnDemandThroughputExceeded", "MaxOnDemandThroughput"),
        ("AccountLimitExceeded", "AccountLimit"),
        ("KeyRangeThroughputExceeded", "KeyRangeThroughput"),
    )
}


class Bucket:
    """One kind of throughput of one table or index, and the series that counts what is consumed of it."""

    __slots__ = ("_at", "_growth", "_level", "_rate", "_room", "_series", "_warm", "heat", "kind", "limit")

    def __init__(self, kind: Kind, series: Series, now: float, *, partitions: bool) -> None:
        self.kind = kind
        self.limit: Limit = "AccountLimitExceeded"
        # Where partitions have limits: theirs, and how it grows.
        self.heat = Heat(kind) if partitions else None
        self._growth = Growth(now) if partitions else None
        self._warm = 0.0
        self._series = series
        self._rate = 0.0
        self._room = 0.0
        # None: full, whatever its room turns out to be.
        self._level: float | None = None
        self._at = now

    def set_rate(self, limit: Limit, rate: float) -> None:
        """What was saved or is owed is kept, as far as there is room; a new kind of limit begins full."""
        if limit != self.limit:
            self._level = None
        self.limit = limit
        self._rate = rate
        saves = limit in ("ProvisionedThroughputExceeded", "MaxOnDemandThroughputExceeded")
        self._room = rate * BURST_S if saves else rate
        if self._level is not None and self._level > self._room:
            self._level = self._room

    def set_on_demand(self, warm: float) -> None:
        """Without a maximum of its own."""
        self._warm = warm
        if self._growth is None:
            self.set_rate("AccountLimitExceeded", capacity.TABLE_UNITS_MAX)
        else:
            self.set_rate("KeyRangeThroughputExceeded", self._growth.rate(warm))

    def is_spent(self, now: float) -> bool:
        level = self._level
        if level is None:
            return False
        if now > self._at:
            level += (now - self._at) * self._rate
            self._at = now
            # Full again: nothing to add up until the next unit is taken.
            self._level = None if level >= self._room else level
        elif now < self._at - _SET_BACK_S:
            # The clock was set back: go on from there.
            self._at = now
        return level <= 0

    def take(self, units: float, now: float) -> None:
        """Consume `units`; `is_spent` has been asked at the same moment."""
        if self._level is None:
            self._level = self._room
            self._at = now
        self._level -= units
        self._series.add(units, now)
        if self._growth is not None:
            self._growth.note(units, now)
            if self.limit == "KeyRangeThroughputExceeded":
                self._rate = self._room = self._growth.rate(self._warm)


class Gauge:
    """A table or a global index: its buckets."""

    __slots__ = ("dimensions", "index", "read", "write")

    def __init__(self, ctx: Context, table: Table, index: str) -> None:
        self.index = index
        self.dimensions: tuple[tuple[str, str], ...] = (("TableName", table.name),)
        if index:
            self.dimensions += (("GlobalSecondaryIndexName", index),)

        def bucket(kind: Kind) -> Bucket:
            series = ctx.cloud.metrics.series(_CONSUMED[kind], table.account, table.region, self.dimensions)
            return Bucket(kind, series, ctx.now, partitions=ctx.cloud.settings.partition_limits)

        self.read = bucket("Read")
        self.write = bucket("Write")

    def set_rates(self, table: Table, index: Index | None) -> None:
        record = table.record if index is None else index.record
        for bucket, provisioned, most, warm in (
            (
                self.read,
                record.read_units,
                record.on_demand.get("MaxReadRequestUnits", -1),
                max(record.warm_read, capacity.ON_DEMAND_READS),
            ),
            (
                self.write,
                record.write_units,
                record.on_demand.get("MaxWriteRequestUnits", -1),
                max(record.warm_write, capacity.ON_DEMAND_WRITES),
            ),
        ):
            if table.record.billing == "PROVISIONED":
                bucket.set_rate("ProvisionedThroughputExceeded", max(1, provisioned))
            elif most > 0:
                bucket.set_rate("MaxOnDemandThroughputExceeded", most)
            else:
                bucket.set_on_demand(warm)


class Meter:
    """All gauges of a table."""

    __slots__ = ("_gauges", "_indexes", "_own", "partitions", "table")

    def __init__(self, ctx: Context, table: Table) -> None:
        # Whether partitions have limits.
        self.partitions = ctx.cloud.settings.partition_limits
        self._own = Gauge(ctx, table, "")
        # Whose throughput it has.
        self.table = table
        # By the id of the index: one that is made anew under the same name begins anew.
        self._gauges: dict[bytes, Gauge] = {}
        self._indexes: list[tuple[Index, Gauge]] = []
        self.follow(ctx, table)

    def follow(self, ctx: Context, table: Table) -> None:
        """Take over the table's throughput, which has changed."""
        self.table = table
        self._own.set_rates(table, None)
        self._indexes = []
        for index in table.indexes:
            if not index.is_local:
                gauge = self._gauges.get(index.record.id) or Gauge(ctx, table, index.name)
                gauge.set_rates(table, index)
                self._indexes.append((index, gauge))
        self._gauges = {index.record.id: gauge for index, gauge in self._indexes}

    def _gauge(self, index: Index | None) -> Gauge:
        return self._own if index is None or index.is_local else self._gauges[index.record.id]

    def admit_read(self, ctx: Context, place: bytes, index: Index | None = None) -> None:
        """Raise where nothing may be read now of the table, or of that index; `place` is where reading begins."""
        gauge = self._gauge(index)
        bucket = gauge.read
        if bucket.is_spent(ctx.now):
            raise self._throttled(ctx, gauge, bucket, bucket.limit)
        if bucket.heat is not None and bucket.heat.is_spent(self.partition(place, index), ctx.now):
            raise self._throttled(ctx, gauge, bucket, "KeyRangeThroughputExceeded")

    def read(self, ctx: Context, units: float, index: Index | None = None) -> None:
        """To be followed by `read_partition`, for each."""
        self._gauge(index).read.take(units, ctx.now)

    def read_partition(self, ctx: Context, place: bytes, units: float, index: Index | None = None) -> None:
        heat = self._gauge(index).read.heat
        if heat is not None:
            heat.take(self.partition(place, index), units, ctx.now)

    def partition(self, place: bytes, index: Index | None = None) -> bytes:
        """The partition of a key of the table or of the index; of a local index it is that of the table."""
        if index is None:
            return keys.partition_of(self.table.prefix, place)
        return keys.partition_of(index.prefix, place, len(index.schema.hashes))

    def admit_write(self, ctx: Context, key: bytes) -> None:
        """Raise where nothing may be written to the table, or to the item's partition, now."""
        bucket = self._own.write
        if bucket.is_spent(ctx.now):
            raise self._throttled(ctx, self._own, bucket, bucket.limit)
        if bucket.heat is not None and bucket.heat.is_spent(self.partition(key), ctx.now):
            raise self._throttled(ctx, self._own, bucket, "KeyRangeThroughputExceeded")

    def full_indexes(self, ctx: Context) -> Sequence[Index]:
        """The indexes that take no entry now."""
        return [index for index, gauge in self._indexes if gauge.write.is_spent(ctx.now)]

    def is_hot(self, ctx: Context, index: Index, places: Sequence[bytes]) -> bool:
        """Whether one of the partitions of entries in a global index takes nothing now."""
        heat = self._gauge(index).write.heat
        return heat is not None and any(heat.is_spent(self.partition(place, index), ctx.now) for place in places)

    def refuse_write(self, ctx: Context, index: Index, *, hot: bool = False) -> AWSError:
        """For a write that would have an entry in an index that is full, or in a hot partition of it."""
        gauge = self._gauge(index)
        limit: Limit = "KeyRangeThroughputExceeded" if hot else gauge.write.limit
        return self._throttled(ctx, gauge, gauge.write, limit)

    def write(
        self,
        ctx: Context,
        key: bytes,
        size: int,
        indexes: Sequence[tuple[Index, Sequence[int]]],
        times: int = 1,
    ) -> None:
        """A write of `size` bytes, and of entries of those sizes; in a transaction it counts twice (`times`)."""
        units = capacity.write_units(size)
        for index, sizes in indexes:
            entries = sum(map(capacity.write_units, sizes))
            if index.is_local:
                units += entries
            else:
                self._gauges[index.record.id].write.take(times * entries, ctx.now)
        bucket = self._own.write
        bucket.take(times * units, ctx.now)
        if bucket.heat is not None:
            bucket.heat.take(self.partition(key), times * units, ctx.now)

    def write_entry(self, ctx: Context, index: Index, place: bytes, units: float) -> None:
        """An entry that was written; `write` has counted it for the index."""
        heat = self._gauge(index).write.heat
        if heat is not None:
            heat.take(self.partition(place, index), units, ctx.now)

    def _throttled(self, ctx: Context, gauge: Gauge, bucket: Bucket, limit: Limit) -> AWSError:
        """The error, counted."""
        table = self.table
        place = (table.account, table.region)
        metrics = ctx.cloud.metrics
        metrics.add(_THROTTLE_EVENTS[bucket.kind], *place, gauge.dimensions, now=ctx.now)
        metrics.add(_LIMIT_EVENTS[bucket.kind, limit], *place, gauge.dimensions, now=ctx.now)
        of_table = (("TableName", table.name), ("Operation", ctx.operation))
        metrics.add(_THROTTLED_REQUESTS, *place, of_table, now=ctx.now)
        arn = table_arn(table.region, table.account, table.name)
        return errors.throttled(
            f"{'Index' if gauge.index else 'Table'}{bucket.kind}",
            limit,
            f"{arn}/index/{gauge.index}" if gauge.index else arn,
            on_demand=table.record.billing == "PAY_PER_REQUEST",
        )


def meter(ctx: Context, table: Table) -> Meter:
    """A table's meter, with the throughput that the table has now."""
    meters: dict[bytes, Meter] = memory(ctx.cloud).meters
    found = meters.get(table.statistics)
    if found is None:
        if len(meters) >= METERS_MAX:
            del meters[next(iter(meters))]
        found = meters[table.statistics] = Meter(ctx, table)
    elif found.table is not table:
        found.follow(ctx, table)
    return found


def read(ctx: Context, table: Table, place: bytes, units: float) -> None:
    """A read of the item there, where that may be now; else raise."""
    gauges = meter(ctx, table)
    gauges.admit_read(ctx, place)
    gauges.read(ctx, units)
    gauges.read_partition(ctx, place, units)
