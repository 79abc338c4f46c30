"""The load generator for machines without wrk: loadgen.py REQUESTS PORT CONNECTIONS SECONDS, the answer as cycle.lua's.

A process of its own, so that it shares no interpreter with whoever measures.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import httptools
import uvloop


def read(path: Path) -> list[bytes]:
    data, at, requests = path.read_bytes(), 0, []
    while at < len(data):
        end = data.index(b"\n", at)
        length = int(data[at:end])
        requests.append(data[end + 1 : end + 1 + length])
        at = end + 1 + length
    return requests


class Client(asyncio.Protocol):
    """One connection: the next request as soon as the answer is whole."""

    def __init__(self, requests: Iterator[bytes], times: list[float], end: float) -> None:
        self.requests, self.times, self.end = requests, times, end
        self.refused = self.broken = 0
        self.whole = True
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.begun, self.whole = time.perf_counter(), False
        self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self.times.append(now - self.begun)
        self.refused += self.parser.get_status_code() >= 400
        self.whole = True
        if now < self.end and self.parser.should_keep_alive():
            # The parser that calls this has not finished with the bytes at hand.
            asyncio.get_running_loop().call_soon(self.send)
        else:
            self.transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.broken += not self.whole
        self.closed.set_result(None)


async def keep_busy(port: int, requests: Iterator[bytes], times: list[float], end: float) -> tuple[int, int]:
    """Answers that were errors, and requests without an answer; a connection that the server closes is made anew."""
    loop, refused, broken = asyncio.get_running_loop(), 0, 0
    while time.perf_counter() < end:
        _, client = await loop.create_connection(lambda: Client(requests, times, end), "127.0.0.1", port)
        await client.closed
        refused, broken = refused + client.refused, broken + client.broken
    return refused, broken


async def main(path: str, port: str, connections: str, seconds: str) -> None:
    requests, times, begun = cycle(read(Path(path))), list[float](), time.perf_counter()
    clients = [keep_busy(int(port), requests, times, begun + int(seconds)) for _ in range(int(connections))]
    ended = await asyncio.gather(*clients)
    took = time.perf_counter() - begun
    times.sort()
    result = {
        "requests": len(times),
        "seconds": took,
        "refused": sum(refused for refused, _ in ended),
        "broken": sum(broken for _, broken in ended),
        "p50_ms": times[len(times) // 2] * 1000 if times else 0,
        "p99_ms": times[len(times) * 99 // 100] * 1000 if times else 0,
    }
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    # Under this name the run knows it for no part of a server.
    ctypes.CDLL(None).prctl(15, b"loadgen", 0, 0, 0)
    uvloop.run(main(*sys.argv[1:]))
