"""Text to tokens."""

from __future__ import annotations

import re
from typing import NamedTuple

END = "<EOF>"


class Token(NamedTuple):
    # "word", "name" (#n), "value" (:v), "number", "end", or for signs and characters that mean nothing: their text.
    kind: str
    text: str
    start: int
    stop: int


_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z][A-Za-z0-9_]*)|(?P<name>\#[A-Za-z0-9_]+)|(?P<value>:[A-Za-z0-9_]+)|(?P<number>[0-9]+)"
    r"|(?P<sign><>|<=|>=|\S))",
    re.ASCII,
)


def tokens(text: str) -> list[Token]:
    """All tokens of `text`, the last of kind "end"."""
    found = []
    at = 0
    while match := _TOKEN.match(text, at):
        kind = match.lastgroup or ""
        content = match[kind]
        at = match.end()
        found.append(Token(content if kind == "sign" else kind, content, at - len(content), at))
    # Only white space is left; the end stands right behind the last token.
    found.append(Token("end", END, at, at))
    return found
