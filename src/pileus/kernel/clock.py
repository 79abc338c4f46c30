"""Time, passed in: nothing else in Pileus reads the system clock or sleeps."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol


class Clock(Protocol):
    """What time it is, and waiting for a later one. All figures are seconds."""

    def time(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
        ...

    def client_time(self) -> float:
        """Seconds since the epoch by the clocks of those outside, who sign their requests with them."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed on this clock."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return once `time()` has reached `when`."""
        ...


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def client_time(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_until(self, when: float) -> None:
        # The system clock may be stepped while we wait: look again at least every minute.
        while (left := when - time.time()) > 0:  # noqa: ASYNC110 -- time itself is what is waited for
            await asyncio.sleep(min(left, 60.0))


class VirtualClock:
    """A clock that is moved by hand: it stands still, or runs at real speed (`running`), until it is moved.

    `advance` stops at every moment for which somebody sleeps, wakes the sleepers of that moment in the order in which
    they fell asleep, and waits until what they set off has come to rest; so everything happens at its own time. `jump`
    goes there at once: whoever overslept wakes late, as after a machine's suspension. At rest is who has ended or
    sleeps on this clock, of the tasks that somebody watches (the steps of loops, deliveries); other tasks get a few
    turns of the loop. A task that waits for something else for longer than `patience_s` of real time is not waited for:
    it may itself be waiting for this clock. It begins at `start`, without one at the system's time. Used from one event
    loop.
    """

    def __init__(self, start: float | None = None, *, running: bool = False, patience_s: float = 1.0) -> None:
        begin = time.time() if start is None else start
        self._offset = begin - time.time() if running else begin
        self._running = running
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self._asleep: set[asyncio.Future[Any] | None] = set()
        self._watched: list[Callable[[], Collection[asyncio.Future[Any]]]] = []
        self._patience_s = patience_s

    def time(self) -> float:
        return self._offset + time.time() if self._running else self._offset

    def monotonic(self) -> float:
        return self.time()

    def client_time(self) -> float:
        # Clients do not live on this clock.
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self.time() + seconds)

    async def sleep_until(self, when: float) -> None:
        left = when - self.time()
        if left <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (when, self._count, waiter))
        timer = loop.call_later(left, self._wake) if self._running else None
        task = asyncio.current_task()
        self._asleep.add(task)
        try:
            await waiter
        finally:
            self._asleep.discard(task)
            if timer is not None:
                timer.cancel()

    def watch(self, tasks: Callable[[], Collection[asyncio.Future[Any]]]) -> None:
        """Wait for what `tasks()` gives at that moment before time goes on."""
        self._watched.append(tasks)

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, through every moment for which somebody sleeps."""
        await self._move(self.time() + seconds, stops=True)

    async def jump(self, seconds: float) -> None:
        """Move on by `seconds` at once."""
        await self._move(self.time() + seconds, stops=False)

    async def _move(self, target: float, *, stops: bool) -> None:
        await self.rest()
        while stops and self._sleepers and self._sleepers[0][0] <= target:
            when, _, waiter = self._sleepers[0]
            if waiter.done():
                heapq.heappop(self._sleepers)
                continue
            self._set(when)
            await self.rest()
        self._set(target)
        await self.rest()

    async def rest(self) -> None:
        """Wake those whose time has come, until all that is watched has come to rest."""
        last_busy: set[asyncio.Future[Any]] = set()
        since = time.monotonic()
        while True:
            self._wake()
            for _ in range(8):
                await asyncio.sleep(0)
            busy = {task for tasks in self._watched for task in tasks() if not task.done() and task not in self._asleep}
            if busy != last_busy:
                last_busy, since = busy, time.monotonic()
            elif busy and time.monotonic() - since > self._patience_s:
                return
            elif busy:
                # In real time: for threads, processes, sockets.
                await asyncio.sleep(0.0005)
            elif not any(when <= self.time() and not waiter.done() for when, _, waiter in self._sleepers[:1]):
                return

    def _set(self, when: float) -> None:
        # Never back: with `running` some real time has passed meanwhile.
        self._offset += max(0.0, when - self.time())

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self.time():
            _, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                waiter.set_result(None)
