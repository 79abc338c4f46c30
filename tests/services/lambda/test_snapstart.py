"""SnapStart: versions that are initialized when they are published, and environments restored from that."""

from __future__ import annotations

import os
import sys

import pytest

from sandbox_lab import run_scenarios


@pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made of Linux")
@pytest.mark.parametrize("backend", ["namespaces", "nobody", "process"])
def test_snapshots(backend: str) -> None:
    if backend == "nobody" and os.geteuid() != 0:
        pytest.skip("this user has no privileges to give up: the namespaces case is the unprivileged one")
    results = run_scenarios("snapshot_scenarios", backend)
    assert len(results) > (12 if backend != "process" else 2)
    failed = {name: trace for name, trace in results.items() if trace}
    assert not failed, "\n\n".join(f"{name}\n{trace}" for name, trace in failed.items())
