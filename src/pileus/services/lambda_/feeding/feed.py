"""What feeds of every kind have in common: their task, the function they feed, how an invocation by them goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.lambda_ import keys, roles
from pileus.services.lambda_.execution import Invocation, InvokeResult
from pileus.services.lambda_.feeding.sources import target_of
from pileus.services.lambda_.invoking import run
from pileus.services.lambda_.lookup import get_qualified
from pileus.services.lambda_.node import node
from pileus.services.lambda_.records import EventSource, decode, encode
from pileus.store.contract import Transaction

# Before a source that cannot be read is looked at again: ever longer.
FAILED_WAIT_S = 0.5
FAILED_WAIT_MAX_S = 60.0

log = logging.getLogger("pileus.lambda")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one invocation by a feed went."""

    request_id: str
    # Of the function that ran.
    version: str
    result: InvokeResult


class Throttled(Exception):
    """The function was not run, and is to be tried again: no concurrency or memory is free, or it is not there now."""


class Stopped(Exception):
    """The feed is to end, and has come to a place where it can."""


class Feed:
    """One mapping being read from. `_run` is what kinds of it differ in."""

    def __init__(self, cloud: Cloud, account: str, region: str, mapping: EventSource) -> None:
        self.cloud = cloud
        self.mapping = mapping
        self.account = account
        self.region = region
        self.at = target_of(account, region, mapping)
        self.stopping = False
        self._task: asyncio.Task[None] | None = None
        # How many things are under way that `stop` waits for.
        self._under_way = 0

    # for `Feeds`

    async def start(self) -> None:
        """Begin reading; returns when records that come from now on will be seen."""
        self._task = asyncio.get_running_loop().create_task(self._run_on())

    async def stop(self) -> None:
        """Read no more, and return when what was under way is done."""
        self.stopping = True
        if not self._under_way:
            self.cancel()
        await self.ended()

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    def busy(self) -> list[asyncio.Task[None]]:
        """The tasks that do more than wait for something to come."""
        return [self._task] if self._task is not None and self._under_way else []

    # for kinds of feeds

    async def _run(self) -> None:
        raise NotImplementedError

    @contextmanager
    def working(self) -> Iterator[None]:
        """Have `stop` wait for what is done within; raises `Stopped` where it waits already."""
        if self.stopping:
            raise Stopped
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if self.stopping and not self._under_way:
                self.cancel()

    async def pause(self, seconds: float) -> None:
        """Wait for the next try of something."""
        if self.stopping:
            raise Stopped
        await self.cloud.clock.sleep(seconds)

    async def call(self, service: str, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """A call as the function's role."""
        return await self.cloud.call(await self._role(), service, operation, request, region=self.region)

    async def _role(self) -> Principal:
        mine = node(self.cloud)
        try:
            return await mine.resolver.caller(await mine.resolver.resolve(self.at))
        except AWSError as error:
            if error.code != "ResourceConflictException":
                raise
        # It cannot run yet, and its source can be read already: what comes from now on is not to be missed.
        config = (await self.cloud.store.read(lambda tx: get_qualified(tx, self.at))).configuration
        return (await roles.session(self.cloud, self.at._replace(qualifier=""), config.role)).principal

    async def invoke(self, payload: bytes, trace_header: str) -> Outcome:
        """Run the function with one batch. Raises `Throttled`, and `RecursiveInvocationException`."""
        mine = node(self.cloud)
        request_id = self.cloud.ids.uuid()
        try:
            resolved = await mine.resolver.resolve(self.at)
            spec = resolved.choose(self.cloud.ids.uniform)
            result = await run(
                mine,
                resolved,
                spec,
                Invocation(
                    request_id=request_id,
                    payload=payload,
                    invoked_arn=self.at.asked_arn,
                    trace_header=trace_header,
                ),
            )
        except AWSError as error:
            if error.code == "RecursiveInvocationException":
                raise
            raise Throttled(error.message) from error
        return Outcome(request_id, spec.version, result)

    async def tell(self, result: str) -> None:
        """Keep what became of the last batch, where that is something else than before."""
        if result == self.mapping.result:
            return
        self.mapping.result = result
        key = keys.event_source(self.account, self.region, self.mapping.id)

        async def put(tx: Transaction) -> None:
            data = await tx.get(key)
            if data is not None:
                mapping = decode(EventSource, data)
                mapping.result = result
                tx.put(key, encode(mapping))

        await self.cloud.store.write(put)

    async def _run_on(self) -> None:
        """`_run` again and again, whatever is wrong with the source: it may be mended."""
        failures = 0
        while not self.stopping:
            try:
                await self._run()
                return
            except Stopped:
                return
            except AWSError as error:
                why: Exception = error
            except Exception as error:
                log.warning("an event source mapping failed", exc_info=error, extra={"details": self._details()})
                why = error
            log.debug("an event source is not read: %s", why, extra={"details": self._details()})
            await self.cloud.clock.sleep(min(FAILED_WAIT_S * 2 ** min(failures, 10), FAILED_WAIT_MAX_S))
            failures += 1

    def _details(self) -> dict[str, str]:
        return {"mapping": self.mapping.id, "source": self.mapping.source}
