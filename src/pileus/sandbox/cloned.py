"""Sandboxes that are clones of a template, as the server sees them: the same on every backend."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pileus.sandbox import processes
from pileus.sandbox.contract import Assignment, Exit, NotClonable, Program, SandboxError, Template
from pileus.sandbox.inside.messages import send
from pileus.sandbox.parts import Parts
from pileus.sandbox.programs import CloneProgram, socket_inside
from pileus.sandbox.runners import START_TIMEOUT_S, Process, Runner, exit_of, make_output, only_child

if TYPE_CHECKING:
    from pileus.sandbox.shells import Shells


# Of one run.
_HEARD_MAX = 4


class CloneSandbox:
    """One clone: its first process, its runner, and whatever they start."""

    def __init__(self, template: Shells, parts: Parts) -> None:
        loop = asyncio.get_running_loop()
        self._template = template
        self._parts = parts
        # The other end stays open for the next run.
        self.output, self._output_inside = make_output()
        self.pid = -1
        self.listeners: Mapping[int, socket.socket] = {}
        self.ports: Mapping[int, int] = {}
        self.private_root = template.private_root
        self._runner: Runner | None = None
        self._first = Process(-1, -1)
        self._running = Process(-1, -1)
        self._channel: socket.socket | None = None
        self._programs: list[CloneProgram] = []
        # How this run ended, and that all is gone.
        self._exited: asyncio.Future[Exit] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        self._finishing: asyncio.Task[None] | None = None
        self._frozen = self._ending = False
        self._runs = 0
        self._memory_kills = 0
        self._peak_mb = 0.0
        self._peak_bytes = 0
        # What it shares with its template: nothing, once it runs a program of its own.
        self._shared_mb = 0.0 if template.spec.ahead else template.shared_mb
        self._tmp_mb = 0
        # What its first process has said; that of a snapshot's clone may say anything.
        self._heard = 0
        # Told that it ends, so that what was cloned from it can: a frozen process of a version 1 group does not.
        self.on_end: Callable[[], None] | None = None
        # How the first process has ended, and what is asked of the one that waited for it.
        self._ended_with = b""
        self._killing = False

    @property
    def idle(self) -> bool:
        """Whether it still waits for its first assignment."""
        return not self.ended and not self._exited.done()

    @property
    def user(self) -> int:
        return self._parts.user

    @property
    def ended(self) -> bool:
        return self._finishing is not None

    @property
    def failure(self) -> str:
        return self._runner.failure if self._runner is not None else ""

    async def begin(self) -> None:
        """Have the clone made, and let it go on in its cgroup until it is ready for its assignment."""
        loop = asyncio.get_running_loop()
        cloned = await self._template.clone()
        self._first = cloned.process
        self.pid = self._first.pid
        self._channel, talk = cloned.take()
        self._runner = Runner(talk, trusted=self._template.trusted)
        loop.add_reader(self._channel.fileno(), self._hear)
        if self._first.handle >= 0:
            loop.add_reader(self._first.handle, self._end)
        self._running = await self._template.settle(self._parts, self._first, self._channel, self._runner)
        spec = self._template.spec
        self.listeners = self._parts.listeners
        self.ports = {port: port for port in self.listeners}
        self._go(again=False)
        await self._runner.ready
        ports, sockets = self._runner.listening
        if sockets:
            asked = [*spec.ports, *spec.datagram_ports]
            self.listeners = self._parts.listeners = dict(zip(asked, sockets, strict=True))
            self.ports = dict(zip(asked, ports, strict=True))

    def _go(self, *, again: bool) -> None:
        assert self._runner is not None
        self._runner.go(again=again)
        if self._template.spec.ahead:
            self._runner.send({"user": self._parts.user}, [self._output_inside])

    def assign(self, assignment: Assignment) -> None:
        if self._runner is None or self.ended or self._exited.done():
            raise SandboxError(f"the sandbox has ended{': ' + self.failure if self.failure else ''}")
        again = self._runs > 0
        self._runs += 1
        if assignment.argv:
            self._shared_mb = 0.0
        self._tmp_mb = assignment.limits.tmp_mb
        self._tell(self._runner, assignment, again=again)

    def _tell(self, runner: Runner, assignment: Assignment, *, again: bool, prepare: bool = False) -> None:
        try:
            message, fds = self._template.message(self._parts, assignment, again=again)
        except OSError as error:
            raise SandboxError(f"cannot mount: {error}") from error
        try:
            if self._parts.group is not None:
                self._parts.group.limit(assignment.limits)
            runner.send({**message, "prepare": True} if prepare else message, [self._output_inside, *fds])
            if assignment.template:
                # What it says from now on, a stranger says.
                runner.trusted, runner.expects_guard = False, True
        except OSError as error:
            raise SandboxError(f"the sandbox has ended: {error}") from error
        finally:
            for each in fds:
                os.close(each)

    async def prepare(self, assignment: Assignment) -> None:
        if self._runs or self._runner is None:
            return
        self._runs += 1
        self._tell(self._runner, assignment, again=False, prepare=True)
        waiting: list[asyncio.Future[Any]] = [self._runner.prepared, self._exited]
        await asyncio.wait(waiting, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if not self._runner.prepared.done() or self._runner.prepared.exception() is not None:
            raise SandboxError(f"the sandbox cannot be prepared: {self.failure or 'it ended'}")

    def start(self, assignment: Assignment) -> Program:
        if self.ended or self._first.pid < 0:
            raise SandboxError("the sandbox has ended")
        message, _fds = self._template.message(self._parts, assignment, again=True)
        program = CloneProgram()
        program.begin(self._template, self._parts, self._first.handle if self.private_root else -1, message)
        self._programs = [each for each in self._programs if each.running] + [program]
        return program

    async def new_socket(self) -> socket.socket:
        if self.ended or self._first.pid < 0:
            raise SandboxError("the sandbox has ended")
        try:
            made = await self._template.new_socket(self._first.pid)
        except OSError as error:
            raise SandboxError(f"the sandbox has ended: {error}") from error
        if made is None:
            made = await socket_inside(self._template, self._first.handle)
        made.setblocking(False)
        return made

    async def restart(self) -> None:
        if self.ended:
            raise SandboxError("the sandbox has ended")
        self.kill()
        await asyncio.wait_for(self.wait(), START_TIMEOUT_S)
        if self.ended or self._channel is None or self._runner is None:
            raise SandboxError("the sandbox has ended")
        self._end_programs()
        self._runner.close()
        talk, inside = socket.socketpair()
        self._runner = Runner(talk, trusted=self._template.trusted)
        self._exited = asyncio.get_running_loop().create_future()
        self._ended_with = b""
        self._ending = False
        try:
            self._channel.setblocking(True)
            self._channel.send(b"r")
            send(self._channel, {}, [inside.fileno()])
            self._channel.setblocking(False)
        except OSError as error:
            raise SandboxError(f"the sandbox has ended: {error}") from error
        finally:
            inside.close()
        await asyncio.wait_for(asyncio.shield(self._runner.here), START_TIMEOUT_S)
        self._running.close()
        self._running = only_child(self._first)
        self._go(again=True)
        await asyncio.wait_for(asyncio.shield(self._runner.ready), START_TIMEOUT_S)

    async def snapshot(self) -> Template:
        if self.ended or self._runner is None:
            raise SandboxError("the sandbox has ended")
        obstacle = await asyncio.shield(self._runner.snapshot)
        guard = self._runner.guard
        if obstacle or guard is None:
            raise NotClonable(obstacle or "it cannot be guarded")
        world = {"user": self.user, "tmp_mb": self._tmp_mb}
        return self._template.snapshot(self, self._runner, guard, world)

    @property
    def can_freeze(self) -> bool:
        """Whether it can be frozen without what has been cloned from it."""
        return self._parts.group is not None and self._parts.group.can_freeze

    def freeze(self) -> None:
        if not self._frozen and not self.ended and not self._ending:
            self._frozen = True
            if self._parts.group is None or not self._parts.group.freeze():
                self._stop_all()

    def thaw(self) -> None:
        if self._frozen and not self.ended:
            self._frozen = False
            if self._parts.group is None or not self._parts.group.thaw():
                self._signal_all(signal.SIGCONT)

    @property
    def doomed(self) -> bool:
        return self._frozen and not self.ended and any(map(processes.ends, (self.pid, self._running.pid)))

    def terminate(self, *, first: bool = False) -> None:
        self.thaw()
        if first:
            self._running.signal(signal.SIGTERM)
        else:
            self._signal_all(signal.SIGTERM)

    def kill_first(self) -> None:
        self.thaw()
        self._running.signal(signal.SIGKILL)

    def kill(self) -> None:
        # A frozen process of a version 1 group does not even die.
        self._begin_to_end()
        self.thaw()
        for each in self._programs:
            each.kill()
        # The first process ends the rest.
        if self._ended_with and not self._killing:
            self._end_rest()
        else:
            self._running.signal(signal.SIGKILL)

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exited)

    def memory_mb(self) -> float:
        figures = self._parts.group.memory() if self._parts.group is not None else None
        taken = (
            figures[0] / (1 << 20)
            if figures is not None
            # A program of its own has nothing of the template's.
            else processes.memory_mb(self.pid, self._template.anonymous_mb if self._shared_mb else 0.0)
        )
        self._peak_mb = max(self._peak_mb, taken)
        return taken

    def memory_peak_mb(self) -> float:
        group = self._parts.group
        peak = group.memory_peak() if group is not None else None
        if group is None or peak is None:
            self.memory_mb()
        elif peak != self._peak_bytes:
            self._peak_bytes = peak
            figures = group.memory()
            files = figures[1] if figures is not None else 0
            self._peak_mb = max(self._peak_mb, (peak - files) / (1 << 20))
        return self._peak_mb + self._shared_mb

    async def close(self) -> None:
        if self._first.pid < 0:
            # It never began.
            self._drop()
            self._close_listeners()
            return
        self._begin_to_end()
        if not self.ended:
            self.thaw()
            # Without a process namespace only the first process finds all of them: it does so when it is told to end.
            self._first.signal(signal.SIGKILL if self.private_root else signal.SIGTERM)
        await asyncio.shield(self._gone)
        self._close_listeners()

    def _begin_to_end(self) -> None:
        self._ending = True
        if self.on_end is not None:
            self.on_end()

    def _end_programs(self) -> None:
        for program in self._programs:
            program.end()
        self._programs.clear()

    def close_output(self) -> None:
        os.close(self.output)

    def _close_listeners(self) -> None:
        for each in self._parts.listeners.values():
            each.close()

    def _inside(self) -> list[int]:
        pids = processes.below(self.pid)
        for each in self._programs:
            if each.pid > 0:
                pids += [each.pid, *processes.below(each.pid)]
        return pids

    def _signal_all(self, number: int) -> None:
        for pid in self._inside():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _stop_all(self) -> None:
        """Until nobody is left who might still fork."""
        stopped: set[int] = set()
        while fresh := set(self._inside()) - stopped:
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGSTOP)
            stopped |= fresh

    def _hear(self) -> None:
        """From the first process: how a run ended, or that nothing is left of it."""
        assert self._channel is not None
        while True:
            try:
                status = self._channel.recv(4)
            except BlockingIOError:
                return
            except OSError:
                status = b""
            self._heard += 1
            if self._heard > _HEARD_MAX * (1 + self._runs) and not self._template.trusted:
                self._first.signal(signal.SIGKILL)
                status = b""
            if len(status) < 4:
                if self._channel.fileno() >= 0:
                    asyncio.get_running_loop().remove_reader(self._channel.fileno())
                    if self._first.handle < 0:
                        self._end()
                return
            if self._killing:
                self._killing = False
                if self._ended_with:
                    self._set_exit(self._how_it_ended())
            else:
                self._ended_with = status
                if self.on_end is not None:
                    self.on_end()
                if any(each.running for each in self._programs):
                    # They go on, and so does what the first has started.
                    self._set_exit(self._how_it_ended())
                else:
                    self._end_rest()

    def _end_rest(self) -> None:
        """What the first process has started ends with it."""
        self._killing = True
        with contextlib.suppress(OSError):
            if self._channel is not None:
                self._channel.send(b"k")

    def _how_it_ended(self) -> Exit:
        if self._runner is None:
            return exit_of(self._ended_with)
        # What the runner had to say comes before what is said of its end.
        self._runner.hear()
        return exit_of(self._ended_with, self._runner.not_executed)

    def _set_exit(self, found: Exit) -> None:
        if not self._exited.done():
            group = self._parts.group
            kills = group.out_of_memory() if group is not None else 0
            if kills > self._memory_kills:
                self._memory_kills = kills
                found = replace(found, out_of_memory=True)
            # Why it ended, before anybody asks.
            if self._runner is not None:
                self._runner.hear()
                self._runner.fail(f"the sandbox did not start: {self.failure or 'it ended'}")
            self._exited.set_result(found)

    def _end(self) -> None:
        """The first process is gone, and with it the tree."""
        if self._finishing is None:
            self._finishing = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        loop = asyncio.get_running_loop()
        if self._channel is not None:
            self._hear()
            loop.remove_reader(self._channel.fileno())
        if self._first.handle >= 0:
            loop.remove_reader(self._first.handle)
        self._set_exit(Exit(signal=signal.SIGKILL))
        self._end_programs()
        if self._runner is not None:
            self._runner.close()
        self.memory_peak_mb()
        if self._parts.group is not None:
            await self._template.in_thread(self._parts.group.remove)
            self._parts.group = None
        self._drop()
        self._gone.set_result(None)

    def _drop(self) -> None:
        if self._runner is not None:
            self._runner.close()
        self._running.close()
        if self._channel is not None:
            self._channel.close()
        if self._first.handle >= 0:
            os.close(self._first.handle)
            self._first.handle = -1
        if self._output_inside >= 0:
            os.close(self._output_inside)
            self._output_inside = -1
        if self._parts.group is not None:
            self._parts.group.remove()
            self._parts.group = None
        self._parts.drop()
        self._template.forget(self)
