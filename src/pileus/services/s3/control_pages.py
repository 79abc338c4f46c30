"""Pages of what the control plane lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pileus.services.s3 import errors, listing
from pileus.store.contract import Reader
from pileus.store.keys import after

T = TypeVar("T")

PAGE_MAX = 1000


async def page(
    tx: Reader,
    bounds: tuple[bytes, bytes],
    request: Mapping[str, Any],
    decode: Callable[[bytes], T],
    wanted: Callable[[T], bool] = lambda _: True,
) -> tuple[list[T], dict[str, str]]:
    """As many of the records within `bounds` as `MaxResults` asks for, from `NextToken` on, and the next page's token
    as a member of the answer, if there is one."""
    most = listing.page_size(request.get("MaxResults") or PAGE_MAX, "maxResults")
    start, end = bounds
    if given := request.get("NextToken"):
        last = listing.from_token(given)
        if not start <= last < end:
            raise errors.invalid_argument("The continuation token provided is incorrect", "continuation-token")
        start = after(last)
    found: list[tuple[bytes, T]] = []
    while len(found) <= most and (rows := await tx.scan(start, end, limit=PAGE_MAX)):
        found += [(key, record) for key, record in ((key, decode(value)) for key, value in rows) if wanted(record)]
        start = after(rows[-1][0])
    token = {"NextToken": listing.token(found[most - 1][0])} if len(found) > most else {}
    return [record for _, record in found[:most]], token
