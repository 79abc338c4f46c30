"""Control groups, version 1 and 2: memory, cpu, process limits and freezing, one group per sandbox.

Every group lies below one parent per instance, named after the process that owns it, so that the next start finds and
removes what a killed instance has left.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from pileus.sandbox import processes
from pileus.sandbox.contract import Limits

_PREFIX = "pileus-"
_CPU_PERIOD_US = 100_000
# The weight of one whole vCPU; both versions' default is what a process outside any group has.
_SHARES_V1, _WEIGHT_V2 = 1024, 100


class Group(Protocol):
    """One sandbox's group."""

    @property
    def can_freeze(self) -> bool: ...

    def attach(self, pid: int) -> None: ...

    def limit(self, limits: Limits) -> None: ...

    def freeze(self) -> bool:
        """False where this machine cannot."""
        ...

    def thaw(self) -> bool: ...

    def memory(self) -> tuple[int, int] | None:
        """Bytes taken now by processes, and by files in memory (/tmp); None where memory is not counted."""
        ...

    def memory_peak(self) -> int | None:
        """The most that both together have been, bytes."""
        ...

    def out_of_memory(self) -> int:
        """How often the kernel has killed something in it for want of memory."""
        ...

    def remove(self) -> None:
        """End what is still in it. Blocks for a moment."""
        ...


class Groups(Protocol):
    """Where this instance makes its groups."""

    # What cannot be limited here, each with the reason.
    missing: dict[str, str]
    can_freeze: bool

    def create(self, name: str) -> Group: ...

    def freezers(self) -> int:
        """A descriptor of the folder of groups that must be thawed before they can be killed (version 1), else -1."""
        ...

    def close(self) -> None: ...


def open_groups(mounts: str = "/proc/self/mountinfo", own: str = "/proc/self/cgroup") -> Groups | None:
    """The groups that this process may make, or None; parents of dead instances are removed on the way."""
    v1, v2 = _hierarchies(mounts, own)
    name = _parent_name()
    if v1.keys() & {"memory", "cpu", "pids", "freezer"}:
        try:
            return _GroupsV1(v1, name)
        except OSError:
            pass
    if v2 is not None:
        try:
            return _GroupsV2(v2, name)
        except OSError:
            pass
    return None


def sweep(mounts: str = "/proc/self/mountinfo", own: str = "/proc/self/cgroup") -> None:
    """End and remove what killed instances have left. Blocks for milliseconds."""
    if Path(own).exists():
        v1, v2 = _hierarchies(mounts, own)
        _sweep([*v1.values(), *([v2] if v2 is not None else [])])


def _hierarchies(mounts: str, own: str) -> tuple[dict[str, Path], Path | None]:
    """This process's own directory in each version 1 hierarchy, by controller, and in the version 2 one."""
    places: dict[str, str] = {}
    for line in Path(own).read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        for each in controllers.split(","):
            places[each] = path
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for line in Path(mounts).read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _source, options) = before.split(), after.split(" ", 2)
        root, point = fields[3], fields[4]
        if kind == "cgroup2":
            v2 = _below(point, root, places.get("", "/"))
        elif kind == "cgroup":
            for each in options.split(","):
                if each in places and each in ("memory", "cpu", "pids", "freezer"):
                    v1[each] = _below(point, root, places[each])
    return v1, v2


def _below(point: str, root: str, path: str) -> Path:
    relative = path.removeprefix(root) if root != "/" else path
    found = Path(point, relative.lstrip("/"))
    return found if found.is_dir() else Path(point)


_instances = 0


def _parent_name() -> str:
    global _instances  # noqa: PLW0603 -- several instances in one process (tests) need names of their own
    _instances += 1
    pid = os.getpid()
    return f"{_PREFIX}{processes.pid_namespace()}-{pid}-{processes.start_time(pid)}-{_instances}"


def _sweep(places: Iterable[Path]) -> None:
    """End what dead instances have left in these hierarchies, as far as that can be told from here."""
    _end([parent for place in places for parent in _dead_parents(place)])


def _end(parents: Iterable[Path]) -> None:
    """Kill everything in the groups of these parents, and remove them all."""
    parents = list(parents)
    groups = [child for parent in parents for child in parent.iterdir() if child.is_dir()] + parents
    for group in groups:
        _kill(group)
    # A frozen process dies when it thaws; in version 1 another hierarchy freezes than the one it was found in.
    for group in groups:
        _thaw(group)
    for group in groups:
        with contextlib.suppress(OSError):
            _remove(group)


