"""Blobs as files of one folder.

    blobs/tmp/{id}       being written
    blobs/{ab}/{id}      whole and durable; {ab} are the first two digits of the id

In the store ("blobs", "kept", id) says that something names the blob, ("blobs", "released", time, id) that nothing does
any more. A file with neither is an orphan: its process died, or its caller failed, before the adopting transaction.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

from pileus.kernel.clock import Clock
from pileus.kernel.ids import Ids
from pileus.store import keys
from pileus.store.blobs import CHUNK_BYTES, ORPHAN_AGE_S
from pileus.store.contract import Reader, Store, StoreUnavailable, Transaction

T = TypeVar("T")

# How long the file of a released blob stays for those who are still about to open it.
RELEASED_AGE_S = 60.0
SWEEP_BATCH = 500

# The disk is set to work whenever so much was written, so that the final sync finds most of it done.
_WRITEBACK_BYTES = 8 << 20
_SYNC_FILE_RANGE_WRITE = 2

# Files are written, synced and read here; a slow disk holds up no more than these.
_THREADS = 8

_ID = re.compile(r"[0-9a-f]{32}")
_KEPT = keys.pack("blobs", "kept")
_RELEASED = keys.pack("blobs", "released")


class LocalBlobs:
    """See the module, and `pileus.store.blobs.Blobs`. `sync` says whether a blob must survive a power loss."""

    def __init__(self, folder: Path, store: Store, *, clock: Clock, ids: Ids, sync: bool = True) -> None:
        self._folder = folder
        self._store = store
        self._clock = clock
        self._ids = ids
        self._sync = sync
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="pileus-blobs")
        # Made by this process and not adopted yet, or just released, since when (monotonic): no orphans.
        self._recent: dict[str, float] = {}
        # How many hold each blob that is held.
        self._held: Counter[str] = Counter()
        self._swept_at: float | None = None
        temporary = folder / "tmp"
        temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in os.listdir(temporary):
            # What a process that died was writing.
            (temporary / name).unlink(missing_ok=True)

    def create(self) -> LocalBlobWriter:
        blob_id = self._ids.hex(32)
        self._note(blob_id)
        return LocalBlobWriter(self, blob_id)

    def path(self, blob_id: str) -> Path:
        if not _ID.fullmatch(blob_id):
            raise ValueError(f"{blob_id!r} is not the id of a blob")
        return self._folder / blob_id[:2] / blob_id

    async def read(self, blob_id: str) -> bytes:
        path = self.path(blob_id)
        return await self._in_thread(blob_id, path.read_bytes)

    async def stream(
        self, blob_id: str, start: int = 0, length: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        path = self.path(blob_id)
        position = start
        end = None if length is None else start + length
        file = -1

        def next_chunk() -> bytes:
            nonlocal file
            if file < 0:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            wanted = chunk_bytes if end is None else min(chunk_bytes, end - position)
            chunk = os.pread(file, wanted, position)
            while 0 < len(chunk) < wanted and (more := os.pread(file, wanted - len(chunk), position + len(chunk))):
                chunk += more
            return chunk

        try:
            while (end is None or position < end) and (chunk := await self._in_thread(blob_id, next_chunk)):
                position += len(chunk)
                yield chunk
                del chunk
        finally:
            if file >= 0:
                os.close(file)

    @contextmanager
    def hold(self, blob_ids: Iterable[str]) -> Iterator[None]:
        ids = list(blob_ids)
        self._held.update(ids)
        try:
            yield
        finally:
            self._held.subtract(ids)
            for blob_id in ids:
                if not self._held[blob_id]:
                    del self._held[blob_id]

    def adopt(self, tx: Transaction, blob_id: str) -> None:
        tx.put(keys.pack_onto(_KEPT, blob_id), b"")
        tx.on_commit(lambda: self.forget(blob_id))

    def release(self, tx: Transaction, blob_id: str) -> None:
        tx.delete(keys.pack_onto(_KEPT, blob_id))
        tx.put(keys.pack_onto(_RELEASED, self._clock.time(), blob_id), b"")
        tx.on_commit(lambda: self._note(blob_id))

    async def sweep(self) -> float:
        """A loop's step: remove the files that nothing names; returns the seconds until there may be more of them."""
        await self._sweep_released()
        now = self._clock.monotonic()
        if self._swept_at is None or now - self._swept_at >= ORPHAN_AGE_S:
            for folder in await self._in_thread("", lambda: os.listdir(self._folder)):
                if len(folder) == 2:
                    await self._sweep_orphans(self._folder / folder)
            self._swept_at = now
        return RELEASED_AGE_S

    async def _sweep_released(self) -> None:
        start, _ = keys.range_onto(_RELEASED)
        end = keys.pack_onto(_RELEASED, self._clock.time() - RELEASED_AGE_S)

        async def look(reader: Reader) -> bool:
            return bool(await reader.scan(start, end, limit=1))

        async def take(tx: Transaction) -> tuple[list[str], bool]:
            due = [key for key, _ in await tx.scan(start, end, limit=SWEEP_BATCH)]
            ids = [str(keys.unpack(key, len(_RELEASED))[1]) for key in due]
            for key, blob_id in zip(due, ids, strict=True):
                tx.delete(key)
                if blob_id in self._held:
                    tx.put(keys.pack_onto(_RELEASED, self._clock.time(), blob_id), b"")
            # One that was named again meanwhile stays.
            kept = await tx.get_many([keys.pack_onto(_KEPT, blob_id) for blob_id in ids])
            gone = [blob_id for blob_id, mark in zip(ids, kept, strict=True) if mark is None]
            return [blob_id for blob_id in gone if blob_id not in self._held], len(due) == SWEEP_BATCH

        # Mostly nothing is: that costs no commit.
        more = await self._store.read(look)
        while more:
            # A process that dies between the commit and the removal leaves an orphan.
            gone, more = await self._store.write(take)
            await self._remove(gone)

    async def _sweep_orphans(self, folder: Path) -> None:
        # In this order: a blob that is adopted meanwhile is either still noted or already kept.
        found = await self._in_thread("", lambda: os.listdir(folder))
        oldest = self._clock.monotonic() - ORPHAN_AGE_S
        candidates = [name for name in found if _ID.fullmatch(name) and self._recent.get(name, -math.inf) <= oldest]
        for at in range(0, len(candidates), SWEEP_BATCH):
            batch = candidates[at : at + SWEEP_BATCH]
            wanted = [keys.pack_onto(_KEPT, blob_id) for blob_id in batch]

            async def kept(reader: Reader, wanted: list[bytes] = wanted) -> list[bytes | None]:
                return await reader.get_many(wanted)

            marks = await self._store.read(kept)
            gone = [blob_id for blob_id, mark in zip(batch, marks, strict=True) if mark is None]
            await self._remove([blob_id for blob_id in gone if blob_id not in self._held])

    async def _remove(self, ids: list[str]) -> None:
        def remove() -> None:
            for blob_id in ids:
                self.path(blob_id).unlink(missing_ok=True)

        if ids:
            await self._in_thread("", remove)
            for blob_id in ids:
                self.forget(blob_id)

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown)

    def _note(self, blob_id: str) -> None:
        self._recent[blob_id] = self._clock.monotonic()

    # For the writer.

    def forget(self, blob_id: str) -> None:
        """The blob is adopted or given up."""
        self._recent.pop(blob_id, None)

    def submit(self, job: Callable[[], T]) -> Future[T]:
        return self._pool.submit(job)

    def temporary(self, blob_id: str) -> Path:
        return self._folder / "tmp" / blob_id

    def start_writeback(self, file: int, start: int, end: int) -> None:
        if self._sync and (begin := _sync_file_range()) is not None:
            begin(file, start, end - start, _SYNC_FILE_RANGE_WRITE)

    def publish(self, file: int, blob_id: str) -> None:
        """In a thread: give the written file its name, durably."""
        target = self.path(blob_id)
        if self._sync:
            _sync_file(file)
        try:
            os.rename(self.temporary(blob_id), target)
        except FileNotFoundError:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            if self._sync:
                _sync_folder(self._folder)
            os.rename(self.temporary(blob_id), target)
        if self._sync:
            _sync_folder(target.parent)

    async def _in_thread(self, blob_id: str, job: Callable[[], T]) -> T:
        try:
            return await asyncio.wrap_future(self._pool.submit(job))
        except FileNotFoundError as error:
            raise StoreUnavailable(f"the blob {blob_id} is missing") from error
        except OSError as error:
            raise StoreUnavailable(f"the blobs cannot be read: {error.strerror}") from error


