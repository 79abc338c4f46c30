"""Times that come again: rate(...) and cron(...) expressions of EventBridge, with AWS's six fields.

    minutes hours day-of-month month day-of-week year

Source: "Setting a schedule pattern for scheduled rules (legacy) in Amazon EventBridge" and "Schedule types in
EventBridge Scheduler" of the user guides: `, - * /` everywhere, `?` in one of the day fields (and only one), `L` and
`W` in day-of-month, `L` and `#` in day-of-week; SUN is 1. A cron expression is of wall clocks: where clocks are set
forward, a time that is left out does not happen; where they are set back, what happens in every hour happens in both,
and what has fixed hours happens once.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Only schedules in a time zone need it.
    from zoneinfo import ZoneInfo

YEAR_FIRST, YEAR_LAST = 1970, 2199

_MONTHS = {
    name: n
    for n, name in enumerate(["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], 1)
}
_DAYS = {name: n for n, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], 1)}
_CRON = re.compile(r"cron\((.*)\)")
_RATE = re.compile(r"rate\(([1-9][0-9]{0,9}) +(minutes?|hours?|days?)\)")
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}


class InvalidSchedule(ValueError):
    """The text is no schedule expression."""


@dataclass(frozen=True, slots=True)
class Rate:
    seconds: int

    def next(self, after: float, began: float, zone: ZoneInfo | None = None) -> float | None:
        """The first time after `after`, counted from `began`."""
        if after < began:
            return began
        return began + (int((after - began) // self.seconds) + 1) * self.seconds


@dataclass(frozen=True, slots=True)
class Cron:
    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    years: frozenset[int]
    # One of the two counts: what the other says is "?".
    days: _MonthDays | None
    weekdays: _WeekDays | None
    # Whether it happens in every hour: then it happens in both hours that clocks show twice.
    hourly: bool

    def next(self, after: float, began: float = 0.0, zone: ZoneInfo | None = None) -> float | None:
        """The first time after `after` (seconds since the epoch), or None where there is none any more."""
        if zone is None:
            moment = datetime.fromtimestamp(after, UTC).replace(tzinfo=None)
            found = self._next_shown(moment, inclusive=False)
            return None if found is None else found.replace(tzinfo=UTC).timestamp()
        return self._next_in_zone(after, zone)

    def _next_in_zone(self, after: float, zone: ZoneInfo) -> float | None:
        shown = datetime.fromtimestamp(after, zone).replace(tzinfo=None)
        if len({datetime.fromtimestamp(after + hours * 3600, zone).utcoffset() for hours in (-3, 0, 3)}) > 1:
            # Clocks are being set: an hour that they show twice is looked at from its beginning.
            shown -= timedelta(hours=3)
        best: float | None = None
        for _ in range(10_000):
            found = self._next_shown(shown, inclusive=False)
            if found is None:
                return best
            shown = found
            for fold in (0, 1):
                there = found.replace(tzinfo=zone, fold=fold)
                when = there.timestamp()
                if datetime.fromtimestamp(when, zone).replace(tzinfo=None) != found:
                    # Clocks never show this.
                    continue
                if fold and not self.hourly:
                    continue
                if when > after and (best is None or when < best):
                    best = when
            if best is not None and found.replace(tzinfo=zone, fold=0).timestamp() > best:
                return best
        return best

    def _next_shown(self, moment: datetime, *, inclusive: bool) -> datetime | None:
        """The next time that clocks would show, from `moment` on."""
        at = moment.replace(second=0, microsecond=0)
        if not inclusive or at < moment:
            at += timedelta(minutes=1)
        day = at.date()
        first = True
        for year in sorted(year for year in self.years if year >= day.year):
            for month in sorted(self.months):
                if (year, month) < (day.year, day.month):
                    continue
                for number in self._days_of(year, month):
                    one = date(year, month, number)
                    if one < day:
                        continue
                    first = one == day
                    for hour in sorted(self.hours):
                        if first and hour < at.hour:
                            continue
                        for minute in sorted(self.minutes):
                            if not first or (hour, minute) >= (at.hour, at.minute):
                                return datetime(year, month, number, hour, minute)  # noqa: DTZ001 -- as shown
        return None

    def _days_of(self, year: int, month: int) -> list[int]:
        if self.days is not None:
            return self.days.of(year, month)
        assert self.weekdays is not None
        return self.weekdays.of(year, month)


@dataclass(frozen=True, slots=True)
class _MonthDays:
    numbers: frozenset[int]
    # "L", and "L-3": days before the last.
    before_last: frozenset[int]
    # "15W": the weekday that is nearest, within the month; 0: "LW".
    nearest_weekday: frozenset[int]

    def of(self, year: int, month: int) -> list[int]:
        last = calendar.monthrange(year, month)[1]
        days = {number for number in self.numbers if number <= last}
        days |= {last - before for before in self.before_last if before < last}
        days |= {_nearest_weekday(year, month, number or last, last) for number in self.nearest_weekday}
        return sorted(day for day in days if 1 <= day <= last)


def _nearest_weekday(year: int, month: int, number: int, last: int) -> int:
    if number > last:
        return 0
    weekday = calendar.weekday(year, month, number)
    if weekday == 5:
        return number - 1 if number > 1 else number + 2
    if weekday == 6:
        return number + 1 if number < last else number - 2
    return number


@dataclass(frozen=True, slots=True)
class _WeekDays:
    numbers: frozenset[int]
    # (day, which one of the month); "6L" is (6, -1).
    nth: frozenset[tuple[int, int]]

    def of(self, year: int, month: int) -> list[int]:
        first, last = calendar.monthrange(year, month)
        # Python's weeks begin with Monday, 0; these with Sunday, 1.
        by_day: dict[int, list[int]] = {}
        for number in range(1, last + 1):
            by_day.setdefault((first + number) % 7 + 1, []).append(number)
        days = {number for day in self.numbers for number in by_day[day]}
        for day, which in self.nth:
            if which == -1:
                days.add(by_day[day][-1])
            elif which <= len(by_day[day]):
                days.add(by_day[day][which - 1])
        return sorted(days)


Schedule = Rate | Cron


@lru_cache(maxsize=4096)
def parse_schedule(text: str) -> Schedule:
    """Raises InvalidSchedule."""
    rate = _RATE.fullmatch(text)
    if rate is not None:
        count, unit = int(rate[1]), rate[2]
        # "rate(1 minute)", "rate(5 minutes)": anything else AWS refuses.
        if (count == 1) == unit.endswith("s"):
            raise InvalidSchedule(text)
        return Rate(count * _UNITS[unit.removesuffix("s")])
    cron = _CRON.fullmatch(text)
    if cron is None:
        raise InvalidSchedule(text)
    fields = cron[1].split()
    if len(fields) != 6:
        raise InvalidSchedule(text)
    minutes, hours, days, months, weekdays, years = (field.upper() for field in fields)
    if (days == "?") == (weekdays == "?"):
        raise InvalidSchedule(text)
    hour_set = _numbers(hours, 0, 23)
    return Cron(
        minutes=_numbers(minutes, 0, 59),
        hours=hour_set,
        months=_numbers(months, 1, 12, _MONTHS),
        years=_numbers(years, YEAR_FIRST, YEAR_LAST),
        days=None if days == "?" else _month_days(days),
        weekdays=None if weekdays == "?" else _week_days(weekdays),
        hourly=len(hour_set) == 24,
    )


def _month_days(text: str) -> _MonthDays:
    numbers: set[int] = set()
    before_last: set[int] = set()
    nearest: set[int] = set()
    for part in text.split(","):
        if part == "L":
            before_last.add(0)
        elif part.startswith("L-"):
            before_last.add(_number(part[2:], 1, 30))
        elif part == "LW":
            nearest.add(0)
        elif part.endswith("W"):
            nearest.add(_number(part[:-1], 1, 31))
        else:
            numbers |= _numbers(part, 1, 31)
    return _MonthDays(frozenset(numbers), frozenset(before_last), frozenset(nearest))


def _week_days(text: str) -> _WeekDays:
    numbers: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for part in text.split(","):
        if "#" in part:
            day, _, which = part.partition("#")
            nth.add((_number(day, 1, 7, _DAYS), _number(which, 1, 5)))
        elif part == "L":
            numbers.add(7)
        elif part.endswith("L"):
            nth.add((_number(part[:-1], 1, 7, _DAYS), -1))
        else:
            numbers |= _numbers(part, 1, 7, _DAYS)
    return _WeekDays(frozenset(numbers), frozenset(nth))


def _numbers(text: str, first: int, last: int, names: dict[str, int] | None = None) -> frozenset[int]:
    """What lists, ranges and steps of a field come to."""
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text, 1, max(last, 1)) if slash else 1
        if span == "*":
            begin, end = first, last
        elif "-" in span:
            low, _, high = span.partition("-")
            begin, end = _number(low, first, last, names), _number(high, first, last, names)
        else:
            begin = _number(span, first, last, names)
            end = last if slash else begin
        if begin <= end:
            found.update(range(begin, end + 1, step))
        else:
            # "FRI-MON", "22-2": over the end.
            found.update(
                one for n, one in enumerate([*range(begin, last + 1), *range(first, end + 1)]) if n % step == 0
            )
    return frozenset(found)


def _number(text: str, first: int, last: int, names: dict[str, int] | None = None) -> int:
    if names is not None and text in names:
        return names[text]
    if not text.isascii() or not text.isdigit() or len(text) > 5 or not first <= int(text) <= last:
        raise InvalidSchedule(text)
    return int(text)
