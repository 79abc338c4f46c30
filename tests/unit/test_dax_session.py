"""A connection to a cluster whose client says nothing, or does not read."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import cbor2
import pytest

from pileus.services.dax import session
from pileus.services.dax.requests import Method
from pileus.services.dax.session import Session


@pytest.mark.parametrize("said", [b"", cbor2.dumps("J7yne5G"), b"\x67J7"])
async def test_who_says_nothing_for_long_is_forgotten(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_IDLE_S", 0.01)
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(said)
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        proxy: Any = SimpleNamespace(cluster=SimpleNamespace(arn="arn"))
        nothing: Any = None
        sessions: set[Session] = set()
        await loop.create_connection(lambda: Session(nothing, proxy, nothing, sessions), sock=ours)
        assert len(sessions) == 1
        assert await loop.sock_recv(theirs, 1) == b""
        assert not sessions


async def test_who_does_not_read_for_long_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_IDLE_S", 0.01)
    monkeypatch.setattr(session, "METHODS", {7: Method(0, never)})
    lost = asyncio.Event()

    class Watched(Session):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    ours, theirs = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        proxy: Any = SimpleNamespace(cluster=SimpleNamespace(arn="arn"))
        cloud: Any = SimpleNamespace(ids=SimpleNamespace(uuid=lambda: "id"))
        nothing: Any = None
        await loop.create_connection(lambda: Watched(cloud, proxy, nothing, set()), sock=ours)
        greeting = b"".join(map(cbor2.dumps, ("J7yne5G", 0, "session", {}, 0)))
        # More answers than the socket and the transport hold: each says that the client has not said who it is.
        await loop.sock_sendall(theirs, greeting + b"\x01\x07" * 20_000)
        await lost.wait()


async def never(*_: object) -> bytes:
    raise AssertionError
