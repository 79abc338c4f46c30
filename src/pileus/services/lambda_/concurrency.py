"""How many invocations run at once: the account's 1,000, of which functions may reserve their part.

What is provisioned is taken out of the reservation of its function, or else out of what is left to all; its
environments are counted by themselves.

Source: "Configuring reserved concurrency for a function" of the developer guide. Counted on this node only.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from pileus.services.lambda_ import errors, keys
from pileus.services.lambda_.names import Target
from pileus.store.contract import Reader
from pileus.store.keys import unpack

ACCOUNT_MAX = 1000
# "Lambda always reserves 100 units of concurrency for functions without a reservation."
UNRESERVED_MIN = 100


class Concurrency:
    """What runs now, by function with a reservation and by account for all others."""

    def __init__(self) -> None:
        self._running: Counter[tuple[str, ...]] = Counter()

    def enter(self, function: Target, reserved: int | None, unreserved_max: int) -> tuple[str, ...]:
        """Count one more invocation; returns what `leave` takes. Raises `TooManyRequestsException`."""
        place: tuple[str, ...]
        if reserved is not None:
            place, limit = (function.account, function.region, function.name), reserved
            reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
        else:
            place, limit = (function.account, function.region), unreserved_max
            reason = "ConcurrentInvocationLimitExceeded"
        if self._running[place] >= limit:
            raise errors.throttled(reason)
        self._running[place] += 1
        return place

    def running(self, fingerprint: str) -> int:
        """How many of the environments provisioned for it are busy."""
        return self._running[(fingerprint,)]

    def enter_provisioned(self, fingerprint: str) -> tuple[str, ...]:
        """Count one more in a provisioned environment, which is there already."""
        self._running[(fingerprint,)] += 1
        return (fingerprint,)

    def leave(self, place: tuple[str, ...]) -> None:
        self._running[place] -= 1
        if not self._running[place]:
            del self._running[place]


async def reservations(tx: Reader, account: str, region: str) -> dict[str, int]:
    """Reserved concurrency by function name."""
    start, end = keys.all_reserved(account, region)
    found = await tx.scan(start, end, limit=ACCOUNT_MAX + 1)
    return {str(unpack(key)[-1]): msgspec.msgpack.decode(data, type=int) for key, data in found}


async def reserved(tx: Reader, function: Target) -> int | None:
    data = await tx.get(keys.reserved(function))
    return msgspec.msgpack.decode(data, type=int) if data is not None else None
