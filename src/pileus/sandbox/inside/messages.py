"""Messages between the server, its templates and their shells: JSON behind a length, descriptors beside it."""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from typing import Any

Message = dict[str, Any]
FDS_MAX = 64
_LENGTH = struct.Struct("!I")
_FD_SIZE = array.array("i").itemsize
_SPACE = socket.CMSG_SPACE(FDS_MAX * _FD_SIZE)
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def send(sock: socket.socket, message: Message, fds: list[int] | None = None) -> None:
    """Send it whole; blocks where the other side does not read."""
    data = encode(message, len(fds or ()))
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = sock.sendmsg([data], ancillary)
    if sent < len(data):
        sock.sendall(data[sent:])


def encode(message: Message, fds: int = 0) -> bytes:
    """As it is sent beside so many descriptors."""
    body = json.dumps({**message, "fds": fds} if fds else message).encode()
    return _LENGTH.pack(len(body)) + body


class Receiver:
    """Takes messages off a socket, blocking or not. From strangers none longer than `bytes_max` is taken."""

    def __init__(self, sock: socket.socket, *, bytes_max: int = 1 << 30) -> None:
        self._socket = sock
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        self._fds: list[int] = []

    def receive(self) -> tuple[Message, list[int]] | None:
        """The next message and the descriptors sent with it; None at the end.

        Raises BlockingIOError, and ValueError where it is none.
        """
        while (message := self._take()) is None:
            data, ancillary, _flags, _address = self._socket.recvmsg(1 << 16, _SPACE, _CLOSE_ON_EXEC)
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    numbers = array.array("i")
                    numbers.frombytes(content[: len(content) - len(content) % _FD_SIZE])
                    self._fds.extend(numbers)
            if not data:
                return None
            self._buffer += data
            if len(self._fds) > FDS_MAX:
                raise ValueError("more descriptors than any message has")
        count = message.get("fds", 0)
        fds, self._fds = self._fds[:count], self._fds[count:]
        return message, fds

    def drop(self) -> None:
        """Close the descriptors that came and belong to no message."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def holds_more(self) -> bool:
        """Whether a whole message has been taken off the socket already: polling it would not tell."""
        return len(self._buffer) >= 4 and len(self._buffer) >= 4 + _LENGTH.unpack_from(self._buffer)[0]

    def _take(self) -> Message | None:
        if len(self._buffer) < 4:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > self._bytes_max:
            raise ValueError("a message that is too long")
        if len(self._buffer) < 4 + length:
            return None
        body = bytes(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        message: Message = json.loads(body)
        if not isinstance(message, dict):
            raise ValueError("no message")
        return message
