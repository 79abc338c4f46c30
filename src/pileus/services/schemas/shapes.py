"""What events look like: the shape of one, of several together, and the OpenAPI document that says it. Pure logic.

Source: "Inferring schemas from event bus events" of the EventBridge user guide; the OpenAPI specification 3.0. How AWS
puts several events into one schema is not documented: here what one of them lacks is not required.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

REFERENCE = "#/components/schemas/"
_ENVELOPE = ("detail-type", "resources", "detail", "id", "source", "time", "region", "version", "account")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_KINDS = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"))


class Shape(msgspec.Struct, omit_defaults=True):
    """What values in one place look like."""

    # "null", "boolean", "integer", "number", "string", "array", "object"
    kinds: set[str]
    # Whether all its strings are times.
    times: bool = True
    # Of its arrays.
    items: Shape | None = None
    # Of its objects, and which of them every object has.
    members: dict[str, Shape] = {}
    required: set[str] = set()


def shape_of(values: Sequence[Any]) -> Shape:
    """The shape of all of them together; each is looked at once, however many there are."""
    objects = [value for value in values if isinstance(value, dict)]
    members: dict[str, list[Any]] = {}
    for value in objects:
        for name, member in value.items():
            members.setdefault(name, []).append(member)
    items = [item for value in values if isinstance(value, list) for item in value]
    return Shape(
        {_kind(value) for value in values},
        times=all(_TIME.fullmatch(value) for value in values if isinstance(value, str)),
        items=shape_of(items) if items else None,
        members={name: shape_of(found) for name, found in members.items()},
        required={name for name, found in members.items() if len(found) == len(objects)},
    )


def names_in(value: Any, most: int) -> int:
    """How many names the objects within have; counted no further than to more than `most`."""
    count, left = 0, [value]
    while left and count <= most:
        one = left.pop()
        if isinstance(one, dict):
            count += len(one)
            left += [each for each in one.values() if isinstance(each, dict | list)]
        elif isinstance(one, list):
            # What is in a list has the one shape of all that is in it, and is looked at one by one.
            count += len(one)
            left += [each for each in one if isinstance(each, dict | list)]
    return count


def size(shape: Shape) -> int:
    """How many names a shape has."""
    return sum(1 + size(member) for member in shape.members.values()) + (size(shape.items) if shape.items else 0)


def merged(one: Shape, other: Shape) -> Shape:
    """The shape of both together."""
    if "object" not in one.kinds or "object" not in other.kinds:
        required = one.required | other.required
    else:
        required = one.required & other.required
    members = {
        name: merged(shape, other.members[name]) if name in other.members else shape
        for name, shape in one.members.items()
    }
    items = one.items or other.items
    return Shape(
        one.kinds | other.kinds,
        times=one.times and other.times,
        items=merged(one.items, other.items) if one.items and other.items else items,
        members=members | {name: shape for name, shape in other.members.items() if name not in members},
        required=required,
    )


def document_of(shape: Shape, *, source: str = "", detail_type: str = "") -> dict[str, Any]:
    """The OpenAPI document of events of this shape; those of EventBridge have a source and a detail type."""
    components = _Components()
    if detail_type:
        title, root = component_name(detail_type), "AWSEvent"
        shown = _object(shape, components, root, names={"detail": title})
        shown["required"] = [member for member in _ENVELOPE if member in shown["required"]] + [
            member for member in shown["required"] if member not in _ENVELOPE
        ]
        shown["x-amazon-events-detail-type"] = detail_type
        shown["x-amazon-events-source"] = source
    else:
        title = root = "Event"
        shown = _object(shape, components, root)
    return {
        "openapi": "3.0.0",
        "info": {"version": "1.0.0", "title": title},
        "paths": {},
        "components": {"schemas": {root: shown} | components.found},
    }


class _Components:
    """The schemas of objects within objects, each under a name of its own."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        # The number behind which names are free, by what they begin with.
        self._numbers: dict[str, int] = {}

    def add(self, name: str, taken: str) -> str:
        """A name for one more, which is not `taken`; what is under it comes later."""
        unique, number = name, self._numbers.get(name, 0)
        while unique in self.found or unique == taken:
            number += 1
            unique = f"{name}_{number}"
        self._numbers[name] = number
        self.found[unique] = {}
        return unique


def component_name(text: str) -> str:
    """ "order placed" as the name of a component: "OrderPlaced"."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", text) if word) or "Event"


def _object(shape: Shape, components: _Components, name: str, names: dict[str, str] | None = None) -> dict[str, Any]:
    """The schema of objects, whose objects become components of their own."""
    return {
        "type": "object",
        "required": [member for member in shape.members if member in shape.required],
        "properties": {
            member: _shown(one, components, (names or {}).get(member) or component_name(member), taken=name)
            for member, one in shape.members.items()
        },
    }


def _shown(shape: Shape, components: _Components, name: str, taken: str) -> dict[str, Any]:
    kinds = shape.kinds - {"null"}
    nullable = "null" in shape.kinds
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    # Values of several kinds, or of none that is known, are any objects.
    shown: dict[str, Any] = {"type": "object"}
    if kinds == {"object"}:
        unique = components.add(name, taken)
        components.found[unique] = _object(shape, components, unique)
        return {"$ref": REFERENCE + unique}
    if kinds == {"array"}:
        items = {"type": "object"} if shape.items is None else _shown(shape.items, components, f"{name}Item", taken)
        shown = {"type": "array", "items": items}
    elif len(kinds) == 1:
        shown = {"type": next(iter(kinds))}
        if shown["type"] == "string" and shape.times:
            shown["format"] = "date-time"
    return shown | {"nullable": True} if nullable else shown


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    # In this order: a bool is an int, too.
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return "object"
