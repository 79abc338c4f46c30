"""The old-style parameters, from before there were expressions.

    Expected, ScanFilter, QueryFilter   predicates       KeyConditions     key terms
    AttributeUpdates                    changes          AttributesToGet   pickers

Source: "Legacy conditional parameters" in the DynamoDB Developer Guide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pileus.services.dynamodb import errors, values
from pileus.services.dynamodb.expressions.conditions import begins_with, contains
from pileus.services.dynamodb.expressions.keyconditions import KeyTerm
from pileus.services.dynamodb.expressions.projections import Projection, picker
from pileus.services.dynamodb.expressions.updates import added, deleted
from pileus.services.dynamodb.values import Item, Value, check_value

Request = Mapping[str, Any]
Test = Callable[[Value | None], bool]

# How many values each comparison takes, and of which types.
_ANY = frozenset(values.LONG_NAMES)
_SCALAR = frozenset("SNB")
_OPERATORS: dict[str, tuple[int, int, frozenset[str]]] = {
    "EQ": (1, 1, _ANY),
    "NE": (1, 1, _ANY),
    "LE": (1, 1, _SCALAR),
    "LT": (1, 1, _SCALAR),
    "GE": (1, 1, _SCALAR),
    "GT": (1, 1, _SCALAR),
    "CONTAINS": (1, 1, _SCALAR | {"BOOL", "NULL"}),
    "NOT_CONTAINS": (1, 1, _SCALAR | {"BOOL", "NULL"}),
    "BEGINS_WITH": (1, 1, frozenset("SB")),
    "BETWEEN": (2, 2, _SCALAR),
    "IN": (1, 100, _SCALAR),
    "NULL": (0, 0, frozenset()),
    "NOT_NULL": (0, 0, frozenset()),
}
_ORDERS: dict[str, Callable[[int], bool]] = {
    "LT": lambda order: order < 0,
    "LE": lambda order: order <= 0,
    "GT": lambda order: order > 0,
    "GE": lambda order: order >= 0,
}
_KEY_OPERATORS = {
    "EQ": "=",
    "LT": "<",
    "LE": "<=",
    "GT": ">",
    "GE": ">=",
    "BETWEEN": "BETWEEN",
    "BEGINS_WITH": "begins_with",
}


def predicate(request: Request, member: str) -> Callable[[Item], bool] | None:
    """The predicate of `member` (Expected, ScanFilter, QueryFilter), joined as ConditionalOperator says."""
    conditions = request.get(member)
    if not conditions:
        if "ConditionalOperator" in request:
            raise errors.validation("ConditionalOperator cannot be used without Filter or Expected")
        return None
    tests = {
        name: _expectation(name, condition) if member == "Expected" else _comparison(condition)
        for name, condition in conditions.items()
    }
    operator = request.get("ConditionalOperator")
    if operator is not None and len(tests) < 2:
        raise errors.validation("ConditionalOperator can only be used when Filter or Expected has two or more elements")
    join = any if operator == "OR" else all
    return lambda item: join(test(item.get(name)) for name, test in tests.items())


def _expectation(name: str, condition: Mapping[str, Any]) -> Test:
    value, exists, operator = condition.get("Value"), condition.get("Exists"), condition.get("ComparisonOperator")
    listed = condition.get("AttributeValueList")
    where = f"for Attribute: {name}"
    if operator is not None:
        if exists is not None:
            raise errors.invalid(f"Exists and ComparisonOperator cannot be used together {where}")
        if value is not None and listed is not None:
            raise errors.invalid(f"Value and AttributeValueList cannot be used together {where}")
        if value is None and listed is None and _OPERATORS[operator][0]:
            raise errors.invalid(
                f"Value or AttributeValueList must be used with ComparisonOperator: {operator} {where}"
            )
        return _test(operator, [value] if value is not None else listed or [])
    if listed is not None:
        raise errors.invalid(f"AttributeValueList can only be used with a ComparisonOperator {where}")
    if exists is False:
        if value is not None:
            raise errors.invalid(f"Value cannot be used when Exists is false {where}")
        return _test("NULL", [])
    if value is None:
        raise errors.invalid(f"Value must be provided when Exists is {'null' if exists is None else 'true'} {where}")
    return _test("EQ", [value])


def _comparison(condition: Mapping[str, Any]) -> Test:
    return _test(condition["ComparisonOperator"], condition.get("AttributeValueList") or [])


def _arguments(operator: str, raw: list[Any]) -> list[Value]:
    """The comparison's values, checked."""
    least, most, allowed = _OPERATORS[operator]
    arguments = [check_value(value)[0] for value in raw]
    if not least <= len(arguments) <= most:
        raise errors.invalid(f"Invalid number of argument(s) for the {operator} ComparisonOperator")
    for argument in arguments:
        if (kind := values.kind(argument)) not in allowed:
            raise errors.invalid(f"ComparisonOperator {operator} is not valid for {kind} AttributeValue type")
    if len({values.kind(argument) for argument in arguments}) > 1:
        raise errors.invalid("AttributeValues inside AttributeValueList must be of same type")
    if operator == "BETWEEN" and (values.compare(*arguments) or 0) > 0:
        raise errors.validation(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
        )
    return arguments


