"""Further programs of a sandbox, beside its first process, as the server sees them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

from pileus.sandbox.contract import Exit
from pileus.sandbox.inside.messages import Message, Receiver, send


class CloneProgram:
    """One of them: its runner waits for the assignment at the other end of `control`, and then becomes it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.output, self.its_output = os.pipe()
        os.set_blocking(self.output, False)
        self._control, self.its_control = socket.socketpair()
        self._receiver = Receiver(self._control)
        self._not_executed = 0
        self._exited: asyncio.Future[Exit] = self._loop.create_future()

    def begin(self, assignment: Message) -> None:
        """Its runner has been asked for: tell it what to run. Raises `OSError`."""
        os.close(self.its_output)
        self.its_control.close()
        send(self._control, assignment)
        self._control.setblocking(False)
        self._loop.add_reader(self._control.fileno(), self._hear)

    def drop(self) -> None:
        """It could not be asked for."""
        for each in (self.output, self.its_output):
            os.close(each)
        self._control.close()
        self.its_control.close()

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exited)

    def end(self, code: int | None = None) -> None:
        """It has ended with this exit code, or by its signal (negative); None: with the sandbox."""
        if self._exited.done():
            return
        with contextlib.suppress(OSError, ValueError):
            # What its runner had to say comes before what the supervisor says of its end.
            self._hear()
        if self._control.fileno() >= 0:
            self._loop.remove_reader(self._control.fileno())
            self._control.close()
        if code is None:
            found = Exit(signal=signal.SIGKILL)
        elif code < 0:
            found = Exit(signal=-code)
        else:
            found = Exit(status=code, not_executed=self._not_executed)
        self._exited.set_result(found)

    def _hear(self) -> None:
        while True:
            try:
                received = self._receiver.receive()
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                self._loop.remove_reader(self._control.fileno())
                return
            self._not_executed = received[0].get("not_executed", self._not_executed)
