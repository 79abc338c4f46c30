"""Listings: a page of records, and where the next one begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pileus.cloud.manifest import Request
from pileus.kernel.paging import BadToken, page_place, page_token
from pileus.services.scheduler import errors
from pileus.store.contract import Reader
from pileus.store.keys import after

PAGE = 100
_CHUNK = 256


async def page(
    tx: Reader, request: Request, span: tuple[bytes, bytes], show: Callable[[bytes], Any | None]
) -> tuple[list[Any], str | None]:
    """At most `MaxResults` of what `show` makes of the records in `span` (None: not one of them); the next token."""
    start, end = span
    limit = request.get("MaxResults") or PAGE
    at = start
    if token := request.get("NextToken"):
        try:
            at = page_place(token, start, end)
        except BadToken:
            raise errors.bad_token() from None
    found: list[Any] = []
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


def answer(name: str, found: list[Any], token: str | None) -> dict[str, Any]:
    return {name: found} if token is None else {name: found, "NextToken": token}
