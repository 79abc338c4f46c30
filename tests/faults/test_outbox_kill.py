"""kill -9 while events are put and delivered: each is delivered at least once, in order where order is promised."""

import asyncio
import collections
import random

from killing import run_and_kill

from pileus.delivery.contract import Retry
from pileus.delivery.deliverer import Deliverer
from pileus.delivery.outbox import open_outbox
from pileus.kernel.clock import SystemClock
from pileus.kernel.ids import Ids
from pileus.kernel.loops import Driver
from pileus.store import keys
from pileus.store.sqlite import open_store

ROUNDS = 100
LINES = ["", "x", "y", "z"]
SENT = keys.pack("test", "sent")


async def start(folder, handler):
    store = open_store(folder, "relaxed")
    clock, ids = SystemClock(), Ids()
    driver = Driver(clock)
    outbox = await open_outbox(store, ids=ids)
    deliverer = Deliverer(store, outbox, clock=clock, ids=ids, nudge=lambda: driver.nudge("outbox"))
    driver.add("outbox", deliverer.step, 60)
    deliverer.register("t", handler)
    await driver.start()
    return store, outbox, driver, deliverer


async def work(report, folder, seed):
    noise = random.Random(seed)

    async def handler(delivery):
        if noise.random() < 0.2:
            raise Retry("not now", after_s=0.002)
        report(f"delivered {delivery.order or '-'} {delivery.payload['n']}")

    store, outbox, *_ = await start(folder, handler)
    report("open")

    async def client(order):
        while True:

            async def send(tx):
                n = int(await tx.get(keys.pack_onto(SENT, order)) or b"0") + 1
                tx.put(keys.pack_onto(SENT, order), b"%d" % n)
                outbox.put(tx, target="t", payload={"n": n}, now=0.0, age_max_s=1e12, order=order)

            await store.write(send)
            await asyncio.sleep(0)

    await asyncio.gather(*map(client, LINES))


async def drain(folder, delivered):
    """Deliver what is left; returns how many of each line were sent."""

    async def handler(delivery):
        delivered.append((delivery.order, delivery.payload["n"]))

    store, _, driver, deliverer = await start(folder, handler)

    async def rest():
        return await store.read(lambda reader: reader.scan(*keys.prefix_range("outbox"), limit=2))

    async with asyncio.timeout(60):
        while len(left := await rest()) > 1:  # noqa: ASYNC110 -- for the handlers, which know nothing of the test
            await asyncio.sleep(0.01)
    assert [keys.unpack(key)[1] for key, _ in left] == ["starts"]
    await driver.stop()
    await deliverer.stop()
    sent = {
        keys.unpack(key, len(SENT))[0]: int(value)
        for key, value in await store.read(lambda reader: reader.scan(*keys.range_onto(SENT), limit=100))
    }
    await store.close()
    return sent


def test_killed_at_any_moment(tmp_path):
    chance = random.Random(6)
    delivered = []
    for turn in range(ROUNDS):
        # After so many reports, not after so much time: on a busy machine little would be done by then.
        lines = run_and_kill(
            lambda report, turn=turn: work(report, tmp_path, turn),
            after_reports=chance.randrange(1, 40),
            after_s=chance.uniform(0, 0.004),
        )
        for line in lines:
            if line != "open":
                _, order, n = line.split()
                delivered.append((order.replace("-", ""), int(n)))
    sent = asyncio.run(drain(tmp_path, delivered))
    by_line = collections.defaultdict(list)
    for order, n in delivered:
        by_line[order].append(n)
    for order in LINES:
        assert sent[order] > ROUNDS
        assert set(by_line[order]) == set(range(1, sent[order] + 1))
    repeated = 0
    for order in LINES[1:]:
        # In order; one that was under way at a kill comes again before the next.
        for before, after in zip(by_line[order], by_line[order][1:], strict=False):
            assert after in (before, before + 1)
            repeated += after == before
    assert repeated < ROUNDS * len(LINES)
