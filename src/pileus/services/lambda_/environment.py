"""One execution environment: a sandbox, its Runtime API, its log, and its life.

    new ── init ──▶ ready ◀──▶ busy          (frozen while ready and left alone)
             │                   │
             └── failed ─────────┴─▶ broken ── restarted, /tmp kept ──▶ new

Init fails once without consequence: it is then tried again as part of the invocation, with the function's own timeout,
and what happens then is the answer ("Understanding the Lambda execution environment lifecycle").
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pileus.kernel.clock import Clock, SystemClock
from pileus.sandbox.contract import Exit, Sandbox, SandboxError
from pileus.services.lambda_.execution import (
    PAYLOAD_BYTES_MAX,
    Finished,
    FinishedSink,
    FunctionSpec,
    Invocation,
    InvokeResult,
    LogEvent,
    LogSink,
)
from pileus.services.lambda_.hosting.frame import RUNTIME_API_PORT, Hosted, Place
from pileus.services.lambda_.inside import assignment, starting
from pileus.services.lambda_.output import OutputParser, Tail
from pileus.services.lambda_.platform_logs import PlatformLog, Report, billed
from pileus.services.lambda_.runtime_api import (
    Event,
    RuntimeConnection,
    RuntimeState,
    Streamed,
    event_headers,
)

# Functions run in real time, whatever time it is in the cloud.
_SYSTEM = SystemClock()

INIT_TIMEOUT_S = 10.0
# Provisioned concurrency: 130 s, or the function's timeout where that is longer.
_PROVISIONED_INIT_TIMEOUT_S = 130.0
# Left alone this long, an environment is frozen: calls that follow each other closely pay nothing for it.
_FREEZE_AFTER_S = 0.01
_MEMORY_WATCH_S = 0.1
_READ_BYTES = 256 * 1024
# A function that writes faster than the pipe is emptied waits: 256 KiB each 5 ms.
_READ_PAUSE_S = 0.005


class Life(Enum):
    NEW = "new"
    READY = "ready"
    BUSY = "busy"
    BROKEN = "broken"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer."""

    message: str
    error_type: str
    status: str = "error"

    def payload(self) -> bytes:
        members = {"errorType": self.error_type, "errorMessage": self.message}
        return json.dumps(members, separators=(",", ":")).encode()


@dataclass(slots=True)
class _Outcome:
    """What ended a wait: the runtime is ready, has answered, failed, or is gone."""

    kind: str
    payload: bytes = b""
    error_type: str = ""
    stream: Streamed | None = None
    exit: Exit | None = None


