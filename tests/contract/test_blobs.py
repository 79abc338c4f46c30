"""Blobs: whole or not there at all, and gone when nothing names them."""

import asyncio
import errno
import gc
import os
from functools import cache

import pytest

from pileus.kernel.clock import VirtualClock
from pileus.kernel.ids import Ids
from pileus.store import blobs_local
from pileus.store.blobs import CHUNK_BYTES, ORPHAN_AGE_S
from pileus.store.blobs_local import RELEASED_AGE_S, LocalBlobs
from pileus.store.contract import StoreUnavailable
from pileus.store.sqlite import open_store


class World:
    def __init__(self, folder, sync):
        self.folder = folder
        self.sync = sync
        self.clock = VirtualClock()
        self.store = open_store(None, "memory")
        self.open()

    def open(self):
        self.blobs = LocalBlobs(self.folder, self.store, clock=self.clock, ids=Ids(), sync=self.sync)

    async def put(self, *chunks, adopt=True):
        writer = self.blobs.create()
        for chunk in chunks:
            await writer.write(chunk)
        await writer.finish()
        if adopt:
            await self.adopt(writer.id)
        return writer.id

    async def adopt(self, blob_id):
        async def fn(tx):
            self.blobs.adopt(tx, blob_id)

        await self.store.write(fn)

    async def release(self, blob_id):
        async def fn(tx):
            self.blobs.release(tx, blob_id)

        await self.store.write(fn)

    def files(self):
        return sorted(name for _, _, names in os.walk(self.folder) for name in names)


@pytest.fixture(params=[True, False], ids=["synced", "unsynced"])
async def world(request, tmp_path):
    world = World(tmp_path / "blobs", request.param)
    yield world
    await world.blobs.close()
    await world.store.close()


