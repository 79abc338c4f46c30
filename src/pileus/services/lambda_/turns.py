"""Whose turn it is to start an environment.

A backlog that arrives at once (after a restart) would start as many as there are events, and all of them would crawl
until they time out. A start's turn comes when few others are under way, and in any case at a steady pace: functions
whose Init waits for something hold nobody up for long.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

# Starts at the same time before others wait for their turn, and the pace at which these have it in any case.
_CORES = os.cpu_count() or 1
_STARTS = 4 * _CORES
_START_PACE_S = 0.1 / _CORES

# Those who wait for the same thing, in the order in which they came.
Line = deque[asyncio.Future[None]]


class Turns:
    def __init__(self) -> None:
        # Starts under way, those that wait for their turn, and when the next of these has it in any case.
        self._starting = 0
        self._waiting: Line = deque()
        self._next = 0.0

    async def wait(self, others: Line) -> bool:
        """Until it is its turn, or until the first of `others`, where it stands in line too, is called.

        False where it did not have to wait.
        """
        if self._starting < _STARTS:
            return False
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._next = max(self._next, loop.time()) + _START_PACE_S
        timer = loop.call_at(self._next, _call, turn)
        self._waiting.append(turn)
        others.append(turn)
        await turn
        timer.cancel()
        return True

    @contextmanager
    def starting(self) -> Iterator[None]:
        """A start is under way."""
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1
            call_first(self._waiting)


def call_first(line: Line) -> None:
    """The first that still waits."""
    while line:
        turn = line.popleft()
        if not turn.done():
            turn.set_result(None)
            return


def _call(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