class LocalBlobWriter:
    """Writes one chunk in a thread while the next is gathered; holds no more than about three of them."""

    def __init__(self, blobs: LocalBlobs, blob_id: str) -> None:
        self.id = blob_id
        self.size = 0
        self._blobs = blobs
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._file = -1
        # Handed to the system, and of that: on its way to the disk.
        self._written_bytes = 0
        self._started_bytes = 0
        self._writing: Future[None] | None = None
        self._over = False

    async def write(self, chunk: bytes) -> None:
        self._check()
        self._gathered.append(chunk)
        self._gathered_bytes += len(chunk)
        self.size += len(chunk)
        if self._gathered_bytes >= CHUNK_BYTES:
            await self._written()
            self._hand_over(self._append)

    async def finish(self) -> None:
        self._check()
        await self._written()
        self._over = True
        self._hand_over(self._finish)
        await self._written()

    async def abort(self) -> None:
        if self._over:
            return
        self._over = True
        writing = self._writing

        def drop() -> None:
            if writing is not None:
                # It was submitted before, so it runs or has run: whether it failed does not matter any more.
                writing.exception()
            self._drop()

        await asyncio.shield(asyncio.wrap_future(self._blobs.submit(drop)))

    def __del__(self) -> None:
        # Left without `finish` or `abort`.
        if not self._over:
            self._drop()

    def _hand_over(self, job: Callable[[list[bytes]], None]) -> None:
        chunks, self._gathered, self._gathered_bytes = self._gathered, [], 0
        self._writing = self._blobs.submit(lambda: job(chunks))

    def _check(self) -> None:
        if self._over:
            raise RuntimeError("the blob is finished")

    async def _written(self) -> None:
        """Wait for the thread; where it failed, nothing of the blob is left."""
        if self._writing is None:
            return
        try:
            await asyncio.shield(asyncio.wrap_future(self._writing))
        except OSError as error:
            await self.abort()
            raise StoreUnavailable(f"the blob cannot be written: {error.strerror}") from error

    # In a thread.

    def _append(self, chunks: list[bytes]) -> None:
        if self._file < 0:
            self._file = os.open(
                self._blobs.temporary(self.id), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )
        for chunk in chunks:
            written = os.write(self._file, chunk)
            while written < len(chunk):
                written += os.write(self._file, memoryview(chunk)[written:])
            self._written_bytes += len(chunk)
        if self._written_bytes - self._started_bytes >= _WRITEBACK_BYTES:
            self._blobs.start_writeback(self._file, self._started_bytes, self._written_bytes)
            self._started_bytes = self._written_bytes

    def _finish(self, chunks: list[bytes]) -> None:
        try:
            self._append(chunks)
            self._blobs.publish(self._file, self.id)
        except BaseException:
            self._drop()
            raise
        file, self._file = self._file, -1
        os.close(file)

    def _drop(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
            self._blobs.temporary(self.id).unlink(missing_ok=True)
        self._blobs.forget(self.id)


def _sync_file(file: int) -> None:
    """Wait until the file's bytes are on the disk; on macOS the disk's own cache counts as well."""
    full_sync = getattr(fcntl, "F_FULLFSYNC", None)
    if full_sync is None:
        os.fsync(file)
    else:
        fcntl.fcntl(file, full_sync)


@cache
def _sync_file_range() -> Callable[..., int] | None:
    """Linux's call that starts writing without waiting, where there is one."""
    import ctypes

    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return call


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
