"""What a subscriber to telemetry gets, when it takes it, when it does not, and when it cannot."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from pileus.services.lambda_.telemetry import Subscription, understand


def request(**more: Any) -> dict[str, Any]:
    destination = {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243/x?y=1"}
    return {"schemaVersion": "2022-12-13", "types": ["platform"], "destination": destination, **more}


def wishes(api: str = "telemetry", **more: Any) -> Any:
    return understand(api, json.dumps(request(**more)).encode())


def test_what_is_asked_for() -> None:
    found = wishes()
    assert (found.port, found.path, found.method, found.protocol) == (4243, "/x?y=1", "POST", "HTTP")
    assert (found.max_items, found.max_bytes, found.timeout_s) == (10_000, 262_144, 1.0)
    found = wishes(
        "logs",
        schemaVersion=None,
        types=["function", "function"],
        buffering={"maxItems": 1000, "maxBytes": 1_048_576, "timeoutMs": 25},
        destination={"protocol": "TCP", "port": 5000},
    )
    assert (found.schema, found.types, found.port) == ("2020-08-15", ("function",), 5000)
    assert (found.max_items, found.max_bytes, found.timeout_s) == (1000, 1_048_576, 0.025)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"types": []}, "types should not be empty"),
        ({"types": ["platform", "x"]}, "types contain unknown values: x"),
        ({"types": "platform"}, "types should not be empty"),
        ({"schemaVersion": None}, "schemaVersion is not provided"),
        ({"destination": None}, "destination protocol should be HTTP or TCP"),
        ({"destination": {"protocol": "HTTP"}}, "URI is not provided"),
        (
            {"destination": {"protocol": "HTTP", "URI": "http://[::1"}},
            "URI host should be sandbox.localdomain; URI port",
        ),
        ({"destination": {"protocol": "HTTP", "URI": "https://sandbox:1"}}, "URI scheme should be http"),
        ({"destination": {"protocol": "HTTP", "URI": "http://169.254.169.254:80"}}, "URI host should be"),
        ({"destination": {"protocol": "TCP", "port": 9001}}, "port 9001 is not allowed"),
        ({"destination": {"protocol": "TCP", "port": True}}, "port True is not allowed"),
        ({"buffering": {"maxItems": 1}}, "buffering maxItems should be between 1000 and 10000"),
        ({"buffering": {"timeoutMs": "1000"}}, "buffering timeoutMs should be between 25 and 30000"),
    ],
)
def test_what_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        wishes(**more)


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b"\xff"])
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(ValueError, match="not valid JSON"):
        understand("telemetry", body)


class Listener:
    """A subscriber's server, which answers with the given statuses, one after the other, and then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.batches: list[list[Any]] = []
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()

    async def start(self) -> int:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        self.asked += 1
        await self.open.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.batches.append(body)
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        writer.close()


async def new_socket() -> socket.socket:
    made = socket.socket()
    made.setblocking(False)
    return made


async def subscription(listener: Listener, **buffering: int) -> Subscription:
    port = await listener.start()
    asked = wishes(destination={"protocol": "HTTP", "URI": f"http://sandbox:{port}"}, buffering=buffering)
    return Subscription("s", asked, new_socket)


async def test_batches_are_full_or_old() -> None:
    listener = Listener()
    made = await subscription(listener, maxItems=1000, timeoutMs=30_000)
    for number in range(1001):
        made.put(str(number), 0)
    await _until(lambda: len(listener.batches) == 1)
    assert listener.batches[0] == list(range(1000))
    await made.sent()
    assert listener.batches[1] == [1000]
    made.close()


async def test_what_is_refused_is_sent_again() -> None:
    listener = Listener(500, 503)
    made = await subscription(listener, timeoutMs=25)
    made.put("1", 0)
    await _until(lambda: bool(listener.batches))
    assert listener.batches == [[1]]
    assert listener.asked == 3
    made.close()


async def test_whoever_falls_behind_is_told_what_was_dropped() -> None:
    listener = Listener()
    listener.open.clear()
    made = await subscription(listener, maxItems=1000, timeoutMs=25)
    for number in range(5000):
        made.put(str(number), 0)
    listener.open.set()
    await made.sent()
    made.put("-1", 0)
    await made.sent()
    taken = [each for batch in listener.batches for each in batch]
    kept = [each for each in taken if isinstance(each, int) and each >= 0]
    assert kept == list(range(len(kept)))
    assert len(kept) < 5000
    (told,) = [each for each in taken if isinstance(each, dict)]
    assert told["type"] == "platform.logsDropped"
    assert told["record"]["droppedRecords"] == 5000 - len(kept)
    assert told["record"]["droppedBytes"] == sum(len(str(number)) for number in range(len(kept), 5000))
    assert taken[-1] == -1
    made.close()


async def test_nothing_is_sent_while_the_environment_stands_still() -> None:
    listener = Listener()
    made = await subscription(listener, timeoutMs=25)
    made.pause()
    made.put("1", 0)
    await asyncio.sleep(0.1)
    assert not listener.batches
    made.resume()
    await _until(lambda: listener.batches == [[1]])
    made.close()


async def _until(condition: Any) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")
