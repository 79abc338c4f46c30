"""Listings: a page of records, and where the next one begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pileus.cloud.manifest import Request
from pileus.cloud.pages import page_answer, read_page
from pileus.kernel.paging import BadToken
from pileus.services.events import errors
from pileus.store.contract import Reader

PAGE = 100


async def page(
    tx: Reader, request: Request, span: tuple[bytes, bytes], show: Callable[[bytes], Any | None]
) -> tuple[list[Any], str | None]:
    """At most `Limit` of what `show` makes of the records in `span` (None: not one); the next token."""
    try:
        return await read_page(tx, span, show, limit=request.get("Limit") or PAGE, token=request.get("NextToken"))
    except BadToken:
        raise errors.bad_token() from None


answer = page_answer
