"""Starting a server, watching it, ending it. The peers are installed here, from PyPI and npm, and run unopened."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".bench"
PEERS = ("ministack", "moto", "dynalite", "dynalite-memory", "s3rver")
LABELS = {
    "pileus": "Pileus",
    "ministack": "MiniStack",
    "moto": "moto",
    "dynalite": "dynalite, disk",
    "dynalite-memory": "dynalite, memory",
    "s3rver": "s3rver",
}
# The peers that are of one service alone, with the one case that they are asked.
ONE_CASE = {"dynalite": "dynamodb", "dynalite-memory": "dynamodb", "s3rver": "s3"}
# Those from npm, with the package that each is.
_PACKAGES = {"dynalite": "dynalite", "dynalite-memory": "dynalite", "s3rver": "s3rver"}
# What this run's own load generators and its gauge are called as processes, so that nobody counts them as a server's.
OURS = ("wrk", "loadgen", "gauge")

_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36


class Cannot(Exception):
    """A server cannot do what a case asks of it, and why in one line."""


def asked(server: str, case: str) -> bool:
    return ONE_CASE.get(server, case) == case


def installable(peer: str) -> bool:
    return peer not in _PACKAGES or shutil.which("npm") is not None


def install(peer: str) -> None:
    """The peer at its pinned version, in an environment of its own; nothing is done when it is there already."""
    pins = _pins(peer)
    home = HOME / pins.stem
    # Its programs name the folder that they were installed in.
    ready, digest = home / ".ready", hashlib.sha256(pins.read_bytes() + bytes(home)).hexdigest()
    if ready.exists() and ready.read_text() == digest:
        return
    shutil.rmtree(home, ignore_errors=True)
    if pins.suffix == ".txt":
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        command = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "-r", pins]
    else:
        home.mkdir(parents=True)
        locked = json.loads(pins.read_text())["packages"][""]
        (home / "package.json").write_text(json.dumps({"private": True, "dependencies": locked["dependencies"]}))
        shutil.copy(pins, home / "package-lock.json")
        command = ["npm", "ci", "--prefix", home, "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{LABELS[peer]} could not be installed:\n{done.stderr}")
    ready.write_text(digest)


def version(peer: str) -> str:
    """The version that is pinned."""
    pins = _pins(peer)
    if pins.suffix == ".json":
        pinned: str = json.loads(pins.read_text())["packages"][f"node_modules/{pins.stem}"]["version"]
        return pinned
    found = re.search(rf"(?mi)^{peer}==(\S+)$", pins.read_text())
    assert found, f"{peer} is not pinned"
    return found[1]


def _pins(peer: str) -> Path:
    """Its requirements file, or the package-lock.json of one from npm."""
    peers = ROOT / "bench" / "peers"
    return peers / (f"{_PACKAGES[peer]}.json" if peer in _PACKAGES else f"{peer}.txt")


def _command(name: str, port: int, data: Path) -> tuple[list[str], dict[str, str]]:
    """What starts it, and what it needs in its environment: each with its own defaults, Pileus keeping all on disk."""
    binaries = HOME / name / "bin"
    match name:
        case "pileus":
            options = ["--port", str(port), "--data-dir", str(data), "--durability", "full", "--json"]
            return [sys.executable, "-m", "pileus", "start", *options], {"PYTHONPATH": str(ROOT / "src")}
        case "ministack":
            # Its functions run in the `python3` of its own environment, where boto3 is.
            path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
            return [str(binaries / "ministack")], {"GATEWAY_PORT": str(port), "PATH": path}
        case "dynalite" | "dynalite-memory":
            program = HOME / "dynalite" / "node_modules" / "dynalite" / "cli.js"
            options = ["--host", "127.0.0.1", "--port", str(port)]
            return ["node", str(program), *options, *(["--path", str(data)] if name == "dynalite" else [])], {}
        case "s3rver":
            program = HOME / "s3rver" / "node_modules" / "s3rver" / "bin" / "s3rver.js"
            data.mkdir()
            options = ["--directory", str(data), "--address", "127.0.0.1", "--port", str(port), "--silent"]
            return ["node", str(program), *options], {}
        case _:
            return [str(binaries / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], {}


@dataclass
class Server:
    """One running server, with every process that came out of it."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    started: float
    log: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        """The access key id that it knows, which is its secret, too."""
        return "S3RVER" if self.name == "s3rver" else "test"

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    def pss_mb(self) -> float:
        """Memory of all its processes, shared pages counted once, MB of 1,000,000 bytes."""
        total = 0
        for pid in descendants():
            with suppress(OSError):
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                found = re.search(r"(?m)^Pss:\s+(\d+) kB", rollup)
                total += int(found[1]) if found else 0
        return total * 1024 / 1e6

    def cpu_s(self) -> float:
        """Processor time its living processes have used."""
        return sum(ticks for _, ticks in descendants().values()) / _TICKS

    def settle(self, limit_s: float = 5.0) -> None:
        """Wait until it has nothing more to do: a quarter of a second without work."""
        end, before, since = time.monotonic() + limit_s, self.cpu_s(), time.monotonic()
        while time.monotonic() < end and time.monotonic() - since < 0.25:
            time.sleep(0.02)
            now = self.cpu_s()
            if now > before:
                before, since = now, time.monotonic()

    def log_tail(self) -> str:
        """The end of what it has said; nothing where it is stopped, for its files go with it."""
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""


