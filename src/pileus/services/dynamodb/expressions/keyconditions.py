"""Key conditions: which keys a query reads.

Source: "Key condition expressions for the Query operation in DynamoDB".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import msgspec

from pileus.services.dynamodb import errors
from pileus.services.dynamodb.expressions.cache import remembered
from pileus.services.dynamodb.expressions.parser import parse_condition
from pileus.services.dynamodb.expressions.paths import resolve
from pileus.services.dynamodb.expressions.tree import (
    Call,
    Comparison,
    Condition,
    Junction,
    Not,
    Operand,
    Path,
    ValueRef,
)
from pileus.services.dynamodb.values import Value

KIND = "KeyConditionExpression"
OPERATORS = frozenset(("=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"))
_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class KeyTerm(msgspec.Struct, frozen=True):
    """A condition on one key attribute: an operator of OPERATORS and one value, or two for BETWEEN."""

    attribute: str
    operator: str
    values: tuple[Value, ...]


@remembered
def _terms(text: str, names: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """(attribute, operator, names of the values) for each condition of the text."""
    named = dict(names)
    found = [_term(node, named) for node in _conjuncts(parse_condition(KIND, text).tree)]
    if len({attribute for attribute, _, _ in found}) < len(found):
        raise errors.validation("KeyConditionExpressions must only contain one condition per key")
    return tuple(found)


def key_terms(text: str, names: tuple[tuple[str, str], ...], given: Mapping[str, Value]) -> list[KeyTerm]:
    """The text's conditions with their values."""
    return [
        KeyTerm(attribute, operator, tuple(given[value] for value in values))
        for attribute, operator, values in _terms(text, names)
    ]


def _conjuncts(node: Condition) -> list[Condition]:
    match node:
        case Junction("AND", conditions):
            return [each for condition in conditions for each in _conjuncts(condition)]
        case Junction(operator):
            _unsupported(operator)
        case Not():
            _unsupported("NOT")
    return [node]


def _term(node: Condition, names: Mapping[str, str]) -> tuple[str, str, tuple[str, ...]]:
    assert isinstance(node, Comparison | Call)
    operator = node.operator if isinstance(node, Comparison) else node.function
    if operator not in OPERATORS:
        _unsupported(operator)
    operands = list(node.operands)
    if any(isinstance(operand, Call) for operand in operands):
        raise errors.validation("KeyConditionExpressions cannot contain nested operations")
    paths = [operand for operand in operands if isinstance(operand, Path)]
    if len(paths) > 1:
        raise errors.validation(
            "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
        )
    if not paths:
        raise errors.validation("Invalid condition in KeyConditionExpression: No key attribute specified")
    if operands[0] is not paths[0]:
        if operator not in _MIRRORED:
            raise errors.validation(
                f"Invalid condition in KeyConditionExpression: {operator} operator "
                "must have the key attribute as its first operand"
            )
        operator = _MIRRORED[operator]
        operands.reverse()
    (path, *rest) = operands
    assert isinstance(path, Path)
    parts = resolve(KIND, path, names)
    if len(parts) > 1:
        raise errors.validation("KeyConditionExpressions cannot have conditions on nested attributes")
    return str(parts[0]), operator, tuple(map(_value_name, rest))


def _value_name(operand: Operand) -> str:
    assert isinstance(operand, ValueRef)
    return operand.name


def _unsupported(operator: str) -> NoReturn:
    raise errors.validation(f"Invalid operator used in KeyConditionExpression: {operator}")