@cache
def pattern(size):
    return (b"".join(n.to_bytes(4, "big") for n in range(size // 4 + 1)))[:size]


async def collect(stream):
    return [chunk async for chunk in stream]


@pytest.mark.parametrize("size", [0, 1, 1000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 77])
async def test_a_blob_comes_back_whole(world, size):
    data = pattern(size)
    blob_id = await world.put(*(data[at : at + 70_001] for at in range(0, size, 70_001)))
    assert await world.blobs.read(blob_id) == data
    chunks = await collect(world.blobs.stream(blob_id))
    assert b"".join(chunks) == data
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)
    assert world.blobs.path(blob_id).read_bytes() == data
    assert world.files() == [blob_id]


@pytest.mark.parametrize(
    ("start", "length"),
    [
        (0, 0),
        (0, 1),
        (5, 100),
        (CHUNK_BYTES - 3, 6),
        (0, 10**9),
        (3 * CHUNK_BYTES, None),
        (2, CHUNK_BYTES * 2),
        (10**9, 5),
    ],
)
async def test_parts_of_a_blob_are_streamed(world, start, length):
    data = pattern(3 * CHUNK_BYTES + 500)
    blob_id = await world.put(data)
    found = b"".join(await collect(world.blobs.stream(blob_id, start, length)))
    assert found == data[start : None if length is None else start + length]


async def test_many_are_written_at_the_same_time(world):
    datas = [pattern(300_000 + n) for n in range(24)]
    ids = await asyncio.gather(*(world.put(data[:100_000], data[100_000:]) for data in datas))
    assert await asyncio.gather(*map(world.blobs.read, ids)) == datas


async def test_nothing_is_seen_before_it_is_finished(world):
    writer = world.blobs.create()
    await writer.write(pattern(3 * CHUNK_BYTES))
    with pytest.raises(StoreUnavailable, match=f"the blob {writer.id} is missing"):
        await world.blobs.read(writer.id)
    await writer.finish()
    assert len(await world.blobs.read(writer.id)) == writer.size == 3 * CHUNK_BYTES


@pytest.mark.parametrize("size", [0, 10, 3 * CHUNK_BYTES])
async def test_an_aborted_blob_leaves_nothing(world, size):
    writer = world.blobs.create()
    await writer.write(pattern(size))
    await writer.abort()
    await writer.abort()
    assert world.files() == []
    for use in (writer.write(b"more"), writer.finish()):
        with pytest.raises(RuntimeError, match="finished"):
            await use


async def test_aborting_a_finished_blob_is_harmless(world):
    writer = world.blobs.create()
    await writer.write(b"x")
    await writer.finish()
    await writer.abort()
    assert await world.blobs.read(writer.id) == b"x"


async def test_a_forgotten_writer_leaves_nothing(world):
    writer = world.blobs.create()
    await writer.write(pattern(CHUNK_BYTES))
    await asyncio.wrap_future(world.blobs.submit(lambda: None))
    await writer._written()
    assert world.files() == [writer.id]
    del writer
    # The thread that wrote last may not have let go of it yet.
    async with asyncio.timeout(10):
        while world.files():
            gc.collect()
            await asyncio.sleep(0)


async def test_a_cancelled_upload_leaves_nothing(world):
    """Cancelled at many moments; the caller aborts, as every caller does."""
    for turns in range(30):
        writer = world.blobs.create()

        async def upload(writer=writer):
            try:
                for _ in range(3):
                    await writer.write(pattern(CHUNK_BYTES))
            except asyncio.CancelledError:
                await writer.abort()
                raise

        task = asyncio.create_task(upload())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        if (await asyncio.gather(task, return_exceptions=True))[0] is None:
            await writer.abort()
    assert world.files() == []


async def test_a_full_disk_is_told_and_leaves_nothing(world, monkeypatch):
    write = os.write

    def full(file, data):
        if len(data) == CHUNK_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(blobs_local.os, "write", full)
    writer = world.blobs.create()
    await writer.write(bytes(CHUNK_BYTES))
    with pytest.raises(StoreUnavailable, match="the blob cannot be written: No space left on device"):
        await writer.write(bytes(CHUNK_BYTES))
    small = world.blobs.create()
    await small.write(bytes(CHUNK_BYTES - 1))
    await small.finish()
    last = world.blobs.create()
    await last.write(bytes(CHUNK_BYTES))
    with pytest.raises(StoreUnavailable, match="No space left"):
        await last.finish()
    assert world.files() == [small.id]


async def test_short_writes_are_gone_on_with(world, monkeypatch):
    write = os.write
    monkeypatch.setattr(blobs_local.os, "write", lambda file, data: write(file, data[:100_000]))
    blob_id = await world.put(pattern(CHUNK_BYTES), pattern(250_000))
    assert await world.blobs.read(blob_id) == pattern(CHUNK_BYTES) + pattern(250_000)


@pytest.mark.parametrize("blob_id", ["", "..", "../../etc/passwd", "a" * 31, "A" * 32, "a" * 32 + "\n", "/" + "a" * 31])
async def test_ids_that_are_none_are_refused(world, blob_id):
    with pytest.raises(ValueError, match="not the id of a blob"):
        world.blobs.path(blob_id)
    with pytest.raises(ValueError, match="not the id of a blob"):
        await world.blobs.read(blob_id)


async def test_a_released_blob_goes_after_a_while(world):
    kept, gone = await world.put(b"kept"), await world.put(b"gone")
    await world.release(gone)
    await world.blobs.sweep()
    assert world.files() == sorted([kept, gone])
    reader = world.blobs.stream(gone)
    assert await anext(reader) == b"gone"
    await world.clock.advance(RELEASED_AGE_S + 1)
    assert 0 < await world.blobs.sweep() <= RELEASED_AGE_S
    assert world.files() == [kept]
    await reader.aclose()


async def test_a_released_blob_stays_for_those_who_hold_it(world):
    first, second = await world.put(b"first"), await world.put(b"second")
    with world.blobs.hold([first, second, second]):
        with world.blobs.hold([second]):
            await world.release(first)
            await world.release(second)
        for _ in range(3):
            await world.clock.advance(RELEASED_AGE_S + 1)
            await world.blobs.sweep()
        assert await world.blobs.read(second) == b"second"
    await world.clock.advance(RELEASED_AGE_S + 1)
    await world.blobs.sweep()
    assert world.files() == []
    assert await world.store.read(lambda reader: reader.scan(b"", b"\xff", limit=100)) == []


async def test_a_released_blob_that_is_named_again_stays(world):
    blob_id = await world.put(b"data")
    await world.release(blob_id)
    await world.adopt(blob_id)
    await world.clock.advance(RELEASED_AGE_S + 1)
    await world.blobs.sweep()
    assert await world.blobs.read(blob_id) == b"data"


async def test_many_released_blobs_go(world, monkeypatch):
    monkeypatch.setattr(blobs_local, "SWEEP_BATCH", 4)
    ids = await asyncio.gather(*(world.put(b"x") for _ in range(10)))
    await asyncio.gather(*map(world.release, ids))
    await world.clock.advance(RELEASED_AGE_S + 1)
    await world.blobs.sweep()
    assert world.files() == []
    assert await world.store.read(lambda reader: reader.scan(b"", b"\xff", limit=100)) == []


async def test_orphans_of_an_earlier_process_go_at_once(world):
    kept = await world.put(b"kept")
    await world.put(b"orphan", adopt=False)
    half = world.blobs.create()
    await half.write(bytes(CHUNK_BYTES))
    await half._written()
    (world.folder / "tmp" / "left").write_bytes(b"by a process that died")
    await world.blobs.close()
    half._file, file = -1, half._file
    os.close(file)
    world.open()
    await world.blobs.sweep()
    assert world.files() == [kept]


async def test_what_is_about_to_be_adopted_stays(world):
    await world.put(b"x", adopt=False)
    orphan = await world.put(b"orphan", adopt=False)
    await world.clock.advance(ORPHAN_AGE_S / 2)
    recent = await world.put(b"recent", adopt=False)
    await world.blobs.sweep()
    assert orphan in world.files()
    await world.clock.advance(ORPHAN_AGE_S)
    await world.put(b"new", adopt=False)
    await world.blobs.sweep()
    assert await world.blobs.read(world.files()[0]) == b"new"
    assert recent not in world.files()
    assert len(world.files()) == 1
