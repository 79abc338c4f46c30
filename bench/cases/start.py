"""From the start of the process to the first good AWS answer."""

from __future__ import annotations

from bench.client import Connection, dynamodb, signed
from bench.gauge import Figures, Round, during, repeat
from bench.servers import ONE_CASE, Server, await_answer, quiet, spawn, stop


def answers(server: Server) -> bool:
    """Whether it lists its buckets, or its tables where it has no buckets, asked with a signed request."""
    tables = ONE_CASE.get(server.name) == "dynamodb"
    request = dynamodb(server, "ListTables", b"{}") if tables else signed(server, "s3", "GET /")
    with Connection(server) as connection:
        return connection.ask(request)[0] == 200


def run(server: Server, quick: bool) -> Figures:
    """`server` has run, so its byte code is compiled; it is ended, and others are started in its place."""
    stop(server)

    def start() -> Round[float]:
        quiet(1)
        return during(_start_ms, server.name)

    yield "start_ms", repeat(start, quick, 7)


def _start_ms(name: str) -> float:
    fresh = spawn(name)
    try:
        return await_answer(fresh, answers) * 1000
    finally:
        stop(fresh)
