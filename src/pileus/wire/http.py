"""The HTTP server: listening sockets, and the connections that come in on them.

The same handler serves the node's own port and the listening sockets inside execution environments.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from pileus.kernel.sockets import BACKLOG
from pileus.wire.cohort import Cohort
from pileus.wire.connection import Connection, Handle

# Requests in flight may take this long to end after SIGTERM.
GRACE_S = 5


class HttpServer:
    """Serves `handle` on any number of listening sockets, which may come and go while it runs."""

    def __init__(self, handle: Handle, cohort: Cohort | None = None) -> None:
        """`cohort`: the one that `handle` awaits between its stages, if it has any."""
        self.handle = handle
        self.cohort = cohort or Cohort()
        self.connections: set[Connection] = set()
        self.stopping = False
        self._server: asyncio.Server | None = None
        self._accepting: set[asyncio.Task[None]] = set()

    async def start(self, sock: socket.socket) -> None:
        """Serve on a listening socket; returns once connections are accepted."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=sock, backlog=BACKLOG)

    def listen(self, sock: socket.socket) -> Callable[[], None]:
        """Serve on a listening socket inside an environment too, until what is returned is called."""
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            return Connection(self, environment=True)

        def accept() -> None:
            try:
                connection, _ = sock.accept()
            except OSError:
                return  # gone again already, or no descriptors left: the next event tries again
            task = loop.create_task(self._take_over(protocol, connection))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

        sock.setblocking(False)
        loop.add_reader(sock, accept)

        def stop() -> None:
            loop.remove_reader(sock)

        return stop

    async def _take_over(self, protocol: Callable[[], asyncio.Protocol], connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(protocol, connection)
        except OSError:
            connection.close()

    async def stop(self) -> None:
        """Stop accepting, let requests in flight end (at most `GRACE_S`), and close."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        under_way = [task for task in [connection.stop() for connection in list(self.connections)] if task is not None]
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=GRACE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1)
        for connection in list(self.connections):
            connection.abort()
