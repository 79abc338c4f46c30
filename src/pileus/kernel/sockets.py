"""Sockets that listen."""

from __future__ import annotations

import socket

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on a TCP port, or `OSError` where that is taken.

    Two processes may both bind a port while neither listens on it; the second one to listen is refused. uvloop keeps
    that to itself, and would serve nobody: so the socket listens before it is handed to the loop.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
