"""Which records of a source reach the function: event patterns, as EventBridge has them.

Source: "Control which events Lambda sends to your function" of the developer guide. Against a pattern for what is
inside of `body` a message's body counts as the JSON that it is; a body that is none then does not pass. Against a list
of texts for `body` it counts as a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from pileus.delivery.event_patterns import InvalidPattern, Pattern, compile_pattern
from pileus.services.lambda_ import errors

FILTERS_MAX = 10
PATTERN_CHARS_MAX = 4096

# Whether a record passes.
Filter = Callable[[Mapping[str, Any]], bool]


def check_filters(patterns: Sequence[str | None]) -> list[str]:
    """The patterns as they are kept; raises for those that are none."""
    if len(patterns) > FILTERS_MAX:
        raise errors.invalid_parameter(
            "1 validation error detected: Value at 'filterCriteria.filters' failed to satisfy constraint: Member must "
            f"have length less than or equal to {FILTERS_MAX}"
        )
    for pattern in patterns:
        try:
            if not isinstance(orjson.loads(pattern or ""), dict) or len(pattern or "") > PATTERN_CHARS_MAX:
                raise errors.invalid_parameter("Invalid filter pattern definition.")
            compile_pattern(pattern or "")
        except (InvalidPattern, orjson.JSONDecodeError):
            raise errors.invalid_parameter("Invalid filter pattern definition.") from None
    return [pattern for pattern in patterns if pattern is not None]


def compile_filter(patterns: Sequence[str], inner: str = "") -> Filter:
    """`inner` names the member of a record that may be JSON in a text: a message's `body`."""
    if not patterns:
        return lambda record: True
    compiled = [(compile_pattern(pattern), _looks_into(pattern, inner)) for pattern in patterns]

    def passes(record: Mapping[str, Any]) -> bool:
        opened = _opened(record, inner) if inner else None
        return any(_matches(pattern, looks_into, record, opened) for pattern, looks_into in compiled)

    return passes


def _looks_into(pattern: str, inner: str) -> bool:
    return bool(inner) and isinstance(orjson.loads(pattern).get(inner), dict)


def _opened(record: Mapping[str, Any], inner: str) -> dict[str, Any] | None:
    try:
        content = orjson.loads(record[inner])
    except orjson.JSONDecodeError:
        return None
    return {**record, inner: content} if isinstance(content, dict | list) else None


def _matches(pattern: Pattern, looks_into: bool, record: Mapping[str, Any], opened: Mapping[str, Any] | None) -> bool:
    if not looks_into:
        return pattern.matches(record)
    return opened is not None and pattern.matches(opened)
