"""The services of a node: each is imported and started when it is first needed, those that hold something at the start.

A node serves as soon as it listens. A service that holds something has work of its own (what it holds expires, falls
due, is to be delivered) and is started a moment later; the others cost nothing before their first call.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from pileus.cloud.context import Cloud
from pileus.cloud.manifest import Service

log = logging.getLogger("pileus.services")


def load(place: str) -> Service:
    """The manifest at "package.module:NAME"."""
    module, _, name = place.partition(":")
    service = getattr(importlib.import_module(module), name)
    assert isinstance(service, Service)
    return service


class Directory:
    """`places`: where each service's manifest is. `begin` is run once for each, before anybody gets it."""

    def __init__(self, places: Mapping[str, str], cloud: Cloud, begin: Callable[[Service], Awaitable[None]]) -> None:
        self._places = places
        self._cloud = cloud
        self._begin = begin
        self._started: dict[str, Service] = {}
        self._starting: dict[str, asyncio.Task[Service]] = {}

    @property
    def names(self) -> list[str]:
        return sorted(self._places)

    async def find(self, name: str) -> Service | None:
        """The service of that name, started; None where there is none."""
        service = self._started.get(name)
        if service is not None or name not in self._places:
            return service
        task = self._starting.get(name)
        if task is None or (task.done() and task.exception() is not None):
            task = self._starting[name] = asyncio.get_running_loop().create_task(self._start(name))
        # Whoever asks first may go away: the others wait for the same start.
        return await asyncio.shield(task)

    async def find_all(self) -> list[Service]:
        """Every service, started. One that cannot start is logged, and tried again by whoever needs it."""
        found = [await self.start(name) for name in list(self._places)]
        return [service for service in found if service is not None]

    async def start(self, name: str) -> Service | None:
        """`find`, where nobody waits for it: one that cannot start is logged, the others must run all the same."""
        try:
            return await self.find(name)
        except Exception:  # whatever is wrong with it
            log.exception("%s cannot start", name)
            return None

    async def stop(self) -> None:
        """Stop what was started, the latest first; nothing is started any more afterwards.

        What a service needs for its last words is there until the end, started for them if need be: the logs may hear
        of the first function's output only then.
        """
        for task in self._starting.values():
            task.cancel()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        self._starting.clear()
        stopped: set[str] = set()
        while left := [name for name in self._started if name not in stopped]:
            stopped.add(left[-1])
            service = self._started[left[-1]]
            if service.stop is not None:
                await service.stop(self._cloud)
        self._places = {}
        self._started.clear()

    async def _start(self, name: str) -> Service:
        service = load(self._places[name])
        await self._begin(service)
        self._started[name] = service
        return service
