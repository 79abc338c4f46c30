"""Requests that came together go through the stages of a call together, and their answers leave together.

A stage's code, its data and what the processor has learned of its branches are in its caches when the second request
comes to it right after the first, and not there any more when all of a request's other stages have run between them:
taken one whole request after the other, a read's transaction takes three times what it takes once it is warm. So a
request lets those that are ready come to the same place before it goes on (cohort scheduling: Larus and Parkes, "Using
Cohort Scheduling to Enhance Server Performance", 2002). One that is alone goes on at once. So do those that have read
when one of the last reads took long: there is little to be had, and their answers would have to wait for all of them.

Whoever waits for an answer mostly sleeps, and waking somebody on another processor costs about as much as sending, on a
virtual machine several times that. Where each answer is sent when it is there, its receiver is woken for each; where
several are sent one right after the other, only for the first. So an answer is held while others of the cohort are
about to go on: for a millisecond and the request that is then under way, and never beyond the next turn of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from time import monotonic

HELD_S = 0.001
# A read that takes longer is long, and so many that come after it do not wait for each other.
LONG_READ_S = 0.001
_AFTER_A_LONG_READ = 100


class Cohort:
    """The requests of one server that are ready to go on. To be awaited between two stages."""

    __slots__ = ("_apart", "_held", "_since", "ready")

    def __init__(self) -> None:
        # Requests whose task will run in this turn of the loop or in the next one: to begin, or into the next stage.
        self.ready = 0
        self._held: list[tuple[asyncio.Transport, bytes]] = []
        # When the first of them was there.
        self._since = 0.0
        # How many more reads go on by themselves.
        self._apart = 0

    def __await__(self) -> Generator[None, None, None]:
        """Let those that are ready come to this place, too."""
        if self.ready:
            self.ready += 1
            try:
                yield
            finally:
                self.ready -= 1

    async def has_read(self, began: float) -> None:
        """Let those that are ready read, too. `began`: when this one did, by `monotonic`."""
        if monotonic() - began > LONG_READ_S:
            self._apart = _AFTER_A_LONG_READ
        elif self._apart:
            self._apart -= 1
        else:
            await self

    def send(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send `data` soon, behind whatever was to be sent before."""
        if self.ready:
            now = monotonic()
            if not self._held:
                self._since = now
                # Those who are about to go on may have to wait for something themselves.
                asyncio.get_running_loop().call_soon(self.flush)
            if now - self._since < HELD_S:
                self._held.append((transport, data))
                return
        if self._held:
            self.flush()
        transport.write(data)

    def flush(self) -> None:
        """Send what is held: to be called before a transport is written to, or closed, by other ways."""
        held, self._held = self._held, []
        for transport, data in held:
            if not transport.is_closing():
                transport.write(data)
