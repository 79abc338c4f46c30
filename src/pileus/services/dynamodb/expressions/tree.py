"""The syntax tree: names and values stand in it as they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """`a.#b[2]`: ("a", "#b", 2)."""

    parts: tuple[str | int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ValueRef:
    """`:v`, with its colon."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    function: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Arithmetic:
    """`left + right`, `left - right`; in updates only."""

    operator: str
    left: Operand
    right: Operand


Operand = Path | ValueRef | Call | Arithmetic


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """=, <>, <, <=, >, >= with two operands; BETWEEN with three; IN with any number after the first."""

    operator: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Not:
    condition: Condition


@dataclass(frozen=True, slots=True, eq=False)
class Junction:
    """AND, OR over two or more conditions."""

    operator: str
    conditions: tuple[Condition, ...]


# A call is a condition where its function says yes or no.
Condition = Comparison | Call | Not | Junction


@dataclass(frozen=True, slots=True, eq=False)
class Action:
    """One clause of an update: SET path = value, REMOVE path, ADD path value, DELETE path value."""

    section: str
    path: Path
    value: Operand | None


@dataclass(frozen=True, slots=True, eq=False)
class Parsed(Generic[T]):
    """A parsed text: its tree, and the names and values that it uses, in the order of their first use."""

    tree: T
    names: tuple[str, ...]
    values: tuple[str, ...]
