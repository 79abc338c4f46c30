"""One execution environment: a sandbox, its Runtime API, its extensions, its log, and its life.

    new ── init ──▶ ready ◀──▶ busy          (frozen while ready and left alone)
             │                   │
             └── failed ─────────┴─▶ broken ── restarted, /tmp kept ──▶ new

A clone of a snapshot is restored in the place of Init: its runtime has been initialized, and runs its hooks.

Init starts the extensions, then the runtime, and is done when all of them ask for their next event. It fails once
without consequence: it is then tried again as part of the invocation, with the function's own timeout, and what happens
then is the answer. After a failed invocation Init is part of the next one, too. An invocation is done when the runtime
has answered and all extensions ask for their next event ("Understanding the Lambda execution environment lifecycle").
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from enum import Enum
from typing import Any

from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.ids import Ids
from pileus.sandbox.contract import Assignment, Exit, NotClonable, Sandbox, SandboxError, Template
from pileus.services.lambda_ import container_credentials, debugging, errors, extensions, failures, telemetry
from pileus.services.lambda_.environment_log import EnvironmentLog, OutputReader
from pileus.services.lambda_.execution import (
    FinishedSink,
    FunctionSpec,
    Invocation,
    InvokeResult,
    LogEvent,
    LogSink,
)
from pileus.services.lambda_.extensions import Extension, Extensions, ExtensionState
from pileus.services.lambda_.failures import Failure, InitFailure
from pileus.services.lambda_.guests import Guests
from pileus.services.lambda_.hosting.frame import RUNTIME_API_PORT, XRAY_DAEMON_PORT, Hosted, Place
from pileus.services.lambda_.inside import assignment, restoration, starting
from pileus.services.lambda_.platform_logs import PlatformEvent, PlatformLog
from pileus.services.lambda_.runs import Conclusion, Gathering, Outcome, Restored, Run
from pileus.services.lambda_.runtime_api import (
    Event,
    OtherCall,
    RuntimeConnection,
    RuntimeState,
    Streamed,
    StreamReader,
)
from pileus.services.lambda_.telemetry import Telemetry
from pileus.services.lambda_.tracing import DaemonSocket, DatagramSink, Tracer

# Functions run in real time, whatever time it is in the cloud.
_SYSTEM = SystemClock()

INIT_TIMEOUT_S = 10.0
# Provisioned concurrency: 130 s, or the function's timeout where that is longer.
_PROVISIONED_INIT_TIMEOUT_S = 130.0
# Left alone this long, an environment is frozen: calls that follow each other closely pay nothing for it.
_FREEZE_AFTER_S = 0.04
_TIMERS_RESOLUTION_S = 0.001
_MEMORY_WATCH_S = 0.1
# The Shutdown phase: how long the runtime has, and all of it, with external extensions and with internal ones only.
# Without extensions there is none.
_SHUTDOWN_EXTERNAL_S = (0.3, 2.0)
_SHUTDOWN_INTERNAL_S = (0.5, 0.5)


class Life(Enum):
    NEW = "new"
    READY = "ready"
    BUSY = "busy"
    BROKEN = "broken"
    CLOSED = "closed"


class Environment:
    """Runs one invocation at a time."""

    def __init__(
        self,
        spec: FunctionSpec,
        sandbox: Sandbox,
        *,
        clock: Clock,
        ids: Ids,
        on_log: LogSink,
        on_finished: FinishedSink | None,
        on_datagram: DatagramSink | None,
        tracer: Tracer,
        log_stream: str,
        serve_endpoint: Callable[[socket.socket], Callable[[], None]] | None,
        endpoint_port: int,
        on_broken: Callable[[Environment], None],
        hosted: Hosted,
        place: Place,
        ahead: bool,
        token: str,
        restores_since: float | None = None,
        note: str = "",
    ) -> None:
        """`restores_since`: the sandbox is a clone of a snapshot, asked for then (`kernel.clock.SystemClock`)."""
        self.spec = spec
        # What gets credentials from the Runtime API's port.
        self.token = token
        self._restores_since = restores_since
        self._restored: Restored | None = None
        self._snapshot: Template | None = None
        self._obstacle = ""
        self._takes_snapshot = False
        self._notes = [each for each in (hosted.note, note) if each]
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
        self.extensions = Extensions(self, ids)
        self._clock = clock
        self._on_finished = on_finished
        self._on_datagram = on_datagram
        self._daemon: DaemonSocket | None = None
        self._on_broken = on_broken
        self._tracer = tracer
        self._endpoint_port = endpoint_port
        self._loop = asyncio.get_running_loop()
        self._telemetry = Telemetry(
            self.extensions, sandbox.new_socket, self._subscribed, json_logs=spec.log_format == "JSON"
        )
        self._log = EnvironmentLog(spec, log_stream, clock, on_log, self._telemetry)
        self._lines = PlatformLog(spec, log_stream)
        self._output = OutputReader(
            sandbox.output, self._log.now_ms, lambda events: self._log.output("function", events)
        )
        # An extension has failed.
        self._lost: Failure | None = None
        self._guests = Guests(spec, sandbox, self._log, self._guest_ended)
        self._registering = False
        self._waiting: RuntimeConnection | None = None
        self._event: Event | None = None
        self._outcome: asyncio.Future[Outcome] | None = None
        self._run: Run | None = None
        # When the last invocation, or the last word of the runtime's, was over; and the timer that looks at it. Timers
        # are not moved with every invocation: they look when it is time, and look again where it was not.
        self._rests_since = 0.0
        self._rest_timer: asyncio.TimerHandle | None = None
        self._overrun_timer: asyncio.TimerHandle | None = None
        self._over_memory = False
        self._init_error: tuple[bytes, str] | None = None
        # How the Init that was made for the next invocation went.
        self._begun: tuple[Failure | None, float | None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._shutdown: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._stop_endpoint: Callable[[], None] | None = None
        self._serve_endpoint = serve_endpoint
        self._tasks: set[asyncio.Task[Any]] = set()
        self._close_debugger: Callable[[], None] | None = None

    # life

    async def open(self) -> None:
        """Serve what is inside. The function does not run yet."""
        listener = self.sandbox.listeners[RUNTIME_API_PORT]
        self._server = await self._loop.create_server(lambda: RuntimeConnection(self), sock=listener)
        own = self.sandbox.listeners.get(self._endpoint_port)
        if own is not None and self._serve_endpoint is not None:
            self._stop_endpoint = self._serve_endpoint(own)
        daemon = self.sandbox.listeners.get(XRAY_DAEMON_PORT)
        if daemon is not None and self._on_datagram is not None:
            self._daemon = DaemonSocket(daemon, self.spec, self._on_datagram)
        self._output.start()
        if self.spec.debug_port:
            self._close_debugger = await debugging.open_port(self.sandbox, self.spec.debug_port)

    async def close(self) -> None:
        """End it, whatever it does; extensions are told before."""
        if self.life is Life.CLOSED:
            return
        if self._shutdown is None and self.extensions.engaged and self.life is not Life.BROKEN:
            self.life = Life.BROKEN
            self._shutdown = self._loop.create_task(self._shut_down("spindown"))
        if self._shutdown is not None:
            await asyncio.wait([self._shutdown])
        if self.life is Life.CLOSED:
            return  # by somebody who waited, too
        self.life = Life.CLOSED
        self._cancel_timers()
        if self._server is not None:
            self._server.close()
        if self._close_debugger is not None:
            self._close_debugger()
        if self._stop_endpoint is not None:
            self._stop_endpoint()
        if self._daemon is not None:
            self._daemon.stop()
        await self.sandbox.close()
        if self._watcher is not None:
            self._watcher.cancel()
        self._guests.dismiss()
        self._telemetry.close()
        self._output.close()
        self._settle(Outcome("exit", exit=Exit(signal=9)))

    async def initialize(self) -> bool:
        """Init ahead of any invocation (provisioned concurrency); False where it failed."""
        limit = max(_PROVISIONED_INIT_TIMEOUT_S, self.spec.timeout_s)
        failure, _took = await self._init(limit, phase="init")
        if failure is None:
            self._rest()
        return failure is None

    async def take_snapshot(self, obstacle: str) -> tuple[Failure | None, Template | str]:
        """Init at publishing: what went wrong, else what its clones are made from, or why it cannot be cloned.

        `obstacle`: why it need not be tried.
        """
        if not obstacle and self._start.argv:
            obstacle = "a program of the function's starts its runtime"
        limit = max(_PROVISIONED_INIT_TIMEOUT_S, self.spec.timeout_s)
        self._takes_snapshot = True
        failure, _took = await self._init(limit, phase="init", template=not obstacle)
        if failure is None and self._snapshot is None:
            return None, obstacle or self._obstacle
        if self._snapshot is not None and self.extensions.engaged:
            return None, "it has extensions"
        self.own_memory_mb = self.sandbox.memory_mb()
        return failure, self._snapshot or ""

    async def _wait_for_snapshot(self) -> None:
        try:
            self._snapshot = await self.sandbox.snapshot()
        except NotClonable as error:
            self._obstacle = str(error)
        except SandboxError:
            # It has ended, which is told by whoever watches that; or it says what makes no sense.
            if self._watcher is not None:
                await asyncio.wait([self._watcher], timeout=_SHUTDOWN_EXTERNAL_S[0])
            self._settle(Outcome("exit", exit=Exit()))
            return
        self._settle(Outcome("snapshot"))

    async def _init(self, limit_s: float, *, phase: str, template: bool = False) -> tuple[Failure | None, float]:
        """Start extensions and runtime, and wait until all of them are ready; why not, and milliseconds taken."""
        begin = _SYSTEM.monotonic()
        self._telemetry.begin()
        self.extensions.begin(self._guests.names)
        self._log.write([], self._lines.init_start(phase))
        for note in self._notes if phase == "init" else ():
            now_ms = self._log.now_ms()
            self._log.write([LogEvent(now_ms, self._lines.note(now_ms, note))])
        self._init_error = self._lost = None
        self.state = RuntimeState.STARTED
        credentials = await self.spec.credentials()
        failure = self._cannot_start()
        try:
            self._over_memory = False
            whole = assignment(
                self.spec,
                self.sandbox,
                self.hosted,
                self._start,
                credentials,
                self.log_stream,
                endpoint_port=self._endpoint_port,
                token=self.token,
                template=template,
            )
            if failure is None and self._guests.names:
                failure = await self._start_extensions(whole, limit_s)
            if failure is None:
                self.sandbox.assign(whole)
                self._watch_exit()
                if template:
                    self._later(self._wait_for_snapshot())
                outcome = await self._wait(limit_s - (_SYSTEM.monotonic() - begin))
                if outcome.kind not in ("ready", "snapshot"):
                    failure = self._explain(outcome, limit_s)
        except SandboxError as error:
            failure = Failure(f"RequestId: {self.request_id} Error: {error}", "Runtime.Unknown")
        took = (_SYSTEM.monotonic() - begin) * 1000
        self.extensions.open = False
        self._tell_of_init(phase, took, failure)
        if failure is None:
            self.life = Life.READY
        else:
            self._break(failure.reason)
        return failure, took

    async def _restore(self, limit_s: float) -> Failure | None:
        """Let a clone of a snapshot go on, and wait until it is ready; why not."""
        begin = _SYSTEM.monotonic()
        self.extensions.open = False
        self._log.write([], self._lines.restore_start())
        self._init_error = self._lost = None
        self._over_memory = False
        self.state = RuntimeState.RESTORING
        failure = None
        try:
            self.sandbox.assign(restoration(self.spec))
            self._watch_exit()
            outcome = await self._wait(limit_s)
            if outcome.kind != "ready":
                failure = self._explain(outcome, limit_s)
        except SandboxError as error:
            failure = Failure(f"RequestId: {self.request_id} Error: {error}", "Runtime.Unknown")
        now = _SYSTEM.monotonic()
        since, self._restores_since = self._restores_since or begin, 0.0
        self._restored = Restored((now - since) * 1000, math.ceil((now - begin) * 1000))
        status, error_type = ("success", "") if failure is None else (failure.status, failure.error_type)
        error_type = "" if status == "timeout" else error_type
        self._drain()
        done = self._lines.restore_runtime_done(status, error_type)
        self._log.write([], done, self._lines.restore_report(self._restored.whole_ms, status, error_type))
        if failure is None:
            self.life = Life.READY
        else:
            self._break(failure.reason)
        return failure

    def _cannot_start(self) -> Failure | None:
        found = self._start.failure
        return None if found is None else Failure(f"RequestId: {self.request_id} Error: {found[1]}", found[0])

    def _tell_of_init(self, phase: str, took_ms: float, failure: Failure | None) -> None:
        status, error_type = ("success", "") if failure is None else (failure.status, failure.error_type)
        error_type = "" if status == "timeout" else error_type
        if failure is not None:
            self._drain()
        told: list[PlatformEvent] = [self._lines.init_runtime_done(phase, status, error_type)]
        if phase == "init" or failure is not None:
            lines, every = self._lines, self.extensions.all
            told += [lines.extension(each.name, each.state.value, each.events, each.error_type) for each in every]
        told.append(self._lines.init_report(phase, took_ms, status, error_type))
        self._log.write([], *told)
        self._telemetry.end_init()

    async def _start_extensions(self, whole: Assignment, limit_s: float) -> Failure | None:
        """Extension init: every program in /opt/extensions is started, and has to register."""
        await self.sandbox.prepare(whole)
        self._registering = True
        try:
            self._guests.start(self.extensions, whole.environment)
            outcome = await self._wait(limit_s)
            return None if outcome.kind == "registered" else self._explain(outcome, limit_s)
        finally:
            self._registering = False

    def _guest_ended(self, extension: Extension, found: Exit) -> None:
        if self.life is Life.CLOSED or self._shutdown is not None or extension.state in _FAILED:
            return
        failure, error_type = failures.of_extension(self.request_id, extension.name, found)
        if self._over_memory:
            # All of it is ended together, and this one was noticed first.
            failure = failures.of_runtime(self.request_id, "", found, over_memory=True)
        extension.state = ExtensionState.LAUNCH_ERROR if found.not_executed else ExtensionState.EXITED
        extension.error_type, extension.waiting = error_type, None
        self._lose(failure)

    def _lose(self, failure: Failure) -> None:
        """An extension has failed: whatever is under way has, too."""
        if self.life is Life.READY and self._outcome is None:
            self._break("failure")
            self._on_broken(self)
        else:
            # Where nobody waits just now, the next wait ends with it.
            self._lost = failure
            self._settle(Outcome("extension", failure=failure))

    async def _restart(self) -> None:
        """From broken to new; what lies in /tmp stays. Raises `SandboxError`."""
        if self._shutdown is not None:
            await asyncio.wait([self._shutdown])
            self._shutdown = None
        await self.sandbox.restart()
        self._guests.dismiss()
        self._waiting = None
        self._event = None
        self.state = RuntimeState.STARTED
        self.life = Life.NEW

    def _break(self, reason: str) -> None:
        if self.life is Life.CLOSED:
            return
        self.life = Life.BROKEN
        self._cancel_timers()
        if not self.extensions.engaged:
            self.sandbox.kill()
        elif self._shutdown is None:
            self._shutdown = self._loop.create_task(self._shut_down(reason))

    async def _shut_down(self, reason: str) -> None:
        """The Shutdown phase: the runtime ends first, then the extensions; whoever does not is ended."""
        begin = self._loop.time()
        self.sandbox.thaw()
        self._telemetry.resume()
        runtime_s, whole_s = _SHUTDOWN_EXTERNAL_S if self._guests else _SHUTDOWN_INTERNAL_S
        if self._watcher is not None and not self._watcher.done():
            self.sandbox.terminate(first=True)
            done, _ = await asyncio.wait([self._watcher], timeout=runtime_s)
            if not done:
                self.sandbox.kill_first()
        self._drain()
        self._telemetry.flush()
        until = begin + whole_s
        deadline_ms = round((_SYSTEM.time() + until - self._loop.time()) * 1000)
        self.extensions.send("SHUTDOWN", {"shutdownReason": reason, "deadlineMs": deadline_ms})
        if leaving := self._guests.leaving():
            await asyncio.wait(leaving, timeout=max(0.0, until - self._loop.time()))
        self._drain()
        self.sandbox.kill()

    def _watch_exit(self) -> None:
        async def watch() -> None:
            found = await self.sandbox.wait()
            if self.life is Life.CLOSED:
                return
            was_idle = self.life is Life.READY and self._outcome is None
            if was_idle and self.extensions.engaged:
                self._break("failure")
            self.life = Life.BROKEN
            self._settle(Outcome("exit", exit=found))
            if was_idle:
                self._on_broken(self)

        self._watcher = self._loop.create_task(watch())

    # one invocation

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        """Run it; the environment is ready again, or broken, when the result, or its `rest`, is there."""
        self._cancel_overrun()
        self._log.tail.clear()
        self.request_id = invocation.request_id
        init_ms: float | None = None
        must_init = self.life is Life.BROKEN
        if self.life is Life.NEW or self._begun is not None:
            first, init_ms = self._begun or await self._init_first()
            self._begun = None
            self._log.tail.clear()
            must_init = first is not None
        if self._shutdown is not None:
            # What is left of the last failure is not this invocation's time.
            await asyncio.wait([self._shutdown])
        self.life = Life.BUSY if not must_init else self.life
        trace = self._tracer.begin(self.spec, invocation)
        now_ms = self._log.now_ms()
        run = self._run = Run(self.spec, invocation, trace, init_ms, _SYSTEM.monotonic(), now_ms, self._restored)
        self._restored = None
        self._log.write([], self._lines.start(invocation.request_id, trace))
        if must_init:
            failure = await self._init_again(run.left_s())
            if failure is not None:
                return self._finish(run, failure)
            self.life = Life.BUSY
        self._deliver(run)
        outcome = await self._wait(run.left_s(), watched=True)
        if outcome.kind == "exit" and self._event is not None:
            # It ended after its last answer and has not seen this event: another runtime takes it.
            self._event = None
            failure = await self._init_again(run.left_s())
            if failure is not None:
                return self._finish(run, failure)
            self.life = Life.BUSY
            self._deliver(run)
            outcome = await self._wait(run.left_s(), watched=True)
        if outcome.kind == "stream" and outcome.stream is not None and not invocation.streaming:
            outcome = await self._gather(outcome.stream, run.left_s())
        if outcome.kind == "stream" and outcome.stream is not None:
            return self._begin_stream(run, outcome.stream)
        if outcome.kind == "too_large":
            # The runtime has been told, and goes on.
            failure = self._explain(outcome, self.spec.timeout_s)
            outcome = Outcome("error", failure.payload(), failure.error_type)
        if outcome.kind not in ("answer", "error"):
            failure = self._explain(outcome, self.spec.timeout_s)
            self._break(failure.reason)
            return self._finish(run, failure)
        own = None
        if outcome.kind == "error":
            own = Failure("", outcome.error_type or failures.error_type_of(outcome.payload))
        run.begins_to_answer(len(outcome.payload))
        if not self.extensions.engaged:
            return self._finish(run, own, outcome.payload)
        rest = self._later(self._complete(run, own, outcome.payload))
        if invocation.wants_log:
            return await asyncio.shield(rest)
        return InvokeResult(
            payload=outcome.payload,
            function_error="Unhandled" if own is not None else None,
            init_ms=init_ms,
            max_memory_mb=self.max_memory_mb,
            rest=rest,
        )

    async def begin(self, invocation: Invocation) -> None:
        """Init for this invocation, which `invoke` then runs: a start of its own, so that starts can be counted."""
        self.request_id = invocation.request_id
        self._begun = await self._init_first()

    async def _init_first(self) -> tuple[Failure | None, float | None]:
        """Init with a time of its own: what went wrong, else the milliseconds it took.

        Raises `SnapStartException`, `SnapStartTimeoutException` where it is restored instead.
        """
        if self._restores_since is not None:
            lost = await self._restore(INIT_TIMEOUT_S)
            if lost is not None:
                raise errors.restore_timed_out() if lost.status == "timeout" else errors.not_restored()
            return None, None
        # Who debugs takes the time it takes.
        limit_s = self.spec.timeout_s if self.spec.debug_port else INIT_TIMEOUT_S
        failure, took = await self._init(limit_s, phase="init")
        return failure, took if failure is None else None

    async def _init_again(self, limit_s: float) -> Failure | None:
        try:
            await self._restart()
        except SandboxError as error:
            return Failure(f"RequestId: {self.request_id} Error: {error}", "Runtime.Unknown")
        if self._restores_since is not None:
            failure = await self._restore(limit_s)
            self._restored = None
            return failure
        failure, _took = await self._init(limit_s, phase="invoke")
        return failure

    def _deliver(self, run: Run) -> None:
        self.sandbox.thaw()
        # The function compares it with the machine's own clock.
        deadline_ms = round((_SYSTEM.time() + run.left_s()) * 1000)
        if self.extensions.engaged:
            self._telemetry.resume()
            self.extensions.send("INVOKE", run.extension_event(deadline_ms))
        told = run.event(deadline_ms)
        waiting, self._waiting = self._waiting, None
        self.state = RuntimeState.RUNNING
        if waiting is None or not waiting.send_event(told):
            # It has answered the last one and not asked for the next one yet.
            self.state = RuntimeState.RESPONSE_SENT
            self._event = told

    async def _complete(self, run: Run, own: Failure | None, payload: bytes | None) -> InvokeResult:
        """Wait for the runtime and all extensions to ask for their next event."""
        failure = None
        while failure is None and not self._at_rest():
            outcome = await self._wait(run.left_s(), watched=True)
            self._note_runtime_done(run, own)
            if outcome.kind == "exit":
                # The runtime has answered, and has ended by itself.
                self._break("failure")
                break
            if outcome.kind != "rested":
                failure = self._explain(outcome, self.spec.timeout_s)
                self._break(failure.reason)
        self._note_runtime_done(run, own)
        if failure is not None:
            return self._finish(run, failure)
        return self._finish(run, own, payload)

    def _at_rest(self) -> bool:
        return self._waiting is not None and self.extensions.all_ready

    def _note_runtime_done(self, run: Run, own: Failure | None) -> None:
        if run.runtime_done or (self._waiting is None and self.life is Life.BUSY):
            return
        self._drain()
        self._log.write([], run.tell_of_runtime(self._lines, own, self._log.now_ms()))

    def _finish(self, run: Run, failure: Failure | None, payload: bytes | None = None) -> InvokeResult:
        """Write the last lines and give the result. A `payload` beside a failure is the runtime's own error."""
        self._drain()
        end = Conclusion(run, failure, payload, max_memory_mb=self._measure(), extensions=self.extensions.engaged)
        told = end.told(self._lines, self._log.now_ms(), detailed=self._log.detailed)
        self._log.write(self._output.rest(), *told)
        self.last_used = self._clock.monotonic()
        self._run = None
        if self._on_finished is not None:
            self._on_finished(end.finished(self._clock.time()))
        if self.life is Life.BUSY:
            self.life = Life.READY
            self._rest()
        return end.result(self._log.tail.bytes())

    async def _gather(self, stream: Streamed, left_s: float) -> Outcome:
        """A streamed answer for a caller who takes it whole."""
        gathering = Gathering(stream)
        try:
            outcome = await self._wait_for_end(stream, left_s)
            return outcome if outcome.kind != "stream_end" else await gathering.outcome()
        finally:
            gathering.stop()

    def _begin_stream(self, run: Run, stream: Streamed) -> InvokeResult:
        """Hand the stream out; the invocation ends when the runtime has written all of it."""
        run.begins_to_answer(0)

        async def end() -> InvokeResult:
            outcome = await self._wait_for_end(stream, run.left_s())
            if outcome.kind == "stream_end":
                run.has_streamed(stream.total_bytes)
                own = Failure("", stream.error[0]) if stream.error is not None else None
                if self.extensions.engaged:
                    return await self._complete(run, own, b"")
                return self._finish(run, own, b"")
            failure = self._explain(outcome, self.spec.timeout_s)
            stream.error = (failure.error_type, failure.message)
            stream.chunks.put_nowait(None)
            self._break(failure.reason)
            return self._finish(run, failure)

        task = self._later(end())
        waits = run.invocation.wants_log or not self.extensions.engaged
        return InvokeResult(
            payload=b"",
            stream=StreamReader(stream, task if waits else None),
            init_ms=run.init_ms,
            max_memory_mb=self.max_memory_mb,
            rest=task,
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
        self.extensions_changed()

    def runtime_answered(self, payload: bytes, content_type: str) -> None:
        self._settle(Outcome("answer", payload))

    def runtime_streams(self, answer: Streamed) -> None:
        self._settle(Outcome("stream", stream=answer))

    def runtime_stream_ended(self, answer: Streamed) -> None:
        # It may end before anybody waits for that: whoever does looks at the stream first.
        self._settle(Outcome("stream_end", stream=answer))

    def runtime_failed(self, payload: bytes, error_type: str) -> None:
        self._settle(Outcome("error", payload, error_type))

    def runtime_too_large(self) -> None:
        self._settle(Outcome("too_large"))

    def init_failed(self, payload: bytes, error_type: str) -> None:
        # The runtime ends after it has said so: then init is over.
        self._init_error = (payload, error_type)

    def runtime_restores(self, send: RuntimeConnection) -> None:
        # Nothing is snapshotted: it goes on at once, where it is to go on.
        if self._takes_snapshot:
            self._settle(Outcome("snapshot"))
        else:
            send.send_restored()

    def restore_failed(self, payload: bytes, error_type: str) -> None:
        self._init_error = (payload, error_type)

    def other_call(self, path: str, call: OtherCall) -> None:
        if path.startswith(extensions.PREFIX):
            self.extensions.handle(call, path[len(extensions.PREFIX) :])
        elif path == container_credentials.PATH and self.spec.initialization_type == "snap-start":
            self._later(container_credentials.tell(call, self.spec, self.token))
        elif path == telemetry.TELEMETRY_PATH:
            self._telemetry.handle(call, "telemetry")
        elif path == telemetry.LOGS_PATH:
            self._telemetry.handle(call, "logs")
        else:
            call.answer(404, b'{"errorMessage":"404 page not found","errorType":"NotFound"}\n')

    # what extensions say

    def extensions_changed(self) -> None:
        """Somebody asks for the next event, or has registered: that may be what is waited for."""
        if self._outcome is None:
            if self.life is Life.READY:
                self._rest()
            return
        if self.life in (Life.NEW, Life.BROKEN):
            if self._at_rest():
                self._settle(Outcome("ready"))
            elif self._registering and self.extensions.all_registered:
                self._settle(Outcome("registered"))
        elif self._run is not None and self._run.answered:
            # The runtime's end is told of as soon as it comes; then the wait goes on.
            self._note_runtime_done(self._run, None)
            if self._at_rest():
                self._settle(Outcome("rested"))

    def extension_failed(self, extension: Extension, error_type: str) -> None:
        self._lose(Failure(f"RequestId: {self.request_id} Error: {extension.error_type}", error_type))

    def _subscribed(self, api: str, name: str, types: list[str]) -> None:
        self._log.write([], self._lines.subscription(api, name, types))

    def _explain(self, outcome: Outcome, limit_s: float) -> Failure:
        if outcome.failure is not None:
            return outcome.failure
        if outcome.kind == "timeout":
            return failures.timed_out(self.request_id, limit_s)
        if outcome.kind == "too_large":
            return failures.too_large()
        if self._init_error is not None:
            payload, error_type = self._init_error
            return InitFailure("", error_type or failures.error_type_of(payload), "error", payload)
        program = self._start.argv[0] if self._start.argv else ""
        return failures.of_runtime(self.request_id, program, outcome.exit or Exit(), over_memory=self._over_memory)

    # waiting

    async def _wait(self, limit_s: float, *, watched: bool = False) -> Outcome:
        self._outcome = self._loop.create_future()
        if self._lost is not None:
            self._settle(Outcome("extension", failure=self._lost))
        if self.life is Life.BROKEN and self._watcher is not None and self._watcher.done():
            self._settle(Outcome("exit", exit=await self.sandbox.wait()))
        until = self._loop.time() + limit_s
        first_s = min(limit_s, _MEMORY_WATCH_S) if watched else limit_s
        self._wait_timer = self._loop.call_later(max(first_s, 0.0), self._watch, until)
        try:
            return await self._outcome
        finally:
            self._outcome = None
            self._wait_timer.cancel()

    async def _wait_for_end(self, stream: Streamed, limit_s: float) -> Outcome:
        return Outcome("stream_end") if stream.complete else await self._wait(limit_s, watched=True)

    def _settle(self, outcome: Outcome) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(outcome)

    def _watch(self, until: float) -> None:
        """Of what is waited for: whether its time is over, or its memory used up."""
        if self._outcome is None or self._outcome.done():
            return
        left_s = until - self._loop.time()
        if left_s <= _TIMERS_RESOLUTION_S:
            self._settle(Outcome("timeout"))
            return
        if not self._over_memory and self.sandbox.memory_mb() > self.spec.memory_mb:
            self._over_memory = True
            self.sandbox.kill()
        self._wait_timer = self._loop.call_later(min(left_s, _MEMORY_WATCH_S), self._watch, until)

    def _rest(self) -> None:
        """Freeze soon, once everybody has asked for the next event; a runtime that never asks is ended."""
        self._rests_since = self._loop.time()
        self._cancel_overrun()
        if self._rest_timer is None:
            self._rest_timer = self._loop.call_later(_FREEZE_AFTER_S, self._settle_down)

    def _settle_down(self) -> None:
        self._rest_timer = None
        if self.life is not Life.READY:
            return
        rested_s = self._loop.time() - self._rests_since
        if rested_s < _FREEZE_AFTER_S - _TIMERS_RESOLUTION_S:
            self._rest_timer = self._loop.call_later(_FREEZE_AFTER_S - rested_s, self._settle_down)
        elif self._at_rest():
            self._telemetry.pause()
            self.sandbox.freeze()
            self.own_memory_mb = self.sandbox.memory_mb()
        elif self._overrun_timer is None:
            self._overrun_timer = self._loop.call_later(self.spec.timeout_s - rested_s, self._overrun)

    def _overrun(self) -> None:
        if self.life is Life.READY and not self._at_rest():
            self._break("timeout")

    def _cancel_timers(self) -> None:
        self._cancel_overrun()
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _cancel_overrun(self) -> None:
        if self._overrun_timer is not None:
            self._overrun_timer.cancel()
            self._overrun_timer = None

    def _later(self, work: Any) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # output

    def _drain(self) -> None:
        """Everything written so far, before a line of the platform's follows it."""
        self._guests.drain()
        self._output.drain()

    def _measure(self) -> int:
        self.max_memory_mb = min(self.spec.memory_mb, max(self.max_memory_mb, round(self.sandbox.memory_peak_mb())))
        return self.max_memory_mb


_FAILED = frozenset({ExtensionState.INIT_ERROR, ExtensionState.EXIT_ERROR})