class Environment:
    """Runs one invocation at a time."""

    def __init__(
        self,
        spec: FunctionSpec,
        sandbox: Sandbox,
        *,
        clock: Clock,
        on_log: LogSink,
        on_finished: FinishedSink | None,
        log_stream: str,
        serve_endpoint: Callable[[socket.socket], Callable[[], None]] | None,
        endpoint_port: int,
        on_broken: Callable[[Environment], None],
        hosted: Hosted,
        place: Place,
        ahead: bool,
    ) -> None:
        self.spec = spec
        self.hosted = hosted
        self._start = starting(spec, sandbox, hosted, place, ahead=ahead)
        self.life = Life.NEW
        self.sandbox = sandbox
        self.log_stream = log_stream
        self.last_used = clock.monotonic()
        self.max_memory_mb = 0
        # What only this environment takes, as last measured.
        self.own_memory_mb = 0.0
        # Of the runtime, for its API.
        self.state = RuntimeState.STARTED
        self.request_id = ""
        self._clock = clock
        self._on_log = on_log
        self._on_finished = on_finished
        self._invocation: Invocation | None = None
        self._on_broken = on_broken
        self._endpoint_port = endpoint_port
        self._loop = asyncio.get_running_loop()
        self._lines = PlatformLog(spec)
        self._parser = OutputParser()
        self._tail = Tail()
        self._waiting: RuntimeConnection | None = None
        self._event: Event | None = None
        self._outcome: asyncio.Future[_Outcome] | None = None
        self._freeze_timer: asyncio.TimerHandle | None = None
        self._overrun_timer: asyncio.TimerHandle | None = None
        self._memory_timer: asyncio.TimerHandle | None = None
        self._over_memory = False
        self._init_error: tuple[bytes, str] | None = None
        # How the Init that was made for the next invocation went.
        self._begun: tuple[Failure | None, float | None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.BaseTransport] = set()
        self._stop_endpoint: Callable[[], None] | None = None
        self._serve_endpoint = serve_endpoint
        self._tasks: set[asyncio.Task[Any]] = set()

    # life

    async def open(self) -> None:
        """Serve what is inside. The function does not run yet."""
        listener = self.sandbox.listeners[RUNTIME_API_PORT]
        self._server = await self._loop.create_server(lambda: RuntimeConnection(self), sock=listener)
        own = self.sandbox.listeners.get(self._endpoint_port)
        if own is not None and self._serve_endpoint is not None:
            self._stop_endpoint = self._serve_endpoint(own)
        self._loop.add_reader(self.sandbox.output, self._read_output)

    async def close(self) -> None:
        """End it, whatever it does."""
        if self.life is Life.CLOSED:
            return
        self.life = Life.CLOSED
        self._cancel_timers()
        if self._server is not None:
            self._server.close()
        if self._stop_endpoint is not None:
            self._stop_endpoint()
        await self.sandbox.close()
        if self._watcher is not None:
            self._watcher.cancel()
        self._drain_output()
        self._emit(self._parser.flush(self._now_ms()))
        self._loop.remove_reader(self.sandbox.output)
        os.close(self.sandbox.output)
        self._settle(_Outcome("exit", exit=Exit(signal=signal.SIGKILL)))

    async def initialize(self) -> bool:
        """Init ahead of any invocation (provisioned concurrency); False where it failed."""
        limit = max(_PROVISIONED_INIT_TIMEOUT_S, self.spec.timeout_s)
        failure, _took = await self._init(limit, phase="init", announced=True)
        return failure is None

    async def _init(self, limit_s: float, *, phase: str, announced: bool) -> tuple[Failure | None, float]:
        """Start the function's process and wait until its runtime is ready; why not, and milliseconds taken."""
        begin = _SYSTEM.monotonic()
        kind = self.spec.initialization_type
        if announced:
            self._write(self._lines.init_start(self._now_ms(), kind))
            if self.hosted.note:
                self._write(self._lines.note(self._now_ms(), self.hosted.note))
        self._init_error = None
        self.state = RuntimeState.STARTED
        failure: Failure | None = None
        credentials = await self.spec.credentials()
        try:
            self._over_memory = False
            if self._start.failure is None:
                self.sandbox.assign(
                    assignment(
                        self.spec,
                        self.sandbox,
                        self.hosted,
                        self._start,
                        credentials,
                        self.log_stream,
                        endpoint_port=self._endpoint_port,
                    )
                )
                self._watch_exit()
        except SandboxError as error:
            failure = Failure(f"RequestId: {self.request_id} Error: {error}", "Runtime.Unknown")
        if self._start.failure is not None:
            error_type, text = self._start.failure
            failure = Failure(f"RequestId: {self.request_id} Error: {text}", error_type)
        if failure is None:
            outcome = await self._wait(limit_s)
            if outcome.kind != "ready":
                failure = self._explain(outcome, limit_s)
        took = (_SYSTEM.monotonic() - begin) * 1000
        if failure is None:
            self.life = Life.READY
        else:
            self._break()
            if announced:
                self._drain_output()
                line = self._lines.init_report(
                    self._now_ms(), kind, took, phase=phase, status=failure.status, error_type=failure.error_type
                )
                self._write(line)
        return failure, took

    async def _restart(self) -> None:
        """From broken to new; what lies in /tmp stays. Raises `SandboxError`."""
        await self.sandbox.restart()
        self._waiting = None
        self._event = None
        self.state = RuntimeState.STARTED
        self.life = Life.NEW

    def _break(self) -> None:
        if self.life is not Life.CLOSED:
            self.life = Life.BROKEN
            self.sandbox.kill()

    def _watch_exit(self) -> None:
        async def watch() -> None:
            found = await self.sandbox.wait()
            if self.life is Life.CLOSED:
                return
            was_idle = self.life is Life.READY and self._outcome is None
            self.life = Life.BROKEN
            self._settle(_Outcome("exit", exit=found))
            if was_idle:
                self._on_broken(self)

        self._watcher = self._loop.create_task(watch())

    # one invocation

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        """Run it; the environment is ready again, or broken, when the result is there."""
        self._cancel_timers()
        self._tail.clear()
        self.request_id = invocation.request_id
        self._invocation = invocation
        init_ms: float | None = None
        must_init = self.life is not Life.READY or self._begun is not None
        if must_init:
            first, init_ms = self._begun or await self._init_first()
            self._begun = None
            self._tail.clear()
            must_init = first is not None
        self.life = Life.BUSY if not must_init else self.life
        begin = _SYSTEM.monotonic()
        self._write(self._lines.start(self._now_ms(), invocation.request_id))
        limit_s = self.spec.timeout_s
        if must_init:
            failure = await self._init_again(limit_s)
            if failure is not None:
                return self._finish(begin, None, failure)
            self.life = Life.BUSY
            limit_s -= _SYSTEM.monotonic() - begin
        self._deliver(invocation, limit_s)
        outcome = await self._wait(limit_s, watched=True)
        if outcome.kind == "exit" and self._event is not None:
            # It ended after its last answer and has not seen this event: another runtime takes it.
            self._event = None
            failure = await self._init_again(limit_s)
            if failure is not None:
                return self._finish(begin, None, failure)
            self.life = Life.BUSY
            self._deliver(invocation, limit_s)
            outcome = await self._wait(limit_s, watched=True)
        if outcome.kind == "stream" and outcome.stream is not None and not invocation.streaming:
            outcome = await self._gather(outcome.stream, limit_s - (_SYSTEM.monotonic() - begin))
        if outcome.kind == "stream" and outcome.stream is not None:
            return self._begin_stream(invocation, outcome.stream, begin, init_ms, limit_s)
        return self._conclude(outcome, begin, init_ms, limit_s)

    async def begin(self, invocation: Invocation) -> None:
        """Init for this invocation, which `invoke` then runs: a start of its own, so that starts can be counted."""
        self.request_id = invocation.request_id
        self._begun = await self._init_first()

    async def _init_first(self) -> tuple[Failure | None, float | None]:
        """Init with a time of its own: what went wrong, else the milliseconds it took."""
        try:
            if self.life is Life.BROKEN:
                await self._restart()
            failure, took = await self._init(INIT_TIMEOUT_S, phase="init", announced=True)
        except SandboxError as error:
            return Failure(f"RequestId: {self.request_id} Error: {error}", "Runtime.Unknown"), None
        return failure, took if failure is None else None

    async def _init_again(self, limit_s: float) -> Failure | None:
        try:
            await self._restart()
        except SandboxError as error:
            return Failure(f"RequestId: {self.request_id} Error: {error}", "Runtime.Unknown")
        failure, _took = await self._init(limit_s, phase="invoke", announced=False)
        return failure

    def _deliver(self, invocation: Invocation, limit_s: float) -> None:
        self.sandbox.thaw()
        event = Event(
            invocation.request_id,
            invocation.payload,
            event_headers(
                request_id=invocation.request_id,
                # The function compares it with the machine's own clock.
                deadline_ms=round((_SYSTEM.time() + limit_s) * 1000),
                invoked_arn=invocation.invoked_arn,
                trace_header=invocation.trace_header,
                client_context=invocation.client_context,
                cognito_identity=invocation.cognito_identity,
            ),
        )
        waiting, self._waiting = self._waiting, None
        self.state = RuntimeState.RUNNING
        if waiting is None or not waiting.send_event(event):
            # It has answered the last one and not asked for the next one yet.
            self.state = RuntimeState.RESPONSE_SENT
            self._event = event

    def _conclude(self, outcome: _Outcome, begin: float, init_ms: float | None, limit_s: float) -> InvokeResult:
        if outcome.kind == "answer":
            return self._finish(begin, init_ms, None, outcome.payload)
        if outcome.kind == "error":
            error_type = outcome.error_type or _error_type(outcome.payload)
            return self._finish(begin, init_ms, Failure("", error_type), outcome.payload)
        failure = self._explain(outcome, self.spec.timeout_s)
        self._break()
        return self._finish(begin, init_ms, failure)

    def _finish(
        self, begin: float, init_ms: float | None, failure: Failure | None, payload: bytes | None = None
    ) -> InvokeResult:
        """Write the last lines and give the result. A `payload` beside a failure is the runtime's own error."""
        duration_ms = (_SYSTEM.monotonic() - begin) * 1000
        if failure is not None and failure.status == "timeout":
            # It ran for its whole time, and no longer than that.
            duration_ms = self.spec.timeout_s * 1000
        self._drain_output()
        now_ms = self._now_ms()
        events = self._parser.flush(now_ms)
        lines = []
        if failure is not None and failure.status == "timeout":
            lines.append(self._lines.timed_out(now_ms, self.request_id, self.spec.timeout_s))
        elif failure is not None and payload is None and failure.message:
            lines.append(self._lines.failed(failure.message, failure.error_type))
        used = self._measure()
        total = billed(duration_ms, init_ms)
        report = Report(self.request_id, duration_ms, total, self.spec.memory_mb, used, init_ms)
        # An error that the function raised is no failure of the platform's: its line says nothing of it.
        if failure is not None and payload is None:
            report.status, report.error_type = failure.status, failure.error_type if failure.status == "error" else ""
        lines += [self._lines.end(self.request_id), self._lines.report(now_ms, report)]
        events += [LogEvent(now_ms, line) for line in lines if line]
        self._emit(events)
        self.last_used = self._clock.monotonic()
        if self._on_finished is not None and self._invocation is not None:
            done = Finished(
                spec=self.spec,
                invocation=self._invocation,
                ended=self._clock.time(),
                duration_ms=duration_ms,
                billed_ms=total,
                init_ms=init_ms,
                max_memory_mb=used,
                failed=failure is not None,
            )
            self._on_finished(done)
        if self.life is Life.BUSY:
            self.life = Life.READY
            self._rest()
        if payload is None:
            payload = failure.payload() if failure is not None else b""
        return InvokeResult(
            payload=payload,
            function_error="Unhandled" if failure is not None else None,
            log_tail=self._tail.bytes(),
            duration_ms=duration_ms,
            billed_ms=total,
            init_ms=init_ms,
            max_memory_mb=used,
        )

    async def _gather(self, stream: Streamed, left_s: float) -> _Outcome:
        """A streamed answer for a caller who takes it whole."""
        found = bytearray()

        async def take() -> None:
            while (chunk := await stream.chunks.get()) is not None:
                stream.waiting_bytes -= len(chunk)
                if len(found) <= PAYLOAD_BYTES_MAX:
                    found.extend(chunk)
                if stream.resume is not None:
                    stream.resume()

        taking = self._loop.create_task(take())
        try:
            outcome = await self._wait_for_end(stream, left_s)
            if outcome.kind != "stream_end":
                return outcome
            await taking
        finally:
            taking.cancel()
        if stream.error is not None:
            error_type, said = stream.error
            with contextlib.suppress(ValueError):
                return _Outcome("error", base64.b64decode(said, validate=True), error_type)
            return _Outcome("error", Failure(said, error_type).payload(), error_type)
        if len(found) > PAYLOAD_BYTES_MAX:
            return _Outcome("too_large")
        return _Outcome("answer", bytes(found))

    def _begin_stream(
        self, invocation: Invocation, stream: Streamed, begin: float, init_ms: float | None, limit_s: float
    ) -> InvokeResult:
        """Hand the stream out; the invocation ends when the runtime has written all of it."""
        left_s = limit_s - (_SYSTEM.monotonic() - begin)

        async def end() -> None:
            outcome = await self._wait_for_end(stream, left_s)
            if outcome.kind == "stream_end":
                self._finish(begin, init_ms, None, b"")
                return
            failure = self._explain(outcome, self.spec.timeout_s)
            stream.error = (failure.error_type, failure.message)
            stream.chunks.put_nowait(None)
            self._break()
            self._finish(begin, init_ms, failure)

        task = self._loop.create_task(end())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        reader = _StreamReader(stream, task)
        return InvokeResult(
            payload=b"",
            stream=reader,
            log_tail=self._tail.bytes(),
            init_ms=init_ms,
            max_memory_mb=self.max_memory_mb,
        )

    # what the runtime says

    def runtime_waits(self, send: RuntimeConnection) -> None:
        event, self._event = self._event, None
        if event is not None:
            self.state = RuntimeState.RUNNING
            if send.send_event(event):
                return
            self.state, self._event = RuntimeState.READY, event
            return
        self._waiting = send
        if self._outcome is not None and self.life in (Life.NEW, Life.BROKEN):
            self._settle(_Outcome("ready"))
        elif self.life is Life.READY:
            self._rest()

    def runtime_answered(self, payload: bytes, content_type: str) -> None:
        self._settle(_Outcome("answer", payload))

    def runtime_streams(self, answer: Streamed) -> None:
        self._settle(_Outcome("stream", stream=answer))

    def runtime_stream_ended(self, answer: Streamed) -> None:
        # It may end before anybody waits for that: whoever does looks at the stream first.
        self._settle(_Outcome("stream_end", stream=answer))

    def runtime_failed(self, payload: bytes, error_type: str) -> None:
        self._settle(_Outcome("error", payload, error_type))

    def runtime_too_large(self) -> None:
        self._settle(_Outcome("too_large"))

    def init_failed(self, payload: bytes, error_type: str) -> None:
        # The runtime ends after it has said so: then init is over.
        self._init_error = (payload, error_type)

    def _explain(self, outcome: _Outcome, limit_s: float) -> Failure:
        prefix = f"RequestId: {self.request_id} Error: "
        if outcome.kind == "timeout":
            return Failure(f"{prefix}Task timed out after {limit_s:.2f} seconds", "Sandbox.Timedout", "timeout")
        if outcome.kind == "too_large":
            text = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_BYTES_MAX} bytes)."
            return Failure(text, "Function.ResponseSizeTooLarge")
        if self._init_error is not None:
            payload, error_type = self._init_error
            return _InitFailure("", error_type or _error_type(payload), "error", payload)
        found = outcome.exit or Exit()
        if found.not_executed:
            # In the words of Go, which AWS's supervisor is written in.
            reason = os.strerror(found.not_executed)
            text = f"fork/exec {self._start.argv[0]}: {reason[:1].lower()}{reason[1:]}"
            return Failure(f"{prefix}{text}", "Runtime.InvalidEntrypoint")
        if self._over_memory or found.out_of_memory:
            return Failure(f"{prefix}Runtime exited with error: signal: killed", "Runtime.OutOfMemory")
        if found.signal is not None:
            name = _SIGNALS.get(found.signal, f"signal {found.signal}")
            return Failure(f"{prefix}Runtime exited with error: signal: {name}", "Runtime.ExitError")
        if found.status:
            return Failure(f"{prefix}Runtime exited with error: exit status {found.status}", "Runtime.ExitError")
        return Failure(f"{prefix}Runtime exited without providing a reason", "Runtime.ExitError")

    # waiting

    async def _wait(self, limit_s: float, *, watched: bool = False) -> _Outcome:
        self._outcome = self._loop.create_future()
        if self.life is Life.BROKEN and self._watcher is not None and self._watcher.done():
            self._settle(_Outcome("exit", exit=await self.sandbox.wait()))
        timer = self._loop.call_later(max(limit_s, 0.0), self._settle, _Outcome("timeout"))
        if watched:
            self._memory_timer = self._loop.call_later(_MEMORY_WATCH_S, self._watch_memory)
        try:
            return await self._outcome
        finally:
            self._outcome = None
            timer.cancel()
            if self._memory_timer is not None:
                self._memory_timer.cancel()
                self._memory_timer = None

    async def _wait_for_end(self, stream: Streamed, limit_s: float) -> _Outcome:
        return _Outcome("stream_end") if stream.complete else await self._wait(limit_s, watched=True)

    def _settle(self, outcome: _Outcome) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(outcome)

    def _watch_memory(self) -> None:
        if self._outcome is None or self._outcome.done():
            return
        if self.sandbox.memory_mb() > self.spec.memory_mb:
            self._over_memory = True
            self.sandbox.kill()
            return
        self._memory_timer = self._loop.call_later(_MEMORY_WATCH_S, self._watch_memory)

    def _rest(self) -> None:
        """Freeze soon, once the runtime has asked for the next event; one that never asks is ended."""
        self._cancel_timers()
        if self._waiting is not None:
            self._freeze_timer = self._loop.call_later(_FREEZE_AFTER_S, self._freeze)
        else:
            self._overrun_timer = self._loop.call_later(self.spec.timeout_s, self._overrun)

    def _freeze(self) -> None:
        if self.life is Life.READY and self._waiting is not None:
            self.sandbox.freeze()
            self.own_memory_mb = self.sandbox.memory_mb()

    def _overrun(self) -> None:
        if self.life is Life.READY and self._waiting is None:
            self._break()

    def _cancel_timers(self) -> None:
        for timer in (self._freeze_timer, self._overrun_timer):
            if timer is not None:
                timer.cancel()
        self._freeze_timer = self._overrun_timer = None

    # the log

    def _read_output(self) -> None:
        try:
            data = os.read(self.sandbox.output, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self.sandbox.output)
            return
        self._emit(self._parser.feed(data, self._now_ms()))
        if len(data) >= _READ_BYTES // 2:
            self._loop.remove_reader(self.sandbox.output)
            self._loop.call_later(_READ_PAUSE_S, self._read_on)

    def _read_on(self) -> None:
        if self.life is not Life.CLOSED:
            self._loop.add_reader(self.sandbox.output, self._read_output)

    def _drain_output(self) -> None:
        """Everything written so far, before a line of the platform's follows it."""
        with contextlib.suppress(OSError):
            for _ in range(8):
                data = os.read(self.sandbox.output, _READ_BYTES)
                if not data:
                    return
                self._emit(self._parser.feed(data, self._now_ms()))

    def _write(self, line: str) -> None:
        if line:
            self._emit([LogEvent(self._now_ms(), line)])

    def _emit(self, events: list[LogEvent]) -> None:
        if events:
            self._tail.add(events)
            self._on_log(self.spec.account, self.spec.region, self.spec.log_group, self.log_stream, events)

    def _now_ms(self) -> int:
        return int(self._clock.time() * 1000)

    def _measure(self) -> int:
        self.max_memory_mb = min(self.spec.memory_mb, max(self.max_memory_mb, round(self.sandbox.memory_peak_mb())))
        return self.max_memory_mb


