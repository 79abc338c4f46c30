"""Paging tokens of the Describe operations: where the next page begins, readable by this service only."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

from pileus.services.logs import errors


def token(place: bytes) -> str:
    return urlsafe_b64encode(place).decode()


def place(token: str, start: bytes, end: bytes) -> bytes:
    """What `token` was made of, which must lie in the range that is being listed."""
    try:
        found = urlsafe_b64decode(token.encode())
    except (Error, ValueError):
        raise errors.bad_token() from None
    if not start <= found <= end:
        raise errors.bad_token()
    return found
