"""An HTTP request and answer, as the codecs see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec

from pileus.kernel.ids import host_id
from pileus.kernel.streams import ByteStream


class HttpRequest(msgspec.Struct, eq=False):
    """A request whose body, unless it streams, has been read whole, unchunked and decompressed."""

    method: str
    # Percent-encoded, as it came.
    path: str
    # Without the "?", as it came.
    query: str
    # Lower-case names; several headers of one name are joined with ",".
    headers: dict[str, str]
    body: bytes = b""
    # Instead of `body`, where the operation's payload streams.
    stream: ByteStream | None = None


class HttpAnswer(msgspec.Struct, eq=False):
    status: int
    # In the order in which they are sent.
    headers: list[tuple[str, str]] = []
    body: bytes | AsyncIterator[bytes] = b""
    # Called with how many bytes of the body were handed to the client, when that is over.
    when_sent: Callable[[int], None] | None = None


def s3_headers(request_id: str) -> list[tuple[str, str]]:
    """What every answer of S3 has."""
    return [("x-amz-id-2", host_id(request_id)), ("x-amz-request-id", request_id), ("Server", "AmazonS3")]
