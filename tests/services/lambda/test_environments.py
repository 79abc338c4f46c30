"""Execution environments of Python functions, from inside and outside, without the control plane."""

from __future__ import annotations

import sys

import pytest

from sandbox_lab import run_scenarios


@pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made of Linux")
def test_environments() -> None:
    results = run_scenarios("environment_scenarios", "namespaces")
    assert len(results) > 15
    failed = {name: trace for name, trace in results.items() if trace}
    assert not failed, "\n\n".join(f"{name}\n{trace}" for name, trace in failed.items())


@pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made of Linux")
def test_pool() -> None:
    results = run_scenarios("pool_scenarios", "namespaces")
    assert len(results) > 7
    failed = {name: trace for name, trace in results.items() if trace}
    assert not failed, "\n\n".join(f"{name}\n{trace}" for name, trace in failed.items())


@pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made of Linux")
def test_extensions() -> None:
    results = run_scenarios("extension_scenarios", "namespaces")
    assert len(results) > 12
    failed = {name: trace for name, trace in results.items() if trace}
    assert not failed, "\n\n".join(f"{name}\n{trace}" for name, trace in failed.items())
