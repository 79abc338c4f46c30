"""A connection to a cluster whose client says nothing, does not read, or sends too much; and one with a fault."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import cbor2
import pytest

from pileus.services.dax import session
from pileus.services.dax.requests import Method
from pileus.services.dax.session import Session

GREETING = b"".join(map(cbor2.dumps, ("J7yne5G", 0, "session", {}, 0)))
AUTHORIZE = b"".join(map(cbor2.dumps, (1, 1489122155, "key", "signature", b"", None, "")))


class Watched(Session):
    """A session of a cluster that there is not: what it would ask is given."""

    def __init__(self, **cloud: Any) -> None:
        nothing: Any = None
        proxy: Any = SimpleNamespace(cluster=SimpleNamespace(arn="arn"))
        given: Any = SimpleNamespace(ids=SimpleNamespace(uuid=lambda: "id"), **cloud)
        super().__init__(given, proxy, nothing, set())
        self.lost = asyncio.Event()
        self.full = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self._buffer) > session.BYTES_MAX:
            self.full.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()


@asynccontextmanager
async def connected(**cloud: Any) -> AsyncIterator[tuple[Watched, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with theirs:
        _, made = await asyncio.get_running_loop().create_connection(lambda: Watched(**cloud), sock=ours)
        try:
            yield made, theirs
        finally:
            made.close()
            await made.lost.wait()


@pytest.mark.parametrize("said", [b"", cbor2.dumps("J7yne5G"), b"\x67J7"])
async def test_who_says_nothing_for_long_is_forgotten(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_IDLE_S", 0.01)
    async with connected() as (made, theirs):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(theirs, said)
        assert await loop.sock_recv(theirs, 1) == b""
        await made.lost.wait()


async def test_who_does_not_read_for_long_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_IDLE_S", 0.01)
    monkeypatch.setattr(session, "METHODS", {7: Method(0, never)})
    async with connected() as (made, theirs):
        # More answers than the socket and the transport hold: each says that the client has not said who it is.
        await asyncio.get_running_loop().sock_sendall(theirs, GREETING + b"\x01\x07" * 20_000)
        await made.lost.wait()


async def test_what_comes_ahead_is_not_read_before_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "BYTES_MAX", 1 << 20)
    held: list[int] = []

    async def answer(_: Any, arguments: list[Any]) -> bytes:
        if not held:
            # The client would send all the rest meanwhile: turns of the loop for more pieces than that has.
            await made.full.wait()
            for _ in range(200):
                await asyncio.sleep(0)
        held.append(len(made._buffer))
        return cbor2.dumps(len(arguments[0]))

    monkeypatch.setattr(session, "METHODS", {7: Method(1, answer)})
    loop = asyncio.get_running_loop()
    async with connected() as (made, theirs):
        exchange: Any = object()
        made._exchange = exchange
        request, count = b"\x01\x07" + cbor2.dumps(bytes(100_000)), 50
        sending = asyncio.create_task(loop.sock_sendall(theirs, GREETING + request * count))
        wanted, got = (cbor2.dumps([]) + cbor2.dumps(100_000)) * count, b""
        while len(got) < len(wanted):
            got += await loop.sock_recv(theirs, 1 << 16)
        assert got == wanted
        await sending
    # Beyond what may be there comes one piece that is read at once.
    assert 1 << 20 < max(held) < (1 << 20) + (512 << 10)


async def test_a_fault_while_somebody_says_who_he_is_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def credential(*_: str) -> Any:
        raise RuntimeError("the store is not there")

    async with connected(gate=SimpleNamespace(credential=credential)) as (made, theirs):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(theirs, GREETING + AUTHORIZE)
        assert await loop.sock_recv(theirs, 1) == b""
        await made.lost.wait()
    assert "the store is not there" in caplog.text


async def never(*_: object) -> bytes:
    raise AssertionError
