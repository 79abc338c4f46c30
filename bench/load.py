"""Load: signed requests sent again and again over so many connections, by wrk or, without it, by loadgen.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.gauge import Round, during, repeat
from bench.servers import HOME, Cannot, Server

HERE = Path(__file__).resolve().parent
# How long a server is asked anew that has answered nothing: it may be slow, or the moment was.
PATIENCE_S = 10


@dataclass(frozen=True)
class Load:
    per_s: float
    p50_ms: float
    p99_ms: float
    # Processor time of the server for one request, µs: what is left of it on a busy machine.
    cpu_us: float
    requests: int


def generator() -> str:
    """What will make the load; installs wrk from Debian where it may."""
    if not shutil.which("wrk") and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "--yes", "--quiet=2", "wrk"], check=False, capture_output=True)
    if not shutil.which("wrk"):
        return "asyncio (wrk is not installed: figures are limited by this client)"
    return subprocess.run(["wrk", "--version"], check=False, capture_output=True, text=True).stdout.split(" [")[0]


class Spent(Exception):
    """More requests were made than the server had something for; `calls` says how many."""

    def __init__(self, calls: int) -> None:
        super().__init__(f"{calls} requests were made, for which there was not enough")
        self.calls = calls


class Requests:
    """A set of signed requests, ready for the generator."""

    def __init__(self, requests: list[bytes], name: str = "requests") -> None:
        """`name`: where others of another name are in use beside these."""
        HOME.mkdir(exist_ok=True)
        self.path = HOME / name
        with self.path.open("wb") as out:
            for request in requests:
                out.write(b"%d\n%s" % (len(request), request))

    def run(self, server: Server, connections: int, seconds: int, enough: int | None = None) -> Load:
        """Raises `Cannot` where one request was refused or got no answer: only a whole run counts.

        `enough`: for how many requests the server has something; raises `Spent` where more may have been sent.
        """
        before = server.cpu_s()
        if shutil.which("wrk"):
            options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", HERE / "cycle.lua"]
            command = ["wrk", *options, server.endpoint, "--", self.path]
        else:
            command = [sys.executable, HERE / "loadgen.py", self.path, str(server.port), str(connections), str(seconds)]
        out = subprocess.run(command, check=False, capture_output=True, text=True)
        line = next((line for line in out.stdout.splitlines() if line.startswith("RESULT ")), "")
        if not line:
            raise Cannot(f"the load generator failed: {(out.stderr or out.stdout).strip()[-200:]}")
        result = json.loads(line.removeprefix("RESULT "))
        if not result["requests"] and seconds < PATIENCE_S:
            return self.run(server, connections, PATIENCE_S, enough)
        if enough is not None and result["requests"] + connections > enough:
            raise Spent(result["requests"])
        if result["refused"] or result["broken"] or not result["requests"]:
            refused, broken = result["refused"], result["broken"]
            raise Cannot(f"of {result['requests']} requests {refused} were refused and {broken} got no answer")
        cpu_us = (server.cpu_s() - before) / result["requests"] * 1e6
        return Load(
            result["requests"] / result["seconds"], result["p50_ms"], result["p99_ms"], cpu_us, result["requests"]
        )

    def rounds(self, server: Server, connections: int, seconds: int, quick: bool) -> list[Round[Load]]:
        return repeat(lambda: during(self.run, server, connections, seconds), quick)
