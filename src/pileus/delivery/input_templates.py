"""Input templates of EventBridge's rules and pipes: text with variables in angle brackets.

A template is either JSON, in which a variable stands for a JSON value (or, within quotes, for the text of a string), or
lines of quoted text, in which it stands for a text. What it comes to should be JSON, or lines that are each a JSON
string: `check` says so. Source: "Amazon EventBridge input transformation" of the EventBridge user guide; recorded
answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from pileus.delivery.json_paths import MISSING

# The value of a variable, MISSING where there is none.
Lookup = Callable[[str], Any]


# Characters: more than any target takes. A template has room for thousands of variables, each of which may stand for a
# whole event.
OUTPUT_MAX = 2 * 1024 * 1024


class InvalidOutput(Exception):
    """What a template came to is not JSON, or too much."""


def transform(template: str, variable: re.Pattern[str], lookup: Lookup) -> str:
    """The template with its variables' values; `variable` finds them, its first group is the name.

    Raises InvalidOutput where it comes to too much.
    """
    as_text = template.lstrip().startswith('"')
    pieces: list[str] = []
    at = size = 0
    quoted = False
    for found in variable.finditer(template):
        piece = template[at : found.start()]
        quoted = _ends_quoted(piece, quoted)
        pieces.append(piece)
        value = lookup(found[1])
        pieces.append(_within_quotes(value, as_text=as_text) if quoted else _as_json(value))
        size += len(piece) + len(pieces[-1])
        if size > OUTPUT_MAX:
            raise InvalidOutput(f"a template came to more than {OUTPUT_MAX} characters")
        at = found.end()
    pieces.append(template[at:])
    return "".join(pieces)


def _ends_quoted(piece: str, quoted: bool) -> bool:
    """Whether a piece of JSON ends within a string that it, or an earlier piece, has begun."""
    escaped = False
    for char in piece:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
    return quoted


def _as_json(value: Any) -> str:
    return '""' if value is MISSING else orjson.dumps(value).decode()


def _within_quotes(value: Any, *, as_text: bool) -> str:
    if value is MISSING:
        return ""
    if isinstance(value, str):
        return orjson.dumps(value).decode()[1:-1]
    if isinstance(value, dict | list):
        return _bare(value) if as_text else orjson.dumps(value).decode()
    return orjson.dumps(value).decode()


def _bare(value: Any) -> str:
    """An object or a list without the quotes of its names and texts."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_bare(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_bare(one) for one in value) + "]"
    if isinstance(value, str):
        return orjson.dumps(value).decode()[1:-1]
    return orjson.dumps(value).decode()


def check(made: str) -> None:
    """Raises InvalidOutput."""
    try:
        orjson.loads(made)
        return
    except orjson.JSONDecodeError:
        lines = [line for line in made.splitlines() if line.strip()]
    try:
        if lines and all(isinstance(orjson.loads(line), str) for line in lines):
            return
    except orjson.JSONDecodeError:
        pass
    raise InvalidOutput(made)
