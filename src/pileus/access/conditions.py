"""The Condition element of a policy statement.

Source: "IAM JSON policy elements: Condition operators", "Multivalued context keys" (IAM User Guide).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pileus.access.patterns import ArnPattern, Lookup, Pattern, compile_pattern

# Whether one value of the request fits one of the policy's values.
Test = Callable[[str, Lookup], bool]
Condition = Callable[[Lookup], bool]


def compile_conditions(block: Any, *, variables: bool) -> tuple[Condition, ...]:
    """The block's conditions, all of which must hold; raises ValueError where it is not well formed."""
    if not isinstance(block, Mapping):
        raise ValueError("Condition must be an object")
    return tuple(
        _compile(operator, key, values, variables)
        for operator, keys in block.items()
        for key, values in _items(operator, keys)
    )


def _items(operator: str, keys: Any) -> Sequence[tuple[str, Any]]:
    if not isinstance(keys, Mapping):
        raise ValueError(f"Condition operator {operator} must hold an object")
    return list(keys.items())


def _compile(operator: str, key: str, values: Any, variables: bool) -> Condition:
    qualifier, colon, name = operator.partition(":")
    if not colon:
        qualifier, name = "", operator
    qualifier, name = qualifier.lower(), name.lower()
    if qualifier not in ("", "forallvalues", "foranyvalue"):
        raise ValueError(f"Invalid Condition type : {operator}")
    if_exists = name.endswith("ifexists")
    if if_exists:
        name = name[: -len("ifexists")]
    texts = [_text(value) for value in (values if isinstance(values, list) else [values])]
    key = key.lower()
    if name == "null":
        if qualifier or if_exists:
            raise ValueError(f"Invalid Condition type : {operator}")
        return _null(key, [text.lower() for text in texts])
    found = _OPERATORS.get(name)
    if found is None:
        raise ValueError(f"Invalid Condition type : {operator}")
    make, negated = found
    tests = [make(text, variables) for text in texts]

    def fits(value: str, lookup: Lookup) -> bool:
        return any(test(value, lookup) for test in tests) is not negated

    def holds(lookup: Lookup) -> bool:
        present = lookup(key)
        if not present:
            # Absent: vacuously true of all values, true of a negation, false of anything else.
            return if_exists or qualifier == "forallvalues" or (negated and qualifier != "foranyvalue")
        if qualifier == "forallvalues":
            return all(fits(value, lookup) for value in present)
        if qualifier == "foranyvalue" or not negated:
            return any(fits(value, lookup) for value in present)
        return all(fits(value, lookup) for value in present)

    return holds


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise ValueError("Condition values must be strings, numbers or booleans")


def _null(key: str, texts: list[str]) -> Condition:
    if any(text not in ("true", "false") for text in texts):
        raise ValueError('Null takes "true" or "false"')
    wanted = {text == "true" for text in texts}
    return lambda lookup: (not lookup(key)) in wanted


def _matching(pattern: Pattern | ArnPattern) -> Test:
    return pattern.matches


def _string_equals(text: str, variables: bool) -> Test:
    return _matching(compile_pattern(text, variables=variables, wildcards=False))


def _string_equals_ignore_case(text: str, variables: bool) -> Test:
    pattern = compile_pattern(text.lower(), variables=variables, wildcards=False)
    return lambda value, lookup: pattern.matches(value.lower(), _lowered(lookup))


def _lowered(lookup: Lookup) -> Lookup:
    def look(name: str) -> Sequence[str] | None:
        found = lookup(name)
        return None if found is None else [value.lower() for value in found]

    return look


def _string_like(text: str, variables: bool) -> Test:
    return _matching(compile_pattern(text, variables=variables))


def _arn(text: str, variables: bool) -> Test:
    # ArnEquals and ArnLike behave identically.
    return _matching(ArnPattern(text, variables=variables))


def _bool(text: str, variables: bool) -> Test:
    wanted = text.lower()
    return lambda value, _lookup: value.lower() == wanted


def _binary(text: str, variables: bool) -> Test:
    try:
        wanted = b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(f"{text!r} is not base64") from None

    def test(value: str, _lookup: Lookup) -> bool:
        try:
            return b64decode(value, validate=True) == wanted
        except binascii.Error:
            return False

    return test


def _comparing(read: Callable[[str], float], compare: Callable[[float, float], bool]) -> Callable[[str, bool], Test]:
    def make(text: str, variables: bool) -> Test:
        wanted = read(text)

        def test(value: str, _lookup: Lookup) -> bool:
            try:
                return compare(read(value), wanted)
            except ValueError:
                return False

        return test

    return make


def seconds(text: str) -> float:
    """A date of the policy language, ISO 8601 or seconds since the epoch; raises ValueError where it is none."""
    from datetime import UTC, datetime

    try:
        return float(text)
    except ValueError:
        pass
    when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _ip(text: str, variables: bool) -> Test:
    from ipaddress import ip_address, ip_network

    network = ip_network(text, strict=False)

    def test(value: str, _lookup: Lookup) -> bool:
        try:
            return ip_address(value) in network
        except ValueError:
            return False

    return test


def _operators() -> dict[str, tuple[Callable[[str, bool], Test], bool]]:
    """By lower-case name: what makes the test, and whether it is negated."""
    table: dict[str, tuple[Callable[[str, bool], Test], bool]] = {
        "stringequals": (_string_equals, False),
        "stringnotequals": (_string_equals, True),
        "stringequalsignorecase": (_string_equals_ignore_case, False),
        "stringnotequalsignorecase": (_string_equals_ignore_case, True),
        "stringlike": (_string_like, False),
        "stringnotlike": (_string_like, True),
        "arnequals": (_arn, False),
        "arnlike": (_arn, False),
        "arnnotequals": (_arn, True),
        "arnnotlike": (_arn, True),
        "bool": (_bool, False),
        "binaryequals": (_binary, False),
        "ipaddress": (_ip, False),
        "notipaddress": (_ip, True),
    }
    for kind, read in (("numeric", float), ("date", seconds)):
        table[f"{kind}equals"] = (_comparing(read, lambda a, b: a == b), False)
        table[f"{kind}notequals"] = (_comparing(read, lambda a, b: a == b), True)
        table[f"{kind}lessthan"] = (_comparing(read, lambda a, b: a < b), False)
        table[f"{kind}lessthanequals"] = (_comparing(read, lambda a, b: a <= b), False)
        table[f"{kind}greaterthan"] = (_comparing(read, lambda a, b: a > b), False)
        table[f"{kind}greaterthanequals"] = (_comparing(read, lambda a, b: a >= b), False)
    return table


_OPERATORS = _operators()
