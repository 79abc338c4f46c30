"""python -m bench.store: the store, the blobs and the outbox alone, without wire and services.

The disk's own sync stands first: the durable figures cannot be better. Every figure is of one process.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pileus.delivery.contract import Delivery
from pileus.delivery.deliverer import Deliverer
from pileus.delivery.outbox import open_outbox
from pileus.kernel.clock import SystemClock
from pileus.kernel.ids import Ids
from pileus.kernel.loops import Driver
from pileus.kernel.settings import Durability
from pileus.store import keys
from pileus.store.blobs_local import LocalBlobs
from pileus.store.contract import Reader, Store, Transaction
from pileus.store.sqlite import open_store

DURABILITIES: tuple[Durability, ...] = ("full", "relaxed", "memory")
VALUE = os.urandom(400)
PREFIX = keys.pack("dynamodb", "000000000000", "us-east-1", "item", "table")


def show(what: str, figure: str) -> None:
    print(f"{what:58} {figure}", flush=True)


def spread(seconds: list[float]) -> str:
    """Median, minimum and 99th percentile in microseconds."""
    ordered = sorted(seconds)
    return (
        f"{statistics.median(ordered) * 1e6:9.1f} µs  min {ordered[0] * 1e6:.1f}"
        f"  p99 {ordered[len(ordered) * 99 // 100] * 1e6:.1f}"
    )


async def timed(call: Callable[[], Awaitable[object]], count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        begin = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - begin)
    return seconds


def sync_alone(folder: Path) -> None:
    seconds = []
    with (folder / "sync").open("wb", buffering=0) as file:
        file.write(bytes(4096 * 200))
        os.fsync(file.fileno())
        for page in range(200):
            file.seek(page * 4096)
            file.write(VALUE)
            begin = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - begin)
    show("the disk: fsync of one changed page", spread(seconds))


def packing() -> None:
    rounds = 100_000
    for what, pack in (
        ("pack of five texts", lambda: keys.pack("dynamodb", "000000000000", "us-east-1", "item", "table")),
        ("pack_onto a prefix, text and number", lambda: keys.pack_onto(PREFIX, "customer#17", 1_700_000_000)),
    ):
        begin = time.perf_counter()
        for _ in range(rounds):
            pack()
        show(f"keys: {what}", f"{(time.perf_counter() - begin) / rounds * 1e6:9.2f} µs")


async def store_alone(folder: Path, durability: Durability) -> None:
    begin = time.perf_counter()
    store = open_store(None if durability == "memory" else folder / durability, durability)
    show(f"{durability}: open an empty store", f"{(time.perf_counter() - begin) * 1e3:9.1f} ms")
    await store_writes(store, durability)
    await store_reads(store, durability)
    begin = time.perf_counter()
    await store.close()
    show(f"{durability}: close", f"{(time.perf_counter() - begin) * 1e3:9.1f} ms")


async def store_writes(store: Store, durability: Durability) -> None:
    chance = random.Random(1)

    async def put() -> None:
        key = keys.pack_onto(PREFIX, chance.randbytes(8).hex())

        async def fn(tx: Transaction) -> None:
            tx.put(key, VALUE)

        await store.write(fn)

    await timed(put, 50)
    show(f"{durability}: one put of 400 bytes, alone", spread(await timed(put, 500)))
    for clients in (8, 64, 256):
        each = 25_600 // clients
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(timed(put, each) for _ in range(clients)))
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        count = each * clients
        show(
            f"{durability}: {clients} writers, random keys",
            f"{count / took:9,.0f} puts/s  {cpu / count * 1e6:.1f} µs CPU",
        )


async def store_reads(store: Store, durability: Durability) -> None:
    start, end = keys.range_onto(PREFIX)
    found = [key for key, _ in await store.read(lambda reader: reader.scan(start, end, limit=20_000))]
    random.Random(2).shuffle(found)
    wanted = iter(found)

    async def get() -> None:
        key = next(wanted)

        async def fn(reader: Reader) -> bytes | None:
            return await reader.get(key)

        await store.read(fn)

    show(f"{durability}: get", spread(await timed(get, 10_000)))
    scans = await timed(lambda: store.read(lambda reader: reader.scan(start, end, limit=1000)), 50)
    show(f"{durability}: scan of 1,000 pairs", spread(scans))


async def blobs_alone(folder: Path, durability: Durability) -> None:
    store = open_store(None, "memory")
    blobs = LocalBlobs(folder / f"blobs-{durability}", store, clock=SystemClock(), ids=Ids(), sync=durability == "full")
    chunk = os.urandom(1 << 16)

    async def put(size: int) -> str:
        writer = blobs.create()
        for at in range(0, size, len(chunk)):
            await writer.write(chunk[: size - at])
        await writer.finish()
        return writer.id

    async def read_through(blob_id: str) -> None:
        async for _ in blobs.stream(blob_id):
            pass

    size = 64 << 20
    puts = await timed(lambda: put(size), 8)
    blob_id = await put(size)
    reads = await timed(lambda: read_through(blob_id), 8)
    show(f"{durability}: blob of 64 MiB, put", f"{size / statistics.median(puts) / 1e6:9,.0f} MB/s")
    show(f"{durability}: blob of 64 MiB, stream", f"{size / statistics.median(reads) / 1e6:9,.0f} MB/s")
    show(f"{durability}: blob of 10 KB, put", spread(await timed(lambda: put(10_000), 200)))
    await blobs.close()
    await store.close()


async def outbox_alone(folder: Path, durability: Durability) -> None:
    store = open_store(None if durability == "memory" else folder / f"outbox-{durability}", durability)
    clock, ids = SystemClock(), Ids()
    driver = Driver(clock)
    outbox = await open_outbox(store, ids=ids)
    deliverer = Deliverer(store, outbox, clock=clock, ids=ids, nudge=lambda: driver.nudge("outbox"))
    driver.add("outbox", deliverer.step, 60)
    arrived: asyncio.Queue[float] = asyncio.Queue()

    async def handler(delivery: Delivery) -> None:
        arrived.put_nowait(time.perf_counter())

    deliverer.register("target", handler)
    await driver.start()

    async def put() -> float:
        async def fn(tx: Transaction) -> None:
            outbox.put(tx, target="target", payload={"text": "x" * 100}, now=clock.time())

        await store.write(fn)
        return time.perf_counter()

    late = []
    for _ in range(200):
        acknowledged = await put()
        late.append(max(0.0, await arrived.get() - acknowledged))
    show(f"{durability}: outbox, from the acknowledgement to the handler", spread(late))
    count = 12_800
    begin = time.perf_counter()
    await asyncio.gather(*(timed(put, count // 64) for _ in range(64)))
    for _ in range(count):
        await arrived.get()
    show(
        f"{durability}: outbox, put and delivered by 64 writers",
        f"{count / (time.perf_counter() - begin):9,.0f} events/s",
    )
    await driver.stop()
    await deliverer.stop()
    await store.close()


async def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        folder = Path(name)
        sync_alone(folder)
        packing()
        for durability in DURABILITIES:
            await store_alone(folder, durability)
            await outbox_alone(folder, durability)
            if durability != "memory":
                await blobs_alone(folder, durability)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
