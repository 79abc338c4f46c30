"""Checksums of objects: computing, verifying, putting together those of parts.

Source: "Checking object integrity in Amazon S3" in the Amazon S3 User Guide. The CRCs other than CRC32, and the
XXHASH family, come from the AWS Common Runtime (`awscrt`), as pure Python is a thousand times too slow for them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pileus.kernel.errors import AWSError
from pileus.services.s3 import errors
from pileus.services.s3.records import Checksum

# What S3 computes for an object that comes without a checksum.
DEFAULT_ALGORITHM = "CRC64NVME"

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
# Only a CRC of parts can be made into the CRC of the whole.
LINEAR = ("CRC32", "CRC32C", "CRC64NVME")


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


def new(algorithm: str) -> Digest:
    """A digest of one of `ALGORITHMS`."""
    if algorithm == "CRC32":
        return _Crc(zlib.crc32, 4)
    if algorithm in ("SHA1", "SHA256", "SHA512", "MD5"):
        return hashlib.new(algorithm.lower(), usedforsecurity=False)
    from awscrt import checksums as crt

    if algorithm == "CRC32C":
        return _Crc(crt.crc32c, 4)
    if algorithm == "CRC64NVME":
        return _Crc(crt.crc64nvme, 8)
    make = {
        "XXHASH64": crt.XXHash.new_xxhash64,
        "XXHASH3": crt.XXHash.new_xxhash3_64,
        "XXHASH128": crt.XXHash.new_xxhash3_128,
    }[algorithm]
    return _XXHash(make())


def text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def member(algorithm: str) -> str:
    """The member of requests and answers: "ChecksumCRC32"."""
    return "Checksum" + algorithm


def header(algorithm: str) -> str:
    return "x-amz-checksum-" + algorithm.lower()


def unsupported() -> AWSError:
    return errors.invalid_request(
        "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
        "[CRC32, CRC32C, SHA1, SHA256, CRC64NVME]"
    )


def from_members(request: Mapping[str, Any]) -> tuple[str, str] | None:
    """The one (algorithm, value) among a request's members; InvalidRequest where there are several, or it is none."""
    given = [(name, request[key]) for name in ALGORITHMS if (key := "Checksum" + name) in request]
    if not given:
        return None
    if len(given) > 1:
        raise errors.invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    name, value = given[0]
    check_form(name, value)
    return name, value


def check_form(algorithm: str, value: str) -> None:
    try:
        good = len(base64.b64decode(value, validate=True)) == SIZES_BYTES[algorithm]
    except (binascii.Error, ValueError):
        good = False
    if not good:
        raise errors.invalid_request(f"Value for {header(algorithm)} header is invalid.")


def announced(headers: Mapping[str, str]) -> str | None:
    """The algorithm whose value will come as a trailing header (`x-amz-trailer`)."""
    for name in headers.get("x-amz-trailer", "").split(","):
        algorithm = name.strip().lower().removeprefix("x-amz-checksum-").upper()
        if algorithm in SIZES_BYTES:
            return algorithm
    return None


def members(checksum: Checksum | None) -> dict[str, str]:
    """How an answer shows a checksum."""
    if checksum is None:
        return {}
    return {member(checksum.algorithm): checksum.value, "ChecksumType": checksum.type}


def composite(algorithm: str, values: Sequence[str]) -> str:
    """The checksum of the parts' checksums."""
    digest = new(algorithm)
    for value in values:
        digest.update(base64.b64decode(value))
    return f"{text(digest.digest())}-{len(values)}"


def combined(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The CRC of the whole from the parts' (value, size in bytes)."""
    from awscrt import checksums as crt

    combine = {
        "CRC32": crt.combine_crc32,
        "CRC32C": crt.combine_crc32c,
        "CRC64NVME": crt.combine_crc64nvme,
    }[algorithm]
    total = 0
    for value, size in parts:
        total = combine(total, int.from_bytes(base64.b64decode(value), "big"), size)
    return text(total.to_bytes(SIZES_BYTES[algorithm], "big"))


def content_md5(request: Mapping[str, Any]) -> bytes | None:
    """The MD5 that `Content-MD5` announces; InvalidDigest where it is none."""
    given = request.get("ContentMD5")
    if given is None:
        return None
    try:
        value = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise errors.invalid_digest(given) from None
    if len(value) != 16:
        raise errors.invalid_digest(given)
    return value
