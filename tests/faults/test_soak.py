"""The pool under crowds, and for an hour."""

from __future__ import annotations

import sys

import pytest

from sandbox_lab import run_scenarios


@pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made of Linux")
def test_crowds_and_long_runs() -> None:
    results = run_scenarios("soak_scenarios", "namespaces")
    assert len(results) > 3
    failed = {name: trace for name, trace in results.items() if trace}
    assert not failed, "\n\n".join(f"{name}\n{trace}" for name, trace in failed.items())
