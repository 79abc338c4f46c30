"""Paging tokens of the Describe operations, with CloudWatch Logs' words for bad ones."""

from __future__ import annotations

from pileus.kernel.paging import BadToken, page_place
from pileus.services.logs import errors


def place(token: str, start: bytes, end: bytes) -> bytes:
    """What `token` was made of, which must lie in the range that is being listed."""
    try:
        return page_place(token, start, end)
    except BadToken:
        raise errors.bad_token() from None
