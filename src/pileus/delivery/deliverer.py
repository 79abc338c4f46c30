"""The deliverer: hands what the outbox holds to the handlers of its targets.

Every target has its own entries by time and its own limit of deliveries under way, so a slow one holds up no other. A
delivery stays in the outbox until its handler has succeeded: a process that dies hands it over again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from pileus.delivery import records
from pileus.delivery.contract import Dead, Handler, Retry, Undeliverable
from pileus.delivery.outbox import StoreOutbox
from pileus.delivery.records import Record
from pileus.kernel.clock import Clock, VirtualClock
from pileus.kernel.errors import AWSError
from pileus.kernel.ids import Ids
from pileus.store.contract import Reader, Store, StoreUnavailable, Transaction

# Deliveries of one target under way, unless it is registered with another limit.
LIMIT = 64

BACKOFF_MAX_S = 300.0
# Until the outbox is looked at again after the store has failed.
STORE_WAIT_S = 1.0
ERROR_CHARS_MAX = 1000

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class TargetStatus:
    """What became of a target's deliveries since the start."""

    target: str
    under_way: int = 0
    delivered: int = 0
    failed_attempts: int = 0
    given_up: int = 0


class _Target:
    def __init__(self, name: str, handler: Handler, limit: int) -> None:
        self.handler = handler
        self.limit = limit
        self.status = TargetStatus(target=name)
        # By number.
        self.under_way: dict[int, asyncio.Task[None]] = {}
        # When to look for due deliveries again.
        self.look_at = 0.0


