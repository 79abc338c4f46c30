"""The Runtime API, as a function's runtime meets it on port 9001 ("Using the Lambda runtime API").

One lean HTTP/1.1 server per environment: it parses, answers, and hands what matters to a `RuntimeHost`. Which call may
come when is said by `RuntimeState`, without any I/O.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol, cast

import httptools

from pileus.services.lambda_.execution import PAYLOAD_BYTES_MAX, InvokeResult

_PREFIX = "/2018-06-01/runtime/"
# An answer that is too long is read to its end, so that the runtime hears why; but not for ever.
_READ_MAX = 64 * 1024 * 1024
_HEADERS_MAX = 2 * 1024 * 1024
_STREAM_BUFFER = 1 << 20


class RuntimeState(Enum):
    """Where a runtime stands; the names are those of the API's error messages."""

    STARTED = "Started"
    INIT_ERROR = "InitError"
    READY = "Ready"
    RUNNING = "Running"
    RESPONDING = "InvocationResponse"
    FAILING = "InvocationErrorResponse"
    RESPONSE_SENT = "ResponseSent"
    RESTORE_READY = "RestoreReady"
    RESTORING = "Restoring"
    RESTORE_ERROR = "RestoreError"


# The state that a call leads to -> the states in which it may come.
_FROM: dict[RuntimeState, frozenset[RuntimeState]] = {
    RuntimeState.READY: frozenset(
        {RuntimeState.STARTED, RuntimeState.READY, RuntimeState.RESPONSE_SENT, RuntimeState.RESTORING}
    ),
    RuntimeState.INIT_ERROR: frozenset({RuntimeState.STARTED}),
    RuntimeState.RESTORE_READY: frozenset({RuntimeState.STARTED}),
    RuntimeState.RESTORING: frozenset({RuntimeState.RESTORE_READY}),
    RuntimeState.RESTORE_ERROR: frozenset({RuntimeState.RESTORING}),
    RuntimeState.RUNNING: frozenset({RuntimeState.READY}),
    RuntimeState.RESPONDING: frozenset({RuntimeState.RUNNING}),
    RuntimeState.FAILING: frozenset({RuntimeState.RUNNING}),
    RuntimeState.RESPONSE_SENT: frozenset({RuntimeState.RESPONDING, RuntimeState.FAILING}),
}


def may_move(current: RuntimeState, wanted: RuntimeState) -> bool:
    return current in _FROM[wanted]


class Event(NamedTuple):
    """What `next` answers."""

    request_id: str
    payload: bytes
    # As they are sent.
    headers: bytes


@dataclass(slots=True)
class Streamed:
    """An answer as it comes; the Runtime API fills it, the caller of the function empties it."""

    content_type: str
    chunks: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    error: tuple[str, str] | None = None
    waiting_bytes: int = 0
    total_bytes: int = 0
    # Lets the runtime write again.
    resume: Any = None
    abandoned: bool = False
    # All of it has been written, or never will be.
    complete: bool = False


class RuntimeHost(Protocol):
    """The environment, as its Runtime API sees it. Called on the event loop."""

    state: RuntimeState
    request_id: str

    def runtime_waits(self, send: RuntimeConnection) -> None:
        """The runtime asks for the next event: give it to `send.send_event`, now or later."""
        ...

    def runtime_answered(self, payload: bytes, content_type: str) -> None: ...

    def runtime_streams(self, answer: Streamed) -> None: ...

    def runtime_stream_ended(self, answer: Streamed) -> None: ...

    def runtime_failed(self, payload: bytes, error_type: str) -> None: ...

    def runtime_too_large(self) -> None: ...

    def init_failed(self, payload: bytes, error_type: str) -> None: ...

    def runtime_restores(self, send: RuntimeConnection) -> None:
        """The runtime is through with Init and lets itself be snapshotted: let it go on with `send.send_restored`."""
        ...

    def restore_failed(self, payload: bytes, error_type: str) -> None: ...

    def other_call(self, path: str, call: OtherCall) -> None:
        """A call to another API on the same port: of extensions, or of subscribers to logs."""
        ...


_OK = b'{"status":"OK"}\n'


def _error(kind: str, message: str) -> bytes:
    return b'{"errorMessage":"%s","errorType":"%s"}\n' % (message.encode(), kind.encode())


_REASONS = {
    200: b"OK",
    202: b"Accepted",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    413: b"Request Entity Too Large",
}


class OtherCall:
    """A call to another API on the Runtime API's port; see `extensions.Call`."""

    __slots__ = ("_connection", "body", "headers", "method")

    def __init__(self, connection: RuntimeConnection, method: bytes, headers: Mapping[str, str], body: bytes) -> None:
        self._connection = connection
        self.method = method
        self.headers = headers
        self.body = body

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bool:
        return self._connection.answer(status, body, headers)