def _test(operator: str, raw: list[Any]) -> Test:
    arguments = _arguments(operator, raw)
    if operator in _ORDERS:
        return lambda value: _ordered(value, arguments[0], _ORDERS[operator])
    match operator:
        case "EQ":
            return lambda value: value is not None and values.equal(value, arguments[0])
        case "NE":
            return lambda value: value is None or not values.equal(value, arguments[0])
        case "NULL":
            return lambda value: value is None
        case "NOT_NULL":
            return lambda value: value is not None
        case "CONTAINS":
            return lambda value: contains(value, arguments[0])
        case "NOT_CONTAINS":
            return lambda value: not contains(value, arguments[0])
        case "BEGINS_WITH":
            return lambda value: begins_with(value, arguments[0])
        case "IN":
            return lambda value: value is not None and any(values.equal(value, each) for each in arguments)
    low, high = arguments  # BETWEEN
    return lambda value: _ordered(value, low, _ORDERS["GE"]) and _ordered(value, high, _ORDERS["LE"])


def _ordered(value: Value | None, other: Value, test: Callable[[int], bool]) -> bool:
    order = None if value is None else values.compare(value, other)
    return order is not None and test(order)


def key_terms(conditions: Mapping[str, Any]) -> list[KeyTerm]:
    """KeyConditions as key terms."""
    terms = []
    for name, condition in conditions.items():
        operator = condition["ComparisonOperator"]
        arguments = _arguments(operator, condition.get("AttributeValueList") or [])
        if operator not in _KEY_OPERATORS:
            raise errors.validation("Attempted conditional constraint is not an indexable operation")
        terms.append(KeyTerm(name, _KEY_OPERATORS[operator], tuple(arguments)))
    return terms


def projection(names: list[str]) -> Projection:
    """AttributesToGet as a picker."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise errors.invalid(f"Duplicate value in attribute name: {name}")
        seen.add(name)
    return picker([(name,) for name in names])


def attribute_updates(updates: Mapping[str, Any]) -> tuple[Callable[[Item, Item], Item], Projection, bool]:
    """AttributeUpdates as a change of an item, the attributes it touches, and whether it makes an item of none."""
    changes: dict[str, tuple[str, Value | None]] = {}
    for name, update in updates.items():
        action, raw = update.get("Action", "PUT"), update.get("Value")
        value = None if raw is None else check_value(raw)[0]
        if value is None:
            if action != "DELETE":
                raise errors.invalid("Only DELETE action is allowed when no attribute value is specified")
        elif action == "DELETE" and (kind := values.kind(value)) not in values.SET_TYPES:
            raise errors.invalid(f"DELETE action with value is not supported for the type {kind}")
        elif action == "ADD" and (kind := values.kind(value)) not in values.SET_TYPES | {"N", "L"}:
            raise errors.invalid(f"ADD action is not supported for the type {kind}")
        changes[name] = (action, value)

    def apply(old: Item, base: Item) -> Item:
        new = dict(base)
        for name, (action, value) in changes.items():
            after = _updated(action, old.get(name), value)
            if after is None:
                new.pop(name, None)
            else:
                new[name] = after
        return new

    creates = not changes or any(action != "DELETE" for action, _ in changes.values())
    return apply, picker([(name,) for name in changes]), creates


def _updated(action: str, old: Value | None, value: Value | None) -> Value | None:
    if value is None or action == "PUT":
        return value
    if old is not None and values.kind(old) != values.kind(value):
        raise errors.validation("Type mismatch for attribute to update")
    if action == "DELETE":
        return None if old is None else deleted(old, value)
    if "L" in value:
        return value if old is None else {"L": old["L"] + value["L"]}
    return added(old, value)
