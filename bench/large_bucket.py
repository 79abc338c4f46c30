"""Buckets with a million keys beside buckets with a thousand: what one page of each listing costs.

python -m bench.large_bucket [keys]        a million when not said

The objects, empty ones, are put into the store by S3's own code while no server runs, some 400 bytes of disk for each.
Every page that is compared shows as many entries in the one bucket as in the other; compare the processor time.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from bench.client import ask_all, aws, expect, signed
from bench.deep_queue import serving
from bench.load import Requests
from bench.servers import HOME, Server
from pileus.kernel.ids import Ids
from pileus.services.s3 import keys, versions
from pileus.services.s3.records import Body, Object, Upload, encode
from pileus.store.contract import Transaction
from pileus.store.sqlite import open_store

SMALL = 1000
AT_ONCE = 20_000
FOLDERS = 20
SECONDS, ROUNDS = 1, 5
SIZES = ("small", "large")
KINDS = ("plain", "folders", "versions", "uploads")
_EMPTY = "d41d8cd98f00b204e9800998ecf8427e"
Row = tuple[bytes, bytes]


def _object(sequence: int, version_id: str = "") -> bytes:
    return encode(Object(body=Body(), etag=_EMPTY, modified=sequence / 1e6, sequence=sequence, version_id=version_id))


def rows(kind: str, bucket: str, count: int) -> Iterator[Row]:
    """What `count` objects, versions or uploads are in the store."""
    ids, now = Ids(), int(time.time() * 1e6)
    for number in range(count):
        match kind:
            case "plain":
                yield keys.object_(bucket, f"key/{number:09d}"), _object(now)
            case "folders":
                yield keys.object_(bucket, f"{number * FOLDERS // count:04d}/{number:09d}"), _object(now)
            case "versions":
                # Two of each key.
                key, old = f"key/{number // 2:09d}", number % 2
                sequence = now - old
                version = _object(sequence, versions.new_id(ids, sequence))
                yield (keys.version(bucket, key, sequence) if old else keys.object_(bucket, key)), version
            case _:
                yield keys.upload(bucket, f"key/{number:09d}", f"{number:064x}"), encode(Upload(initiated=now / 1e6))


async def fill(folder: Path, found: Iterable[Row]) -> None:
    store = open_store(folder, "relaxed")
    batch: list[Row] = []

    async def put(tx: Transaction) -> None:
        for key, value in batch:
            tx.put(key, value)

    for row in found:
        batch.append(row)
        if len(batch) == AT_ONCE:
            await store.write(put)
            batch.clear()
    await store.write(put)
    await store.close()


def pages(count: int) -> dict[str, tuple[str, str]]:
    """By name: the kind of bucket, and the query of one page of such a bucket with `count` entries."""
    middle = quote(f"key/{count // 2 - 1:09d}", safe="")
    return {
        "v2": ("plain", "list-type=2"),
        "v2, from the middle": ("plain", f"list-type=2&start-after={middle}&max-keys=400"),
        "v1, from the middle": ("plain", f"marker={middle}&max-keys=400"),
        "v2, a delimiter": ("folders", "list-type=2&delimiter=%2F"),
        "v1, a delimiter": ("folders", "delimiter=%2F"),
        "versions": ("versions", "versions"),
        "versions, a delimiter": ("versions", "versions&delimiter=%2F"),
        "uploads": ("uploads", "uploads"),
        "uploads, a delimiter": ("uploads", "uploads&delimiter=%2F"),
    }


def measure(server: Server, counts: dict[str, int]) -> Iterator[tuple[str, dict[str, float]]]:
    """By page, and in turn: processor time of the server for one, µs, the least of the rounds."""
    small, large = (pages(counts[size]) for size in SIZES)
    for name in small:
        found: dict[str, list[float]] = {size: [] for size in SIZES}
        for _ in range(ROUNDS):
            for size, (kind, query) in zip(SIZES, (small[name], large[name]), strict=True):
                request = signed(server, "s3", f"GET /{size}-{kind}?{query}")
                expect(ask_all(server, [request], 1))
                found[size].append(Requests([request]).run(server, 4, SECONDS).cpu_us)
        yield name, {size: min(times) for size, times in found.items()}


def main() -> None:
    large = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 1_000_000
    counts = dict(zip(SIZES, (SMALL, large), strict=True))
    folder = HOME / "large-bucket"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with serving(folder) as (server, _):
            for size in SIZES:
                for kind in KINDS:
                    aws(server, "s3").create_bucket(Bucket=f"{size}-{kind}")
                versioning = {"Status": "Enabled"}
                aws(server, "s3").put_bucket_versioning(Bucket=f"{size}-versions", VersioningConfiguration=versioning)
        begun = time.perf_counter()
        for size, count in counts.items():
            for kind in KINDS:
                asyncio.run(fill(folder, rows(kind, f"{size}-{kind}", count)))
        print(f"filled in {time.perf_counter() - begun:.0f} s", flush=True)
        with serving(folder) as (server, ready_s):
            print(f"ready after {ready_s:.2f} s")
            for name, found in measure(server, counts):
                small, big = found.values()
                print(f"{name:24} {small:8.0f} µs of {SMALL:,} {big:8.0f} µs of {large:,}   {big / small:.2f}x")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
