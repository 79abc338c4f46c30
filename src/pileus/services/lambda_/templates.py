"""What environments are cloned from: on this node, a template per language, interpreter and (where programs wait for
their function) size of memory, made when it is first wanted, and the machine's backend, chosen then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from pileus.kernel.clock import Clock
from pileus.kernel.settings import Settings
from pileus.sandbox.contract import Backend, Sandbox, SandboxError, Template
from pileus.services.lambda_ import debugging, errors
from pileus.services.lambda_.execution import FunctionSpec
from pileus.services.lambda_.hosting.catalog import Catalog, Missing, runtimes_folder
from pileus.services.lambda_.hosting.frame import Hosted, Place

log = logging.getLogger("pileus.lambda")

# How long a function stays pending for what its runtime needs, which then comes in the background.
_FETCH_PATIENCE_S = 10.0
# Templates with programs that wait for their function: of so many sizes of memory at a time.
_AHEAD_KEPT = 3


class TemplateKey(NamedTuple):
    language: str
    interpreter: str
    # Of the functions for which a program runs ahead; 0: none does.
    memory_mb: int


class Templates:
    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        choose_backend: Callable[[], Awaitable[Backend]],
        *,
        endpoint_port: int,
        on_ahead: Callable[[], None],
        on_fetched: Callable[[str], None],
    ) -> None:
        """`on_ahead`: programs wait for their function, and `rest` is to be called some time.

        `on_fetched`: what a runtime's very version needs has come.
        """
        self._clock = clock
        # Chosen, with what it costs to probe it, when there is something to run.
        self._choose_backend = choose_backend
        self._chosen: asyncio.Task[Backend] | None = None
        self._catalog = Catalog(runtimes_folder(settings), strict=settings.strict_runtimes)
        self._endpoint_port = endpoint_port
        self._on_ahead = on_ahead
        self._on_fetched = on_fetched
        self._started: dict[TemplateKey, asyncio.Task[Template]] = {}
        # When each was last wanted: those nobody has asked for keep no shells ready.
        self._wanted_at: dict[TemplateKey, float] = {}
        self._resting: set[TemplateKey] = set()
        self._fetching: dict[str, asyncio.Task[None]] = {}
        # What the runtimes that were asked for so far run on.
        self._hosted: dict[str, Hosted] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    # of runtimes

    def prepare(self, runtime: str, memory_mb: int) -> None:
        """See `execution.Pool`; so for the next three."""

        async def prepare() -> None:
            hosted = await self._catalog.choose(runtime)
            if isinstance(hosted, Hosted) and not self._closed:
                self._hosted[runtime] = hosted
                self._fetch_what_is_wanting(runtime)
                # Whoever needs it meets the error itself, if there is one.
                await asyncio.wait([self._template(hosted, memory_mb if hosted.language.ahead else 0)])

        if not self._closed:
            self._later(prepare())

    async def settle(self, runtime: str) -> None:
        await self._catalog.choose(runtime)
        self._fetch_what_is_wanting(runtime)
        fetching = self._fetching.get(runtime)
        if fetching is not None and not fetching.done():
            await asyncio.wait([fetching], timeout=_FETCH_PATIENCE_S)

    async def supports(self, runtime: str) -> str | None:
        found = await self._catalog.choose(runtime)
        return found.reason if isinstance(found, Missing) else None

    def runtimes(self) -> list[dict[str, str]]:
        """What the runtimes in use run on, for `pileus status`."""
        return [
            {
                "runtime": runtime,
                "runs_on": f"{hosted.language.title} {hosted.interpreter.full}" if hosted.interpreter else "",
                "note": hosted.note,
            }
            for runtime, hosted in sorted(self._hosted.items())
        ]

    # of environments

    async def shell(self, spec: FunctionSpec) -> tuple[Hosted, Sandbox, bool]:
        """What the version runs on, a shell for it, and whether its program is there already."""
        hosted = await self._catalog.choose(spec.runtime)
        if isinstance(hosted, Missing):
            raise errors.runtime_not_here(spec.runtime, hosted.reason)
        self._hosted[spec.runtime] = hosted
        self._fetch_what_is_wanting(spec.runtime)
        memory_mb = spec.memory_mb if _starts_ahead(hosted, spec) else 0
        if spec.debug_port:
            await debugging.prepare(hosted, self._catalog.folder)
        try:
            template = await asyncio.shield(self._template(hosted, memory_mb))
            sandbox = await template.shell()
        except SandboxError:
            # A template that died is made anew once.
            self._started.pop(_key(hosted, memory_mb), None)
            template = await asyncio.shield(self._template(hosted, memory_mb))
            sandbox = await template.shell()
        return hosted, sandbox, bool(template.spec.ahead)

    @property
    def backend(self) -> Backend:
        """Once there has been a shell."""
        assert self._chosen is not None
        return self._chosen.result()

    def place(self, *, private_root: bool) -> Place:
        return Place(endpoint_port=self._endpoint_port, private_root=private_root, folder=self._catalog.folder)

    @property
    def awake(self) -> bool:
        """Whether programs wait for their function, and may rest one day."""
        return any(key.memory_mb and key not in self._resting for key in self._started)

    def rest(self, limit: float = 0.0) -> None:
        """Programs that wait for their function take memory: none but those asked for last keep any ready.

        `limit`: those that were wanted before that moment do not, either.
        """
        ahead = [key for key in self._started if key.memory_mb and key not in self._resting]
        ahead.sort(key=lambda key: self._wanted_at[key], reverse=True)
        for place, key in enumerate(ahead):
            template = self._started[key]
            old = place >= _AHEAD_KEPT or self._wanted_at[key] < limit
            if old and template.done() and not template.cancelled() and template.exception() is None:
                self._resting.add(key)
                template.result().keep_ready(0)

    async def close(self) -> None:
        """End everything."""
        self._closed = True
        for task in [*self._tasks, *self._started.values()]:
            task.cancel()
        backends = [self._chosen] if self._chosen is not None else []
        await asyncio.gather(*self._tasks, *self._started.values(), *backends, return_exceptions=True)
        self._started.clear()
        if self._chosen is not None and not self._chosen.cancelled() and self._chosen.exception() is None:
            await self._chosen.result().close()

    # within

    def _template(self, hosted: Hosted, memory_mb: int) -> asyncio.Task[Template]:
        key = _key(hosted, memory_mb)
        found = self._started.get(key)
        self._wanted_at[key] = self._clock.monotonic()
        if found is not None and found.done():
            failed = found.cancelled() or found.exception() is not None
            if failed or not found.result().alive:
                found = None
            elif key in self._resting:
                self._resting.discard(key)
                found.result().keep_ready(hosted.language.ready_shells)
        if found is None:
            start = self._start(hosted, memory_mb)
            found = self._started[key] = asyncio.get_running_loop().create_task(start)
        if key.memory_mb:
            self.rest()
            self._on_ahead()
        return found

    async def _start(self, hosted: Hosted, memory_mb: int) -> Template:
        if self._chosen is None or (self._chosen.done() and self._chosen.exception() is not None):
            self._chosen = asyncio.get_running_loop().create_task(self._choose())
        backend = await asyncio.shield(self._chosen)
        place = self.place(private_root=backend.private_root)
        await hosted.language.make(hosted, place)
        template = await backend.template(hosted.language.template(hosted, place, memory_mb))
        template.keep_ready(hosted.language.ready_shells)
        return template

    async def _choose(self) -> Backend:
        backend = await self._choose_backend()
        probe = await backend.probe()
        for missing in probe.reduced:
            log.warning("isolation is reduced", extra={"details": {"backend": probe.backend, "missing": missing}})
        return backend

    def _fetch_what_is_wanting(self, runtime: str) -> None:
        """Bring, in the background, what the very version of a runtime needs before functions can have it."""
        wanting = self._catalog.wanting(runtime)
        if wanting is None or runtime in self._fetching:
            return
        language, interpreter = wanting
        assert language.fetch is not None
        fetching = language.fetch(interpreter, self._catalog.folder)

        async def fetch() -> None:
            try:
                await fetching
            except SandboxError as error:
                # Not tried again by this process: the network is not there, or the index has it not.
                log.warning(
                    "a runtime cannot be made ready", extra={"details": {"runtime": runtime, "why": str(error)}}
                )
                return
            self._on_fetched(runtime)

        self._fetching[runtime] = self._later(fetch())

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _key(hosted: Hosted, memory_mb: int) -> TemplateKey:
    program = str(hosted.interpreter.program) if hosted.interpreter else ""
    return TemplateKey(hosted.language.name, program, memory_mb)


def _starts_ahead(hosted: Hosted, spec: FunctionSpec) -> bool:
    return (
        hosted.language.ahead
        and not spec.debug_port
        and not any(name.startswith(hosted.language.read_at_start) for name in spec.environment)
    )
