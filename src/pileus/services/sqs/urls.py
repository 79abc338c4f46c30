"""Queue URLs, in every form that clients send, and the one that is answered.

{origin}/{account}/{name}
{origin}/queue/{region}/{account}/{name}
http://sqs.{region}.localhost:4566/{account}/{name}        and under amazonaws.com and other domains
https://{region}.queue.amazonaws.com/{account}/{name}      as older SDKs write it
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from pileus.cloud.context import Context
from pileus.services.sqs import errors

_URL = re.compile(r"(?:https?://)?([^/]*)((?:/[^?#]*)?)", re.IGNORECASE)
_PATH = re.compile(r"(?:/queue/([a-z0-9-]+))?/(\d{12})/([^/]+)/?")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")


class Place(NamedTuple):
    """Where a queue is, by name."""

    account: str
    # "" where the URL does not say.
    region: str
    name: str


def read(url: str) -> Place | None:
    """The queue that a URL means; None where it is none."""
    found = _URL.fullmatch(url)
    if found is None:
        return None
    host, path = found.groups()
    parts = _PATH.fullmatch(path)
    if parts is None:
        return None
    region, account, name = parts.groups()
    if not region:
        labels = host.partition(":")[0].lower().split(".")
        region = next((one for one in labels if _REGION.fullmatch(one)), "")
    return Place(account, region or "", unquote(name))


def place(ctx: Context, url: str) -> Place:
    """The queue that a request's QueueUrl means. Raises InvalidAddress."""
    return _place(url, ctx.account, ctx.region)


@lru_cache(4096)
def _place(url: str, account: str, region: str) -> Place:
    found = read(url)
    if found is None:
        # A bare name is what the older query protocol made a path of.
        if re.fullmatch(r"[A-Za-z0-9_-]{1,80}(\.fifo)?", url):
            return Place(account, region, url)
        raise errors.bad_address(url)
    return found if found.region else found._replace(region=region)


def write(ctx: Context, account: str, name: str) -> str:
    """The URL under which this caller reaches the queue: on the host that it used."""
    origin = ctx.http.origin if ctx.http.headers.get("host") else ctx.cloud.endpoint
    return f"{origin}/{account}/{name}"
