"""The outbox on the virtual clock, on every engine of the store."""

import asyncio
import collections
import itertools

import msgspec
import pytest

from pileus.delivery.contract import Dead, Delivery, Retry, Undeliverable
from pileus.delivery.deliverer import Deliverer
from pileus.delivery.outbox import open_outbox
from pileus.kernel.clock import VirtualClock
from pileus.kernel.ids import Ids
from pileus.kernel.loops import Driver
from pileus.store.contract import StoreUnavailable

START = 1000.0


class World:
    """A store with its outbox; `restart` begins again on the same store, as after a crash."""

    def __init__(self, store):
        self.store = store
        self.clock = VirtualClock(START)
        self.log = []
        self.failing = collections.Counter()
        self.ids = Ids(7)

    async def start(self, limit=64):
        self.driver = Driver(self.clock)
        self.outbox = await open_outbox(self.store, ids=self.ids)
        self.deliverer = Deliverer(
            self.store, self.outbox, clock=self.clock, ids=self.ids, nudge=lambda: self.driver.nudge("outbox")
        )
        self.driver.add("outbox", self.deliverer.step, 3600)
        self.deliverer.register("t", self.handle, limit=limit)
        await self.driver.start()

    async def stop(self):
        await self.driver.stop(0.1)
        await self.deliverer.stop(0.1)

    async def handle(self, delivery):
        """Logs name and time; fails as often as `failing` says."""
        name = delivery.payload["name"]
        self.log.append((name, self.clock.time() - START))
        if self.failing[name]:
            self.failing[name] -= 1
            raise OSError(f"{name} failed")

    async def put(self, *names, target="t", **how):
        async def fn(tx):
            return [
                self.outbox.put(tx, target=target, payload={"name": name}, now=self.clock.time(), **how)
                for name in names
            ]

        return await self.store.write(fn)

    async def cancel(self, id):
        return await self.store.write(lambda tx: self.outbox.cancel(tx, id))

    async def left(self):
        pairs = await self.store.read(lambda reader: reader.scan(b"", b"\xff", limit=10_000))
        return [key for key, _ in pairs if b"starts" not in key]

    @property
    def names(self):
        return [name for name, _ in self.log]


async def until(condition):
    async with asyncio.timeout(10):
        # What is waited for knows nothing of the test.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.fixture
async def world(store):
    world = World(store)
    await world.start()
    yield world
    await world.stop()


async def test_a_delivery_is_handed_over_at_once_and_forgotten(world):
    (id,) = await world.put("a")
    await world.clock.rest()
    assert world.log == [("a", 0)]
    assert await world.left() == []
    assert await world.cancel(id) is False


async def test_the_handler_gets_what_was_put(world):
    got = []

    async def handler(delivery):
        got.append(delivery)

    world.deliverer.register("other", handler)

    async def fn(tx):
        world.outbox.put(
            tx,
            target="other",
            payload={"text": "ü", "bytes": b"\x00\xff", "list": [1, 2.5, None, True]},
            now=START,
            due=START + 5,
            id="mine",
            order="line",
            attempts_max=3,
            age_max_s=60,
            backoff_s=(1, 2),
        )

    await world.store.write(fn)
    await world.clock.advance(5)
    assert got == [
        Delivery(
            id="mine",
            target="other",
            payload={"text": "ü", "bytes": b"\x00\xff", "list": [1, 2.5, None, True]},
            order="line",
            created=START,
            due=START + 5,
            attempts_max=3,
            age_max_s=60,
            backoff_s=(1.0, 2.0),
        )
    ]


async def test_what_is_due_later_comes_at_its_time_in_order(world):
    await world.put("c", due=START + 30)
    await world.put("a", due=START + 10.5)
    await world.put("b", due=START + 20)
    await world.put("past", due=START - 100)
    await world.clock.advance(25)
    assert world.log == [("past", 0), ("a", 10.5), ("b", 20)]
    await world.clock.advance(25)
    assert world.log[3:] == [("c", 30)]


async def test_nothing_is_delivered_of_a_transaction_that_failed(world):
    async def fn(tx):
        world.outbox.put(tx, target="t", payload={"name": "no"}, now=START)
        raise KeyError

    with pytest.raises(KeyError):
        await world.store.write(fn)
    await world.put("yes")
    await world.clock.advance(10)
    assert world.names == ["yes"]


