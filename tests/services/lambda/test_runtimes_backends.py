"""Runtimes on every sandbox backend, without the control plane: as root, as nobody, and without namespaces."""

from __future__ import annotations

import os
import sys

import pytest

from sandbox_lab import run_scenarios


@pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made of Linux")
@pytest.mark.parametrize("backend", ["namespaces", "nobody", "process"])
def test_runtimes(backend: str) -> None:
    if backend == "nobody" and os.geteuid() != 0:
        pytest.skip("this user has no privileges to give up: the namespaces case is the unprivileged one")
    results = run_scenarios("runtime_scenarios", backend)
    assert len(results) > 4
    failed = {name: trace for name, trace in results.items() if trace}
    assert not failed, "\n\n".join(f"{name}\n{trace}" for name, trace in failed.items())
