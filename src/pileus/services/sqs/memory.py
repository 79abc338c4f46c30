"""Who waits for messages, and until when: kept in memory, as the callers themselves are.

A receiver that waits costs a future. What wakes it: a message that has arrived (told after the commit), a message
that becomes visible (the loop `sqs.due`, by the clock), the end of its own time (the same loop), or its client's going
away. Whoever has received wakes the next one if there is more.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pileus.services.sqs.queues import Live

LOOP = "sqs.due"
Place = tuple[str, str, str]


class Waiter:
    __slots__ = ("deadline", "future")

    def __init__(self, future: asyncio.Future[None], deadline: float) -> None:
        self.future = future
        # Seconds since the epoch.
        self.deadline = deadline


class Memory:
    """The node's one is in `cloud.parts`. `nudge` has the loop run soon."""

    def __init__(self, nudge: Callable[[], None]) -> None:
        self._nudge = nudge
        # By queue id; the one that waits longest first.
        self._waiting: dict[str, OrderedDict[Waiter, None]] = {}
        self._deadlines: list[tuple[float, int, Waiter]] = []
        self._count = 0
        # When to look for messages that become visible: (ms, place), and the earliest of each place.
        self._due: list[tuple[int, Place]] = []
        self._earliest: dict[Place, int] = {}
        # Seconds; when the loop runs next.
        self._next = math.inf
        self.closed = False

    # ------------------------------------------------------------------------------------------------- receivers

    def wait(self, queue_id: str, deadline: float) -> Waiter:
        """Join the line. The future ends when there may be a message, and when the time is over."""
        waiter = Waiter(asyncio.get_running_loop().create_future(), deadline)
        if self.closed:
            waiter.future.set_result(None)
            return waiter
        self._waiting.setdefault(queue_id, OrderedDict())[waiter] = None
        self._count += 1
        heapq.heappush(self._deadlines, (deadline, self._count, waiter))
        self._look_at(deadline)
        return waiter

    def leave(self, queue_id: str, waiter: Waiter) -> None:
        """Leave the line. Who has been woken and does not receive passes it on."""
        line = self._waiting.get(queue_id)
        if line is not None:
            line.pop(waiter, None)
            if not line:
                del self._waiting[queue_id]
        if not waiter.future.done():
            waiter.future.cancel()

    def arrived(self, queue_id: str, count: int) -> None:
        """So many messages may have become visible: as many receivers look."""
        line = self._waiting.get(queue_id)
        while line and count > 0:
            waiter, _ = line.popitem(last=False)
            if not waiter.future.done():
                waiter.future.set_result(None)
                count -= 1
        if line is not None and not line:
            self._waiting.pop(queue_id, None)

    def wake_all(self, queue_id: str) -> None:
        """The queue is gone, or changed: whoever waits looks again."""
        self.arrived(queue_id, len(self._waiting.get(queue_id, ())))

    def close(self) -> None:
        """Nobody waits any more."""
        self.closed = True
        for queue_id in list(self._waiting):
            self.wake_all(queue_id)

    # ------------------------------------------------------------------------------------------------------ time

    def note_due(self, queue: Live, due: int) -> None:
        """A message of the queue becomes visible at `due`."""
        self.note(queue.account, queue.region, queue.name, due)

    def note(self, account: str, region: str, name: str, due: int) -> None:
        place = (account, region, name)
        if due < self._earliest.get(place, 1 << 62):
            self._earliest[place] = due
            heapq.heappush(self._due, (due, place))
            self._look_at(due / 1000)

    def end_waits(self, now: float) -> None:
        """Wake those whose time is over."""
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][2].future.done()):
            _, _, waiter = heapq.heappop(self._deadlines)
            if not waiter.future.done():
                waiter.future.set_result(None)

    def take_due(self, now: float) -> list[Place]:
        """The queues in which messages have become visible."""
        found = []
        while self._due and self._due[0][0] <= now * 1000:
            due, place = heapq.heappop(self._due)
            if self._earliest.get(place) == due:
                del self._earliest[place]
                found.append(place)
        return found

    def next_at(self) -> float:
        """When the loop has to run again, seconds since the epoch."""
        deadline = self._deadlines[0][0] if self._deadlines else math.inf
        due = self._due[0][0] / 1000 if self._due else math.inf
        self._next = min(deadline, due)
        return self._next

    def _look_at(self, when: float) -> None:
        if when < self._next:
            self._next = when
            self._nudge()
