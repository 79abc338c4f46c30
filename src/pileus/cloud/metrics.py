"""What services count on this node, as CloudWatch has it: namespace, name, dimensions, unit, a statistic set a minute.

    SENT = Metric("AWS/SQS", "NumberOfMessagesSent")

    ctx.cloud.metrics.add(SENT, ctx.account, ctx.region, (("QueueName", name),), now=ctx.now)

Adding costs a microsecond; where even that is too much (for every invocation, say), keep the `Series` that `series`
gives and call its `add`. Nothing is written here: what has been counted is taken from here (`take`) and kept by whoever
keeps metrics, and shown to Prometheus as it stands (`shown`). Memory is bounded: of series that nobody counts in the
oldest go first, of minutes that nobody takes, too.

A metric of AWS has the same value under several sets of dimensions (by function, by alias, over all). Prometheus sums
by itself, and would count twice: there only series made with `shown` are seen.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Sets of dimensions, over all metrics, accounts and regions of the node.
SERIES_MAX = 20_000
# Minutes that wait to be taken: so many of all series together, and none that is older than this.
DATA_MAX = 50_000
WAITING_MINUTES_MAX = 15
# The share of all series that goes at once when there are too many: looking for the oldest costs as much for one.
_EVICTED = 0.1
# Minutes that a series remembers, where somebody looks back.
RECALLED_MINUTES = 20

# In the order in which AWS shows them.
Dimensions = tuple[tuple[str, str], ...]


class Metric(NamedTuple):
    """One metric of AWS's."""

    namespace: str
    name: str
    # CloudWatch's: "Count", "Milliseconds", "Bytes", "Seconds", "Percent", ...
    unit: str = "Count"
    # Counted events, whose sum matters; else values, of which minimum, maximum and percentiles do.
    counted: bool = True


class SeriesKey(NamedTuple):
    metric: Metric
    account: str
    region: str
    dimensions: Dimensions


class Datum:
    """The statistic set of one minute. Two of the same series and minute can be merged: one may be taken in parts."""

    __slots__ = ("buckets", "count", "key", "maximum", "minimum", "minute", "total")

    def __init__(self, key: SeriesKey, minute: int) -> None:
        self.key = key
        # Minutes since the epoch.
        self.minute = minute
        self.count = 0.0
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf
        # How many values lay between 1.1^n and 1.1^(n+1), by n; None: zero and below. Only of values, not of what is
        # counted: percentiles within 5 % are made of it.
        self.buckets: dict[int | None, float] = {}


