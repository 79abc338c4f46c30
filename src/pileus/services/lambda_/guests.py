"""The processes of an environment's external extensions: started beside the runtime, watched, read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pileus.sandbox.contract import Exit, Program, Sandbox
from pileus.services.lambda_.environment_log import EnvironmentLog, OutputReader
from pileus.services.lambda_.execution import FunctionSpec, LogEvent
from pileus.services.lambda_.extensions import Extension, Extensions
from pileus.services.lambda_.inside import extension_assignment, external_extensions

# Called when one has ended by itself.
Ended = Callable[[Extension, Exit], None]


@dataclass(slots=True, eq=False)
class _Guest:
    extension: Extension
    reader: OutputReader
    watcher: asyncio.Task[None]


class Guests:
    def __init__(self, spec: FunctionSpec, sandbox: Sandbox, log: EnvironmentLog, on_ended: Ended) -> None:
        # What there is to be started.
        self.names = external_extensions(spec)
        self._spec = spec
        self._sandbox = sandbox
        self._log = log
        self._on_ended = on_ended
        self._guests: list[_Guest] = []

    def __bool__(self) -> bool:
        """Whether any was started."""
        return bool(self._guests)

    def start(self, registry: Extensions, environment: Mapping[str, str]) -> None:
        """Start all of them, with the runtime's `environment`. Raises `SandboxError`."""
        loop = asyncio.get_running_loop()
        for extension in registry.external:
            program = self._sandbox.start(extension_assignment(self._spec, self._sandbox, environment, extension.name))
            reader = OutputReader(program.output, self._log.now_ms, self._read)
            reader.start()
            watcher = loop.create_task(self._watch(extension, program))
            self._guests.append(_Guest(extension, reader, watcher))

    def leaving(self) -> list[asyncio.Task[None]]:
        """Those that end by themselves when they are told to: done when they have."""
        return [each.watcher for each in self._guests if "SHUTDOWN" in each.extension.events]

    def drain(self) -> None:
        for each in self._guests:
            each.reader.drain()

    def dismiss(self) -> None:
        """They have been ended."""
        for each in self._guests:
            each.watcher.cancel()
            each.reader.close()
        self._guests.clear()

    def _read(self, events: list[LogEvent]) -> None:
        self._log.output("extension", events)

    async def _watch(self, extension: Extension, program: Program) -> None:
        self._on_ended(extension, await program.wait())