class Deliverer:
    """`step` is run by the driver of loops; `nudge` has it run soon."""

    def __init__(self, store: Store, outbox: StoreOutbox, *, clock: Clock, ids: Ids, nudge: Callable[[], None]) -> None:
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._ids = ids
        self._nudge = nudge
        self._targets: dict[str, _Target] = {}
        self._unknown: set[str] = set()
        self._stopped = False
        outbox.notice = self._notice
        if isinstance(clock, VirtualClock):
            clock.watch(lambda: [task for target in self._targets.values() for task in target.under_way.values()])

    def register(self, target: str, handler: Handler, *, limit: int = LIMIT) -> None:
        """Deliveries for `target` go to `handler`, at most `limit` at the same time."""
        if target in self._targets:
            raise ValueError(f"there is a handler for {target} already")
        self._targets[target] = _Target(target, handler, limit)
        self._nudge()

    def status(self) -> Sequence[TargetStatus]:
        return [replace(target.status, under_way=len(target.under_way)) for target in self._targets.values()]

    async def step(self) -> float:
        """Hand over what is due; returns the seconds until there is more."""
        now = self._clock.time()
        next_at = math.inf
        # A service that is loaded meanwhile registers its own, and nudges.
        for target in list(self._targets.values()):
            if target.look_at <= now and len(target.under_way) < target.limit and not self._stopped:
                await self._hand_over(target, now)
            if len(target.under_way) < target.limit:
                next_at = min(next_at, target.look_at)
        return max(0.0, next_at - now)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Hand over nothing more; cancel what has not ended `grace_s` (real) seconds from now: it is handed over again
        after the next start."""
        self._stopped = True
        tasks = [task for target in self._targets.values() for task in target.under_way.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _notice(self, name: str, due: float) -> None:
        target = self._targets.get(name)
        if target is None:
            if name not in self._unknown:
                self._unknown.add(name)
                _log.error("no handler for the target %s: its deliveries wait", name)
        elif due < target.look_at:
            target.look_at = due
            self._nudge()

    async def _hand_over(self, target: _Target, now: float) -> None:
        free = target.limit - len(target.under_way)
        limit = target.limit + 1
        ready: list[Record] = []
        idle: list[tuple[bytes, bytes]] = []

        async def find(reader: Reader) -> float:
            """Fill the lists; returns when to look again."""
            ready.clear()
            idle.clear()
            entries = await reader.scan(*records.due_range(target.status.target), limit=limit)
            for key, value in entries:
                due, seq = records.due_of(key)
                if due > now:
                    return due
                if seq in target.under_way:
                    continue
                record = await records.of_entry(reader, key, value)
                if record is None or not await records.is_first(reader, record):
                    idle.append((key, value))
                elif len(ready) < free:
                    ready.append(record)
                else:
                    return now
            return now if len(entries) == limit else math.inf

        # What is put while we look gives notice again.
        target.look_at = math.inf
        try:
            look_at = await self._store.read(find)
            for record in ready:
                target.under_way[record.seq] = asyncio.create_task(self._deliver(target, record))
            if idle:
                await self._store.write(lambda tx: self._drop(tx, target, idle))
        except BaseException:
            target.look_at = now
            raise
        target.look_at = min(target.look_at, look_at)

    async def _drop(self, tx: Transaction, target: _Target, entries: list[tuple[bytes, bytes]]) -> None:
        for key, value in entries:
            await records.drop_entry(tx, target.status.target, key, value)
        # Somebody may be the first of a line now.
        tx.on_commit(lambda: self._notice(target.status.target, 0.0))

    async def _deliver(self, target: _Target, record: Record) -> None:
        try:
            if record.tries and self._clock.time() >= record.since + record.delivery.age_max_s:
                await self._store.write(lambda tx: self._failed(tx, record, None))
                return
            error = await self._attempt(target, record)
            if error is None:
                target.status.delivered += 1
                await self._store.write(lambda tx: self._remove(tx, record))
            else:
                target.status.failed_attempts += 1
                await self._store.write(lambda tx: self._failed(tx, record, error))
        except StoreUnavailable as unavailable:
            # It is handed over again.
            _log.error("delivery %s for %s: %s", record.delivery.id, target.status.target, unavailable)
            target.look_at = min(target.look_at, self._clock.time() + STORE_WAIT_S)
            self._nudge()
        finally:
            del target.under_way[record.seq]
            if target.look_at <= self._clock.time():
                self._nudge()

    async def _attempt(self, target: _Target, record: Record) -> Exception | None:
        try:
            await target.handler(record.delivery)
        except (Undeliverable, Retry, AWSError) as error:
            return error
        except asyncio.CancelledError:
            if self._stopped:
                raise
            return RuntimeError("the handler was cancelled")
        except Exception as error:  # noqa: BLE001 -- whatever a handler raises is a failed attempt
            _log.warning(
                "delivery %s: the handler of %s failed", record.delivery.id, target.status.target, exc_info=error
            )
            return error
        return None

    async def _failed(self, tx: Transaction, record: Record, error: Exception | None) -> None:
        """Have it tried again, or give it up; without an `error` because of its age."""
        # Read anew: the handler may have changed the one it got.
        current = await records.read(tx, record.delivery.id)
        if current is None or current.seq != record.seq:
            # Cancelled or replaced meanwhile.
            await self._remove(tx, record)
            return
        now = self._clock.time()
        delivery = current.delivery
        if error is None:
            await self._give_up(tx, current, "AgeExceeded")
            return
        delivery.last_error = f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX]
        current.tries += 1
        counted = not isinstance(error, Retry) or error.counted
        delivery.attempts += counted
        oldest = current.since + delivery.age_max_s
        if isinstance(error, Undeliverable):
            await self._give_up(tx, current, "Undeliverable")
        elif delivery.attempts_max and delivery.attempts >= delivery.attempts_max:
            await self._give_up(tx, current, "AttemptsExhausted")
        elif now >= oldest:
            await self._give_up(tx, current, "AgeExceeded")
        else:
            tx.delete(records.due_key(current))
            delivery.due = min(now + self._wait_s(current, error, counted=counted), oldest)
            records.update(tx, current)
            tx.on_commit(lambda: self._notice(delivery.target, delivery.due))

    def _wait_s(self, record: Record, error: Exception, *, counted: bool) -> float:
        if isinstance(error, Retry) and error.after_s is not None:
            return error.after_s
        backoff = record.delivery.backoff_s
        if backoff and counted:
            return backoff[min(record.delivery.attempts, len(backoff)) - 1]
        return min(2.0 ** min(record.tries - 1, 30), BACKOFF_MAX_S) * self._ids.uniform(0.5, 1.0)

    async def _give_up(
        self, tx: Transaction, record: Record, reason: Literal["Undeliverable", "AttemptsExhausted", "AgeExceeded"]
    ) -> None:
        delivery = record.delivery
        await self._remove(tx, record)
        if delivery.dead_target:
            payload = msgspec.to_builtins(Dead(delivery=delivery, reason=reason), builtin_types=(bytes,))
            self._outbox.put(tx, target=delivery.dead_target, payload=payload, now=self._clock.time())
        tx.on_commit(lambda: self._given_up(record, reason))

    def _given_up(self, record: Record, reason: str) -> None:
        delivery = record.delivery
        self._targets[delivery.target].status.given_up += 1
        if not delivery.dead_target:
            _log.error("delivery %s for %s is lost: %s, %s", delivery.id, delivery.target, reason, delivery.last_error)

    async def _remove(self, tx: Transaction, record: Record) -> None:
        await records.remove(tx, record)
        if record.delivery.order:
            tx.on_commit(lambda: self._notice(record.delivery.target, 0.0))
