"""Listings: a page of what is in a range of keys, and where the next one begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pileus.kernel.paging import page_place, page_token
from pileus.store.contract import Reader
from pileus.store.keys import after

T = TypeVar("T")

_CHUNK = 256


async def read_page(
    tx: Reader, span: tuple[bytes, bytes], show: Callable[[bytes], T | None], *, limit: int, token: str | None
) -> tuple[list[T], str | None]:
    """At most `limit` of what `show` makes of the records in `span` (None: not one of them), and the next token.

    Raises `kernel.paging.BadToken` where `token` is none of this listing.
    """
    start, end = span
    at = page_place(token, start, end) if token else start
    found: list[T] = []
    while True:
        entries = await tx.scan(at, end, limit=_CHUNK)
        for key, data in entries:
            shown = show(data)
            if shown is None:
                continue
            if len(found) == limit:
                return found, page_token(key, start)
            found.append(shown)
        if len(entries) < _CHUNK:
            return found, None
        at = after(entries[-1][0])


def page_answer(name: str, found: list[Any], token: str | None) -> dict[str, Any]:
    return {name: found} if token is None else {name: found, "NextToken": token}
