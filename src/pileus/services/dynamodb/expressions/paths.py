"""Document paths: names put in, reading, overlaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pileus.services.dynamodb import errors
from pileus.services.dynamodb.expressions.tree import Path
from pileus.services.dynamodb.values import Item, Value

Parts = tuple[str | int, ...]
Reader = Callable[[Item], Value | None]


def resolve(kind: str, path: Path, names: Mapping[str, str] | None) -> Parts:
    """The path's parts, with what `#names` stand for; where there are no `names`, they stand for themselves."""
    if names is None:
        return path.parts
    return tuple(_name(kind, part, names) if isinstance(part, str) and part[0] == "#" else part for part in path.parts)


def _name(kind: str, placeholder: str, names: Mapping[str, str]) -> str:
    name = names.get(placeholder)
    if name is None:
        raise errors.expression(
            kind,
            f"An expression attribute name used in the document path is not defined; attribute name: {placeholder}",
        )
    return name


def shown(parts: Parts) -> str:
    """As errors write a path: `[a, [1], b]`."""
    return f"[{', '.join(part if isinstance(part, str) else f'[{part}]' for part in parts)}]"


def reader(parts: Parts) -> Reader:
    """A function that gives what stands at the path in an item, or None."""
    first, *rest = parts
    assert isinstance(first, str)
    if not rest:
        return lambda item: item.get(first)

    def read(item: Item) -> Value | None:
        value = item.get(first)
        for part in rest:
            if value is None:
                return None
            value = child(value, part)
        return value

    return read


def child(value: Value, part: str | int) -> Value | None:
    """What stands in a map under a name, or in a list at an index; None where there is no such thing."""
    found: Value | None
    if isinstance(part, str):
        members = value.get("M")
        return None if members is None else members.get(part)
    elements = value.get("L")
    if elements is None or part >= len(elements):
        return None
    found = elements[part]
    return found


def check_overlaps(kind: str, paths: Sequence[Parts]) -> None:
    """Raise where one path is or leads to another, or two take the same thing once for a map and once for a list."""
    for at, one in enumerate(paths):
        for other in paths[:at]:
            word = _collision(other, one)
            if word:
                raise errors.expression(
                    kind,
                    f"Two document paths {word} with each other; must remove or rewrite one of these paths; "
                    f"path one: {shown(other)}, path two: {shown(one)}",
                )


def _collision(one: Parts, other: Parts) -> str:
    for left, right in zip(one, other, strict=False):
        if left != right:
            return "conflict" if isinstance(left, str) is not isinstance(right, str) else ""
    return "overlap"
