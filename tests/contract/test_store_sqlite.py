"""What is SQLite's own: files, durability, loops that stop, disks that fail."""

import asyncio
import functools
import os
import resource
import subprocess
import sys
import threading

import apsw
import pytest

from pileus.store import sqlite, sqlite_files, sqlite_transactions
from pileus.store.contract import StoreUnavailable
from pileus.store.sqlite import open_store


async def put(store, key, value=b"1"):
    async def fn(tx):
        tx.put(key, value)

    await store.write(fn)


async def get(store, key):
    return await store.read(lambda reader: reader.get(key))


@pytest.fixture(params=["full", "relaxed"])
def durability(request):
    return request.param


async def test_what_was_written_is_there_again(tmp_path, durability):
    for turn in range(3):
        store = open_store(tmp_path / "data", durability)
        assert await get(store, b"turn") == (b"%d" % (turn - 1) if turn else None)
        await put(store, b"turn", b"%d" % turn)
        await store.close()
    assert oct((tmp_path / "data").stat().st_mode & 0o777) == "0o700"
    assert sorted(os.listdir(tmp_path / "data")) == ["store.db", "store.lock"]


async def test_a_store_that_rests_gives_its_cache_back(tmp_path, durability):
    store = open_store(tmp_path / "data", durability)
    for number in range(300):
        await put(store, b"%d" % number, bytes(8000))
    for number in range(300):
        await get(store, b"%d" % number)
    full = apsw.memory_used()
    # It has been busy.
    assert not store.rest()
    assert apsw.memory_used() == full
    assert store.rest()
    assert full - apsw.memory_used() > 300 * 8000
    for number in range(300):
        assert await get(store, b"%d" % number) == bytes(8000)
    await put(store, b"0")
    assert await get(store, b"0") == b"1"
    await store.close()
    assert not store.rest()


async def test_a_folder_is_used_by_one_process_at_a_time(tmp_path, durability):
    store = open_store(tmp_path, durability)
    with pytest.raises(StoreUnavailable, match=rf"in use by another Pileus \(process {os.getpid()}\)"):
        open_store(tmp_path, durability)
    code = f"from pathlib import Path; from pileus.store.sqlite import open_store; open_store(Path({str(tmp_path)!r}))"
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=subprocess.PIPE)
    _, text = await other.communicate()
    assert other.returncode == 1
    assert b"in use by another Pileus" in text
    await put(store, b"a")
    await store.close()
    store = open_store(tmp_path, durability)
    assert await get(store, b"a") == b"1"
    await store.close()


@pytest.mark.parametrize(
    ("found", "age"), [(sqlite_files.FORMAT + 1, "a newer"), (sqlite_files.FORMAT - 1, "an older")]
)
async def test_another_format_is_refused(tmp_path, found, age):
    await open_store(tmp_path).close()
    db = apsw.Connection(str(tmp_path / "store.db"))
    db.pragma("user_version", found)
    db.close()
    with pytest.raises(StoreUnavailable, match=f"was written by {age} Pileus") as refused:
        open_store(tmp_path)
    assert "\n" not in str(refused.value)


async def test_foreign_files_are_refused_and_left_alone(tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "store.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StoreUnavailable, match="not a database"):
        open_store(tmp_path / "text")
    (tmp_path / "other").mkdir()
    db = apsw.Connection(str(tmp_path / "other" / "store.db"))
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(StoreUnavailable, match="something else than Pileus"):
        open_store(tmp_path / "other")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="cannot use the data folder"):
        open_store(tmp_path / "file")


def test_memory_has_no_folder_and_others_have_one(tmp_path):
    with pytest.raises(ValueError, match="folder"):
        open_store(tmp_path, "memory")
    with pytest.raises(ValueError, match="folder"):
        open_store(None, "full")


