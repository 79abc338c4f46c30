"""What is written in one turn of the loop leaves together, in its order, and before the connection closes."""

from __future__ import annotations

import asyncio

from pileus.wire.http import WRITE_AT_ONCE_BYTES, _Transport


class Wire:
    """An asyncio transport that keeps what it is told."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_the_head_and_the_body_of_an_answer_leave_together() -> None:
    wire = Wire()
    transport = _Transport(wire, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert wire.sent == []
    await asyncio.sleep(0)
    assert wire.sent == [b"head body"]
    transport.write(b"next")
    await asyncio.sleep(0)
    assert wire.sent == [b"head body", b"next"]


async def test_a_large_piece_is_not_copied_nor_overtaken() -> None:
    wire = Wire()
    transport = _Transport(wire, asyncio.get_running_loop())
    large = bytes(WRITE_AT_ONCE_BYTES)
    transport.write(large)
    assert wire.sent[0] is large
    transport.write(b"head")
    transport.write(large)
    transport.write(b"tail")
    await asyncio.sleep(0)
    assert b"".join(wire.sent) == large + b"head" + large + b"tail"


async def test_closing_sends_what_is_held() -> None:
    wire = Wire()
    transport = _Transport(wire, asyncio.get_running_loop())
    transport.write(b"the last words")
    transport.close()
    assert wire.sent == [b"the last words"]
    assert wire.closed
    await asyncio.sleep(0)


async def test_nothing_is_written_to_a_connection_that_has_gone() -> None:
    wire = Wire()
    transport = _Transport(wire, asyncio.get_running_loop())
    transport.write(b"to nobody")
    wire.close()
    await asyncio.sleep(0)
    assert wire.sent == []
