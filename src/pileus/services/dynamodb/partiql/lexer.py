"""Text to tokens."""

from __future__ import annotations

import re
from typing import NamedTuple

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors


class Token(NamedTuple):
    # "word", "quoted" (an identifier in quotes), "string", "number", "end", or for signs: their text.
    kind: str
    # Without quotes.
    text: str


_TOKEN = re.compile(
    r"""\s*(?:(?P<word>[A-Za-z_$][A-Za-z0-9_$]*)|(?P<quoted>"(?:[^"]|"")*")|(?P<string>'(?:[^']|'')*')"""
    r"""|(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)|(?P<sign><<|>>|<>|!=|<=|>=|\S))""",
    re.ASCII,
)


def malformed(why: str) -> AWSError:
    return errors.validation(f"Statement wasn't well formed, can't be processed: {why}")


def tokens(text: str) -> list[Token]:
    """All tokens of `text`, the last of kind "end"."""
    found = []
    at = 0
    while match := _TOKEN.match(text, at):
        kind = match.lastgroup or ""
        content = match[kind]
        at = match.end()
        match kind:
            case "quoted":
                content = content[1:-1].replace('""', '"')
            case "string":
                content = content[1:-1].replace("''", "'")
            case "sign":
                if content in ("'", '"'):
                    raise malformed("Unexpected end of string")
                kind = content
        found.append(Token(kind, content))
    found.append(Token("end", ""))
    return found
