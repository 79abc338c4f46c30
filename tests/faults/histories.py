"""Histories of concurrent calls, and whether they could have happened one after the other.

    history = History()
    with history.call("get", key) as call: call.result = ...      from any number of threads
    history.cut()                                                 the server is dead: nothing more is done
    explains(history.calls, state, step)                          is there an order that explains all results?

`explains` is the search of Wing and Gong ("Testing and Verifying Concurrent Objects") with Lowe's memory of what was
tried. With the state of one item it says whether a history is linearizable, with that of all items, and transactions
among the calls, whether it is strictly serializable.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

State = TypeVar("State", bound=Hashable)
UNKNOWN = object()


@dataclass
class Call:
    """`result` is UNKNOWN where nobody was told: the call may have been done, between `begun` and `ended`, or not."""

    name: str
    argument: Any = None
    result: Any = UNKNOWN
    begun: float = 0.0
    ended: float = float("inf")


@dataclass
class History:
    calls: list[Call] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def call(self, name: str, argument: Any) -> Iterator[Call]:
        """Whoever leaves it without a result does not know what came of the call."""
        made = Call(name, argument)
        with self._lock:
            self.calls.append(made)
        made.begun = time.monotonic()
        yield made
        if made.result is not UNKNOWN:
            made.ended = time.monotonic()

    def cut(self) -> None:
        """No call that is under way can be done any more."""
        now = time.monotonic()
        for call in self.calls:
            call.ended = min(call.ended, now)


def explains(calls: Sequence[Call], state: State, step: Callable[[State, Call], State | None]) -> State | None:
    """The state that an order explaining every result ends with; None where there is no such order.

    `step` gives the state after a call, or None where its result does not fit the state; of a call whose result is
    UNKNOWN it gives what the call would do.
    """
    ordered = sorted(calls, key=lambda call: call.begun)
    # What is done, as bits; how far everything is done; the state.
    stack: list[tuple[int, int, State]] = [(0, 0, state)]
    tried = set()
    while stack:
        done, first, now = stack.pop()
        while first < len(ordered) and done >> first & 1:
            first += 1
        if first == len(ordered):
            return now
        if (done, now) in tried:
            continue
        tried.add((done, now))
        limit = float("inf")
        for at in range(first, len(ordered)):
            call = ordered[at]
            # Whatever began after another call had ended comes after it.
            if call.begun > limit:
                break
            if done >> at & 1:
                continue
            limit = min(limit, call.ended)
            if call.result is UNKNOWN:
                stack.append((done | 1 << at, first, now))
            following = step(now, call)
            if following is not None:
                stack.append((done | 1 << at, first, following))
    return None
