"""Which rounds of a measurement count, and how many there are, by the machine's speed alone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import gauge, report
from bench.gauge import Gauge, Round, counted, repeat


@pytest.fixture
def best(monkeypatch, tmp_path: Path) -> None:
    """A gauge that has seen a speed of 100 at the best."""
    monkeypatch.setattr(gauge, "_running", _gauge(tmp_path, *((float(at), 100.0) for at in range(10))))


def _gauge(folder: Path, *looks: tuple[float, float]) -> Gauge:
    path = folder / "gauge"
    path.write_bytes(b"".join(gauge._LOOK.pack(*look) for look in looks))
    return Gauge(path)


def _rounds(*speeds: float) -> Callable[[], Round[float]]:
    """One round after the other at these speeds, whose values are their numbers."""
    rounds: Iterator[Round[float]] = ((float(number), speed) for number, speed in enumerate(speeds))
    return lambda: next(rounds)


@pytest.mark.usefixtures("best")
def test_three_rounds_are_made_where_the_machine_is_at_full_speed() -> None:
    assert repeat(_rounds(95, 90, 100, 100), quick=False) == [(0, 95), (1, 90), (2, 100)]


@pytest.mark.usefixtures("best")
def test_rounds_are_made_until_three_were_at_full_speed() -> None:
    assert [speed for _, speed in repeat(_rounds(50, 95, 60, 95, 89, 91, 99), quick=False)] == [50, 95, 60, 95, 89, 91]


@pytest.mark.usefixtures("best")
def test_no_more_than_nine_rounds_are_made() -> None:
    assert len(repeat(_rounds(*[50.0] * 20), quick=False)) == 9


@pytest.mark.usefixtures("best")
def test_no_more_rounds_than_wanted_are_begun_after_the_limit() -> None:
    assert len(repeat(_rounds(*[50.0] * 20), quick=False, wanted=7, limit_s=0)) == 7


@pytest.mark.usefixtures("best")
def test_a_quick_run_has_a_third_of_the_rounds_at_whatever_speed() -> None:
    assert len(repeat(_rounds(*[50.0] * 20), quick=True)) == 1
    assert len(repeat(_rounds(*[50.0] * 20), quick=True, wanted=9)) == 3


def test_without_a_gauge_every_round_counts() -> None:
    assert repeat(lambda: gauge.during(max, 3, 7), quick=False) == [(7, None)] * 3


def test_what_counts_is_what_ran_at_full_speed_else_the_three_best() -> None:
    assert counted([0.5, 0.95, 0.6, 0.9, 0.89, 1.0]) == [1, 3, 5]
    assert counted([0.95] * 5) == [0, 1, 2, 3, 4]
    assert sorted(counted([0.5, 0.95, 0.6, 0.9, 0.89])) == [1, 3, 4]
    assert sorted(counted([0.5, 0.6])) == [0, 1]


def test_the_speed_is_the_mean_of_the_looks_within(tmp_path: Path) -> None:
    looks = [(at / 10, 100.0 if at < 20 else 50.0) for at in range(40)]
    measured = _gauge(tmp_path, *looks)
    assert measured.speed(0.95, 1.95) == 100
    assert measured.speed(1.45, 2.45) == 75
    # Too short for a look of its own: those around it.
    assert measured.speed(3.01, 3.02) == 50
    assert measured.best() == 100
    assert measured.full_share() == 0.5


def test_the_best_speed_is_not_that_of_odd_looks(tmp_path: Path) -> None:
    odd = [(at / 10, 900.0 if at % 3 == 0 else 100.0) for at in range(1, 40)]
    assert _gauge(tmp_path, *odd).best() == 100


def test_a_look_that_is_half_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    measured = _gauge(tmp_path, (1.0, 100.0), (2.0, 50.0))
    rest = gauge._LOOK.pack(3.0, 25.0) + gauge._LOOK.pack(4.0, 100.0)
    with (tmp_path / "gauge").open("ab", buffering=0) as out:
        out.write(rest[:5])
        assert measured.speed(0.5, 1.5) == 100
        out.write(rest[5:])
    assert measured.speed(2.5, 3.5) == 25


def test_a_figure_tells_where_the_machine_was_slow() -> None:
    slow = {"rounds": [5.0, 9.0, 7.0, 8.0], "speeds": [0.3, 0.6, 0.55, 0.5]}
    fast = {"rounds": [5.0, 9.0, 7.0, 8.0], "speeds": [0.95, 0.6, 0.9, 1.0]}
    result = {"figures": {"pileus": {"slow": slow, "fast": fast, "memory": {"rounds": [4.0]}}}}
    assert (report.value(result, "pileus", "slow"), report.slowed(result, "pileus", "slow")) == (8, " (55%)")
    assert (report.value(result, "pileus", "fast"), report.slowed(result, "pileus", "fast")) == (7, "")
    assert (report.value(result, "pileus", "memory"), report.slowed(result, "pileus", "memory")) == (4, "")
    assert report.value(result, "pileus", "none") is None
