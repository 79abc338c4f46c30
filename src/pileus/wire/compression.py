"""Compressed request bodies."""

from __future__ import annotations

import zlib

from pileus.kernel.errors import AWSError


def gunzip(body: bytes, limit_bytes: int) -> bytes:
    """The content of a gzip body (`Content-Encoding: gzip`), several members one after the other included.

    Raises `AWSError` where it is no whole gzip stream, and where it would grow past `limit_bytes`; no more than that is
    ever held in memory.
    """
    parts: list[bytes] = []
    left = limit_bytes
    while body:
        reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            part = reader.decompress(body, left + 1)
        except zlib.error:
            raise _broken() from None
        if len(part) > left:
            raise AWSError("RequestEntityTooLargeException", "Request body is too large", status=413)
        if not reader.eof:
            raise _broken()
        parts.append(part)
        left -= len(part)
        body = reader.unused_data
    return b"".join(parts)


def _broken() -> AWSError:
    return AWSError("SerializationException", "The compressed request body could not be read", status=400)
