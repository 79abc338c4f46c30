"""One connection: what is written when, what is read of a body when, and when it closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.wire import cohort
from pileus.wire.bodies import Arriving, read_whole
from pileus.wire.connection import HEADERS_BYTES_MAX, WRITE_AT_ONCE_BYTES, Connection, Incoming
from pileus.wire.http import HttpServer
from pileus.wire.message import HttpAnswer

GET = b"GET /path?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"


class Wire:
    """A transport that keeps what it is told."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False
        self.reading = True

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1234) if name == "peername" else None

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def connected(handle: Any) -> tuple[Connection, Wire]:
    wire = Wire()
    connection = Connection(HttpServer(handle))
    connection.connection_made(wire)  # type: ignore[arg-type]  # as far as it is used
    return connection, wire


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def echo(incoming: Incoming, receive: Arriving) -> HttpAnswer:
    body = await read_whole(receive, incoming.headers, 1 << 20)
    return HttpAnswer(200, [("X-Path", incoming.path), ("X-Query", incoming.query)], body or b"empty")


async def test_the_head_and_the_body_of_an_answer_leave_together() -> None:
    connection, wire = connected(echo)
    connection.data_received(GET)
    await settle()
    (answer,) = wire.sent
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert b"\r\nx-path: /path\r\nx-query: a=1\r\ncontent-length: 5" in head
    assert body == b"empty"
    assert not wire.closed


async def test_a_large_body_is_not_copied() -> None:
    large = bytes(WRITE_AT_ONCE_BYTES)

    async def handle(incoming: Incoming, receive: Arriving) -> HttpAnswer:
        return HttpAnswer(200, [], large)

    connection, wire = connected(handle)
    connection.data_received(GET)
    await settle()
    assert len(wire.sent) == 2
    assert wire.sent[1] is large


async def test_who_wants_to_know_is_told_what_was_sent_and_holds_nobody_up_by_failing() -> None:
    told: list[int] = []

    def tell(body_bytes: int) -> None:
        told.append(body_bytes)
        raise ValueError("cannot make anything of it")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"two"
        yield b"pieces"

    async def handle(incoming: Incoming, receive: Arriving) -> HttpAnswer:
        return HttpAnswer(200, [], pieces() if incoming.path == "/stream" else b"body", tell)

    connection, wire = connected(handle)
    for request in (GET, GET.replace(b"GET", b"HEAD"), GET.replace(b"/path", b"/stream")):
        connection.data_received(request)
        await settle()
    assert told == [4, 0, 9]
    assert not wire.closed


async def test_requests_of_one_connection_are_answered_one_after_the_other() -> None:
    order: list[str] = []
    gates = {"/a": asyncio.Event(), "/b": asyncio.Event()}

    async def handle(incoming: Incoming, receive: Arriving) -> HttpAnswer:
        await gates[incoming.path].wait()
        order.append(incoming.path)
        return HttpAnswer(200, [], incoming.path.encode())

    connection, wire = connected(handle)
    connection.data_received(GET.replace(b"/path", b"/a") + GET.replace(b"/path", b"/b"))
    gates["/b"].set()
    await settle()
    assert order == []
    gates["/a"].set()
    await settle()
    assert order == ["/a", "/b"]
    assert [answer[-2:] for answer in wire.sent] == [b"/a", b"/b"]


async def test_a_client_waits_while_nobody_takes_its_body_and_is_told_to_go_on_when_somebody_does() -> None:
    go, taken = asyncio.Event(), []

    async def handle(incoming: Incoming, receive: Arriving) -> HttpAnswer:
        await go.wait()
        while True:
            message = await receive()
            taken.append(len(message["body"]))
            if not message["more_body"]:
                return HttpAnswer(200, [], b"done")

    connection, wire = connected(handle)
    connection.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n\r\n")
    await settle()
    assert wire.sent == []
    go.set()
    await settle()
    assert wire.sent == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    connection.data_received(bytes(100_000))
    assert not wire.reading
    await settle()
    assert wire.reading
    connection.data_received(bytes(100_000))
    await settle()
    assert taken == [100_000, 100_000]
    assert wire.sent[-1].endswith(b"done")
    assert not wire.closed


