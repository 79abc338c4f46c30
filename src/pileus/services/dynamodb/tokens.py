"""ClientRequestTokens: a write transaction that went through is not done again within the next ten minutes.

Every SDK sends one with every such call, so remembering it costs one write, and clearing away is done for many at once.

Sources: the API reference's pages TransactWriteItems and ExecuteTransaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from pileus.cloud.context import Cloud, Context
from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import batching, keys, records
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

AGE_S = 600.0
# Tokens looked at, and removed, by one transaction.
BATCH_TOKENS = 200

Request = Mapping[str, Any]


def _digest(request: Request) -> bytes:
    content = {name: value for name, value in request.items() if name != "ClientRequestToken"}
    return hashlib.sha256(orjson.dumps(content, default=_hex, option=orjson.OPT_SORT_KEYS)).digest()


def _hex(data: bytes) -> str:
    return data.hex()


async def seen(ctx: Context, tx: Reader, token: str, request: Request) -> bool:
    """Whether a call with this token went through within the last ten minutes."""
    raw = await tx.get(keys.token(ctx.account, ctx.region, token))
    if raw is None:
        return False
    known = records.decode_token(raw)
    if known.expires <= ctx.now:
        return False
    if known.digest != _digest(request):
        raise AWSError(
            "IdempotentParameterMismatchException",
            "The provided ClientRequestToken was already used with different parameters",
        )
    return True


async def remember(ctx: Context, tx: Transaction, token: str, request: Request) -> None:
    """Note that a call with this token has gone through."""
    record = records.Token(digest=_digest(request), expires=ctx.now + AGE_S)
    tx.put(keys.token(ctx.account, ctx.region, token), records.encode(record))
    mark = keys.watch("tokens", ctx.account, ctx.region)
    if await tx.get(mark) is None:
        tx.put(mark, b"")


async def trim(cloud: Cloud) -> None:
    """Forget the tokens that count no more."""
    async for mark in batching.keys_of(cloud.store, *keys.all_watched("tokens"), BATCH_TOKENS):
        await _trim_region(cloud, mark)


async def _trim_region(cloud: Cloud, mark: bytes) -> None:
    account, region, _ = keys.watched(mark)
    first, last = keys.tokens(account, region)
    at: bytes | None = first

    async def batch(tx: Transaction) -> bytes | None:
        """Where to go on; None behind the last one."""
        assert at is not None
        rows = await tx.scan(at, last, limit=BATCH_TOKENS)
        for key, raw in rows:
            if records.decode_token(raw).expires <= cloud.clock.time():
                tx.delete(key)
        if len(rows) == BATCH_TOKENS:
            return after(rows[-1][0])
        if not await tx.scan(first, last, limit=1):
            tx.delete(mark)
        return None

    while (at := await cloud.store.write(batch)) is not None:
        # Let others have their turn.
        await cloud.clock.sleep(0)
