"""From the start of the process to the first good AWS answer."""

from __future__ import annotations

from collections.abc import Iterator

from bench.client import Connection, dynamodb, signed
from bench.servers import ONE_CASE, Server, await_answer, quiet, spawn, stop


def answers(server: Server) -> bool:
    """Whether it lists its buckets, or its tables where it has no buckets, asked with a signed request."""
    tables = ONE_CASE.get(server.name) == "dynamodb"
    request = dynamodb(server, "ListTables", b"{}") if tables else signed(server, "s3", "GET /")
    with Connection(server) as connection:
        return connection.ask(request)[0] == 200


def run(server: Server, quick: bool) -> Iterator[tuple[str, list[float]]]:
    """`server` has run, so its byte code is compiled; it is ended, and others are started in its place."""
    stop(server)
    times = []
    for _ in range(3 if quick else 7):
        quiet(1)
        fresh = spawn(server.name)
        try:
            times.append(await_answer(fresh, answers) * 1000)
        finally:
            stop(fresh)
    yield "start_ms", times
