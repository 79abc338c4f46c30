"""One connection of HTTP/1.1: httptools' parser in front, the pipeline behind, and as little as possible between them.

A request is handed to `handle` once its headers are complete; its body follows through `Arriving`, which stops reading
from the client when more has come than anybody takes. Requests of one connection are answered one after the other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol, cast

import httptools

from pileus.wire.bodies import Arriving
from pileus.wire.cohort import Cohort
from pileus.wire.message import HttpAnswer

log = logging.getLogger("pileus.http")

# How long a connection may take to send a request's headers, and how long an idle one is kept.
HEADERS_S = 20.0
KEEP_ALIVE_S = 75.0
HEADERS_BYTES_MAX = 64 * 1024
_HEADERS_TOO_LARGE = "Your request header section exceeds the maximum allowed size."
_BROKEN = "Invalid HTTP request received."
# Requests that a client may send ahead of their answers before it has to wait.
_WAITING_MAX = 16

# A body that is this large is written by itself: joining it to its head would copy it.
WRITE_AT_ONCE_BYTES = 64 * 1024

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_WITHOUT_BODY = (204, 304)
# What AWS's clients send with every request, as they write it.
_NAMES = {
    name.encode(): name.lower()
    for name in (
        "Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "Host", "User-Agent", "X-Amz-Date",
        "X-Amz-Target", "amz-sdk-invocation-id", "amz-sdk-request", "X-Amz-Content-SHA256",
    )
}  # fmt: skip


class Incoming:
    """A request's head."""

    __slots__ = ("client", "environment", "headers", "method", "path", "query", "secure")

    def __init__(
        self,
        method: str,
        target: bytes,
        headers: dict[str, str],
        *,
        client: str = "",
        secure: bool = False,
        environment: bool = False,
    ) -> None:
        self.method = method
        path, _, query = target.decode("latin-1").partition("?")
        # As they came: percent-encoded.
        self.path = path
        self.query = query
        # Lower-case names; several of one name are joined with ",", as signatures and lists want them.
        self.headers = headers
        self.client = client
        self.secure = secure
        # Whether it came from inside an execution environment: that decides how far it is trusted.
        self.environment = environment


Handle = Callable[[Incoming, Arriving], Awaitable[HttpAnswer]]


class Owner(Protocol):
    """What a connection knows of its server."""

    handle: Handle
    cohort: Cohort
    connections: set[Connection]
    stopping: bool