def _dead_parents(place: Path) -> Iterator[Path]:
    """Parents of instances that are no more, anywhere in the hierarchy: the next start may be in another session."""
    top = place
    while (top.parent / "cgroup.procs").exists():
        top = top.parent
    for directory, names, _files in os.walk(top):
        for name in [each for each in names if each.startswith(_PREFIX)]:
            names.remove(name)
            namespace, pid, started, *_ = [*name.removeprefix(_PREFIX).split("-"), "", "", ""]
            if namespace == processes.pid_namespace() and pid.isdigit() and processes.is_gone(int(pid), started):
                yield Path(directory, name)


def _kill(group: Path) -> None:
    with contextlib.suppress(OSError):
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _thaw(group: Path) -> None:
    for name, thawed in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
        with contextlib.suppress(OSError):
            _write(group / name, thawed)


def _remove(directory: Path) -> None:
    """A group stays busy for a moment after its last process has ended."""
    for attempt in range(60):
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            time.sleep(0.001 * min(attempt + 1, 50))
        else:
            return


def _write(path: Path, value: object) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


class _Figures:
    """A file of figures that is read again and again: opened once."""

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def number(self) -> int | None:
        """Of a file that is one number."""
        text = self._read()
        return int(text) if text.strip().isdigit() else None

    def fields(self, *names: bytes) -> tuple[int, ...]:
        """Of a file of names and numbers, line by line; 0 for what is not there."""
        text = b"\n" + self._read()
        found = []
        for name in names:
            start = text.find(b"\n" + name + b" ")
            found.append(int(text[start + len(name) + 2 : text.find(b"\n", start + 1)]) if start >= 0 else 0)
        return tuple(found)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> bytes:
        try:
            return os.pread(self._fd, 8192, 0) if self._fd >= 0 else b""
        except OSError:
            return b""


def _read_table(path: Path) -> dict[str, int]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    return {name: int(value) for name, _, value in (line.partition(" ") for line in lines) if value.isdigit()}


def _microseconds(cpus: float) -> int:
    return max(1000, round(cpus * _CPU_PERIOD_US))


class _GroupsV1:
    def __init__(self, hierarchies: dict[str, Path], name: str) -> None:
        _sweep(hierarchies.values())
        self.missing: dict[str, str] = {}
        self._parents: dict[str, Path] = {}
        for controller in ("memory", "cpu", "pids", "freezer"):
            place = hierarchies.get(controller)
            try:
                if place is None:
                    raise OSError(errno.ENOENT, "the controller is not mounted")
                (place / name).mkdir()
                self._parents[controller] = place / name
            except OSError as error:
                self.missing[controller] = str(error.strerror)
        if not self._parents:
            raise OSError(errno.EACCES, "no control group may be made")
        self.can_freeze = "freezer" in self._parents

    def create(self, name: str) -> Group:
        places = {controller: parent / name for controller, parent in self._parents.items()}
        for each in places.values():
            each.mkdir()
        return _GroupV1(places)

    def freezers(self) -> int:
        return os.open(self._parents["freezer"], os.O_RDONLY | os.O_CLOEXEC) if self.can_freeze else -1

    def close(self) -> None:
        _end(self._parents.values())


class _GroupV1:
    def __init__(self, places: dict[str, Path]) -> None:
        self._places = places
        self._freezer = -1
        if "freezer" in places:
            self._freezer = os.open(places["freezer"] / "freezer.state", os.O_WRONLY | os.O_CLOEXEC)
        memory = places.get("memory", Path("/nonexistent"))
        self._stat = _Figures(memory / "memory.stat")
        self._peak = _Figures(memory / "memory.max_usage_in_bytes")

    @property
    def can_freeze(self) -> bool:
        return self._freezer >= 0

    def attach(self, pid: int) -> None:
        for place in self._places.values():
            _write(place / "cgroup.procs", pid)

    def limit(self, limits: Limits) -> None:
        if place := self._places.get("memory"):
            # Files in /tmp are memory too; they have their own limit, and the watch below tells them apart.
            _write(place / "memory.limit_in_bytes", (limits.memory_mb + limits.tmp_mb) << 20)
        if place := self._places.get("cpu"):
            _write(place / "cpu.shares", max(2, round(limits.cpu_share * _SHARES_V1)))
            _write(place / "cpu.cfs_quota_us", _microseconds(limits.cpu_max))
        if place := self._places.get("pids"):
            # The supervisor is one of them.
            _write(place / "pids.max", limits.pids + 1)

    def freeze(self) -> bool:
        return self._freezer >= 0 and os.write(self._freezer, b"FROZEN") > 0

    def thaw(self) -> bool:
        return self._freezer >= 0 and os.write(self._freezer, b"THAWED") > 0

    def memory(self) -> tuple[int, int] | None:
        if "memory" not in self._places:
            return None
        processes, files = self._stat.fields(b"rss", b"shmem")
        return processes, files

    def memory_peak(self) -> int | None:
        return self._peak.number()

    def out_of_memory(self) -> int:
        place = self._places.get("memory")
        return _read_table(place / "memory.oom_control").get("oom_kill", 0) if place is not None else 0

    def remove(self) -> None:
        if self._freezer >= 0:
            os.close(self._freezer)
            self._freezer = -1
        self._stat.close()
        self._peak.close()
        for place in self._places.values():
            _kill(place)
            _remove(place)