class RuntimeConnection(asyncio.Protocol):
    """One connection of the runtime."""

    def __init__(self, host: RuntimeHost) -> None:
        self._host = host
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._headers: dict[str, str] = {}
        self._headers_bytes = 0
        self._body: list[bytes] = []
        self._size = 0
        self._stream: Streamed | None = None
        self._in_trailers = False
        self._refused: tuple[int, bytes] | None = None

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no `asyncio.Transport` by class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._answer(400, _error("InvalidRequest", "Malformed HTTP request"), close=True)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stream is not None:
            self._end_stream(("Runtime.TruncatedResponse", "Response truncated"))
        self._transport = None

    # httptools

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = {}
        self._headers_bytes = 0
        self._body = []
        self._size = 0
        self._refused = None

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers_bytes += len(name) + len(value)
        if self._headers_bytes > _HEADERS_MAX:
            self._answer(400, _error("InvalidRequest", "Headers too large"), close=True)
            return
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if (
            self._headers.get("lambda-runtime-function-response-mode", "").lower() == "streaming"
            and self._parser.get_method() == b"POST"
        ):
            self._begin_stream()

    def on_body(self, body: bytes) -> None:
        if self._stream is not None:
            self._feed_stream(body)
            return
        self._size += len(body)
        if self._size <= PAYLOAD_BYTES_MAX:
            self._body.append(body)
        elif self._size > _READ_MAX and self._transport is not None:
            self._transport.abort()

    def on_message_complete(self) -> None:
        if self._stream is not None:
            kind = self._headers.get("lambda-runtime-function-error-type")
            self._end_stream((kind, self._headers.get("lambda-runtime-function-error-body", "")) if kind else None)
            self._answer(202, _OK)
            return
        if self._refused is not None:
            self._answer(*self._refused)
            return
        self._route(self._parser.get_method(), self._url.decode("latin-1").partition("?")[0])

    # the calls

    def _route(self, method: bytes, path: str) -> None:
        body = b"".join(self._body)
        if not path.startswith(_PREFIX):
            self._host.other_call(path.rstrip("/"), OtherCall(self, method, self._headers, body))
            return
        parts = path[len(_PREFIX) :].split("/")
        error_type = self._headers.get("lambda-runtime-function-error-type", "")
        match method, parts:
            case b"GET", ["invocation", "next"]:
                self._next()
            case b"POST", ["invocation", request_id, "response"]:
                self._respond(request_id, body)
            case b"POST", ["invocation", request_id, "error"]:
                if self._admit(request_id, RuntimeState.FAILING):
                    self._host.state = RuntimeState.RESPONSE_SENT
                    self._answer(202, _OK)
                    if self._size > PAYLOAD_BYTES_MAX:
                        self._host.runtime_too_large()
                    else:
                        self._host.runtime_failed(body, error_type)
            case b"POST", ["init", "error"]:
                if not may_move(self._host.state, RuntimeState.INIT_ERROR):
                    self._refuse_transition(RuntimeState.INIT_ERROR)
                    return
                self._host.state = RuntimeState.INIT_ERROR
                self._answer(202, _OK)
                self._host.init_failed(body[:PAYLOAD_BYTES_MAX], error_type)
            case b"GET", ["restore", "next"]:
                if not may_move(self._host.state, RuntimeState.RESTORE_READY):
                    self._refuse_transition(RuntimeState.RESTORE_READY)
                    return
                self._host.state = RuntimeState.RESTORE_READY
                self._host.runtime_restores(self)
            case b"POST", ["restore", "error"]:
                if not may_move(self._host.state, RuntimeState.RESTORE_ERROR):
                    self._refuse_transition(RuntimeState.RESTORE_ERROR)
                    return
                self._host.state = RuntimeState.RESTORE_ERROR
                self._answer(202, _OK)
                self._host.restore_failed(body[:PAYLOAD_BYTES_MAX], error_type)
            case _, (
                ["invocation", "next"]
                | ["invocation", _, "response" | "error"]
                | ["init", "error"]
                | ["restore", "next" | "error"]
            ):
                self._answer(405, b"")
            case _:
                self._answer(404, _error("NotFound", "404 page not found"))

    def _next(self) -> None:
        if not may_move(self._host.state, RuntimeState.READY):
            self._refuse_transition(RuntimeState.READY)
            return
        self._host.state = RuntimeState.READY
        self._host.runtime_waits(self)

    def _respond(self, request_id: str, body: bytes) -> None:
        if not self._admit(request_id, RuntimeState.RESPONDING):
            return
        self._host.state = RuntimeState.RESPONSE_SENT
        if self._size > PAYLOAD_BYTES_MAX:
            message = f"Exceeded maximum allowed payload size ({PAYLOAD_BYTES_MAX} bytes)."
            self._answer(413, _error("RequestEntityTooLarge", message))
            self._host.runtime_too_large()
        else:
            self._answer(202, _OK)
            self._host.runtime_answered(body, self._headers.get("content-type", "application/json"))

    def _admit(self, request_id: str, wanted: RuntimeState) -> bool:
        if request_id != self._host.request_id:
            self._answer(400, _error("InvalidRequestID", "Invalid request ID"))
        elif not may_move(self._host.state, wanted):
            self._refuse_transition(wanted)
        else:
            return True
        return False

    def _refuse_transition(self, wanted: RuntimeState) -> None:
        message = (
            f"State transition from {self._host.state.value} to {wanted.value} failed for runtime."
            " Error: State transition is not allowed"
        )
        self._answer(403, _error("InvalidStateTransition", message))

    def send_event(self, event: Event) -> bool:
        """Answer the waiting `next`; False where the runtime has hung up."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n%b"
            % (len(event.payload), event.headers, event.payload)
        )
        return True

    def send_restored(self) -> bool:
        """Answer the waiting `restore/next`: the environment has been restored, or never was snapshotted."""
        self._host.state = RuntimeState.RESTORING
        return self.answer(200, b"")

    # streamed answers

    def _begin_stream(self) -> None:
        parts = self._url.decode("latin-1").partition("?")[0].removeprefix(_PREFIX).split("/")
        if len(parts) != 3 or parts[0] != "invocation" or parts[2] != "response":
            return
        if parts[1] != self._host.request_id:
            self._refused = (400, _error("InvalidRequestID", "Invalid request ID"))
        elif not may_move(self._host.state, RuntimeState.RESPONDING):
            message = (
                f"State transition from {self._host.state.value} to {RuntimeState.RESPONDING.value} failed for runtime."
                " Error: State transition is not allowed"
            )
            self._refused = (403, _error("InvalidStateTransition", message))
        else:
            self._host.state = RuntimeState.RESPONDING
            self._stream = Streamed(self._headers.get("content-type", "application/octet-stream"))
            self._stream.resume = self._resume
            self._host.runtime_streams(self._stream)

    def _feed_stream(self, body: bytes) -> None:
        stream = self._stream
        assert stream is not None
        stream.total_bytes += len(body)
        if stream.abandoned:
            return
        stream.waiting_bytes += len(body)
        stream.chunks.put_nowait(body)
        if stream.waiting_bytes > _STREAM_BUFFER and self._transport is not None:
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _end_stream(self, error: tuple[str, str] | None) -> None:
        stream, self._stream = self._stream, None
        assert stream is not None
        stream.error = error
        stream.complete = True
        stream.chunks.put_nowait(None)
        self._host.state = RuntimeState.RESPONSE_SENT
        self._host.runtime_stream_ended(stream)

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bool:
        """Answer a call to another API; False where the caller has hung up."""
        if self._transport is None or self._transport.is_closing():
            return False
        more = b"".join(b"%s: %s\r\n" % (name.encode(), value.encode()) for name, value in (headers or {}).items())
        self._transport.write(
            b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s"
            % (status, _REASONS[status], len(body), more, body)
        )
        return True

    def _answer(self, status: int, body: bytes, *, close: bool = False) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(
            b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s"
            % (status, _REASONS[status], len(body), b"Connection: close\r\n" if close else b"", body)
        )
        if close:
            self._transport.close()


def event_headers(
    *,
    request_id: str,
    deadline_ms: int,
    invoked_arn: str,
    trace_header: str = "",
    client_context: str = "",
    cognito_identity: str = "",
) -> bytes:
    """The headers of an answer to `next`, line by line; what is empty is left out."""
    lines = (
        f"Lambda-Runtime-Aws-Request-Id: {request_id}",
        f"Lambda-Runtime-Deadline-Ms: {deadline_ms}",
        f"Lambda-Runtime-Invoked-Function-Arn: {invoked_arn}",
        f"Lambda-Runtime-Trace-Id: {trace_header}" if trace_header else "",
        f"Lambda-Runtime-Client-Context: {client_context}" if client_context else "",
        f"Lambda-Runtime-Cognito-Identity: {cognito_identity}" if cognito_identity else "",
    )
    # A line end in a value would begin another header.
    plain = [line.replace("\r", " ").replace("\n", " ") for line in lines if line]
    return "\r\n".join([*plain, ""]).encode()


class StreamReader:
    """What the caller of the function gets of a streamed answer; see `execution.ResponseStream`."""

    def __init__(self, stream: Streamed, ended: asyncio.Future[InvokeResult] | None) -> None:
        self._stream = stream
        # Done when the last line is in the log; None: the reader does not wait for it.
        self._ended = ended
        self.content_type = stream.content_type
        self.error: tuple[str, str] | None = None
        self.log_tail = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._stream
        try:
            while (chunk := await stream.chunks.get()) is not None:
                stream.waiting_bytes -= len(chunk)
                if stream.resume is not None:
                    stream.resume()
                yield chunk
            if self._ended is not None:
                self.log_tail = (await asyncio.shield(self._ended)).log_tail
            self.error = stream.error
        finally:
            stream.abandoned = True
            if stream.resume is not None:
                stream.resume()
