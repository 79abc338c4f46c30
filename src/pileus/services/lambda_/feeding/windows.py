"""Tumbling windows: records by the time at which they were written, and a state that goes from batch to batch.

Source: "Implementing stateful processing with DynamoDB Streams" of the developer guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Protocol, TypeVar

import orjson

# "Your state can be a maximum of 1 MB per shard."
STATE_BYTES_MAX = 1 << 20


class Timed(Protocol):
    @property
    def arrived(self) -> float: ...


R = TypeVar("R", bound=Timed)


def by_window(records: Sequence[R], seconds: int) -> list[tuple[float, list[R]]]:
    """Runs of records of the same window, with its beginning."""
    groups = groupby(records, lambda record: record.arrived // seconds * seconds)
    return [(float(window), list(inside)) for window, inside in groups]


def further(
    window: float, seconds: int, state: dict[str, Any], *, shard: str, source: str, final: bool, early: bool
) -> dict[str, Any]:
    """What an event of a window has beside its records."""
    return {
        "window": {"start": _shown(window), "end": _shown(window + seconds)},
        "state": state,
        "shardId": shard,
        "eventSourceARN": source,
        "isFinalInvokeForWindow": final,
        "isWindowTerminatedEarly": early,
    }


def _shown(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def answer_of(payload: bytes) -> dict[str, Any] | None:
    """The function's answer; None where it has no state, which counts as a failure."""
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) and isinstance(answer.get("state"), dict) else None


def state_of(answer: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = answer["state"]
    return state


def is_too_large(state: dict[str, Any]) -> bool:
    return len(orjson.dumps(state)) > STATE_BYTES_MAX
