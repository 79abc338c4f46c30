"""The outbox's contract.

An operation that causes something elsewhere puts a delivery into the outbox in its own transaction. The deliverer hands
it to the handler registered for its target, at least once, with retries, and to the dead-letter handler when it gives
up.
A delivery with a later `due` is a durable timer: schedules, delays, TTLs use the same records.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import msgspec

from pileus.store.contract import Transaction


class Delivery(msgspec.Struct, kw_only=True):
    """One event on its way."""

    id: str
    # The handler's name, as in a service's manifest: "lambda.async", "s3.notification".
    target: str
    # JSON-like; whatever the target's handler understands.
    payload: dict[str, Any]
    # Deliveries of one target with the same non-empty order key are handed over one after the other, in the order in
    # which they were put; one that fails holds the later ones back until it succeeds or is given up.
    order: str = ""
    # Seconds since the epoch.
    created: float
    due: float
    attempts: int = 0
    attempts_max: int = 0  # 0: as often as the age allows
    # Counted from when it was first due; what was never tried is tried once however old it is.
    age_max_s: float = 24 * 3600.0
    # Seconds before the 2nd, 3rd, ... attempt; the last counts for all further ones.
    # Empty, and after attempts that do not count: 1, 2, 4 ... 300 s, jittered.
    backoff_s: tuple[float, ...] = ()
    # This target is told of a delivery that was given up, by a delivery of its own with the payload of `Dead`
    # ("" drops it with a log line).
    dead_target: str = ""
    last_error: str = ""


class Dead(msgspec.Struct, kw_only=True):
    """The payload that a dead-letter target gets: `msgspec.convert(delivery.payload, Dead)`."""

    # As it was given up, with its `attempts` and `last_error`.
    delivery: Delivery
    reason: Literal["Undeliverable", "AttemptsExhausted", "AgeExceeded"]


class Retry(Exception):
    """Raised by a handler: not now. With `counted` false (throttling) the attempt does not count, only the age does."""

    def __init__(self, reason: str, *, after_s: float | None = None, counted: bool = True) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.counted = counted


class Undeliverable(Exception):
    """Raised by a handler: never. The delivery goes to its dead-letter target at once."""


# Any other exception out of a handler counts as a failed attempt. A handler may be called twice for one delivery.
Handler = Callable[[Delivery], Awaitable[None]]


class Outbox(Protocol):
    def put(
        self,
        tx: Transaction,
        *,
        target: str,
        payload: dict[str, Any],
        now: float,
        due: float | None = None,
        id: str | None = None,
        order: str = "",
        attempts_max: int = 0,
        age_max_s: float = 24 * 3600.0,
        backoff_s: tuple[float, ...] = (),
        dead_target: str = "",
    ) -> str:
        """Record a delivery in `tx`; returns its id. `due` None means at once.

        With an `id` of the caller's own it can be cancelled; putting the same id again replaces it.
        """
        ...

    async def cancel(self, tx: Transaction, id: str) -> bool:
        """Take a delivery back; False where there is none of that id any more."""
        ...
