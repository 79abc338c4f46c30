"""What throughput a table and its indexes may be given, and how it may be changed.

Sources: "Quotas in Amazon DynamoDB" (throughput per table and account, tables, decreases of provisioned throughput);
the API reference's pages UpdateTable, OnDemandThroughput, WarmThroughput; "Understanding DynamoDB warm throughput in
different scenarios".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from pileus.cloud.context import Context
from pileus.services.dynamodb import errors, keys, records
from pileus.services.dynamodb.capacity import ACCOUNT_UNITS_MAX, TABLE_UNITS_MAX
from pileus.services.dynamodb.definitions import check_on_demand
from pileus.services.dynamodb.descriptions import ON_DEMAND_WARM, decreases_today
from pileus.store.contract import Reader

TABLES_MAX = 2_500
# Decreases a UTC day that come whenever they like; of those after them one an hour.
FREE_DECREASES = 4
_HOUR_S = 3600.0
# Changes to on-demand mode within a day.
ON_DEMAND_CHANGES_MAX = 4
_DAY_S = 86_400.0

Request = Mapping[str, Any]
Provisioned = TypeVar("Provisioned", records.Table, records.Index)


def updated(ctx: Context, record: records.Table, request: Request) -> records.Table:
    """The table with the billing mode and throughput that UpdateTable asks for."""
    billing = request.get("BillingMode", record.billing)
    given = request.get("ProvisionedThroughput")
    if billing == "PAY_PER_REQUEST":
        if given is not None:
            raise errors.invalid(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
            )
        if record.billing != billing:
            changes = _on_demand_changes(ctx, record)
            record = msgspec.structs.replace(
                _switched(record, billing), on_demand_since=ctx.now, on_demand_changes=changes
            )
    elif given is None:
        if record.billing != billing:
            raise errors.invalid("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
    elif _units(given) != (record.read_units, record.write_units):
        if record.billing != billing:
            record = _switched(record, billing)
        record = msgspec.structs.replace(_changed(ctx, record, given), on_demand={})
    elif not request.keys() - {"TableName", "ProvisionedThroughput", "BillingMode"}:
        raise _unchanged("table", given)
    return _with_others(record, request, billing, "table")


def _kept_warm(record: Provisioned, billing: str) -> Provisioned:
    """With what it can take as it is now as its warm throughput, which no change takes away."""
    read, write = ON_DEMAND_WARM if billing == "PAY_PER_REQUEST" else (record.read_units, record.write_units)
    return msgspec.structs.replace(
        record, warm_read=max(record.warm_read, read), warm_write=max(record.warm_write, write)
    )


def _switched(record: records.Table, billing: str) -> records.Table:
    """The table, and its indexes, in the other billing mode, as yet without units."""
    indexes = tuple(
        index
        if index.scope == "local"
        else msgspec.structs.replace(_kept_warm(index, record.billing), read_units=0, write_units=0)
        for index in record.indexes
    )
    return msgspec.structs.replace(
        _kept_warm(record, record.billing), billing=billing, indexes=indexes, read_units=0, write_units=0
    )


def _on_demand_changes(ctx: Context, record: records.Table) -> tuple[float, ...]:
    """The moments of the last day's changes to on-demand mode, with this one."""
    recent = tuple(at for at in record.on_demand_changes if at > ctx.now - _DAY_S)
    if len(recent) >= ON_DEMAND_CHANGES_MAX:
        raise errors.limit_exceeded(
            f"Update to PayPerRequest mode are limited to {ON_DEMAND_CHANGES_MAX} times in 1 day(s). "
            f"Last update at {_spoken(recent[-1])}. Next update can be made at {_spoken(recent[0] + _DAY_S)}"
        )
    return (*recent, ctx.now)


def updated_index(ctx: Context, index: records.Index, asked: Request, billing: str) -> records.Index:
    """The index with what an Update of GlobalSecondaryIndexUpdates asks for; `billing` is the table's."""
    given = asked.get("ProvisionedThroughput")
    if given is not None:
        if billing == "PAY_PER_REQUEST":
            raise errors.invalid(
                f"ProvisionedThroughput should not be specified for index: {index.name} "
                "when BillingMode is PAY_PER_REQUEST"
            )
        if _units(given) == (index.read_units, index.write_units):
            raise _unchanged(f"index {index.name}", given)
        index = _changed(ctx, index, given)
    return _with_others(index, asked, billing, f"index {index.name}")


def _units(given: Request) -> tuple[int, int]:
    return given["ReadCapacityUnits"], given["WriteCapacityUnits"]


