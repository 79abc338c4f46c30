"""Memory of all the server's processes: idle, and once a first Python function has run."""

from __future__ import annotations

from bench.cases import lambda_
from bench.gauge import Figures, untimed
from bench.servers import Server


def run(server: Server, quick: bool) -> Figures:
    server.settle()
    yield "memory_idle_mb", untimed(server.pss_mb())
    lambda_.create(server, "first", lambda_.IMPORTS)
    lambda_.first_invoke_ms(server, "first")
    server.settle()
    yield "memory_function_mb", untimed(server.pss_mb())
