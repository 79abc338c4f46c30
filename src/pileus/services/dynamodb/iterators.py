"""Shard iterators: a place in a stream, with the moment until which it may be used, opaque to the caller.

The stream's ARN stands in front, as in AWS's own: what a caller needs to be allowed can be told from the iterator.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from struct import Struct

import msgspec

from pileus.services.dynamodb import errors

AGE_MAX_S = 15 * 60.0

_FIELDS = Struct(">QQ?")
_CHECK_BYTES = 6


class Place(msgspec.Struct, frozen=True):
    """The record numbered `number` or the next one behind it."""

    stream: str
    number: int
    expires_ms: int
    # From the oldest record that there is: what has been trimmed before it is not missed.
    oldest: bool = False


def encode(place: Place) -> str:
    fields = _FIELDS.pack(place.number, place.expires_ms, place.oldest)
    text = urlsafe_b64encode(_check(place.stream, fields) + fields).decode()
    return f"{place.stream}|1|{text}"


def decode(text: str) -> Place:
    """Raises `ValidationException` for what is no iterator."""
    stream, _, rest = text.partition("|1|")
    try:
        data = urlsafe_b64decode(rest.encode("ascii"))
    except ValueError:
        data = b""
    check, fields = data[:_CHECK_BYTES], data[_CHECK_BYTES:]
    if len(fields) != _FIELDS.size or check != _check(stream, fields):
        raise errors.validation("Invalid ShardIterator")
    return Place(stream, *_FIELDS.unpack(fields))


def stream_arn(text: str) -> str:
    """The ARN in an iterator."""
    return text.partition("|")[0]


def _check(stream: str, fields: bytes) -> bytes:
    return blake2b(stream.encode() + fields, digest_size=_CHECK_BYTES).digest()