async def test_a_delivery_can_be_taken_back(world):
    (first,) = await world.put("a", due=START + 10)
    await world.put("b", due=START + 10)
    assert await world.cancel(first) is True
    assert await world.cancel(first) is False
    assert await world.cancel("unknown") is False
    await world.clock.advance(20)
    assert world.names == ["b"]


async def test_putting_an_id_again_replaces_it(world):
    await world.put("old", due=START + 10, id="x")
    await world.put("new", due=START + 20, id="x")
    await world.clock.advance(15)
    assert world.log == []
    await world.clock.advance(15)
    assert world.log == [("new", 20)]
    await world.put("later", due=START + 90, id="y")
    await world.put("sooner", due=START + 40, id="y")
    await world.clock.advance(100)
    assert world.log[1:] == [("sooner", 40)]
    assert await world.left() == []


async def test_what_is_replaced_while_it_is_under_way_is_delivered_as_well(world):
    started, go_on = asyncio.Event(), asyncio.Event()

    async def handler(delivery):
        world.log.append(delivery.payload["name"])
        started.set()
        await go_on.wait()

    world.deliverer.register("slow", handler)
    await world.put("old", target="slow", id="x")
    await started.wait()
    await world.put("new", target="slow", id="x", due=START + 10)
    go_on.set()
    await world.clock.advance(20)
    assert world.log == ["old", "new"]
    assert await world.left() == []


# Failures


async def test_a_failed_attempt_is_repeated_with_growing_waits(world):
    world.failing["a"] = 12
    await world.put("a")
    await world.clock.advance(3600)
    times = [when for _, when in world.log]
    assert len(times) == 13
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    for n, wait in enumerate(waits):
        longest = min(2.0**n, 300)
        assert longest / 2 <= wait <= longest
    assert await world.left() == []
    (status,) = world.deliverer.status()
    assert (status.delivered, status.failed_attempts, status.given_up, status.under_way) == (1, 12, 0, 0)


async def test_waits_of_ones_own_are_kept(world):
    world.failing["a"] = 4
    await world.put("a", backoff_s=(60, 120))
    await world.clock.advance(1000)
    assert [when for _, when in world.log] == [0, 60, 180, 300, 420]


async def test_attempts_end_and_the_dead_letter_target_is_told(world):
    dead = []

    async def bury(delivery):
        assert delivery.attempts == 0
        dead.append((world.clock.time() - START, msgspec.convert(delivery.payload, Dead)))

    world.deliverer.register("dead", bury)
    world.failing["a"] = 99
    (id,) = await world.put("a", attempts_max=3, backoff_s=(60, 120), dead_target="dead")
    await world.clock.advance(1000)
    assert [when for _, when in world.log] == [0, 60, 180]
    ((when, told),) = dead
    assert when == 180
    assert told.reason == "AttemptsExhausted"
    assert told.delivery.id == id
    assert told.delivery.payload == {"name": "a"}
    assert told.delivery.attempts == 3
    assert told.delivery.last_error == "OSError: a failed"
    assert await world.left() == []


async def test_without_a_dead_letter_target_it_is_logged(world, caplog):
    world.failing["a"] = 99
    await world.put("a", attempts_max=1)
    await world.clock.advance(10)
    assert "is lost: AttemptsExhausted, OSError: a failed" in caplog.text
    assert await world.left() == []


async def test_a_delivery_grows_too_old(world):
    dead = []

    async def bury(delivery):
        dead.append((world.clock.time() - START, delivery.payload["reason"]))

    world.deliverer.register("dead", bury)
    world.failing["a"] = 99
    await world.put("a", due=START + 1000, age_max_s=100, backoff_s=(40,), dead_target="dead")
    await world.clock.advance(2000)
    assert [when for _, when in world.log] == [1000, 1040, 1080]
    assert dead == [(1100, "AgeExceeded")]


async def test_what_was_never_tried_is_tried_however_old(world):
    await world.stop()
    await world.put("a", age_max_s=60)
    await world.clock.jump(7 * 86400)
    await world.start()
    await world.clock.rest()
    assert world.names == ["a"]


