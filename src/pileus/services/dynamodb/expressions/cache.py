"""Remembering what was made of an expression's text."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

TEXTS_MAX = 512
# Longer ones (with their names) are made anew each time, so that nobody fills the memory with them.
CHARS_MAX = 1024


def remembered(make: Callable[P, T]) -> Callable[P, T]:
    """A cache of a function of texts and tuples of (name, what it stands for)."""
    kept = lru_cache(maxsize=TEXTS_MAX)(make)

    @wraps(make)
    def get(*args: P.args, **kwargs: P.kwargs) -> T:
        chars = 0
        for arg in args:
            if isinstance(arg, str):
                chars += len(arg)
            elif isinstance(arg, tuple):
                for name, meant in arg:
                    chars += len(name) + len(meant)
        return kept(*args, **kwargs) if chars <= CHARS_MAX else make(*args, **kwargs)  # type: ignore[arg-type]

    return get
