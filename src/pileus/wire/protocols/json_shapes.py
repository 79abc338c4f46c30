"""Compiling shapes to functions between JSON values (what a JSON or CBOR parser gives) and members.

A decoder takes a parsed value and gives the member's; an encoder goes the other way. Both are closures over what the
model says, made once per shape, so that nothing is looked up while a request is served.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pileus.kernel.errors import AWSError
from pileus.model import Shape
from pileus.wire.protocols import faults, values

Convert = Callable[[Any], Any]

_INTEGRAL = ("integer", "long", "biginteger")
_FLOATING = ("float", "double", "bigdecimal")
_NO_LIMITS = (-(10**400), 10**400)


def identity(value: Any) -> Any:
    return value


class JsonShapes:
    """The compiled shapes of one service in one of the protocols that carry JSON values.

    `named`: whether a member's `locationName` is its name on the wire. `binary`: whether blobs and timestamps travel as
    values of their own (CBOR) instead of as text and numbers. `ticks`: how many of a number that is a timestamp make a
    second.
    """

    def __init__(self, service: str, *, named: bool = True, binary: bool = False, ticks: int = 1) -> None:
        self._service = service
        self._named = named
        self._binary = binary
        self._ticks = ticks
        self._decoders: dict[str, Convert] = {}
        self._encoders: dict[str, Convert] = {}

    # -- decoding

    def decoder(self, shape: Shape) -> Convert:
        """The function from a parsed value to the member's. It raises `AWSError`."""
        match shape.type:
            case "structure":
                return self.structure_decoder(shape)
            case "list":
                return self._list_decoder(shape)
            case "map":
                return self._map_decoder(shape)
            case "timestamp":
                return self._timestamp_decoder(shape)
            case "blob":
                return self._blob_decoder()
            case "boolean":
                return self._boolean_decoder()
            case kind if kind in _INTEGRAL:
                return self._integer_decoder(kind)
            case kind if kind in _FLOATING:
                return self._float_decoder(kind)
            case _:
                return self._string_decoder()

    def structure_decoder(self, shape: Shape, names: list[str] | None = None) -> Convert:
        """`names`: only these members count (rest: those that travel in the body)."""
        if shape.is_document:
            return identity
        if names is not None:
            return self._make_structure_decoder(shape, names)
        made = self._decoders.get(shape.name)
        if made is not None:
            return made

        # A shape that holds itself meets this while it is being made.
        def later(value: Any) -> Any:
            return self._decoders[shape.name](value)

        self._decoders[shape.name] = later
        self._decoders[shape.name] = made = self._make_structure_decoder(shape, list(shape.members))
        return made

    def _make_structure_decoder(self, shape: Shape, names: list[str]) -> Convert:
        service, members = self._service, shape.members
        fields = {self._wire_name(name, members[name]): (name, self.decoder(members[name])) for name in names}

        def decode(value: Any) -> Any:
            if type(value) is not dict:
                raise faults.wrong_type(service, "structure", value)
            found = {}
            for key, item in value.items():
                if item is not None:
                    field = fields.get(key)
                    if field is not None:
                        found[field[0]] = field[1](item)
            return found

        return decode

    def _wire_name(self, name: str, shape: Shape) -> str:
        return (shape.location_name or name) if self._named else name

    def _list_decoder(self, shape: Shape) -> Convert:
        service, element = self._service, self.decoder(shape.element)

        def decode(value: Any) -> Any:
            if type(value) is not list:
                raise faults.wrong_type(service, "list", value)
            # Nulls are kept: whether they may be there is a matter of the constraints.
            return [None if item is None else element(item) for item in value]

        return decode

    def _map_decoder(self, shape: Shape) -> Convert:
        service, element, binary = self._service, self.decoder(shape.value), self._binary

        def decode(value: Any) -> Any:
            if type(value) is not dict:
                raise faults.wrong_type(service, "map", value)
            if binary and any(type(key) is not str for key in value):
                raise faults.wrong_type(service, "string", next(key for key in value if type(key) is not str))
            return {key: None if item is None else element(item) for key, item in value.items()}

        return decode

    def _string_decoder(self) -> Convert:
        service = self._service

        def decode(value: Any) -> Any:
            if type(value) is not str:
                raise faults.wrong_type(service, "string", value)
            return value

        return decode

    def _boolean_decoder(self) -> Convert:
        service = self._service

        def decode(value: Any) -> Any:
            if value is not True and value is not False:
                raise faults.wrong_type(service, "boolean", value)
            return value

        return decode

    def _integer_decoder(self, kind: str) -> Convert:
        service = self._service
        low, high = values.INTEGER_LIMITS.get(kind, _NO_LIMITS)

        def decode(value: Any) -> Any:
            if type(value) is float and math.isfinite(value):
                # AWS's reader cuts a fraction off.
                value = int(value)
            if type(value) is not int or not low <= value <= high:
                raise faults.wrong_type(service, kind, value)
            return value

        return decode

    def _float_decoder(self, kind: str) -> Convert:
        service = self._service

        def decode(value: Any) -> Any:
            if type(value) is float or type(value) is int:
                return value
            if value in ("NaN", "Infinity", "-Infinity") and type(value) is str:
                return float(value)
            raise faults.wrong_type(service, kind, value)

        return decode

    def _timestamp_decoder(self, shape: Shape) -> Convert:
        service, ticks = self._service, self._ticks
        form = shape.traits.get("timestampFormat", "unixtimestamp").lower()

        def decode(value: Any) -> Any:
            try:
                if type(value) is float or type(value) is int:
                    return values.check_timestamp(value / ticks)
                if type(value) is str and form != "unixtimestamp":
                    return values.parse_timestamp(value, form)
            except (ValueError, OverflowError):
                pass
            raise faults.wrong_type(service, "timestamp", value)

        return decode

    def _blob_decoder(self) -> Convert:
        service, binary = self._service, self._binary

        def decode(value: Any) -> Any:
            if binary and type(value) is bytes:
                return value
            if binary or type(value) is not str:
                raise faults.wrong_type(service, "blob", value)
            try:
                return values.parse_blob(value)
            except ValueError:
                raise faults.bad_base64(service, value) from None

        return decode

    # -- encoding

    def encoder(self, shape: Shape) -> Convert:
        """The function from a member's value to what the JSON or CBOR writer takes."""
        match shape.type:
            case "structure":
                return self.structure_encoder(shape)
            case "list":
                return self._list_encoder(shape)
            case "map":
                return self._map_encoder(shape)
            case "timestamp":
                return self._timestamp_encoder(shape)
            case "blob":
                return identity if self._binary else values.blob_text
            case kind if kind in _FLOATING:
                return identity if self._binary else _encode_float
            case _:
                return identity

    def structure_encoder(self, shape: Shape, names: list[str] | None = None) -> Convert:
        """`names`: only these members count (rest: those that travel in the body)."""
        if shape.is_document:
            return identity
        if names is not None:
            return self._make_structure_encoder(shape, names)
        made = self._encoders.get(shape.name)
        if made is not None:
            return made

        def later(value: Any) -> Any:
            return self._encoders[shape.name](value)

        self._encoders[shape.name] = later
        self._encoders[shape.name] = made = self._make_structure_encoder(shape, list(shape.members))
        return made

    def _make_structure_encoder(self, shape: Shape, names: list[str]) -> Convert:
        members = shape.members
        fields = {}
        for name in names:
            convert = self.encoder(members[name])
            fields[name] = (self._wire_name(name, members[name]), None if convert is identity else convert)

        def encode(value: Any) -> Any:
            found = {}
            for key, item in value.items():
                if item is not None:
                    field = fields.get(key)
                    if field is not None:
                        found[field[0]] = item if field[1] is None else field[1](item)
            return found

        return encode

    def _list_encoder(self, shape: Shape) -> Convert:
        element = self.encoder(shape.element)
        if element is identity:
            return list
        return lambda value: [None if item is None else element(item) for item in value]

    def _map_encoder(self, shape: Shape) -> Convert:
        element = self.encoder(shape.value)
        if element is identity:
            return identity
        return lambda value: {key: None if item is None else element(item) for key, item in value.items()}

    def _timestamp_encoder(self, shape: Shape) -> Convert:
        if self._binary:
            ticks = self._ticks
            return lambda value: _tagged_timestamp(value * ticks)
        match shape.traits.get("timestampFormat", "unixtimestamp").lower():
            case "iso8601":
                return values.iso8601
            case "rfc822":
                return values.rfc822
            case _:
                return values.unix


def _encode_float(value: Any) -> Any:
    return value if math.isfinite(value) else values.float_text(value)


def _tagged_timestamp(value: Any) -> Any:
    from cbor2 import CBORTag

    return CBORTag(1, values.unix(value))


def message_of(error: AWSError) -> dict[str, Any]:
    """An error's members with its message, under the name that most shapes give it."""
    return {"message": error.message, **error.members}
