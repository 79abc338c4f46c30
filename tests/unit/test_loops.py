"""The driver of loops: by the period, by nudges, and on in spite of failures."""

import asyncio
import logging
import math

import pytest

from pileus.kernel.clock import SystemClock, VirtualClock
from pileus.kernel.loops import Driver


class World:
    def __init__(self):
        self.clock = VirtualClock(0.0)
        self.driver = Driver(self.clock)
        self.runs = []

    def step(self, answer=None):
        async def step():
            self.runs.append(self.clock.time())
            return answer

        return step

    @property
    def status(self):
        return self.driver.status()[0]


@pytest.fixture
async def world():
    world = World()
    yield world
    await world.driver.stop(0.1)


async def test_a_step_runs_at_the_start_and_by_its_period(world):
    world.driver.add("loop", world.step(), 10)
    await world.driver.start()
    await world.clock.advance(35)
    assert world.runs == [0, 10, 20, 30]
    status = world.status
    assert (status.name, status.runs, status.failures, status.last_run, status.next_due) == ("loop", 4, 0, 30, 40)
    assert not status.running


async def test_a_step_may_say_when_it_wants_to_run_again(world):
    answers = iter([3, None, 0, math.inf])

    async def step():
        world.runs.append(world.clock.time())
        return next(answers)

    world.driver.add("loop", step, 10)
    await world.driver.start()
    await world.clock.advance(1000)
    assert world.runs == [0, 3, 13, 13]
    assert world.status.next_due == math.inf


async def test_a_nudge_runs_it_soon_and_many_are_one(world):
    world.driver.add("loop", world.step(), 10)
    await world.driver.start()
    await world.clock.advance(4)
    for _ in range(5):
        world.driver.nudge("loop")
    await world.clock.advance(9)
    assert world.runs == [0, 4]
    await world.clock.advance(1)
    assert world.runs == [0, 4, 14]


async def test_a_nudge_while_it_runs_runs_it_once_more(world):
    async def step():
        world.runs.append(world.clock.time())
        if len(world.runs) == 1:
            world.driver.nudge("loop")
            await world.clock.sleep(1)
            world.driver.nudge("loop")

    world.driver.add("loop", step, 10)
    await world.driver.start()
    await world.clock.advance(5)
    assert world.runs == [0, 1]


async def test_nudges_come_from_any_thread():
    driver = Driver(SystemClock())
    runs = asyncio.Queue()

    async def step():
        await runs.put(True)

    driver.add("loop", step, 3600)
    await driver.start()
    await runs.get()
    await asyncio.to_thread(driver.nudge, "loop")
    await asyncio.wait_for(runs.get(), 5)
    await driver.stop()
    driver.nudge("loop")


async def test_a_nudge_before_the_start_or_of_a_loop_that_is_not_there_yet_is_harmless(world):
    # A service that starts may put off work before its loops are there.
    world.driver.nudge("loop")
    world.driver.add("loop", world.step(), 10)
    world.driver.nudge("loop")
    await world.driver.start()
    await world.clock.advance(1)
    assert world.runs == [0]
    with pytest.raises(ValueError, match="there is a loop loop already"):
        world.driver.add("loop", world.step(), 10)


async def test_a_failure_is_logged_and_tried_again_later_each_time(world, caplog):
    async def step():
        world.runs.append(world.clock.time())
        if len(world.runs) <= 4:
            raise OSError("broken")

    world.driver.add("loop", step, 1000)
    await world.driver.start()
    with caplog.at_level(logging.ERROR):
        await world.clock.advance(2)
        world.driver.nudge("loop")
        await world.clock.advance(13)
    assert world.runs == [0, 1, 3, 7, 15]
    assert "loop loop failed, runs again in 8 s" in caplog.text
    status = world.status
    assert (status.runs, status.failures, status.failures_in_a_row, status.last_error) == (1, 4, 0, "OSError: broken")
    assert status.next_due == 1015


async def test_the_wait_after_failures_is_limited(world):
    async def step():
        world.runs.append(world.clock.time())
        raise OSError("broken")

    world.driver.add("loop", step, 1)
    await world.driver.start()
    await world.clock.advance(1000)
    assert world.runs[-1] - world.runs[-2] == 60


async def test_a_step_that_is_cancelled_from_elsewhere_counts_as_failed(world):
    async def step():
        world.runs.append(world.clock.time())
        if len(world.runs) == 1:
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

    world.driver.add("loop", step, 1000)
    await world.driver.start()
    await world.clock.advance(1)
    assert world.runs == [0, 1]
    assert world.status.failures == 1


async def test_loops_do_not_wait_for_each_other(world):
    async def slow():
        await world.clock.sleep(50)

    world.driver.add("slow", slow, 1)
    world.driver.add("quick", world.step(), 10)
    await world.driver.start()
    await world.clock.advance(30)
    assert world.runs == [0, 10, 20, 30]
    assert [status.running for status in world.driver.status()] == [True, False]


async def test_without_the_lease_nothing_runs(world):
    held = False

    async def lease(name):
        assert name == "loop"
        return held

    world.driver = Driver(world.clock, lease)
    world.driver.add("loop", world.step(), 10)
    await world.driver.start()
    await world.clock.advance(25)
    assert world.runs == []
    held = True
    await world.clock.advance(10)
    assert world.runs == [30]


async def test_stopping_gives_a_step_its_time_and_cancels_it_after_that():
    driver = Driver(SystemClock())
    ended, started = [], asyncio.Semaphore(0)

    async def short():
        started.release()
        await asyncio.sleep(0.02)
        ended.append("short")

    async def endless():
        started.release()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("endless cancelled")
            raise

    driver.add("short", short, 3600)
    driver.add("endless", endless, 3600)
    await driver.start()
    await started.acquire()
    await started.acquire()
    await driver.stop(grace_s=0.2)
    assert ended == ["short", "endless cancelled"]


async def test_a_loop_may_be_added_later(world):
    await world.driver.start()
    world.driver.add("loop", world.step(), 10)
    await world.clock.advance(10)
    assert world.runs == [0, 10]


async def test_weeks_are_walked_through_in_no_time(world):
    world.driver.add("loop", world.step(), 3600)
    await world.driver.start()
    await world.clock.advance(14 * 86400)
    assert len(world.runs) == 14 * 24 + 1
