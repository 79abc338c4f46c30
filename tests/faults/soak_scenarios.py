"""Many functions at once and for long, on one pool; run by `sandbox_lab`, see `test_soak.py`."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from pathlib import Path
from typing import Any

from pileus.kernel.clock import SystemClock
from pileus.sandbox import processes
from pileus.services.lambda_.execution import FunctionSpec
from sandbox_lab import Lab

# Answers with its own name, so that whoever gets the answer of another sees it.
NAMED = "def handler(event, context):\n    return [context.function_name, context.aws_request_id, event]\n"
MIXED = """
import os
kept = open("/tmp/kept", "a")

def handler(event, context):
    if event == "raise":
        raise ValueError(event)
    if event == "exit":
        os._exit(3)
    if event == "fork" and os.fork() == 0:
        os._exit(0)
    print(event)
    return event
"""


async def try_a_hundred_cold_starts_at_once(lab: Lab) -> None:
    specs = [lab.function(NAMED, f"cold{number}", timeout_s=60.0) for number in range(100)]
    answers = await asyncio.gather(*(lab.answer(spec, number) for number, spec in enumerate(specs)))
    assert [(name, event) for name, _, event in answers] == [(f"cold{number}", number) for number in range(100)]
    await asyncio.gather(*(lab.pool.retire(spec.fingerprint) for spec in specs))


async def try_a_thousand_invocations_of_fifty_functions(lab: Lab) -> None:
    """In random order, eight at a time: no answer goes to the wrong caller."""
    specs = [lab.function(NAMED, f"one{number}") for number in range(50)]
    order = [(spec, number) for number, spec in enumerate(specs * 20)]
    random.Random(50).shuffle(order)
    turns = asyncio.Semaphore(8)

    async def ask(spec: FunctionSpec, number: int) -> tuple[str, int, str]:
        async with turns:
            name, request, event = await lab.answer(spec, number)
            assert (name, event) == (spec.name, number)
            return name, number, request

    answered = await asyncio.gather(*(ask(*each) for each in order))
    assert len({request for _, _, request in answered}) == 1000
    await asyncio.gather(*(lab.pool.retire(spec.fingerprint) for spec in specs))


class _Hours(SystemClock):
    """Real time, and what was added to it."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


async def try_an_hour_of_traffic(lab: Lab) -> None:
    """Environments come, fail, are reaped and come again for an hour: nothing of this process or the machine grows."""
    clock = _Hours()
    async with lab.another(clock, idle_timeout_s=300) as own:
        specs = [own.function(MIXED, f"soak{number}", timeout_s=20.0) for number in range(4)]
        draw = random.Random(3600)

        async def minute() -> None:
            for spec in draw.sample(specs, 2):
                await own.run(spec, draw.choice(["raise", "exit", "fork", "print", "print", "print"]))
            clock.ahead_s += 60
            own.pool._reap()

        async def held() -> dict[str, int]:
            """What is held once every environment has been reaped."""
            clock.ahead_s += 600

            def reaped() -> bool:
                own.pool._reap()
                return not any(own.environments(spec) for spec in specs)

            await own.until(reaped)
            await own.until(lambda: not own.pool._tasks)
            # The shells that are kept ready are there again, of both pools.
            tasks = [*own.pool._templates._started.values(), *lab.pool._templates._started.values()]
            kept: list[Any] = [task.result() for task in tasks]
            await own.until(lambda: all(len(each._ready) >= each._wanted and not each._filling for each in kept))
            gc.collect()
            return _held()

        for _ in range(3):
            await minute()
        before = await held()
        for _ in range(57):
            await minute()
        after = await held()
        megabytes = after.pop("memory MB") - before.pop("memory MB")
        assert after == before
        # Of logs and whatever else is kept on purpose for a while; an environment's own things would be 100 times that.
        assert megabytes < 16


def _held() -> dict[str, int]:
    groups = [
        name
        for _, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if name.startswith("pileus-") or "soak" in name
    ]
    own = os.getpid()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "groups of this process": len([name for name in groups if f"-{own}-" in name]),
        # The template and what is kept ready.
        "processes": len(processes.below(own)),
        "namespaces": len({_namespace(pid, kind) for pid in processes.below(own) for kind in ("net", "mnt", "pid")}),
        "tasks": len(asyncio.all_tasks()),
        "memory MB": int(processes.proportional_mb(own)),
    }


def _namespace(pid: int, kind: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""
