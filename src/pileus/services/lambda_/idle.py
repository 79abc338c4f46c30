"""Snapshotted versions that nobody invokes: after 14 days they are inactive, and their snapshots gone.

An invocation of an inactive version is refused, and has it initialized again (`deployments.wake`). When a version was
last invoked is noted in the node's memory and stored from time to time: a killed node loses the last of it, no more.

Source: "Lambda SnapStart and function states" of the developer guide.
"""

from __future__ import annotations

import struct
from functools import partial

from pileus.cloud.context import Cloud
from pileus.services.lambda_ import keys, snapshot_charges
from pileus.services.lambda_.execution import Finished
from pileus.services.lambda_.lookup import find_version
from pileus.services.lambda_.names import Target
from pileus.services.lambda_.node import node
from pileus.services.lambda_.records import encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

IDLE_MAX_S = 14 * 86400.0
SCAN_LIMIT = 500
_TIME = struct.Struct("!d")


class Uses:
    """`cloud.part(Uses)`: when snapshotted versions were last invoked, as far as it is not stored yet."""

    def __init__(self) -> None:
        self.last: dict[Target, float] = {}

    def finished(self, done: Finished) -> None:
        spec = done.spec
        if spec.initialization_type == "snap-start":
            self.last[Target(spec.account, spec.region, spec.name, spec.version)] = done.ended


def begin(tx: Transaction, at: Target, version: str, now: float) -> None:
    """It has a snapshot from now on."""
    tx.put(keys.snapshotted(at, version), _TIME.pack(now))


async def look(cloud: Cloud) -> None:
    """The loop: store what was used, and put to rest what was not."""
    uses, now = cloud.part(Uses), cloud.clock.time()
    noted, uses.last = uses.last, {}
    start, end = keys.all_snapshotted()
    while True:
        page_start = start

        async def page(tx: Reader, start: bytes = page_start) -> list[tuple[bytes, bytes]]:
            return await tx.scan(start, end, limit=SCAN_LIMIT)

        rows = await cloud.store.read(page)
        for key, data in rows:
            at = keys.snapshotted_of(key)
            stored = _TIME.unpack(data)[0]
            used = max(noted.get(at, 0.0), stored)
            if used < now - IDLE_MAX_S:
                await cloud.store.write(partial(_rest, cloud, at))
            elif used > stored:
                await cloud.store.write(partial(_note, at, used))
        if len(rows) < SCAN_LIMIT:
            return
        start = after(rows[-1][0])


async def _note(at: Target, used: float, tx: Transaction) -> None:
    key = keys.snapshotted(at, at.qualifier)
    if await tx.get(key) is not None:
        tx.put(key, _TIME.pack(used))


async def _rest(cloud: Cloud, at: Target, tx: Transaction) -> None:
    tx.delete(keys.snapshotted(at, at.qualifier))
    function = at._replace(qualifier="")
    await snapshot_charges.end(tx, function, at.qualifier, cloud.clock.time())
    version = await find_version(tx, function, at.qualifier)
    if version is None or version.state != "Active":
        return
    version.state, version.optimized = "Inactive", False
    version.reason, version.reason_code = "The function is idle.", "Idle"
    version.revision = cloud.ids.uuid()
    tx.put(keys.version(function, at.qualifier), encode(version))
    tx.on_commit(lambda: node(cloud).resolver.retire(function, at.qualifier))
