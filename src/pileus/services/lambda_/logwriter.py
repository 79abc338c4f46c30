"""Function output on its way to CloudWatch Logs: gathered, and put as the function's role some times a second.

What the role may not do does not happen, as at AWS: without `logs:PutLogEvents` there is no log. Nothing here stands in
an invocation's way; an orderly stop writes what is left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import roles
from pileus.services.lambda_.execution import LogEvent
from pileus.services.lambda_.names import Target

PERIOD_S = 0.08
# Each stream, that is each environment, takes a call of its own, which costs as much as half an invocation: many that
# write at once are gathered for longer.
STREAMS_PER_S_MAX = 50
PERIOD_MAX_S = 1.0
# PutLogEvents: 1 MiB, of which an event takes 26 bytes beside its text, and 10,000 events.
BATCH_BYTES_MAX = 1_000_000
BATCH_EVENTS_MAX = 10_000
EVENT_OVERHEAD_BYTES = 26
# Longer lines are cut into several events.
MESSAGE_CHARS_MAX = 200_000
# What waits to be written, on the whole node; a function that writes faster than the store takes it loses the excess.
WAITING_BYTES_MAX = 128 << 20
# Streams of which it is known that they are there.
KNOWN_MAX = 2_000
ATTEMPTS = 5
RETRY_S = 0.2

log = logging.getLogger(__name__)

# One operation of CloudWatch Logs, as the function's role.
Call = Callable[[str, Mapping[str, object]], Awaitable[None]]


class Stream(NamedTuple):
    account: str
    region: str
    group: str
    name: str


class Writer(NamedTuple):
    function: Target
    role: str


class LogWriter:
    """The node's log sink."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        # Who writes to a group: the sink is told of the group only.
        self._writers: dict[tuple[str, str, str], Writer] = {}
        self._waiting: dict[Stream, list[LogEvent]] = {}
        self._waiting_bytes = 0
        self._lost = 0
        self._wake = asyncio.Event()
        self._known: set[Stream] = set()
        # Groups of which it was said that their output is not kept; said once, and again when it was kept in between.
        self._refused: set[tuple[str, str, str]] = set()
        self._task: asyncio.Task[None] | None = None
        self._gathering: asyncio.Future[None] | None = None
        self._closing = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def writes_as(self, function: Target, role: str, group: str) -> None:
        """From now on events of `group` are put as this function's role."""
        self._writers[function.account, function.region, group] = Writer(function._replace(qualifier=""), role)

    def sink(self, account: str, region: str, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        """Take events; neither waits nor raises."""
        size = sum(len(event.message) for event in events)
        if self._waiting_bytes + size > WAITING_BYTES_MAX:
            self._lost += len(events)
            return
        self._waiting_bytes += size
        self._waiting.setdefault(Stream(account, region, group, stream), []).extend(events)
        self._wake.set()

    async def close(self) -> None:
        """Write what is left, and stop."""
        if self._task is not None:
            self._closing = True
            self._wake.set()
            if self._gathering is not None:
                # A clock that stands would never end it.
                self._gathering.cancel()
            await self._task

    async def _run(self) -> None:
        while not self._closing or self._waiting:
            await self._wake.wait()
            if not self._closing:
                self._gathering = asyncio.ensure_future(self._gather())
                await asyncio.wait({self._gathering})
            self._wake.clear()
            taken, self._waiting = self._waiting, {}
            await asyncio.gather(*(self._write(stream, events) for stream, events in taken.items()))
            if self._lost:
                log.warning("function output lost: written faster than kept", extra={"details": {"events": self._lost}})
                self._lost = 0

    async def _gather(self) -> None:
        await self._cloud.clock.sleep(PERIOD_S)
        more_s = min(PERIOD_MAX_S, len(self._waiting) / STREAMS_PER_S_MAX) - PERIOD_S
        if more_s > 0:
            await self._cloud.clock.sleep(more_s)

    async def _write(self, stream: Stream, events: list[LogEvent]) -> None:
        size = sum(len(event.message) for event in events)
        try:
            for batch in _batches(events):
                await self._put(stream, batch)
            self._refused.discard(stream[:3])
        except AWSError as error:
            # Denied, as at AWS, or refused: function output never fails an invocation.
            if stream[:3] not in self._refused:
                self._refused.add(stream[:3])
                details = {"group": stream.group, "code": error.code, "reason": error.message}
                log.info("function output not kept", extra={"details": details})
        except Exception:
            log.exception("function output not kept", extra={"details": {"group": stream.group}})
        finally:
            self._waiting_bytes -= size

    async def _put(self, stream: Stream, batch: list[dict[str, object]]) -> None:
        writer = self._writers.get(stream[:3])
        if writer is None:
            return
        session = await roles.session(self._cloud, *writer)
        names = {"logGroupName": stream.group, "logStreamName": stream.name}

        async def call(operation: str, request: Mapping[str, object]) -> None:
            await self._cloud.call(session.principal, "logs", operation, request, region=stream.region)

        for attempt in range(ATTEMPTS):
            try:
                if stream not in self._known:
                    await self._make(stream, call)
                await call("PutLogEvents", {**names, "logEvents": batch})
                return
            except AWSError as error:
                if error.code == "ResourceNotFoundException":
                    # Deleted while the function runs: made again.
                    self._known.discard(stream)
                elif error.fault != "server":
                    raise
                if attempt == ATTEMPTS - 1:
                    raise
            await self._cloud.clock.sleep(RETRY_S * attempt)

    async def _make(self, stream: Stream, call: Call) -> None:
        names = {"logGroupName": stream.group, "logStreamName": stream.name}
        try:
            await call("CreateLogStream", names)
        except AWSError as error:
            if error.code == "ResourceNotFoundException":
                await _unless_there(call, "CreateLogGroup", {"logGroupName": stream.group})
                await _unless_there(call, "CreateLogStream", names)
            elif error.code != "ResourceAlreadyExistsException":
                raise
        if len(self._known) >= KNOWN_MAX:
            # Most belong to environments long gone; of the others it is asked again whether they are there.
            self._known.clear()
        self._known.add(stream)

    def forget(self, function: Target) -> None:
        """The function is gone: its streams need not be remembered any more."""
        groups = {key for key, writer in self._writers.items() if writer.function == function._replace(qualifier="")}
        self._known = {stream for stream in self._known if stream[:3] not in groups}
        self._refused -= groups


async def _unless_there(call: Call, operation: str, request: Mapping[str, object]) -> None:
    try:
        await call(operation, request)
    except AWSError as error:
        if error.code != "ResourceAlreadyExistsException":
            raise


def _batches(events: list[LogEvent]) -> list[list[dict[str, object]]]:
    """What one PutLogEvents call after the other takes: in order of time, within its limits."""
    out: list[list[dict[str, object]]] = []
    batch: list[dict[str, object]] = []
    size = 0
    for event in sorted(events, key=lambda event: event.timestamp_ms):
        text = event.message
        for start in range(0, len(text), MESSAGE_CHARS_MAX):
            part = text[start : start + MESSAGE_CHARS_MAX] if len(text) > MESSAGE_CHARS_MAX else text
            bytes_ = len(part) if part.isascii() else len(part.encode(errors="replace"))
            if batch and (size + bytes_ + EVENT_OVERHEAD_BYTES > BATCH_BYTES_MAX or len(batch) == BATCH_EVENTS_MAX):
                out.append(batch)
                batch, size = [], 0
            batch.append({"timestamp": event.timestamp_ms, "message": part})
            size += bytes_ + EVENT_OVERHEAD_BYTES
    if batch:
        out.append(batch)
    return out