class _GroupsV2:
    def __init__(self, own: Path, name: str) -> None:
        self.missing: dict[str, str] = {}
        self.can_freeze = (own / "cgroup.procs").exists()
        _sweep((own,))
        # Groups with processes of their own may not share controllers out: what is in a container's topmost group, this
        # process among it, moves one step down first.
        parent = own / name
        parent.mkdir()
        self._parent = parent
        wanted = ("memory", "cpu", "pids")
        there = (own / "cgroup.controllers").read_text().split()
        for controller in wanted:
            if controller not in there:
                self.missing[controller] = "the controller is not given to this control group"
                continue
            try:
                self._share(own, controller)
                _write(parent / "cgroup.subtree_control", f"+{controller}")
            except OSError as error:
                self.missing[controller] = str(error.strerror)

    @staticmethod
    def _share(own: Path, controller: str) -> None:
        try:
            _write(own / "cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            leaf = own / "pileus.outside"
            leaf.mkdir(exist_ok=True)
            # Whoever is in a container's topmost group belongs to it; elsewhere only this process is ours to move.
            is_topmost = "0::/" in Path("/proc/self/cgroup").read_text().split()
            for pid in (own / "cgroup.procs").read_text().split() if is_topmost else [os.getpid()]:
                with contextlib.suppress(ProcessLookupError):
                    _write(leaf / "cgroup.procs", pid)
            _write(own / "cgroup.subtree_control", f"+{controller}")

    def create(self, name: str) -> Group:
        place = self._parent / name
        place.mkdir()
        return _GroupV2(place, frozenset({"memory", "cpu", "pids"} - self.missing.keys()))

    def freezers(self) -> int:
        return -1

    def close(self) -> None:
        _end((self._parent,))


class _GroupV2:
    def __init__(self, place: Path, controllers: frozenset[str]) -> None:
        self._place = place
        self._controllers = controllers
        self._freezer = os.open(place / "cgroup.freeze", os.O_WRONLY | os.O_CLOEXEC)
        self._stat = _Figures(place / "memory.stat")
        self._peak = _Figures(place / "memory.peak")

    @property
    def can_freeze(self) -> bool:
        return self._freezer >= 0

    def attach(self, pid: int) -> None:
        _write(self._place / "cgroup.procs", pid)

    def limit(self, limits: Limits) -> None:
        if "memory" in self._controllers:
            _write(self._place / "memory.max", (limits.memory_mb + limits.tmp_mb) << 20)
            with contextlib.suppress(FileNotFoundError):
                _write(self._place / "memory.swap.max", 0)
        if "cpu" in self._controllers:
            _write(self._place / "cpu.weight", max(1, min(10000, round(limits.cpu_share * _WEIGHT_V2))))
            _write(self._place / "cpu.max", f"{_microseconds(limits.cpu_max)} {_CPU_PERIOD_US}")
        if "pids" in self._controllers:
            _write(self._place / "pids.max", limits.pids + 1)

    def freeze(self) -> bool:
        return self._freezer >= 0 and os.write(self._freezer, b"1") > 0

    def thaw(self) -> bool:
        return self._freezer >= 0 and os.write(self._freezer, b"0") > 0

    def memory(self) -> tuple[int, int] | None:
        if "memory" not in self._controllers:
            return None
        processes, files = self._stat.fields(b"anon", b"shmem")
        return processes, files

    def memory_peak(self) -> int | None:
        return self._peak.number()

    def out_of_memory(self) -> int:
        return _read_table(self._place / "memory.events").get("oom_kill", 0)

    def remove(self) -> None:
        if self._freezer >= 0:
            os.close(self._freezer)
            self._freezer = -1
        self._stat.close()
        self._peak.close()
        _kill(self._place)
        _remove(self._place)