def _unchanged(what: str, given: Request) -> Exception:
    read, write = _units(given)
    return errors.validation(
        f"The provisioned throughput for the {what} will not change. The requested value equals the current value. "
        f"Current ReadCapacityUnits provisioned for the {what}: {read}. Requested ReadCapacityUnits: {read}. "
        f"Current WriteCapacityUnits provisioned for the {what}: {write}. Requested WriteCapacityUnits: {write}. "
        "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    )


def _changed(ctx: Context, record: Provisioned, given: Request) -> Provisioned:
    read, write = _units(given)
    changes: dict[str, Any] = {"read_units": read, "write_units": write}
    record = _kept_warm(record, "PROVISIONED")
    if read > record.read_units or write > record.write_units:
        changes["last_increase"] = ctx.now
    if read < record.read_units or write < record.write_units:
        today = decreases_today(record, ctx.now)
        if today >= FREE_DECREASES and ctx.now - record.last_decrease < _HOUR_S:
            raise errors.limit_exceeded(
                "Provisioned throughput decreases are limited within a given UTC day. After the first "
                f"{FREE_DECREASES} decreases, each subsequent decrease in the same UTC day can be performed at most "
                f"once every {_HOUR_S:.0f} seconds. Number of decreases today: {today}. "
                f"Last decrease at {_spoken(record.last_decrease)}. "
                f"Next decrease can be made at {_spoken(record.last_decrease + _HOUR_S)}"
            )
        changes |= {"last_decrease": ctx.now, "decreases": today + 1}
    return msgspec.structs.replace(record, **changes)


def _spoken(moment: float) -> str:
    at = datetime.fromtimestamp(moment, UTC)
    return f"{at:%A, %B} {at.day}, {at.year} {at.hour % 12 or 12}:{at:%M:%S %p} UTC"


def _with_others(record: Provisioned, request: Request, billing: str, what: str) -> Provisioned:
    """With the OnDemandThroughput and WarmThroughput asked for."""
    changes: dict[str, Any] = {}
    if "OnDemandThroughput" in request:
        check_on_demand(request, billing)
        changes["on_demand"] = {**record.on_demand, **request["OnDemandThroughput"]}
    if "WarmThroughput" in request:
        given = request["WarmThroughput"]
        least = ON_DEMAND_WARM if billing == "PAY_PER_REQUEST" else (record.read_units, record.write_units)
        for member, kept, held, lowest in (
            ("ReadUnitsPerSecond", "warm_read", record.warm_read, least[0]),
            ("WriteUnitsPerSecond", "warm_write", record.warm_write, least[1]),
        ):
            if member in given:
                if given[member] < max(held, lowest):
                    raise errors.invalid(
                        f"Requested {member} for WarmThroughput for {what} is lower than current WarmThroughput, "
                        "decreasing WarmThroughput is not supported"
                    )
                changes[kept] = given[member]
    return msgspec.structs.replace(record, **changes)


def check_indexes(record: records.Table) -> None:
    """Check that all indexes of a provisioned table have their throughput, after a change of the billing mode."""
    if record.billing == "PROVISIONED":
        for index in record.indexes:
            if index.scope == "global" and not index.read_units:
                raise errors.invalid(f"ProvisionedThroughput must be specified for index: {index.name}")


async def check_account(ctx: Context, tx: Reader, record: records.Table, old: records.Table | None = None) -> None:
    """Check the quotas of the account, of which `record` takes its part (where `old` is: its changed part)."""
    new = _sums(record)
    for units, member in zip(new, ("ReadCapacityUnits", "WriteCapacityUnits"), strict=True):
        if units > TABLE_UNITS_MAX:
            raise errors.limit_exceeded(
                f"The requested {member} of the table and its indexes, {units}, exceed the limit of "
                f"{TABLE_UNITS_MAX} per table"
            )
    before = (0, 0) if old is None else _sums(old)
    if old is not None and all(now <= was for now, was in zip(new, before, strict=True)):
        return
    rows = await tx.scan(*keys.tables(ctx.account, ctx.region), limit=TABLES_MAX)
    if old is None and len(rows) >= TABLES_MAX:
        raise errors.limit_exceeded(f"There is a limit of {TABLES_MAX} tables per subscriber")
    if record.billing == "PAY_PER_REQUEST":
        return
    others = [_sums(found) for _, raw in rows if (found := records.decode_table(raw)).id != record.id]
    for at, member in enumerate(("ReadCapacityUnits", "WriteCapacityUnits")):
        total = new[at] + sum(units[at] for units in others)
        if total > ACCOUNT_UNITS_MAX:
            raise errors.limit_exceeded(
                f"The requested {member} would bring those of all tables to {total}, more than the limit of "
                f"{ACCOUNT_UNITS_MAX} per subscriber and region"
            )


def _sums(record: records.Table) -> tuple[int, int]:
    """Read and write units of a table and its indexes."""
    parts: list[records.Table | records.Index] = [record, *record.indexes]
    return sum(part.read_units for part in parts), sum(part.write_units for part in parts)
