"""Global tables with strong consistency: what is written to one replica is written to all, in the same transaction.

So every read in every region sees the last write, and conditions hold everywhere. Such a table is made of an empty one,
in three regions of one set: three replicas, or two and a witness, which holds no items.

Source: "Global tables core concepts", "Tutorials: Creating global tables" in the Developer Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors, keys, replicas, tables, work
from pileus.services.dynamodb.tables import Table
from pileus.store.contract import Transaction

REGIONS = 3
_SETS = (
    frozenset(("us-east-1", "us-east-2", "us-west-2")),
    frozenset(("eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1")),
    frozenset(("ap-northeast-1", "ap-northeast-2", "ap-northeast-3")),
)

Request = Mapping[str, Any]


def asked(table: Table, request: Request) -> bool:
    """Whether an UpdateTable is about a table that is strongly consistent, or is to be."""
    strong = table.record.strong or request.get("MultiRegionConsistency") == "STRONG"
    if request.get("GlobalTableWitnessUpdates") and not strong:
        raise errors.validation(
            "MultiRegionConsistency must be set as STRONG when GlobalTableWitnessUpdates parameter is present"
        )
    if request.get("MultiRegionConsistency", "STRONG") == "EVENTUAL" and strong:
        raise errors.invalid("The MultiRegionConsistency of a global table cannot be changed")
    return strong


async def update(ctx: Context, tx: Transaction, table: Table, request: Request) -> Table:
    """Do what ReplicaUpdates and GlobalTableWitnessUpdates ask for; gives the table as it is then."""
    updates, witnesses = request.get("ReplicaUpdates") or [], request.get("GlobalTableWitnessUpdates") or []
    kinds = {kind for each in (*updates, *witnesses) for kind, action in each.items() if action}
    if kinds == {"Update"}:
        return await replicas.update(ctx, tx, table, updates)
    if len(kinds) != 1 or not kinds <= {"Create", "Delete"} or len(witnesses) > 1:
        raise errors.invalid(
            "Replicas and the witness of a global table with MultiRegionConsistency STRONG are created or deleted "
            "together"
        )
    (kind,) = kinds
    actions = [each[kind] for each in updates]
    witness = witnesses[0][kind]["RegionName"] if witnesses else ""
    if kind == "Delete":
        return await _delete(ctx, tx, table, {action["RegionName"] for action in actions}, witness)
    return await _create(ctx, tx, table, actions, witness)


async def _create(ctx: Context, tx: Transaction, table: Table, actions: list[Request], witness: str) -> Table:
    record = table.record
    if record.replicas:
        raise errors.invalid("Replicas cannot be added to a global table with MultiRegionConsistency STRONG")
    regions = {ctx.region, *(action["RegionName"] for action in actions)} | ({witness} if witness else set())
    if len(regions) != REGIONS or not actions or len(actions) + bool(witness) != REGIONS - 1:
        raise errors.invalid(
            "A global table with MultiRegionConsistency STRONG must have three replicas, or two replicas and a witness"
        )
    if not any(regions <= each for each in _SETS):
        raise errors.invalid(
            "The Regions of a global table with MultiRegionConsistency STRONG must be of the same Region set"
        )
    if record.ttl_attribute or any(index.is_local for index in table.indexes):
        raise errors.invalid(
            "A global table with MultiRegionConsistency STRONG cannot have time to live or local secondary indexes"
        )
    if await tx.scan(*keys.all_items(ctx.account, ctx.region, record.id), limit=1):
        raise errors.invalid("Only an empty table can become a global table with MultiRegionConsistency STRONG")
    record = msgspec.structs.replace(record, strong=True, witness=witness)
    for action in actions:
        record = await replicas.create_alike(ctx, tx, tables.store(ctx, tx, record), action)
    return tables.store(ctx, tx, record)


async def _delete(ctx: Context, tx: Transaction, table: Table, regions: set[str], witness: str) -> Table:
    record = table.record
    if regions != set(record.replicas) or witness != record.witness:
        raise errors.invalid(
            "All other replicas and the witness of a global table with MultiRegionConsistency STRONG must be deleted "
            "together"
        )
    for other in await replicas.others(ctx, tx, table):
        tables.check_deletable(other)
        await work.drop_table(replicas.in_region(ctx, other.region), tx, other)
    return tables.store(ctx, tx, replicas.alone(record))


def check_deletable(table: Table) -> None:
    if table.record.strong and table.record.replicas:
        raise errors.validation(
            "A replica of a global table with MultiRegionConsistency STRONG cannot be deleted alone. Delete all other "
            "replicas first."
        )


def no_time_to_live() -> AWSError:
    return errors.validation("Time to live is not supported by global tables with MultiRegionConsistency STRONG")


def check_transactions(table: Table) -> None:
    """Refuse a transaction on such a table."""
    if table.record.strong:
        raise errors.validation(
            "Transaction operations are not supported on global tables with MultiRegionConsistency STRONG"
        )
