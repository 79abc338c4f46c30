"""Invocation payloads: whether they are JSON, and what AWS's parser (Jackson) says of those that are not."""

from __future__ import annotations

import json

import msgspec

from pileus.kernel.errors import AWSError

SYNC_BYTES_MAX = 6_291_456
# "Invocation payload (request and response): 1 MB for asynchronous".
ASYNC_BYTES_MAX = 1_048_576

_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_check = msgspec.json.Decoder(msgspec.Raw).decode


def check_json(payload: bytes) -> None:
    """Raise `InvalidRequestContentException` unless `payload` is one JSON value in UTF-8."""
    try:
        _check(payload)
        # Raw skips over the value; whether its texts are UTF-8 is for us to see.
        if not payload.isascii():
            payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AWSError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {_complaint(payload)}",
            Type="User",
        ) from None


def _complaint(payload: bytes) -> str:
    # One character per byte, so that places are those of bytes.
    text = payload.decode("latin-1")
    at = len(text)
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        at = error.pos
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
    if at >= len(text):
        return "Unexpected end-of-input" + _where(text, len(text))
    char = text[at]
    if char.isascii() and char.isalpha():
        end = _token_end(text, at)
        return f"Unrecognized token '{text[at:end]}': was expecting {_VALUES}" + _where(text, end)
    shown = f"'{char}' (code {ord(char)})" if " " <= char <= "~" else f"(CTRL-CHAR, code {ord(char)})"
    return f"Unexpected character ({shown}): expected a valid value {_VALUES}" + _where(text, at)


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
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return (
        "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "
        f"line: {line}, column: {column}]"
    )
