"""When what is scheduled is due: at(...), rate(...) and cron(...), in a time zone, between two dates.

Sources: "Schedule types in EventBridge Scheduler"; "Schedule recurring scaling actions using
cron expressions" (Application Auto Scaling).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from pileus.delivery.cron import Cron, InvalidSchedule, Rate, parse_schedule

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_AT = re.compile(r"at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)")


@dataclass(frozen=True, slots=True)
class Once:
    # As clocks of the schedule's zone show it.
    shown: datetime

    def when(self, zone: ZoneInfo) -> float:
        return self.shown.replace(tzinfo=zone).timestamp()


def parse(text: str) -> Once | Rate | Cron:
    """Raises InvalidSchedule."""
    found = _AT.fullmatch(text)
    if found is None:
        return parse_schedule(text)
    try:
        return Once(datetime.fromisoformat(found[1]))
    except ValueError:
        raise InvalidSchedule(text) from None


@lru_cache(maxsize=512)
def zone_of(name: str) -> ZoneInfo:
    """Raises InvalidSchedule where there is no such zone."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        # Also a name that is a folder, or too long for a file.
        raise InvalidSchedule(name) from None


def next_due(
    expression: str, zone: str, *, after: float, began: float, start: float | None, end: float | None
) -> float | None:
    """The first time after `after`, from `start` until `end`, or None. `began`: when the schedule was put."""
    schedule, where = parse(expression), zone_of(zone)
    if isinstance(schedule, Once):
        # The dates do not count for it.
        when = schedule.when(where)
        return when if when > after else None
    if isinstance(schedule, Rate):
        if start is not None:
            due: float | None = schedule.next(after, start)
        else:
            # The moment at which it was put is none.
            due = schedule.next(max(after, began), began)
    else:
        # A date counts, too, when it is a time of the schedule's own.
        due = schedule.next(after if start is None else max(after, start - 1e-3), 0.0, where)
    return due if due is not None and (end is None or due <= end) else None
