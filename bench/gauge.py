"""How fast the machine itself is while something is measured, and which rounds count for it.

Virtual cores share physical ones with strangers: the same code runs at full speed or at half of it, as it comes. A
niced process beside the servers does one small piece of work on each core in turn, and tells its processor time.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import struct
import subprocess
import sys
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import ParamSpec, TypeVar

from bench.servers import HOME, ROOT

# From this share of the best speed on, the machine was at its full speed.
FULL = 0.9
# So many rounds, at the least, make a figure.
LEAST = 3
# How long more rounds than wanted are begun, seconds after the first one.
LIMIT_S = 15.0

# About 0.7 ms of work on a core of today, every 50 ms, or less often where it takes longer: 2.5 % of one core at most.
_TURNS = 16_000
_EVERY_S = 0.05
_REST = 40
# How much time is looked at where what is measured is shorter: on each of two cores some looks at the gauge.
_WINDOW_S = 0.3
# So many looks, one after the other, are not odd all.
_ODD = 9
_LOOK = struct.Struct("dd")

T = TypeVar("T")
P = ParamSpec("P")
# What was measured, and how fast the machine was: spins for each second of processor time, None where no gauge ran or
# where no clock is in what was measured.
Round = tuple[T, float | None]
# What a case yields: a figure's key and its rounds.
Figures = Iterator[tuple[str, Sequence[Round[float]]]]


class Gauge:
    """The looks at the machine's speed: when, and how fast it was."""

    def __init__(self, path: Path) -> None:
        self._in = path.open("rb")
        self._at: list[float] = []
        self._speeds: list[float] = []
        self._best = 0.0

    def best(self) -> float:
        """The best speed seen in this run, for half a second: some odd looks are faster than any machine."""
        self._read()
        return self._best

    def full_share(self) -> float:
        """The share of the time in which the machine was at its full speed."""
        least = FULL * self.best()
        return sum(speed >= least for speed in self._speeds) / len(self._speeds)

    def speed(self, begun: float, ended: float) -> float:
        """The mean between two times of the monotonic clock, or around them where they are close together."""
        around = max(0.0, _WINDOW_S - (ended - begun)) / 2
        begun, ended = begun - around, ended + around
        limit = time.monotonic() + 5
        while self._read() <= ended and time.monotonic() < limit:
            time.sleep(0.01)
        first, after = bisect_left(self._at, begun), bisect_right(self._at, ended)
        return statistics.fmean(self._speeds[first:after] or self._speeds[-1:])

    def _read(self) -> float:
        """Take in what is new; the time of the last look."""
        new = self._in.read()
        for at, speed in _LOOK.iter_unpack(new[: len(new) // _LOOK.size * _LOOK.size]):
            self._at.append(at)
            self._speeds.append(speed)
            if len(self._speeds) >= _ODD:
                self._best = max(self._best, statistics.median(self._speeds[-_ODD:]))
        if rest := len(new) % _LOOK.size:
            self._in.seek(-rest, os.SEEK_CUR)
        return self._at[-1] if self._at else 0.0


_running: Gauge | None = None


@contextmanager
def running(calibrate_s: float = 5.0) -> Iterator[Gauge]:
    """A gauge for as long as this lasts, which has seen the machine for some seconds when it begins."""
    global _running  # noqa: PLW0603 -- one machine, one gauge: every case's rounds are measured by it
    HOME.mkdir(exist_ok=True)
    path = HOME / "gauge"
    path.write_bytes(b"")
    process = subprocess.Popen([sys.executable, "-m", "bench.gauge", path], cwd=ROOT)
    try:
        _running = gauge = Gauge(path)
        time.sleep(calibrate_s)
        gauge.speed(time.monotonic(), time.monotonic())
        yield gauge
    finally:
        _running = None
        process.kill()
        process.wait()


def during(measure: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Round[T]:
    """What is measured, and how fast the machine was meanwhile."""
    begun = time.monotonic()
    measured = measure(*args, **kwargs)
    return measured, None if _running is None else _running.speed(begun, time.monotonic())


def repeat(one: Callable[[], Round[T]], quick: bool, wanted: int = LEAST, limit_s: float = LIMIT_S) -> list[Round[T]]:
    """Rounds until as many as wanted ran at full speed, up to three times as many, begun within the limit.

    A quick run has a third of what is wanted, at whatever speed.
    """
    if quick:
        wanted, limit_s = max(1, wanted // LEAST), 0
    rounds: list[Round[T]] = []
    end = time.monotonic() + limit_s
    while len(rounds) < wanted or (_fast(rounds) < wanted and len(rounds) < 3 * wanted and time.monotonic() < end):
        rounds.append(one())
    return rounds


def _fast(rounds: list[Round[T]]) -> int:
    least = 0.0 if _running is None else FULL * _running.best()
    return sum(speed is None or speed >= least for _, speed in rounds)


def untimed(*measured: float) -> list[Round[float]]:
    """Rounds of what no clock is in: memory."""
    return [(each, None) for each in measured]


def counted(speeds: Sequence[float]) -> list[int]:
    """Which rounds count, by the machine's speed and nothing else: those at full speed, or the three best."""
    full = [at for at, speed in enumerate(speeds) if speed >= FULL]
    return full if len(full) >= LEAST else sorted(range(len(speeds)), key=lambda at: -speeds[at])[:LEAST]


def _spin(turns: int) -> int:
    state = 0
    for turn in range(turns):
        state = (state * 31 + turn) & 0xFFFF
    return state


def _watch(path: str) -> None:
    """Write down how fast each core is, one after the other, until whoever measures is gone."""
    # Under this name the run knows it for no part of a server.
    ctypes.CDLL(None).prctl(15, b"gauge", 0, 0, 0)
    os.nice(10)
    parent, cores = os.getppid(), cycle(sorted(os.sched_getaffinity(0)))
    with Path(path).open("wb", buffering=0) as out:
        while os.getppid() == parent:
            os.sched_setaffinity(0, {next(cores)})
            begun = time.thread_time()
            # Without its being timed: others have put this out of the core's caches.
            _spin(_TURNS // 8)
            warm = time.thread_time()
            _spin(_TURNS)
            ended = time.thread_time()
            out.write(_LOOK.pack(time.monotonic(), 1 / (ended - warm)))
            time.sleep(max(_EVERY_S, (ended - begun) * _REST))


if __name__ == "__main__":
    _watch(sys.argv[1])
