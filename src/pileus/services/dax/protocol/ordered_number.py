"""Numbers as bytes that sort as the numbers do: the form that sort keys have on the wire.

A header byte with sign and exponent, then the digits in groups of three, ten bits each, ended by a group that says how
many digits of the last group count. Source: what the official clients (`amazon-dax-client`) write and read.
"""

from __future__ import annotations

from decimal import Context, Decimal

from pileus.services.dax.protocol.cbor import Malformed

_EXACT = Context(prec=400, Emax=10**6, Emin=-(10**6))
_ZERO = 0x80
# Exponents within are in the header; others take four bytes behind it.
_SMALL_MIN, _SMALL_MAX = -0x3E, 0x3D
_WORD = 0xFFFFFFFF
_DIGITS_MAX = 60


def encode(number: Decimal) -> bytes:
    if number == 0:
        return bytes([_ZERO])
    sign, digits, _ = number.as_tuple()
    exponent = number.adjusted() + 1
    text = "".join(map(str, digits)).lstrip("0")
    count = len(text)
    groups = [int(text[at : at + 3].ljust(3, "0")) for at in range(0, count, 3)]
    ending = (count - 1) % 3
    if sign:
        head = _header(0x3F - exponent, 0x7E, 0x01, exponent, 0x7FFFFFFF)
        coded = [group + 1011 for group in _complement(groups)]
        ending = 1023 - ending
    else:
        head = _header(0xC0 + exponent, 0x81, 0xFE, exponent, 0x80000000)
        coded = [group + 12 for group in groups]
    return head + _bits([*coded, ending])


def _complement(groups: list[int]) -> list[int]:
    """Of a negative number, larger digits sort first."""
    return [-group for group in groups]


def _header(small: int, low: int, high: int, exponent: int, flip: int) -> bytes:
    if _SMALL_MIN <= exponent <= _SMALL_MAX:
        return bytes([small])
    return bytes([low if exponent < 0 else high]) + ((exponent & _WORD) ^ flip).to_bytes(4, "big")


def _bits(groups: list[int]) -> bytes:
    bits = 0
    for group in groups:
        bits = bits << 10 | group
    width = 10 * len(groups)
    spare = -width % 8
    return (bits << spare).to_bytes((width + spare) // 8, "big")


def decode(data: bytes) -> Decimal:
    """Raises `Malformed`."""
    if not data:
        raise Malformed("an empty number")
    head, at = data[0], 1
    if head in (0x7F, 0x80):
        return Decimal(0)
    if head in (0x00, 0xFF):
        raise Malformed("no number")
    if head in (0x01, 0x7E, 0x81, 0xFE):
        negative = head in (0x01, 0x7E)
        if len(data) < 5:
            raise Malformed("cut off")
        exponent = int.from_bytes(data[1:5], "big") ^ (0x7FFFFFFF if negative else 0x80000000)
        if exponent & 0x80000000:
            exponent -= 1 << 32
        at = 5
    elif head >= 0x82:
        negative, exponent = False, head - 0xC0
    else:
        negative, exponent = True, 0x3F - head
    text = _digits(data[at:], negative=negative)
    if abs(exponent) > 1000:
        raise Malformed("a number out of range")
    number = Decimal(f"{'-' if negative else ''}{text}").scaleb(exponent - len(text), context=_EXACT)
    return number.normalize(_EXACT)


def _digits(data: bytes, *, negative: bool) -> str:
    groups: list[int] = []
    bits = int.from_bytes(data, "big")
    width = 8 * len(data)
    while width >= 10:
        width -= 10
        group = bits >> width & 0x3FF
        ending = 1023 - group if negative else group
        if ending in (0, 1, 2):
            text = "".join(f"{one:03d}" for one in groups)
            if not groups or len(text) > _DIGITS_MAX:
                raise Malformed("no digits")
            return text[: len(text) - 2 + ending]
        value = 1011 - group if negative else group - 12
        if not 0 <= value <= 999:
            raise Malformed("no digits")
        groups.append(value)
        if 3 * len(groups) > _DIGITS_MAX:
            raise Malformed("too many digits")
    raise Malformed("cut off")
