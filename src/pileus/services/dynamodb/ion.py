"""Items in Amazon Ion's text format: written for exports, read for imports.

Source: "DynamoDB table export output format", "Amazon S3 import formats for DynamoDB" in the Developer Guide; the Ion
specification's page "Text".
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import orjson

from pileus.services.dynamodb.values import Item, Value

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_KEYWORDS = frozenset(("null", "true", "false", "nan"))
# Digits behind a point; smaller numbers are written with an exponent.
_SCALE_MAX = 40


def write(members: dict[str, str]) -> bytes:
    """One line: a struct of members that are Ion already."""
    return f"$ion_1_0 {{{_struct(members)}}}\n".encode()


def item(stored: Item) -> str:
    """An item as it is stored."""
    return f"{{{_struct({name: _value(value) for name, value in stored.items()})}}}"


def _struct(members: dict[str, str]) -> str:
    return ",".join(f"{_name(name)}:{text}" for name, text in members.items())


def _name(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name) and name not in _KEYWORDS:
        return name
    # A quoted symbol, escaped as a text is, but for its quotes.
    return "'" + _text(name)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


def _text(text: str) -> str:
    return orjson.dumps(text).decode()


def number(text: str) -> str:
    """A number as a decimal: 103. and 6d2 and 1.5."""
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    plain = "".join(map(str, digits))
    shown = plain.rstrip("0") or "0"
    exponent = 0 if shown == "0" else exponent + len(plain) - len(shown)
    if exponent > 0 or exponent < -_SCALE_MAX:
        shown = f"{shown}d{exponent}"
    elif exponent == 0:
        shown = f"{shown}."
    else:
        shown = shown.rjust(1 - exponent, "0")
        shown = f"{shown[:exponent]}.{shown[exponent:]}"
    return f"-{shown}" if sign and shown != "0." else shown


def _value(value: Value) -> str:
    ((kind, content),) = value.items()
    match kind:
        case "L":
            return f"[{','.join(map(_value, content))}]"
        case "M":
            return item(content)
        case "SS" | "NS" | "BS":
            return f"$dynamodb_{kind}::[{','.join(_scalar(kind[0], each) for each in content)}]"
    return _scalar(kind, content)


def _scalar(kind: str, content: Any) -> str:
    match kind:
        case "S":
            return _text(content)
        case "N":
            return number(content)
        case "B":
            return f"{{{{{content}}}}}"
        case "BOOL":
            return "true" if content else "false"
    return "null"


# -------------------------------------------------------------------------------------------------------------- reading


def read(line: str) -> dict[str, Any]:
    """The item of a line, as in a request. Raises `ValueError` for what is none."""
    from amazon.ion import simpleion
    from amazon.ion.exceptions import IonException

    try:
        value = simpleion.loads(line)
    except (IonException, ValueError, TypeError, KeyError, ArithmeticError, EOFError) as error:
        raise ValueError(f"The line is not Ion: {error}") from error
    found: Any = value.get("Item") if _type(value) == "STRUCT" else None
    if _type(found) != "STRUCT":
        raise ValueError("The line is not a struct with the member Item")
    return {name: _taken(each) for name, each in found.items()}


def _type(value: Any) -> str:
    """The name of a value's type in Ion."""
    kind = getattr(value, "ion_type", None)
    return "NULL" if value is None else "" if kind is None else str(kind.name)


def _taken(value: Any) -> dict[str, Any]:
    """An attribute value of a request."""
    match _type(value):
        case "NULL":
            return {"NULL": True}
        case "BOOL":
            return {"BOOL": bool(value)}
        case "INT" | "DECIMAL":
            return {"N": str(value)}
        case "STRING":
            return {"S": str(value)}
        case "BLOB":
            return {"B": bytes(value)}
        case "STRUCT":
            return {"M": {name: _taken(each) for name, each in value.items()}}
        case "LIST":
            return _list(value)
    raise ValueError(f"The Ion type {_type(value)} has no counterpart in DynamoDB")


def _list(value: Any) -> dict[str, Any]:
    parts = [_taken(each) for each in value]
    named = [each.text for each in value.ion_annotations]
    if not named:
        return {"L": parts}
    kind = named[0].removeprefix("$dynamodb_")
    if named[0] == kind or kind not in ("SS", "NS", "BS") or any(kind[0] not in part for part in parts):
        raise ValueError(f"The annotation {named[0]} does not fit its list")
    return {kind: [part[kind[0]] for part in parts]}
