"""Figures of processes, from /proc."""

from __future__ import annotations

import os
from pathlib import Path


def resident_mb(pid: int) -> float:
    """Resident memory of one process, shared pages included, MiB; 0 where it cannot be told."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    except (OSError, ValueError, IndexError):
        return 0.0


def private_mb(pid: int) -> float:
    """Memory that only this process has, MiB."""
    return _rollup(pid, "Private_Dirty:") + _rollup(pid, "Private_Clean:")


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


def tree(pid: int) -> list[int]:
    """A process and everything below it."""
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return [pid]
    for name in names:
        if name.isdigit():
            try:
                parent = int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    found, index = [pid], 0
    while index < len(found):
        found += children.get(found[index], [])
        index += 1
    return found


def memory_mb(pid: int) -> float:
    """What a process and everything below it have for themselves, MiB."""
    return sum(private_mb(each) for each in tree(pid))