async def test_handlers_say_never_and_not_now(world):
    dead, seen = [], []

    async def handler(delivery):
        seen.append((delivery.payload["name"], world.clock.time() - START, delivery.attempts))
        if delivery.payload["name"] == "never":
            raise Undeliverable("no such function")
        if len([1 for name, _, _ in seen if name == "throttled"]) <= 4:
            raise Retry("throttled", after_s=7, counted=False)

    async def bury(delivery):
        dead.append(msgspec.convert(delivery.payload, Dead))

    world.deliverer.register("h", handler)
    world.deliverer.register("dead", bury)
    await world.put("never", "throttled", target="h", attempts_max=2, dead_target="dead")
    await world.clock.advance(100)
    assert seen == [("never", 0, 0), *(("throttled", 7 * n, 0) for n in range(5))]
    ((reason, error),) = [(told.reason, told.delivery.last_error) for told in dead]
    assert (reason, error) == ("Undeliverable", "Undeliverable: no such function")


async def test_a_handler_that_is_cancelled_or_changes_its_delivery_harms_nothing(world):
    seen = []

    async def handler(delivery):
        seen.append((dict(delivery.payload), delivery.attempts))
        delivery.payload["name"] = "changed"
        delivery.attempts = 77
        if len(seen) == 1:
            raise asyncio.CancelledError
        if len(seen) == 2:
            raise OSError

    world.deliverer.register("h", handler)
    await world.put("a", target="h", attempts_max=5)
    await world.clock.advance(100)
    assert seen == [({"name": "a"}, 0), ({"name": "a"}, 1), ({"name": "a"}, 2)]


async def test_a_dead_letter_that_fails_is_repeated(world):
    calls = []

    async def bury(delivery):
        calls.append(1)
        if len(calls) < 3:
            raise OSError

    world.deliverer.register("dead", bury)
    world.failing["a"] = 1
    await world.put("a", attempts_max=1, dead_target="dead")
    await world.clock.advance(100)
    assert len(calls) == 3
    assert await world.left() == []


# Order


async def test_deliveries_of_one_order_key_come_one_after_the_other(world):
    under_way, log = collections.Counter(), []

    async def handler(delivery):
        under_way[delivery.order] += 1
        assert under_way[delivery.order] == 1
        await asyncio.sleep(0)
        log.append((delivery.order, delivery.payload["name"]))
        under_way[delivery.order] -= 1

    world.deliverer.register("h", handler)
    expected = collections.defaultdict(list)
    for n in range(40):
        line = "xyz"[n % 3]
        expected[line].append(n)
        await world.put(n, target="h", order=line)
    await world.clock.advance(1)
    for line, numbers in expected.items():
        assert [n for order, n in log if order == line] == numbers
    assert await world.left() == []


async def test_one_that_fails_holds_back_its_line_and_no_other(world):
    world.failing["a1"] = 2
    await world.put("a1", "a2", "a3", order="a", backoff_s=(10,))
    await world.put("b1", "b2", order="b")
    await world.put("free")
    await world.clock.advance(100)
    assert [when for name, when in world.log if name == "a1"] == [0, 10, 20]
    assert [pair for pair in world.log if pair[0] in ("a2", "a3")] == [("a2", 20), ("a3", 20)]
    assert {pair for pair in world.log if pair[0] in ("b1", "b2", "free")} == {("b1", 0), ("b2", 0), ("free", 0)}
    assert world.names.index("b1") < world.names.index("b2")
    assert await world.left() == []


async def test_a_line_goes_on_when_its_first_is_given_up_taken_back_or_replaced(world):
    world.failing["a"] = 99
    await world.put("a", order="x", attempts_max=2, backoff_s=(5,))
    await world.put("b", order="x", id="b")
    await world.put("c", order="x", id="c")
    await world.put("d", order="x")
    await world.clock.rest()
    assert await world.cancel("b") is True
    await world.put("c2", order="x", id="c")
    await world.clock.advance(10)
    assert world.log == [("a", 0), ("a", 5), ("d", 5), ("c2", 5)]
    assert await world.left() == []


