"""The node's snapshots: of each SnapStart version that was published or is invoked, an environment after its Init,
which is cloned in the place of another Init.

They are in this node's memory, and no state: one that is lost is made again when its version is next invoked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pileus.kernel.clock import Clock
from pileus.sandbox.contract import SandboxError, Template
from pileus.services.lambda_.environment import Environment
from pileus.services.lambda_.execution import FunctionSpec, Snapshotted

log = logging.getLogger("pileus.lambda")

# Clones that wait for an invocation, of a snapshot that was used of late.
_READY = 2
# An Init that failed is not made again by every invocation: each initializes its own environment meanwhile.
_AGAIN_AFTER_S = 60.0


@dataclass(eq=False, slots=True)
class Snapshot:
    spec: FunctionSpec
    made: float
    last_used: float
    # None: there is none.
    template: Template | None = None
    # The one that was initialized, and what it gets credentials with.
    environment: Environment | None = None
    token: str = ""
    # How Init failed, or why what it made cannot be cloned.
    error_type: str = ""
    obstacle: str = ""
    # How many of its environments there are: they end with it.
    used: int = 0


class Snapshots:
    def __init__(
        self,
        clock: Clock,
        make: Callable[[FunctionSpec], Awaitable[tuple[Environment, str]]],
    ) -> None:
        """`make`: an environment to be initialized, and why it cannot be cloned, where that is known before."""
        self._clock = clock
        self._make = make
        self._taken: dict[str, asyncio.Task[Snapshot]] = {}

    async def publish(self, spec: FunctionSpec) -> Snapshotted:
        """See `execution.Pool.snapshot`."""
        found = await self.of(spec)
        if found.error_type:
            await self.drop(spec.fingerprint)
        return Snapshotted(found.error_type, found.obstacle)

    async def of(self, spec: FunctionSpec) -> Snapshot:
        """The one there is, or a new one. Raises `SandboxError`, `NoCapacity`."""
        task = self._taken.get(spec.fingerprint)
        if task is not None and task.done():
            found = None if task.cancelled() or task.exception() is not None else task.result()
            failed = found is not None and found.error_type and found.made < self._clock.monotonic() - _AGAIN_AFTER_S
            if found is None or failed or (found.template is not None and not found.template.alive):
                await self.drop(spec.fingerprint)
        found = await self._take(spec)
        found.last_used = self._clock.monotonic()
        if found.template is not None:
            found.template.keep_ready(_READY)
        return found

    async def _take(self, spec: FunctionSpec) -> Snapshot:
        # One Init, however many wait for it; and it goes on when they do not.
        task = self._taken.get(spec.fingerprint)
        if task is None:
            task = self._taken[spec.fingerprint] = asyncio.get_running_loop().create_task(self._snapshot(spec))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            mine = asyncio.current_task()
            if task.cancelled() and (mine is None or not mine.cancelling()):
                raise SandboxError("the version has been taken away") from None
            raise

    async def _snapshot(self, spec: FunctionSpec) -> Snapshot:
        environment, obstacle = await self._make(spec)
        now = self._clock.monotonic()
        taken = Snapshot(spec, now, now, token=environment.token)
        try:
            failure, found = await environment.take_snapshot(obstacle)
        except BaseException:
            await environment.close()
            raise
        if failure is not None:
            taken.error_type = failure.error_type
            taken.obstacle = f"the Init that was to be snapshotted has failed ({failure.error_type})"
        elif isinstance(found, str):
            taken.obstacle = found
        else:
            taken.template, taken.environment = found, environment
            found.keep_ready(_READY)
            return taken
        if failure is None:
            details = {"function": spec.arn, "version": spec.version, "why": taken.obstacle}
            log.info("a version has no snapshot: its environments are initialized each", extra={"details": details})
        await environment.close()
        return taken

    async def drop(self, fingerprint: str) -> None:
        """End it, and what is left of its environments."""
        task = self._taken.pop(fingerprint, None)
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if task.cancelled() or task.exception() is not None:
            return
        await self._end(task.result())

    async def _end(self, found: Snapshot) -> None:
        # Its sandbox is the template's, too, which then ends what was ready.
        if found.environment is not None:
            await found.environment.close()
        if found.template is not None:
            await found.template.close()

    async def evict(self) -> bool:
        """End the one that was used longest ago, among those that have no environments; False: there is none."""
        there = [(fingerprint, each) for fingerprint, each in self._there() if each.template is not None]
        spare = [(each.last_used, fingerprint) for fingerprint, each in there if not each.used]
        if not spare:
            return False
        await self.drop(min(spare)[1])
        return True

    def rest(self, limit: float) -> None:
        """Those not used since then keep nothing ready."""
        for _fingerprint, each in self._there():
            if each.template is not None and each.last_used < limit:
                each.template.keep_ready(0)

    def used_mb(self) -> float:
        return sum(each.environment.own_memory_mb for _, each in self._there() if each.environment is not None)

    def shown(self) -> list[dict[str, object]]:
        """For `pileus status`."""
        return [
            {"function": each.spec.arn, "version": each.spec.version, "obstacle": each.obstacle}
            for _, each in self._there()
        ]

    async def close(self) -> None:
        for fingerprint in list(self._taken):
            await self.drop(fingerprint)

    def _there(self) -> list[tuple[str, Snapshot]]:
        return [
            (fingerprint, task.result())
            for fingerprint, task in self._taken.items()
            if task.done() and not task.cancelled() and task.exception() is None
        ]
