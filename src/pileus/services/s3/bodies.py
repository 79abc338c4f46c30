"""Objects' bytes on their way in and out.

Small bodies stand in the store, where one commit serves many callers, and tiny ones in their object's record, which
is written and read anyway; larger ones go to blobs as they arrive: while a chunk is hashed, encrypted and written in
other threads the next one is read, so that an upload holds few chunks.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from pileus.cloud.context import Cloud
from pileus.kernel import digests
from pileus.kernel.errors import AWSError
from pileus.kernel.streams import ByteStream
from pileus.services.s3 import errors, keys, sealing
from pileus.services.s3.records import Body, Piece, decode_pieces
from pileus.services.s3.sealing import Vault
from pileus.store.contract import Reader, StoreUnavailable, Transaction

INLINE_BYTES_MAX = 64 * 1024
# Listings read records: these are not to be much longer for it.
HERE_BYTES_MAX = 2 * 1024
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
    # What it is encrypted under, where not under the node's key.
    customer_key: bytes | None = None

    @property
    def sealed(self) -> sealing.Seal:
        return "node" if self.customer_key is None else "customer"


# Raises AWSError where a body is not what was announced.
Check = Callable[[Received], None]


async def receive(
    cloud: Cloud,
    stream: ByteStream,
    algorithms: Sequence[str],
    check: Check = lambda received: None,
    *,
    customer_key: bytes | None = None,
) -> Received:
    """Read `stream` to its end; `check` may refuse what has come. An exception leaves nothing behind."""
    if stream.length is not None:
        if stream.length > UPLOAD_BYTES_MAX:
            raise errors.entity_too_large(stream.length, UPLOAD_BYTES_MAX)
        if stream.length <= INLINE_BYTES_MAX:
            received = _small(await stream.read(), algorithms)
            received.customer_key = customer_key
            check(received)
            return received
    return await _large(cloud, stream, algorithms, check, customer_key)


def _small(data: bytes, algorithms: Sequence[str]) -> Received:
    values = {algorithm: digests.of(algorithm, data) for algorithm in algorithms}
    return Received(len(data), hashlib.md5(data, usedforsecurity=False).digest(), values, data)


async def _large(
    cloud: Cloud, stream: ByteStream, algorithms: Sequence[str], check: Check, customer_key: bytes | None
) -> Received:
    loop = asyncio.get_running_loop()
    md5 = hashlib.md5(usedforsecurity=False)
    others = {algorithm: digests.new(algorithm) for algorithm in algorithms}
    writer = cloud.blobs.create()
    sealer = sealing.Sealer(cloud.part(Vault).cipher(writer.id, customer_key))
    working: asyncio.Future[tuple[None, None]] | None = None
    size = 0

    def digest_and_seal(chunk: bytes) -> bytes:
        for digest in others.values():
            digest.update(chunk)
        return sealer.update(chunk)

    async def keep(chunk: bytes) -> None:
        await writer.write(await loop.run_in_executor(None, digest_and_seal, chunk))

    try:
        async for chunk in stream:
            size += len(chunk)
            if size > UPLOAD_BYTES_MAX:
                raise errors.entity_too_large(size, UPLOAD_BYTES_MAX)
            if working is not None:
                await working
            working = asyncio.gather(loop.run_in_executor(None, md5.update, chunk), keep(chunk))
        if working is not None:
            await working
            working = None
        values = {algorithm: digests.text(digest.digest()) for algorithm, digest in others.items()}
        received = Received(size, md5.digest(), values, b"", writer.id, customer_key)
        check(received)
        if last := sealer.finish():
            await writer.write(last)
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


def keep(cloud: Cloud, tx: Transaction, received: Received, token: str, *, apart: bool = False) -> Body:
    """Record the bytes in `tx`, under `token` where they are small. `apart`: what names them is a list of many, so not
    there."""
    if received.blob_id:
        cloud.blobs.adopt(tx, received.blob_id)
        return Body("blob", received.blob_id, received.size, received.sealed)
    if not received.size:
        return Body()
    stored = cloud.part(Vault).cipher(token, received.customer_key).seal(received.data)
    if received.size <= HERE_BYTES_MAX and not apart:
        return Body("here", token, received.size, received.sealed, stored)
    tx.put(keys.body(token), stored)
    return Body("inline", token, received.size, received.sealed)


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


async def parts(tx: Reader, body: Body) -> list[Piece]:
    """The parts of a body in pieces, of which some may be lists of others."""
    found: list[Piece] = []
    for piece in decode_pieces(await tx.get(keys.pieces(body.at)) or b"\x90"):
        found += await parts(tx, piece.body) if piece.body.kind == "pieces" else [piece]
    return found


class Segment(msgspec.Struct, frozen=True):
    """`length` of a body's bytes from `start`: of one whose stored bytes are in memory, or of a blob."""

    body: Body
    start: int
    length: int
    # All that is stored of it; None: it is in a blob.
    stored: bytes | None = None


