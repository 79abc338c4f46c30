"""Attribute values: their checks, their size, their comparison.

Inside the service an attribute value has its wire form with everything in its canonical writing: `{"S": "text"}`,
`{"N": "12.5"}`, `{"B": "aGk="}` (base64, as on the wire), `{"SS": [...]}`, `{"M": {...}}`. So an item is written and
answered without being rebuilt, and equal values have equal JSON, the order of sets and maps aside.

Sources: "Supported data types and naming rules in Amazon DynamoDB", "DynamoDB item sizes and formats",
"Quotas in Amazon DynamoDB".
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from pileus.services.dynamodb import numbers
from pileus.services.dynamodb.errors import datatypes, invalid, validation

Value = dict[str, Any]
Item = dict[str, Value]

ITEM_BYTES_MAX = 400 * 1024
NESTING_MAX = 32

# What the update expression's errors call the types.
LONG_NAMES = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
    "M": "MAP",
    "L": "LIST",
    "BOOL": "BOOLEAN",
    "NULL": "NULL",
}
SET_TYPES = frozenset(("SS", "NS", "BS"))


def kind(value: Value) -> str:
    """The value's type: "S", "N", ..."""
    for name in value:
        return name
    raise AssertionError("a checked value has a type")


def check_item(item: Mapping[str, Any]) -> tuple[Item, int]:
    """The item of a request in its inside form, and its size in bytes.

    Raises `ValidationException` for values that are none. The request's own dicts are left as they are.
    """
    if "" in item:
        raise invalid("An attribute name must have at least one character")
    checked: Item = {}
    size = 0
    for name, value in item.items():
        if value and len(value) == 1 and "S" in value:
            text = value["S"]
            checked[name] = value
            if name.isascii() and text.isascii():
                size += len(name) + len(text)
            else:
                size += len(name.encode()) + len(text.encode())
        else:
            checked[name], length = check_value(value, 1)
            size += length + len(name.encode())
    return checked, size


def check_value(value: Mapping[str, Any], depth: int = 1) -> tuple[Value, int]:
    """One attribute value of a request in its inside form, and its size in bytes."""
    if not value or len(value) != 1:
        raise datatypes(some=bool(value))
    ((name, content),) = value.items()
    check = _CHECKS.get(name)
    if check is None:
        raise datatypes(some=False)
    return check(content, depth)


def _check_s(text: str, depth: int) -> tuple[Value, int]:
    return {"S": text}, len(text) if text.isascii() else len(text.encode())


def _check_n(text: str, depth: int) -> tuple[Value, int]:
    number = numbers.canonical(text)
    return {"N": number}, numbers.size(number)


def _check_b(data: bytes, depth: int) -> tuple[Value, int]:
    return {"B": b64encode(data).decode()}, len(data)


def _check_bool(flag: bool, depth: int) -> tuple[Value, int]:
    return {"BOOL": flag}, 1


def _check_null(flag: bool, depth: int) -> tuple[Value, int]:
    if not flag:
        raise invalid("Null attribute value types must have the value of true")
    return {"NULL": True}, 1


def _check_ss(texts: list[str], depth: int) -> tuple[Value, int]:
    if not texts:
        raise invalid("An string set  may not be empty")
    if None in texts:
        raise invalid("An string set may not have a null string as a member")
    if len(set(texts)) != len(texts):
        raise invalid(f"Input collection [{', '.join(texts)}] contains duplicates.")
    return {"SS": list(texts)}, sum(len(text.encode()) for text in texts)


def _check_ns(texts: list[str], depth: int) -> tuple[Value, int]:
    if not texts:
        raise invalid("An number set  may not be empty")
    if None in texts:
        raise invalid("An number set may not have a null number as a member")
    canonical = [numbers.canonical(text) for text in texts]
    if len(set(canonical)) != len(canonical):
        raise validation("Input collection contains duplicates")
    return {"NS": canonical}, sum(map(numbers.size, canonical))


def _check_bs(blobs: list[bytes], depth: int) -> tuple[Value, int]:
    if not blobs:
        raise invalid("Binary sets should not be empty")
    if None in blobs:
        raise invalid("Binary sets may not have a null binary as a member")
    encoded = [b64encode(blob).decode() for blob in blobs]
    if len(set(encoded)) != len(encoded):
        raise invalid(f"Input collection [{', '.join(encoded)}]of type BS contains duplicates.")
    return {"BS": encoded}, sum(map(len, blobs))


def _check_l(values: list[Mapping[str, Any]], depth: int) -> tuple[Value, int]:
    _check_depth(depth)
    checked = []
    size = 3 + len(values)
    for value in values:
        inner, length = check_value(value, depth + 1)
        checked.append(inner)
        size += length
    return {"L": checked}, size


