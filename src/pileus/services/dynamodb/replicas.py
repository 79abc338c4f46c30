"""Replicas of a global table: how they come, what they have alike, how they go.

A replica is a table of its own in its region; the tables of a global table name each other's regions. A new one is
filled from the one that it was asked of, in batches, while all of them are written to, and can be used when that is
done. One that goes hands on first what it has not handed on yet.

Sources: "Global tables core concepts", "Using IAM with DynamoDB global tables" in the Developer Guide; the API
reference's pages UpdateTable, CreateReplicationGroupMemberAction, UpdateReplicationGroupMemberAction,
ReplicaDescription.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pileus.cloud.context import Cloud, Context
from pileus.delivery.contract import Delivery
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import encryption, errors, keys, records, replication, scaling, streams, tables, work
from pileus.services.dynamodb.scaling import Scaled
from pileus.services.dynamodb.tables import Table
from pileus.store.contract import Reader, Transaction

VERSION = "2019.11.21"
# A table that a replica was made from stays for so long.
SOURCE_S = 24 * 3600.0

TARGET = "dynamodb.replicas"
# The region that a new replica is filled from, and behind which of its items to go on.
_Place = tuple[str, bytes | None] | None
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]", re.ASCII)

Request = Mapping[str, Any]


def in_region(ctx: Context, region: str) -> Context:
    """The same call, meaning another region."""
    return ctx if region == ctx.region else msgspec.structs.replace(ctx, region=region)


def status(record: records.Table) -> str:
    """As ReplicaStatus."""
    return "CREATING" if record.restoring else "DELETING" if record.leaving else "ACTIVE"


async def others(ctx: Context, tx: Reader, table: Table) -> list[Table]:
    """The other replicas."""
    found = [await tables.find(in_region(ctx, region), tx, table.name) for region in table.record.replicas]
    return [each for each in found if each is not None]


async def check_settled(ctx: Context, tx: Reader, table: Table) -> None:
    """Refuse a change of a table that is being made or deleted, or one of whose replicas is."""
    own = "deleted" if table.record.leaving else "created"
    if table.record.usable:
        own = "updated"
    for each, word in ((table, own), *((other, "updated") for other in await others(ctx, tx, table))):
        if not each.record.usable or each.record.parting:
            raise AWSError(
                "ResourceInUseException",
                f"Attempt to change a resource which is still in use: Table is being {word}: {table.name}",
            )


async def update(ctx: Context, tx: Transaction, table: Table, updates: list[dict[str, Any]]) -> Table:
    """Do what UpdateTable's ReplicaUpdates ask for; gives the table as it is then."""
    if len(updates) != 1:
        raise errors.invalid("Exactly one replica can be created, updated or deleted in one UpdateTable call")
    asked = [(name, action) for name, action in updates[0].items() if action]
    if len(asked) != 1:
        raise errors.invalid("Exactly one of Create, Update and Delete must be specified for a replica")
    kind, action = asked[0]
    region = action["RegionName"]
    if action.get("KMSMasterKeyId"):
        encryption.check_key(ctx.account, region, action["KMSMasterKeyId"])
    if region == ctx.region:
        raise errors.validation(
            "Cannot add, delete, or update the local region through ReplicaUpdates. Use CreateTable, DeleteTable, or "
            "UpdateTable as required."
        )
    if kind == "Create":
        return await _create(ctx, tx, table, action)
    there = in_region(ctx, region)
    replica = await tables.find(there, tx, table.name) if region in table.record.replicas else None
    if replica is None:
        raise errors.validation(
            "Replica specified in the Replica Update or Replica Delete action of the request was not found."
        )
    if kind == "Delete":
        tables.check_deletable(replica)
        await leave(there, tx, replica)
        left = await tables.find(ctx, tx, table.name)
        assert left is not None
        return left
    tables.store(there, tx, _overridden(table.record, replica.record, action))
    return table


# ----------------------------------------------------------------------------------------------------------- their kind


def synced(source: records.Table, replica: records.Table) -> records.Table:
    """A replica with the settings that all replicas have alike, as `source` has them now."""
    known = {index.id: index for index in replica.indexes}
    indexes = tuple(
        msgspec.structs.replace(
            index,
            status=known[index.id].status if index.id in known else "CREATING",
            read_units=_reads(source, replica, index.name, index.read_units),
            on_demand=_on_demand(source, replica, index.name, index.on_demand),
        )
        for index in source.indexes
    )
    return msgspec.structs.replace(
        replica,
        attributes=source.attributes,
        indexes=indexes,
        billing=source.billing,
        on_demand_since=source.on_demand_since,
        read_units=_reads(source, replica, "", source.read_units),
        write_units=source.write_units,
        last_increase=source.last_increase,
        last_decrease=source.last_decrease,
        on_demand=_on_demand(source, replica, "", source.on_demand),
        warm_read=source.warm_read,
        warm_write=source.warm_write,
        managed_key=source.managed_key,
        table_class=replica.class_override or (replica if source.class_override else source).table_class,
    )


