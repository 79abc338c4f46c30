"""What uploads have in common: taking a body and checking what was announced of it, dropping parts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from pileus.cloud.context import Cloud, Context
from pileus.kernel.errors import AWSError
from pileus.kernel.streams import BytesStream, ByteStream
from pileus.services.s3 import bodies, checksums, directories, errors, keys, sealing
from pileus.services.s3.forms import FormFile
from pileus.services.s3.records import CustomerKey, decode_part
from pileus.store.contract import Transaction
from pileus.store.keys import after

PARTS_BATCH = 1000


async def drop(cloud: Cloud, tx: Transaction, bucket: str, key: str, upload_id: str) -> None:
    """End a multipart upload, and free what its parts hold."""
    start, end = keys.parts_range(upload_id)
    while rows := await tx.scan(start, end, limit=PARTS_BATCH):
        for _, value in rows:
            await bodies.release(cloud, tx, decode_part(value).body)
        start = after(rows[-1][0])
    tx.delete(keys.upload(bucket, key, upload_id))
    tx.delete_range(*keys.parts_range(upload_id))


class Announced(msgspec.Struct):
    """How a body will be checked."""

    md5: bytes | None
    # The algorithm that the client chose, and its value unless that comes behind the body.
    algorithm: str | None
    value: str | None

    def __bool__(self) -> bool:
        return self.md5 is not None or self.algorithm is not None


def announced(ctx: Context, request: dict[str, Any]) -> Announced:
    headers = ctx.http.headers
    if "content-length" not in headers and "transfer-encoding" not in headers and ctx.http.method == "PUT":
        raise errors.missing_content_length()
    given = checksums.from_members(request)
    trailing = checksums.announced(headers)
    if (meant := headers.get("x-amz-sdk-checksum-algorithm")) is not None:
        checksums.check_meant(meant, given[0] if given else trailing)
    elif given is None:
        checksums.check_known(headers)
    if given and trailing:
        raise errors.invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    md5 = checksums.content_md5(request)
    if given:
        return Announced(md5, given[0], given[1])
    return Announced(md5, trailing, None)


def body_of(request: dict[str, Any]) -> ByteStream:
    body = request.get("Body")
    if body is None or isinstance(body, bytes):
        return BytesStream(body or b"")
    stream: ByteStream = body
    if stream.length is None and not isinstance(stream, FormFile):
        raise errors.missing_content_length()
    return stream


async def receive(
    ctx: Context,
    stream: ByteStream,
    expected: Announced,
    algorithms: Sequence[str],
    *,
    md5_in_hex: bool,
    customer_key: bytes | None = None,
) -> bodies.Received:
    """Read the body, computing `algorithms` beside the announced one; BadDigest where it is not what was announced.

    `md5_in_hex`: PutObject shows the MD5 that was announced in hexadecimal, UploadPart as it came.
    """
    wanted = dict.fromkeys([*algorithms, expected.algorithm] if expected.algorithm else algorithms)

    def check(received: bodies.Received) -> None:
        if expected.md5 is not None and expected.md5 != received.md5:
            shown = expected.md5.hex() if md5_in_hex else base64.b64encode(expected.md5).decode()
            raise errors.bad_md5(base64.b64encode(received.md5).decode(), shown)
        if expected.algorithm and _value(stream, expected) != received.checksums[expected.algorithm]:
            raise errors.bad_checksum(expected.algorithm)

    return await bodies.receive(ctx.cloud, stream, tuple(wanted), check, customer_key=customer_key)


def etag(ctx: Context, received: bodies.Received, bucket: str) -> str:
    """The MD5 of what has come; under a customer's key anything that is none, as the MD5 would tell of the bytes, and
    the like in a directory bucket."""
    if received.customer_key is not None or directories.is_one(bucket):
        return ctx.cloud.ids.hex(32)
    return received.md5.hex()


def remembered(ctx: Context, key: bytes | None) -> CustomerKey | None:
    return None if key is None else sealing.remembered(key, ctx.cloud.ids)


def _value(stream: ByteStream, expected: Announced) -> str:
    """The checksum that the client named, before the body or behind it."""
    if expected.value is not None:
        return expected.value
    assert expected.algorithm is not None
    value = stream.trailers.get(checksums.header(expected.algorithm))
    if value is None:
        raise AWSError(
            "MalformedTrailerError",
            "The request contained trailing data that was not well-formed or did not conform to our published schema.",
            status=400,
        )
    checksums.check_form(expected.algorithm, value)
    return value