class Connection(asyncio.Protocol):
    def __init__(self, owner: Owner, *, environment: bool = False) -> None:
        self._owner = owner
        self._environment = environment
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until the connection is made
        self._client = ""
        self._secure = False
        # Of the request whose head is being read.
        self._target = b""
        self._headers: dict[str, str] = {}
        self._in_head = self._head_timed = False
        # Its bytes, if it came in pieces; whether it began in this piece; whether one that ends here may be too large.
        self._head_bytes = 0
        self._head_began = self._head_unsure = False
        # The body that is arriving, and the requests whose answers are still to come: the first is under way.
        self._arriving: Arriving | None = None
        self._requests: deque[tuple[Incoming, Arriving, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        # When the connection is closed; None while there is something to do.
        self._deadline: float | None = None
        self._paused = False
        self._writable: asyncio.Future[None] | None = None

    # ---------------------------------------------------------------------------------------------- the transport's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by its class, and one by what it does.
        self._transport = cast("asyncio.Transport", transport)
        self._owner.connections.add(self)
        peer = self._transport.get_extra_info("peername")
        self._client = str(peer[0]) if isinstance(peer, tuple) else ""
        self._secure = self._transport.get_extra_info("sslcontext") is not None
        self._close_in(HEADERS_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.connections.discard(self)
        # It holds this connection, and nothing comes any more.
        del self._parser
        if self._timer is not None:
            self._timer.cancel()
        for _, arriving, _ in self._requests:
            arriving.lose()
        if self._arriving is not None:
            self._arriving.lose()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._head_unsure = self._in_head or len(data) > HEADERS_BYTES_MAX
        self._head_began = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # Nobody here speaks anything else: the request counts as one of HTTP/1.1.
            self._parser = httptools.HttpRequestParser(self)
            rest = data[upgrade.args[0] :]
            if rest:
                self.data_received(rest)
        except httptools.HttpParserError as error:
            too_large = isinstance(error.__context__, _TooLarge)
            self._refuse(_HEADERS_TOO_LARGE if too_large else _BROKEN)
        else:
            # One that has come in one piece needs neither timer nor counting.
            if self._in_head:
                self._await_head(len(data))

    def _await_head(self, size: int) -> None:
        """The rest of a head is still to come. `size`: of the piece that came, all of it that head's unless it began
        there."""
        self._head_bytes = self._known_bytes() if self._head_began else self._head_bytes + size
        if self._head_bytes > HEADERS_BYTES_MAX:
            self._refuse(_HEADERS_TOO_LARGE)
        elif not self._head_timed:
            self._head_timed = True
            self._close_in(HEADERS_S)

    def _known_bytes(self) -> int:
        """Of the head's lines so far. To be asked once or twice a head: there may be thousands."""
        return sum(len(name) + len(value) for name, value in self._headers.items())

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # ------------------------------------------------------------------------------------------------- the parser's

    def on_message_begin(self) -> None:
        self._in_head = self._head_began = True
        self._head_timed = False
        self._head_bytes = 0
        self._target = b""
        self._headers = {}

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        headers = self._headers
        key, text = _NAMES.get(name) or name.decode("latin-1").lower(), value.decode("latin-1")
        if key in headers:
            text = f"{headers[key]},{text}"
            if len(text) > HEADERS_BYTES_MAX:
                raise _TooLarge
        headers[key] = text

    def on_headers_complete(self) -> None:
        if self._head_unsure and self._known_bytes() > HEADERS_BYTES_MAX:
            raise _TooLarge
        self._in_head = False
        self._stay()
        headers = self._headers
        method = self._parser.get_method().decode("latin-1")
        incoming = Incoming(
            method,
            _without_authority(self._target),
            headers,
            client=self._client,
            secure=self._secure,
            environment=self._environment,
        )
        expects = headers.get("expect", "").lower() == "100-continue"
        arriving = self._arriving = Arriving(self._transport, _CONTINUE if expects else b"")
        self._requests.append((incoming, arriving, self._parser.get_http_version() != "1.0"))
        if len(self._requests) == 1:
            self._begin()
        elif len(self._requests) > _WAITING_MAX:
            self._transport.pause_reading()

    def on_body(self, body: bytes) -> None:
        assert self._arriving is not None
        self._arriving.feed(body)

    def on_message_complete(self) -> None:
        if self._arriving is not None:
            self._arriving.keep_alive = self._parser.should_keep_alive()
            self._arriving.end()
            self._arriving = None

    # ------------------------------------------------------------------------------------------------------ answers

    def _begin(self) -> None:
        self._owner.cohort.ready += 1
        self._task = self._loop.create_task(self._serve(*self._requests[0]))

    async def _serve(self, incoming: Incoming, arriving: Arriving, persistent: bool) -> None:
        started = False
        self._owner.cohort.ready -= 1
        try:
            answer = await self._owner.handle(incoming, arriving)
            # What is left of the body would be taken for the next request.
            close = not arriving.ended or not arriving.keep_alive or self._owner.stopping
            body = answer.body
            if isinstance(body, bytes):
                if incoming.method == "HEAD":
                    sent = 0
                    self._write(answer, b"", len(body), close=close)
                else:
                    sent = len(body)
                    self._write(answer, body, sent, close=close)
            else:
                started = True
                sent = await self._stream(answer, body, incoming, arriving, close=close, chunked=persistent)
                close = close or (_length(answer.headers) is None and not persistent)
        except asyncio.CancelledError:
            self._transport.close()
            raise
        except BaseException:
            log.exception("an answer failed")
            if not started and not self._transport.is_closing():
                self._write(HttpAnswer(500, [("content-type", "text/plain")]), b"Internal Server Error", 21, close=True)
            self._transport.close()
            return
        if answer.when_sent is not None:
            try:
                answer.when_sent(sent)
            except Exception:  # whoever wanted to know must not keep the next request waiting
                log.exception("nobody could be told that an answer was sent")
        arriving.answered()
        self._task = None
        self._requests.popleft()
        if close:
            self._transport.close()
        elif self._requests:
            self._begin()
            if len(self._requests) == _WAITING_MAX:
                self._transport.resume_reading()
        else:
            # Reading may have stopped for a body that nobody wanted.
            arriving.resume()
            self._close_in(KEEP_ALIVE_S)

    def _write(self, answer: HttpAnswer, body: bytes, length: int, *, close: bool) -> None:
        if self._transport.is_closing():
            return
        head = _head(answer, length=None if answer.status in _WITHOUT_BODY else length, close=close)
        if answer.status in _WITHOUT_BODY:
            body = b""
        at_once = len(body) < WRITE_AT_ONCE_BYTES
        if at_once and not close:
            self._owner.cohort.send(self._transport, head + body)
            return
        self._owner.cohort.flush()
        self._transport.write(head + body if at_once else head)
        if not at_once:
            self._transport.write(body)

    async def _stream(
        self,
        answer: HttpAnswer,
        body: AsyncIterator[bytes],
        incoming: Incoming,
        arriving: Arriving,
        *,
        close: bool,
        chunked: bool,
    ) -> int:
        """Send chunks as the client takes them; stop reading the source when it has gone. The bytes that were sent."""
        sent = 0
        framed = chunked and _length(answer.headers) is None and answer.status not in _WITHOUT_BODY
        head = _head(answer, length=None, close=close or not (framed or _length(answer.headers) is not None))
        if framed:
            head = head[:-2] + b"transfer-encoding: chunked\r\n\r\n"
        self._owner.cohort.flush()
        try:
            if not self._transport.is_closing():
                self._transport.write(head)
            async for chunk in body:
                if self._transport.is_closing():
                    return sent
                if not chunk or incoming.method == "HEAD":
                    continue
                if framed:
                    self._transport.write(b"%x\r\n" % len(chunk))
                self._transport.write(chunk)
                sent += len(chunk)
                if framed:
                    self._transport.write(b"\r\n")
                if self._paused:
                    await self._until_writable()
            if framed and incoming.method != "HEAD" and not self._transport.is_closing():
                self._transport.write(b"0\r\n\r\n")
            return sent
        finally:
            aclose = getattr(body, "aclose", None)
            if aclose is not None:
                await aclose()

    async def _until_writable(self) -> None:
        self._writable = self._loop.create_future()
        try:
            await self._writable
        finally:
            self._writable = None

    def _refuse(self, words: str) -> None:
        """Answer what is no HTTP, or too much of it, and let go of the connection."""
        if not self._transport.is_closing():
            if not self._requests:
                answer = HttpAnswer(400, [("content-type", "text/plain; charset=utf-8")])
                self._write(answer, words.encode(), len(words), close=True)
            self._transport.close()

    # ------------------------------------------------------------------------------------------------- time and end

    def _close_in(self, seconds: float) -> None:
        """Have the connection closed then, unless `_stay` or another time is said first.

        Nearly every time that is said is later than the one before: the timer is left to run, and looks for itself.
        """
        self._deadline = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _stay(self) -> None:
        self._deadline = None

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._deadline <= self._loop.time():
            self._transport.close()
        else:
            self._timer = self._loop.call_at(self._deadline, self._look)

    def stop(self) -> asyncio.Task[None] | None:
        """Close when nothing is under way; the task that is, which closes at its end."""
        if not self._requests:
            self._owner.cohort.flush()
            self._transport.close()
        return self._task

    def abort(self) -> None:
        self._transport.abort()


class _TooLarge(Exception):
    pass


def _without_authority(target: bytes) -> bytes:
    """The path and query of a target, which proxies write with scheme and host in front."""
    if target.startswith(b"/") or b"://" not in target:
        return target
    rest = target.split(b"://", 1)[1]
    slash = rest.find(b"/")
    return rest[slash:] if slash >= 0 else b"/"


def _length(headers: list[tuple[str, str]]) -> str | None:
    return next((value for name, value in headers if name.lower() == "content-length"), None)


def _head(answer: HttpAnswer, *, length: int | None, close: bool) -> bytes:
    """Status line and headers, with the empty line behind them."""
    status = answer.status
    lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, _date()]
    announced = False
    for name, value in answer.headers:
        lower = name.lower()
        if lower == "content-length":
            if status in _WITHOUT_BODY:
                continue
            announced = True
        elif lower == "connection" and value.lower() == "close":
            close = True
            continue
        if value.isascii() and value.isprintable():
            lines.append(f"{lower}: {value}\r\n".encode())
        else:
            lines.append(b"%b: %b\r\n" % (lower.encode("latin-1"), _value(value)))
    if length is not None and not announced:
        lines.append(b"content-length: %d\r\n" % length)
    lines.append(b"connection: close\r\n\r\n" if close else b"\r\n")
    return b"".join(lines)


def _value(text: str) -> bytes:
    """A header value as bytes; what may not stand in one (line breaks, control characters) becomes a space."""
    try:
        # As codecs have it: latin-1, in which bytes of UTF-8 may stand.
        raw = text.encode("latin-1")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogateescape")
    return bytes(b if b >= 32 and b != 127 else 32 for b in raw)


class _Dates:
    """The Date header, written once a second: the world's time, whatever the cloud's clock says."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def __call__(self) -> bytes:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._line = f"date: {formatdate(now, usegmt=True)}\r\n".encode()
        return self._line


_date: Callable[[], bytes] = _Dates()
