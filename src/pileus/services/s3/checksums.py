"""Checksums of objects: computing, verifying, putting together those of parts.

Source: "Checking object integrity in Amazon S3" in the Amazon S3 User Guide.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from pileus.kernel.digests import ALGORITHMS, SIZES_BYTES, is_value, new, text
from pileus.kernel.errors import AWSError
from pileus.services.s3 import errors
from pileus.services.s3.records import Checksum

# What S3 computes for an object that comes without a checksum.
DEFAULT_ALGORITHM = "CRC64NVME"

# Only a CRC of parts can be made into the CRC of the whole.
LINEAR = ("CRC32", "CRC32C", "CRC64NVME")


def member(algorithm: str) -> str:
    """The member of requests and answers: "ChecksumCRC32"."""
    return "Checksum" + algorithm


_MEMBERS = {member(algorithm): algorithm for algorithm in ALGORITHMS}


def header(algorithm: str) -> str:
    return "x-amz-checksum-" + algorithm.lower()


def unsupported() -> AWSError:
    return errors.invalid_request(
        "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
        "[CRC32, CRC32C, SHA1, SHA256, CRC64NVME]"
    )


def from_members(request: Mapping[str, Any]) -> tuple[str, str] | None:
    """The one (algorithm, value) among a request's members; InvalidRequest where there are several, or it is none."""
    if _MEMBERS.keys().isdisjoint(request):
        return None
    given = [(name, request[key]) for key, name in _MEMBERS.items() if key in request]
    if len(given) > 1:
        raise errors.invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    name, value = given[0]
    check_form(name, value)
    return name, value


def check_form(algorithm: str, value: str) -> None:
    if not is_value(algorithm, value):
        raise errors.invalid_request(f"Value for {header(algorithm)} header is invalid.")


def check_meant(meant: str, announced: str | None) -> None:
    """`x-amz-sdk-checksum-algorithm` says what stands in another header, or behind the body."""
    if announced is None and meant.upper() in SIZES_BYTES:
        raise errors.invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
            "were found."
        )
    if meant.upper() != announced:
        raise errors.invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid.")


_NO_VALUES = ("x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type")


def check_known(headers: Mapping[str, str]) -> None:
    """Refuse the value of an algorithm that S3 does not know."""
    for name in headers:
        if name.startswith("x-amz-checksum-") and name not in _NO_VALUES:
            raise errors.invalid_request("The algorithm type you specified in x-amz-checksum- header is invalid.")


def announced(headers: Mapping[str, str]) -> str | None:
    """The algorithm whose value will come as a trailing header (`x-amz-trailer`)."""
    trailer = headers.get("x-amz-trailer")
    for name in trailer.split(",") if trailer else ():
        algorithm = name.strip().lower().removeprefix("x-amz-checksum-").upper()
        if algorithm in SIZES_BYTES:
            return algorithm
        if algorithm:
            raise errors.invalid_request("The value specified in the x-amz-trailer header is not supported")
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
