"""What a month would have cost on AWS: the free tier, tiers of prices, what neither counts for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from function_kit import invocation, spec

from pileus.services.lambda_.billing import bill, prices, tiered
from pileus.services.lambda_.execution import Finished
from pileus.services.lambda_.records import Usage
from pileus.services.lambda_.usage import UsageMeter

GB_S = 1024 * 1000


def place(account: str = "1" * 12, name: str = "f", architecture: str = "x86_64") -> tuple[str, str, str, str]:
    return account, "us-east-1", name, architecture


def test_a_small_month_is_free() -> None:
    found = bill("2026-11", {place(): Usage(requests=10, duration_mb_ms=5 * GB_S)})
    assert found["cost"] == 0
    (account,) = found["accounts"]
    assert (account["free_requests"], account["free_duration_gb_s"]) == (10, 5)
    (line,) = found["functions"]
    assert line["cost_before_free_tier"] == pytest.approx(10 * 0.2e-6 + 5 * 0.0000166667, abs=1e-6)


def test_past_the_free_tier() -> None:
    """AWS's own example: 3 million requests of 120 ms with 1,536 MB cost 2.33 for duration and 0.40 for requests."""
    used = Usage(requests=3_000_000, duration_mb_ms=3_000_000 * 120 * 1536)
    assert bill("2026-11", {place(): used})["cost"] == pytest.approx(2.33 + 0.40, abs=0.005)


def test_accounts_and_architectures() -> None:
    large = Usage(duration_mb_ms=1_000_000 * GB_S)
    found = bill("2026-11", {place(): large, place(architecture="arm64"): large, place("2" * 12): large})
    first, second = found["accounts"]
    # The free tier is one for both architectures.
    assert first["cost"] == pytest.approx(600_000 * 0.0000166667 + 1_000_000 * 0.0000133334, abs=0.01)
    assert second["cost"] == pytest.approx(600_000 * 0.0000166667, abs=0.01)
    assert found["cost"] == pytest.approx(first["cost"] + second["cost"])


def test_provisioned_environments_and_storage_have_no_free_tier() -> None:
    used = Usage(provisioned_mb_ms=1000 * GB_S, provisioned_duration_mb_ms=100 * GB_S, storage_mb_ms=1_000_000 * GB_S)
    expected = 1000 * 0.0000041667 + 100 * 0.0000097222 + 1_000_000 * 0.0000000309
    assert bill("2026-11", {place(): used})["cost"] == pytest.approx(expected, abs=1e-5)


def test_snapshots_are_charged_for_being_kept_and_for_being_restored() -> None:
    """The pricing page's example: 1,536 MB kept for a month, and restored 1,000 times."""
    used = Usage(cached_mb_ms=1536 * 30 * 86400 * 1000, restored_mb=1536 * 1000)
    found = bill("2026-11", {place(): used})
    (line,) = found["functions"]
    assert (line["snapshots_cached_gb_s"], line["snapshots_restored_gb"]) == (1.5 * 30 * 86400, 1500)
    assert found["cost"] == pytest.approx(1.5 * 30 * 86400 * 0.0000015046 + 1500 * 0.0001397998, abs=1e-5)


def test_tiers() -> None:
    assert tiered([(10, 2.0), (10, 1.0), (None, 0.5)], 25) == 10 * 2 + 10 * 1 + 5 * 0.5
    assert tiered([(10, 2.0), (None, 0.5)], 4) == 8
    for tiers in prices()["duration_gb_s"].values():
        assert tiers[-1][0] is None


def test_nothing() -> None:
    assert bill("2026-11", {})["cost"] == 0


def test_the_meter_counts_invocations_and_what_is_provisioned() -> None:
    meter = UsageMeter(lambda: None)
    function, called = spec("Active"), invocation("")
    done = {"spec": function, "invocation": called, "duration_ms": 10.0, "init_ms": None, "max_memory_mb": 1}
    for ended in (86400.0 * 20000, 86400.0 * 20000 + 5, 86400.0 * 20001):
        meter.finished(Finished(**done, ended=ended, billed_ms=10, failed=False))  # type: ignore[arg-type]
    kept = replace(function, initialization_type="provisioned-concurrency")
    meter.finished(Finished(**{**done, "spec": kept}, ended=86400.0 * 20001, billed_ms=10, failed=False))  # type: ignore[arg-type]
    meter.provisioned([(kept, 2)], 86400.0 * 20001)
    meter.provisioned([(kept, 2)], 86400.0 * 20001 + 3)
    first, second = meter.take().items()
    assert first[0] == ("2024-10-04", "0" * 12, "us-east-1", "f", "x86_64")
    assert first[1] == Usage(requests=2, duration_mb_ms=2 * 128 * 10)
    assert second[1] == Usage(
        requests=2, duration_mb_ms=1280, provisioned_duration_mb_ms=1280, provisioned_mb_ms=2 * 128 * 3000
    )
    assert meter.take() == {}
    # What could not be written is written later.
    meter.put_back(dict([first]))
    meter.finished(Finished(**done, ended=86400.0 * 20000, billed_ms=10, failed=False))  # type: ignore[arg-type]
    assert meter.take()[first[0]].requests == 3


def test_the_meter_wakes_who_rested() -> None:
    woken: list[bool] = []
    meter = UsageMeter(lambda: woken.append(True))
    function, called = spec("Active"), invocation("")
    done = Finished(
        spec=function,
        invocation=called,
        duration_ms=10.0,
        init_ms=None,
        max_memory_mb=1,
        ended=86400.0 * 20000,
        billed_ms=10,
        failed=False,
    )
    meter.finished(done)
    assert not woken
    meter.take()
    meter.rest()
    # To look at nothing ends no rest.
    meter.provisioned([], 86400.0 * 20000 + 100)
    assert not woken
    meter.finished(done)
    meter.finished(done)
    assert len(woken) == 1
    meter.take()
    meter.rest()
    # What is provisioned after a rest is counted from then on.
    meter.changes([], 86400.0 * 20000 + 1000)
    assert len(woken) == 2
    meter.provisioned([(function, 1)], 86400.0 * 20000 + 1003)
    assert [usage.provisioned_mb_ms for usage in meter.take().values()] == [128 * 3000]
