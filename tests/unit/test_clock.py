"""The virtual clock: it moves by hand, and everybody wakes at their own time."""

import asyncio

import pytest

from pileus.kernel.clock import SystemClock, VirtualClock


@pytest.fixture
def clock():
    return VirtualClock(1000.0)


async def sleeper(clock, seconds, log, name=None):
    await clock.sleep(seconds)
    log.append((name or seconds, clock.time()))


async def test_it_stands_still(clock):
    assert clock.time() == clock.monotonic() == 1000.0
    await asyncio.sleep(0.01)
    assert clock.time() == 1000.0


async def test_everybody_wakes_at_their_time_in_order(clock):
    log = []
    tasks = [asyncio.create_task(sleeper(clock, seconds, log)) for seconds in (30, 10, 20, 5.5)]
    await clock.advance(20)
    assert log == [(5.5, 1005.5), (10, 1010.0), (20, 1020.0)]
    assert clock.time() == 1020.0
    await clock.advance(9.9)
    assert not tasks[0].done()
    await clock.advance(0.1)
    assert log[-1] == (30, 1030.0)
    await asyncio.gather(*tasks)


async def test_those_of_one_moment_wake_in_the_order_in_which_they_fell_asleep(clock):
    log = []
    tasks = [asyncio.create_task(sleeper(clock, 5, log, name)) for name in "abcdef"]
    await clock.advance(5)
    assert [name for name, _ in log] == list("abcdef")
    await asyncio.gather(*tasks)


async def test_a_chain_of_sleeps_is_walked_through(clock):
    log = []

    async def ticker():
        for _ in range(1000):
            await clock.sleep(60)
            log.append(clock.time())

    task = asyncio.create_task(ticker())
    await clock.advance(60_000)
    assert log == [1000.0 + 60 * n for n in range(1, 1001)]
    await task


async def test_a_jump_wakes_late_and_once(clock):
    log = []

    async def ticker():
        while True:
            await clock.sleep(60)
            log.append(clock.time())

    task = asyncio.create_task(ticker())
    await clock.jump(14 * 86400)
    assert log == [1000.0 + 14 * 86400]
    task.cancel()


async def test_a_cancelled_sleeper_is_forgotten(clock):
    log = []
    tasks = [asyncio.create_task(sleeper(clock, 10, log)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await clock.advance(60)
    assert len(log) == 2
    assert clock.time() == 1060.0


async def test_moving_waits_for_what_it_set_off(clock):
    """The work goes on in another thread for a while: the clock does not run away from it."""
    log = []

    async def work():
        for _ in range(3):
            await clock.sleep(10)
            await asyncio.to_thread(log.append, clock.time())

    task = asyncio.create_task(work())
    clock.watch(lambda: [task])
    await clock.advance(30)
    assert log == [1010.0, 1020.0, 1030.0]
    await task


async def test_moving_does_not_wait_for_ever():
    clock = VirtualClock(1000.0, patience_s=0.01)
    released = asyncio.Event()

    async def release():
        await clock.sleep(20)
        released.set()

    tasks = [asyncio.create_task(released.wait()), asyncio.create_task(release())]
    clock.watch(lambda: tasks)
    await clock.advance(20)
    await asyncio.gather(*tasks)


async def test_sleeping_no_time_lets_others_run(clock):
    log = []
    other = asyncio.create_task(sleeper(clock, 0, log))
    await clock.sleep(0)
    await clock.sleep(-5)
    assert log == [(0, 1000.0)] or await other is None
    assert clock.time() == 1000.0


async def test_it_can_run_and_be_moved():
    clock = VirtualClock(5000.0, running=True)
    await clock.sleep(0.01)
    assert 5000.01 <= clock.time() < 5060
    far = asyncio.create_task(clock.sleep(3600))
    await asyncio.sleep(0)
    await clock.advance(3600)
    await asyncio.wait_for(far, 5)
    assert 8600 <= clock.time() < 8660


async def test_the_system_clock_sleeps():
    clock = SystemClock()
    start, monotonic = clock.time(), clock.monotonic()
    await clock.sleep_until(start + 0.02)
    await clock.sleep(0.0)
    assert clock.time() >= start + 0.02
    assert clock.monotonic() > monotonic
    await clock.sleep_until(start)