def _reads(source: records.Table, replica: records.Table, name: str, units: int) -> int:
    """Read units of a replica, or of its index of that name, where the source has so many."""
    if source.billing == "PAY_PER_REQUEST":
        return 0
    if name in replica.read_overrides:
        return replica.read_overrides[name]
    # What the source has of its own is not for others; a replica that has nothing yet begins with it.
    known = _parts(replica).get(name, (0, {}))[0] if name in source.read_overrides else 0
    return known or units


def _on_demand(source: records.Table, replica: records.Table, name: str, given: Mapping[str, int]) -> dict[str, int]:
    """The same for maximum on-demand throughput, of which that of writes is the same for all."""
    own = replica.on_demand_overrides.get(name)
    if own is None and name in source.on_demand_overrides:
        own = _parts(replica)[name][1].get("MaxReadRequestUnits") if name in _parts(replica) else None
    found = {**given, "MaxReadRequestUnits": own}
    return {key: units for key, units in (given if own is None else found).items() if units is not None}


def _parts(record: records.Table) -> dict[str, tuple[int, dict[str, int]]]:
    """Read units and maximum on-demand throughput of a table (as "") and its indexes."""
    found = {index.name: (index.read_units, index.on_demand) for index in record.indexes}
    return {**found, "": (record.read_units, record.on_demand)}


def kept(record: records.Table) -> records.Table:
    """A replica that was changed itself: what it has of its own it has as it is now."""
    parts = _parts(record)
    reads = {name: parts[name][0] for name in record.read_overrides if name in parts and parts[name][0]}
    on_demand = {
        name: parts[name][1]["MaxReadRequestUnits"]
        for name in record.on_demand_overrides
        if name in parts and "MaxReadRequestUnits" in parts[name][1]
    }
    own_class = record.table_class if record.class_override else ""
    return msgspec.structs.replace(
        record, read_overrides=reads, on_demand_overrides=on_demand, class_override=own_class
    )


def _overridden(source: records.Table, replica: records.Table, action: Request) -> records.Table:
    """A replica with what a Create or Update says of it alone."""
    reads, on_demand = dict(replica.read_overrides), dict(replica.on_demand_overrides)
    parts = [("", action)]
    indexes = {index.name for index in source.indexes if index.scope == "global"}
    for each in action.get("GlobalSecondaryIndexes") or ():
        if each["IndexName"] not in indexes:
            raise errors.invalid(f"Replica global secondary index does not exist on the table: {each['IndexName']}")
        parts.append((each["IndexName"], each))
    for name, part in parts:
        if part.get("ProvisionedThroughputOverride"):
            if source.billing == "PAY_PER_REQUEST":
                raise errors.invalid(
                    "ProvisionedThroughputOverride cannot be specified when BillingMode is PAY_PER_REQUEST"
                )
            reads[name] = part["ProvisionedThroughputOverride"]["ReadCapacityUnits"]
        if part.get("OnDemandThroughputOverride"):
            if source.billing == "PROVISIONED":
                raise errors.invalid("OnDemandThroughputOverride cannot be specified when BillingMode is PROVISIONED")
            on_demand[name] = part["OnDemandThroughputOverride"]["MaxReadRequestUnits"]
    changed = msgspec.structs.replace(
        replica,
        read_overrides=reads,
        on_demand_overrides=on_demand,
        class_override=action.get("TableClassOverride", replica.class_override),
    )
    return synced(source, changed)


async def spread(ctx: Context, tx: Transaction, table: Table) -> None:
    """Give the other replicas the settings that a table has now."""
    for other in await others(ctx, tx, table):
        there = in_region(ctx, other.region)
        changed = tables.store(there, tx, kept(synced(table.record, other.record)))
        await work.fill_new(there, tx, other, changed)
        left = {index.record.id for index in changed.indexes}
        for index in other.indexes:
            if index.record.id not in left:
                work.sweep_index(there, tx, other, index.record.id)


# ------------------------------------------------------------------------------------------------------- coming, going


