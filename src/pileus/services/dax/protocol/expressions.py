"""Expressions: clients parse them and send trees; DynamoDB takes text.

A condition or an update is `[1, tree, values]`, a projection `[1, [path, ...]]`. A tree is `[function, argument, ...]`;
a path `[18, name or index, ...]`, a value `[17, number]`. Names and values become placeholders, so that nothing that a
client sends is ever read as syntax. Source: what the official clients (`amazon-dax-client`) write.
"""

from __future__ import annotations

from typing import Any

import cbor2

from pileus.services.dax.protocol import cbor
from pileus.services.dax.protocol.cbor import Malformed

_FORMAT = 1
_COMPARISONS = {0: "=", 1: "<>", 2: "<", 3: ">=", 4: ">", 5: "<="}
_AND, _OR, _NOT, _BETWEEN, _IN = 6, 7, 8, 9, 10
_FUNCTIONS = {
    11: ("attribute_exists", 1),
    12: ("attribute_not_exists", 1),
    13: ("attribute_type", 2),
    14: ("begins_with", 2),
    15: ("contains", 2),
    16: ("size", 1),
    23: ("if_not_exists", 2),
    24: ("list_append", 2),
}
_VALUE, _PATH = 17, 18
_SET, _ADD, _DELETE, _REMOVE = 19, 20, 21, 22
_PLUS, _MINUS = 25, 26
_CLAUSES = {_SET: "SET", _ADD: "ADD", _DELETE: "DELETE", _REMOVE: "REMOVE"}


class Expressions:
    """The expressions of one request, and the names and values in them: `members` are DynamoDB's."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._texts: dict[str, str] = {}
        # The paths of the projection, in their order: names, and indexes as integers.
        self.projection: list[tuple[str | int, ...]] = []

    @property
    def members(self) -> dict[str, Any]:
        members: dict[str, Any] = dict(self._texts)
        if self._names:
            members["ExpressionAttributeNames"] = {placeholder: name for name, placeholder in self._names.items()}
        if self._values:
            members["ExpressionAttributeValues"] = self._values
        return members

    def condition(self, member: str, data: bytes) -> None:
        """`member`: "ConditionExpression", "KeyConditionExpression" or "FilterExpression". Raises `Malformed`."""
        tree, values = self._open(data)
        self._texts[member] = _text(_Reader(self, values), tree)

    def update(self, data: bytes) -> None:
        """Raises `Malformed`."""
        actions, values = self._open(data)
        reader = _Reader(self, values)
        clauses: dict[int, list[str]] = {}
        for action in _list(actions):
            function, arguments = _call(action)
            if function not in _CLAUSES:
                raise Malformed("no such action")
            parts = [_text(reader, one) for one in arguments]
            if len(parts) != (1 if function == _REMOVE else 2):
                raise Malformed("arguments of an action")
            clauses.setdefault(function, []).append(" = ".join(parts) if function == _SET else " ".join(parts))
        self._texts["UpdateExpression"] = " ".join(
            f"{_CLAUSES[function]} {', '.join(parts)}" for function, parts in clauses.items()
        )

    def project(self, data: bytes) -> None:
        """Raises `Malformed`."""
        content = _list(cbor.value_at(data, 0)[0])
        if len(content) != 2 or content[0] != _FORMAT:
            raise Malformed("another form of expression")
        reader = _Reader(self, [])
        paths = [_path(one) for one in _list(content[1])]
        self.projection = [tuple(path) for path in paths]
        self._texts["ProjectionExpression"] = ", ".join(reader.path(path) for path in paths)

    def _open(self, data: bytes) -> tuple[Any, list[Any]]:
        content = _list(cbor.value_at(data, 0)[0])
        if len(content) != 3 or content[0] != _FORMAT:
            raise Malformed("another form of expression")
        return content[1], _list(content[2])

    def name(self, name: str) -> str:
        return self._names.setdefault(name, f"#n{len(self._names)}")

    def value(self, value: Any) -> str:
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = cbor.attribute(value)
        return placeholder


class _Reader:
    """The names and values of one expression."""

    def __init__(self, expressions: Expressions, values: list[Any]) -> None:
        self._expressions = expressions
        self._values = values
        # By number: a value that is used twice has one placeholder.
        self._placeholders: dict[int, str] = {}

    def value(self, number: Any) -> str:
        if type(number) is not int or not 0 <= number < len(self._values):
            raise Malformed("no such value")
        placeholder = self._placeholders.get(number)
        if placeholder is None:
            placeholder = self._placeholders[number] = self._expressions.value(self._values[number])
        return placeholder

    def path(self, path: list[str | int]) -> str:
        text = ""
        for part in path:
            if isinstance(part, int):
                text += f"[{part}]"
            else:
                text += ("." if text else "") + self._expressions.name(part)
        return text


def _text(reader: _Reader, tree: Any) -> str:
    function, arguments = _call(tree)
    count = len(arguments)
    if function == _PATH:
        return reader.path(_path(tree))
    if function == _VALUE and count == 1:
        return reader.value(arguments[0])
    if function == _IN and count == 2:
        choices = ", ".join(_text(reader, one) for one in _list(arguments[1]))
        return f"({_text(reader, arguments[0])} IN ({choices}))"
    parts = [_text(reader, one) for one in arguments]
    if function in _COMPARISONS and count == 2:
        return f"{parts[0]} {_COMPARISONS[function]} {parts[1]}"
    if function in (_AND, _OR) and count == 2:
        return f"({parts[0]} {'AND' if function == _AND else 'OR'} {parts[1]})"
    if function == _NOT and count == 1:
        return f"(NOT {parts[0]})"
    if function == _BETWEEN and count == 3:
        return f"({parts[0]} BETWEEN {parts[1]} AND {parts[2]})"
    if function in (_PLUS, _MINUS) and count == 2:
        return f"{parts[0]} {'+' if function == _PLUS else '-'} {parts[1]}"
    name, wanted = _FUNCTIONS.get(function, ("", -1))
    if count != wanted:
        raise Malformed("no such function")
    return f"{name}({', '.join(parts)})"


def _call(tree: Any) -> tuple[int, list[Any]]:
    content = _list(tree)
    if not content or type(content[0]) is not int:
        raise Malformed("no function")
    return content[0], content[1:]


def _path(tree: Any) -> list[str | int]:
    function, parts = _call(tree)
    if function != _PATH or not parts:
        raise Malformed("no path")
    path: list[str | int] = []
    for part in parts:
        if type(part) is str:
            path.append(part)
        elif type(part) is cbor2.CBORTag and part.tag == cbor.ORDINAL and type(part.value) is int and path:
            if part.value < 0:
                raise Malformed("no index")
            path.append(part.value)
        else:
            raise Malformed("no path")
    if type(path[0]) is not str:
        raise Malformed("no path")
    return path


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise Malformed("no array")
    return value
