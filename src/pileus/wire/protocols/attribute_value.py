"""DynamoDB's AttributeValue by hand: items are what its requests and answers are made of.

The same results as the compiled shape gives, several times faster, because a value is looked at once instead of once
as a structure and once as its only member.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.kernel.errors import AWSError
from pileus.kernel.raw import RawJson, RawList
from pileus.model import Shape
from pileus.wire.protocols import faults, values
from pileus.wire.protocols.json_shapes import Convert, JsonShapes

_EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
# Kinds whose value is its own wire form.
_TEXTS = frozenset({"S", "N"})


class DynamoShapes(JsonShapes):
    """The shapes of DynamoDB and DynamoDB Streams."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self._decode_value, self._decode_map = _make_decoders(service)

    def structure_decoder(self, shape: Shape, names: list[str] | None = None) -> Convert:
        return self._decode_value if shape.name == "AttributeValue" else super().structure_decoder(shape, names)

    def _map_decoder(self, shape: Shape) -> Convert:
        return self._decode_map if shape.value.name == "AttributeValue" else super()._map_decoder(shape)

    def structure_encoder(self, shape: Shape, names: list[str] | None = None) -> Convert:
        if shape.name != "AttributeValue":
            return super().structure_encoder(shape, names)
        return encode

    def _map_encoder(self, shape: Shape) -> Convert:
        """Maps of attribute values may come as the JSON in which they are stored."""
        members = super()._map_encoder(shape)
        if shape.value.name != "AttributeValue":
            return members
        return lambda value: orjson.Fragment(value.json) if type(value) is RawJson else members(value)

    def _list_encoder(self, shape: Shape) -> Convert:
        """So may lists of such maps."""
        elements = super()._list_encoder(shape)
        if shape.element.type != "map" or shape.element.value.name != "AttributeValue":
            return elements
        return lambda value: orjson.Fragment(value.json) if type(value) is RawList else elements(value)


def _make_decoders(service: str) -> tuple[Convert, Convert]:
    """The decoders of a value and of a map of values."""
    wrong_type, bad_base64 = faults.wrong_type, faults.bad_base64
    parse_blob = values.parse_blob

    def text(value: Any) -> Any:
        if type(value) is not str:
            raise wrong_type(service, "string", value)
        return value

    def boolean(value: Any) -> Any:
        if value is not True and value is not False:
            raise wrong_type(service, "boolean", value)
        return value

    def blob(value: Any) -> Any:
        if type(value) is not str:
            raise wrong_type(service, "blob", value)
        try:
            return parse_blob(value)
        except ValueError:
            raise bad_base64(service, value) from None

    def listing(value: Any) -> Any:
        if type(value) is not list:
            raise wrong_type(service, "list", value)
        return value

    def present(value: Any) -> Any:
        if value is None:
            raise AWSError("ValidationException", _EMPTY, status=400)
        return value

    def texts(value: Any) -> Any:
        for item in listing(value):
            text(present(item))
        return value

    def blobs(value: Any) -> Any:
        return [blob(present(item)) for item in listing(value)]

    def items(value: Any) -> Any:
        return [decode(present(item)) for item in listing(value)]

    def mapping(value: Any) -> Any:
        if type(value) is not dict:
            raise wrong_type(service, "map", value)
        for key, item in value.items():
            # Texts are what most attributes are.
            if type(item) is dict and len(item) == 1 and type(item.get("S")) is str:
                continue
            value[key] = decode(item if item is not None else present(item))
        return value

    kinds = {
        "S": text,
        "N": text,
        "B": blob,
        "SS": texts,
        "NS": texts,
        "BS": blobs,
        "M": mapping,
        "L": items,
        "NULL": boolean,
        "BOOL": boolean,
    }

    def decode(value: Any) -> Any:
        if type(value) is not dict:
            raise wrong_type(service, "structure", value)
        # The parsed value is ours alone: it is changed in place, and where nothing is to be changed only looked at.
        odd = False
        for kind, item in value.items():
            if type(item) is str and (kind == "S" or kind == "N"):  # noqa: PLR1714 -- the fastest way to ask
                continue
            convert = kinds.get(kind)
            if convert is None or item is None:
                odd = True
            else:
                value[kind] = convert(item)
        if odd:
            return {kind: item for kind, item in value.items() if item is not None and kind in kinds}
        return value

    return decode, mapping


def encode(value: Any) -> Any:
    """What orjson takes for an AttributeValue: the value itself, unless there are bytes somewhere within."""
    for kind, item in value.items():
        if kind in _TEXTS:
            continue
        if kind == "M":
            return {"M": {key: encode(inner) for key, inner in item.items()}}
        if kind == "L":
            return {"L": [encode(inner) for inner in item]}
        if kind == "B":
            return {"B": values.blob_text(item)}
        if kind == "BS":
            return {"BS": [values.blob_text(inner) for inner in item]}
    return value
