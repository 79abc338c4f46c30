"""Objects' bytes on their way in and out.

Small bodies stand in the store, where one commit serves many callers; larger ones go to blobs as they arrive: while a
chunk is hashed and written in other threads the next one is read, so that an upload holds two chunks and no more.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec

from pileus.cloud.context import Cloud
from pileus.kernel import digests
from pileus.kernel.errors import AWSError
from pileus.kernel.streams import ByteStream
from pileus.services.s3 import errors, keys
from pileus.services.s3.records import Body, decode_pieces
from pileus.store.contract import Reader, Transaction

INLINE_BYTES_MAX = 64 * 1024
# One PutObject, UploadPart or CopyObject.
UPLOAD_BYTES_MAX = 5 * 1024**3


T = TypeVar("T")


class Received(msgspec.Struct):
    """A body that has arrived whole: in memory, or in a finished blob that no transaction has adopted yet."""

    size: int
    md5: bytes
    # Base64, by algorithm.
    checksums: dict[str, str] = {}
    data: bytes = b""
    blob_id: str = ""


# Raises AWSError where a body is not what was announced.
Check = Callable[[Received], None]


async def receive(
    cloud: Cloud, stream: ByteStream, algorithms: Sequence[str], check: Check = lambda received: None
) -> Received:
    """Read `stream` to its end; `check` may refuse what has come. An exception leaves nothing behind."""
    if stream.length is not None:
        if stream.length > UPLOAD_BYTES_MAX:
            raise errors.entity_too_large(stream.length, UPLOAD_BYTES_MAX)
        if stream.length <= INLINE_BYTES_MAX:
            received = _small(await stream.read(), algorithms)
            check(received)
            return received
    return await _large(cloud, stream, algorithms, check)


def _small(data: bytes, algorithms: Sequence[str]) -> Received:
    values = {}
    for algorithm in algorithms:
        digest = digests.new(algorithm)
        digest.update(data)
        values[algorithm] = digests.text(digest.digest())
    return Received(len(data), hashlib.md5(data, usedforsecurity=False).digest(), values, data)


async def _large(cloud: Cloud, stream: ByteStream, algorithms: Sequence[str], check: Check) -> Received:
    loop = asyncio.get_running_loop()
    md5 = hashlib.md5(usedforsecurity=False)
    others = {algorithm: digests.new(algorithm) for algorithm in algorithms}
    writer = cloud.blobs.create()
    working: asyncio.Future[list[None]] | None = None
    size = 0

    def update_others(chunk: bytes) -> None:
        for digest in others.values():
            digest.update(chunk)

    try:
        async for chunk in stream:
            size += len(chunk)
            if size > UPLOAD_BYTES_MAX:
                raise errors.entity_too_large(size, UPLOAD_BYTES_MAX)
            if working is not None:
                await working
            tasks = [loop.run_in_executor(None, md5.update, chunk), asyncio.ensure_future(writer.write(chunk))]
            if others:
                tasks.append(loop.run_in_executor(None, update_others, chunk))
            working = asyncio.gather(*tasks)
        if working is not None:
            await working
            working = None
        values = {algorithm: digests.text(digest.digest()) for algorithm, digest in others.items()}
        received = Received(size, md5.digest(), values, b"", writer.id)
        check(received)
        await writer.finish()
        return received
    except BaseException:
        # Nothing may still write when the file goes.
        if working is not None:
            await asyncio.gather(working, return_exceptions=True)
        await writer.abort()
        raise


async def commit(cloud: Cloud, received: Received, change: Callable[[Transaction], Awaitable[T]]) -> T:
    """Run the transaction that keeps the bytes; where it refuses them, they go."""
    try:
        return await cloud.store.write(change)
    except AWSError:
        if received.blob_id:
            await cloud.store.write(partial(_drop, cloud, received.blob_id))
        raise


async def _drop(cloud: Cloud, blob_id: str, tx: Transaction) -> None:
    cloud.blobs.release(tx, blob_id)


def new_token(cloud: Cloud) -> str:
    """Begins with the time, so that what is made after another stands after it."""
    return f"{int(cloud.clock.time() * 1e6):016x}{cloud.ids.hex(12)}"


def keep(cloud: Cloud, tx: Transaction, received: Received, token: str) -> Body:
    """Record the bytes in `tx`, under `token` where they are small."""
    if received.blob_id:
        cloud.blobs.adopt(tx, received.blob_id)
        return Body("blob", received.blob_id, received.size)
    if not received.size:
        return Body()
    tx.put(keys.body(token), received.data)
    return Body("inline", token, received.size)


async def release(cloud: Cloud, tx: Transaction, body: Body) -> None:
    """Nothing names these bytes any more."""
    if body.kind == "inline":
        tx.delete(keys.body(body.at))
    elif body.kind == "blob":
        cloud.blobs.release(tx, body.at)
    elif body.kind == "pieces":
        key = keys.pieces(body.at)
        data = await tx.get(key)
        for piece in decode_pieces(data or b"\x90"):
            await release(cloud, tx, piece.body)
        tx.delete(key)


class Segment(NamedTuple):
    """Some of a body's bytes: in memory, or `length` from `start` of a blob."""

    data: bytes
    blob_id: str
    start: int
    length: int


async def locate(tx: Reader, body: Body, first: int, last: int) -> list[Segment]:
    """Where the bytes from `first` to `last` (inclusive) are; what the store holds of them is read at once."""
    if last < first:
        return []
    if body.kind == "blob":
        return [Segment(b"", body.at, first, last - first + 1)]
    if body.kind == "inline":
        data = await tx.get(keys.body(body.at))
        if data is None:
            raise AWSError("InternalError", "The object's bytes are gone.", status=500, fault="server")
        return [Segment(data[first : last + 1], "", 0, last - first + 1)]
    found: list[Segment] = []
    at = 0
    for piece in decode_pieces(await tx.get(keys.pieces(body.at)) or b"\x90"):
        end = at + piece.body.size
        if end > first and at <= last:
            found += await locate(tx, piece.body, max(first - at, 0), min(last - at, piece.body.size - 1))
        at = end
    return found


def content(cloud: Cloud, segments: Sequence[Segment]) -> bytes | AsyncIterator[bytes]:
    """What an answer streams."""
    if all(not segment.blob_id for segment in segments):
        return b"".join(segment.data for segment in segments)
    return _chunks(cloud, segments)


async def _chunks(cloud: Cloud, segments: Sequence[Segment]) -> AsyncIterator[bytes]:
    for segment in segments:
        if not segment.blob_id:
            yield segment.data
            continue
        async for chunk in cloud.blobs.stream(segment.blob_id, segment.start, segment.length):
            yield chunk


class SegmentStream:
    """A `ByteStream` over stored bytes: what copies read."""

    def __init__(self, cloud: Cloud, segments: Sequence[Segment]) -> None:
        self._cloud = cloud
        self._segments = segments
        self.length: int | None = sum(segment.length for segment in segments)
        self.trailers: dict[str, str] = {}

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _chunks(self._cloud, self._segments)

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self])
