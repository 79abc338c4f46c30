"""Snapshots, as the server sees them: sandboxes whose program waits to be cloned as it is.

What is cloned is a stranger's. Nothing that it says is believed but which process the clone is, and of that only that
it lies below the sandbox; everything that makes a sandbox of the clone is done from outside. Its clones live in process
namespaces below its own, and end with it at the latest.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from pileus.sandbox import processes
from pileus.sandbox.contract import SandboxError, Template
from pileus.sandbox.guard import Guard
from pileus.sandbox.inside.messages import Message
from pileus.sandbox.parts import Parts
from pileus.sandbox.runners import START_TIMEOUT_S, Cloned, Process, Runner, only_child, pid_of
from pileus.sandbox.shells import Shells

if TYPE_CHECKING:
    from pileus.sandbox.cloned import CloneSandbox
    from pileus.sandbox.clones import Clones

# It stands still when nobody has asked for a clone for so long, where it can without its clones.
_FREEZE_AFTER_S = 0.05


class Snapshot(Shells):
    """The template that a sandbox has become; it owns the sandbox, but for its output."""

    def __init__(self, root: Clones, host: CloneSandbox, runner: Runner, guard: Guard, world: Message) -> None:
        super().__init__(root.spec, root.isolation)
        self._root = root
        self._host = host
        self._runner = runner
        # What its clones' namespaces are furnished with.
        self._world = world
        self._cloning = asyncio.Lock()
        self._reply: asyncio.Future[int] | None = None
        self._freezing: asyncio.TimerHandle | None = None
        # Clones that are not in their own control groups yet.
        self._unsettled = 0
        self.shared_mb = host.memory_peak_mb()
        self.anonymous_mb = sum(map(processes.anonymous_mb, processes.below(host.pid)))
        self.user = host.user
        self._guard = guard
        runner.on_clone = self._hear
        host.on_end = self._end
        self._freeze_later()

    @property
    def trusted(self) -> bool:
        return False

    @property
    def alive(self) -> bool:
        return not self._closed and not self._runner.silent and self._host.idle

    async def clone(self, *, joins: bool = False) -> Cloned:
        if joins:
            return await self._root.clone(joins=True)
        async with self._cloning:
            if not self.alive:
                raise SandboxError("the snapshot is gone")
            if self._freezing is not None:
                self._freezing.cancel()
            self._host.thaw()
            channel, channel_inside = socket.socketpair()
            talk, talk_inside = socket.socketpair()
            self._reply = asyncio.get_running_loop().create_future()
            handle = -1
            try:
                self._guard.expected = 1
                self._runner.patience += 1
                self._runner.send({"clone": True}, [channel_inside.fileno(), talk_inside.fileno()])
                handle = await asyncio.wait_for(self._reply, START_TIMEOUT_S)
                if not processes.is_below(pid_of(handle), self._host.pid):
                    raise SandboxError("the snapshot cannot be cloned: it names another process")
            except (OSError, TimeoutError) as error:
                self._discard(channel, talk, handle)
                raise SandboxError(f"the snapshot cannot be cloned: {error or 'it does not answer'}") from error
            except BaseException:
                self._discard(channel, talk, handle)
                raise
            finally:
                self._reply = None
                self._guard.expected = 0
                channel_inside.close()
                talk_inside.close()
            self._unsettled += 1
            return Cloned([channel.detach(), talk.detach(), handle], -1)

    async def settle(self, parts: Parts, first: Process, channel: socket.socket, runner: Runner) -> Process:
        try:
            both = self.take_in(parts, [first.pid]), self._furnish(parts, first)
            # To the end of both: what one has made is dropped after the other has failed.
            for failure in await asyncio.gather(*both, return_exceptions=True):
                if failure is not None:
                    raise failure
            channel.send(b"g")
        except (OSError, TimeoutError) as error:
            raise SandboxError(f"a clone of the snapshot has ended: {error}") from error
        finally:
            self._unsettled -= 1
            self._freeze_later()
        await runner.here
        return only_child(first)

    async def close(self) -> None:
        await self.close_all()
        if self._freezing is not None:
            self._freezing.cancel()
        await self._host.close()

    def make_parts(self) -> Parts:
        parts = super().make_parts()
        # They are this user's, whose files they have.
        parts.user = self.user
        return parts

    async def _furnish(self, parts: Parts, first: Process) -> None:
        """Have a clone of the root's go in and do what is ours to do there."""
        cloned = await self._root.clone(joins=True)
        channel, talk = cloned.take()
        runner = Runner(talk)
        try:
            runner.send({"world": self._world}, [first.handle])
            await asyncio.wait_for(asyncio.shield(runner.world), START_TIMEOUT_S)
            _, sockets = runner.listening
            if sockets:
                asked = [*self.spec.ports, *self.spec.datagram_ports]
                parts.listeners = dict(zip(asked, sockets, strict=True))
        finally:
            runner.close()
            channel.close()
            cloned.process.close()

    def _hear(self, fds: list[int], refused: str) -> None:
        """From the snapshot: its clone, or why there is none."""
        taken = fds[:1] if len(fds) == 1 and not refused else []
        if self._reply is None or self._reply.done():
            taken = []
        elif taken:
            self._reply.set_result(taken[0])
        else:
            self._reply.set_exception(
                SandboxError(f"the snapshot cannot be cloned: {refused or 'it does not say how'}")
            )
        for fd in fds:
            if fd not in taken:
                os.close(fd)

    def _end(self) -> None:
        for each in list(self._all):
            each.kill()

    def _discard(self, channel: socket.socket, talk: socket.socket, handle: int) -> None:
        channel.close()
        talk.close()
        if handle >= 0:
            os.close(handle)

    def _freeze_later(self) -> None:
        if self._freezing is not None:
            self._freezing.cancel()
        self._freezing = asyncio.get_running_loop().call_later(_FREEZE_AFTER_S, self._freeze)

    def _freeze(self) -> None:
        if self._reply is None and not self._unsettled and self.alive and self._host.can_freeze:
            self._host.freeze()

    def snapshot(self, host: CloneSandbox, runner: Runner, guard: Guard, world: Message) -> Template:
        raise SandboxError("a clone of a snapshot is no template")
