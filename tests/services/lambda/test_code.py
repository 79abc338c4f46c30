"""Packages are shared by content and counted; their unpacked folders come and go with them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from lambda_kit import package

from pileus.kernel.clock import VirtualClock
from pileus.kernel.errors import AWSError
from pileus.kernel.ids import Ids
from pileus.kernel.settings import Settings
from pileus.services.lambda_ import keys, packages
from pileus.services.lambda_.codestore import UNREFERENCED_AGE_S, CodeStore
from pileus.services.lambda_.records import Code, decode
from pileus.store.blobs_local import LocalBlobs
from pileus.store.sqlite import open_store

PACKAGE = package({"index.py": "x = 1", "lib/data.txt": "y"})
SHA256 = hashlib.sha256(PACKAGE).hexdigest()


@pytest.fixture
async def ctx(tmp_path: Path) -> AsyncIterator[Any]:
    """As much of a call's context as taking packages needs."""
    store, clock, ids = open_store(None, "memory"), VirtualClock(), Ids()
    blobs = LocalBlobs(tmp_path / "blobs", store, clock=clock, ids=ids, sync=False)
    cloud = SimpleNamespace(
        settings=Settings(data_dir=tmp_path, durability="memory"), clock=clock, ids=ids, store=store, blobs=blobs
    )
    yield SimpleNamespace(cloud=cloud, principal=None, region="us-east-1")
    await blobs.close()
    await store.close()


async def adopt(ctx: Any) -> None:
    taken = await packages.take(ctx, {"ZipFile": PACKAGE})
    assert (taken.sha256, taken.size_bytes, taken.unpacked_bytes) == (SHA256, len(PACKAGE), 6)
    await ctx.cloud.store.write(lambda tx: packages.adopt(ctx.cloud, tx, taken))


async def record(ctx: Any) -> Code | None:
    data = await ctx.cloud.store.read(lambda tx: tx.get(keys.code(SHA256)))
    return decode(Code, data) if data is not None else None


def files(tmp_path: Path) -> int:
    return sum(path.is_file() for path in (tmp_path / "blobs").rglob("*"))


async def test_the_same_package_is_kept_once_and_until_its_last_use(ctx: Any, tmp_path: Path) -> None:
    for _ in range(3):
        await adopt(ctx)
    first = cast("Code", await record(ctx))
    assert first.references == 3
    for left in (2, 1):
        await ctx.cloud.store.write(lambda tx: packages.drop(ctx.cloud, tx, [SHA256]))
        assert cast("Code", await record(ctx)).references == left
    assert await ctx.cloud.blobs.read(first.blob) == PACKAGE
    await ctx.cloud.store.write(lambda tx: packages.drop(ctx.cloud, tx, [SHA256]))
    assert await record(ctx) is None
    await ctx.cloud.clock.advance(3600)
    await ctx.cloud.blobs.sweep()
    assert files(tmp_path) == 0


async def test_a_refused_package_leaves_nothing(ctx: Any, tmp_path: Path) -> None:
    for bad in (b"no zip", PACKAGE[:-30], package({"../evil": "x"})):
        with pytest.raises(AWSError):
            await packages.take(ctx, {"ZipFile": bad})
    await ctx.cloud.clock.advance(3600)
    await ctx.cloud.blobs.sweep()
    assert files(tmp_path) == 0


async def test_more_than_fifty_megabytes_in_a_request_are_refused_unread(ctx: Any) -> None:
    with pytest.raises(AWSError) as caught:
        await packages.take(ctx, {"ZipFile": bytes(52_428_801)})
    assert (caught.value.code, caught.value.status, caught.value.message) == (
        "RequestEntityTooLargeException",
        413,
        "Zipped size must be smaller than 52428800 bytes",
    )


async def test_unpacking_happens_once_for_all_who_wait(ctx: Any, tmp_path: Path) -> None:
    await adopt(ctx)
    code = CodeStore(ctx.cloud)
    code.start()
    waiting = [asyncio.ensure_future(code.ensure(SHA256)) for _ in range(5)]
    await asyncio.sleep(0)
    # One that gives up harms no other.
    waiting.pop().cancel()
    assert set(await asyncio.gather(*waiting)) == {tmp_path / "code" / SHA256}
    assert (tmp_path / "code" / SHA256 / "lib/data.txt").read_text() == "y"
    assert [path.name for path in (tmp_path / "code").iterdir()] == [SHA256]


async def test_what_a_killed_process_left_half_done_is_removed(ctx: Any, tmp_path: Path) -> None:
    left = tmp_path / "code" / f"{SHA256}.partial0"
    left.mkdir(parents=True)
    (left / "index.py").write_text("half")
    CodeStore(ctx.cloud).start()
    assert not left.exists()


async def test_a_folder_goes_an_hour_after_its_last_use(ctx: Any, tmp_path: Path) -> None:
    await adopt(ctx)
    code = CodeStore(ctx.cloud)
    code.start()
    path = await code.ensure(SHA256)
    await code.sweep()
    await ctx.cloud.clock.advance(2 * UNREFERENCED_AGE_S)
    await code.sweep()
    assert path.is_dir()
    await ctx.cloud.store.write(lambda tx: packages.drop(ctx.cloud, tx, [SHA256]))
    await code.sweep()
    assert path.is_dir()
    await ctx.cloud.clock.advance(UNREFERENCED_AGE_S)
    await code.sweep()
    assert list((tmp_path / "code").iterdir()) == []
    with pytest.raises(FileNotFoundError):
        await code.ensure(SHA256)
