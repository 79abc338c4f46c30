"""Trees to pickers: which parts of an item are answered.

Source: "Using projection expressions in DynamoDB".
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pileus.services.dynamodb.expressions.cache import remembered
from pileus.services.dynamodb.expressions.parser import parse_projection
from pileus.services.dynamodb.expressions.paths import Parts, check_overlaps, resolve
from pileus.services.dynamodb.values import Item, Value

KIND = "ProjectionExpression"


class Projection(msgspec.Struct, frozen=True, eq=False):
    pick: Callable[[Item], Item]
    # The top-level attributes that it takes from.
    attributes: tuple[str, ...]


@remembered
def compile_projection(text: str, names: tuple[tuple[str, str], ...]) -> Projection:
    """The text's picker, where `names` are those ExpressionAttributeNames that it uses."""
    named = dict(names)
    paths = [resolve(KIND, path, named) for path in parse_projection(text).tree]
    check_overlaps(KIND, paths)
    return picker(paths)


def picker(paths: list[Parts]) -> Projection:
    """A projection on paths none of which leads to another."""
    attributes = tuple(dict.fromkeys(str(path[0]) for path in paths))
    if all(len(path) == 1 for path in paths):
        return Projection(lambda item: {name: item[name] for name in attributes if name in item}, attributes)
    tree = _tree(paths)

    def pick(item: Item) -> Item:
        return {
            str(name): picked
            for name, branch in tree.items()
            if (value := item.get(str(name))) is not None and (picked := _pick(value, branch)) is not None
        }

    return Projection(pick, attributes)


# What is taken below a part of a path; nothing below it: all of it is taken.
_Branches = dict[str | int, "_Branches"]


def _tree(paths: list[Parts]) -> _Branches:
    root: _Branches = {}
    for path in paths:
        branches = root
        for part in path:
            branches = branches.setdefault(part, {})
    return root


def _pick(value: Value, branches: _Branches) -> Value | None:
    """The parts of `value` that `branches` name; None where it has none of them."""
    if not branches:
        return value
    if (members := value.get("M")) is not None:
        picked = {
            name: inner
            for name, below in branches.items()
            if (member := members.get(name)) is not None and (inner := _pick(member, below)) is not None
        }
        return {"M": picked} if picked else None
    if (elements := value.get("L")) is not None:
        # Elements keep their order and lose their gaps.
        chosen = [
            inner
            for index in sorted(part for part in branches if isinstance(part, int))
            if index < len(elements) and (inner := _pick(elements[index], branches[index])) is not None
        ]
        return {"L": chosen} if chosen else None
    return None