def test_a_loop_that_stops_takes_nothing_with_it(tmp_path, durability):
    """Loops end at every moment of a commit; the next one finds the store working and what was acknowledged."""
    store = open_store(tmp_path, durability)
    acknowledged = []

    async def write(name):
        await put(store, name)
        acknowledged.append(name)

    async def run(turn):
        tasks = [asyncio.ensure_future(write(b"%d.%d" % (turn, n))) for n in range(8)]
        for _ in range(turn % 5):
            await asyncio.sleep(0)
        if turn % 2:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for name in acknowledged.copy():
            assert await get(store, name) == b"1"

    for turn in range(40):
        if turn % 3:
            asyncio.run(run(turn))
        else:
            # Left as it stands, without cancelling anybody.
            loop = asyncio.new_event_loop()
            loop.set_exception_handler(lambda *_: None)
            loop.run_until_complete(run(turn))
            loop.close()
    assert acknowledged
    asyncio.run(store.close())


def test_two_loops_that_run_in_turns_share_a_store(tmp_path, durability):
    store = open_store(tmp_path, durability)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    for turn in range(6):
        loop = loops[turn % 2]
        loop.run_until_complete(put(store, b"k", b"%d" % turn))
        assert loop.run_until_complete(get(store, b"k")) == b"%d" % turn
    loops[0].run_until_complete(store.close())
    for loop in loops:
        loop.close()


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from pileus.store.contract import StoreUnavailable
from pileus.store.sqlite import open_store

async def main(folder, durability, apart):
    store = open_store(folder, durability)
    store._apart = apart
    async def put(key):
        async def fn(tx):
            tx.put(key, b"v" * 3000)
        await store.write(fn)
    await put(b"first")
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    done, failed = {b"first"}, 0
    for turn in range(40):
        keys = [b"%d.%d" % (turn, n) for n in range(8)]
        for key, result in zip(keys, await asyncio.gather(*map(put, keys), return_exceptions=True)):
            if result is None:
                done.add(key)
            else:
                assert isinstance(result, StoreUnavailable), result
                assert "cannot be written" in str(result), result
                failed += 1
    assert failed, "the disk never was full"
    found = {key for key, _ in await store.read(lambda r: r.scan(b"", b"z", limit=1000))}
    assert found == done, found ^ done
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await put(b"last")
    await store.close()
    store = open_store(folder, durability)
    found = {key for key, _ in await store.read(lambda r: r.scan(b"", b"z", limit=1000))}
    assert found == done | {b"last"}, found ^ done
    await store.close()

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.parametrize("apart", ["0", "1000000"], ids=["in place", "in the thread"])
def test_a_full_disk_is_told_to_all_it_concerns_and_survived(tmp_path, durability, apart):
    """A limit on the size of files stands for the full disk; nothing is acknowledged that is not there later."""
    assert hasattr(resource, "RLIMIT_FSIZE")
    command = [sys.executable, "-c", FULL_DISK, tmp_path, durability, apart]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr


async def test_a_function_that_swallows_a_broken_transaction_commits_nothing(tmp_path, durability):
    """SQLite rolls the whole transaction back on some errors: nobody of that group may be told of success."""
    store = open_store(tmp_path, durability)

    async def bad(tx):
        tx.put(b"bad", b"1")
        store._db.execute("ROLLBACK")

    results = await asyncio.gather(put(store, b"a"), store.write(bad), return_exceptions=True)
    assert isinstance(results[1], StoreUnavailable)
    assert isinstance(results[0], StoreUnavailable)
    await put(store, b"b")
    assert await store.read(lambda reader: reader.scan(b"", b"z", limit=9)) == [(b"b", b"1")]
    await store.close()


class Disk:
    """How long commits seem to take, in seconds, and in which thread each was done."""

    def __init__(self, store, monkeypatch):
        self.commit_s = 0.0
        self.threads = []
        self._now = 0.0
        monkeypatch.setattr(sqlite, "perf_counter", lambda: self._now)
        self._commit = store._commit_now
        monkeypatch.setattr(store, "_commit_now", self._noted)

    def _noted(self, group):
        self.threads.append(threading.current_thread().name)
        self._commit(group)
        self._now += self.commit_s


