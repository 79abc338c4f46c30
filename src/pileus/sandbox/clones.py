"""Templates and the sandboxes cloned from them, as the server sees them: the same on every backend.

What differs between backends (the root, namespaces, cgroups) is behind `Isolation`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pileus.sandbox import processes
from pileus.sandbox.cgroups import Group
from pileus.sandbox.contract import Assignment, Exit, Program, Sandbox, SandboxError, TemplateSpec
from pileus.sandbox.inside.messages import Message, Receiver, send
from pileus.sandbox.programs import CloneProgram

T = TypeVar("T")

_HERE = Path(__file__).parent
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from inside.{0} import main; main(int(sys.argv[2]))"
_START_TIMEOUT_S = 30.0
# A fresh shell is not made while the sandbox that took the last one starts.
_REFILL_AFTER_S = 0.03
_PIPE_BYTES = 1 << 18
# Clones made at a time: more would only keep one another from getting ready.
_AT_A_TIME = 4


@dataclass(slots=True)
class Parts:
    """What the server makes for a sandbox before there is a process."""

    group: Group | None = None
    # The host's user and group id of its processes, where it has one of its own.
    user: int = -1
    # A directory outside that is its own, where it has no private root.
    scratch: Path | None = None
    # A descriptor of its network namespace, where the server made it.
    network: int = -1
    listeners: dict[int, socket.socket] = field(default_factory=dict)

    def drop(self) -> None:
        """All but the listeners: somebody may be serving them."""
        if self.network >= 0:
            os.close(self.network)
            self.network = -1
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch = None


class Isolation(Protocol):
    """What a backend adds to a clone."""

    private_root: bool

    def boot_plan(self, spec: TemplateSpec, control: int) -> Message: ...

    def template_plan(self, spec: TemplateSpec) -> Message: ...

    def make_parts(self, spec: TemplateSpec) -> Parts:
        """Blocks; run on another thread."""
        ...

    def assignment(self, parts: Parts, assignment: Assignment, *, again: bool) -> tuple[Message, list[int]]:
        """The message for the runner and the descriptors of detached mounts, which the caller closes."""
        ...

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T: ...


def boot_arguments(python: str, package_dir: str, module: str, control: int) -> list[str]:
    return [python, "-c", _BOOT.format(module), package_dir, str(control)]


class Clones:
    """A template's process and the sandboxes cloned from it, on any backend that runs `inside.template`."""

    def __init__(self, spec: TemplateSpec, isolation: Isolation) -> None:
        self.spec = spec
        self._isolation = isolation
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._receiver: Receiver | None = None
        self._replies: dict[int, asyncio.Future[tuple[Message, list[int]]]] = {}
        self._started: asyncio.Future[None] | None = None
        self._numbers = itertools.count(1)
        self._ready: list[CloneSandbox] = []
        self._all: set[CloneSandbox] = set()
        self._wanted = 0
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._filling: asyncio.Task[None] | None = None
        self._refill: asyncio.TimerHandle | None = None
        self._said = bytearray()
        self._closed = False
        self._shared_mb = 0.0
        self.anonymous_mb = 0.0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        plan = self._isolation.boot_plan(self.spec, theirs.fileno())
        said_read, said_write = os.pipe()
        try:
            # From this thread, not from a helper: the template dies with the thread that started it.
            self._process = subprocess.Popen(  # noqa: ASYNC220
                boot_arguments(str(self.spec.python_outside), str(_HERE), "bootstrap", theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=said_write,
                stderr=said_write,
                # The interpreter itself may need it to find its libraries.
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
                cwd="/",
            )
        except OSError as error:
            ours.close()
            os.close(said_read)
            raise SandboxError(f"{self.spec.python_outside} cannot be started: {error}") from error
        finally:
            theirs.close()
            os.close(said_write)
        os.set_blocking(said_read, False)
        loop.add_reader(said_read, self._listen, said_read)
        self._control = ours
        self._receiver = Receiver(ours)
        send(ours, plan)
        ours.setblocking(False)
        self._started = loop.create_future()
        loop.add_reader(ours.fileno(), self._hear)
        try:
            await asyncio.wait_for(asyncio.shield(self._started), _START_TIMEOUT_S)
        except (TimeoutError, SandboxError) as error:
            await self.close()
            said = self._said.decode(errors="replace").strip()
            reason = said.splitlines()[-1] if said else "it said nothing"
            raise SandboxError(f"the template {self.spec.name} did not start: {reason}") from error
        self._shared_mb = processes.resident_mb(self._process.pid)
        self.anonymous_mb = processes.anonymous_mb(self._process.pid)

    @property
    def shared_mb(self) -> float:
        """What the template holds and its clones share, MiB, when it was ready."""
        return self._shared_mb

    @property
    def alive(self) -> bool:
        return not self._closed and self._process is not None and self._process.poll() is None

    def keep_ready(self, count: int) -> None:
        self._wanted = count
        self._fill()

    async def shell(self) -> Sandbox:
        while self._ready:
            found = self._ready.pop()
            self._fill_later()
            if found.idle:
                return found
            os.close(found.output)
            await found.close()
        if self._closed:
            raise SandboxError(f"the template {self.spec.name} is closed")
        async with self._turns:
            return await self._make()

    async def close(self) -> None:
        self._closed = True
        if self._refill is not None:
            self._refill.cancel()
        if self._filling is not None:
            # Not cancelled: what another thread is making for it would be lost.
            await asyncio.gather(self._filling, return_exceptions=True)
        await asyncio.gather(*(each.close() for each in list(self._all)))
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            await self.in_thread(self._process.wait)
        self._fail_pending("the template was closed")

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await self._isolation.in_thread(function, *arguments)

    def message(self, parts: Parts, assignment: Assignment, *, again: bool) -> tuple[Message, list[int]]:
        return self._isolation.assignment(parts, assignment, again=again)

    @property
    def private_root(self) -> bool:
        return self._isolation.private_root

    def forget(self, sandbox: CloneSandbox) -> None:
        self._all.discard(sandbox)
        if sandbox in self._ready:
            self._ready.remove(sandbox)

    def _fill_later(self) -> None:
        if self._refill is not None:
            self._refill.cancel()
        self._refill = asyncio.get_running_loop().call_later(_REFILL_AFTER_S, self._fill)

    def _fill(self) -> None:
        if not self._closed and self._filling is None and len(self._ready) < self._wanted:
            self._filling = asyncio.create_task(self._fill_up())

    async def _fill_up(self) -> None:
        try:
            while len(self._ready) < self._wanted and not self._closed:
                self._ready.append(await self._make())
        except SandboxError:
            # Whoever needs one next meets the error itself.
            self._wanted = 0
        finally:
            self._filling = None

    async def _make(self) -> CloneSandbox:
        assert self._control is not None
        number = next(self._numbers)
        parts = await self.in_thread(self._isolation.make_parts, self.spec)
        control, control_inside = socket.socketpair()
        runner, runner_inside = socket.socketpair()
        output, output_inside = os.pipe()
        with contextlib.suppress(OSError, AttributeError):
            import fcntl

            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(output, False)
        inside = [control_inside.fileno(), runner_inside.fileno(), output_inside]
        sandbox = CloneSandbox(self, parts, control, runner, output)
        try:
            try:
                reply = self._replies[number] = asyncio.get_running_loop().create_future()
                if self._control is None or not self.alive:
                    raise SandboxError(f"the template {self.spec.name} has ended")
                self._control.setblocking(True)
                freezer = parts.group.freezer if parts.group is not None else -1
                inside += [each for each in (parts.network, freezer) if each >= 0]
                send(self._control, {"spawn": number, "freezer": freezer >= 0}, inside)
                self._control.setblocking(False)
            except OSError as error:
                raise SandboxError(f"the template {self.spec.name} has ended: {error}") from error
            finally:
                control_inside.close()
                runner_inside.close()
                os.close(output_inside)
                if parts.network >= 0:
                    os.close(parts.network)
                    parts.network = -1
            message, fds = await asyncio.wait_for(reply, _START_TIMEOUT_S)
            if "error" in message:
                raise SandboxError(f"cannot clone the template {self.spec.name}: {message['error']}")
            await sandbox.begin(message["pid"], fds[0] if fds else -1)
        except BaseException as error:
            os.close(output)
            await sandbox.close()
            if isinstance(error, TimeoutError):
                raise SandboxError(f"the template {self.spec.name} did not answer") from error
            raise
        finally:
            self._replies.pop(number, None)
        self._all.add(sandbox)
        return sandbox

    def _hear(self) -> None:
        assert self._receiver is not None
        assert self._control is not None
        while True:
            try:
                received = self._receiver.receive()
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                asyncio.get_running_loop().remove_reader(self._control.fileno())
                self._fail_pending("it has ended")
                return
            message, fds = received
            if "spawned" in message:
                reply = self._replies.get(message["spawned"])
                if reply is not None and not reply.done():
                    reply.set_result((message, fds))
                else:
                    for fd in fds:
                        os.close(fd)
            elif "booted" in message:
                self._control.setblocking(True)
                send(self._control, self._isolation.template_plan(self.spec))
                self._control.setblocking(False)
            elif "ready" in message and self._started is not None and not self._started.done():
                self._started.set_result(None)

    def _fail_pending(self, why: str) -> None:
        waiting: list[asyncio.Future[Any]] = [*self._replies.values()]
        if self._started is not None:
            waiting.append(self._started)
        for each in waiting:
            if not each.done():
                each.set_exception(SandboxError(f"the template {self.spec.name}: {why}"))

    def _listen(self, fd: int) -> None:
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return
        if data:
            self._said = (self._said + data)[-4096:]
        else:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)


