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
from typing import Any

from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.errors import AWSError
from pileus.kernel.ids import Ids
from pileus.kernel.settings import Settings
from pileus.sandbox.contract import Backend, Sandbox, SandboxError
from pileus.services.lambda_.environment import Environment
from pileus.services.lambda_.execution import (
    FinishedSink,
    FunctionSpec,
    Invocation,
    InvokeResult,
    LogSink,
    NoCapacity,
    Snapshotted,
)
from pileus.services.lambda_.hosting.frame import Hosted
from pileus.services.lambda_.runs import Life
from pileus.services.lambda_.snapshots import Snapshot, Snapshots
from pileus.services.lambda_.templates import Templates
from pileus.services.lambda_.tracing import DatagramSink, Tracer
from pileus.services.lambda_.turns import Line, Turns, call_first

log = logging.getLogger("pileus.lambda")

_SYSTEM = SystemClock()

# What a new environment is expected to take before it has been measured, MiB.
_EXPECTED_MB = 8.0
_REAP_EVERY_S = 5.0

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
    turns: Line = field(default_factory=deque)
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
        self._on_log = on_log
        self._on_finished = on_finished
        self._on_datagram = on_datagram
        self._tracer = Tracer(ids, clock)
        self._endpoint_port = endpoint_port
        self._serve_endpoint = serve_endpoint
        self._budget_mb = settings.memory_budget_mb or _machine_memory_mb() * 0.8
        self._functions: dict[str, _Function] = {}
        self._templates = Templates(
            settings,
            clock,
            choose_backend,
            endpoint_port=endpoint_port,
            on_ahead=self._reap_later,
            on_fetched=self._drop_replaced,
        )
        self._snapshots = Snapshots(clock, self._to_be_snapshotted)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reaper: asyncio.TimerHandle | None = None
        # Environments that are being made and not in their function's list yet: they need room too.
        self._making = 0
        self._closed = False
        self._turns = Turns()

    # execution.Pool

    def prepare(self, runtime: str, memory_mb: int = 0) -> None:
        self._templates.prepare(runtime, memory_mb)

    async def settle(self, runtime: str) -> None:
        await self._templates.settle(runtime)

    async def supports(self, runtime: str) -> str | None:
        return await self._templates.supports(runtime)

    def runtimes(self) -> list[dict[str, str]]:
        """What the runtimes in use run on, for `pileus status`."""
        return self._templates.runtimes()

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
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._templates.close()

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
        except Exception as error:
            if not answer.done():
                answer.set_exception(error)
            elif not isinstance(error, AWSError | SandboxError):
                log.exception("an invocation failed that nobody waits for any more")
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
        """A new environment in its turn, or one that has become idle meanwhile."""
        if await self._turns.wait(function.turns) and (idle := self._take(function)) is not None:
            return idle
        with self._turns.starting():
            environment = await self._make(function)
            try:
                await environment.begin(invocation)
            except BaseException:
                await self._drop(function, environment)
                raise
            return environment

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
            call_first(function.turns)
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
        hosted, sandbox, ahead = await self._templates.shell(spec)
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
            hosted, sandbox, ahead = await self._templates.shell(spec)
        finally:
            self._making -= 1
        environment = self._environment(spec, sandbox, hosted, ahead=ahead)
        await environment.open()
        obstacle = self._templates.backend.snapshots
        if not hosted.language.clonable:
            obstacle = f"{hosted.language.title} programs cannot be cloned here"
        return environment, obstacle

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
            place=self._templates.place(private_root=sandbox.private_root),
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

    def _drop_replaced(self, runtime: str) -> None:
        """What runs on another version than it named, and need not any longer, is not used again."""
        for function in self._functions.values():
            if function.spec.runtime == runtime:
                for environment in [each for each in function.idle if each.hosted.note]:
                    function.idle.remove(environment)
                    self._later(self._replace(function, environment))

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
        self._templates.rest(limit)
        self._snapshots.rest(limit)
        if self._templates.awake or any(function.all for function in self._functions.values()):
            self._reap_later()

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _nothing() -> None:
    """Nobody wants to know."""


def _machine_memory_mb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 20)
