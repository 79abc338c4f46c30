"""The node's execution environments: found, made, reused last-in first-out, frozen, reaped, evicted."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.errors import AWSError
from pileus.kernel.ids import Ids
from pileus.kernel.settings import Settings
from pileus.sandbox.contract import Backend, Sandbox, SandboxError, Template
from pileus.services.lambda_ import debugging, errors
from pileus.services.lambda_.environment import Environment, Life
from pileus.services.lambda_.execution import (
    FinishedSink,
    FunctionSpec,
    Invocation,
    InvokeResult,
    LogSink,
    NoCapacity,
    Snapshotted,
)
from pileus.services.lambda_.hosting.catalog import Catalog, Missing, runtimes_folder
from pileus.services.lambda_.hosting.frame import Hosted, Place
from pileus.services.lambda_.snapshots import Snapshot, Snapshots
from pileus.services.lambda_.tracing import DatagramSink, Tracer

log = logging.getLogger("pileus.lambda")

_SYSTEM = SystemClock()

# What a new environment is expected to take before it has been measured, MiB.
_EXPECTED_MB = 8.0
# Starts at the same time before others wait for their turn, and the pace at which these have it in any case.
_CORES = os.cpu_count() or 1
_STARTS = 4 * _CORES
_START_PACE_S = 0.1 / _CORES
_REAP_EVERY_S = 5.0
# How long a function stays pending for what its runtime needs, which then comes in the background.
_FETCH_PATIENCE_S = 10.0
# Templates with programs that wait for their function: of so many sizes of memory at a time.
_AHEAD_KEPT = 3

# Serves the node's endpoint on a socket inside an environment; what it returns stops that.
ServeEndpoint = Callable[[socket.socket], Callable[[], None]]


@dataclass(slots=True)
class _Function:
    """The environments of one fingerprint."""

    spec: FunctionSpec
    # The one used last is the last.
    idle: list[Environment] = field(default_factory=list)
    all: set[Environment] = field(default_factory=set)
    # Of all: those that were restored, each with what it is a clone of.
    snapshots: dict[Environment, Snapshot] = field(default_factory=dict)
    # Of all: those that are being reaped, and so count no more.
    leaving: set[Environment] = field(default_factory=set)
    # Provisioned: as many are kept, and made by one task at a time.
    wanted: int = 0
    provisioning: asyncio.Lock = field(default_factory=asyncio.Lock)
    retired: bool = False
    # Invocations that wait for their turn to start an environment, or for one that becomes idle.
    turns: deque[asyncio.Future[None]] = field(default_factory=deque)
    empty: asyncio.Event = field(default_factory=asyncio.Event)


class EnvironmentPool:
    """See `execution.Pool`."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        ids: Ids,
        choose_backend: Callable[[], Awaitable[Backend]],
        *,
        on_log: LogSink,
        on_finished: FinishedSink | None = None,
        on_datagram: DatagramSink | None = None,
        endpoint_port: int,
        serve_endpoint: ServeEndpoint | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._ids = ids
        # Chosen, with what it costs to probe it, when there is something to run.
        self._choose_backend = choose_backend
        self._backend: asyncio.Task[Backend] | None = None
        self._on_log = on_log
        self._on_finished = on_finished
        self._on_datagram = on_datagram
        self._tracer = Tracer(ids, clock)
        self._endpoint_port = endpoint_port
        self._serve_endpoint = serve_endpoint
        self._budget_mb = settings.memory_budget_mb or _machine_memory_mb() * 0.8
        self._functions: dict[str, _Function] = {}
        self.catalog = Catalog(runtimes_folder(settings), strict=settings.strict_runtimes)
        self._templates: dict[TemplateKey, asyncio.Task[Template]] = {}
        # When each was last wanted: those nobody has asked for keep no shells ready.
        self._wanted_at: dict[TemplateKey, float] = {}
        self._resting: set[TemplateKey] = set()
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._snapshots = Snapshots(clock, self._to_be_snapshotted)
        # What the runtimes that were asked for so far run on.
        self._hosted: dict[str, Hosted] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reaper: asyncio.TimerHandle | None = None
        # Environments that are being made and not in their function's list yet: they need room too.
        self._making = 0
        self._closed = False
        # Starts under way, those that wait for their turn, and when the next of these has it in any case.
        self._starting = 0
        self._turns: deque[asyncio.Future[None]] = deque()
        self._next_turn = 0.0

    # execution.Pool

    def prepare(self, runtime: str, memory_mb: int = 0) -> None:
        async def prepare() -> None:
            hosted = await self.catalog.choose(runtime)
            if isinstance(hosted, Hosted) and not self._closed:
                self._hosted[runtime] = hosted
                self._fetch_what_is_wanting(runtime)
                # Whoever needs it meets the error itself, if there is one.
                await asyncio.wait([self._template(hosted, memory_mb if hosted.language.ahead else 0)])

        if not self._closed:
            self._later(prepare())

    async def settle(self, runtime: str) -> None:
        await self.catalog.choose(runtime)
        self._fetch_what_is_wanting(runtime)
        fetching = self._fetching.get(runtime)
        if fetching is not None and not fetching.done():
            await asyncio.wait([fetching], timeout=_FETCH_PATIENCE_S)

    async def supports(self, runtime: str) -> str | None:
        found = await self.catalog.choose(runtime)
        return found.reason if isinstance(found, Missing) else None

    def runtimes(self) -> list[dict[str, str]]:
        """What the runtimes in use run on, for `pileus status`."""
        return [
            {
                "runtime": runtime,
                "runs_on": f"{hosted.language.title} {hosted.interpreter.full}" if hosted.interpreter else "",
                "note": hosted.note,
            }
            for runtime, hosted in sorted(self._hosted.items())
        ]

    async def invoke(
        self, spec: FunctionSpec, invocation: Invocation, ended: Callable[[], None] | None = None
    ) -> InvokeResult:
        loop = asyncio.get_running_loop()
        # The function goes on when its caller, who waits for this alone, goes away.
        answer: asyncio.Future[InvokeResult] = loop.create_future()
        task = loop.create_task(self._run(spec, invocation, answer, ended or _nothing))
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            # Where it was cancelled before it began.
            answer.cancel()

        task.add_done_callback(done)
        return await answer

    async def provision(self, spec: FunctionSpec, count: int) -> int:
        function = self._function(spec)
        function.wanted = count
        async with function.provisioning:
            while len(function.all) < function.wanted and not function.retired and not self._closed:
                environment = await self._make(function)
                try:
                    kept = await environment.initialize() and not function.retired and not self._closed
                except BaseException:
                    await self._drop(function, environment)
                    raise
                if not kept:
                    await self._drop(function, environment)
                    break
                function.idle.insert(0, environment)
        return self.ready(spec.fingerprint)

    def ready(self, fingerprint: str) -> int:
        function = self._functions.get(fingerprint)
        return sum(each.life in (Life.READY, Life.BUSY) for each in function.all) if function else 0

    def provisioned(self) -> list[tuple[FunctionSpec, int]]:
        return [(function.spec, function.wanted) for function in self._functions.values() if function.wanted]

    async def snapshot(self, spec: FunctionSpec) -> Snapshotted:
        return await self._snapshots.publish(spec)

    def snapshots(self) -> list[dict[str, object]]:
        """The snapshots there are, for `pileus status`."""
        return self._snapshots.shown()

    async def retire(self, fingerprint: str) -> None:
        function = self._functions.get(fingerprint)
        if function is not None:
            function.retired = True
            for environment in list(function.idle):
                await self._drop(function, environment)
            if function.all:
                await function.empty.wait()
            self._functions.pop(fingerprint, None)
        await self._snapshots.drop(fingerprint)

    async def close(self) -> None:
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
        every = [(function, each) for function in self._functions.values() for each in function.all]
        await asyncio.gather(*(self._drop(function, each) for function, each in every))
        await self._snapshots.close()
        for task in list(self._tasks):
            task.cancel()
        for template in self._templates.values():
            template.cancel()
        backends = [self._backend] if self._backend is not None else []
        await asyncio.gather(*self._tasks, *self._templates.values(), *backends, return_exceptions=True)
        self._templates.clear()
        if self._backend is not None and not self._backend.cancelled() and self._backend.exception() is None:
            await self._backend.result().close()

    # within

    async def _run(
        self,
        spec: FunctionSpec,
        invocation: Invocation,
        answer: asyncio.Future[InvokeResult],
        ended: Callable[[], None],
    ) -> None:
        rest = None
        try:
            result = await self._invoke(spec, invocation)
            rest = result.rest
            if not answer.done():
                answer.set_result(result)
        except Exception as error:  # noqa: BLE001 -- whoever asked gets it
            if not answer.done():
                answer.set_exception(error)
        finally:
            if rest is None:
                ended()
            else:
                rest.add_done_callback(lambda _: ended())

    async def _invoke(self, spec: FunctionSpec, invocation: Invocation) -> InvokeResult:
        function = self._function(spec)
        environment = self._take(function) or await self._start(function, invocation)
        try:
            result = await environment.invoke(invocation)
        except BaseException:
            await self._drop(function, environment)
            raise
        if result.rest is not None:
            # It is busy until the stream, or the last extension, has ended.
            self._after(function, environment, result.rest)
        else:
            self._give_back(function, environment)
        return result

    def _take(self, function: _Function) -> Environment | None:
        """The one that was used last, of those that are idle and alive."""
        while function.idle:
            environment = function.idle.pop()
            if not environment.sandbox.doomed:
                return environment
            self._later(self._replace(function, environment))
        return None

    async def _start(self, function: _Function, invocation: Invocation) -> Environment:
        """A new environment in its turn, or one that has become idle meanwhile.

        A backlog that arrives at once (after a restart) would start as many as there are events, and all of them would
        crawl until they time out. A start's turn comes when few others are under way, and in any case at a steady pace:
        functions whose Init waits for something hold nobody up for long.
        """
        if self._starting >= _STARTS:
            loop = asyncio.get_running_loop()
            turn = loop.create_future()
            self._next_turn = max(self._next_turn, loop.time()) + _START_PACE_S
            timer = loop.call_at(self._next_turn, _wake, turn)
            self._turns.append(turn)
            function.turns.append(turn)
            await turn
            timer.cancel()
            if (environment := self._take(function)) is not None:
                return environment
        self._starting += 1
        try:
            environment = await self._make(function)
            try:
                await environment.begin(invocation)
            except BaseException:
                await self._drop(function, environment)
                raise
            return environment
        finally:
            self._starting -= 1
            _wake_first(self._turns)

    def _after(self, function: _Function, environment: Environment, rest: asyncio.Future[None]) -> None:
        async def give_back() -> None:
            await asyncio.wait([rest])
            self._give_back(function, environment)

        task = asyncio.get_running_loop().create_task(give_back())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _give_back(self, function: _Function, environment: Environment) -> None:
        if function.retired or self._closed or environment.life is Life.CLOSED:
            self._later(self._drop(function, environment))
        elif environment.life is Life.BROKEN and function.wanted:
            self._later(self._replace(function, environment))
        else:
            function.idle.append(environment)
            _wake_first(function.turns)
            self._reap_later()

    def _function(self, spec: FunctionSpec) -> _Function:
        function = self._functions.get(spec.fingerprint)
        if function is None:
            function = self._functions[spec.fingerprint] = _Function(spec)
        return function

    async def _make(self, function: _Function) -> Environment:
        await self._make_room()
        self._making += 1
        try:
            environment = await self._make_new(function)
            function.all.add(environment)
        finally:
            self._making -= 1
        function.empty.clear()
        await environment.open()
        return environment

    async def _make_new(self, function: _Function) -> Environment:
        spec, note = function.spec, ""
        if spec.initialization_type == "snap-start" and not spec.debug_port:
            for last in (False, True):
                snapshot = await self._snapshots.of(spec)
                if snapshot.template is None:
                    break
                try:
                    return await self._restored(function, snapshot)
                except SandboxError:
                    # One that died, or does not answer, is made anew once.
                    if last or (snapshot.used and snapshot.template.alive):
                        raise
                    await self._snapshots.drop(spec.fingerprint)
            note = f"SnapStart: this environment is initialized, not restored from a snapshot: {snapshot.obstacle}"
        hosted, sandbox, ahead = await self._shell(spec)
        return self._environment(spec, sandbox, hosted, ahead=ahead, note=note, function=function)

    async def _restored(self, function: _Function, snapshot: Snapshot) -> Environment:
        """A clone of a snapshot."""
        since = _SYSTEM.monotonic()
        assert snapshot.template is not None
        assert snapshot.environment is not None
        snapshot.used += 1
        try:
            sandbox = await snapshot.template.shell()
        except BaseException:
            snapshot.used -= 1
            raise
        made = self._environment(
            function.spec,
            sandbox,
            snapshot.environment.hosted,
            ahead=False,
            function=function,
            token=snapshot.token,
            restores_since=since,
        )
        function.snapshots[made] = snapshot
        return made

    async def _to_be_snapshotted(self, spec: FunctionSpec) -> tuple[Environment, str]:
        """An environment whose Init is for others, and why there can be no clones of it, where that is known before."""
        await self._make_room()
        self._making += 1
        try:
            hosted, sandbox, ahead = await self._shell(spec)
        finally:
            self._making -= 1
        environment = self._environment(spec, sandbox, hosted, ahead=ahead)
        await environment.open()
        assert self._backend is not None
        obstacle = self._backend.result().snapshots
        if not hosted.language.clonable:
            obstacle = f"{hosted.language.title} programs cannot be cloned here"
        return environment, obstacle

    async def _shell(self, spec: FunctionSpec) -> tuple[Hosted, Sandbox, bool]:
        """What the version runs on, a shell for it, and whether its program is there already."""
        hosted = await self.catalog.choose(spec.runtime)
        if isinstance(hosted, Missing):
            raise errors.runtime_not_here(spec.runtime, hosted.reason)
        self._hosted[spec.runtime] = hosted
        self._fetch_what_is_wanting(spec.runtime)
        memory_mb = spec.memory_mb if _starts_ahead(hosted, spec) else 0
        if spec.debug_port:
            await debugging.prepare(hosted, self.catalog.folder)
        try:
            template = await asyncio.shield(self._template(hosted, memory_mb))
            sandbox = await template.shell()
        except SandboxError:
            # A template that died is made anew once.
            self._templates.pop(_template_key(hosted, memory_mb), None)
            template = await asyncio.shield(self._template(hosted, memory_mb))
            sandbox = await template.shell()
        return hosted, sandbox, bool(template.spec.ahead)

    def _environment(
        self,
        spec: FunctionSpec,
        sandbox: Sandbox,
        hosted: Hosted,
        *,
        ahead: bool,
        function: _Function | None = None,
        note: str = "",
        token: str = "",
        restores_since: float | None = None,
    ) -> Environment:
        day = time.strftime("%Y/%m/%d", time.gmtime(self._clock.time()))
        return Environment(
            spec,
            sandbox,
            clock=self._clock,
            on_log=self._on_log,
            ids=self._ids,
            on_finished=self._on_finished,
            on_datagram=self._on_datagram,
            tracer=self._tracer,
            log_stream=f"{day}/[{spec.version}]{self._ids.hex(32)}",
            serve_endpoint=self._serve_endpoint,
            endpoint_port=self._endpoint_port,
            on_broken=lambda broken: self._lost(function, broken),
            hosted=hosted,
            place=self._place(private_root=sandbox.private_root),
            ahead=ahead,
            token=token or self._ids.hex(32),
            restores_since=restores_since,
            note=note,
        )

    def _lost(self, function: _Function | None, environment: Environment) -> None:
        """It ended by itself while it was idle. (Of a snapshot that has ended, nobody gets a clone.)"""
        if function is not None and environment in function.idle:
            # At once, so that nobody takes it before it is dropped.
            function.idle.remove(environment)
            self._later(self._replace(function, environment))

    async def _replace(self, function: _Function, environment: Environment) -> None:
        """Drop it, and make another one where it was provisioned."""
        await self._drop(function, environment)
        if function.wanted and not function.retired and not self._closed:
            try:
                await self.provision(function.spec, function.wanted)
            except (AWSError, SandboxError) as error:
                # The next invocation makes one on demand.
                details = {"function": function.spec.arn, "why": str(error)}
                log.warning("a provisioned environment is not replaced", extra={"details": details})

    async def _drop(self, function: _Function, environment: Environment) -> None:
        if environment in function.idle:
            function.idle.remove(environment)
        await environment.close()
        snapshot = function.snapshots.pop(environment, None)
        if snapshot is not None:
            snapshot.used -= 1
        function.all.discard(environment)
        function.leaving.discard(environment)
        if not function.all:
            function.empty.set()

    def _template(self, hosted: Hosted, memory_mb: int) -> asyncio.Task[Template]:
        key = _template_key(hosted, memory_mb)
        found = self._templates.get(key)
        self._wanted_at[key] = self._clock.monotonic()
        if found is not None and found.done():
            failed = found.cancelled() or found.exception() is not None
            if failed or not found.result().alive:
                found = None
            elif key in self._resting:
                self._resting.discard(key)
                found.result().keep_ready(hosted.language.ready_shells)
        if found is None:
            start = self._start_template(hosted, memory_mb)
            found = self._templates[key] = asyncio.get_running_loop().create_task(start)
        if key.memory_mb:
            self._rest_others()
            self._reap_later()
        return found

    def _rest_others(self, limit: float = 0.0) -> None:
        """Programs that wait for their function take memory: none but those asked for last keep any ready."""
        ahead = [key for key in self._templates if key.memory_mb and key not in self._resting]
        ahead.sort(key=lambda key: self._wanted_at[key], reverse=True)
        for place, key in enumerate(ahead):
            template = self._templates[key]
            old = place >= _AHEAD_KEPT or self._wanted_at[key] < limit
            if old and template.done() and not template.cancelled() and template.exception() is None:
                self._resting.add(key)
                template.result().keep_ready(0)

    async def _start_template(self, hosted: Hosted, memory_mb: int) -> Template:
        if self._backend is None or (self._backend.done() and self._backend.exception() is not None):
            self._backend = asyncio.get_running_loop().create_task(self._choose())
        backend = await asyncio.shield(self._backend)
        place = self._place(private_root=backend.private_root)
        await hosted.language.make(hosted, place)
        template = await backend.template(hosted.language.template(hosted, place, memory_mb))
        template.keep_ready(hosted.language.ready_shells)
        return template

    def _place(self, *, private_root: bool) -> Place:
        return Place(endpoint_port=self._endpoint_port, private_root=private_root, folder=self.catalog.folder)

    def _fetch_what_is_wanting(self, runtime: str) -> None:
        """Bring, in the background, what the very version of a runtime needs before functions can have it."""
        wanting = self.catalog.wanting(runtime)
        if wanting is None or runtime in self._fetching:
            return
        language, interpreter = wanting
        assert language.fetch is not None
        fetching = language.fetch(interpreter, self.catalog.folder)

        async def fetch() -> None:
            try:
                await fetching
            except SandboxError as error:
                # Not tried again by this process: the network is not there, or the index has it not.
                log.warning(
                    "a runtime cannot be made ready", extra={"details": {"runtime": runtime, "why": str(error)}}
                )
                return
            self._drop_replaced(runtime)

        task = self._fetching[runtime] = asyncio.get_running_loop().create_task(fetch())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _drop_replaced(self, runtime: str) -> None:
        """What runs on another version than it named, and need not any longer, is not used again."""
        for function in self._functions.values():
            if function.spec.runtime == runtime:
                for environment in [each for each in function.idle if each.hosted.note]:
                    function.idle.remove(environment)
                    self._later(self._replace(function, environment))

    async def _choose(self) -> Backend:
        backend = await self._choose_backend()
        probe = await backend.probe()
        for missing in probe.reduced:
            log.warning("isolation is reduced", extra={"details": {"backend": probe.backend, "missing": missing}})
        return backend

    # memory

    async def _make_room(self) -> None:
        """Evict the environments that have been idle longest, then snapshots, until another one fits.

        Raises `NoCapacity`.
        """
        while self._used_mb() + _EXPECTED_MB > self._budget_mb:
            coldest = min(
                ((each.last_used, index, function, each) for index, function, each in self._idle()),
                default=None,
                key=lambda found: found[:2],
            )
            if coldest is not None:
                await self._drop(coldest[2], coldest[3])
            elif not await self._snapshots.evict():
                raise NoCapacity

    def _idle(self) -> list[tuple[int, _Function, Environment]]:
        pairs = [(function, each) for function in self._functions.values() for each in function.idle]
        return [(index, function, each) for index, (function, each) in enumerate(pairs)]

    def _used_mb(self) -> float:
        every = (each for function in self._functions.values() for each in function.all)
        kept = self._making * _EXPECTED_MB + self._snapshots.used_mb()
        return kept + sum(max(each.own_memory_mb, _EXPECTED_MB) for each in every)

    def _reap_later(self) -> None:
        if self._reaper is None and not self._closed:
            self._reaper = asyncio.get_running_loop().call_later(_REAP_EVERY_S, self._reap)

    def _reap(self) -> None:
        self._reaper = None
        limit = self._clock.monotonic() - self._settings.idle_timeout_s
        for function in self._functions.values():
            spare = len(function.all) - len(function.leaving) - function.wanted
            cold = [each for each in function.idle if each.last_used < limit]
            for each in cold[: max(spare, 0)]:
                # At once, so that nobody takes it before it is dropped.
                function.idle.remove(each)
                function.leaving.add(each)
                self._later(self._drop(function, each))
        self._rest_others(limit)
        self._snapshots.rest(limit)
        awake = any(key.memory_mb and key not in self._resting for key in self._templates)
        if awake or any(function.all for function in self._functions.values()):
            self._reap_later()

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class TemplateKey(NamedTuple):
    language: str
    interpreter: str
    # Of the functions for which a program runs ahead; 0: none does.
    memory_mb: int


def _template_key(hosted: Hosted, memory_mb: int) -> TemplateKey:
    program = str(hosted.interpreter.program) if hosted.interpreter else ""
    return TemplateKey(hosted.language.name, program, memory_mb)


def _starts_ahead(hosted: Hosted, spec: FunctionSpec) -> bool:
    return (
        hosted.language.ahead
        and not spec.debug_port
        and not any(name.startswith(hosted.language.read_at_start) for name in spec.environment)
    )


def _nothing() -> None:
    """Nobody wants to know."""


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _wake_first(turns: deque[asyncio.Future[None]]) -> None:
    """The first that still waits."""
    while turns:
        turn = turns.popleft()
        if not turn.done():
            turn.set_result(None)
            return


def _machine_memory_mb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 20)
