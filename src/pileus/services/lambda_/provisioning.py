"""Provisioned concurrency: environments that are initialized before anybody calls.

What is wanted is in the store (`provisioned.py`), the environments are in each node's memory. `Provisioner` brings them
in line after each change on this node, and once a minute: after a restart, or where the function's role has got new
credentials.

Source: "Configuring provisioned concurrency for a function" of the developer guide; recorded answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from pileus.cloud.context import Cloud
from pileus.kernel.clock import VirtualClock
from pileus.kernel.errors import AWSError
from pileus.sandbox.contract import SandboxError
from pileus.services.lambda_ import keys
from pileus.services.lambda_.execution import Pool
from pileus.services.lambda_.names import Target
from pileus.services.lambda_.node import node
from pileus.services.lambda_.provisioned import by_version, configs, shares
from pileus.services.lambda_.records import Provisioned, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

INIT_FAILED = "FUNCTION_ERROR_INIT_FAILURE"
# While a version is still being made.
PENDING_WAIT_S = 0.1
PENDING_TRIES = 300
SCAN_LIMIT = 500

log = logging.getLogger("pileus.lambda")


def drop(cloud: Cloud, tx: Transaction, at: Target) -> None:
    """Take back what the version or alias has, if it has any."""
    tx.delete(keys.provisioned(at))
    change(cloud, tx, at)


def change(cloud: Cloud, tx: Transaction, at: Target) -> None:
    """After the commit, look at what the function is to have."""
    tx.put(keys.provided(at.account, at.region, at.name), b"")
    tx.on_commit(lambda: cloud.part(Provisioner).changed(at))


class Provisioner:
    """`cloud.part(Provisioner)`: what this node keeps ready."""

    def __init__(self, cloud: Cloud, pool: Pool) -> None:
        self._cloud = cloud
        self._pool = pool
        # By function, the fingerprint of each version that has some.
        self._kept: dict[Target, dict[str, str]] = {}
        self._locks: dict[Target, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        if isinstance(cloud.clock, VirtualClock):
            cloud.clock.watch(lambda: list(self._tasks))

    def changed(self, at: Target) -> None:
        at = at._replace(qualifier="")
        node(self._cloud).resolver.forget(at)
        task = asyncio.get_running_loop().create_task(self._apply_or_log(at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def apply_all(self) -> None:
        start, end = keys.all_provided()
        found: set[Target] = set(self._kept)
        while True:
            page_start = start

            async def page(tx: Reader, start: bytes = page_start) -> list[tuple[bytes, bytes]]:
                return await tx.scan(start, end, limit=SCAN_LIMIT)

            rows = await self._cloud.store.read(page)
            found.update(keys.provided_of(key) for key, _ in rows)
            if len(rows) < SCAN_LIMIT:
                break
            start = after(rows[-1][0])
        for at in sorted(found):
            await self._apply_or_log(at)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _apply_or_log(self, at: Target) -> None:
        try:
            async with self._locks.setdefault(at, asyncio.Lock()):
                await self._apply(at)
        except Exception:  # the next round tries again
            log.exception("provisioned concurrency could not be looked at", extra={"details": {"function": at.arn}})

    async def _apply(self, at: Target) -> None:
        async def read(tx: Reader) -> tuple[dict[str, Provisioned], dict[str, int]]:
            return await configs(tx, at), await by_version(tx, at)

        found, wanted = await self._cloud.store.read(read)
        kept = self._kept.setdefault(at, {})
        for version in [version for version in kept if not wanted.get(version)]:
            await self._pool.retire(kept.pop(version))
        reasons = {version: await self._provide(at, version, count) for version, count in wanted.items() if count}
        for qualifier, config in found.items():

            async def settle(tx: Transaction, qualifier: str = qualifier, config: Provisioned = config) -> None:
                await self._settle(tx, at, qualifier, config, reasons)

            await self._cloud.store.write(settle)
        if not found:
            await self._cloud.store.write(lambda tx: self._forget(tx, at))
            if not kept:
                self._kept.pop(at, None)

    async def _provide(self, at: Target, version: str, count: int) -> str:
        """Have `count` environments of the version ready; returns why not, or ""."""
        mine = node(self._cloud)
        kept = self._kept[at]
        for _ in range(PENDING_TRIES):
            try:
                resolved = await mine.resolver.resolve(at._replace(qualifier=version))
                spec = resolved.provisioned[version]
                former = kept.get(version)
                kept[version] = spec.fingerprint
                if former not in (None, spec.fingerprint):
                    await self._pool.retire(former)
                mine.usage.changes(self._pool.provisioned(), self._cloud.clock.time())
                ready = await self._pool.provision(spec, count)
                return "" if ready >= count else INIT_FAILED
            except KeyError:
                # Taken back meanwhile.
                return ""
            except AWSError as error:
                if error.code != "ResourceConflictException":
                    return error.message
                await self._cloud.clock.sleep(PENDING_WAIT_S)
            except SandboxError as error:
                return str(error)
        return "The version is still being made."

    async def _settle(
        self, tx: Transaction, at: Target, qualifier: str, known: Provisioned, reasons: Mapping[str, str]
    ) -> None:
        place = at._replace(qualifier=qualifier)
        data = await tx.get(keys.provisioned(place))
        config = decode(Provisioned, data) if data is not None else None
        if config is None or config.revision != known.revision:
            return
        mine = [reasons.get(version, "") for version in await shares(tx, at, qualifier, config.wanted)]
        reason = next((each for each in mine if each), "")
        status, allocated = ("FAILED", 0) if reason else ("READY", config.wanted)
        if (config.status, config.reason, config.allocated) != (status, reason, allocated):
            config.status, config.reason, config.allocated = status, reason, allocated
            tx.put(keys.provisioned(place), encode(config))

    async def _forget(self, tx: Transaction, at: Target) -> None:
        if not await configs(tx, at):
            tx.delete(keys.provided(at.account, at.region, at.name))