async def test_the_first_of_a_line_may_be_taken_back_or_replaced(world):
    await world.put("a", order="x", id="a", due=START + 10)
    await world.put("b", order="x", id="b")
    await world.put("c", order="x", id="c")
    await world.clock.advance(1)
    assert world.log == []
    await world.cancel("a")
    await world.clock.advance(1)
    assert world.log == [("b", 1), ("c", 1)]
    await world.put("d", order="y", id="d", due=START + 50)
    await world.put("e", order="y", id="e")
    await world.clock.advance(1)
    await world.put("d2", order="y", id="d", due=START + 20)
    await world.clock.advance(100)
    assert world.log[2:] == [("e", 50), ("d2", 50)]
    assert await world.left() == []


async def test_a_line_outlives_restarts(world):
    world.failing["a"] = 99
    await world.put("a", "b", order="x", backoff_s=(10,))
    await world.clock.rest()
    for turn in range(3):
        await world.stop()
        await world.start()
        await world.put(turn, order="x")
        await world.clock.rest()
    world.failing["a"] = 0
    await world.clock.advance(10)
    assert world.names[-5:] == ["a", "b", 0, 1, 2]
    assert await world.left() == []


# Many, and slow ones


async def test_one_slow_target_holds_up_no_other(world):
    going = asyncio.Event()

    async def slow(delivery):
        await going.wait()

    world.deliverer.register("slow", slow, limit=4)
    await world.put(*range(500), target="slow")
    await world.put(*range(100))
    await until(lambda: len(world.log) == 100)
    assert sorted(world.names) == list(range(100))
    status = {status.target: status for status in world.deliverer.status()}
    assert status["slow"].under_way == 4
    going.set()
    await world.clock.rest()
    assert await world.left() == []


async def test_the_limit_of_a_target_is_kept(world):
    under_way, most = 0, 0

    async def handler(delivery):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.0001)
        under_way -= 1

    world.deliverer.register("h", handler, limit=7)
    await world.put(*range(200), target="h")
    await world.clock.rest()
    assert await world.left() == []
    assert most == 7


async def test_an_unknown_target_waits_for_its_handler(world, caplog):
    await world.put("a", target="later")
    await world.clock.advance(100)
    assert "no handler for the target later" in caplog.text
    world.deliverer.register("later", world.handle)
    await world.clock.advance(1)
    assert world.names == ["a"]
    with pytest.raises(ValueError, match="a handler for later already"):
        world.deliverer.register("later", world.handle)


async def test_an_idle_outbox_sleeps(world):
    await world.clock.rest()
    runs = world.driver.status()[0].runs
    await world.put("a", due=START + 100_000)
    await world.clock.rest()
    assert world.driver.status()[0].next_due == START + 100_000
    await world.clock.advance(99_999)
    assert world.driver.status()[0].runs <= runs + 2
    await world.clock.advance(1)
    assert world.log == [("a", 100_000)]


async def test_what_was_under_way_at_the_end_is_handed_over_again(world):
    never = asyncio.Event()

    async def stuck(delivery):
        world.log.append("stuck")
        await never.wait()

    world.deliverer.register("stuck", stuck)
    await world.put("a", target="stuck")
    await until(lambda: world.log)
    await world.stop()
    await world.start()
    world.deliverer.register("stuck", world.handle)
    await world.clock.rest()
    assert world.log == ["stuck", ("a", 0)]
    assert await world.left() == []


async def test_what_cannot_be_struck_off_is_handed_over_again(world, monkeypatch, caplog):
    """The handler succeeded, but the store fails just then."""
    write = world.store.write
    broken = 2

    async def failing(fn):
        nonlocal broken
        if broken and world.log:
            broken -= 1
            raise StoreUnavailable("no space left")
        return await write(fn)

    monkeypatch.setattr(world.store, "write", failing)
    await world.put("a", "b")
    await world.clock.advance(10)
    assert sorted(world.log) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert "no space left" in caplog.text
    assert await world.left() == []


async def test_a_handler_may_come_while_deliveries_are_looked_for(world, monkeypatch):
    """As services do that are loaded when they are needed."""
    read = world.store.read
    late = iter(range(3))

    async def reading(fn):
        for number in itertools.islice(late, 1):
            world.deliverer.register(f"late{number}", world.handle)
        return await read(fn)

    monkeypatch.setattr(world.store, "read", reading)
    await world.put("a")
    await world.put("b", target="late0")
    await world.clock.rest()
    # Neither waits until a step that failed is run again.
    assert sorted(world.log) == [("a", 0), ("b", 0)]
    assert world.driver.status()[0].failures == 0
