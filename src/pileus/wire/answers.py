"""Answers on their way out: those to requests that came together leave together.

Whoever waits for an answer mostly sleeps, and waking somebody on another processor costs about as much as sending, on a
virtual machine several times that. Where each answer is sent when it is there, its receiver is woken for each; where
several are sent one right after the other, only for the first. So an answer is held while requests that have come in
the same turn of the loop are about to be begun: for a millisecond and the request that is then under way, and never
beyond the next turn.
"""

from __future__ import annotations

import asyncio
from time import monotonic

HELD_S = 0.001


class Answers:
    """Of one server's connections."""

    __slots__ = ("_held", "_since", "beginning")

    def __init__(self) -> None:
        # Requests that have come and whose tasks have not run yet.
        self.beginning = 0
        self._held: list[tuple[asyncio.Transport, bytes]] = []
        # When the first of them was there.
        self._since = 0.0

    def send(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send `data` soon, behind whatever was to be sent before."""
        if self.beginning:
            now = monotonic()
            if not self._held:
                self._since = now
                # Those who are about to begin may have to wait for something themselves.
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