@dataclass
class Peak:
    """The most memory a server took while this ran, looked at every few milliseconds."""

    server: Server
    every_s: float = 0.02
    mb: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Peak:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.mb = max(self.mb, self.server.pss_mb())
            if self._stop.wait(self.every_s):
                return


def descendants() -> dict[int, tuple[str, int]]:
    """Every process this run has brought forth but those of `OURS`, by pid: its name and processor time in ticks.

    One server runs at a time, and this process is the reaper of what a server orphans, so these are all the server's.
    """
    parents: dict[int, int] = {}
    seen: dict[int, tuple[str, int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                head, _, rest = Path(f"/proc/{entry}/stat").read_text().rpartition(")")
                fields = rest.split()
                parents[int(entry)] = int(fields[1])
                seen[int(entry)] = (head.partition("(")[2], int(fields[11]) + int(fields[12]))
    mine, found = {os.getpid()}, {}
    while fresh := {pid for pid, parent in parents.items() if parent in mine and pid not in mine}:
        mine |= fresh
        found.update({pid: seen[pid] for pid in fresh if seen[pid][0] not in OURS})
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawn(name: str, *, anew: bool = True) -> Server:
    """Start it and return at once; `stop` ends it. Not `anew`: on the data that the last one has left."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    run = HOME / "run"
    if anew:
        shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), run / "log"
    command, extra = _command(name, port, run / "data")
    # Whoever runs this may have an AWS account, an endpoint, or ways with Python: none is any server's business.
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PYTHON"))}
    environment = ours | extra
    with log.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=run, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    return Server(name, port, process, started, log)


def stop(server: Server, *, keep: bool = False) -> None:
    """End it, and whatever it left behind; its data too, unless that is to be kept."""
    server.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(10)
    for signal in (15, 9):
        for pid in descendants():
            with suppress(OSError):
                os.kill(pid, signal)
        end = time.monotonic() + 2
        while descendants() and time.monotonic() < end:
            _reap()
            time.sleep(0.01)
    if not keep:
        shutil.rmtree(HOME / "run", ignore_errors=True)


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@contextmanager
def serving(name: str, answers: Callable[[Server], bool], limit_s: float = 30.0) -> Iterator[Server]:
    """A server that has given its first good answer, ended afterwards; raises `Cannot` where it gives none."""
    server = spawn(name)
    try:
        await_answer(server, answers, limit_s)
        yield server
    finally:
        stop(server)


def await_answer(server: Server, answers: Callable[[Server], bool], limit_s: float = 30.0) -> float:
    """Seconds from its start to its first good answer."""
    while time.perf_counter() - server.started < limit_s:
        with suppress(OSError):
            if answers(server):
                return time.perf_counter() - server.started
        if server.process.poll() is not None:
            raise Cannot(f"it ended at once: {last_line(server.log_tail())}")
        time.sleep(0.002)
    raise Cannot(f"no answer within {limit_s:.0f} s: {last_line(server.log_tail())}")


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "(no output)"


def quiet(limit_s: float = 5.0) -> float:
    """Wait until the machine is idle; returns the share of it that was busy at the last look, 0 to 1."""
    end, share = time.monotonic() + limit_s, 1.0
    while share > 0.1 and time.monotonic() < end:
        (busy, total), _ = _processor_ticks(), time.sleep(0.25)
        busy_after, total_after = _processor_ticks()
        share = (busy_after - busy) / max(1, total_after - total)
    return share


def _processor_ticks() -> tuple[int, int]:
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def fsync_ms(rounds: int = 30) -> float:
    """What one durable write of 4 KB costs here: the floor under every durable put."""
    HOME.mkdir(exist_ok=True)
    path, times = HOME / "fsync", []
    with path.open("wb", buffering=0) as out:
        for _ in range(rounds):
            out.write(b"\0" * 4096)
            begun = time.perf_counter()
            os.fsync(out.fileno())
            times.append((time.perf_counter() - begun) * 1000)
    path.unlink()
    return statistics.median(times)
