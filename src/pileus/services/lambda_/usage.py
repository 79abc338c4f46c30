"""What functions use, counted in memory when invocations end; `billing.py` adds it to the store's records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from pileus.services.lambda_ import keys
from pileus.services.lambda_.execution import Finished, FunctionSpec
from pileus.services.lambda_.records import Usage, decode, encode
from pileus.store.contract import Transaction

_FREE_TMP_MB = 512


class Place(NamedTuple):
    """Whose usage: the record's key."""

    # "2026-11-26"
    day: str
    account: str
    region: str
    name: str
    architecture: str


class UsageMeter:
    """This node's counts that are not in the store yet. `wake`: what has rested has something to keep again."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._resting = False
        self._counts: dict[Place, Usage] = {}
        # When provisioned environments were looked at last, by the node's clock.
        self._looked: float | None = None

    def finished(self, done: Finished) -> None:
        """The pool's sink."""
        spec = done.spec
        usage = self._of(spec, done.ended)
        usage.requests += 1
        used = spec.memory_mb * done.billed_ms
        if spec.initialization_type == "provisioned-concurrency":
            usage.provisioned_duration_mb_ms += used
        else:
            usage.duration_mb_ms += used
        usage.storage_mb_ms += max(0, spec.tmp_mb - _FREE_TMP_MB) * done.billed_ms
        if done.restore_ms is not None:
            usage.restored_mb += spec.memory_mb

    def provisioned(self, every: Iterable[tuple[FunctionSpec, int]], now: float) -> None:
        """So many environments have been provisioned since the last call."""
        if self._looked is not None and now > self._looked:
            for spec, count in every:
                self._of(spec, now).provisioned_mb_ms += round(count * spec.memory_mb * (now - self._looked) * 1000)
        self._looked = now

    def changes(self, every: Iterable[tuple[FunctionSpec, int]], now: float) -> None:
        """Others are provisioned from now on: so many were until now."""
        self.provisioned(every, now)
        self._end_rest()

    def rest(self) -> None:
        """There is nothing to keep, and nobody looks until there is."""
        self._resting = True

    def _end_rest(self) -> None:
        if self._resting:
            self._resting = False
            self._wake()

    def take(self) -> dict[Place, Usage]:
        taken, self._counts = self._counts, {}
        return taken

    def put_back(self, counts: dict[Place, Usage]) -> None:
        for place, usage in counts.items():
            found = self._counts.get(place)
            self._counts[place] = usage if found is None else added(found, usage)

    def _of(self, spec: FunctionSpec, now: float) -> Usage:
        place = Place(day_of(now), spec.account, spec.region, spec.name, spec.architecture)
        found = self._counts.get(place)
        if found is None:
            found = self._counts[place] = Usage()
            self._end_rest()
        return found


_last_day: tuple[int, str] = (-1, "")


def day_of(now: float) -> str:
    global _last_day  # noqa: PLW0603 -- asked for each invocation, and the same for a day
    number = int(now // 86400)
    if _last_day[0] != number:
        _last_day = (number, f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}")
    return _last_day[1]


async def record(tx: Transaction, place: Place, usage: Usage) -> None:
    """Add to what the store has of that day."""
    key = keys.usage(*place)
    former = await tx.get(key)
    tx.put(key, encode(usage if former is None else added(decode(Usage, former), usage)))


def added(one: Usage, other: Usage) -> Usage:
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in one.__struct_fields__})
