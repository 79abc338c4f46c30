"""Memory of all the server's processes: idle, and once a first Python function has run."""

from __future__ import annotations

from collections.abc import Iterator

from bench.cases import lambda_
from bench.servers import Server


def run(server: Server, quick: bool) -> Iterator[tuple[str, list[float]]]:
    server.settle()
    yield "memory_idle_mb", [server.pss_mb()]
    lambda_.create(server, "first", lambda_.IMPORTS)
    lambda_.first_invoke_ms(server, "first")
    server.settle()
    yield "memory_function_mb", [server.pss_mb()]
