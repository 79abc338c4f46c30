"""AWS's rate and cron expressions: what is one, and when it is due."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from pileus.delivery.cron import Cron, InvalidSchedule, parse_schedule


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("expression", "after", "due"),
    [
        ("cron(0 10 * * ? *)", "2024-11-26T12:00:00", "2024-11-27T10:00:00"),
        ("cron(15 12 * * ? *)", "2024-11-26T12:14:59", "2024-11-26T12:15:00"),
        ("cron(15 12 * * ? *)", "2024-11-26T12:15:00", "2024-11-27T12:15:00"),
        ("cron(0 18 ? * MON-FRI *)", "2024-11-29T18:00:00", "2024-12-02T18:00:00"),
        ("cron(0 8 1 * ? *)", "2024-12-15T00:00:00", "2025-01-01T08:00:00"),
        ("cron(0/10 * ? * MON-FRI *)", "2024-11-29T23:55:00", "2024-12-02T00:00:00"),
        ("cron(0/5 8-17 ? * MON-FRI *)", "2024-11-26T17:55:00", "2024-11-27T08:00:00"),
        ("cron(0/30 20-2 ? * * *)", "2024-11-26T02:30:00", "2024-11-26T20:00:00"),
        ("cron(5,35 14 * * ? *)", "2024-11-26T14:05:00", "2024-11-26T14:35:00"),
        ("cron(15 10 ? * 6L 2002-2030)", "2024-11-01T00:00:00", "2024-11-29T10:15:00"),
        ("cron(0 2 ? * SAT#3 *)", "2024-11-17T00:00:00", "2024-12-21T02:00:00"),
        ("cron(0 0 ? * TUE#5 *)", "2024-11-01T00:00:00", "2024-12-31T00:00:00"),
        ("cron(0 9 L * ? *)", "2024-02-01T00:00:00", "2024-02-29T09:00:00"),
        ("cron(0 9 L-2 * ? *)", "2024-02-01T00:00:00", "2024-02-27T09:00:00"),
        ("cron(0 9 LW * ? *)", "2024-11-01T00:00:00", "2024-11-29T09:00:00"),
        ("cron(0 9 1W * ? *)", "2024-06-01T00:00:00", "2024-06-03T09:00:00"),
        ("cron(0 9 15W * ? *)", "2024-06-01T00:00:00", "2024-06-14T09:00:00"),
        ("cron(0 9 29 FEB ? *)", "2024-03-01T00:00:00", "2028-02-29T09:00:00"),
        ("cron(30-30 13-13 ? * 2,4,6 *)", "2024-11-26T00:00:00", "2024-11-27T13:30:00"),
        ("cron(0 0 1 1 ? 2030)", "2024-01-01T00:00:00", "2030-01-01T00:00:00"),
        ("cron(0/5 5 ? JAN 1-5 2022)", "2024-01-01T00:00:00", None),
        ("cron(0 0 31 2 ? 2024-2030)", "2024-01-01T00:00:00", None),
    ],
)
def test_when_it_is_due(expression: str, after: str, due: str | None) -> None:
    found = parse_schedule(expression).next(at(after), at(after))
    assert found == (None if due is None else at(due))


@pytest.mark.parametrize(
    "text",
    [
        *("", "rate", "rate()", "rate(5)", "rate(0 minutes)", "rate(1 minutes)", "rate(2 minute)", "rate(-1 hours)"),
        *("rate(5 seconds)", "rate(1.5 hours)", "cron()", "cron(* * * * *)", "cron(* * * * * *)", "cron(* * ? * ? *)"),
        *("cron(60 * * * ? *)", "cron(* 24 * * ? *)", "cron(* * 0 * ? *)", "cron(* * * 13 ? *)", "cron(* * ? * 8 *)"),
        *("cron(* * ? * MON#6 *)", "cron(* * 32W * ? *)", "cron(* * * * ? 1969)", "cron(* * * * ? 2200)"),
        *("cron(*/0 * * * ? *)", "cron(1- * * * ? *)", "cron(x * * * ? *)", "cron(? * * * ? *)", "cron(٣ * * * ? *)"),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidSchedule):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("rate(1 minute)", 60), ("rate(12 hours)", 43200), ("rate(1 day)", 86400)]
)
def test_rates_count_from_their_beginning(text: str, seconds: int) -> None:
    rate = parse_schedule(text)
    began = at("2024-01-01T00:00:07")
    assert rate.next(began - 5, began) == began
    assert rate.next(began, began) == began + seconds
    assert rate.next(began + 2.5 * seconds, began) == began + 3 * seconds


def test_wall_clocks_that_are_set_forward_and_back() -> None:
    new_york = ZoneInfo("America/New_York")

    def times(expression: str, after: str, count: int) -> list[str]:
        found = []
        when: float | None = at(after, "America/New_York")
        for _ in range(count):
            assert when is not None
            when = parse_schedule(expression).next(when, 0.0, new_york)
            assert when is not None
            found.append(datetime.fromtimestamp(when, UTC).strftime("%m-%d %H:%M"))
        return found

    # 02:30 is not shown on March 10: it does not happen.
    assert times("cron(30 2 * * ? *)", "2024-03-08T12:00:00", 2) == ["03-09 07:30", "03-11 06:30"]
    # 01:30 is shown twice on November 3: it happens once.
    assert times("cron(30 1 * * ? *)", "2024-11-02T12:00:00", 2) == ["11-03 05:30", "11-04 06:30"]
    # What happens every half hour happens in both hours.
    assert times("cron(0/30 * * * ? *)", "2024-11-03T00:45:00", 5) == [
        *("11-03 05:00", "11-03 05:30", "11-03 06:00", "11-03 06:30", "11-03 07:00"),
    ]


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe", "Europe/London"])
@pytest.mark.parametrize("expression", ["cron(0/20 * * * ? *)", "cron(30 1 * * ? *)", "cron(15 2 ? * SUN *)"])
def test_every_minute_agrees_with_the_clock_on_the_wall(zone: str, expression: str) -> None:
    """Held against looking at the clock every minute, over days on which clocks are set."""
    where, schedule = ZoneInfo(zone), parse_schedule(expression)
    assert isinstance(schedule, Cron)
    for day in ("2024-03-09", "2024-03-30", "2024-04-06", "2024-10-05", "2024-10-26", "2024-11-02"):
        begin = at(f"{day}T12:00:00", zone)
        end = begin + 24 * 3600
        found, when = [], begin
        while (due := schedule.next(when, 0.0, where)) is not None and due < end:
            found.append(due)
            when = due
        wanted, shown = [], set()
        for minute in range(1, 24 * 60):
            clock = datetime.fromtimestamp(begin + minute * 60, where)
            days = schedule.weekdays is None or clock.day in schedule.weekdays.of(clock.year, clock.month)
            if days and clock.hour in schedule.hours and clock.minute in schedule.minutes:
                if schedule.hourly or clock.replace(tzinfo=None, fold=0) not in shown:
                    wanted.append(begin + minute * 60)
                shown.add(clock.replace(tzinfo=None, fold=0))
        assert found == wanted
