"""Further programs of a sandbox, beside its first process, as the server sees them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from typing import TYPE_CHECKING

from pileus.sandbox.contract import Exit, SandboxError
from pileus.sandbox.inside.messages import Message
from pileus.sandbox.parts import Parts
from pileus.sandbox.runners import START_TIMEOUT_S, Process, Runner, exit_of, make_output, only_child

if TYPE_CHECKING:
    from pileus.sandbox.shells import Shells


class CloneProgram:
    """One of them: another clone, that joins the sandbox and becomes the program."""

    def __init__(self) -> None:
        self.output, self._output_inside = make_output()
        self._parent = self._process = Process(-1, -1)
        self._runner: Runner | None = None
        self._channel: socket.socket | None = None
        self._killed = False
        self._exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._beginning: asyncio.Task[None] | None = None

    def begin(self, template: Shells, parts: Parts, first: int, assignment: Message) -> None:
        """Have it made, in the sandbox of this first process, and run what is assigned."""
        self._beginning = asyncio.get_running_loop().create_task(self._begin(template, parts, first, assignment))

    async def _begin(self, template: Shells, parts: Parts, first: int, assignment: Message) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                cloned = await template.clone(joins=True)
                self._parent = cloned.process
                self._channel, talk = cloned.take()
                self._runner = Runner(talk)
                asyncio.get_running_loop().add_reader(self._channel.fileno(), self._hear)
                self._runner.send({}, [first] if first >= 0 else [])
                await self._runner.here
                self._process = only_child(self._parent)
                await template.take_in(parts, [self._process.pid], joins=True)
                self._runner.go(again=True)
                await self._runner.ready
            self._runner.send(assignment, [self._output_inside])
            if self._killed:
                self._process.signal(signal.SIGKILL)
        except (SandboxError, OSError, TimeoutError):
            self.end()
        finally:
            self._close_inside()

    @property
    def running(self) -> bool:
        return not self._exited.done() and not self._killed

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exited)

    def kill(self) -> None:
        self._killed = True
        self._process.signal(signal.SIGKILL)

    def end(self, found: Exit | None = None) -> None:
        """It has ended so; None: with the sandbox."""
        if self._exited.done():
            return
        if found is None:
            self.kill()
        self._exited.set_result(found or Exit(signal=signal.SIGKILL))
        if self._beginning is not None and not self._beginning.done() and found is None:
            self._beginning.cancel()
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
        if self._runner is not None:
            self._runner.close()
        self._process.close()
        self._parent.close()

    def _hear(self) -> None:
        """From its parent."""
        assert self._channel is not None
        try:
            status = self._channel.recv(4)
        except BlockingIOError:
            return
        except OSError:
            status = b""
        if len(status) == 4 and self._runner is not None:
            # What its runner had to say comes before what is said of its end.
            self._runner.hear()
            self.end(exit_of(status, self._runner.not_executed))
        else:
            self.end()

    def _close_inside(self) -> None:
        if self._output_inside >= 0:
            os.close(self._output_inside)
            self._output_inside = -1


async def socket_inside(template: Shells, first: int) -> socket.socket:
    """A TCP socket that a clone makes in the network of a sandbox."""
    cloned = await template.clone(joins=True)
    channel, talk = cloned.take()
    runner = Runner(talk)
    try:
        runner.send({"socket": True}, [first])
        # It ends when it has made it.
        with contextlib.suppress(SandboxError):
            await asyncio.wait_for(asyncio.shield(runner.here), START_TIMEOUT_S)
        if runner.made is None:
            raise SandboxError("the sandbox has ended")
        return runner.made
    finally:
        runner.close()
        channel.close()
        cloned.process.close()
