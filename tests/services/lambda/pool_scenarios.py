"""How many environments there are, and which; run by `sandbox_lab`, see `test_environments.py`."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal

from pileus.kernel.clock import SystemClock
from pileus.services.lambda_ import pool
from pileus.services.lambda_.execution import NoCapacity
from pileus.services.lambda_.runs import Life
from sandbox_lab import Lab

ECHO = "def handler(event, context):\n    return event\n"
SLOW = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return event\n"
# Room for two environments, and not for three.
TWO_MB = 20


class Ahead(SystemClock):
    """Real time, and what was added to it."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


async def try_reaping_what_is_idle(lab: Lab) -> None:
    clock = Ahead()
    pool._REAP_EVERY_S = 0.05
    async with lab.another(clock, idle_timeout_s=600) as own:
        cold, kept = own.function(ECHO), own.function(ECHO)
        await own.answer(cold)
        assert await own.pool.provision(kept, 1) == 1
        (provisioned,) = own.environments(kept)
        clock.ahead_s = 599
        own.pool._reap()
        assert len(own.environments(cold)) == 1
        clock.ahead_s = 700
        # By the timer: nobody calls.
        await own.until(lambda: not own.environments(cold))
        assert own.environments(kept) == [provisioned]
        assert await own.answer(cold, 1) == 1
        assert await own.answer(kept, 2) == 2


async def try_reaping_down_to_what_is_provisioned(lab: Lab) -> None:
    clock = Ahead()
    async with lab.another(clock, idle_timeout_s=600) as own:
        spec = own.function(SLOW)
        assert await own.pool.provision(spec, 1) == 1
        await asyncio.gather(*(own.answer(spec, 0.3) for _ in range(3)))
        assert len(own.environments(spec)) == 3
        clock.ahead_s = 700

        def reaped() -> bool:
            # An environment is idle a moment after its answer, and only then is it reaped.
            own.pool._reap()
            return len(own.environments(spec)) == 1

        await own.until(reaped)
        assert own.pool.ready(spec.fingerprint) == 1


async def try_evicting_the_coldest(lab: Lab) -> None:
    async with lab.another(memory_budget_mb=TWO_MB) as own:
        first, second, third = (own.function(ECHO) for _ in range(3))
        await own.answer(first)
        await own.answer(second)
        await own.answer(first)
        await own.answer(third)
        assert [len(own.environments(each)) for each in (first, second, third)] == [1, 0, 1]


async def try_having_no_room(lab: Lab) -> None:
    async with lab.another(memory_budget_mb=TWO_MB) as own:
        spec = own.function(SLOW)
        # All at once: those that are still being made count.
        found = await asyncio.gather(*(own.answer(spec, 0.5) for _ in range(5)), return_exceptions=True)
        assert [each for each in found if not isinstance(each, BaseException)] == [0.5, 0.5]
        refused = [each for each in found if isinstance(each, BaseException)]
        assert len(refused) == 3
        for each in refused:
            assert isinstance(each, NoCapacity)
            assert (each.code, each.status) == ("EC2ThrottledException", 502)
        # Once they are done there is room again.
        assert await own.answer(own.function(ECHO), "again") == "again"


async def try_replacing_a_provisioned_one_that_dies(lab: Lab) -> None:
    async with lab.another() as own:
        spec = own.function(ECHO)
        assert await own.pool.provision(spec, 2) == 2
        before = own.environments(spec)
        # What is frozen dies when it is thawed.
        await own.until(lambda: before[0].sandbox._frozen)
        before[0].sandbox.thaw()
        os.kill(before[0].sandbox.pid, signal.SIGKILL)
        await own.until(lambda: before[0].life is Life.CLOSED and own.pool.ready(spec.fingerprint) == 2)
        assert before[1] in own.environments(spec)
        assert (await own.run(spec)).init_ms is None


async def try_replacing_a_provisioned_one_that_timed_out(lab: Lab) -> None:
    async with lab.another() as own:
        spec = own.function(SLOW, timeout_s=1.0)
        assert await own.pool.provision(spec, 1) == 1
        (before,) = own.environments(spec)
        assert b"timed out" in (await own.run(spec, 5)).payload
        await own.until(lambda: own.pool.ready(spec.fingerprint) == 1 and before not in own.environments(spec))


async def try_programs_that_wait_are_few(lab: Lab) -> None:
    """They are started for a size of memory: those of sizes that were asked for long ago are ended."""
    if shutil.which("node") is None:
        return
    ahead = Ahead()
    async with lab.another(clock=ahead) as own:

        def ready() -> dict[int, int]:
            done = {key.memory_mb: task.result() for key, task in own.pool._templates._started.items() if task.done()}
            return {memory_mb: len(template._ready) for memory_mb, template in done.items()}  # type: ignore[attr-defined]

        for memory_mb in (128, 256, 512, 1024):
            spec = own.function(
                {"index.js": "exports.handler = async () => 1"}, runtime="nodejs20.x", memory_mb=memory_mb
            )
            assert await own.answer(spec) == 1
        await own.until(lambda: ready() == {128: 0, 256: 2, 512: 2, 1024: 2})
        ahead.ahead_s += own.pool._settings.idle_timeout_s + 1
        own.pool._reap()
        await own.until(lambda: ready() == {128: 0, 256: 0, 512: 0, 1024: 0})
        # And they come back with the next one.
        assert (
            await own.answer(own.function({"index.js": "exports.handler = async () => 2"}, runtime="nodejs20.x")) == 2
        )
        await own.until(lambda: ready()[256] == 2)


async def try_retiring_while_provisioning(lab: Lab) -> None:
    async with lab.another() as own:
        spec = own.function("import time\ntime.sleep(0.5)\n" + ECHO)
        provisioning = asyncio.create_task(own.pool.provision(spec, 3))
        await own.until(lambda: bool(own.environments(spec)))
        await own.pool.retire(spec.fingerprint)
        assert await provisioning == 0
        assert not own.environments(spec)
