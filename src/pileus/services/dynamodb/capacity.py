"""Capacity units: what a call consumed.

Sources: "DynamoDB read and write operations" (capacity unit consumption); "Quotas in Amazon DynamoDB".
"""

from __future__ import annotations

from typing import Any

READ_UNIT_BYTES = 4096
WRITE_UNIT_BYTES = 1024
# Quotas: of reads and of writes, a second, of a table with its indexes; and of all provisioned tables of a region.
TABLE_UNITS_MAX = 40_000
ACCOUNT_UNITS_MAX = 80_000
# Of one partition, a second; and what a table on demand, or its index, takes from the start.
PARTITION_READS_MAX = 3_000
PARTITION_WRITES_MAX = 1_000
ON_DEMAND_READS = 12_000
ON_DEMAND_WRITES = 4_000


def read_units(size: int, *, consistent: bool) -> float:
    """Units for one read of `size` bytes, of nothing too."""
    units = 1.0 if size <= READ_UNIT_BYTES else float(-(-size // READ_UNIT_BYTES))
    return units if consistent else units / 2


def write_units(size: int) -> float:
    return 1.0 if size <= WRITE_UNIT_BYTES else float(-(-size // WRITE_UNIT_BYTES))


class Consumed:
    """The units that one call consumed of one table."""

    __slots__ = ("indexes", "table", "table_name")

    def __init__(self, table_name: str) -> None:
        # As the caller named it: the name or the ARN.
        self.table_name = table_name
        self.table = 0.0
        # (member, index name) to units.
        self.indexes: dict[tuple[str, str], float] = {}

    def add_index(self, name: str, units: float, *, local: bool) -> None:
        place = ("LocalSecondaryIndexes" if local else "GlobalSecondaryIndexes", name)
        self.indexes[place] = self.indexes.get(place, 0.0) + units

    def describe(self, wanted: str, split: str = "") -> dict[str, Any]:
        """As a ConsumedCapacity. `wanted` is TOTAL or INDEXES; `split` names a further member for transactions."""

        def units(amount: float) -> dict[str, float]:
            return {"CapacityUnits": amount, split: amount} if split else {"CapacityUnits": amount}

        answer: dict[str, Any] = {
            "TableName": self.table_name,
            **units(self.table + sum(self.indexes.values())),
        }
        if wanted == "INDEXES":
            answer["Table"] = units(self.table)
            for (member, name), amount in self.indexes.items():
                answer.setdefault(member, {})[name] = units(amount)
        return answer
