"""python -m bench: Pileus and its peers, the same requests, one run. README.md says how to read what comes out."""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import report
from bench.cases import dax, dynamodb, events, lambda_, large_table, memory, payloads, runtimes, s3, sns, sqs, start
from bench.gauge import Figures, running
from bench.load import generator
from bench.metrics import METRICS, Metric
from bench.servers import (
    HOME,
    LABELS,
    ONE_CASE,
    PEERS,
    ROOT,
    Cannot,
    Server,
    asked,
    fsync_ms,
    install,
    installable,
    quiet,
    serving,
    version,
)

Case = Callable[[Server, bool], Figures]
CASES: dict[str, Case] = {
    "start": start.run,
    "memory": memory.run,
    "lambda": lambda_.run,
    "runtimes": runtimes.run,
    "payloads": payloads.run,
    "dynamodb": dynamodb.run,
    "large_table": large_table.run,
    "dax": dax.run,
    "s3": s3.run,
    "sqs": sqs.run,
    "sns": sns.run,
    "events": events.run,
}


def main() -> int:
    """0 where every case ran on Pileus; bars that are missed are told, and are no failure."""
    options = _options()
    for peer in [peer for peer in options.peers if not installable(peer)]:
        _say(f"{LABELS[peer]} is left out: npm is not there")
        options.peers.remove(peer)
    servers = (["pileus"] if options.pileus else []) + options.peers
    for peer in options.peers:
        _say(f"{LABELS[peer]} {version(peer)}: installing, where it is not there yet")
        install(peer)
    figures: dict[str, dict[str, Any]] = {server: {} for server in servers}
    result = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": _output("git", "rev-parse", "HEAD") + ("+changes" if _output("git", "status", "--porcelain") else ""),
        "machine": _machine(),
        "versions": _versions(options.peers),
        "busy_share": 0.0,
        "figures": figures,
    }
    busy = []
    begun = time.monotonic()
    with running() as gauge:
        for case in options.only:
            for server in servers:
                if not asked(server, case) or not any(_is_asked(metric, server, case) for metric in METRICS):
                    continue
                busy.append(quiet())
                _say(f"{_took(begun)} {case}: {LABELS[server]}")
                figures[server] |= _measure(case, server, options.quick)
        _relate(figures, gauge.best())
        result["full_speed_share"] = round(gauge.full_share(), 2)
    result["busy_share"] = round(statistics.median(busy), 2)
    result["minutes"] = round((time.monotonic() - begun) / 60, 1)
    report.show(result)
    if not options.quick and options.only == list(CASES) and servers == ["pileus", *filter(installable, PEERS)]:
        _say(f"Kept in {report.save(result).relative_to(ROOT)}; docs/benchmarks.md is written from it.")
    return int(any("cannot" in figure for figure in figures.get("pileus", {}).values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", type=_list(list(CASES)), default=list(CASES), help="cases: " + ",".join(CASES))
    parser.add_argument("--peers", type=_list(list(PEERS)), default=list(PEERS), help=",".join(PEERS) + " or none")
    parser.add_argument("--no-pileus", dest="pileus", action="store_false", help="the peers alone")
    parser.add_argument("--quick", action="store_true", help="short rounds, for working on something; nothing is kept")
    return parser.parse_args()


def _list(known: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        named = [] if text == "none" else text.split(",")
        if unknown := set(named) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not among {', '.join(known)}")
        return [name for name in known if name in named]

    return parse


def _measure(case: str, name: str, quick: bool) -> dict[str, Any]:
    """The case's figures on one server; what it could not do carries the error instead."""
    figures: dict[str, Any] = {}
    error = ""
    try:
        with serving(name, start.answers) as server:
            try:
                for key, rounds in CASES[case](server, quick):
                    figures[key] = {"rounds": [round(figure, 3) for figure, _ in rounds]}
                    if speeds := [speed for _, speed in rounds if speed is not None]:
                        figures[key]["speeds"] = speeds
            except Exception:
                print(f"  the end of its log:\n{server.log_tail()}", file=sys.stderr)
                raise
    # Whatever a server does wrong is a result of the run, and must not end it.
    except Exception as problem:  # noqa: BLE001
        error = str(problem) if isinstance(problem, Cannot) else f"{type(problem).__name__}: {problem}"
        error = re.sub(r"\s+", " ", error.replace(str(ROOT), "."))[:400]
        print(f"  cannot: {error}", file=sys.stderr)
    for metric in METRICS:
        if error and metric.key not in figures and _is_asked(metric, name, case):
            figures[metric.key] = {"cannot": error}
    return figures


def _relate(figures: dict[str, dict[str, Any]], best: float) -> None:
    """Speeds as shares of the best: that is known at the end only."""
    for figure in (figure for each in figures.values() for figure in each.values() if "speeds" in figure):
        figure["speeds"] = [round(speed / best, 3) for speed in figure["speeds"]]


def _took(begun: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - begun), 60)
    return f"{minutes:02}:{seconds:02}"


def _is_asked(metric: Metric, server: str, case: str) -> bool:
    theirs = not metric.alone and not (metric.joint and server in ONE_CASE)
    return metric.case == case and (server == "pileus" or theirs)


def _machine() -> dict[str, Any]:
    HOME.mkdir(exist_ok=True)
    cpu = re.search(r"(?m)^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "system": f"Linux {platform.release()}",
        "filesystem": _output("stat", "-f", "-c", "%T", str(HOME)),
        "fsync_ms": round(fsync_ms(), 2),
        "load": generator(),
    }


def _versions(peers: list[str]) -> dict[str, str]:
    return {"Python": platform.python_version()} | {peer: version(peer) for peer in peers}


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip() or ("unknown" if done.returncode else "")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
