"""Recursive loops: how often a function has come by in the chain of events that one event began.

The trace header (`X-Amzn-Trace-Id`) carries it from service to service, in its field `Lineage`: for every function on
the way a digest of its ARN and a count. SDKs send the header with every call that a function makes, SQS and SNS keep it
with the message, Lambda with the event. Where a count would become too high, the loop is stopped.

Source: "Use Lambda recursive loop detection to prevent infinite loops" of the developer guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from pileus.services.lambda_.names import Target

# "Approximately 16 times."
TIMES_MAX = 16
# Of other functions on the way; those that came by first are forgotten first.
FUNCTIONS_MAX = 16
_FIELD = "Lineage="


def times(header: str, function: Target) -> int:
    """How often the function has been run in this chain so far."""
    return _counts(header).get(_digest(function), 0)


def with_one_more(header: str, function: Target) -> str:
    """The header for what the function is given: it has come by once more."""
    counts = _counts(header)
    own = _digest(function)
    counts[own] = counts.pop(own, 0) + 1
    return _with(header, counts)


def merged(headers: Sequence[str]) -> str:
    """One header for what is handed over together: the first's, with the highest count of all for each function."""
    given = [header for header in headers if header]
    if len(given) < 2:
        return given[0] if given else ""
    counts: dict[str, int] = {}
    for header in given:
        for function, count in _counts(header).items():
            counts[function] = max(count, counts.get(function, 0))
    return _with(given[0], counts)


@lru_cache(maxsize=1024)
def _digest(function: Target) -> str:
    return blake2b(function.arn.encode(), digest_size=4).hexdigest()


def _counts(header: str) -> dict[str, int]:
    at = header.find(_FIELD)
    if at < 0:
        return {}
    counts: dict[str, int] = {}
    for each in header[at + len(_FIELD) :].partition(";")[0].split("|"):
        parts = each.split(":")
        if len(parts) >= 2 and parts[-1].isascii() and parts[-1].isdigit():
            counts[parts[-2]] = int(parts[-1][:9])
    return counts


def _with(header: str, counts: dict[str, int]) -> str:
    fields = [field for field in header.split(";") if field and not field.startswith(_FIELD)]
    if counts:
        kept = list(counts.items())[-FUNCTIONS_MAX:]
        fields.append(_FIELD + "|".join(f"1:{function}:{count}" for function, count in kept))
    return ";".join(fields)
