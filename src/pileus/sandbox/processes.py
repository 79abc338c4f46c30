"""Figures of processes, from /proc."""

from __future__ import annotations

import os
import signal
from pathlib import Path

_KILLED = 1 << (signal.SIGKILL - 1)


def pid_namespace() -> str:
    """The number of this process's namespace of process ids."""
    return os.readlink("/proc/self/ns/pid").strip("pid:[]")


def start_time(pid: int) -> str:
    """When a process was started, in ticks since boot: with its id it names no other; "" where there is none.

    Raises OSError where that cannot be told.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return ""


def is_gone(pid: int, started: str) -> bool:
    """Whether the process that was started then is there no more; False where that cannot be told."""
    try:
        return start_time(pid) != started
    except OSError:
        # Out of descriptors, for example: who cleans up behind the dead must not take the living for one of them.
        return False


def resident_mb(pid: int) -> float:
    """Resident memory of one process, shared pages included, MiB; 0 where it cannot be told."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    except (OSError, ValueError, IndexError):
        return 0.0


def anonymous_mb(pid: int) -> float:
    """Resident memory that is no file's, MiB; pages that a clone still shares with its template count too."""
    try:
        _size, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    except (OSError, ValueError):
        return 0.0


def proportional_mb(pid: int) -> float:
    """Its own pages and its share of the shared ones (PSS), MiB."""
    return _rollup(pid, "Pss:")


def _rollup(pid: int, name: str) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0.0


def children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    except OSError:
        pass
    return found


def below(pid: int) -> list[int]:
    """Every process below one, itself left out."""
    found, index = [pid], 0
    while index < len(found):
        found += children(found[index])
        index += 1
    return found[1:]


def is_below(pid: int, top: int) -> bool:
    """Whether one process is the other's child, or its child's, and so on."""
    # A parent may end on the way: then its children have another one.
    for _ in range(3):
        each = pid
        while each > 1:
            try:
                each = int(Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                break
            if each == top:
                return True
    return False


def memory_mb(supervisor: int, template_mb: float) -> float:
    """What the processes below a supervisor have beyond what their template had, MiB."""
    return sum(max(0.0, anonymous_mb(each) - template_mb) for each in below(supervisor))


def ends(pid: int) -> bool:
    """Whether it has ended, or has been killed and is not let to run so that it can end."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return True
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    pending = int(fields.get("SigPnd", "0"), 16) | int(fields.get("ShdPnd", "0"), 16)
    return fields.get("State", "")[:1] in ("Z", "X") or bool(pending & _KILLED)