async def _create(ctx: Context, tx: Transaction, table: Table, action: Request) -> Table:
    region, record = action["RegionName"], table.record
    if record.stream_view == "":
        record = await streams.begin(ctx, tx, record, "NEW_AND_OLD_IMAGES")
    elif record.stream_view != "NEW_AND_OLD_IMAGES":
        raise errors.invalid("StreamViewType of a table with replicas must be NEW_AND_OLD_IMAGES")
    members = await others(ctx, tx, table)
    record = msgspec.structs.replace(record, group=record.group or ctx.cloud.ids.token_bytes(8))
    table = tables.store(ctx, tx, await create_alike(ctx, tx, tables.store(ctx, tx, record), action))
    there = in_region(ctx, region)
    replica = await tables.find(there, tx, table.name)
    assert replica is not None
    begun = await streams.last_number(tx, keys.sequence(ctx.account, region, replica.record.id))
    for source in (table, *members):
        # What one of the others has not got yet is not in what it is filled with.
        known = [await replication.cursor(tx, source, target) for target in source.record.replicas if target != region]
        last = await streams.last_number(tx, keys.sequence(ctx.account, source.region, source.record.id))
        _pair(tx, source, replica, min([last, *(number for number in known if number is not None)]))
        _pair(tx, replica, source, begun)
    following = await replication.fill(ctx.cloud, tx, table, replica, None)
    if following is None:
        tables.store(there, tx, msgspec.structs.replace(replica.record, restoring=False))
    else:
        _put(there, tx, work="fill", name=table.name, table=replica.record.id)
    return table


async def create_alike(ctx: Context, tx: Transaction, table: Table, action: Request) -> records.Table:
    """Make a table's replica, as yet without items; gives the table's record, which names it."""
    region = action["RegionName"]
    if not _REGION.fullmatch(region):
        raise errors.invalid(f"Unsupported Region: {region}")
    there = in_region(ctx, region)
    if await tables.find(there, tx, table.name) is not None:
        raise errors.validation(
            f"Failed to create a the new replica of table with name: '{table.name}' because one or more replicas "
            "already existed as tables."
        )
    members = await others(ctx, tx, table)
    await _begin(there, tx, table, action)
    for member in members:
        changed = msgspec.structs.replace(member.record, replicas=(*member.record.replicas, region))
        tables.store(in_region(ctx, member.region), tx, changed)
    if not members:
        _put(ctx, tx, work="role")
    if table.record.billing == "PROVISIONED":
        # Write capacity is scaled alike in all.
        indexes = ["", *(index.name for index in table.indexes if not index.is_local)]
        _put(there, tx, work="scale", name=table.name, source=ctx.region, indexes=indexes)
    return msgspec.structs.replace(table.record, replicas=(*table.record.replicas, region), sourced=ctx.now)


def _pair(tx: Transaction, source: Table, target: Table, number: int) -> None:
    """Have what is written to one replica after that change handed on to another."""
    replication.put_cursor(tx, source, target.region, number)
    tx.put(keys.watch("replicas", source.account, source.region, source.name, target.region), b"")


async def _begin(there: Context, tx: Transaction, source: Table, action: Request) -> Table:
    """The new table: its settings, its stream, nothing in it."""
    known = source.record
    regions = tuple(region for region in (source.region, *known.replicas) if region != there.region)
    record = records.Table(
        name=known.name,
        id=there.cloud.ids.uuid(),
        created=there.now,
        attributes=known.attributes,
        hash=known.hash,
        range=known.range,
        # There is nothing to fill one with that is written to with the others.
        restoring=not known.strong,
        strong=known.strong,
        witness=known.witness,
        replicas=regions,
        group=known.group,
        ttl_attribute=known.ttl_attribute,
        ttl_id=there.cloud.ids.token_bytes(8) if known.ttl_attribute else b"",
    )
    record = _overridden(known, record, action)
    # It is empty: there is nothing to fill them with.
    record.indexes = tuple(msgspec.structs.replace(index, status="ACTIVE") for index in record.indexes)
    if not known.strong:
        record = await streams.begin(there, tx, record, "NEW_AND_OLD_IMAGES")
    replica = tables.store(there, tx, record)
    for key in (replica.statistics, *(index.statistics for index in replica.indexes)):
        tx.put(key, records.encode(records.Statistics()))
    if known.ttl_attribute:
        tx.put(keys.watch("expiry", there.account, there.region, record.name), b"")
        tx.on_commit(lambda: there.cloud.nudge("dynamodb.expire"))
    return replica


async def leave(there: Context, tx: Transaction, replica: Table) -> None:
    """Take a replica out of its global table and drop it, once it has handed on everything."""
    replica = tables.store(there, tx, msgspec.structs.replace(replica.record, leaving=True))
    if not await _part(there, tx, replica):
        _put(there, tx, work="leave", name=replica.name, table=replica.record.id)


async def _part(there: Context, tx: Transaction, replica: Table) -> bool:
    """Hand on a batch of what a replica has not handed on; drop it when that was all."""
    done = True
    for other in await others(there, tx, replica):
        due = await replication.hand_on(there.cloud, tx, replica, other, at_once=True)
        done = done and due == math.inf
    if not done:
        return False
    await cut(there, tx, replica)
    await work.drop_table(there, tx, replica)
    return True


