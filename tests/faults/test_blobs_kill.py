"""kill -9 while blobs are written, named and given up: named ones are whole, others are gone."""

import asyncio
import os
import random
from hashlib import sha256

from killing import run_and_kill

from pileus.kernel.clock import VirtualClock
from pileus.kernel.ids import Ids
from pileus.store import keys
from pileus.store.blobs_local import RELEASED_AGE_S, LocalBlobs
from pileus.store.sqlite import open_store

ROUNDS = 100
NAMES = 12
NAMED = keys.pack("test", "named")


def open_both(folder):
    store = open_store(folder / "store", "relaxed")
    clock = VirtualClock()
    return store, LocalBlobs(folder / "blobs", store, clock=clock, ids=Ids()), clock


async def work(report, folder, seed):
    """Names point to blobs: new ones take the place of old ones, or fail, or are left alone."""
    noise = random.Random(seed)
    store, blobs, clock = open_both(folder)
    report("open")

    async def replace(name):
        size = noise.choice([0, 10, 5000, 300_000, 2_500_000])
        data = noise.randbytes(1000) * (size // 1000)
        writer = blobs.create()
        for at in range(0, len(data), 400_000):
            await writer.write(data[at : at + 400_000])
        fate = noise.random()
        if fate < 0.1:
            await writer.abort()
            return
        await writer.finish()
        if fate < 0.2:
            return
        label = f"{writer.id} {sha256(data).hexdigest()}"

        async def point(tx):
            old = await tx.get(keys.pack_onto(NAMED, name))
            if old is not None:
                blobs.release(tx, old.decode().split()[0])
            blobs.adopt(tx, writer.id)
            tx.put(keys.pack_onto(NAMED, name), label.encode())

        await store.write(point)
        report(f"{name} {label}")

    async def client(name):
        while True:
            await replace(name)

    async def sweeper():
        while True:
            await clock.jump(RELEASED_AGE_S + 1)
            await blobs.sweep()

    await asyncio.gather(sweeper(), *map(client, range(NAMES)))


async def check(folder, acknowledged):
    """Returns how many files there were before the sweep and after it."""
    store, blobs, clock = open_both(folder)
    named = {
        keys.unpack(key, len(NAMED))[0]: value.decode()
        for key, value in await store.read(lambda reader: reader.scan(*keys.range_onto(NAMED), limit=100))
    }
    assert acknowledged <= named.keys()
    for label in named.values():
        blob_id, digest = label.split()
        assert sha256(await blobs.read(blob_id)).hexdigest() == digest
    before = {name for _, _, names in os.walk(folder / "blobs") for name in names}
    # The clocks of those that were killed were far ahead.
    await clock.jump(1e6)
    await blobs.sweep()
    after = {name for _, _, names in os.walk(folder / "blobs") for name in names}
    assert after == {label.split()[0] for label in named.values()}
    assert len(await store.read(lambda reader: reader.scan(b"", b"\xff", limit=1000))) == 2 * len(named)
    await blobs.close()
    await store.close()
    return len(before), len(after)


def test_killed_at_any_moment(tmp_path):
    chance = random.Random(5)
    acknowledged, orphans = set(), 0
    for turn in range(ROUNDS):
        # After so many reports, not after so much time: on a busy machine little would be done by then.
        lines = run_and_kill(
            lambda report, turn=turn: work(report, tmp_path, turn),
            after_reports=chance.randrange(1, 24),
            after_s=chance.uniform(0, 0.004),
        )
        acknowledged |= {int(line.split()[0]) for line in lines[1:]}
        if turn % 4 == 3:
            before, after = asyncio.run(check(tmp_path, acknowledged))
            orphans += before - after
    asyncio.run(check(tmp_path, acknowledged))
    assert len(acknowledged) == NAMES, "hardly anything was written"
    assert orphans, "no kill left anything behind: the sweeper was not tested"
