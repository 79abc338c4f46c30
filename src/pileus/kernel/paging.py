"""Paging tokens: where the next page of a listing begins, opaque to the caller.

A token holds what the place's key has beyond the listing's first key, and a checksum over both: one that is cut off,
changed, or from another listing (another account, another filter that is part of the key) is told from a good one.
Whoever makes one up with a right checksum gets no further than other places of the same listing.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

_CHECK_BYTES = 6
_SHARED_BYTES = 2


class BadToken(ValueError):
    """No token of this listing; the service has its own words for it."""


def page_token(place: bytes, start: bytes) -> str:
    """The token for the key `place` in the listing that begins with the key `start`."""
    pairs = enumerate(zip(place, start, strict=False))
    shared = next((at for at, (ours, theirs) in pairs if ours != theirs), min(len(place), len(start)))
    data = _checksum(place, start) + shared.to_bytes(_SHARED_BYTES, "big") + place[shared:]
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def page_place(token: str, start: bytes, end: bytes) -> bytes:
    """The key that `token` was made of; raises `BadToken` unless it lies in this listing, from `start` to `end`."""
    try:
        data = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except ValueError:
        raise BadToken(token) from None
    check, rest = data[:_CHECK_BYTES], data[_CHECK_BYTES:]
    place = start[: int.from_bytes(rest[:_SHARED_BYTES], "big")] + rest[_SHARED_BYTES:]
    # What the decoder passes over (other characters, spare bits) makes no second form of one token.
    if check != _checksum(place, start) or not start <= place <= end or page_token(place, start) != token:
        raise BadToken(token)
    return place


def _checksum(place: bytes, start: bytes) -> bytes:
    return blake2b(len(start).to_bytes(4, "big") + start + place, digest_size=_CHECK_BYTES).digest()
