"""IAM's lists: MaxItems (100 unless said, at most 1000), Marker, IsTruncated."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from pileus.cloud.manifest import Answer, Request
from pileus.services.iam.errors import validation_error
from pileus.store.contract import Reader
from pileus.store.keys import after

T = TypeVar("T")

ITEMS_DEFAULT = 100
_SCAN_STEP = 200


def _marker(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode()


def _unmarked(request: Request) -> bytes | None:
    marker = request.get("Marker")
    if marker is None:
        return None
    try:
        return urlsafe_b64decode(marker)
    except (binascii.Error, ValueError):
        raise validation_error("Invalid Marker.") from None


def listing(name: str, items: Sequence[Any], marker: str | None) -> Answer:
    """The answer of a List operation."""
    return {name: list(items), **truncation(marker)}


def truncation(marker: str | None) -> Answer:
    """How an answer says whether there is more."""
    return {"IsTruncated": False} if marker is None else {"IsTruncated": True, "Marker": marker}


async def scan(
    tx: Reader,
    span: tuple[bytes, bytes],
    request: Request,
    view: Callable[[bytes, bytes], Awaitable[T | None]],
) -> tuple[list[T], str | None]:
    """One page of what `view` makes of the pairs in `span` (None: not in this list), and the marker of the next."""
    start, end = span
    limit = request.get("MaxItems", ITEMS_DEFAULT)
    resumed = _unmarked(request)
    if resumed is not None:
        if not start <= resumed < end:
            raise validation_error("Invalid Marker.")
        start = after(resumed)
    found: list[T] = []
    last = b""
    while True:
        pairs = await tx.scan(start, end, limit=_SCAN_STEP)
        for key, value in pairs:
            item = await view(key, value)
            if item is None:
                continue
            if len(found) == limit:
                return found, _marker(last)
            found.append(item)
            last = key
        if len(pairs) < _SCAN_STEP:
            return found, None
        start = after(pairs[-1][0])


def page(items: Sequence[T], request: Request) -> tuple[Sequence[T], str | None]:
    """One page of a list that is at hand."""
    limit = request.get("MaxItems", ITEMS_DEFAULT)
    resumed = _unmarked(request)
    start = 0
    if resumed is not None:
        if not (resumed.isdigit() and len(resumed) < 10):
            raise validation_error("Invalid Marker.")
        start = int(resumed)
    end = start + limit
    return items[start:end], _marker(str(end).encode()) if end < len(items) else None
