"""The driver of background loops.

A loop is one idempotent step without input, run by a period and by nudges. Nudges that come while the step runs, or
before it has begun, are one: it runs once more. A step that fails is logged and tried again, later each time; nudges
do not hurry it then. Steps of different loops run at the same time, those of one loop never.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pileus.kernel.clock import Clock, VirtualClock

# May return the seconds until it wants to run again, which counts instead of the period; `math.inf`: when nudged.
Step = Callable[[], Awaitable[float | None]]
# Whether this node holds the lease of the loop of that name, and so may run it now.
Lease = Callable[[str], Awaitable[bool]]

FAILED_WAIT_S = 1.0
FAILED_WAIT_MAX_S = 60.0

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class LoopStatus:
    """What a loop does; times are seconds since the epoch, 0 where there was none yet."""

    name: str
    period_s: float
    running: bool = False
    runs: int = 0
    failures: int = 0
    # Since the last run that went well.
    failures_in_a_row: int = 0
    last_run: float = 0.0
    last_duration_s: float = 0.0
    last_error: str = ""
    next_due: float = 0.0


async def always(name: str) -> bool:
    """The lease of a single node."""
    return True


class _Loop:
    def __init__(self, name: str, step: Step, period_s: float) -> None:
        self.step = step
        self.status = LoopStatus(name=name, period_s=period_s)
        self.nudged = False
        self.runner: asyncio.Task[None] | None = None
        # The step, while it runs.
        self.running: asyncio.Future[float | None] | None = None
        # What the runner waits for.
        self.wake: asyncio.Future[None] | None = None
        self.alarm: asyncio.Task[None] | None = None
        self.alarm_at = math.inf

    def end_wait(self) -> None:
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)


class Driver:
    """Runs loops from `start` to `stop`, on one event loop."""

    def __init__(self, clock: Clock, lease: Lease = always) -> None:
        self._clock = clock
        self._lease = lease
        self._loops: dict[str, _Loop] = {}
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        if isinstance(clock, VirtualClock):
            clock.watch(self._busy)

    def add(self, name: str, step: Step, period_s: float) -> None:
        """Have `step` run every `period_s` seconds, for the first time at the start."""
        if name in self._loops:
            raise ValueError(f"there is a loop {name} already")
        self._loops[name] = loop = _Loop(name, step, period_s)
        if self._event_loop is not None:
            self._start(loop)

    async def start(self) -> None:
        self._event_loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        for loop in self._loops.values():
            self._start(loop)

    def nudge(self, name: str) -> None:
        """Run the loop soon. From any thread; cheap, and harmless where it runs already, or is not there yet."""
        loop = self._loops.get(name)
        # One that is added later runs at once.
        if loop is None or loop.nudged:
            return
        loop.nudged = True
        if threading.get_ident() == self._thread:
            loop.end_wait()
        elif self._event_loop is not None and not self._event_loop.is_closed():
            self._event_loop.call_soon_threadsafe(loop.end_wait)

    def status(self) -> Sequence[LoopStatus]:
        return [replace(loop.status) for loop in self._loops.values()]

    async def stop(self, grace_s: float = 5.0) -> None:
        """Start no step any more; cancel those that have not ended `grace_s` (real) seconds from now."""
        self._event_loop = None
        tasks = [task for loop in self._loops.values() for task in (loop.runner, loop.alarm) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if steps := [loop.running for loop in self._loops.values() if loop.running is not None]:
            _, late = await asyncio.wait(steps, timeout=grace_s)
            for step in late:
                step.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _busy(self) -> list[asyncio.Future[Any]]:
        """The tasks that do something or are about to."""
        tasks: list[asyncio.Future[Any] | None] = []
        for loop in self._loops.values():
            if loop.running is not None and not loop.running.done():
                tasks.append(loop.running)
            elif loop.wake is None or loop.wake.done():
                tasks.append(loop.runner)
            # An alarm is not at rest before it sleeps.
            tasks.append(loop.alarm)
        return [task for task in tasks if task is not None]

    def _start(self, loop: _Loop) -> None:
        loop.runner = asyncio.create_task(self._run(loop), name=f"loop {loop.status.name}")

    async def _run(self, loop: _Loop) -> None:
        while True:
            await self._wait(loop)
            loop.nudged = False
            await self._run_step(loop)

    async def _run_step(self, loop: _Loop) -> None:
        status = loop.status
        began = self._clock.monotonic()
        wait_s: float | None = None
        try:
            if await self._lease(status.name):
                status.last_run, status.running = self._clock.time(), True
                loop.running = step = asyncio.ensure_future(loop.step())
                # Not awaited itself: stopping the runner leaves the step its time to end.
                await asyncio.wait([step])
                loop.running = None
                wait_s = _result(step)
                status.runs += 1
            status.failures_in_a_row = 0
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with one step, the loop goes on
            status.failures += 1
            status.last_error = f"{type(error).__name__}: {error}"
            wait_s = min(FAILED_WAIT_S * 2**status.failures_in_a_row, FAILED_WAIT_MAX_S)
            status.failures_in_a_row += 1
            _log.error("loop %s failed, runs again in %g s", status.name, wait_s, exc_info=error)
        finally:
            status.running = False
            status.last_duration_s = self._clock.monotonic() - began
        status.next_due = self._clock.time() + max(0.0, status.period_s if wait_s is None else wait_s)

    async def _wait(self, loop: _Loop) -> None:
        status = loop.status
        while (left := status.next_due - self._clock.time()) > 0:
            if loop.nudged and not status.failures_in_a_row:
                break
            loop.wake = asyncio.get_running_loop().create_future()
            # An alarm that is too early does no harm, and saves making one for every nudge.
            if left < math.inf and status.next_due < loop.alarm_at:
                if loop.alarm is not None:
                    loop.alarm.cancel()
                loop.alarm_at = status.next_due
                loop.alarm = asyncio.create_task(self._ring(loop, status.next_due))
            await loop.wake
        # Others have their turn also where a step always wants to run again at once.
        await asyncio.sleep(0)

    async def _ring(self, loop: _Loop, when: float) -> None:
        await self._clock.sleep_until(when)
        loop.alarm_at = math.inf
        loop.end_wait()


def _result(step: asyncio.Future[float | None]) -> float | None:
    if step.cancelled():
        raise RuntimeError("the step was cancelled")
    return step.result()