class Series:
    """One metric under one set of dimensions, in one account and region."""

    __slots__ = (
        "_count",
        "_counted",
        "_datum",
        "_metrics",
        "_recent",
        "_since",
        "_total",
        "_until",
        "gone",
        "key",
        "shown",
    )

    def __init__(self, metrics: Metrics, key: SeriesKey, *, shown: bool) -> None:
        self.key = key
        # Whether Prometheus sees it.
        self.shown = shown
        # Since the node was started, without what the minute that runs has brought.
        self._count = 0.0
        self._total = 0.0
        # Forgotten or evicted, although somebody has kept it: another one counts in its place.
        self.gone = False
        self._metrics = metrics
        self._counted = key.metric.counted
        self._datum: Datum | None = None
        # What the last minutes have brought, by the minute; None: nobody looks back.
        self._recent: dict[int, list[Datum]] | None = None
        # When the minute of the datum begins and ends.
        self._since = self._until = -math.inf

    def add(self, value: float, now: float) -> None:
        """Count `value`, once, at the moment `now` (of the node's clock)."""
        datum = self._datum
        if datum is None or not self._since <= now < self._until:
            if self.gone:
                key = self.key
                other = self._metrics.series(key.metric, key.account, key.region, key.dimensions, shown=self.shown)
                other.add(value, now)
                return
            datum = self._turn(now)
        datum.count += 1
        datum.total += value
        if value < datum.minimum:  # noqa: PLR1730 -- calling `min` costs more
            datum.minimum = value
        if value > datum.maximum:  # noqa: PLR1730
            datum.maximum = value
        if not self._counted:
            bucket = math.floor(math.log(value) / _LOG_BASE) if value > 0 else None
            datum.buckets[bucket] = datum.buckets.get(bucket, 0.0) + 1

    def _turn(self, now: float) -> Datum:
        """Another minute begins."""
        ended = self.close()
        if ended is not None:
            self._metrics.keep(ended)
        minute = int(now // 60)
        self._since, self._until = minute * 60.0, (minute + 1) * 60.0
        datum = self._datum = Datum(self.key, minute)
        if self._recent is not None:
            self._recent.setdefault(minute, []).append(datum)
            while len(self._recent) > RECALLED_MINUTES:
                del self._recent[next(iter(self._recent))]
        return datum

    def close(self) -> Datum | None:
        """What has been counted since the last time, to be taken."""
        datum, self._datum = self._datum, None
        if datum is not None:
            self._count += datum.count
            self._total += datum.total
        return datum

    @property
    def count(self) -> float:
        """How often, since the node was started."""
        return self._count + (self._datum.count if self._datum is not None else 0.0)

    @property
    def total(self) -> float:
        """How much, since the node was started."""
        return self._total + (self._datum.total if self._datum is not None else 0.0)

    def recall(self, minute: int) -> list[Datum]:
        """What that minute has brought (in parts, where it was taken in parts).

        Remembered are the last minutes, from when somebody has asked for the first time.
        """
        if self._recent is None:
            self._recent = {}
        return self._recent.get(minute, [])

    @property
    def minute(self) -> int:
        """The minute in which it was counted last, as far as that is not taken."""
        return self._datum.minute if self._datum is not None else 0


_LOG_BASE = math.log(1.1)


class Metrics:
    """Everything that is counted on a node: `cloud.metrics`."""

    def __init__(self, *, series_max: int = SERIES_MAX, data_max: int = DATA_MAX) -> None:
        self._series: dict[SeriesKey, Series] = {}
        self._closed: deque[Datum] = deque(maxlen=data_max)
        self._series_max = series_max

    def add(
        self, metric: Metric, account: str, region: str, dimensions: Dimensions, value: float = 1.0, *, now: float
    ) -> None:
        """Count `value`, once."""
        self.series(metric, account, region, dimensions).add(value, now)

    def series(
        self, metric: Metric, account: str, region: str, dimensions: Dimensions = (), *, shown: bool = True
    ) -> Series:
        """Where that is counted; made where it is not there yet. It may be kept, for as long as one likes."""
        key = SeriesKey(metric, account, region, dimensions)
        found = self._series.get(key)
        if found is None:
            if len(self._series) >= self._series_max:
                self._evict()
            found = self._series[key] = Series(self, key, shown=shown)
        return found

    def take(self) -> list[Datum]:
        """All that has been counted since the last call, what this minute has brought so far included."""
        taken = [*self._closed]
        self._closed.clear()
        taken.extend(datum for each in self._series.values() if (datum := each.close()) is not None)
        return taken

    def shown(self) -> Iterator[Series]:
        """What Prometheus sees, one metric after the other."""
        return iter(sorted((each for each in self._series.values() if each.shown), key=_by_name))

    def forget(self, dimensions: Iterable[tuple[str, str]], account: str, region: str, namespace: str) -> None:
        """What has these dimensions is gone: Prometheus need not see it any more. What was counted is kept."""
        wanted = set(dimensions)
        for key, series in [*self._series.items()]:
            ours = (key.account, key.region, key.metric.namespace) == (account, region, namespace)
            if ours and wanted <= {*key.dimensions}:
                self._drop(series)

    def keep(self, datum: Datum) -> None:
        """That minute is over."""
        self._closed.append(datum)
        while self._closed[0].minute < datum.minute - WAITING_MINUTES_MAX:
            self._closed.popleft()

    def _evict(self) -> None:
        oldest = sorted(self._series.values(), key=lambda each: each.minute)
        for each in oldest[: max(1, int(len(oldest) * _EVICTED))]:
            self._drop(each)

    def _drop(self, series: Series) -> None:
        series.gone = True
        datum = series.close()
        if datum is not None:
            self.keep(datum)
        del self._series[series.key]


def _by_name(series: Series) -> tuple[Metric, str, str, Dimensions]:
    return series.key.metric, series.key.account, series.key.region, series.key.dimensions
