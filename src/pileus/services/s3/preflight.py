"""A browser asking whether it may: CORS preflights."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from pileus.cloud.context import Cloud
from pileus.services.s3 import buckets, cors


async def preflight(cloud: Cloud, path: str, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that answer OPTIONS; anybody may ask. Raises BadRequest and AccessForbidden."""
    name, _, key = path.removeprefix("/").partition("/")
    bucket = await cloud.store.read(lambda tx: buckets.load(tx, unquote(name)))
    return cors.preflight(bucket.cors if bucket else None, headers, resource_type="OBJECT" if key else "BUCKET")
