"""Taking a replica out of its global table without deleting it: it stays as a table of its own region.

It goes once nothing is pending between it and the others, in either direction; with the last other one, both are
tables of their own then. Meanwhile all of them are read and written.

Source: "Disassociating a global table replica" in the Developer Guide; the API reference's page UpdateTable.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from pileus.cloud.context import Cloud, Context
from pileus.cloud.manifest import Request
from pileus.delivery.contract import Delivery
from pileus.services.dynamodb import errors, replicas, replication, tables, work
from pileus.services.dynamodb.tables import Table
from pileus.store.contract import Transaction

TARGET = "dynamodb.disassociate"
_PROTECTION = "DisassociationProtectionEnabled"


def is_asked(request: Request) -> bool:
    return any(update.get("Disassociate") for update in request.get("ReplicaUpdates") or ())


def protected(ctx: Context, tx: Transaction, table: Table, request: Request) -> Table:
    """Set whether a replica is protected, if that is asked for; gives the table as it is then."""
    if _PROTECTION not in request:
        return table
    if request.keys() - {"TableName", _PROTECTION}:
        raise errors.invalid(f"{_PROTECTION} cannot be changed together with anything else")
    _check_replica(table)
    return tables.store(ctx, tx, msgspec.structs.replace(table.record, disassociable=not request[_PROTECTION]))


def _check_replica(table: Table) -> None:
    if not table.record.replicas or table.record.strong:
        raise errors.validation(
            "Disassociation is supported for replicas of global tables with MultiRegionConsistency EVENTUAL only"
        )


async def begin(ctx: Context, tx: Transaction, table: Table, request: Request) -> Table:
    """Do what Disassociate asks for; gives the table as it is then."""
    updates = request["ReplicaUpdates"]
    if len(updates) != 1 or len(updates[0]) != 1 or request.keys() - {"TableName", "ReplicaUpdates"}:
        raise errors.invalid("Disassociate must be the only update in the request")
    region = updates[0]["Disassociate"]["RegionName"]
    if region != ctx.region:
        raise errors.invalid(f"Only the local replica can be disassociated: {region} is not {ctx.region}")
    _check_replica(table)
    if not table.record.disassociable:
        raise errors.validation(
            "Resource cannot be disassociated as it is currently protected against disassociation. "
            "Disable disassociation protection first."
        )
    found = await _step(ctx, tx, table)
    if found is not None:
        return found
    ctx.cloud.outbox.put(
        tx,
        target=TARGET,
        payload={"account": ctx.account, "region": ctx.region, "name": table.name, "table": table.record.id},
        now=ctx.now,
        age_max_s=work.AGE_MAX_S,
    )
    return tables.store(ctx, tx, msgspec.structs.replace(table.record, parting=True))


async def _step(ctx: Context, tx: Transaction, table: Table) -> Table | None:
    """Hand on a batch of what is pending either way; the table on its own when that was all."""
    done = True
    for other in await replicas.others(ctx, tx, table):
        for source, target in ((table, other), (other, table)):
            due = await replication.hand_on(ctx.cloud, tx, source, target, at_once=True)
            done = done and due == math.inf
    if not done:
        return None
    await replicas.cut(ctx, tx, table)
    work.sweep_versions(ctx, tx, table)
    return tables.store(ctx, tx, replicas.alone(table.record))


async def handle(cloud: Cloud, delivery: Delivery) -> None:
    """Handle one delivery of TARGET; doing one again does no harm."""
    payload: dict[str, Any] = delivery.payload

    async def batch(tx: Transaction) -> bool:
        ctx = work.acting(cloud, payload["account"], payload["region"])
        table = await tables.find(ctx, tx, payload["name"])
        if table is None or table.record.id != payload["table"] or not table.record.parting:
            return True
        return await _step(ctx, tx, table) is not None

    while not await cloud.store.write(batch):
        # Let others have their turn.
        await cloud.clock.sleep(0)
