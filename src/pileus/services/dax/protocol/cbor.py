"""CBOR as it comes from a connection: where a value ends, and what it is.

Values come without lengths around them, so a value's end is found by reading its heads (RFC 8949, 3). `Scanner` goes on
where it stopped when more has arrived, and refuses what no client sends before anything of it is decoded: deep nesting,
and tags whose meaning would cost something (dates, shared references, regular expressions).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import cbor2

# Tags of DAX's own: the three kinds of sets, and an index into a list in a document path.
STRING_SET, NUMBER_SET, BINARY_SET, ORDINAL = 3321, 3322, 3323, 3324
_BIG_POSITIVE, _BIG_NEGATIVE, _DECIMAL = 2, 3, 4
_TAGS = frozenset((_BIG_POSITIVE, _BIG_NEGATIVE, _DECIMAL, STRING_SET, NUMBER_SET, BINARY_SET, ORDINAL))

# DynamoDB nests 32 deep, expressions 150; each level of an expression takes up to two arrays.
DEPTH_MAX = 400
# A number of DynamoDB has 126 digits before the point.
_BIG_BYTES_MAX = 64
_EXPONENT_MAX = 1000

_BREAK = 0xFF
_INDEFINITE = 31
_UNENDING = -1


class Malformed(ValueError):
    """What came is no CBOR, or none that a client of DAX sends."""


class Scanner:
    """Finds the end of the value that begins at `start` of a buffer that grows."""

    def __init__(self, start: int = 0) -> None:
        self.at = start
        # How many values each open array, map or tag still waits for; `_UNENDING`: until a break.
        self._open: list[int] = [1]

    def scan(self, data: bytes | bytearray) -> bool:
        """Whether the value is whole; `at` is then behind it. Raises `Malformed`."""
        while self._open:
            if not self._value(data):
                return False
            while self._open and self._open[-1] == 0:
                self._open.pop()
        return True

    def _value(self, data: bytes | bytearray) -> bool:
        at, size = self.at, len(data)
        if at >= size:
            return False
        head = data[at]
        kind, low = head >> 5, head & 31
        if head == _BREAK:
            if self._open[-1] != _UNENDING:
                raise Malformed("a break where nothing is open")
            self._open.pop()
            self.at = at + 1
            return True
        at += 1
        value = low
        if 24 <= low <= 27:
            width = 1 << (low - 24)
            if at + width > size:
                return False
            value = int.from_bytes(data[at : at + width], "big")
            at += width
        elif low == _INDEFINITE:
            if kind not in (2, 3, 4, 5):
                raise Malformed("no such head")
        elif low > 27:
            raise Malformed("no such head")
        if kind in (2, 3) and low != _INDEFINITE:
            if at + value > size:
                return False
            at += value
        self.at = at
        if self._open[-1] != _UNENDING:
            self._open[-1] -= 1
        if low == _INDEFINITE:
            self._push(_UNENDING)
        elif kind == 4:
            self._push(value)
        elif kind == 5:
            self._push(2 * value)
        elif kind == 6:
            if value not in _TAGS:
                raise Malformed(f"no tag {value}")
            self._push(1)
        return True

    def _push(self, count: int) -> None:
        if len(self._open) >= DEPTH_MAX:
            raise Malformed("nested too deep")
        self._open.append(count)


def values(data: bytes) -> Iterator[Any]:
    """The values that stand one behind the other in `data`. Raises `Malformed`."""
    at = 0
    while at < len(data):
        value, at = value_at(data, at)
        yield value


def small_at(data: bytes | bytearray, at: int) -> tuple[Any, int] | None:
    """The whole number, text or bytes of up to 255 that is whole at `at`, and where it ends; None for all else.

    Most values of a request are such: reading them so takes a third of what a scanner and the decoder take. Raises
    `Malformed`.
    """
    if at >= len(data):
        return None
    head = data[at]
    kind, size = head >> 5, head & 31
    at += 1
    if kind == 0:
        if size < 24:
            return size, at
        end = at + (1 << (size - 24))
        return (int.from_bytes(data[at:end], "big"), end) if size <= 27 and end <= len(data) else None
    if kind not in (2, 3) or size > 24 or (size == 24 and at >= len(data)):
        return None
    if size == 24:
        size = data[at]
        at += 1
    end = at + size
    if end > len(data):
        return None
    piece = bytes(data[at:end])
    if kind == 2:
        return piece, end
    try:
        return piece.decode(), end
    except UnicodeDecodeError as error:
        raise Malformed(str(error)) from None


def value_at(data: bytes, start: int) -> tuple[Any, int]:
    """The value that begins at `start`, and where it ends. Raises `Malformed`."""
    small = small_at(data, start)
    if small is not None:
        return small
    scanner = Scanner(start)
    if not scanner.scan(data):
        raise Malformed("cut off")
    return decode(data[start : scanner.at]), scanner.at


def decode(data: bytes) -> Any:
    """The one value that `data` is, scanned before. Raises `Malformed`."""
    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise Malformed(str(error)) from None


def encode(value: Any) -> bytes:
    return cbor2.dumps(value)


def attribute(value: Any) -> dict[str, Any]:
    """A decoded value as DynamoDB's AttributeValue. Raises `Malformed`."""
    kind = type(value)
    if kind is str:
        return {"S": value}
    if kind is bytes:
        return {"B": value}
    if value is None:
        return {"NULL": True}
    if kind is bool:
        return {"BOOL": value}
    if kind is dict:
        if not all(type(name) is str for name in value):
            raise Malformed("a name that is no text")
        return {"M": {name: attribute(one) for name, one in value.items()}}
    if kind is list:
        return {"L": [attribute(one) for one in value]}
    if kind is cbor2.CBORTag and type(value.value) in (list, tuple):
        # Arrays within tags are decoded as tuples.
        return _set(value.tag, list(value.value))
    return {"N": number(value)}


def _set(tag: int, members: list[Any]) -> dict[str, Any]:
    if tag == STRING_SET and all(type(one) is str for one in members):
        return {"SS": members}
    if tag == BINARY_SET and all(type(one) is bytes for one in members):
        return {"BS": members}
    if tag == NUMBER_SET:
        return {"NS": [number(one) for one in members]}
    raise Malformed("no such set")


def number(value: Any) -> str:
    """A number as DynamoDB takes it: text. Raises `Malformed`."""
    if type(value) is int:
        if value.bit_length() > _BIG_BYTES_MAX * 8:
            raise Malformed("a number too large")
        return str(value)
    if isinstance(value, float | Decimal):
        exact = Decimal(repr(value)) if isinstance(value, float) else value
        if not exact.is_finite() or abs(exact.adjusted()) > _EXPONENT_MAX:
            raise Malformed("a number out of range")
        return str(exact)
    raise Malformed("no value of DynamoDB's")


def plain(value: dict[str, Any]) -> Any:
    """DynamoDB's AttributeValue as the value that `encode` takes."""
    ((kind, inner),) = value.items()
    match kind:
        case "S" | "B" | "BOOL":
            return inner
        case "N":
            return plain_number(inner)
        case "NULL":
            return None
        case "M":
            return {name: plain(one) for name, one in inner.items()}
        case "L":
            return [plain(one) for one in inner]
        case "SS":
            return cbor2.CBORTag(STRING_SET, list(inner))
        case "NS":
            return cbor2.CBORTag(NUMBER_SET, [plain_number(one) for one in inner])
        case _:
            return cbor2.CBORTag(BINARY_SET, list(inner))


def plain_number(text: str) -> int | Decimal:
    return int(text) if text.lstrip("-").isdecimal() else Decimal(text)
