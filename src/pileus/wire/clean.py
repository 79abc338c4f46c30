"""JSON requests in which nothing is wrong, as nearly all are: read and checked in one go, by msgspec.

An operation's input is made a type for msgspec that takes nothing which the codec's decoder and the modelled
constraints would not take, and gives the same members, at a small part of their cost. What it does not take goes their
way: they know what is to be said of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Required, TypedDict

import msgspec
from msgspec import Meta

from pileus.model import Operation, ServiceModel, Shape
from pileus.wire import constraints
from pileus.wire.patterns import simple
from pileus.wire.protocols.values import INTEGER_LIMITS

# No value is of this type: it stands for what only the codec reads.
_NOTHING = Annotated[str, Meta(min_length=1, max_length=0)]
_LONG = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class AttributeValue(TypedDict, total=False):
    """DynamoDB's. Its operations check what is in it."""

    S: str
    N: str
    B: bytes
    SS: list[str]
    NS: list[str]
    BS: list[bytes]
    M: dict[str, AttributeValue]
    L: list[AttributeValue]
    NULL: bool
    BOOL: bool


# Types made while running are beyond mypy.
_List: Any = list
_Dict: Any = dict
_Literal: Any = Literal
_Required: Any = Required
_typed_dict: Any = TypedDict


class _Reader(NamedTuple):
    """What reads an operation's input, and whether that leaves constraints to be checked."""

    decoder: msgspec.json.Decoder[dict[str, Any]]
    unchecked: bool


def read(model: ServiceModel, operation: Operation, body: bytes) -> dict[str, Any] | None:
    """The members of a request of a JSON protocol, checked; None where it is to be read by its codec.

    Raises what `constraints.check` does.
    """
    try:
        reader = operation.codecs["clean"]
    except KeyError:
        reader = operation.codecs["clean"] = _compile(model, operation)
    # Which characters count as two, and what half of one is, is the codec's matter.
    if reader is None or not body.isascii() or b"\\u" in body:
        return None
    try:
        members: dict[str, Any] = reader.decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if reader.unchecked:
        constraints.check(model, operation, members)
    return members


def _compile(model: ServiceModel, operation: Operation) -> _Reader | None:
    if operation.input is None:
        return None
    types = _Types(model, operation)
    return _Reader(msgspec.json.Decoder(types.structure(operation.input)), types.unchecked)


class _Types:
    """Makes the types of one operation."""

    def __init__(self, model: ServiceModel, operation: Operation) -> None:
        self._model = model
        self._operation = operation
        # Whether it is only looked for what is missing.
        self._lenient = constraints.style_of(model).only_missing
        self._made: dict[str, Any] = {}
        # Whether anything is demanded that these types do not tell.
        self.unchecked = False

    def value(self, shape: Shape) -> Any:
        match shape.type:
            case "structure":
                return self.structure(shape)
            case "list":
                return self._measured(_List[self._inner(shape, shape.element)], shape)
            case "map":
                return self._measured(_Dict[self._text(shape.key), self._inner(shape, shape.value)], shape)
            case "string":
                return self._text(shape)
            case "blob":
                return self._measured(bytes, shape)
            case "boolean":
                return bool
            case "integer" | "long":
                return self._integer(shape)
            case "float" | "double":
                traits = self._traits(shape)
                if "min" in traits or "max" in traits:
                    self.unchecked = True
                return _LONG | float
        return _NOTHING

    def structure(self, shape: Shape) -> Any:
        if shape.name == "AttributeValue" and self._model.name in ("dynamodb", "dynamodbstreams"):
            return AttributeValue
        if shape.is_document or shape.is_eventstream:
            return _NOTHING
        if shape.name not in self._made:
            # Of one that holds itself.
            self._made[shape.name] = _NOTHING
            self._made[shape.name] = self._structure(shape)
        return self._made[shape.name]

    def _structure(self, shape: Shape) -> Any:
        if shape.is_union:
            self.unchecked = True
        members: dict[str, Any] = {}
        for name, member in shape.members.items():
            wire_name = member.location_name or name
            # What is named otherwise in the request would have to be renamed.
            kind = self.value(member) if wire_name == name else _NOTHING
            members[wire_name] = _Required[kind] if name in shape.required else kind
        return _typed_dict(shape.name, members, total=False)

    def _inner(self, outer: Shape, shape: Shape) -> Any:
        """Of what a list or a map holds."""
        kind = self.value(shape)
        return kind | None if outer.traits.get("sparse") else kind

    def _text(self, shape: Shape) -> Any:
        traits = self._traits(shape)
        pattern = simple(traits["pattern"]) if traits.get("pattern") else None
        if traits.get("pattern") and (pattern is None or traits.get("enum")):
            self.unchecked = True
        if traits.get("enum"):
            return _Literal[tuple(traits["enum"])]
        return self._measured(str if pattern is None else Annotated[str, Meta(pattern=pattern)], shape)

    def _measured(self, kind: Any, shape: Shape) -> Any:
        traits = self._traits(shape)
        low, high = traits.get("min"), traits.get("max")
        return kind if low is None and high is None else Annotated[kind, Meta(min_length=low, max_length=high)]

    def _integer(self, shape: Shape) -> Any:
        least, most = INTEGER_LIMITS[shape.type]
        traits = self._traits(shape)
        low, high = traits.get("min"), traits.get("max")
        return Annotated[int, Meta(ge=least if low is None else low, le=most if high is None else high)]

    def _traits(self, shape: Shape) -> Mapping[str, Any]:
        return {} if self._lenient else constraints.traits_of(self._model, self._operation, shape)
