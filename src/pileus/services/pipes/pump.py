"""The first half of a pipe: reading its source, batch after batch; a kind of pump for each kind of source.

Sources: "Amazon EventBridge Pipes sources", "Amazon EventBridge Pipes error handling and troubleshooting" of the user
guide.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import Any

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.services.pipes import settings
from pileus.services.pipes.delivering import Failed, hand_on, role_of
from pileus.services.pipes.events import compile_filter
from pileus.services.pipes.names import PipeName
from pileus.services.pipes.records import Pipe

log = logging.getLogger("pileus.pipes")

RETRY_WAIT_S = 0.5
RETRY_WAIT_MAX_S = 60.0
# "The maximum payload size of a batch": 6 MB, with some room for what is around it.
BATCH_BYTES_MAX = 6_000_000


def fits(size: int, more: int) -> bool:
    """Whether a record of `more` bytes still fits into a batch of `size` bytes."""
    return size + more < BATCH_BYTES_MAX


class Pump(ABC):
    """A pipe that runs."""

    def __init__(self, cloud: Cloud, at: PipeName, pipe: Pipe) -> None:
        self.cloud = cloud
        self.at = at
        self.pipe = pipe
        self._source = arn = settings.source_arn(pipe.source)
        self._own = settings.own_parameters(arn, pipe.source_parameters)
        self._passes = compile_filter(settings.filters(pipe.source_parameters))
        self._size: int = self._own.get("BatchSize") or settings.BATCH_SIZES[arn.service]
        self._window_s: float = self._own.get("MaximumBatchingWindowInSeconds") or 0
        self._working: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._at_work = 0
        self.stopping = False

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run_on())

    async def stop(self) -> None:
        """Read no more; returns when what was under way is done."""
        self.stopping = True
        if self._task is not None and not self._at_work:
            self._task.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])
        if self._working:
            await asyncio.wait(self._working)

    def cancel(self) -> list[asyncio.Task[None]]:
        tasks = [task for task in (self._task, *self._working) if task is not None]
        for task in tasks:
            task.cancel()
        return tasks

    def busy(self) -> list[asyncio.Task[None]]:
        """The tasks that do more than wait for something to come."""
        own = [self._task] if self._task is not None and self._at_work else []
        return [*own, *self._working]

    # for kinds of pumps

    @abstractmethod
    async def _read(self) -> None:
        """Read the source as long as the pipe runs."""

    async def _run_on(self) -> None:
        """Again and again, whatever is wrong with the source: it may be mended."""
        failures = 0
        while not self.stopping:
            try:
                await self._read()
                return
            except AWSError as error:
                log.debug("pipe %s: %s", self.at.arn, error)
            except Exception:  # the next try may find it mended
                log.exception("pipe %s failed", self.at.arn)
            await self._pause(failures)
            failures += 1

    async def _call(self, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        principal = await role_of(self.cloud, self.at, self.pipe)
        region = self._source.region or self.at.region
        return await self.cloud.call(principal, service, operation, request, region=region)

    async def _hand_on(self, events: list[dict[str, Any]]) -> bool:
        """Whether all that pass the filter have arrived."""
        batch = [event for event in events if self._passes(event)]
        try:
            if batch:
                await hand_on(self.cloud, self.at, self.pipe, batch)
        except Failed as error:
            log.info("pipe %s: %s", self.at.arn, error)
            return False
        return True

    async def _pause(self, failures: int) -> None:
        await self.cloud.clock.sleep(min(RETRY_WAIT_S * 2 ** min(failures, 10), RETRY_WAIT_MAX_S))
