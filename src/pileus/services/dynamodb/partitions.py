"""How much one partition of a table or of a global index takes, and how a table on demand grows.

Both count where the node was started with `--partition-limits`. Each value of a partition key stands for a partition of
its own: AWS moves what is much used to partitions of its own, and lets a partition have all that the table has, up to
what no partition exceeds. A second's units are there at once and none are saved; as with a table's, what is let in may
leave a debt. A table on demand takes what it was made ready for (WarmThroughput), or twice its highest traffic so far,
if that is more: traffic that is new counts after half an hour.

Sources: "Partitions and data distribution in DynamoDB"; "DynamoDB burst and adaptive capacity"; "DynamoDB on-demand
capacity mode" (peak traffic and scaling properties, initial throughput); the API reference's ThrottlingReason.
"""

from __future__ import annotations

from pileus.services.dynamodb.capacity import PARTITION_READS_MAX, PARTITION_WRITES_MAX, TABLE_UNITS_MAX

# Partitions that are remembered of each table and index; one that is forgotten begins anew.
KNOWN_MAX = 4096
SETTLED_S = 1800.0
_MINUTE_S = 60.0


class Heat:
    """What the partitions of a table or index have taken of one kind of units, as far as it still counts."""

    __slots__ = ("_owed", "_rate")

    def __init__(self, kind: str) -> None:
        self._rate = PARTITION_READS_MAX if kind == "Read" else PARTITION_WRITES_MAX
        # Units that were taken and have not come again, and when that was so.
        self._owed: dict[bytes, tuple[float, float]] = {}

    def _now(self, partition: bytes, now: float) -> float:
        units, at = self._owed.get(partition, (0.0, now))
        return max(0.0, units - max(0.0, now - at) * self._rate)

    def is_spent(self, partition: bytes, now: float) -> bool:
        return partition in self._owed and self._now(partition, now) >= self._rate

    def take(self, partition: bytes, units: float, now: float) -> None:
        owed = self._now(partition, now) + units
        self._owed.pop(partition, None)
        if len(self._owed) >= KNOWN_MAX:
            del self._owed[next(iter(self._owed))]
        self._owed[partition] = (owed, now)


class Growth:
    """The highest traffic of a table or index on demand: units a second, averaged over a minute."""

    __slots__ = ("_highest", "_minute", "_peak", "_since", "_units")

    def __init__(self, now: float) -> None:
        self._peak = 0.0
        # Of the last half hour, which does not count yet.
        self._highest = 0.0
        self._since = now
        self._minute = now // _MINUTE_S
        self._units = 0.0

    def note(self, units: float, now: float) -> None:
        minute = now // _MINUTE_S
        if minute != self._minute:
            self._highest = max(self._highest, self._units / _MINUTE_S)
            self._minute, self._units = minute, 0.0
            if not 0 <= now - self._since < SETTLED_S:
                self._peak = max(self._peak, self._highest)
                self._highest, self._since = 0.0, now
        self._units += units

    def rate(self, warm: float) -> float:
        """Units a second that it takes now, where it was made ready for `warm` of them."""
        return min(float(TABLE_UNITS_MAX), max(warm, 2 * self._peak))
