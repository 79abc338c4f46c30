"""Bodies that do not fit in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class ByteStream(Protocol):
    """A request body as it arrives. A streaming member of a request (S3's `Body`) is one of these.

    Reading raises `AWSError` when the body breaks off, is longer or shorter than announced, or fails its checksum:
    an operation that has not read to the end must not acknowledge anything.
    """

    # Bytes of decoded payload, or None where the caller did not say.
    length: int | None
    # Trailing headers by lower-case name, once the end has been reached: {"x-amz-checksum-crc32": "..."}.
    trailers: dict[str, str]

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks of at most 1 MiB, until the end."""
        ...

    async def read(self) -> bytes:
        """All that is left, as one value."""
        ...


class BytesStream:
    """A `ByteStream` over bytes that are already there: calls from inside, and tests."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length: int | None = len(data)
        self.trailers: dict[str, str] = {}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        data, self._data = self._data, b""
        for start in range(0, len(data), 1 << 20):
            yield data[start : start + (1 << 20)]

    async def read(self) -> bytes:
        data, self._data = self._data, b""
        return data
