"""DynamoDB's numbers: up to 38 significant digits, magnitudes from 1E-130 to 9.99...E+125.

A number is kept as its canonical text, the form in which AWS returns it: plain decimal notation without exponent and
superfluous zeros (`"1e2"` is `"100"`, `"-0.50"` is `"-0.5"`). Numbers are equal exactly when their canonical texts are.

Source: "Supported data types and naming rules in Amazon DynamoDB", Number.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal

from pileus.services.dynamodb.errors import validation

DIGITS_MAX = 38
EXPONENT_MAX = 125
EXPONENT_MIN = -130

_NUMBER = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?", re.ASCII)
# Wide enough for every sum of two numbers, so that arithmetic is exact before it is checked.
_EXACT = Context(prec=DIGITS_MAX + EXPONENT_MAX - EXPONENT_MIN + 2, Emax=999, Emin=-999)


def canonical(text: str) -> str:
    """The canonical form of `text`; `ValidationException` where it is no number or one that DynamoDB cannot hold."""
    if text.isdigit() and text.isascii() and len(text) <= DIGITS_MAX and (text[0] != "0" or len(text) == 1):
        return text
    sign, digits, point = _parts(text)
    return _plain(sign, digits, point)


def _parts(text: str) -> tuple[str, str, int]:
    """Sign ("" or "-"), significant digits and where the point stands: the number is 0.DIGITS times 10**point."""
    match = _NUMBER.fullmatch(text)
    if not text or match is None or not (match[2] or match[3]):
        raise validation(f"The parameter cannot be converted to a numeric value{': ' + text if text else ''}")
    sign, whole, fraction, exponent = match[1], match[2], match[3] or "", match[4] or "0"
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "", "0", 1
    # The exponent's text may be long; no number that fits has one of over 9 digits unless it is all zeros in front.
    magnitude = exponent.lstrip("+-0") or "0"
    power = int(magnitude) if len(magnitude) <= 9 else 10**9
    point = len(whole) - (len(whole + fraction) - len(digits)) + (-power if exponent[0] == "-" else power)
    digits = digits.rstrip("0")
    if point - 1 > EXPONENT_MAX:
        raise validation("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if point - 1 < EXPONENT_MIN:
        raise validation("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    if len(digits) > DIGITS_MAX:
        raise validation("Attempting to store more than 38 significant digits in a Number")
    return "-" if sign == "-" else "", digits, point


def _plain(sign: str, digits: str, point: int) -> str:
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return f"{sign}{digits}{'0' * (point - len(digits))}"
    return f"{sign}{digits[:point]}.{digits[point:]}"


def add(left: str, right: str) -> str:
    """The exact sum of two canonical numbers; an error where it does not fit into a number."""
    if len(left) < DIGITS_MAX and len(right) < DIGITS_MAX and left.isdigit() and right.isdigit():
        return str(int(left) + int(right))
    return canonical(str(_EXACT.add(Decimal(left), Decimal(right))))


def subtract(left: str, right: str) -> str:
    """The exact difference of two canonical numbers; an error where it does not fit into a number."""
    return canonical(str(_EXACT.subtract(Decimal(left), Decimal(right))))


def compare(left: str, right: str) -> int:
    """Below, equal to or above zero as `left` is less than, equal to or greater than `right`; both canonical."""
    if left == right:
        return 0
    return -1 if Decimal(left) < Decimal(right) else 1


def _canonical_parts(number: str) -> tuple[bool, str, int]:
    """Whether it is negative, and digits and point as `_parts` gives them, of a canonical number."""
    negative = number[0] == "-"
    whole, _, fraction = (number[1:] if negative else number).partition(".")
    if not fraction:
        return negative, whole.rstrip("0"), len(whole)
    if whole != "0":
        return negative, whole + fraction, len(whole)
    digits = fraction.lstrip("0")
    return negative, digits, len(digits) - len(fraction)


def size(number: str) -> int:
    """Bytes that a canonical number counts for: one for each two significant digits, one more, one for a minus.

    Source: "DynamoDB item sizes and formats"; digit pairs stand at even powers of ten.
    """
    if number == "0":
        return 1
    negative, digits, point = _canonical_parts(number)
    # A first pair that holds one digit only shifts the rest by one.
    return 1 + (len(digits) + (point & 1) + 1) // 2 + negative


def ordered(number: str) -> bytes:
    """Bytes that sort as the canonical numbers do, and of which none is the beginning of another's.

    Sign byte, exponent byte, digit pairs (1 to 100), end byte 0; for negative numbers all but the sign inverted.
    """
    if number == "0":
        return b"\x80"
    negative, digits, point = _canonical_parts(number)
    if len(digits) & 1:
        digits += "0"
    body = bytes((point - 1 - EXPONENT_MIN, *(int(digits[at : at + 2]) + 1 for at in range(0, len(digits), 2)), 0))
    return b"\x7f" + body.translate(_INVERTED) if negative else b"\x81" + body


_INVERTED = bytes(range(255, -1, -1))