@dataclass(frozen=True, slots=True)
class _InitFailure(Failure):
    """What the runtime itself said of a failed init."""

    said: bytes = b""

    def payload(self) -> bytes:
        return self.said


class _StreamReader:
    def __init__(self, stream: Streamed, ended: asyncio.Task[None]) -> None:
        self._stream = stream
        # Done when the runtime has written all of it and the last line is in the log.
        self.ended = ended
        self.content_type = stream.content_type
        self.error: tuple[str, str] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._stream
        try:
            while (chunk := await stream.chunks.get()) is not None:
                stream.waiting_bytes -= len(chunk)
                if stream.resume is not None:
                    stream.resume()
                yield chunk
            await asyncio.shield(self.ended)
            self.error = stream.error
        finally:
            stream.abandoned = True
            if stream.resume is not None:
                stream.resume()


# As Go's os/exec names them, which is what AWS shows.
_SIGNALS: dict[int, str] = {
    signal.SIGHUP: "hangup",
    signal.SIGINT: "interrupt",
    signal.SIGQUIT: "quit",
    signal.SIGILL: "illegal instruction",
    signal.SIGTRAP: "trace/breakpoint trap",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGKILL: "killed",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGPIPE: "broken pipe",
    signal.SIGTERM: "terminated",
    signal.SIGSYS: "bad system call",
}


def _error_type(payload: bytes) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(payload).get("errorType", ""))
    return ""
