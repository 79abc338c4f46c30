"""One execution environment: a sandbox, its Runtime API, its extensions, its log, and its life.

    new ── init ──▶ ready ◀──▶ busy          (frozen while ready and left alone)
             │                   │
             └── failed ─────────┴─▶ broken ── restarted, /tmp kept ──▶ new

A clone of a snapshot is restored in the place of Init: its runtime has been initialized, and runs its hooks.

Init starts the extensions, then the runtime, and is done when all of them ask for their next event. It fails once
without consequence: it is then tried again as part of the invocation, with the function's own timeout, and what happens
then is the answer. After a failed invocation Init is part of the next one, too. An invocation is done when the runtime
has answered and all extensions ask for their next event ("Understanding the Lambda execution environment lifecycle").

Its phases are told by themselves: Init and restoration in `initializing`, an invocation in `running`, Shutdown and the
end in `ending`. Here is what they share: what is known of it, what those inside say, waiting for them, and rest.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from pileus.kernel.clock import Clock
from pileus.kernel.ids import Ids
from pileus.sandbox.contract import Exit, Sandbox, Template
from pileus.services.lambda_ import (
    container_credentials,
    debugging,
    ending,
    extensions,
    failures,
    initializing,
    running,
    telemetry,
)
from pileus.services.lambda_.environment_log import EnvironmentLog, OutputReader
from pileus.services.lambda_.execution import FinishedSink, FunctionSpec, Invocation, InvokeResult, LogSink
from pileus.services.lambda_.extensions import Extension, Extensions, ExtensionState
from pileus.services.lambda_.failures import Failure, InitFailure
from pileus.services.lambda_.guests import Guests
from pileus.services.lambda_.hosting.frame import RUNTIME_API_PORT, XRAY_DAEMON_PORT, Hosted, Place
from pileus.services.lambda_.inside import starting
from pileus.services.lambda_.platform_logs import PlatformLog
from pileus.services.lambda_.runs import Life, Outcome, Restored, Run
from pileus.services.lambda_.runtime_api import Event, OtherCall, RuntimeConnection, RuntimeState, Streamed
from pileus.services.lambda_.telemetry import Telemetry
from pileus.services.lambda_.tracing import DaemonSocket, DatagramSink, Tracer

# Left alone this long, an environment is frozen: calls that follow each other closely pay nothing for it.
_FREEZE_AFTER_S = 0.04
_TIMERS_RESOLUTION_S = 0.001
_MEMORY_WATCH_S = 0.1


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
        self.restores_since = restores_since
        self.restored: Restored | None = None
        self.snapshot: Template | None = None
        self.obstacle = ""
        self.takes_snapshot = False
        self.notes = [each for each in (hosted.note, note) if each]
        self.hosted = hosted
        self.start = starting(spec, sandbox, hosted, place, ahead=ahead)
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
        self.clock = clock
        self.on_finished = on_finished
        self._on_datagram = on_datagram
        self.daemon: DaemonSocket | None = None
        self._on_broken = on_broken
        self.tracer = tracer
        self.endpoint_port = endpoint_port
        self.loop = asyncio.get_running_loop()
        self.telemetry = Telemetry(
            self.extensions, sandbox.new_socket, self._subscribed, json_logs=spec.log_format == "JSON"
        )
        self.log = EnvironmentLog(spec, log_stream, clock, on_log, self.telemetry)
        self.lines = PlatformLog(spec, log_stream)
        self.output = OutputReader(sandbox.output, self.log.now_ms, lambda events: self.log.output("function", events))
        # An extension has failed.
        self.lost: Failure | None = None
        self.guests = Guests(spec, sandbox, self.log, self._guest_ended)
        self.registering = False
        self.waiting: RuntimeConnection | None = None
        self.event: Event | None = None
        self._outcome: asyncio.Future[Outcome] | None = None
        self.run: Run | None = None
        # When the last invocation, or the last word of the runtime's, was over; and the timer that looks at it. Timers
        # are not moved with every invocation: they look when it is time, and look again where it was not.
        self._rests_since = 0.0
        self._rest_timer: asyncio.TimerHandle | None = None
        self._overrun_timer: asyncio.TimerHandle | None = None
        # Of what is waited for: until when, and whether its memory is watched meanwhile; and the timer that looks.
        self._until = 0.0
        self._watched = False
        self._wait_timer: asyncio.TimerHandle | None = None
        self.over_memory = False
        self.init_error: tuple[bytes, str] | None = None
        # How the Init that was made for the next invocation went.
        self.begun: tuple[Failure | None, float | None] | None = None
        self.watcher: asyncio.Task[None] | None = None
        self.shutdown: asyncio.Task[None] | None = None
        self.server: asyncio.Server | None = None
        self.stop_endpoint: Callable[[], None] | None = None
        self._serve_endpoint = serve_endpoint
        self._tasks: set[asyncio.Task[Any]] = set()
        self.close_debugger: Callable[[], None] | None = None

    # life

    async def open(self) -> None:
        """Serve what is inside. The function does not run yet."""
        listener = self.sandbox.listeners[RUNTIME_API_PORT]
        self.server = await self.loop.create_server(lambda: RuntimeConnection(self), sock=listener)
        own = self.sandbox.listeners.get(self.endpoint_port)
        if own is not None and self._serve_endpoint is not None:
            self.stop_endpoint = self._serve_endpoint(own)
        daemon = self.sandbox.listeners.get(XRAY_DAEMON_PORT)
        if daemon is not None and self._on_datagram is not None:
            self.daemon = DaemonSocket(daemon, self.spec, self._on_datagram)
        self.output.start()
        if self.spec.debug_port:
            self.close_debugger = await debugging.open_port(self.sandbox, self.spec.debug_port)

    async def initialize(self) -> bool:
        """Init ahead of any invocation (provisioned concurrency); False where it failed."""
        return await initializing.ahead(self)

    async def take_snapshot(self, obstacle: str) -> tuple[Failure | None, Template | str]:
        """Init at publishing: what went wrong, else what its clones are made from, or why it cannot be cloned.

        `obstacle`: why it need not be tried.
        """
        return await initializing.snapshot(self, obstacle)

    async def begin(self, invocation: Invocation) -> None:
        """Init for this invocation, which `invoke` then runs: a start of its own, so that starts can be counted."""
        self.request_id = invocation.request_id
        self.begun = await initializing.first(self)

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        """Run it; the environment is ready again, or broken, when the result, or its `rest`, is there."""
        return await running.invoke(self, invocation)

    async def close(self) -> None:
        """End it, whatever it does; extensions are told before."""
        await ending.close(self)

    def _guest_ended(self, extension: Extension, found: Exit) -> None:
        if self.life is Life.CLOSED or self.shutdown is not None or extension.state in _FAILED:
            return
        failure, error_type = failures.of_extension(self.request_id, extension.name, found)
        if self.over_memory:
            # All of it is ended together, and this one was noticed first.
            failure = failures.of_runtime(self.request_id, "", found, over_memory=True)
        extension.state = ExtensionState.LAUNCH_ERROR if found.not_executed else ExtensionState.EXITED
        extension.error_type, extension.waiting = error_type, None
        self._lose(failure)

    def _lose(self, failure: Failure) -> None:
        """An extension has failed: whatever is under way has, too."""
        if self.life is Life.READY and self._outcome is None:
            self.break_off("failure")
            self._on_broken(self)
        else:
            # Where nobody waits just now, the next wait ends with it.
            self.lost = failure
            self.settle(Outcome("extension", failure=failure))

    def break_off(self, reason: str) -> None:
        if self.life is Life.CLOSED:
            return
        self.life = Life.BROKEN
        self.cancel_timers()
        if not self.extensions.engaged:
            self.sandbox.kill()
        elif self.shutdown is None:
            self.shutdown = self.loop.create_task(ending.shut_down(self, reason))

    def watch_exit(self) -> None:
        async def watch() -> None:
            found = await self.sandbox.wait()
            if self.life is Life.CLOSED:
                return
            was_idle = self.life is Life.READY and self._outcome is None
            if was_idle and self.extensions.engaged:
                self.break_off("failure")
            self.life = Life.BROKEN
            self.settle(Outcome("exit", exit=found))
            if was_idle:
                self._on_broken(self)

        self.watcher = self.loop.create_task(watch())

    def at_rest(self) -> bool:
        return self.waiting is not None and self.extensions.all_ready

    # what the runtime says

    def runtime_waits(self, send: RuntimeConnection) -> None:
        event, self.event = self.event, None
        if event is not None:
            self.state = RuntimeState.RUNNING
            if send.send_event(event):
                return
            self.state, self.event = RuntimeState.READY, event
            return
        self.waiting = send
        self.extensions_changed()

    def runtime_answered(self, payload: bytes, content_type: str) -> None:
        self.settle(Outcome("answer", payload))

    def runtime_streams(self, answer: Streamed) -> None:
        self.settle(Outcome("stream", stream=answer))

    def runtime_stream_ended(self, answer: Streamed) -> None:
        # It may end before anybody waits for that: whoever does looks at the stream first.
        self.settle(Outcome("stream_end", stream=answer))

    def runtime_failed(self, payload: bytes, error_type: str) -> None:
        self.settle(Outcome("error", payload, error_type))

    def runtime_too_large(self) -> None:
        self.settle(Outcome("too_large"))

    def init_failed(self, payload: bytes, error_type: str) -> None:
        # The runtime ends after it has said so: then init is over.
        self.init_error = (payload, error_type)

    def runtime_restores(self, send: RuntimeConnection) -> None:
        # Nothing is snapshotted: it goes on at once, where it is to go on.
        if self.takes_snapshot:
            self.settle(Outcome("snapshot"))
        else:
            send.send_restored()

    def restore_failed(self, payload: bytes, error_type: str) -> None:
        self.init_error = (payload, error_type)

    def other_call(self, path: str, call: OtherCall) -> None:
        if path.startswith(extensions.PREFIX):
            self.extensions.handle(call, path[len(extensions.PREFIX) :])
        elif path == container_credentials.PATH and self.spec.initialization_type == "snap-start":
            self.later(container_credentials.tell(call, self.spec, self.token))
        elif path == telemetry.TELEMETRY_PATH:
            self.telemetry.handle(call, "telemetry")
        elif path == telemetry.LOGS_PATH:
            self.telemetry.handle(call, "logs")
        else:
            call.answer(404, b'{"errorMessage":"404 page not found","errorType":"NotFound"}\n')

    # what extensions say

    def extensions_changed(self) -> None:
        """Somebody asks for the next event, or has registered: that may be what is waited for."""
        if self._outcome is None:
            if self.life is Life.READY:
                self.rest()
            return
        if self.life in (Life.NEW, Life.BROKEN):
            if self.at_rest():
                self.settle(Outcome("ready"))
            elif self.registering and self.extensions.all_registered:
                self.settle(Outcome("registered"))
        elif self.run is not None and self.run.answered:
            # The runtime's end is told of as soon as it comes; then the wait goes on.
            running.note_runtime_done(self, self.run, None)
            if self.at_rest():
                self.settle(Outcome("rested"))

    def extension_failed(self, extension: Extension, error_type: str) -> None:
        self._lose(Failure(f"RequestId: {self.request_id} Error: {extension.error_type}", error_type))

    def _subscribed(self, api: str, name: str, types: list[str]) -> None:
        self.log.write([], self.lines.subscription(api, name, types))

    def explain(self, outcome: Outcome, limit_s: float) -> Failure:
        if outcome.failure is not None:
            return outcome.failure
        if outcome.kind == "timeout":
            return failures.timed_out(self.request_id, limit_s)
        if outcome.kind == "too_large":
            return failures.too_large()
        if self.init_error is not None:
            payload, error_type = self.init_error
            return InitFailure("", error_type or failures.error_type_of(payload), "error", payload)
        program = self.start.argv[0] if self.start.argv else ""
        return failures.of_runtime(self.request_id, program, outcome.exit or Exit(), over_memory=self.over_memory)

    # waiting

    async def wait(self, limit_s: float, *, watched: bool = False) -> Outcome:
        self._outcome = self.loop.create_future()
        if self.lost is not None:
            self.settle(Outcome("extension", failure=self.lost))
        if self.life is Life.BROKEN and self.watcher is not None and self.watcher.done():
            self.settle(Outcome("exit", exit=await self.sandbox.wait()))
        self._until, self._watched = self.loop.time() + limit_s, watched
        self._look_again()
        try:
            return await self._outcome
        finally:
            self._outcome = None

    async def wait_for_end(self, stream: Streamed, limit_s: float) -> Outcome:
        return Outcome("stream_end") if stream.complete else await self.wait(limit_s, watched=True)

    def settle(self, outcome: Outcome) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(outcome)

    def _look_again(self) -> None:
        """Have `_watch` look when it is time; a timer that ends before is left to run."""
        when = min(self._until, self.loop.time() + _MEMORY_WATCH_S) if self._watched else self._until
        if self._wait_timer is not None:
            if self._wait_timer.when() <= when:
                return
            self._wait_timer.cancel()
        self._wait_timer = self.loop.call_at(when, self._watch)

    def _watch(self) -> None:
        """Of what is waited for: whether its time is over, or its memory used up."""
        self._wait_timer = None
        if self._outcome is None or self._outcome.done():
            return
        if self._until - self.loop.time() <= _TIMERS_RESOLUTION_S:
            self.settle(Outcome("timeout"))
            return
        if self._watched and not self.over_memory and self.sandbox.memory_mb() > self.spec.memory_mb:
            self.over_memory = True
            self.sandbox.kill()
        self._look_again()

    def rest(self) -> None:
        """Freeze soon, once everybody has asked for the next event; a runtime that never asks is ended."""
        self._rests_since = self.loop.time()
        self.cancel_overrun()
        if self._rest_timer is None:
            self._rest_timer = self.loop.call_later(_FREEZE_AFTER_S, self._settle_down)

    def _settle_down(self) -> None:
        self._rest_timer = None
        if self.life is not Life.READY:
            return
        rested_s = self.loop.time() - self._rests_since
        if rested_s < _FREEZE_AFTER_S - _TIMERS_RESOLUTION_S:
            self._rest_timer = self.loop.call_later(_FREEZE_AFTER_S - rested_s, self._settle_down)
        elif self.at_rest():
            self.telemetry.pause()
            self.sandbox.freeze()
            self.own_memory_mb = self.sandbox.memory_mb()
        elif self._overrun_timer is None:
            self._overrun_timer = self.loop.call_later(self.spec.timeout_s - rested_s, self._overrun)

    def _overrun(self) -> None:
        if self.life is Life.READY and not self.at_rest():
            self.break_off("timeout")

    def cancel_timers(self) -> None:
        self.cancel_overrun()
        if self._wait_timer is not None and self._outcome is None:
            self._wait_timer.cancel()
            self._wait_timer = None
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def cancel_overrun(self) -> None:
        if self._overrun_timer is not None:
            self._overrun_timer.cancel()
            self._overrun_timer = None

    def later(self, work: Any) -> asyncio.Task[Any]:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # output

    def drain(self) -> None:
        """Everything written so far, before a line of the platform's follows it."""
        self.guests.drain()
        self.output.drain()

    def measure(self) -> int:
        self.max_memory_mb = min(self.spec.memory_mb, max(self.max_memory_mb, round(self.sandbox.memory_peak_mb())))
        return self.max_memory_mb


_FAILED = frozenset({ExtensionState.INIT_ERROR, ExtensionState.EXIT_ERROR})
