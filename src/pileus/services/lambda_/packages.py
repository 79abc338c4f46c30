"""Deployment packages on their way in: fetched, checked, kept as blobs that versions and layers share."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple

from pileus.cloud.context import Cloud, Context
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.lambda_ import errors, hot_reload, keys
from pileus.services.lambda_.archive import UNPACKED_BYTES_MAX, inspect
from pileus.services.lambda_.records import Code, Configuration, decode, encode
from pileus.store.contract import Transaction

ZIPPED_BYTES_MAX = 52_428_800


class Package(NamedTuple):
    """A checked package, stored as a blob that no record names yet."""

    sha256: str
    size_bytes: int
    unpacked_bytes: int
    blob: str
    # Where the code runs from a folder of this machine: that folder.
    hot_reload: str = ""


async def take(ctx: Context, source: dict[str, Any]) -> Package:
    """Fetch what `ZipFile` or `S3Bucket`/`S3Key` mean, as the caller, and check it whole."""
    for member in ("ImageUri", "SourceKMSKeyArn"):
        if source.get(member):
            raise NotBuilt(f"{member} of a Lambda function")
    if source.get("S3ObjectStorageMode") == "REFERENCE":
        raise NotBuilt("S3ObjectStorageMode REFERENCE of a Lambda package")
    data, in_s3 = source.get("ZipFile"), source.get("S3Bucket") or source.get("S3Key")
    if data is not None and in_s3:
        raise errors.invalid_parameter("Please do not provide other FunctionCode parameters when providing a ZipFile.")
    if data is None and not in_s3:
        raise errors.invalid_parameter("Please provide a source for function code.")
    if data is not None:
        if len(data) > ZIPPED_BYTES_MAX:
            raise errors.too_large(f"Zipped size must be smaller than {ZIPPED_BYTES_MAX} bytes")
        return await _store(ctx.cloud, _once(bytes(data)))
    return await _store(ctx.cloud, await _from_s3(ctx, source))


async def take_code(ctx: Context, source: dict[str, Any]) -> Package:
    """The same for a function, whose code may also be a folder of this machine that is run as it is saved."""
    folder = hot_reload.folder_of(source)
    if not folder or source.get("ZipFile") is not None:
        return await take(ctx, source)
    found = hot_reload.check(folder, ctx.cloud.settings.hot_reload)
    # What stands for it where a package is shown: the very code is another one with each change.
    package = await _store(ctx.cloud, _once(_note(f"The code of this function runs from {found}.\n")))
    return package._replace(hot_reload=str(found))


def _note(text: str) -> bytes:
    """A package with one file, the same for the same text."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("HOT-RELOAD.txt", (1980, 1, 1, 0, 0, 0)), text)
    return out.getvalue()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1 << 20):
        yield data[start : start + (1 << 20)]


async def _from_s3(ctx: Context, source: dict[str, Any]) -> AsyncIterator[bytes]:
    request = {"Bucket": source.get("S3Bucket", ""), "Key": source.get("S3Key", "")}
    if source.get("S3ObjectVersion"):
        request["VersionId"] = source["S3ObjectVersion"]
    try:
        answer = await ctx.cloud.call(ctx.principal, "s3", "GetObject", request, region=ctx.region)
    except AWSError as error:
        if error.fault == "server":
            raise
        message = error.message
        if error.code == "PermanentRedirect":  # AWS's client, which Lambda asks S3 with, puts it in its own words
            region = error.headers["x-amz-bucket-region"]
            message = f"The bucket is in this region: {region}. Please use this region to retry the request"
        raise errors.invalid_parameter(
            f"Error occurred while GetObject. S3 Error Code: {error.code}. S3 Error Message: {message}"
        ) from None
    body = answer.get("Body", b"")
    return _once(body) if isinstance(body, bytes) else body


async def _store(cloud: Cloud, chunks: AsyncIterator[bytes]) -> Package:
    digest = hashlib.sha256()
    writer = cloud.blobs.create()
    size = 0
    try:
        async for chunk in chunks:
            size += len(chunk)
            if size > UNPACKED_BYTES_MAX:
                raise errors.unzipped_too_large(UNPACKED_BYTES_MAX)
            digest.update(chunk)
            await writer.write(chunk)
        await writer.finish()
    except BaseException:
        await writer.abort()
        raise
    try:
        unpacked = await asyncio.to_thread(_inspect, cloud, writer.id)
    except BaseException:
        await cloud.store.write(lambda tx: _discard(cloud, tx, writer.id))
        raise
    return Package(digest.hexdigest(), size, unpacked, writer.id)


def _inspect(cloud: Cloud, blob: str) -> int:
    with cloud.blobs.path(blob).open("rb") as source:
        return inspect(source)


async def _discard(cloud: Cloud, tx: Transaction, blob: str) -> None:
    cloud.blobs.release(tx, blob)


async def discard(cloud: Cloud, package: Package) -> None:
    """Let go of a package that came to nothing, as the operation failed after it was taken."""
    await cloud.store.write(lambda tx: _discard(cloud, tx, package.blob))


async def adopt(cloud: Cloud, tx: Transaction, package: Package) -> None:
    """Count one more use of a package that was just taken."""
    key = keys.code(package.sha256)
    data = await tx.get(key)
    if data is None:
        code = Code(blob=package.blob, size_bytes=package.size_bytes, unpacked_bytes=package.unpacked_bytes)
        cloud.blobs.adopt(tx, package.blob)
    else:
        code = decode(Code, data)
        cloud.blobs.release(tx, package.blob)
    code.references += 1
    tx.put(key, encode(code))


async def hold(tx: Transaction, codes: Iterable[str]) -> None:
    """Count one more use of each of these packages, which all are in use."""
    for sha256 in codes:
        data = await tx.get(keys.code(sha256))
        assert data is not None, "a package in use has a record"
        code = decode(Code, data)
        code.references += 1
        tx.put(keys.code(sha256), encode(code))


async def drop(cloud: Cloud, tx: Transaction, codes: Iterable[str]) -> None:
    """Count one use less of each; the last one takes the blob with it."""
    for sha256 in codes:
        data = await tx.get(keys.code(sha256))
        if data is None:
            continue
        code = decode(Code, data)
        code.references -= 1
        if code.references > 0:
            tx.put(keys.code(sha256), encode(code))
        else:
            tx.delete(keys.code(sha256))
            cloud.blobs.release(tx, code.blob)


def codes_of(configuration: Configuration) -> list[str]:
    """Every package a version with this configuration uses."""
    return [configuration.code_sha256, *layer_codes(configuration)]


def layer_codes(configuration: Configuration) -> list[str]:
    return [layer.code_sha256 for layer in configuration.layers]
