"""The log of one environment: what is written inside it and what Lambda tells of it, to those who read either.

It goes to the log stream, in text or JSON and from the levels on that the function asks for; to the tail that
`LogResult` shows; and, of all levels, to the environment's telemetry subscribers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable

from pileus.kernel.clock import Clock
from pileus.services.lambda_.execution import FunctionSpec, LogEvent, LogSink
from pileus.services.lambda_.output import OutputParser, Tail
from pileus.services.lambda_.platform_logs import INFO, LEVELS, PlatformEvent, encoded
from pileus.services.lambda_.telemetry import Telemetry

_READ_BYTES = 256 * 1024
# A function that writes faster than the pipe is emptied waits: 256 KiB each 5 ms.
_READ_PAUSE_S = 0.005
# "Log-level filtering": what has no level, or an unknown one, counts as INFO.
_APPLICATION_LEVELS = {
    "TRACE": 0,
    "DEBUG": 1,
    "INFO": 2,
    "WARN": 3,
    "WARNING": 3,
    "ERROR": 4,
    "FATAL": 5,
    "CRITICAL": 5,
}
_DEFAULT_LEVEL = _APPLICATION_LEVELS["INFO"]


class EnvironmentLog:
    def __init__(self, spec: FunctionSpec, stream: str, clock: Clock, sink: LogSink, telemetry: Telemetry) -> None:
        self.tail = Tail()
        self._spec = spec
        self._stream = stream
        self._clock = clock
        self._sink = sink
        self._telemetry = telemetry
        self._json = spec.log_format == "JSON"
        self._system_level = LEVELS.get(spec.system_log_level, INFO)
        level = _APPLICATION_LEVELS.get(spec.application_log_level, _DEFAULT_LEVEL)
        # None: everything is kept.
        self._application_level = level if self._json and spec.application_log_level else None

    @property
    def detailed(self) -> bool:
        """Whether anybody sees events that text logs have no line for."""
        return self._json or self._telemetry.any

    def now_ms(self) -> int:
        return int(self._clock.time() * 1000)

    def output(self, kind: str, events: list[LogEvent]) -> None:
        """What the function ("function") or an extension ("extension") has written."""
        if events:
            self.write(events, kind=kind)

    def write(self, output: list[LogEvent], *told: PlatformEvent | str, kind: str = "function") -> None:
        """Output, then what Lambda tells; a text is a line of logs in text alone."""
        if output:
            if self._telemetry.any:
                self._telemetry.lines(kind, output)
            if self._application_level is not None:
                output = [event for event in output if _level(event.message) >= self._application_level]
        if told:
            now_ms = self.now_ms()
            output = [*output, *(LogEvent(now_ms, line) for each in told if (line := self._line(now_ms, each)))]
        if output:
            self.tail.add(output)
            self._sink(self._spec.account, self._spec.region, self._spec.log_group, self._stream, output)

    def _line(self, now_ms: int, told: PlatformEvent | str) -> str:
        if isinstance(told, str):
            return "" if self._json else told
        self._telemetry.platform(now_ms, told)
        if not self._json:
            return told.text
        if told.level < self._system_level:
            return ""
        return encoded(now_ms, told.kind, told.record) + "\n"


def _level(message: str) -> int:
    if message.startswith("{"):
        with contextlib.suppress(ValueError):
            found = json.loads(message)
            return _APPLICATION_LEVELS.get(str(found.get("level", "")).upper(), _DEFAULT_LEVEL)
    return _DEFAULT_LEVEL


class OutputReader:
    """Reads a pipe, and hands on the events that are complete."""

    def __init__(self, fd: int, now_ms: Callable[[], int], on_events: Callable[[list[LogEvent]], None]) -> None:
        self._fd = fd
        self._now_ms = now_ms
        self._on_events = on_events
        self._loop = asyncio.get_running_loop()
        self._parser = OutputParser()
        self._closed = False

    def start(self) -> None:
        self._loop.add_reader(self._fd, self._read)

    def drain(self) -> None:
        """Everything written so far, before a line of the platform's follows it."""
        for _ in range(8):
            try:
                data = os.read(self._fd, _READ_BYTES)
            except OSError:
                return
            if not data:
                return
            self._on_events(self._parser.feed(data, self._now_ms()))

    def rest(self) -> list[LogEvent]:
        """What is there without a line end, as an event."""
        return self._parser.flush(self._now_ms())

    def close(self) -> None:
        """Hand on what is left, and close the pipe."""
        if self._closed:
            return
        self.drain()
        self._on_events(self.rest())
        self._closed = True
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._fd)
            return
        self._on_events(self._parser.feed(data, self._now_ms()))
        if len(data) >= _READ_BYTES // 2:
            self._loop.remove_reader(self._fd)
            self._loop.call_later(_READ_PAUSE_S, self._read_on)

    def _read_on(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._fd, self._read)
