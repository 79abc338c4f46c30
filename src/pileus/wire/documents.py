"""Requests and answers as JSON documents, whatever protocol the service itself speaks: see `cloud.context.Documents`.

Universal targets of schedules and SDK integrations of state machines name an operation and give its members in JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from pileus.kernel.errors import AWSError
from pileus.kernel.streams import BytesStream
from pileus.model import ModelNotFound, Operation, ServiceModel, Shape
from pileus.wire import constraints
from pileus.wire.protocols import faults
from pileus.wire.protocols.json_shapes import Convert, JsonShapes


class _Shapes(JsonShapes):
    """Members by the model's names, their first letter in either case; blobs as base64 or as plain text."""

    def __init__(self, service: str, *, text_blobs: bool) -> None:
        super().__init__(service, named=False)
        self._text_blobs = text_blobs

    def _make_structure_decoder(self, shape: Shape, names: list[str]) -> Convert:
        decode = super()._make_structure_decoder(shape, names)
        spelled = {name[:1].swapcase() + name[1:]: name for name in names}

        def decode_spelled(value: Any) -> Any:
            if type(value) is dict and not spelled.keys().isdisjoint(value):
                value = {spelled.get(key, key): item for key, item in value.items()}
            return decode(value)

        return decode_spelled

    def _blob_decoder(self) -> Convert:
        if not self._text_blobs:
            return super()._blob_decoder()

        def decode(value: Any) -> bytes:
            # What is JSON itself is taken as its text.
            return value.encode() if type(value) is str else orjson.dumps(value)

        return decode

    def encoder(self, shape: Shape) -> Convert:
        if shape.type == "blob" and self._text_blobs:
            return lambda value: bytes(value).decode(errors="replace")
        return super().encoder(shape)


class Documents:
    """See `cloud.context.Documents`. `model` loads a service's model."""

    def __init__(self, model: Callable[[str], ServiceModel]) -> None:
        self._model = model
        self._shapes: dict[tuple[str, bool], _Shapes] = {}

    def request(self, service: str, operation: str, document: Any, *, text_blobs: bool = False) -> dict[str, Any]:
        model, found = self._find(service, operation)
        members: dict[str, Any] = {}
        if found.input is not None:
            stream = found.streaming_input
            try:
                shapes = self._of(service, text_blobs)
                members = shapes.decoder(found.input)(document)
            except RecursionError:
                raise faults.serialization() from None
            if stream is not None and stream in members:
                members[stream] = BytesStream(members[stream])
        elif type(document) is not dict:
            raise faults.wrong_type(service, "structure", document)
        constraints.check(model, found, members)
        return members

    def answer(self, service: str, operation: str, members: Mapping[str, Any], *, text_blobs: bool = False) -> Any:
        _, found = self._find(service, operation)
        if found.output is None:
            return {}
        return self._of(service, text_blobs).encoder(found.output)(members)

    def _find(self, service: str, operation: str) -> tuple[ServiceModel, Operation]:
        try:
            model = self._model(service)
            return model, model.operations[operation]
        except (ModelNotFound, KeyError):
            raise AWSError("UnknownOperationException", f"There is no operation {service}:{operation}.") from None

    def _of(self, service: str, text_blobs: bool) -> _Shapes:
        key = (service, text_blobs)
        if key not in self._shapes:
            self._shapes[key] = _Shapes(service, text_blobs=text_blobs)
        return self._shapes[key]
