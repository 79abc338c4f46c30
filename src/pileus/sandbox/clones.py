"""Templates as the server sees them: the same on every backend.

What differs between backends (the root, namespaces, cgroups) is behind `Isolation`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from pileus.sandbox import processes
from pileus.sandbox.contract import SandboxError, Template, TemplateSpec
from pileus.sandbox.guard import Guard
from pileus.sandbox.inside.messages import Message, Receiver, send
from pileus.sandbox.parts import Isolation, Parts
from pileus.sandbox.runners import START_TIMEOUT_S, Cloned, Process, Runner, only_child
from pileus.sandbox.shells import Shells
from pileus.sandbox.snapshots import Snapshot

if TYPE_CHECKING:
    from pileus.sandbox.cloned import CloneSandbox

_HERE = Path(__file__).parent
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from inside.{0} import main; main(int(sys.argv[2]))"


def boot_arguments(python: str, package_dir: str, module: str, control: int) -> list[str]:
    return [python, "-c", _BOOT.format(module), package_dir, str(control)]


def _discard(reply: asyncio.Future[Cloned]) -> None:
    if not reply.cancelled() and reply.exception() is None:
        reply.result().close()


class Clones(Shells):
    """A template's process and the sandboxes cloned from it, on any backend that runs `inside.template`."""

    def __init__(self, spec: TemplateSpec, isolation: Isolation) -> None:
        super().__init__(spec, isolation)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._receiver: Receiver | None = None
        # Clones are told of in the order in which they were asked for.
        self._cloning: deque[asyncio.Future[Cloned]] = deque()
        self._started: asyncio.Future[None] | None = None
        self._said = bytearray()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        plan = self.isolation.boot_plan(self.spec, theirs.fileno())
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
            await asyncio.wait_for(asyncio.shield(self._started), START_TIMEOUT_S)
        except (TimeoutError, SandboxError) as error:
            await self.close()
            said = self._said.decode(errors="replace").strip()
            reason = said.splitlines()[-1] if said else "it said nothing"
            raise SandboxError(f"the template {self.spec.name} did not start: {reason}") from error
        self.shared_mb = processes.resident_mb(self._process.pid)
        self.anonymous_mb = processes.anonymous_mb(self._process.pid)

    @property
    def alive(self) -> bool:
        return not self._closed and self._process is not None and self._process.poll() is None

    @property
    def trusted(self) -> bool:
        return True

    async def settle(self, parts: Parts, first: Process, channel: socket.socket, runner: Runner) -> Process:
        await runner.here
        running = only_child(first)
        await self.take_in(parts, [first.pid, running.pid])
        return running

    def snapshot(self, host: CloneSandbox, runner: Runner, guard: Guard, world: Message) -> Template:
        return Snapshot(self, host, runner, guard, world)

    async def close(self) -> None:
        await self.close_all()
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            await self.in_thread(self._process.wait)
        self._fail_pending("the template was closed")

    async def clone(self, *, joins: bool = False) -> Cloned:
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
        freezers = self.isolation.freezers()
        self._control.setblocking(True)
        send(self._control, self.isolation.template_plan(self.spec), [freezers] if freezers >= 0 else [])
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
