"""Listings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pileus.cloud.manifest import Answer, Request
from pileus.cloud.pages import page_answer, read_page
from pileus.kernel.paging import BadToken
from pileus.services.schemas import errors
from pileus.store.contract import Reader

PAGE = 100


async def page(
    tx: Reader, request: Request, member: str, span: tuple[bytes, bytes], show: Callable[[bytes], Any | None]
) -> Answer:
    """At most `Limit` of what `show` makes of the records in `span` (None: not one)."""
    try:
        found, token = await read_page(
            tx, span, show, limit=request.get("Limit") or PAGE, token=request.get("NextToken")
        )
    except BadToken:
        raise errors.bad_request("The NextToken is not valid.") from None
    return page_answer(member, found, token)
