"""RenameObject: an object of a directory bucket under another key, with all that it is, in one step.

Sources: "Renaming objects in directory buckets" in the Amazon S3 User Guide, RenameObject in the Amazon S3 API
Reference.
"""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import unquote

import orjson

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.services.s3 import bodies, buckets, conditions, directories, errors, keys, metadata, versions
from pileus.services.s3.records import Bucket, Object, RenameToken, decode_rename_token, encode
from pileus.store.contract import Reader, Transaction

# A client token is remembered for so long.
TOKEN_S = 86_400
_TOKEN_CHARACTERS_MAX = 64
# Tokens whose time is over that go with each call.
_TOKENS_SWEPT = 8


async def rename_object(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    if not directories.is_one(request["Bucket"]):
        raise errors.header_not_implemented("x-amz-rename-source")
    key, token = request["Key"], request.get("ClientToken")
    metadata.check_key(key)
    conditions.check_rename_form(request)
    bucket = await buckets.find(ctx, tx, request)
    if token is not None and await _was_done(ctx, tx, bucket, token, request):
        return
    source_key, source = await _source(tx, bucket, request)
    for one in (key, source_key):
        if one.endswith(directories.DELIMITER):
            raise errors.invalid_request("RenameObject is not supported for keys that end in a delimiter.")
    if source is None:
        raise errors.no_such_key(source_key)
    old = await versions.latest(tx, bucket, key)
    conditions.check_rename(request, source, old, key)
    if token is not None:
        tx.put(keys.rename_token(bucket.name, token), encode(RenameToken(ctx.now, _digest(request))))
        tx.put(keys.rename_tokens_by_time(bucket.name, ctx.now, token), b"")
    if key == source_key:
        return
    if old is not None:
        await bodies.release(ctx.cloud, tx, old.body)
    tx.delete(keys.object_(bucket.name, source_key))
    # Nothing of it changes but what tells a new state of this key from those before.
    source.sequence = versions.next_sequence(ctx.now, max(source, old or source, key=lambda one: one.sequence))
    tx.put(keys.object_(bucket.name, key), encode(source))


async def _source(tx: Reader, bucket: Bucket, request: dict[str, Any]) -> tuple[str, Object | None]:
    """(key, object) that `x-amz-rename-source` names: "bucket/key" or "/bucket/key", or the key alone."""
    given = request.get("RenameSource") or ""
    try:
        plain = unquote(given, errors="strict").removeprefix("/")
    except UnicodeDecodeError:
        plain = ""
    if not plain:
        raise errors.invalid_argument("Invalid rename source object key", "x-amz-rename-source", given)
    name, _, rest = plain.partition("/")
    if name == bucket.name and rest:
        found = await versions.latest(tx, bucket, rest)
        if found is not None or await versions.latest(tx, bucket, plain) is None:
            return rest, found
    elif directories.is_one(name) and rest:
        raise errors.invalid_argument(
            "The source and the destination of a rename must be in one bucket", "x-amz-rename-source", given
        )
    metadata.check_key(plain)
    return plain, await versions.latest(tx, bucket, plain)


async def _was_done(ctx: Context, tx: Transaction, bucket: Bucket, token: str, request: dict[str, Any]) -> bool:
    """Whether a call with this token has succeeded already; raises where it was another call."""
    if not 1 <= len(token) <= _TOKEN_CHARACTERS_MAX or not all("!" <= char <= "~" for char in token):
        raise errors.invalid_argument("Invalid client token", "x-amz-client-token", token)
    await _sweep(ctx, tx, bucket)
    data = await tx.get(keys.rename_token(bucket.name, token))
    if data is None:
        return False
    if decode_rename_token(data).digest != _digest(request):
        raise AWSError(
            "IdempotencyParameterMismatch",
            "Parameters on this idempotent request are inconsistent with parameters used in previous request(s).",
            status=400,
        )
    return True


async def _sweep(ctx: Context, tx: Transaction, bucket: Bucket) -> None:
    start, end = keys.rename_tokens_range(bucket.name, ctx.now - TOKEN_S)
    for key, _ in await tx.scan(start, end, limit=_TOKENS_SWEPT):
        tx.delete(key)
        tx.delete(keys.rename_token(bucket.name, keys.last_name(key)))


def _digest(request: dict[str, Any]) -> bytes:
    """What tells one call from another."""
    asked = {name: value for name, value in request.items() if name != "ClientToken"}
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS, default=str)).digest()
