"""Request bodies as they arrive: limits, time-outs, aws-chunked framing, payload hashes.

Two ways to read one: `read_whole` for what a codec wants as bytes, and `PayloadStream` for payloads that stream.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from pileus.kernel.errors import AWSError

Receive = Callable[[], Awaitable[Any]]

CHUNK_BYTES = 1 << 20
# A client that sends nothing for this long is let go (S3: RequestTimeout).
SILENCE_S = 20.0
# aws-chunked: the longest chunk header line, and the longest block of trailing headers.
_CHUNK_LINE_BYTES_MAX = 512
_TRAILER_BYTES_MAX = 16 * 1024
# Of an announced length.
_LENGTH_DIGITS_MAX = 18
# Smaller pieces are hashed where they stand: a hop to another thread costs more.
_HASH_INLINE_BYTES = 64 * 1024
# The client waits while so much of a body is there that nobody has taken.
_HELD_BYTES_MAX = 64 * 1024


class Flow(Protocol):
    """What a body needs of its connection's transport."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool: ...

    def write(self, data: bytes) -> None: ...


class Arriving:
    """A request's body on its way in; awaiting a call of it gives the next piece, as ASGI's `receive` does.

    After the last piece a call ends when the client has gone, or the answer has been given.
    """

    __slots__ = ("_changed", "_flow", "_held", "_interim", "_over", "_paused", "_size", "_told", "ended", "keep_alive")

    def __init__(self, flow: Flow, interim: bytes = b"") -> None:
        self._flow = flow
        # Sent before anybody waits for what the client holds back until it sees it ("100 Continue").
        self._interim = interim
        self._held: list[bytes] = []
        self._size = 0
        self._paused = False
        self._over = False
        self._told = False
        self._changed: asyncio.Event | None = None
        # Whether all of it has come.
        self.ended = False
        # Whether the client wants to use the connection again; known once all has come.
        self.keep_alive = False

    def feed(self, data: bytes) -> None:
        if self._over:
            return
        self._held.append(data)
        self._size += len(data)
        if self._size > _HELD_BYTES_MAX and not self._paused:
            self._paused = True
            self._flow.pause_reading()
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def lose(self) -> None:
        """The client has gone."""
        self._over = True
        self._wake()

    def answered(self) -> None:
        """The answer has been given: what is left is not wanted."""
        self._over = True
        self._held.clear()
        self._wake()

    def resume(self) -> None:
        if self._paused and not self._flow.is_closing():
            self._flow.resume_reading()
        self._paused = False

    def take(self) -> bytes:
        """What has come and was not taken yet."""
        held = self._held
        piece = held[0] if len(held) == 1 else b"".join(held)
        held.clear()
        self._size = 0
        self._told = self.ended
        if self._paused:
            self.resume()
        return piece

    async def __call__(self) -> dict[str, Any]:
        if self._interim and not self._held and not self.ended:
            interim, self._interim = self._interim, b""
            self._flow.write(interim)
        while not (self._held or self._over or (self.ended and not self._told)):
            if self._changed is None:
                self._changed = asyncio.Event()
            self._changed.clear()
            await self._changed.wait()
        if self._over and not self._held:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self.take(), "more_body": not self.ended}

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()


class ChunkVerifier(Protocol):
    """Checks the signatures of aws-chunked chunks; raises AWSError where one is wrong."""

    def chunk(self, payload_hash: str, signature: str) -> None: ...

    def trailer(self, block: bytes, signature: str) -> None: ...


def request_timeout() -> AWSError:
    return AWSError(
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout period. "
        "Idle connections will be closed.",
        status=400,
        headers={"connection": "close"},
    )


def incomplete_body() -> AWSError:
    return AWSError(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
        status=400,
        headers={"connection": "close"},
    )


def too_large(limit: int, operation: str) -> AWSError:
    return AWSError(
        "RequestEntityTooLargeException",
        f"Request must be smaller than {limit} bytes for the {operation + ' ' if operation else ''}operation",
        status=413,
        headers={"connection": "close"},
    )


async def _in_time(receive: Receive) -> Any:
    """The next message, or `RequestTimeout`; `asyncio.timeout` by hand, at a third of its cost to every request."""
    task = asyncio.current_task()
    assert task is not None
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(SILENCE_S, expire)
    try:
        return await receive()
    except asyncio.CancelledError:
        # Somebody else may have cancelled us too: then that counts.
        if expired and task.uncancel() == 0:
            raise request_timeout() from None
        raise
    finally:
        timer.cancel()


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    """The body in the pieces in which the server hands it out."""
    while True:
        message = await _in_time(receive)
        if message["type"] != "http.request":
            raise incomplete_body()
        if message["body"]:
            yield message["body"]
        if not message["more_body"]:
            return


