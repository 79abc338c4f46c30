"""Request bodies: limits, framing, what is cut off or wrong."""

import hashlib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.kernel.errors import AWSError
from pileus.wire.bodies import CHUNK_BYTES, PayloadStream, read_whole


def arriving(pieces: Iterable[bytes], *, cut: bool = False) -> Any:
    """An ASGI `receive` that hands out `pieces`; with `cut` the client then goes away."""
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if left:
            piece = left.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(left) or cut}
        return {"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False}

    return receive


def framed(chunks: list[bytes], trailers: dict[str, str] | None = None, extension: str = "") -> bytes:
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(one), extension.encode(), one) for one in chunks)
    end = b"".join(f"{name}:{value}\r\n".encode() for name, value in (trailers or {}).items())
    return body + b"0" + extension.encode() + b"\r\n" + end + b"\r\n"


ENCODED = {"content-encoding": "aws-chunked"}


def split(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)] or [b""]


async def test_a_whole_body_is_read_in_pieces() -> None:
    assert await read_whole(arriving([b"ab", b"", b"c"]), {"content-length": "3"}, 10) == b"abc"


async def test_a_body_past_the_limit_is_refused_by_its_announcement_and_by_its_size() -> None:
    for headers in ({"content-length": "11"}, {"transfer-encoding": "chunked"}):
        with pytest.raises(AWSError) as refused:
            await read_whole(arriving([b"x" * 11]), headers, 10)
        assert (refused.value.status, refused.value.code) == (413, "RequestEntityTooLargeException")


async def test_a_client_that_goes_away_in_the_middle_is_noticed() -> None:
    with pytest.raises(AWSError, match="IncompleteBody"):
        await read_whole(arriving([b"ab"], cut=True), {"content-length": "3"}, 10)
    with pytest.raises(AWSError, match="IncompleteBody"):
        await PayloadStream(arriving([b"ab"], cut=True), {"content-length": "3"}).read()


async def test_a_payload_is_gathered_to_large_chunks() -> None:
    data = bytes(3 * CHUNK_BYTES + 5)
    stream = PayloadStream(arriving(split(data, 70_000)), {"content-length": str(len(data))})
    chunks = [chunk async for chunk in stream]
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= CHUNK_BYTES
    assert len(chunks) <= 5


async def test_a_payload_that_is_not_what_was_signed_is_refused() -> None:
    digest = hashlib.sha256(b"abc").hexdigest()
    assert await PayloadStream(arriving([b"abc"]), {"content-length": "3"}, sha256=digest).read() == b"abc"
    for body in (b"abd", b""):
        stream = PayloadStream(arriving([body]), {"content-length": str(len(body))}, sha256=digest)
        with pytest.raises(AWSError, match="XAmzContentSHA256Mismatch"):
            await stream.read()


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=6), st.integers(1, 50))
async def test_aws_chunked_framing_is_taken_off_however_it_arrives(chunks: list[bytes], piece: int) -> None:
    data = b"".join(chunks)
    body = framed(chunks, {"x-amz-checksum-crc32": "AAAAAA=="})
    headers = ENCODED | {"x-amz-decoded-content-length": str(len(data))}
    stream = PayloadStream(arriving(split(body, piece)), headers)
    assert await stream.read() == data
    assert stream.trailers == {"x-amz-checksum-crc32": "AAAAAA=="}


async def test_chunk_signatures_are_shown_to_the_verifier() -> None:
    seen: list[tuple[str, str]] = []

    class Verifier:
        def chunk(self, payload_hash: str, signature: str) -> None:
            seen.append((payload_hash, signature))

        def trailer(self, block: bytes, signature: str) -> None:
            seen.append((block.decode(), signature))

    body = framed(
        [b"abc"], {"x-amz-checksum-crc32": "NSRBwg==", "x-amz-trailer-signature": "ff"}, ";chunk-signature=aa"
    )
    await PayloadStream(arriving([body]), ENCODED, chunks=Verifier()).read()
    assert seen == [
        (hashlib.sha256(b"abc").hexdigest(), "aa"),
        (hashlib.sha256(b"").hexdigest(), "aa"),
        ("x-amz-checksum-crc32:NSRBwg==\n", "ff"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"3\r\nab",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"zz\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"3" + b";" * 2000 + b"\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\n\r\nmore",
        b"3\r\nabc\r\n",
        b"\r\n",
    ],
)
async def test_broken_framing_is_a_client_error(body: bytes) -> None:
    headers = ENCODED | {"content-length": str(len(body))}
    with pytest.raises(AWSError) as refused:
        await PayloadStream(arriving([body]), headers).read()
    assert refused.value.status == 400


async def test_a_decoded_length_that_is_wrong_is_refused() -> None:
    for length in ("2", "4"):
        stream = PayloadStream(arriving([framed([b"abc"])]), ENCODED | {"x-amz-decoded-content-length": length})
        with pytest.raises(AWSError, match="IncompleteBody"):
            await stream.read()
    with pytest.raises(AWSError):
        PayloadStream(arriving([]), ENCODED | {"x-amz-decoded-content-length": "-1"})
