"""The HTTP server: uvicorn's protocol (httptools on uvloop) in front of one ASGI application.

The same application serves the node's own port and the listening sockets inside execution environments.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import Server

from pileus.wire.message import HttpAnswer

log = logging.getLogger("pileus.http")

# How long a connection may take to send a request's headers, and how long an idle one is kept.
HEADERS_S = 20.0
KEEP_ALIVE_S = 75
HEADERS_BYTES_MAX = 64 * 1024
_HEADERS_TOO_LARGE = "Your request header section exceeds the maximum allowed size."
# Requests in flight may take this long to end after SIGTERM.
GRACE_S = 5

# Pieces of a body that are this large need no joining.
WRITE_AT_ONCE_BYTES = 64 * 1024

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
# (scope, receive) -> answer; `scope` is ASGI's.
Handle = Callable[[Any, Receive], Awaitable[HttpAnswer]]


class _Transport:
    """Writes out together what is written in one turn of the loop.

    An answer's head and body come one after the other, and a write of uvloop's is a system call and a packet each.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if not self._held:
            if len(data) >= WRITE_AT_ONCE_BYTES:
                self._transport.write(data)
                return
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self.is_closing():
            self._transport.write(b"".join(held))


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which also lets go of a connection whose headers never end: in time, or in size."""

    _headers_timer: asyncio.TimerHandle | None = None
    _headers_bytes = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._headers_timer is not None:
            self._headers_bytes += len(data)
            if self._headers_bytes > HEADERS_BYTES_MAX:
                self.send_400_response(_HEADERS_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers_bytes += len(name) + len(value)
        if self._headers_bytes > HEADERS_BYTES_MAX:
            raise ValueError(_HEADERS_TOO_LARGE)  # uvicorn answers 400 to what its parser stumbles over
        super().on_header(name, value)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Transport(transport, self.loop))  # type: ignore[arg-type]  # as far as it is used
        self._headers_timer = self.loop.call_later(HEADERS_S, transport.close)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._headers_timer is None:
            self._headers_timer = self.loop.call_later(HEADERS_S, self.transport.close)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        self._headers_bytes = 0
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None


class _Server(Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The composition root handles signals: it has more to stop than the listener."""
        yield


class HttpServer:
    """Serves `handle` on any number of listening sockets, which may come and go while it runs."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        # uvicorn logs every request when it finds handlers; Pileus logs what matters itself.
        logging.getLogger("uvicorn.access").propagate = False
        self._config = Config(
            self._app,
            log_config=None,
            access_log=False,
            interface="asgi3",
            lifespan="off",
            http=_Protocol,
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = _Server(self._config)
        self._task: asyncio.Task[None] | None = None
        self._accepting: set[asyncio.Task[None]] = set()

    async def start(self, sock: socket.socket) -> None:
        """Serve on a bound socket; returns once connections are accepted."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._server.serve(sockets=[sock]))
        while not self._server.started:
            await asyncio.sleep(0)
            if self._task.done():
                self._task.result()

    def listen(self, sock: socket.socket) -> Callable[[], None]:
        """Serve on a listening socket inside an environment too, until what is returned is called."""
        loop = asyncio.get_running_loop()
        config, state = self._config, self._server.server_state

        def protocol() -> asyncio.Protocol:
            # The state comes with every request: where it came in decides how far it is trusted.
            return _Protocol(config=config, server_state=state, app_state={"environment": True})

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
        self._server.should_exit = True
        if self._task is not None:
            await self._task

    async def _app(self, scope: Any, receive: Receive, send: Send) -> None:
        ended = not any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in scope["headers"]
        )

        async def watched() -> Any:
            nonlocal ended
            message = await receive()
            ended = ended or message["type"] != "http.request" or not message["more_body"]
            return message

        answer = await self._handle(scope, watched)
        body = answer.body
        if not ended:
            # What is left of the body would be taken for the next request.
            answer.headers.append(("connection", "close"))
        headers = [(name.lower().encode("latin-1"), _value(value)) for name, value in answer.headers]
        if isinstance(body, bytes):
            if answer.status not in (204, 304) and not any(name == b"content-length" for name, _ in headers):
                headers.append((b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await _send_stream(body, receive, send)


def _value(text: str) -> bytes:
    """A header value as bytes; what may not stand in one (line breaks, control characters) becomes a space."""
    raw = text.encode("utf-8", "surrogateescape")
    return raw if raw.isascii() and text.isprintable() else bytes(b if b >= 32 and b != 127 else 32 for b in raw)


async def _send_stream(body: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Send chunks as the client takes them; stop reading the source when it has gone."""
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        async for chunk in body:
            if gone.done():
                return
            if chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, or OSError that says what is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
