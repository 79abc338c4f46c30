"""A connection to a cluster that says nothing."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import cbor2
import pytest

from pileus.services.dax import session
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
