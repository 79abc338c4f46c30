"""Blobs: large immutable values (S3 objects, code, layers) beside the store.

A blob is written, synced and renamed before the transaction that names it commits; that transaction calls `adopt`, and
the one that drops the last name calls `release`. A blob that no transaction adopted within `ORPHAN_AGE_S` is swept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from pileus.store.contract import Transaction

CHUNK_BYTES = 1 << 20

# A blob is adopted within one call; no upload of one part takes longer than this.
ORPHAN_AGE_S = 24 * 3600.0


class BlobWriter(Protocol):
    """A blob that is being written. Left without `finish`, it leaves nothing behind."""

    id: str
    size: int

    async def write(self, chunk: bytes) -> None: ...

    async def finish(self) -> None:
        """Make it durable under its id. Nothing is visible or kept before this returns."""
        ...

    async def abort(self) -> None:
        """Drop it; harmless after `finish`, and where called twice."""
        ...


class Blobs(Protocol):
    def create(self) -> BlobWriter: ...

    def stream(
        self, blob_id: str, start: int = 0, length: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        """The bytes from `start`, in chunks of `chunk_bytes` but for the last; a slow reader holds one of them."""
        ...

    async def read(self, blob_id: str) -> bytes: ...

    def hold(self, blob_ids: Iterable[str]) -> AbstractContextManager[None]:
        """Keep the files of these blobs while this process reads them in turn, whatever is released meanwhile."""
        ...

    def path(self, blob_id: str) -> Path:
        """A local file with the blob's bytes, for what needs a file (unpacking code); never written to."""
        ...

    def adopt(self, tx: Transaction, blob_id: str) -> None:
        """Record in `tx` that the blob is named by something."""
        ...

    def release(self, tx: Transaction, blob_id: str) -> None:
        """Record in `tx` that nothing names the blob any more; its file goes some time after the commit."""
        ...