async def test_commits_go_to_a_thread_while_the_disk_is_slow(tmp_path, monkeypatch):
    store = open_store(tmp_path, "full")
    disk = Disk(store, monkeypatch)
    here, apart = threading.current_thread().name, "pileus-store-commit"
    for number in range(3):
        await put(store, b"%d" % number)
    assert disk.threads == [here] * 3
    # Ten times as long as a quick one: for about a thousand commits, so that one of them is a hundredth of their time.
    disk.commit_s = 10 * sqlite._QUICK_SYNC_S
    await put(store, b"slow")
    disk.commit_s = 0.0
    disk.threads.clear()
    while here not in disk.threads:
        await put(store, b"after it")
    assert set(disk.threads[:-1]) == {apart}
    assert 900 < len(disk.threads) <= 1001
    await store.close()


async def test_many_bytes_are_committed_in_a_thread(tmp_path, monkeypatch):
    """Nobody else is kept waiting for what takes long however quick the disk is."""
    store = open_store(tmp_path, "full")
    disk = Disk(store, monkeypatch)
    here, apart = threading.current_thread().name, "pileus-store-commit"
    await put(store, b"large", bytes(sqlite._IN_PLACE_BYTES_MAX + 1))
    await put(store, b"small")
    assert disk.threads == [apart, here]

    async def seen(tx):
        tx.put(b"large", bytes(sqlite._IN_PLACE_BYTES_MAX + 1))
        assert len(await tx.scan(b"a", b"z", limit=9)) == 2

    # What the database has before the commit is as much to sync.
    await store.write(seen)
    assert disk.threads[2:] == [apart]
    await store.close()


async def test_a_group_of_any_size_is_whole(tmp_path, durability):
    """However its writes are cut into statements; whoever of it looks sees those before him, failed ones left out."""
    store = open_store(tmp_path, durability)
    seen, expected = {}, {}

    async def one(n, tx):
        tx.put(b"%03d" % n, b"%d" % n)
        if n % 3 == 0:
            tx.delete(b"%03d" % (n - 1))
        if n % 50 == 49:
            got = await tx.get_many([b"%03d" % at for at in (n - 2, n - 1, n)])
            seen[n] = got, await tx.scan(b"0", b"9", limit=999)
        if n % 50 == 25:
            raise LookupError

    for size in (1, 15, 16, 17, 31, 33, 63, 64, 65, 100, 263):
        model = {}
        for n in range(size):
            if n % 50 != 25:
                model[b"%03d" % n] = b"%d" % n
                if n % 3 == 0:
                    model.pop(b"%03d" % (n - 1), None)
            if n % 50 == 49:
                expected[n] = [model.get(b"%03d" % at) for at in (n - 2, n - 1, n)], sorted(model.items())
        await asyncio.gather(*(store.write(functools.partial(one, n)) for n in range(size)), return_exceptions=True)
        assert seen == expected
        assert dict(await store.read(lambda reader: reader.scan(b"0", b"9", limit=999))) == model

        async def clear(tx):
            tx.delete_range(b"0", b"9")

        await store.write(clear)
    await store.close()


async def test_a_group_keeps_so_much_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_transactions, "_GROUP_BYTES_MAX", 1000)
    store = open_store(tmp_path, "full")
    kept = []

    async def one(n, tx):
        kept.append(len(tx._before))
        tx.put(b"%d" % n, bytes(400))

    await asyncio.gather(*(store.write(functools.partial(one, n)) for n in range(7)))
    assert kept == [0, 1, 2, 0, 0, 0, 0]
    assert len(await store.read(lambda reader: reader.scan(b"", b"z", limit=9))) == 7
    await store.close()


async def test_the_log_stays_short(tmp_path, durability, monkeypatch):
    monkeypatch.setattr(sqlite_files, "_CHECKPOINT_PAGES", 50)
    monkeypatch.setattr(sqlite_files, "_LOG_PAGES_MAX", 200)
    store = open_store(tmp_path, durability)

    async def client(name):
        for n in range(600):
            await put(store, b"%d.%d" % (name, n), b"v" * 4000)
            if name == 0 and n % 10 == 9:
                # On a machine that has other things to do, any number of writes might come while a pass is under way.
                store._log.drain()

    await asyncio.gather(*(client(name) for name in range(8)))
    # 4,800 values took more than twice as much.
    assert (tmp_path / "store.db-wal").stat().st_size < 2000 * 8192
    await store.close()
    assert (tmp_path / "store.db").stat().st_size > 4800 * 4000
