"""Functions are hostile code: on every backend that works here, each of them finds closed doors and leaves nothing."""

from __future__ import annotations

import os
import sys

import pytest

from sandbox_lab import run_scenarios

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made of Linux")


@pytest.mark.parametrize("backend", ["namespaces", "nobody", "process"])
def test_hostile_functions(backend: str) -> None:
    if backend == "nobody" and os.geteuid() != 0:
        pytest.skip("this user has no privileges to give up: the namespaces case is the unprivileged one")
    results = run_scenarios("hostile_functions", backend)
    assert len(results) > 5
    failed = {name: trace for name, trace in results.items() if trace}
    assert not failed, "\n\n".join(f"{name}\n{trace}" for name, trace in failed.items())
