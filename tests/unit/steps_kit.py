"""Work counted in lines of Python, which are the same on a busy machine as on an idle one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class TooManySteps(Exception):
    """It is given up there: what takes for ever must not take for ever here."""


def within_steps(most: int, work: Callable[[], T]) -> T:
    """What `work` returns; raises `TooManySteps` once it has gone through more than `most` lines."""
    steps = 0

    def note(_frame: Any, event: str, _argument: Any) -> Any:
        nonlocal steps
        if event == "line":
            steps += 1
            if steps > most:
                raise TooManySteps
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        return work()
    finally:
        sys.settrace(before)
