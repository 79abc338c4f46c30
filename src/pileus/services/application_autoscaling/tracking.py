"""What a target tracking policy makes of the last minutes of its metric.

DynamoDB scales out after two minutes in a row above the target, Lambda after three; both scale in after fifteen minutes
well below it. A minute of which nothing is known is neither.

Sources: "Managing throughput capacity automatically with DynamoDB auto scaling"; "Managing provisioned concurrency with
Application Auto Scaling" (Lambda); "How target tracking scaling works".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MINUTES_BELOW = 15
# How far below the target scaling in begins: DynamoDB's percent, and Lambda's share of the target.
_PERCENT_BELOW = 20.0
_SHARE_BELOW = 0.9


def needed(namespace: str, used: float, capacity: int, target: float) -> int:
    """The capacity with which `used` lies at the target. `used`: units a second, or the utilization of `capacity`."""
    exact = used * 100 / target if namespace == "dynamodb" else used * capacity / target
    # Not one more for what is lost in division.
    return math.ceil(round(exact, 6))


def wanted(
    namespace: str, minutes: Sequence[float | None], capacity: int, target: float, minutes_above: int
) -> int | None:
    """The capacity that the last minutes (the latest last; None: nothing is known) ask for; None: what there is."""
    used = [minute for minute in minutes[-minutes_above:] if minute is not None]
    if len(used) == minutes_above and all(_share(namespace, each, capacity) > target for each in used):
        return max(capacity + 1, *(needed(namespace, each, capacity, target) for each in used))
    used = [minute for minute in minutes[-MINUTES_BELOW:] if minute is not None]
    low = target - _PERCENT_BELOW if namespace == "dynamodb" else target * _SHARE_BELOW
    if len(used) == MINUTES_BELOW and all(_share(namespace, each, capacity) < low for each in used):
        return max(needed(namespace, each, capacity, target) for each in used)
    return None


def _share(namespace: str, used: float, capacity: int) -> float:
    return used * 100 / capacity if namespace == "dynamodb" else used
