"""The addresses in `Code.Location` and `Content.Location`: good for ten minutes, for whoever has them, as at AWS.

http://localhost:4566/_pileus/lambda/code/<sha256>?expires=<seconds>&signature=<hex>
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

from pileus.cloud.context import Cloud, Context
from pileus.services.lambda_ import keys
from pileus.services.lambda_.node import node
from pileus.services.lambda_.records import Code, decode
from pileus.store.contract import Reader

PATH = "/_pileus/lambda/code/"
# "A presigned URL that you can use to download the deployment package", valid for 10 minutes.
VALID_S = 600


def _signature(cloud: Cloud, sha256: str, expires: int) -> str:
    return hmac.new(node(cloud).secret, f"{sha256}\n{expires}".encode(), "sha256").hexdigest()


def make(ctx: Context, sha256: str) -> str:
    """Where the package with that hash can be fetched."""
    expires = int(ctx.now) + VALID_S
    origin = ctx.http.origin or ctx.cloud.endpoint
    return f"{origin}{PATH}{sha256}?expires={expires}&signature={_signature(ctx.cloud, sha256, expires)}"


async def download(cloud: Cloud, path: str, query: str) -> AsyncIterator[bytes] | None:
    """The package behind a location, or None where it is none, has expired or was tampered with."""
    sha256 = path.removeprefix(PATH)
    given = parse_qs(query)
    expires, signature = given.get("expires", [""])[0], given.get("signature", [""])[0]
    if not path.startswith(PATH) or not (expires.isascii() and expires.isdigit()) or len(expires) > 12:
        return None
    if not hmac.compare_digest(signature.encode(), _signature(cloud, sha256, int(expires)).encode()):
        return None
    if cloud.clock.time() > int(expires):
        return None

    async def load(tx: Reader) -> str | None:
        data = await tx.get(keys.code(sha256))
        return decode(Code, data).blob if data is not None else None

    blob = await cloud.store.read(load)
    return None if blob is None else cloud.blobs.stream(blob)