async def test_what_is_left_of_a_body_is_not_taken_for_a_request() -> None:
    async def handle(incoming: Incoming, receive: Arriving) -> HttpAnswer:
        return HttpAnswer(403, [], b"no")

    connection, wire = connected(handle)
    connection.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    await settle()
    assert b"connection: close" in wire.sent[0]
    assert wire.closed


async def test_a_stream_is_framed_unless_its_length_is_known_and_stops_where_the_client_has_gone() -> None:
    left: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            yield b""
            yield b"three"
        finally:
            left.append("closed")

    async def handle(incoming: Incoming, receive: Arriving) -> HttpAnswer:
        headers = [("Content-Length", "8")] if incoming.path == "/known" else []
        return HttpAnswer(200, headers, pieces())

    connection, wire = connected(handle)
    connection.data_received(GET)
    await settle()
    assert b"".join(wire.sent).endswith(b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n")
    wire.sent.clear()
    connection.data_received(GET.replace(b"/path", b"/known"))
    await settle()
    assert b"".join(wire.sent).endswith(b"content-length: 8\r\n\r\nonethree")
    wire.sent.clear()
    connection.data_received(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    await settle()
    assert b"".join(wire.sent).endswith(b"\r\n\r\n")
    connection.data_received(GET)
    wire.closed = True
    await settle()
    assert left == ["closed"] * 4


async def test_who_asks_for_an_older_protocol_or_the_end_gets_it() -> None:
    for request, last in (
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", False),
    ):
        connection, wire = connected(echo)
        connection.data_received(request)
        await settle()
        assert wire.sent[0].endswith(b"empty")
        assert wire.closed is last
        if not last:
            connection.data_received(GET)
            await settle()
            assert len(wire.sent) == 2


LARGE = b"x" * (HEADERS_BYTES_MAX // 2)


@pytest.mark.parametrize(
    "pieces",
    [
        # At once, behind another request, in pieces, in one line that never ends, and under one name.
        [b"GET / HTTP/1.1\r\nA: " + LARGE + b"\r\nB: " + LARGE + b"\r\n\r\n"],
        [GET, b"GET / HTTP/1.1\r\nA: " + LARGE + b"\r\nB: " + LARGE + b"\r\nC: "],
        [b"GET / HTTP/1.1\r\nA: ", LARGE, b"\r\nB: ", LARGE, b"\r\n\r\n"],
        [b"GET / HTTP/1.1\r\nA: ", LARGE, LARGE, b"x"],
        [b"GET / HTTP/1.1\r\n" + b"a:\r\n" * (HEADERS_BYTES_MAX + 2), b"\r\n"],
    ],
)
async def test_too_large_a_head_is_refused(pieces: list[bytes]) -> None:
    connection, wire = connected(echo)
    for piece in pieces:
        if not wire.closed:
            connection.data_received(piece)
        await settle()
    assert wire.closed
    assert wire.sent[-1].startswith(b"HTTP/1.1 400 ")
    assert wire.sent[-1].endswith(b"Your request header section exceeds the maximum allowed size.")


async def test_only_heads_are_counted() -> None:
    body = b"y" * (2 * HEADERS_BYTES_MAX)
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection, wire = connected(echo)
    # The end of one head with its body, and the next head's beginning.
    for piece in (post[:20], post[20:] + body + GET[:10], GET[10:]):
        connection.data_received(piece)
        await settle()
    assert not wire.closed
    assert b"".join(wire.sent).count(b"HTTP/1.1 200 ") == 2


async def test_no_answer_brings_a_header_line_of_its_own() -> None:
    async def handle(incoming: Incoming, receive: Arriving) -> HttpAnswer:
        return HttpAnswer(
            204, [("x-a", "b\r\nx-evil: c"), ("x-l", "\u00e9"), ("x-u", "\u2713"), ("Content-Length", "0")], b""
        )

    connection, wire = connected(handle)
    connection.data_received(GET)
    await settle()
    lines = wire.sent[0].split(b"\r\n")
    assert b"x-a: b  x-evil: c" in lines
    assert b"x-l: \xe9" in lines
    assert b"x-u: \xe2\x9c\x93" in lines
    assert not any(line.startswith(b"content-length") for line in lines)


async def test_a_fault_of_the_handler_is_an_answer_and_the_end() -> None:
    async def handle(incoming: Incoming, receive: Arriving) -> HttpAnswer:
        raise RuntimeError("secret")

    connection, wire = connected(handle)
    connection.data_received(GET)
    await settle()
    assert wire.sent[0].startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in wire.sent[0]
    assert wire.closed


async def test_whoever_waits_for_the_client_to_go_hears_of_it() -> None:
    heard: list[Any] = []

    async def handle(incoming: Incoming, receive: Arriving) -> HttpAnswer:
        await read_whole(receive, incoming.headers, 100)
        heard.append((await receive())["type"])
        return HttpAnswer(200)

    connection, wire = connected(handle)
    connection.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    await settle()
    assert heard == []
    wire.closed = True
    connection.connection_lost(None)
    await settle()
    assert heard == ["http.disconnect"]


@pytest.fixture(autouse=True)
def time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a millisecond, for which answers may be held, is over before the next line has run."""
    monkeypatch.setattr(cohort, "monotonic", lambda: 10.0)


class Noted(Wire):
    """A transport that notes when it is told something, among others."""

    def __init__(self, order: list[str], number: int) -> None:
        super().__init__()
        self._order = order
        self._number = number

    def write(self, data: bytes) -> None:
        self._order.append(f"sent {self._number}")
        super().write(data)


class Crowd:
    """Connections of one server, and what was done for them in which order."""

    def __init__(self, count: int) -> None:
        self.order: list[str] = []
        self.gate = asyncio.Event()
        self.server = HttpServer(self.handle)
        self.wires = [Noted(self.order, number) for number in range(count)]
        self.connections = [Connection(self.server) for _ in range(count)]
        for connection, wire in zip(self.connections, self.wires, strict=True):
            connection.connection_made(wire)  # type: ignore[arg-type]  # as far as it is used

    async def handle(self, incoming: Incoming, receive: Arriving) -> HttpAnswer:
        self.order.append(incoming.path[1:])
        if incoming.path == "/waits":
            await self.gate.wait()
        if incoming.path.startswith("/staged"):
            await self.server.cohort
            self.order.append(f"{incoming.path[1:]}, second stage")
        if incoming.path == "/streams":
            return HttpAnswer(200, [], self._stream())
        return HttpAnswer(200, [], incoming.path.encode())

    async def _stream(self) -> AsyncIterator[bytes]:
        yield b"stream"

    def ask(self, number: int, *paths: bytes) -> None:
        self.connections[number].data_received(b"".join(GET.replace(b"path", path) for path in paths))


async def test_answers_to_requests_that_came_together_leave_together() -> None:
    crowd = Crowd(3)
    for number in range(3):
        crowd.ask(number, b"%d" % number)
    await settle()
    assert crowd.order == ["0", "1", "2", "sent 0", "sent 1", "sent 2"]
    # One that came alone is sent as soon as it is there.
    crowd.ask(1, b"alone")
    await asyncio.sleep(0)
    assert crowd.order[6:] == ["alone", "sent 1"]


async def test_requests_that_came_together_go_through_the_stages_together() -> None:
    crowd = Crowd(3)
    for number in range(3):
        crowd.ask(number, b"staged%d" % number)
    await settle()
    assert crowd.order == [
        *("staged0", "staged1", "staged2"),
        *(f"staged{number}, second stage" for number in range(3)),
        *("sent 0", "sent 1", "sent 2"),
    ]
    assert crowd.server.cohort.ready == 0
    # One that is alone waits for nobody.
    crowd.ask(1, b"staged")
    await asyncio.sleep(0)
    assert crowd.order[9:] == ["staged", "staged, second stage", "sent 1"]


async def test_after_a_long_read_nobody_waits_for_others_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many long reads at once: each answer leaves when it is there, and small ones need not wait for all of them."""
    together = cohort.Cohort()
    now = 0.0
    monkeypatch.setattr(cohort, "monotonic", lambda: now)
    order: list[str] = []

    async def read(name: str, took: float) -> None:
        nonlocal now
        await together
        began, now = now, now + took
        order.append(f"{name} has read")
        await together.has_read(began)
        order.append(f"{name} goes on")

    async def all_of(**took: float) -> list[str]:
        # As a connection does for a request that has come and waits for its turn.
        order.clear()
        together.ready = 1
        await asyncio.gather(*(read(name, seconds) for name, seconds in took.items()))
        return order

    apart = ["a has read", "a goes on", "b has read", "b goes on"]
    assert await all_of(a=0.0001, b=0.0001) == ["a has read", "b has read", "a goes on", "b goes on"]
    assert await all_of(a=0.02, b=0.0001) == apart
    for _ in range(49):
        assert await all_of(a=0.0001, b=0.0001) == apart
    assert await all_of(a=0.0001, b=0.0001) == ["a has read", "a goes on", "b has read", "b goes on"]
    assert await all_of(a=0.0001, b=0.0001) == ["a has read", "b has read", "a goes on", "b goes on"]


async def test_a_stage_is_not_waited_for_by_those_who_wait_for_something_else() -> None:
    crowd = Crowd(3)
    crowd.ask(0, b"staged")
    crowd.ask(1, b"waits")
    await settle()
    assert crowd.order == ["staged", "waits", "staged, second stage", "sent 0"]
    # Who is ended between two stages is not counted any more.
    crowd.ask(0, b"staged")
    crowd.ask(2, b"staged")
    await asyncio.sleep(0)
    ended = crowd.connections[0].stop()
    assert ended is not None
    ended.cancel()
    await settle()
    assert crowd.wires[0].closed
    assert crowd.server.cohort.ready == 0
    crowd.gate.set()
    await settle()


async def test_an_answer_is_not_held_for_one_that_has_to_wait() -> None:
    crowd = Crowd(2)
    crowd.ask(0, b"quick")
    crowd.ask(1, b"waits")
    await settle()
    assert crowd.order == ["quick", "waits", "sent 0"]
    crowd.gate.set()
    await settle()
    assert crowd.order[3:] == ["sent 1"]


async def test_an_answer_is_held_for_a_millisecond_only(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(4)
    clock = iter([10.0, 10.0005, 10.0011])
    monkeypatch.setattr(cohort, "monotonic", lambda: next(clock))
    for number in range(4):
        crowd.ask(number, b"%d" % number)
    await settle()
    assert crowd.order == ["0", "1", "2", "sent 0", "sent 1", "sent 2", "3", "sent 3"]


async def test_what_is_held_leaves_before_what_is_written_otherwise() -> None:
    for then in (b"streams", b"last HTTP/1.0\r\nX: "):
        crowd = Crowd(2)
        crowd.ask(0, b"first", then)
        crowd.ask(1, b"other")
        await settle()
        sent = b"".join(crowd.wires[0].sent)
        assert 0 < sent.index(b"/first") < sent.index(b"stream" if then == b"streams" else b"/last")
        assert crowd.wires[0].closed == (then != b"streams")


async def test_what_is_held_for_a_client_that_goes_is_dropped_and_that_of_others_is_not() -> None:
    crowd = Crowd(3)
    for number, path in enumerate((b"0", b"1", b"waits")):
        crowd.ask(number, path)
    # Before what is held is sent, and after it was held.
    asyncio.get_running_loop().call_soon(crowd.wires[0].close)
    await settle()
    assert [len(wire.sent) for wire in crowd.wires] == [0, 1, 0]
    crowd.gate.set()
    await settle()


async def test_a_server_that_stops_sends_what_is_held() -> None:
    crowd = Crowd(2)
    crowd.ask(0, b"quick")
    crowd.ask(1, b"waits")
    await asyncio.sleep(0)
    crowd.connections[0].stop()
    assert crowd.wires[0].closed
    assert len(crowd.wires[0].sent) == 1
    crowd.gate.set()
    await settle()