async def read_whole(receive: Receive, headers: dict[str, str], limit: int, operation: str = "") -> bytes:
    """The whole body as sent (not decompressed: that is what was signed), at most `limit` bytes; a longer one is
    refused with the name of the operation, where that is known."""
    announced = headers.get("content-length")
    if announced is not None and int(announced) > limit:
        raise too_large(limit, operation)
    if announced == "0" or (announced is None and "transfer-encoding" not in headers):
        return b""
    if type(receive) is Arriving and receive.ended:
        # As nearly always: a small body comes with its head.
        body = receive.take()
        if len(body) > limit:
            raise too_large(limit, operation)
        return body
    parts: list[bytes] = []
    size = 0
    async for piece in _pieces(receive):
        size += len(piece)
        if size > limit:
            raise too_large(limit, operation)
        parts.append(piece)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class PayloadStream:
    """A streaming payload: unframed, its length and hashes checked, handed out in chunks of up to 1 MiB.

    Whoever reads to the end without an exception has the payload that the client signed. `trailers` holds the trailing
    headers (lower-case names) once the end was reached.
    """

    def __init__(
        self, receive: Receive, headers: dict[str, str], *, sha256: str = "", chunks: ChunkVerifier | None = None
    ) -> None:
        self._receive = receive
        self._sha256 = sha256
        self._verifier = chunks
        self.trailers: dict[str, str] = {}
        self._encoded = "aws-chunked" in headers.get("content-encoding", "") or headers.get(
            "x-amz-content-sha256", ""
        ).startswith("STREAMING-")
        announced = headers.get("x-amz-decoded-content-length" if self._encoded else "content-length")
        if announced is not None and not (
            announced.isascii() and announced.isdigit() and len(announced) <= _LENGTH_DIGITS_MAX
        ):
            raise AWSError("InvalidArgument", "x-amz-decoded-content-length must be an integer", status=400)
        self.length: int | None = int(announced) if announced is not None else None
        if self.length is None and not self._encoded and "transfer-encoding" not in headers:
            self.length = 0

    async def read(self) -> bytes:
        receive = self._receive
        if self._encoded or type(receive) is not Arriving or not receive.ended:
            return b"".join([chunk async for chunk in self])
        # As with nearly all that is small: it has come with its head.
        data = receive.take()
        if self.length is not None and self.length != len(data):
            raise incomplete_body()
        if self._sha256:
            self._check_hash(hashlib.sha256(data))
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Pieces gathered to chunks; the payload hash is computed one chunk behind, in another thread."""
        if self.length == 0 and not self._encoded:
            self._check_hash(hashlib.sha256())
            return
        digest = hashlib.sha256() if self._sha256 else None
        hashing: asyncio.Future[None] | None = None
        loop = asyncio.get_running_loop()
        size = 0
        source = self._unframed() if self._encoded else _pieces(self._receive)
        async for chunk in _gathered(source):
            size += len(chunk)
            if self.length is not None and size > self.length:
                raise incomplete_body()
            if digest is not None:
                if hashing is not None:
                    await hashing
                    hashing = None
                if len(chunk) < _HASH_INLINE_BYTES:
                    digest.update(chunk)
                else:
                    hashing = loop.run_in_executor(None, digest.update, chunk)
            yield chunk
        if hashing is not None:
            await hashing
        if self.length is not None and size != self.length:
            raise incomplete_body()
        if digest is not None:
            self._check_hash(digest)

    def _check_hash(self, digest: Any) -> None:
        if self._sha256 and digest.hexdigest() != self._sha256:
            raise AWSError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                status=400,
                ClientComputedContentSHA256=self._sha256,
                S3ComputedContentSHA256=digest.hexdigest(),
            )

    async def _unframed(self) -> AsyncIterator[bytes]:
        """The payload inside aws-chunked framing.

        Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks (Chunked
        Upload) (AWS Signature Version 4)" and "... Including Trailing Headers".
        """
        pieces = _pieces(self._receive)
        buffer = bytearray()

        async def more() -> None:
            try:
                buffer.extend(await anext(pieces))
            except StopAsyncIteration:
                raise incomplete_body() from None

        async def line(limit: int) -> bytes:
            while (end := buffer.find(b"\r\n")) < 0:
                if len(buffer) > limit:
                    raise _bad_framing()
                await more()
            if end > limit:
                raise _bad_framing()
            found = bytes(buffer[:end])
            del buffer[: end + 2]
            return found

        while True:
            header = await line(_CHUNK_LINE_BYTES_MAX)
            size_text, _, extension = header.partition(b";")
            try:
                left = int(size_text, 16)
            except ValueError:
                raise _bad_framing() from None
            if left < 0:
                raise _bad_framing()
            signature = extension.partition(b"chunk-signature=")[2].decode("latin-1").strip()
            digest = hashlib.sha256() if self._verifier else None
            last = left == 0
            while left:
                if not buffer:
                    await more()
                piece = bytes(buffer[:left])
                del buffer[: len(piece)]
                left -= len(piece)
                if digest is not None:
                    digest.update(piece)
                yield piece
            if self._verifier and digest is not None:
                self._verifier.chunk(digest.hexdigest(), signature)
            if last:
                break
            if await line(2):
                raise _bad_framing()
        await self._read_trailers(line)
        if buffer:
            raise _bad_framing()
        async for _more in pieces:
            raise _bad_framing()

    async def _read_trailers(self, line: Callable[[int], Awaitable[bytes]]) -> None:
        block = bytearray()
        signature = ""
        while True:
            one = await line(_TRAILER_BYTES_MAX)
            if not one:
                break
            name, _, value = one.partition(b":")
            key = name.strip().decode("latin-1").lower()
            if key == "x-amz-trailer-signature":
                signature = value.strip().decode("latin-1")
                continue
            self.trailers[key] = value.strip().decode("latin-1")
            block += key.encode() + b":" + value.strip() + b"\n"
            if len(block) > _TRAILER_BYTES_MAX:
                raise _bad_framing()
        if self._verifier and (block or signature):
            self._verifier.trailer(bytes(block), signature)


def _bad_framing() -> AWSError:
    return AWSError("InvalidRequest", "The body is not well formed according to aws-chunked encoding", status=400)


async def _gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Small pieces put together to chunks of up to 1 MiB."""
    held: list[bytes] = []
    size = 0
    async for piece in pieces:
        if size + len(piece) > CHUNK_BYTES and held:
            yield b"".join(held)
            held, size = [], 0
        held.append(piece)
        size += len(piece)
    if held:
        yield held[0] if len(held) == 1 else b"".join(held)
