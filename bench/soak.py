"""An hour of traffic: what a node holds of memory, descriptors, mounts, namespaces, control groups and processes.

python -m bench.soak [invocations a minute] [minutes]        a hundred and sixty when not said

The node runs on virtual time: a minute of it is over when its invocations are. Functions answer, print, raise, end,
run out of time and of memory, leave children behind, and are invoked as events; between the minutes environments are
reaped. What is held is counted when all of them are gone: after the first minute, and after the last.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.cases import start
from bench.cases.lambda_ import create
from bench.client import ask_all, aws, signed
from bench.servers import HOME, Server, await_answer, descendants

CODE = """
import os
import time

kept = open("/tmp/kept", "a")


def handler(event, context):
    kept.write(event)
    if event == "print":
        print("x" * 1000)
    if event == "raise":
        raise ValueError(event)
    if event == "exit":
        os._exit(3)
    if event == "child" and os.fork() == 0:
        time.sleep(3600)
    if event == "time":
        time.sleep(3600)
    if event == "memory":
        return len(b"x" * 2**31)
    return event
"""
# Of a hundred invocations: most are well, and what costs a second of real time is rare.
EVENTS = ["well"] * 45 + ["print"] * 40 + ["raise"] * 6 + ["exit"] * 4 + ["child"] * 3 + ["memory", "time"]
FUNCTIONS = 6
AT_ONCE = 12
# Longer than environments stay without work.
REAPED_S = 3600.0
# What the node may keep on purpose, MB: the minutes of its metrics that wait to be taken, records asked for often.
GROWTH_MB = 5.0


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    options = ["--port", "0", "--json", "--data-dir", str(folder / "data"), "--clock", "virtual"]
    log = folder / "log"
    with log.open("wb") as out:
        begun = time.perf_counter()
        command = [sys.executable, "-m", "pileus", "start", *options, "--durability", "relaxed"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out)
    assert process.stdout is not None
    port = int(json.loads(process.stdout.readline())["endpoint"].rpartition(":")[2])
    server = Server("pileus", port, process, begun, log)
    try:
        await_answer(server, start.answers)
        yield server
    finally:
        process.terminate()
        process.wait()


def advance(server: Server, seconds: float) -> None:
    body = json.dumps({"advance_s": seconds}).encode()
    with urllib.request.urlopen(f"{server.endpoint}/_pileus/clock", body) as answer:
        answer.read()


def minute(server: Server, draw: random.Random, count: int) -> dict[str, int]:
    """One minute of traffic; how many invocations were answered well and with a function's error."""
    requests = []
    for _ in range(count):
        path = f"POST /2015-03-31/functions/soak-{draw.randrange(FUNCTIONS)}/invocations"
        kind = {"X-Amz-Invocation-Type": "Event"} if draw.random() < 0.1 else {}
        # As events, only what succeeds: others would be tried again for minutes.
        event = draw.choice(EVENTS) if not kind else "print"
        requests.append(signed(server, "lambda", path, json.dumps(event).encode(), kind))
    found = {"answered": 0, "failed": 0}
    for status, answer in ask_all(server, requests, AT_ONCE):
        if status not in (200, 202):
            raise SystemExit(f"an invocation was answered {status} {answer[:300]!r}")
        found["failed" if b"errorMessage" in answer else "answered"] += 1
    advance(server, 60.0)
    return found


def settle(server: Server) -> None:
    """Until every environment is gone, and what is kept ready is there again: nothing changes any more."""
    advance(server, REAPED_S)
    same, last = 0, counts(server)
    end = time.monotonic() + 60
    while same < 20 and time.monotonic() < end:
        time.sleep(0.5)
        now = counts(server)
        same, last = (same + 1 if now == last else 0), now


def counts(server: Server) -> dict[str, int]:
    pid = server.process.pid
    inside = list(descendants())
    spaces = set()
    for each in inside:
        with suppress(OSError):
            spaces |= {os.readlink(f"/proc/{each}/ns/{kind}") for kind in ("net", "mnt", "pid", "ipc", "uts")}
    parents = [place for place, _, _ in os.walk("/sys/fs/cgroup") if f"-{pid}-" in Path(place).name]
    return {
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": len(os.listdir(f"/proc/{pid}/task")),
        "mounts": len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()),
        "processes": len(inside),
        "namespaces": len(spaces),
        "control groups": sum(len([each for each in Path(parent).iterdir() if each.is_dir()]) for parent in parents),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    minutes = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    folder = HOME / "soak"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    draw, total, begun = random.Random(60), {"answered": 0, "failed": 0}, time.perf_counter()
    try:
        with serving(folder) as server:
            for number in range(FUNCTIONS):
                create(server, f"soak-{number}", CODE)
                client = aws(server, "lambda")
                client.update_function_configuration(FunctionName=f"soak-{number}", Timeout=1, MemorySize=512)
                client.get_waiter("function_updated_v2").wait(FunctionName=f"soak-{number}")
            before: dict[str, float] = {}
            for number in range(minutes):
                for key, value in minute(server, draw, count).items():
                    total[key] += value
                if number in (0, minutes - 1):
                    settle(server)
                    after = {**counts(server), "memory, MB": round(server.pss_mb(), 1)}
                    before = before or after
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{total['answered']:,} answers, {total['failed']:,} errors in {time.perf_counter() - begun:.0f} s")
    grown = False
    for key, value in before.items():
        more = after[key] - value
        bad = more > (GROWTH_MB if key.startswith("memory") else 0)
        grown |= bad
        print(f"{key:18} {value:8} after a minute {after[key]:8} after {minutes}{'   GROWN' if bad else ''}")
    sys.exit(int(grown))


if __name__ == "__main__":
    main()
