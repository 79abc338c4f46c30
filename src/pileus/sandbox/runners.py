"""The server's side of single processes inside: fresh clones, the sockets of their runners, how they end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from pileus.sandbox import processes
from pileus.sandbox.contract import Exit, SandboxError
from pileus.sandbox.guard import Guard
from pileus.sandbox.inside.messages import Message, Receiver, send

START_TIMEOUT_S = 30.0
_PIPE_BYTES = 1 << 18
# Of messages that come out of a sandbox, and of what is shown of a failure there.
_MESSAGE_MAX = 1 << 20
_FAILURE_MAX = 4096
_PATIENCE = 64


class Cloned:
    """A fresh clone, as the template tells of it."""

    def __init__(self, fds: list[int], pid: int) -> None:
        self._fds = fds
        self.process = Process(pid_of(fds[2]), fds[2]) if fds[2:] else Process(pid, -1)

    def take(self) -> tuple[socket.socket, socket.socket]:
        """Its channel and its runner's socket."""
        channel, talk = socket.socket(fileno=self._fds[0]), socket.socket(fileno=self._fds[1])
        channel.setblocking(False)
        return channel, talk

    def close(self) -> None:
        for fd in self._fds[:2]:
            os.close(fd)
        self.process.close()


class Runner:
    """The server's end of one runner's socket. What is not `trusted` may send anything at any time."""

    def __init__(self, talk: socket.socket, *, trusted: bool = True) -> None:
        loop = asyncio.get_running_loop()
        self._socket = talk
        self._socket.setblocking(False)
        self.trusted = trusted
        # Nothing is heard from it any more.
        self.silent = False
        # Messages that a stranger may still send.
        self.patience = _PATIENCE
        self._receiver = Receiver(self._socket, bytes_max=_MESSAGE_MAX)
        # That it is there, that it waits for its assignment, that it has prepared for it.
        self.here: asyncio.Future[None] = loop.create_future()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.prepared: asyncio.Future[None] = loop.create_future()
        # That it has furnished another sandbox.
        self.world: asyncio.Future[None] = loop.create_future()
        # That what it has become waits to be cloned: why it cannot be, or "".
        self.snapshot: asyncio.Future[str] = loop.create_future()
        # From then on: a clone, or why there is none.
        self.on_clone: Callable[[list[int], str], None] | None = None
        # Ports and sockets that listen inside; a socket that was asked for.
        self.listening: tuple[list[int], list[socket.socket]] = ([], [])
        self.made: socket.socket | None = None
        # Of what is to be a template: the first thing that it says, before it is one.
        self.guard: Guard | None = None
        self.expects_guard = False
        self.failure = ""
        # The number of the error for which it could not become its program.
        self.not_executed = 0
        loop.add_reader(self._socket.fileno(), self.hear)

    def hear(self) -> None:
        while self._socket.fileno() >= 0:
            try:
                received = self._receiver.receive()
            except BlockingIOError:
                return
            except (OSError, ValueError, TypeError, AttributeError, RecursionError):
                received = None
            if not self.trusted:
                self.patience -= 1
            if received is None or self.patience < 0:
                for fd in received[1] if received is not None else ():
                    os.close(fd)
                self._receiver.drop()
                self.silent = True
                self.fail(f"the sandbox did not start: {self.failure or 'it ended'}")
                asyncio.get_running_loop().remove_reader(self._socket.fileno())
                return
            message, fds = received
            if self.snapshot.done() and self.on_clone is not None and ("cloned" in message or "refused" in message):
                self.on_clone(fds, str(message.get("refused", "")))
                continue
            if self.expects_guard and "guard" in message and fds:
                self.expects_guard, self.guard = False, Guard(fds.pop(0))
            elif self.trusted:
                fds = self._take(message, fds)
            elif "failed" in message:
                self.failure = str(message["failed"])[-_FAILURE_MAX:].strip()
            for fd in fds:
                os.close(fd)
            stages = (("here", self.here), ("ready", self.ready), ("prepared", self.prepared), ("world", self.world))
            for name, future in stages:
                if name in message and not future.done():
                    future.set_result(None)
            if "snapshot" in message and not self.snapshot.done():
                self.snapshot.set_result(str(message["snapshot"])[:_FAILURE_MAX])

    def _take(self, message: Message, fds: list[int]) -> list[int]:
        """What only our own code says; returns the descriptors that nobody has taken."""
        if "failed" in message:
            self.failure = message["failed"].strip()
        elif "not_executed" in message:
            self.not_executed = message["not_executed"]
        elif "listening" in message:
            self.listening = message["listening"], [socket.socket(fileno=fd) for fd in fds]
        elif "world" in message:
            self.listening = [], [socket.socket(fileno=fd) for fd in fds]
        elif "socket" in message:
            self.made = socket.socket(fileno=fds[0])
        else:
            return fds
        return []

    def fail(self, why: str) -> None:
        if self.on_clone is not None:
            self.on_clone([], why)
        for future in (self.here, self.ready, self.prepared, self.world, self.snapshot):
            if not future.done():
                future.set_exception(SandboxError(why))
                # Whether or not anybody waits for it.
                future.exception()

    def go(self, *, again: bool = False) -> None:
        with contextlib.suppress(OSError):
            self._socket.send(b"a" if again else b"g")

    def send(self, message: Message, fds: list[int] | None = None) -> None:
        self._socket.setblocking(True)
        try:
            send(self._socket, message, fds)
        finally:
            self._socket.setblocking(False)

    def close(self) -> None:
        self.hear()
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
        self._receiver.drop()
        if self.guard is not None:
            self.guard.close()
        self.fail("the sandbox was closed")


def make_output() -> tuple[int, int]:
    """A pipe for what is written inside: its read end, not blocking, and the other."""
    output, inside = os.pipe()
    with contextlib.suppress(OSError, AttributeError):
        import fcntl

        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    os.set_blocking(output, False)
    return output, inside


def pid_of(handle: int) -> int:
    lines = Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pid:")), -1)


def exit_of(status: bytes, not_executed: int = 0) -> Exit:
    try:
        code = os.waitstatus_to_exitcode(int.from_bytes(status, sys.byteorder))
    except ValueError:
        # It was a stranger who said so.
        return Exit(signal=signal.SIGKILL)
    return Exit(status=code, not_executed=not_executed) if code >= 0 else Exit(signal=-code)


class Process:
    """A runner that has said who it is: something that can be signalled without mistaking it for another."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self.handle = handle

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.handle >= 0:
                signal.pidfd_send_signal(self.handle, number)
            elif self.pid > 0:
                os.kill(self.pid, number)

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
        self.pid = -1


def only_child(parent: Process) -> Process:
    """The runner, as long as it is the only one. Raises `SandboxError`."""
    for pid in processes.children(parent.pid):
        if parent.handle < 0:
            return Process(pid, -1)
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            if pid in processes.children(parent.pid):
                return Process(pid, handle)
            os.close(handle)
    raise SandboxError("the sandbox has ended")
