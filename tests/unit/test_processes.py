"""Which processes are there: what is cleaned up behind killed instances rests on it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pileus.sandbox import processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def test_a_process_is_told_from_another_of_its_id() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        started = processes.start_time(process.pid)
        assert started.isdigit()
        assert not processes.is_gone(process.pid, started)
        assert processes.is_gone(process.pid, str(int(started) - 1))
        process.kill()
        process.wait()
        assert processes.start_time(process.pid) == ""
        assert processes.is_gone(process.pid, started)


def test_what_cannot_be_told_counts_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_descriptors(_path: Path) -> str:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Path, "read_text", no_descriptors)
    assert not processes.is_gone(os.getpid(), "1")
