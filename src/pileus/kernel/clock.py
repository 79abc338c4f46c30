"""Time, passed in: nothing else in Pileus reads the system clock or sleeps."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, and waiting for a later one. All figures are seconds."""

    def time(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
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

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_until(self, when: float) -> None:
        # The system clock may be stepped while we wait: look again at least every minute.
        while (left := when - time.time()) > 0:  # noqa: ASYNC110 -- time itself is what is waited for
            await asyncio.sleep(min(left, 60.0))
