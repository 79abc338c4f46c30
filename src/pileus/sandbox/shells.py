"""Sandboxes that wait for their assignment, whatever they are clones of."""

from __future__ import annotations

import asyncio
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from pileus.sandbox.cloned import CloneSandbox
from pileus.sandbox.contract import Assignment, Sandbox, SandboxError, Template, TemplateSpec
from pileus.sandbox.guard import Guard
from pileus.sandbox.inside.messages import Message
from pileus.sandbox.parts import Isolation, Parts
from pileus.sandbox.runners import START_TIMEOUT_S, Cloned, Process, Runner

T = TypeVar("T")

# A fresh shell is not made while the sandbox that took the last one starts.
_REFILL_AFTER_S = 0.03
# Clones made at a time: more would only keep one another from getting ready.
_AT_A_TIME = 4


class Shells(ABC):
    """The sandboxes of one template, those that are ready ahead among them."""

    # Memory that the template holds and its clones share, MiB: all of it, and what of it is no file's.
    shared_mb = 0.0
    anonymous_mb = 0.0

    def __init__(self, spec: TemplateSpec, isolation: Isolation) -> None:
        self.spec = spec
        self.isolation = isolation
        self._ready: list[CloneSandbox] = []
        self._all: set[CloneSandbox] = set()
        self._wanted = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._filling: asyncio.Task[None] | None = None
        self._refill: asyncio.TimerHandle | None = None
        self._closed = False

    @abstractmethod
    async def clone(self, *, joins: bool = False) -> Cloned:
        """A clone, or the parent of one that is to join a sandbox. Raises `SandboxError`."""

    @abstractmethod
    async def settle(self, parts: Parts, first: Process, channel: socket.socket, runner: Runner) -> Process:
        """Give a clone its parts, and wait for its runner, which is returned. Raises `SandboxError`."""

    @abstractmethod
    def snapshot(self, host: CloneSandbox, runner: Runner, guard: Guard, world: Message) -> Template:
        """A sandbox that waits to be cloned, as a template of its own. Raises `SandboxError`."""

    @property
    @abstractmethod
    def trusted(self) -> bool:
        """Whether its clones are ours until they are assigned; else strangers' from the beginning."""

    @property
    def private_root(self) -> bool:
        return self.isolation.private_root

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

    def make_parts(self) -> Parts:
        """Blocks."""
        return self.isolation.make_parts(self.spec)

    def forget(self, sandbox: CloneSandbox) -> None:
        self._all.discard(sandbox)
        if sandbox in self._ready:
            self._ready.remove(sandbox)

    def message(self, parts: Parts, assignment: Assignment, *, again: bool) -> tuple[Message, list[int]]:
        return self.isolation.assignment(parts, assignment, again=again)

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await self.isolation.in_thread(function, *arguments)

    async def take_in(self, parts: Parts, pids: list[int], *, joins: bool = False) -> None:
        await self.in_thread(self.isolation.take_in, parts, self.spec, pids, joins)

    async def new_socket(self, pid: int) -> socket.socket | None:
        return await self.in_thread(self.isolation.new_socket, pid)

    async def close_all(self) -> None:
        """End every sandbox; none is made any more."""
        self._closed = True
        if self._refill is not None:
            self._refill.cancel()
        if self._filling is not None:
            # Not cancelled: what another thread is making for it would be lost.
            await asyncio.gather(self._filling, return_exceptions=True)
        await asyncio.gather(*(each.close() for each in list(self._all)))

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
        parts = await self.in_thread(self.make_parts)
        sandbox = CloneSandbox(self, parts)
        try:
            await asyncio.wait_for(sandbox.begin(), START_TIMEOUT_S)
        except BaseException as error:
            sandbox.close_output()
            await sandbox.close()
            if isinstance(error, TimeoutError):
                raise SandboxError(f"the template {self.spec.name} did not answer") from error
            raise
        self._all.add(sandbox)
        return sandbox
