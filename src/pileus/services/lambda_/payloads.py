"""Invocation payloads: whether they are JSON, and what AWS's parser (Jackson) says of those that are not."""

from __future__ import annotations

import json
import re

import msgspec

from pileus.kernel.errors import AWSError

SYNC_BYTES_MAX = 6_291_456
# "Invocation payload (request and response): 1 MB for asynchronous".
ASYNC_BYTES_MAX = 1_048_576

# In the words of the decoder.
_BYTE = re.compile(r"\(byte (\d+)\)")
# Behind so many bytes nobody is told what was open: to find that out takes longer than others should wait.
_EXPLAINED_BYTES_MAX = 65_536

_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_NAME = "Expecting property name"
_VALUE = "Expecting value"
_IN_NAME = " in field name"
_IN_STRING = ": was expecting closing quote for a string value"
_SPACE = " \t\r\n"
# What opens and closes, outside of strings.
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\]]', re.DOTALL)
_check = msgspec.json.Decoder(msgspec.Raw).decode


def check_json(payload: bytes) -> None:
    """Raise `InvalidRequestContentException` unless `payload` is one JSON value in UTF-8."""
    try:
        _check(payload)
        # Raw skips over the value; whether its texts are UTF-8 is for us to see.
        if not payload.isascii():
            payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        at = _broken_at(error, payload)
        complaint = _complaint(payload) if at <= _EXPLAINED_BYTES_MAX else _short_complaint(payload, at)
        raise AWSError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {complaint}",
            Type="User",
        ) from None


def _broken_at(error: Exception, payload: bytes) -> int:
    """The byte at which reading ended."""
    if isinstance(error, RecursionError):
        return 0
    if isinstance(error, UnicodeDecodeError):
        return error.start
    found = _BYTE.search(str(error))
    return int(found[1]) if found else len(payload)


def _short_complaint(payload: bytes, at: int) -> str:
    text = payload.decode("latin-1")
    if at >= len(text):
        return "Unexpected end-of-input" + _where(text, len(text))
    return f"Unexpected character ({_shown(text[at])}): expected a valid value {_VALUES}" + _where(text, at)


def _complaint(payload: bytes) -> str:
    # One character per byte, so that places are those of bytes.
    text = payload.decode("latin-1")
    at, said = len(text), ""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        at, said = error.pos, error.msg
    except _Constant as constant:
        # Python's parser alone takes these.
        end = text.find(str(constant)) + len(str(constant))
        return f"Non-standard token '{constant}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow" + _where(
            text, end
        )
    except RecursionError:
        return (
            "Document nesting depth (1001) exceeds the maximum allowed "
            "(1000, from `StreamReadConstraints.getMaxNestingDepth()`)" + _where(text, 0)
        )
    if (broken := _broken_utf8(payload)) is not None and broken < _token_end(text, at) + 1 and broken != at:
        return f"Invalid UTF-8 start byte 0x{payload[broken]:x}" + _where(text, broken + 1)
    if said.startswith("Illegal trailing comma"):
        # Newer Pythons point at the comma itself.
        at = len(text) - len(text[at + 1 :].lstrip(_SPACE))
        said = _VALUE if text[at] == "]" else _NAME
    before = text[:at].rstrip(_SPACE)[-1:]
    opened = _open_at(text, at)
    kind = "root" if opened is None else "Object" if text[opened] == "{" else "Array"
    if said.startswith("Unterminated string"):
        name = kind == "Object" and before in "{,"
        return f"Unexpected end-of-input{_IN_NAME if name else _IN_STRING}" + _where(text, len(text))
    if at >= len(text):
        return f"Unexpected end-of-input{_at_end(text, opened, kind, said, before)}" + _where(text, len(text))
    char = text[at]
    if said.startswith("Invalid \\"):
        return f"Unrecognized character escape {_shown(text[at + 1 : at + 2])}" + _where(text, at + 1)
    if said.startswith("Invalid control character"):
        name = kind == "Object" and text[: text.rindex('"', 0, at)].rstrip(_SPACE)[-1:] in "{,"
        inside = "field name" if name else "string value"
        return (
            f"Illegal unquoted character ({_shown(char)}): has to be escaped using backslash to be included in {inside}"
            + _where(text, at)
        )
    if char in "]}" and before not in (",", ":") and said != "Extra data":
        return (
            f"Unexpected close marker '{char}': expected '{'}' if char == ']' else ']'}' (for {kind} starting at "
            f"{_source(1, 0) if opened is None else _place(text, opened)})" + _where(text, at)
        )
    for beginning, wanted in (
        (_NAME, "was expecting double-quote to start field name"),
        ("Expecting ':'", "was expecting a colon to separate field name and value"),
        ("Expecting ','", f"was expecting comma to separate {kind} entries"),
    ):
        if said.startswith(beginning):
            return f"Unexpected character ({_shown(char)}): {wanted}" + _where(text, at)
    if char.isascii() and char.isalpha():
        end = _token_end(text, at)
        return f"Unrecognized token '{text[at:end]}': was expecting {_VALUES}" + _where(text, end)
    return f"Unexpected character ({_shown(char)}): expected a valid value {_VALUES}" + _where(text, at)


def _at_end(text: str, opened: int | None, kind: str, said: str, before: str) -> str:
    """What is missing where the text ends within an object or a list."""
    if opened is None:
        return ""
    if before in (",", ":") or said.startswith("Expecting ':'"):
        return f" within/between {kind} entries"
    return f": expected close marker for {kind} (start marker at {_place(text, opened)})"


def _open_at(text: str, at: int) -> int | None:
    """Where the innermost object or list begins that is open at that place; None outside of all."""
    opened: list[int] = []
    for found in _STRUCTURE.finditer(text, 0, at):
        if found[0] in "{[":
            opened.append(found.start())
        elif found[0] in "}]" and opened:
            opened.pop()
    return opened[-1] if opened else None


def _shown(char: str) -> str:
    return f"'{char}' (code {ord(char)})" if " " <= char <= "~" else f"(CTRL-CHAR, code {ord(char)})" if char else "''"


class _Constant(Exception):
    """NaN, Infinity or -Infinity where a value is wanted."""


def _refuse_constant(name: str) -> None:
    raise _Constant(name)


def _broken_utf8(payload: bytes) -> int | None:
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _token_end(text: str, at: int) -> int:
    while at < len(text) and (text[at] == "_" or (text[at].isascii() and text[at].isalnum())):
        at += 1
    return at


def _where(text: str, at: int) -> str:
    return f"\n at {_place(text, at)}"


def _place(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return _source(line, column)


def _source(line: int, column: int) -> str:
    return (
        f"[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {line}, column: {column}]"
    )