class CloneSandbox:
    """One clone: a supervisor, its runner, and whatever they start."""

    def __init__(
        self, template: Clones, parts: Parts, control: socket.socket, runner: socket.socket, output: int
    ) -> None:
        loop = asyncio.get_running_loop()
        self._template = template
        self._parts = parts
        self._control = control
        self._runner = runner
        self.output = output
        self.pid = -1
        self.listeners: Mapping[int, socket.socket] = parts.listeners
        self.ports: Mapping[int, int] = {port: port for port in parts.listeners}
        self.private_root = template.private_root
        self.failure = ""
        self._pidfd = -1
        self._receiver = Receiver(control)
        self._runner_receiver = Receiver(runner)
        self._ready: asyncio.Future[None] = loop.create_future()
        # Of the first process of this run, and of the whole.
        self._exited: asyncio.Future[Exit] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        self._finishing: asyncio.Task[None] | None = None
        self._frozen = False
        self._runs = 0
        self._restarts = 0
        self._memory_kills = 0
        self._peak_mb = 0.0
        self._peak_bytes = 0
        # What it shares with its template: nothing, once it runs a program of its own.
        self._shared_mb = 0.0 if template.spec.ahead else template.shared_mb
        self._not_executed = 0
        self._prepared: asyncio.Future[None] = loop.create_future()
        self._numbers = itertools.count(1)
        self._programs: dict[int, CloneProgram] = {}
        # Who waits for a socket from inside, in the order of asking.
        self._sockets: deque[asyncio.Future[socket.socket]] = deque()

    @property
    def ended(self) -> bool:
        return self._finishing is not None

    @property
    def idle(self) -> bool:
        """Whether it still waits for its first assignment."""
        return not self.ended and not self._exited.done()

    async def begin(self, pid: int, pidfd: int) -> None:
        """Let the clone go on, in its cgroup, until it is ready for its assignment."""
        loop = asyncio.get_running_loop()
        self.pid, self._pidfd = pid, pidfd
        self._control.setblocking(False)
        loop.add_reader(self._control.fileno(), self._hear)
        self._listen_to_runner()
        if pidfd >= 0:
            loop.add_reader(pidfd, self._end)
        if self._parts.group is not None:
            await self._template.in_thread(self._parts.group.attach, pid)
        self._send(self._control, {"go": True, "user": self._parts.user})
        await asyncio.wait_for(asyncio.shield(self._ready), _START_TIMEOUT_S)

    def assign(self, assignment: Assignment) -> None:
        if self.ended or self._exited.done():
            raise SandboxError(f"the sandbox has ended{': ' + self.failure if self.failure else ''}")
        again = self._runs > 0
        self._runs += 1
        self._not_executed = 0
        if assignment.argv:
            self._shared_mb = 0.0
        self._tell_runner(assignment, again=again)

    def _tell_runner(self, assignment: Assignment, *, again: bool, prepare: bool = False) -> None:
        try:
            message, fds = self._template.message(self._parts, assignment, again=again)
        except OSError as error:
            raise SandboxError(f"cannot mount: {error}") from error
        try:
            if self._parts.group is not None:
                self._parts.group.limit(assignment.limits)
            self._send(self._runner, {**message, "prepare": True} if prepare else message, fds)
        except OSError as error:
            raise SandboxError(f"the sandbox has ended: {error}") from error
        finally:
            for each in fds:
                os.close(each)

    async def prepare(self, assignment: Assignment) -> None:
        if self._runs:
            return
        self._runs += 1
        self._prepared = asyncio.get_running_loop().create_future()
        self._tell_runner(assignment, again=False, prepare=True)
        waiting: list[asyncio.Future[Any]] = [self._prepared, self._exited]
        done, _ = await asyncio.wait(waiting, timeout=_START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if self._prepared not in done:
            raise SandboxError(f"the sandbox cannot be prepared: {self.failure or 'it ended'}")

    def start(self, assignment: Assignment) -> Program:
        if self.ended:
            raise SandboxError("the sandbox has ended")
        message, _fds = self._template.message(self._parts, assignment, again=True)
        number, program = next(self._numbers), CloneProgram()
        try:
            inside = [program.its_control.fileno(), program.its_output]
            self._send(self._control, {"start": number}, inside)
            program.begin(message)
        except OSError as error:
            program.drop()
            raise SandboxError(f"the sandbox has ended: {error}") from error
        self._programs[number] = program
        return program

    async def new_socket(self) -> socket.socket:
        found: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        try:
            self._send(self._control, {"socket": True})
        except OSError as error:
            raise SandboxError(f"the sandbox has ended: {error}") from error
        self._sockets.append(found)
        return await found

    async def restart(self) -> None:
        if self.ended:
            raise SandboxError("the sandbox has ended")
        self.thaw()
        self._end_programs()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._runner.fileno())
        self._runner.close()
        self._runner, inside = socket.socketpair()
        self._runner_receiver = Receiver(self._runner)
        self._listen_to_runner()
        self._ready = loop.create_future()
        if not self._exited.done():
            self._exited.set_result(Exit(signal=signal.SIGKILL))
        self._exited = loop.create_future()
        try:
            self._restarts += 1
            self._send(self._control, {"restart": self._restarts}, [inside.fileno()])
        except OSError as error:
            raise SandboxError(f"the sandbox has ended: {error}") from error
        finally:
            inside.close()
        await asyncio.wait_for(asyncio.shield(self._ready), _START_TIMEOUT_S)

    def freeze(self) -> None:
        if not self._frozen and not self.ended:
            self._frozen = True
            if self._parts.group is None or not self._parts.group.freeze():
                self._signal_inside(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._frozen and not self.ended:
            self._frozen = False
            if self._parts.group is None or not self._parts.group.thaw():
                self._signal_inside(signal.SIGCONT)

    def terminate(self, *, first: bool = False) -> None:
        self.thaw()
        self._signal_inside(signal.SIGTERM, first=first)

    def kill_first(self) -> None:
        self.thaw()
        self._signal_inside(signal.SIGKILL, first=True)

    def kill(self) -> None:
        # A frozen process of a version 1 group does not even die.
        self.thaw()
        self._signal_inside(signal.SIGKILL)

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exited)

    def memory_mb(self) -> float:
        figures = self._parts.group.memory() if self._parts.group is not None else None
        taken = (
            figures[0] / (1 << 20)
            if figures is not None
            else processes.memory_mb(self.pid, self._template.anonymous_mb)
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
        if self.pid < 0:
            # It never began.
            self._drop()
            self._close_listeners()
            return
        if not self.ended:
            self.thaw()
            if self.private_root and self._pidfd >= 0:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            else:
                # Without a process namespace only the supervisor finds all of them: it does so when we hang up.
                with contextlib.suppress(OSError):
                    self._control.shutdown(socket.SHUT_WR)
        await asyncio.shield(self._gone)
        self._close_listeners()

    def _close_listeners(self) -> None:
        for each in self.listeners.values():
            each.close()

    def _listen_to_runner(self) -> None:
        self._runner.setblocking(False)
        asyncio.get_running_loop().add_reader(self._runner.fileno(), self._hear_runner)

    def _signal_inside(self, number: int, *, first: bool = False) -> None:
        with contextlib.suppress(OSError):
            self._send(self._control, {"signal": int(number), "first": first})

    def _end_programs(self) -> None:
        for program in self._programs.values():
            program.end()
        self._programs.clear()

    @staticmethod
    def _send(sock: socket.socket, message: Message, fds: list[int] | None = None) -> None:
        sock.setblocking(True)
        try:
            send(sock, message, fds)
        finally:
            sock.setblocking(False)

    def _hear(self) -> None:
        """From the supervisor."""
        while True:
            try:
                received = self._receiver.receive()
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                asyncio.get_running_loop().remove_reader(self._control.fileno())
                if self._pidfd < 0:
                    self._end()
                return
            message, fds = received
            if "program" in message:
                program = self._programs.pop(message["program"], None)
                if program is not None:
                    program.end(message["exit"])
            elif "socket" in message:
                self._hand_out(socket.socket(fileno=fds[0]))
            elif "exit" in message:
                if message["run"] != self._restarts:
                    # Of a run that was ended to begin the next one.
                    continue
                code = message["exit"]
                with contextlib.suppress(OSError, ValueError):
                    # What the runner had to say comes before what the supervisor says of its end.
                    self._hear_runner()
                failed = self._not_executed
                self._set_exit(Exit(status=code, not_executed=failed) if code >= 0 else Exit(signal=-code))
                if not self._ready.done():
                    self._ready.set_exception(SandboxError(f"what runs ahead of the assignment ended with {code}"))
                    self._ready.exception()
            elif "listening" in message:
                sockets = [socket.socket(fileno=fd) for fd in fds]
                asked = [*self._template.spec.ports, *self._template.spec.datagram_ports]
                self.listeners = dict(zip(asked, sockets, strict=True))
                self._parts.listeners = dict(self.listeners)
                self.ports = dict(zip(asked, message["listening"], strict=True))

    def _hand_out(self, made: socket.socket) -> None:
        made.setblocking(False)
        while self._sockets:
            waiting = self._sockets.popleft()
            if not waiting.done():
                waiting.set_result(made)
                return
        made.close()

    def _set_exit(self, found: Exit) -> None:
        if not self._exited.done():
            group = self._parts.group
            kills = group.out_of_memory() if group is not None else 0
            if kills > self._memory_kills:
                self._memory_kills = kills
                found = Exit(status=found.status, signal=found.signal, out_of_memory=True)
            self._exited.set_result(found)

    def _hear_runner(self) -> None:
        while True:
            try:
                received = self._runner_receiver.receive()
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                asyncio.get_running_loop().remove_reader(self._runner.fileno())
                return
            message, _fds = received
            if "prepared" in message and not self._prepared.done():
                self._prepared.set_result(None)
            elif "ready" in message and not self._ready.done():
                self._ready.set_result(None)
            elif "failed" in message:
                self.failure = message["failed"].strip()
            elif "not_executed" in message:
                self._not_executed = message["not_executed"]

    def _end(self) -> None:
        """The supervisor is gone, and with it the tree."""
        if self._finishing is None:
            self._finishing = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        loop = asyncio.get_running_loop()
        for hear in (self._hear, self._hear_runner):
            with contextlib.suppress(OSError, ValueError):
                hear()
        for fd in (self._control.fileno(), self._runner.fileno(), self._pidfd):
            if fd >= 0:
                loop.remove_reader(fd)
        self._set_exit(Exit(signal=signal.SIGKILL))
        self._end_programs()
        for waiting in self._sockets:
            if not waiting.done():
                waiting.set_exception(SandboxError("the sandbox has ended"))
        if not self._ready.done():
            self._ready.set_exception(SandboxError(f"the sandbox did not start: {self.failure or 'it ended'}"))
            self._ready.exception()
        self.memory_peak_mb()
        if self._parts.group is not None:
            await self._template.in_thread(self._parts.group.remove)
            self._parts.group = None
        self._drop()
        self._gone.set_result(None)

    def _drop(self) -> None:
        self._control.close()
        self._runner.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self._parts.group is not None:
            self._parts.group.remove()
            self._parts.group = None
        self._parts.drop()
        self._template.forget(self)