def _check_m(values: Mapping[str, Mapping[str, Any]], depth: int) -> tuple[Value, int]:
    _check_depth(depth)
    checked = {}
    size = 3 + len(values)
    for name, value in values.items():
        checked[name], length = check_value(value, depth + 1)
        size += length + len(name.encode())
    return {"M": checked}, size


def _check_depth(depth: int) -> None:
    if depth > NESTING_MAX:
        raise validation(
            "Nesting Levels have exceeded supported limits: "
            "Attributes in the item have nested levels beyond supported limit"
        )


_CHECKS: dict[str, Callable[[Any, int], tuple[Value, int]]] = {
    "S": _check_s,
    "N": _check_n,
    "B": _check_b,
    "BOOL": _check_bool,
    "NULL": _check_null,
    "SS": _check_ss,
    "NS": _check_ns,
    "BS": _check_bs,
    "L": _check_l,
    "M": _check_m,
}


def item_size(item: Item) -> int:
    """Bytes that an item in its inside form counts for: names and values."""
    size = 0
    for name, value in item.items():
        size += len(name) if name.isascii() else len(name.encode())
        text = value.get("S")
        if text is None:
            size += value_size(value)
        else:
            size += len(text) if text.isascii() else len(text.encode())
    return size


def value_size(value: Value) -> int:
    """Bytes that a value in its inside form counts for."""
    ((name, content),) = value.items()
    match name:
        case "S":
            return len(content) if content.isascii() else len(content.encode())
        case "N":
            return numbers.size(content)
        case "B":
            return blob_size(content)
        case "L":
            return 3 + len(content) + sum(map(value_size, content))
        case "M":
            return 3 + len(content) + item_size(content)
        case "SS":
            return sum(len(text.encode()) for text in content)
        case "NS":
            return sum(map(numbers.size, content))
        case "BS":
            return sum(map(blob_size, content))
    return 1  # BOOL, NULL


def blob_size(encoded: str) -> int:
    """The bytes that a base64 text stands for."""
    return len(encoded) // 4 * 3 - encoded.count("=", -2)


def nesting(value: Value) -> int:
    """How many levels of lists and maps a value has: 0 for a scalar or a set."""
    for name, content in value.items():
        if name == "L":
            return 1 + max(map(nesting, content), default=0)
        if name == "M":
            return 1 + max(map(nesting, content.values()), default=0)
    return 0


def check_nesting(item: Item) -> None:
    """Check an item that an update has made; those of requests are checked while they are read."""
    for value in item.values():
        if "L" in value or "M" in value:
            _check_depth(nesting(value))


def equal(left: Value, right: Value) -> bool:
    """Whether two values are the same; sets know no order."""
    if left == right:
        return True
    ((name, one),) = left.items()
    other = right.get(name)
    if other is None:
        return False
    match name:
        case "SS" | "NS" | "BS":
            return len(one) == len(other) and set(one) == set(other)
        case "L":
            return len(one) == len(other) and all(map(equal, one, other))
        case "M":
            return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    return False


def compare(left: Value, right: Value) -> int | None:
    """Below, equal to or above zero for two strings, numbers or binaries; None where they have no order."""
    ((name, one),) = left.items()
    other = right.get(name)
    if other is None:
        return None
    match name:
        case "S":
            return 0 if one == other else -1 if one < other else 1
        case "N":
            return numbers.compare(one, other)
        case "B":
            a, b = b64decode(one), b64decode(other)
            return 0 if a == b else -1 if a < b else 1
    return None


def dump(item: Item) -> bytes:
    """The item's bytes as they are stored and answered."""
    return orjson.dumps(item)


def load(data: bytes | memoryview) -> Item:
    item: Item = orjson.loads(data)
    return item


def plain(data: bytes | memoryview) -> dict[str, Any]:
    """The item as a call from inside gets it: as `load`, with blobs as bytes."""
    return {name: plain_value(value) for name, value in load(data).items()}


def plain_value(value: Value) -> dict[str, Any]:
    match value:
        case {"B": str(encoded)}:
            return {"B": b64decode(encoded)}
        case {"BS": list(encoded)}:
            return {"BS": [b64decode(each) for each in encoded]}
        case {"L": list(values)}:
            return {"L": [plain_value(each) for each in values]}
        case {"M": dict(values)}:
            return {"M": {name: plain_value(each) for name, each in values.items()}}
    return value


def shown(value: Value) -> str:
    """A value as AWS's error messages write it: `{S:text}`."""
    ((name, content),) = value.items()
    match name:
        case "L":
            return f"{{L:[{','.join(map(shown, content))}]}}"
        case "M":
            return f"{{M:{{{','.join(f'{key}={shown(each)}' for key, each in content.items())}}}}}"
        case "SS" | "NS" | "BS":
            return f"{{{name}:[{','.join(content)}]}}"
        case "BOOL" | "NULL":
            return f"{{{name}:{str(content).lower()}}}"
    return f"{{{name}:{content}}}"
