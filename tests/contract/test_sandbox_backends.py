"""Every sandbox backend that works here keeps the contract, and what is killed leaves nothing for long."""

from __future__ import annotations

import fnmatch
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pileus.sandbox.cgroups import _GroupsV2, _GroupV2, open_groups
from pileus.sandbox.contract import Limits
from pileus.sandbox.slirp import PROGRAM
from pileus.services.lambda_.hosting.python import LANGUAGE
from sandbox_lab import run_scenarios

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made of Linux")


@pytest.mark.parametrize("backend", ["namespaces", "nobody", "process"])
def test_backend(backend: str) -> None:
    if backend == "nobody" and os.geteuid() != 0:
        pytest.skip("this user has no privileges to give up: the namespaces case is the unprivileged one")
    results = run_scenarios("sandbox_scenarios", backend)
    assert len(results) > 8
    failed = {name: trace for name, trace in results.items() if trace}
    assert not failed, "\n\n".join(f"{name}\n{trace}" for name, trace in failed.items())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may let sandboxes go out")
def test_outgoing_internet() -> None:
    results = run_scenarios("internet_scenarios", "internet")
    assert len(results) > 3
    failed = {name: trace for name, trace in results.items() if trace}
    assert not failed, "\n\n".join(f"{name}\n{trace}" for name, trace in failed.items())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make the machine that this is tried on")
@pytest.mark.skipif(not shutil.which(PROGRAM), reason=f"{PROGRAM} is not installed")
def test_outgoing_internet_without_root() -> None:
    results = run_scenarios("slirp_scenarios", "internet as nobody")
    assert len(results) > 5
    failed = {name: trace for name, trace in results.items() if trace}
    assert not failed, "\n\n".join(f"{name}\n{trace}" for name, trace in failed.items())


SERVER = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = {path!r}
from sandbox_lab import Lab, _make_backend

async def main():
    lab = Lab(_make_backend({backend!r}), Path({folder!r}))
    spec = lab.function("import time\\ndef handler(event, context):\\n    time.sleep(event)\\n", timeout_s=100.0)
    await lab.answer(spec, 0)
    template = next(iter(lab.pool._templates._started.values())).result()
    while len(template._ready) < {shells}:
        await asyncio.sleep(0.01)
    pids = [template._process.pid, *(each.pid for each in template._all)]
    print("pids", *pids, flush=True)
    await lab.answer(spec, 90)

asyncio.run(main())
"""


@pytest.mark.parametrize("backend", ["namespaces", "process"])
def test_a_killed_server_leaves_nothing(backend: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    code = SERVER.format(
        path=[each for each in sys.path if each], backend=backend, folder=str(tmp_path), shells=LANGUAGE.ready_shells
    )
    server = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    line = next(line for line in server.stdout if line.startswith("pids "))
    pids = [int(each) for each in line.split()[1:]]
    # The template, the environment that is busy, and the shells that are ready.
    assert len(pids) >= 2 + LANGUAGE.ready_shells
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    _wait_until(lambda: not [each for each in pids if _runs(each)])
    # The next start sweeps the groups that are left.
    fresh = open_groups()
    if fresh is not None:
        fresh.close()
    # os.walk passes over what others take away meanwhile.
    folders = [f"{folder}/{name}" for folder, names, _files in os.walk("/sys/fs/cgroup") for name in names]
    assert not fnmatch.filter(folders, f"*/pileus-*-{server.pid}-*")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def test_control_groups_of_version_2(tmp_path: Path) -> None:
    """The figures of version 2 are written where the kernel reads them, and read where it writes them."""
    place = tmp_path / "group"
    place.mkdir()
    for name in ("cgroup.freeze", "cgroup.procs", "memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max"):
        (place / name).write_text("")
    (place / "memory.stat").write_text("anon 1048576\nfile 4096\nshmem 2097152\n")
    (place / "memory.peak").write_text("4194304\n")
    (place / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    group = _GroupV2(place, frozenset({"memory", "cpu", "pids"}))
    group.attach(4242)
    group.limit(Limits(memory_mb=128, tmp_mb=512, cpu_share=0.5, cpu_max=2.0, pids=10))
    assert group.freeze()
    assert (place / "cgroup.procs").read_text() == "4242"
    assert (place / "memory.max").read_text() == str(640 << 20)
    assert (place / "cpu.max").read_text() == "200000 100000"
    assert (place / "cpu.weight").read_text() == "50"
    assert (place / "pids.max").read_text() == "11"
    assert (place / "cgroup.freeze").read_text() == "1"
    assert group.memory() == (1 << 20, 2 << 20)
    assert group.memory_peak() == 4 << 20
    assert group.out_of_memory() == 1


def test_control_groups_of_version_2_on_the_real_thing(tmp_path: Path) -> None:
    """Where the unified hierarchy is there, with whatever controllers it has: groups hold, freeze, thaw and go."""
    places = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    place = next((Path(fields[1]) for fields in places if fields[2] == "cgroup2"), None)
    if place is None or not os.access(place, os.W_OK):
        pytest.skip("no version 2 hierarchy that may be written to")
    mounts, own = tmp_path / "mountinfo", tmp_path / "cgroup"
    mounts.write_text(f"1 1 0:1 / {place} rw - cgroup2 cgroup2 rw\n")
    own.write_text("0::/\n")
    groups = open_groups(str(mounts), str(own))
    assert isinstance(groups, _GroupsV2)
    there = (place / "cgroup.controllers").read_text().split()
    assert {"memory", "cpu", "pids"} - set(there) <= set(groups.missing)
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        group = groups.create("one")
        group.attach(process.pid)
        group.limit(Limits())
        found = Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()
        assert any(line.startswith("0::") and line.endswith("/one") for line in found)
        assert group.freeze()
        events = groups._parent / "one" / "cgroup.events"
        _wait_until(lambda: "frozen 1" in events.read_text())
        before = _processor_ticks(process.pid)
        assert group.thaw()
        _wait_until(lambda: _processor_ticks(process.pid) > before)
        # Frozen or not, it ends with its group.
        assert group.freeze()
        _wait_until(lambda: "frozen 1" in events.read_text())
        reaper = threading.Thread(target=process.wait)
        reaper.start()
        group.remove()
        reaper.join(20)
        assert process.returncode == -signal.SIGKILL
        assert not events.exists()
    finally:
        process.kill()
        process.wait()
        groups.close()
    assert not groups._parent.exists()


def _processor_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
