"""kill -9 at hundreds of moments: what was acknowledged is there, and nothing is there by half."""

import asyncio
import random
from functools import partial

import apsw
import pytest
from killing import run_and_kill

from pileus.store import keys, sqlite_files
from pileus.store.sqlite import open_store

WRITERS = 8
KEPT = 20
ROUNDS = 150

LEFT, RIGHT, LOG = keys.pack("left"), keys.pack("right"), keys.pack("log")
TOTAL, NEVER = keys.pack("total"), keys.pack("never")


class Failed(Exception):
    pass


def number(value):
    return int(value or b"0")


async def advance(tx, writer, noise):
    """One transaction of many keys that belong together, with every operation that there is."""
    n = number(await tx.get(keys.pack_onto(LEFT, writer))) + 1
    tx.put(keys.pack_onto(LEFT, writer), b"%d" % n)
    tx.put(keys.pack_onto(LOG, writer, n), noise.randbytes(noise.choice([0, 100, 3000, 20_000])))
    tx.delete_range(keys.pack_onto(LOG, writer, 0), keys.pack_onto(LOG, writer, n - KEPT + 1))
    assert len(await tx.scan(*keys.range_onto(keys.pack_onto(LOG, writer)), limit=100)) == min(n, KEPT)
    tx.put(TOTAL, b"%d" % (number(await tx.get(TOTAL)) + 1))
    tx.put(keys.pack_onto(RIGHT, writer), b"%d" % n)
    return n


async def fail(tx, writer):
    tx.put(keys.pack_onto(LEFT, writer), b"-1")
    tx.put(NEVER, b"")
    await tx.scan(b"", b"\xff", limit=1)
    raise Failed


async def work(report, folder, durability, seed):
    noise = random.Random(seed)
    # Checkpoints of every kind happen all the time.
    sqlite_files._CHECKPOINT_PAGES, sqlite_files._LOG_PAGES_MAX = noise.choice([(8, 16), (20, 100), (2000, 8000)])
    store = open_store(folder, durability)
    if noise.random() < 0.5:
        # As where the disk is slow: commits go to the thread.
        store._apart = 1 << 60
    report("open")

    async def client(writer):
        while True:
            if noise.random() < 0.1:
                with pytest.raises(Failed):
                    await store.write(lambda tx: fail(tx, writer))
            report(f"{writer} {await store.write(lambda tx: advance(tx, writer, noise))}")

    await asyncio.gather(*map(client, range(WRITERS)))


async def check(folder, durability, acknowledged):
    store = open_store(folder, durability)
    try:
        pairs = dict(await store.read(lambda reader: reader.scan(b"", b"\xff", limit=10_000)))
    finally:
        await store.close()
    total = 0
    for writer in range(WRITERS):
        n = number(pairs.pop(keys.pack_onto(LEFT, writer), None))
        assert n >= acknowledged.get(writer, 0)
        assert n == number(pairs.pop(keys.pack_onto(RIGHT, writer), None))
        for kept in range(max(1, n - KEPT + 1), n + 1):
            pairs.pop(keys.pack_onto(LOG, writer, kept))
        acknowledged[writer] = n
        total += n
    assert number(pairs.pop(TOTAL, None)) == total
    assert pairs == {}
    return total


@pytest.mark.parametrize("durability", ["full", "relaxed"])
def test_killed_at_any_moment(tmp_path, durability):
    chance = random.Random(durability)
    acknowledged, total, reports = {}, 0, 0
    for turn in range(ROUNDS):
        # After so many reports, not after so much time: on a busy machine little would be written by then.
        lines = run_and_kill(
            lambda report, turn=turn: work(report, tmp_path, durability, turn),
            after_reports=chance.randrange(1, 60),
            after_s=chance.uniform(0, 0.004),
        )
        for line in lines[1:]:
            writer, n = map(int, line.split())
            assert n > acknowledged.get(writer, 0)
            acknowledged[writer] = n
            reports += 1
        # Now and then only, so that processes also start on what several others have left.
        if turn % 3 == 2:
            total = asyncio.run(check(tmp_path, durability, acknowledged))
    assert asyncio.run(check(tmp_path, durability, acknowledged)) >= total
    assert reports > ROUNDS * 5, "hardly anything was written"
    db = apsw.Connection(str(tmp_path / "store.db"))
    assert db.pragma("integrity_check") == "ok"
    db.close()


async def fill(report, folder, life):
    """Less than what has the log moved into the database, and no more until the kill; what is being moved is."""
    sqlite_files._CHECKPOINT_PAGES, sqlite_files._LOG_PAGES_MAX = 150, 200
    store = open_store(folder, "relaxed")

    async def put(n, tx):
        tx.put(keys.pack("v", life, n), b"v" * 4000)

    for n in range(30):
        await store.write(partial(put, n))
        if n >= 27:
            # The log begins anew with a write that finds all of it moved.
            store._log.drain()
            await asyncio.sleep(0)
    report("filled")
    await asyncio.Event().wait()


async def test_the_log_stays_short_through_lives_that_are(tmp_path):
    for life in range(20):
        run_and_kill(lambda report, life=life: fill(report, tmp_path, life), after_s=0.0, after_reports=1)
    # All of them took 1,800 pages.
    assert (tmp_path / "store.db-wal").stat().st_size < 900 * 8192
    store = open_store(tmp_path, "relaxed")
    assert len(await store.read(lambda reader: reader.scan(b"", b"\xff", limit=1000))) == 600
    await store.close()
