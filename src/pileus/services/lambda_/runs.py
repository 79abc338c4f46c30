"""One invocation under way in an environment: its times, what is told of it, and how its answer comes about."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pileus.kernel.clock import SystemClock
from pileus.sandbox.contract import Exit
from pileus.services.lambda_.execution import (
    PAYLOAD_BYTES_MAX,
    Finished,
    FunctionSpec,
    Invocation,
    InvokeResult,
    Trace,
)
from pileus.services.lambda_.failures import Failure
from pileus.services.lambda_.platform_logs import PlatformEvent, PlatformLog, Report, Span, billed
from pileus.services.lambda_.runtime_api import Event, Streamed, event_headers

_SYSTEM = SystemClock()


class Life(Enum):
    """Of an environment; see `environment`."""

    NEW = "new"
    READY = "ready"
    BUSY = "busy"
    BROKEN = "broken"
    CLOSED = "closed"


@dataclass(slots=True)
class Outcome:
    """What ended a wait: the runtime is ready, waits to be cloned, has answered, failed or gone; extensions are ready,
    or one failed."""

    kind: str
    payload: bytes = b""
    error_type: str = ""
    stream: Streamed | None = None
    exit: Exit | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """How long it took to restore an environment: all of it, and of that what the runtime and the hooks took."""

    whole_ms: float
    billed_ms: int


@dataclass(slots=True)
class Run:
    """Times are seconds of the machine's monotonic clock, those in milliseconds since the epoch the cloud's."""

    spec: FunctionSpec
    invocation: Invocation
    trace: Trace | None
    init_ms: float | None
    begin: float
    begin_ms: int
    # Where the environment was restored for it.
    restored: Restored | None = None
    answered: float = 0.0
    produced_bytes: int | None = None
    spans: tuple[Span, ...] = ()
    # When the runtime was done with it; 0: not yet.
    runtime_done: float = 0.0

    def left_s(self) -> float:
        return self.spec.timeout_s - (_SYSTEM.monotonic() - self.begin)

    # what is told inside

    def event(self, deadline_ms: int) -> Event:
        """For the runtime."""
        invocation = self.invocation
        headers = event_headers(
            request_id=invocation.request_id,
            deadline_ms=deadline_ms,
            invoked_arn=invocation.invoked_arn,
            trace_header=self._trace_header(),
            client_context=invocation.client_context,
            cognito_identity=invocation.cognito_identity,
        )
        return Event(invocation.request_id, invocation.payload, headers)

    def extension_event(self, deadline_ms: int) -> dict[str, Any]:
        return {
            "deadlineMs": deadline_ms,
            "requestId": self.invocation.request_id,
            "invokedFunctionArn": self.invocation.invoked_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": self._trace_header()},
        }

    def _trace_header(self) -> str:
        return self.trace.header if self.trace is not None else self.invocation.trace_header

    # what happens

    def begins_to_answer(self, size: int) -> None:
        self.answered = _SYSTEM.monotonic()
        self.produced_bytes = size
        latency_ms = (self.answered - self.begin) * 1000
        self.spans = (
            Span("responseLatency", self.begin_ms, latency_ms),
            Span("responseDuration", self.begin_ms + round(latency_ms), 0.0),
        )

    def has_streamed(self, size: int) -> None:
        took_ms = (_SYSTEM.monotonic() - self.answered) * 1000
        self.spans = (self.spans[0], Span("responseDuration", self.spans[1].start_ms, took_ms))
        self.produced_bytes = size

    def report(self, failure: Failure | None, duration_ms: float, max_memory_mb: int) -> Report:
        restored = self.restored
        total = billed(duration_ms, self.init_ms if restored is None else restored.billed_ms)
        request_id, memory_mb = self.invocation.request_id, self.spec.memory_mb
        report = Report(request_id, duration_ms, total, memory_mb, max_memory_mb, self.init_ms)
        if restored is not None:
            report.restore_ms, report.billed_restore_ms = restored.whole_ms, restored.billed_ms
        if failure is not None:
            report.status = failure.status
            report.error_type = failure.error_type if failure.status == "error" else ""
        return report

    def tell_of_runtime(self, lines: PlatformLog, own: Failure | None, now_ms: int) -> PlatformEvent:
        """The runtime is done: it asks for the next event, or is gone."""
        self.runtime_done = _SYSTEM.monotonic()
        report = self.report(own, (self.runtime_done - self.begin) * 1000, 0)
        overhead = Span("runtimeOverhead", now_ms, (self.runtime_done - self.answered) * 1000)
        report.spans = [*self.spans, overhead]
        return lines.runtime_done(report, self.produced_bytes, self.trace)


class Conclusion:
    """The end of a run. A `payload` beside a failure is the runtime's own error."""

    def __init__(
        self, run: Run, failure: Failure | None, payload: bytes | None, *, max_memory_mb: int, extensions: bool
    ) -> None:
        self._run = run
        self._failure = failure
        self._payload = payload
        now = _SYSTEM.monotonic()
        duration_ms = (now - run.begin) * 1000
        if failure is not None and failure.status == "timeout":
            # It ran for its whole time, and no longer than that.
            duration_ms = run.spec.timeout_s * 1000
        self._report = run.report(failure, duration_ms, max_memory_mb)
        # An error that the function raised is no failure of the platform's: the line of text says nothing of it.
        self._report.own_error = failure is not None and payload is not None
        # How long extensions went on after the runtime.
        self._overhead_ms = (now - run.runtime_done) * 1000 if run.runtime_done and extensions else None

    def told(self, lines: PlatformLog, now_ms: int, *, detailed: bool) -> list[PlatformEvent | str]:
        """The last lines of its log. `detailed`: somebody sees what has no line in text."""
        run, failure, report = self._run, self._failure, self._report
        request_id = run.invocation.request_id
        if self._overhead_ms is not None:
            report.extension_overhead_ms = self._overhead_ms
            report.overhead_start_ms = now_ms - round(self._overhead_ms)
        told: list[PlatformEvent | str] = []
        if failure is not None and failure.status == "timeout":
            told.append(lines.timed_out(now_ms, request_id, run.spec.timeout_s))
        elif failure is not None and not report.own_error and failure.message:
            told.append(lines.fault(f"{failure.message}\n{failure.error_type}"))
        if not run.runtime_done and detailed:
            told.append(lines.runtime_done(report, run.produced_bytes, run.trace))
        return [*told, lines.end(request_id), lines.report(report, run.trace)]

    def finished(self, ended: float) -> Finished:
        run, report = self._run, self._report
        return Finished(
            spec=run.spec,
            invocation=run.invocation,
            ended=ended,
            duration_ms=report.duration_ms,
            billed_ms=report.billed_ms,
            init_ms=run.init_ms,
            restore_ms=run.restored.whole_ms if run.restored is not None else None,
            max_memory_mb=report.max_memory_mb,
            failed=self._failure is not None,
            overhead_ms=self._overhead_ms,
            trace=run.trace,
        )

    def result(self, log_tail: bytes) -> InvokeResult:
        failure, payload, report = self._failure, self._payload, self._report
        if payload is None:
            payload = failure.payload() if failure is not None else b""
        return InvokeResult(
            payload=payload,
            function_error="Unhandled" if failure is not None else None,
            log_tail=log_tail,
            duration_ms=report.duration_ms,
            billed_ms=report.billed_ms,
            init_ms=report.init_ms,
            max_memory_mb=report.max_memory_mb,
        )


class Gathering:
    """Takes a streamed answer for a caller who wants it whole."""

    def __init__(self, stream: Streamed) -> None:
        self._stream = stream
        self._found = bytearray()
        self._taking = asyncio.get_running_loop().create_task(self._take())

    async def outcome(self) -> Outcome:
        """The runtime has written all of it: the answer, or the error it ended with."""
        await self._taking
        if self._stream.error is not None:
            error_type, said = self._stream.error
            with contextlib.suppress(ValueError):
                return Outcome("error", base64.b64decode(said, validate=True), error_type)
            return Outcome("error", Failure(said, error_type).payload(), error_type)
        if len(self._found) > PAYLOAD_BYTES_MAX:
            return Outcome("too_large")
        return Outcome("answer", bytes(self._found))

    def stop(self) -> None:
        self._taking.cancel()

    async def _take(self) -> None:
        stream = self._stream
        while (chunk := await stream.chunks.get()) is not None:
            stream.waiting_bytes -= len(chunk)
            if len(self._found) <= PAYLOAD_BYTES_MAX:
                self._found.extend(chunk)
            if stream.resume is not None:
                stream.resume()
