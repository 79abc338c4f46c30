"""Marker and MaxItems: the page that begins behind the marker's key."""

from __future__ import annotations

from collections.abc import Callable

from pileus.cloud.manifest import Request
from pileus.kernel.paging import BadToken, page_place, page_token
from pileus.services.lambda_ import errors
from pileus.store.contract import Reader
from pileus.store.keys import after

PAGE_DEFAULT = 50
SCAN_LIMIT = 200


async def page(
    tx: Reader,
    request: Request,
    start: bytes,
    end: bytes,
    *,
    accept: Callable[[bytes, bytes], bool] | None = None,
    most: int = PAGE_DEFAULT,
) -> tuple[list[tuple[bytes, bytes]], str | None]:
    """The pairs of one page that are accepted, and the marker of the next."""
    limit = min(request.get("MaxItems") or most, most)
    at = _read(request["Marker"], start, end) if request.get("Marker") else start
    out: list[tuple[bytes, bytes]] = []
    while True:
        found = await tx.scan(at, end, limit=SCAN_LIMIT)
        for key, data in found:
            if accept is not None and not accept(key, data):
                continue
            if len(out) == limit:
                return out, page_token(key, start)
            out.append((key, data))
        if len(found) < SCAN_LIMIT:
            return out, None
        at = after(found[-1][0])


def _read(marker: str, start: bytes, end: bytes) -> bytes:
    try:
        return page_place(marker, start, end)
    except BadToken:
        raise errors.invalid_parameter("Invalid marker.") from None
