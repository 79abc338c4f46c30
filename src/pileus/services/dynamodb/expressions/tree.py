"""The syntax tree: names and values stand in it as they are written."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Path(msgspec.Struct, frozen=True, eq=False):
    """`a.#b[2]`: ("a", "#b", 2)."""

    parts: tuple[str | int, ...]


class ValueRef(msgspec.Struct, frozen=True, eq=False):
    """`:v`, with its colon."""

    name: str


class Call(msgspec.Struct, frozen=True, eq=False):
    function: str
    operands: tuple[Operand, ...]


class Arithmetic(msgspec.Struct, frozen=True, eq=False):
    """`left + right`, `left - right`; in updates only."""

    operator: str
    left: Operand
    right: Operand


Operand = Path | ValueRef | Call | Arithmetic


class Comparison(msgspec.Struct, frozen=True, eq=False):
    """=, <>, <, <=, >, >= with two operands; BETWEEN with three; IN with any number after the first."""

    operator: str
    operands: tuple[Operand, ...]


class Not(msgspec.Struct, frozen=True, eq=False):
    condition: Condition


class Junction(msgspec.Struct, frozen=True, eq=False):
    """AND, OR over two or more conditions."""

    operator: str
    conditions: tuple[Condition, ...]


# A call is a condition where its function says yes or no.
Condition = Comparison | Call | Not | Junction


class Action(msgspec.Struct, frozen=True, eq=False):
    """One clause of an update: SET path = value, REMOVE path, ADD path value, DELETE path value."""

    section: str
    path: Path
    value: Operand | None


class Parsed(msgspec.Struct, Generic[T], frozen=True, eq=False):
    """A parsed text: its tree, and the names and values that it uses, in the order of their first use."""

    tree: T
    names: tuple[str, ...]
    values: tuple[str, ...]
