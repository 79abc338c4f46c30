"""The checksums that AWS's clients send along, by AWS's names for them.

The CRCs other than CRC32, and the XXHASH family, come from the AWS Common Runtime (`awscrt`), as pure Python is a
thousand times too slow for them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

# Bytes of the value, by algorithm.
SIZES_BYTES = {
    "CRC32": 4,
    "CRC32C": 4,
    "CRC64NVME": 8,
    "SHA1": 20,
    "SHA256": 32,
    "SHA512": 64,
    "MD5": 16,
    "XXHASH64": 8,
    "XXHASH3": 8,
    "XXHASH128": 16,
}
ALGORITHMS = tuple(SIZES_BYTES)


class Digest(Protocol):
    def update(self, data: bytes, /) -> object: ...

    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, function: Callable[[bytes, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class _XXHash:
    def __init__(self, hasher: Any) -> None:
        self._hasher = hasher

    def update(self, data: bytes, /) -> None:
        self._hasher.update(data)

    def digest(self) -> bytes:
        value: bytes = self._hasher.finalize()
        return value


@cache
def _crc(algorithm: str) -> Callable[[bytes, int], int]:
    if algorithm == "CRC32":
        return zlib.crc32
    from awscrt import checksums as crt

    function: Callable[[bytes, int], int] = crt.crc32c if algorithm == "CRC32C" else crt.crc64nvme
    return function


def new(algorithm: str) -> Digest:
    """A digest of one of `ALGORITHMS`."""
    if algorithm.startswith("CRC"):
        return _Crc(_crc(algorithm), SIZES_BYTES[algorithm])
    if algorithm in ("SHA1", "SHA256", "SHA512", "MD5"):
        return hashlib.new(algorithm.lower(), usedforsecurity=False)
    from awscrt import checksums as crt

    make = {
        "XXHASH64": crt.XXHash.new_xxhash64,
        "XXHASH3": crt.XXHash.new_xxhash3_64,
        "XXHASH128": crt.XXHash.new_xxhash3_128,
    }[algorithm]
    return _XXHash(make())


def of(algorithm: str, data: bytes) -> str:
    """The checksum of bytes that are all there, as `text` gives it."""
    digest = new(algorithm)
    digest.update(data)
    return text(digest.digest())


def text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def is_value(algorithm: str, given: str) -> bool:
    """Whether this is a checksum of that algorithm at all: base64 of the right size."""
    try:
        return len(base64.b64decode(given, validate=True)) == SIZES_BYTES[algorithm]
    except (binascii.Error, ValueError):
        return False
