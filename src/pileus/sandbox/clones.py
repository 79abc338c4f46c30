"""Templates and the sandboxes cloned from them, as the server sees them: the same on every backend.

What differs between backends (the root, namespaces, cgroups) is behind `Isolation`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pileus.sandbox import processes
from pileus.sandbox.cloned import CloneSandbox
from pileus.sandbox.contract import Assignment, Sandbox, SandboxError, TemplateSpec
from pileus.sandbox.inside.messages import Message, Receiver, send
from pileus.sandbox.parts import Isolation, Parts
from pileus.sandbox.runners import Cloned

T = TypeVar("T")

_HERE = Path(__file__).parent
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from inside.{0} import main; main(int(sys.argv[2]))"
_START_TIMEOUT_S = 30.0
# A fresh shell is not made while the sandbox that took the last one starts.
_REFILL_AFTER_S = 0.03
# Clones made at a time: more would only keep one another from getting ready.
_AT_A_TIME = 4


def boot_arguments(python: str, package_dir: str, module: str, control: int) -> list[str]:
    return [python, "-c", _BOOT.format(module), package_dir, str(control)]


def _discard(reply: asyncio.Future[Cloned]) -> None:
    if not reply.cancelled() and reply.exception() is None:
        reply.result().close()


class Clones:
    """A template's process and the sandboxes cloned from it, on any backend that runs `inside.template`."""

    def __init__(self, spec: TemplateSpec, isolation: Isolation) -> None:
        self.spec = spec
        self._isolation = isolation
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._receiver: Receiver | None = None
        # Clones are told of in the order in which they were asked for.
        self._cloning: deque[asyncio.Future[Cloned]] = deque()
        self._started: asyncio.Future[None] | None = None
        self._ready: list[CloneSandbox] = []
        self._all: set[CloneSandbox] = set()
        self._wanted = 0
        self._closing: set[asyncio.Task[None]] = set()
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
        for surplus in self._ready[count:]:
            os.close(surplus.output)
            closing = asyncio.get_running_loop().create_task(surplus.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        del self._ready[count:]
        self._fill()

    async def shell(self) -> Sandbox:
        while self._ready:
            found = self._ready.pop()
            self._fill_later()
            if found.idle:
                return found
            found.close_output()
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
                made = await self._make()
                if len(self._ready) < self._wanted:
                    self._ready.append(made)
                else:
                    # Fewer are wanted by now.
                    os.close(made.output)
                    await made.close()
        except SandboxError:
            # Whoever needs one next meets the error itself.
            self._wanted = 0
        finally:
            self._filling = None

    async def _make(self) -> CloneSandbox:
        parts = await self.in_thread(self._isolation.make_parts, self.spec)
        sandbox = CloneSandbox(self, parts)
        try:
            await asyncio.wait_for(sandbox.begin(), _START_TIMEOUT_S)
        except BaseException as error:
            sandbox.close_output()
            await sandbox.close()
            if isinstance(error, TimeoutError):
                raise SandboxError(f"the template {self.spec.name} did not answer") from error
            raise
        self._all.add(sandbox)
        return sandbox

    async def clone(self, *, joins: bool = False) -> Cloned:
        """A clone, or the parent of one that is to join a sandbox. Raises `SandboxError`."""
        reply: asyncio.Future[Cloned] = asyncio.get_running_loop().create_future()
        try:
            if self._control is None or not self.alive:
                raise SandboxError(f"the template {self.spec.name} has ended")
            self._control.setblocking(True)
            self._control.send(b"j" if joins else b"c")
            self._control.setblocking(False)
        except OSError as error:
            raise SandboxError(f"the template {self.spec.name} has ended: {error}") from error
        self._cloning.append(reply)
        # Whoever asked may have gone: then nobody takes it.
        try:
            return await asyncio.shield(reply)
        except asyncio.CancelledError:
            reply.add_done_callback(_discard)
            raise

    async def take_in(self, parts: Parts, pids: list[int], *, joins: bool = False) -> None:
        await self.in_thread(self._isolation.take_in, parts, self.spec, pids, joins)

    async def new_socket(self, pid: int) -> socket.socket | None:
        return await self.in_thread(self._isolation.new_socket, pid)

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
            if "cloned" in message:
                reply = self._cloning.popleft()
                found = Cloned(fds, message.get("pid", -1))
                if reply.done():
                    found.close()
                else:
                    reply.set_result(found)
            elif "refused" in message:
                reply = self._cloning.popleft()
                if not reply.done():
                    why = f"cannot clone the template {self.spec.name}: {message['refused']}"
                    reply.set_exception(SandboxError(why))
            elif "booted" in message:
                self._send_plan()
            elif "ready" in message and self._started is not None and not self._started.done():
                self._started.set_result(None)

    def _send_plan(self) -> None:
        assert self._control is not None
        freezers = self._isolation.freezers()
        self._control.setblocking(True)
        send(self._control, self._isolation.template_plan(self.spec), [freezers] if freezers >= 0 else [])
        self._control.setblocking(False)
        if freezers >= 0:
            os.close(freezers)

    def _fail_pending(self, why: str) -> None:
        why = f"the template {self.spec.name}: {why}"
        if self._started is not None and not self._started.done():
            self._started.set_exception(SandboxError(why))
        for reply in self._cloning:
            if not reply.done():
                reply.set_exception(SandboxError(why))
        self._cloning.clear()

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
