"""JSON, token by token, with the places and the words in which AWS speaks of bad patterns.

AWS reads patterns with a streaming parser (Jackson) and repeats its messages: what is wrong, a piece of the source, and
the line and column to which it had read. It reads ahead in a way of its own, which those places show: with a field's
name it has also read the beginning of the field's value, and of a string that nobody has asked for only the quote.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum
from typing import NoReturn

import orjson

SOURCE_CHARS_MAX = 500
DEPTH_MAX = 200

_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[\w$]+")
_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*')


class Token(Enum):
    START_OBJECT = "{"
    END_OBJECT = "}"
    START_ARRAY = "["
    END_ARRAY = "]"
    FIELD = "field"
    STRING = "string"
    NUMBER = "number"
    TRUE = "true"
    FALSE = "false"
    NULL = "null"
    END = "end"


_WORDS = {"true": Token.TRUE, "false": Token.FALSE, "null": Token.NULL}


class InvalidPattern(Exception):
    """What is wrong with a pattern, in AWS's words, after "Reason: "."""


class Tokens:
    """`next` gives the next token; `text` what the last one says: a field's name, a string, a number as written."""

    def __init__(self, source: str, *, show_source: bool = True, anything_but: Collection[str] = ()) -> None:
        self.source = source
        # The dialect: see `event_pattern_parser.parse`.
        self.anything_but = anything_but
        self._show_source = show_source
        self.at = 0
        # Where each open object and array begins, with the number of its entries so far.
        self._open: list[tuple[str, int]] = []
        self._entries: list[int] = []
        self._ahead: Token | None = None
        self._string_from: int | None = None
        self._text = ""
        self._field = ""
        self.token = Token.END

    @property
    def text(self) -> str:
        if self.token is Token.FIELD:
            return self._field
        self._finish_string()
        return self._text

    def next(self) -> Token:
        token = self._ahead
        if token is not None:
            self._ahead = None
            self._enter(token)
        else:
            token = self._read()
        self.token = token
        return token

    def fail(self, message: str, at: int | None = None) -> NoReturn:
        raise InvalidPattern(f"{message}\n at {self._place(self.at if at is None else at)}")

    # -- reading -------------------------------------------------------------------------------------------------------

    def _read(self) -> Token:
        self._finish_string()
        self._skip_space()
        if self.at >= len(self.source):
            if self._open:
                self._end_too_early()
            return Token.END
        char = self.source[self.at]
        if char in "]}":
            return self._close(char)
        if self._open:
            kind = self._open[-1][0]
            if self._entries[-1]:
                if char != ",":
                    self._unexpected(f"was expecting comma to separate {'Object' if kind == '{' else 'Array'} entries")
                self.at += 1
                self._skip_space()
                if self.at >= len(self.source):
                    self.fail(f"Unexpected end-of-input within/between {'Object' if kind == '{' else 'Array'} entries")
            self._entries[-1] += 1
            if kind == "{":
                self._read_field()
                return Token.FIELD
        elif self._entries:
            # Whatever follows the outermost value: nobody reads it.
            return Token.END
        token = self._read_value()
        self._enter(token)
        return token

    def _enter(self, token: Token) -> None:
        if token is Token.START_OBJECT or token is Token.START_ARRAY:
            if len(self._open) >= DEPTH_MAX:
                self.fail(f"Document nesting depth ({DEPTH_MAX + 1}) exceeds the maximum allowed ({DEPTH_MAX})")
            self._open.append((token.value, self.at - 1))
            self._entries.append(0)

    def _close(self, char: str) -> Token:
        self.at += 1
        if not self._open:
            self._unexpected(f"expected a valid value {_VALUES}", self.at - 1)
        kind, began = self._open[-1]
        if (kind == "{") != (char == "}"):
            expected = "}" if kind == "{" else "]"
            what = "Object" if kind == "{" else "Array"
            self.fail(
                f"Unexpected close marker '{char}': expected '{expected}' (for {what} starting at {self._place(began)})"
            )
        self._open.pop()
        self._entries.pop()
        if not self._open:
            self._entries.append(1)
        return Token.END_OBJECT if char == "}" else Token.END_ARRAY

    def _read_field(self) -> None:
        if self.source[self.at] != '"':
            self._unexpected("was expecting double-quote to start field name")
        self._string_from = self.at + 1
        self._finish_string(ending="in field name")
        self._field = self._text
        self._skip_space()
        if self.at >= len(self.source):
            self._end_too_early()
        if self.source[self.at] != ":":
            self._unexpected("was expecting a colon to separate field name and value")
        self.at += 1
        self._skip_space()
        if self.at >= len(self.source):
            self._end_too_early()
        self._ahead = self._read_value()

    def _read_value(self) -> Token:
        char = self.source[self.at]
        if char == '"':
            self.at += 1
            self._string_from = self.at
            return Token.STRING
        if char in "{[":
            self.at += 1
            return Token.START_OBJECT if char == "{" else Token.START_ARRAY
        number = _NUMBER.match(self.source, self.at)
        if number is not None:
            following = self.source[number.end() : number.end() + 1]
            if number[0].lstrip("-") == "0" and following.isdigit():
                self.fail("Invalid numeric value: Leading zeroes not allowed", number.end())
            self.at = number.end()
            self._text = number[0]
            return Token.NUMBER
        word = _WORD.match(self.source, self.at)
        if word is not None and not char.isdigit():
            self.at = word.end()
            if word[0] in _WORDS:
                self._text = word[0]
                return _WORDS[word[0]]
            self.fail(f"Unrecognized token '{word[0]}': was expecting {_VALUES}")
        self._unexpected(f"expected a valid value {_VALUES}")

    def _finish_string(self, ending: str = ": was expecting closing quote for a string value") -> None:
        if self._string_from is None:
            return
        found = _STRING.match(self.source, self._string_from)
        assert found is not None
        self.at = found.end()
        if self.at >= len(self.source):
            separator = "" if ending.startswith(":") else " "
            self.fail(f"Unexpected end-of-input{separator}{ending}")
        char = self.source[self.at]
        if char == "\\":
            escaped = self.source[self.at + 1 : self.at + 2]
            self.at = min(self.at + 2, len(self.source))
            self.fail(f"Unrecognized character escape '{escaped}' (code {ord(escaped) if escaped else -1})")
        if char != '"':
            self.at += 1
            self.fail(
                f"Illegal unquoted character ((CTRL-CHAR, code {ord(char)})): has to be escaped using backslash to be "
                "included in string value"
            )
        try:
            text = orjson.loads(b'"%b"' % found[0].encode())
        except (ValueError, UnicodeEncodeError):
            # Half of a surrogate pair: no event can hold it.
            text = found[0]
        self._text = text
        self._string_from = None
        self.at += 1

    def _skip_space(self) -> None:
        found = _SPACE.match(self.source, self.at)
        assert found is not None
        self.at = found.end()

    # -- words ---------------------------------------------------------------------------------------------------------

    def _unexpected(self, expected: str, at: int | None = None) -> NoReturn:
        at = self.at if at is None else at
        char = self.source[at]
        self.fail(f"Unexpected character ('{char}' (code {ord(char)})): {expected}", at)

    def _end_too_early(self) -> NoReturn:
        kind, began = self._open[-1]
        what = "Object" if kind == "{" else "Array"
        self.fail(f"Unexpected end-of-input: expected close marker for {what} (start marker at {self._place(began)})")

    def _place(self, at: int) -> str:
        before = self.source[:at]
        line = before.count("\n") + 1
        column = at - (before.rfind("\n") + 1) + 1
        if not self._show_source:
            source = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
        else:
            source = f'(String)"{self.source[:SOURCE_CHARS_MAX]}"'
            if len(self.source) > SOURCE_CHARS_MAX:
                source += f"[truncated {len(self.source) - SOURCE_CHARS_MAX} chars]"
        return f"[Source: {source}; line: {line}, column: {column}]"
