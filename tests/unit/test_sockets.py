"""Ports that two processes want."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from pileus.kernel.sockets import listen


@pytest.fixture
def other() -> Iterator[socket.socket]:
    """Another process's socket: it is bound, and does not listen yet."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield sock


def test_a_port_that_somebody_listens_on_is_refused(other: socket.socket) -> None:
    other.listen()
    with pytest.raises(OSError, match="in use") as caught:
        listen("127.0.0.1", other.getsockname()[1])
    assert caught.value.errno == errno.EADDRINUSE


def test_who_binds_first_and_listens_second_is_refused_too(
    other: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.socket.listen

    def behind(self: socket.socket, backlog: int) -> None:
        real(other)
        real(self, backlog)

    monkeypatch.setattr(socket.socket, "listen", behind)
    with pytest.raises(OSError, match="in use") as caught:
        listen("127.0.0.1", other.getsockname()[1])
    assert caught.value.errno == errno.EADDRINUSE


def test_it_listens_at_once() -> None:
    with listen("127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname(), timeout=5):
        pass