async def cut(there: Context, tx: Transaction, replica: Table) -> None:
    """Have the others of a global table forget a replica that has handed on everything."""
    for other in await others(there, tx, replica):
        here = in_region(there, other.region)
        left = tuple(region for region in other.record.replicas if region != replica.region)
        if not left:
            work.sweep_versions(here, tx, other)
        tables.store(here, tx, msgspec.structs.replace(other.record, replicas=left) if left else alone(other.record))
        for source, target in ((replica, other), (other, replica)):
            tx.delete(keys.cursor(source.account, source.region, source.record.id, target.region))
            tx.delete(keys.watch("replicas", source.account, source.region, source.name, target.region))


def alone(record: records.Table) -> records.Table:
    """A table that is left of a global one."""
    return msgspec.structs.replace(
        record,
        replicas=(),
        group=b"",
        strong=False,
        witness="",
        read_overrides={},
        on_demand_overrides={},
        class_override="",
        disassociable=False,
        parting=False,
    )


# --------------------------------------------------------------------------------------------------- what goes on later


def _put(ctx: Context, tx: Transaction, **payload: str | list[str]) -> None:
    ctx.cloud.outbox.put(
        tx,
        target=TARGET,
        payload={"account": ctx.account, "region": ctx.region, **payload},
        now=ctx.now,
        age_max_s=work.AGE_MAX_S,
    )


async def handle(cloud: Cloud, delivery: Delivery) -> None:
    """Handle one delivery of TARGET; doing one again does no harm."""
    payload: dict[str, Any] = delivery.payload
    account, region = payload["account"], payload["region"]
    if payload["work"] == "role":
        await _make_role(cloud, account, region)
        return
    if payload["work"] == "scale":
        for index in payload["indexes"]:
            source = Scaled(cloud, scaling.owner(account), payload["source"], payload["name"], index, "Write")
            await scaling.copy(source, region)
        return
    place: _Place = ("", None)
    while place is not None:

        async def batch(tx: Transaction, place: _Place = place) -> _Place:
            ctx = work.acting(cloud, account, region)
            replica = await tables.find(ctx, tx, payload["name"])
            if replica is None or replica.record.id != payload["table"]:
                return None
            if payload["work"] == "leave":
                return None if await _part(ctx, tx, replica) else ("", None)
            return await _fill(ctx, tx, replica, place)

        place = await cloud.store.write(batch)
        # Let others have their turn.
        await cloud.clock.sleep(0)


async def _fill(ctx: Context, tx: Transaction, replica: Table, place: _Place) -> _Place:
    """Fill a new replica with a batch of another's items, from the start again where that one is gone."""
    known = {other.region: other for other in await others(ctx, tx, replica) if other.record.usable}
    if not replica.record.restoring or not known:
        return None
    region, at = place or ("", None)
    if region not in known:
        region, at = next(iter(known)), None
    following = await replication.fill(ctx.cloud, tx, known[region], replica, at)
    if following is not None:
        return region, following
    tables.store(ctx, tx, msgspec.structs.replace(replica.record, restoring=False))
    return None


async def _make_role(cloud: Cloud, account: str, region: str) -> None:
    """The service-linked role that goes with an account's first global table, whoever makes that."""
    request = {"AWSServiceName": "replication.dynamodb.amazonaws.com"}
    try:
        await cloud.call(scaling.owner(account), "iam", "CreateServiceLinkedRole", request, region=region)
    except AWSError as error:
        # It is there already.
        if error.code != "InvalidInput":
            raise


async def check_scaled(ctx: Context, request: Request) -> None:
    """Refuse replicas of a table whose write capacity does not follow its load."""
    if not any(update.get("Create") for update in request.get("ReplicaUpdates") or ()):
        return

    async def load(tx: Reader) -> records.Table:
        return (await tables.load_for_control(ctx, tx, request["TableName"])).record

    record = await ctx.cloud.store.read(load)
    if request.get("BillingMode", record.billing) == "PAY_PER_REQUEST":
        return
    writes = Scaled(ctx.cloud, scaling.owner(ctx.account), ctx.region, record.name, "", "Write")
    if await scaling.limits(writes) is None:
        raise errors.validation("Table write capacity should either be Pay-Per-Request or AutoScaled.")


def check_deletable(ctx: Context, table: Table) -> None:
    """Refuse to delete a table that another replica was made from lately."""
    if table.record.replicas and table.record.sourced + SOURCE_S > ctx.now:
        raise errors.validation(
            "Replica cannot be deleted because it has acted as a source region for new replica(s) being added to the "
            "table in the last 24 hours."
        )
