"""Streamed answers of functions as HTTP responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pileus.services.lambda_.url_payloads import STREAMED_TYPE, BadAnswer, CutOff, streamed

HEAD = b'{"statusCode": 201, "headers": {"x-own": "v"}, "cookies": ["a=1"]}'


class Stream:
    def __init__(self, *chunks: bytes, content_type: str = STREAMED_TYPE, error: tuple[str, str] | None = None) -> None:
        self.content_type = content_type
        self.error = error
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


async def _read(stream: Stream) -> tuple[int, list[tuple[str, str]], list[bytes]]:
    answer = await streamed(stream)
    assert not isinstance(answer.body, bytes)
    return answer.status, answer.headers, [chunk async for chunk in answer.body]


def test_metadata_may_come_in_pieces() -> None:
    whole = HEAD + b"\0" * 8 + b"be"
    for cut in range(1, len(whole)):
        status, headers, chunks = asyncio.run(_read(Stream(whole[:cut], whole[cut:], b"gin")))
        assert (status, b"".join(chunks)) == (201, b"begin")
        assert headers == [("content-type", "application/json"), ("x-own", "v"), ("set-cookie", "a=1")]


def test_without_metadata_it_is_the_body() -> None:
    assert asyncio.run(_read(Stream(b"a", b"b", content_type="text/plain"))) == (
        200,
        [("content-type", "text/plain")],
        [b"a", b"b"],
    )


def test_a_response_without_a_body_has_none() -> None:
    answer = asyncio.run(streamed(Stream(b'{"statusCode": 204}' + b"\0" * 8 + b"x", b"y")))
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("chunks", [(b"{}",), (b"no" + b"\0" * 8,), (b"[]" + b"\0" * 8,), (b"x" * 70_000, b"x")])
def test_broken_metadata(chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(BadAnswer):
        asyncio.run(_read(Stream(*chunks)))


def test_a_function_that_fails_in_the_middle_cuts_its_answer_off() -> None:
    with pytest.raises(CutOff):
        asyncio.run(_read(Stream(HEAD + b"\0" * 8, error=("Function.Error", "{}"))))
