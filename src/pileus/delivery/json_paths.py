"""The JSON paths of EventBridge's inputs: "$.detail.items[0]['a name']", "$.resources[*]".

Source: "Amazon EventBridge input transformation" of the EventBridge user guide: dot notation, dashes, underscores,
slashes, array indices and wildcards.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]\s'"]+)      # .name or .*
    |\[(?P<index>-?\d{1,9})\]          # [0]
    |\[\s*(?P<every>\*)\s*\]           # [*]
    |\[\s*'(?P<single>[^']*)'\s*\]     # ['name']
    |\[\s*"(?P<double>[^"]*)"\s*\]     # ["name"]
    """,
    re.VERBOSE,
)
STEPS_MAX = 100


class Missing:
    """What a path that leads nowhere finds: nothing, which is not JSON's null."""

    def __bool__(self) -> bool:
        return False


MISSING = Missing()
_EVERY = object()
_Step = str | int | object


class InvalidPath(ValueError):
    """The text is no path."""


@lru_cache(maxsize=4096)
def parse_path(text: str) -> tuple[_Step, ...]:
    """The steps of a path. Raises InvalidPath."""
    if not text.startswith("$"):
        raise InvalidPath(text)
    steps: list[_Step] = []
    at = 1
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or len(steps) >= STEPS_MAX:
            raise InvalidPath(text)
        at = found.end()
        name, index = found["name"], found["index"]
        if index is not None:
            steps.append(int(index))
        elif found["every"] or name == "*":
            steps.append(_EVERY)
        else:
            steps.append(next(one for one in (name, found["single"], found["double"]) if one is not None))
    return tuple(steps)


def find(path: str, document: Any) -> Any:
    """What the path finds in a JSON document, or MISSING; with a wildcard the list of all it finds.

    Raises InvalidPath.
    """
    steps = parse_path(path)
    found = [document]
    several = False
    for step in steps:
        if step is _EVERY:
            several = True
            found = [one for value in found for one in _members(value)]
        else:
            found = [one for value in found if (one := _step(value, step)) is not MISSING]
    if several:
        return found
    return found[0] if found else MISSING


def _members(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _step(value: Any, step: _Step) -> Any:
    if isinstance(step, int):
        if isinstance(value, list) and -len(value) <= step < len(value):
            return value[step]
        return MISSING
    return value.get(step, MISSING) if isinstance(value, dict) else MISSING