async def locate(tx: Reader, body: Body, first: int, last: int) -> list[Segment]:
    """Where the bytes from `first` to `last` (inclusive) are; what the store holds of them is read at once."""
    if last < first:
        return []
    if body.kind == "blob":
        return [Segment(body, first, last - first + 1)]
    if body.kind == "here":
        return [Segment(body, first, last - first + 1, body.stored)]
    if body.kind == "inline":
        data = await tx.get(keys.body(body.at))
        if data is None:
            raise AWSError("InternalError", "The object's bytes are gone.", status=500, fault="server")
        return [Segment(body, first, last - first + 1, data)]
    found: list[Segment] = []
    at = 0
    for piece in decode_pieces(await tx.get(keys.pieces(body.at)) or b"\x90"):
        end = at + piece.body.size
        if end > first and at <= last:
            found += await locate(tx, piece.body, max(first - at, 0), min(last - at, piece.body.size - 1))
        at = end
    return found


def content(
    cloud: Cloud, segments: Sequence[Segment], customer_key: bytes | None = None
) -> bytes | AsyncIterator[bytes]:
    """What an answer streams. `customer_key`: what those are encrypted under that are under a customer's key."""
    if all(segment.stored is not None for segment in segments):
        return b"".join([_inline(cloud, segment, customer_key) for segment in segments])
    return _chunks(cloud, segments, customer_key)


def _cipher(cloud: Cloud, body: Body, customer_key: bytes | None) -> sealing.Cipher:
    vault = cloud.part(Vault)
    return vault.cipher(body.at, customer_key) if body.sealed == "customer" else vault.known(body.at)


def _inline(cloud: Cloud, segment: Segment, customer_key: bytes | None) -> bytes:
    data = segment.stored or b""
    if segment.body.sealed:
        try:
            data = _cipher(cloud, segment.body, customer_key).open(data)
        except sealing.Damaged as error:
            raise StoreUnavailable(f"the body {segment.body.at} is damaged") from error
    return data if segment.length == len(data) else data[segment.start : segment.start + segment.length]


async def _chunks(cloud: Cloud, segments: Sequence[Segment], customer_key: bytes | None) -> AsyncIterator[bytes]:
    # A slow reader comes to the last only after others have replaced or removed the object.
    with cloud.blobs.hold(segment.body.at for segment in segments if segment.body.kind == "blob"):
        for segment in segments:
            if segment.stored is not None:
                yield _inline(cloud, segment, customer_key)
            elif not segment.body.sealed:
                async for chunk in cloud.blobs.stream(segment.body.at, segment.start, segment.length):
                    yield chunk
            else:
                async for chunk in _opened(cloud, segment, customer_key):
                    yield chunk


# What is read of a blob at once: whole segments, about a mebibyte.
_OPENED_BYTES = 16 * sealing.STORED_BYTES


async def _opened(cloud: Cloud, segment: Segment, customer_key: bytes | None) -> AsyncIterator[bytes]:
    """The bytes of an encrypted blob's range."""
    cipher = _cipher(cloud, segment.body, customer_key)
    number, start, length = sealing.stored_range(segment.start, segment.length)
    skip = segment.start - number * sealing.SEGMENT_BYTES
    left = segment.length
    try:
        async for stored in cloud.blobs.stream(segment.body.at, start, length, chunk_bytes=_OPENED_BYTES):
            data = cipher.open(stored, number)
            number += -(-len(stored) // sealing.STORED_BYTES)
            if skip or len(data) - skip > left:
                data = data[skip : skip + left]
                skip = 0
            left -= len(data)
            yield data
    except sealing.Damaged as error:
        raise StoreUnavailable(f"the blob {segment.body.at} is damaged") from error
    if left:
        raise StoreUnavailable(f"the blob {segment.body.at} is cut off")


class SegmentStream:
    """A `ByteStream` over stored bytes: what copies read."""

    def __init__(self, cloud: Cloud, segments: Sequence[Segment], customer_key: bytes | None = None) -> None:
        self._cloud = cloud
        self._segments = segments
        self._customer_key = customer_key
        self.length: int | None = sum(segment.length for segment in segments)
        self.trailers: dict[str, str] = {}

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _chunks(self._cloud, self._segments, self._customer_key)

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self])
