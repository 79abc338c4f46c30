"""Requests and answers as JSON documents, whatever protocol the service itself speaks: see `cloud.context.Documents`.

Universal targets of schedules and SDK integrations of state machines name an operation and give its members in JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from pileus.kernel.errors import AWSError
from pileus.kernel.streams import BytesStream
from pileus.model import ModelNotFound, Operation, ServiceModel
from pileus.wire import clean, constraints
from pileus.wire.protocols import faults

if TYPE_CHECKING:
    from pileus.wire.protocols.json_shapes import JsonShapes


class Documents:
    """See `cloud.context.Documents`. `model` loads a service's model."""

    def __init__(self, model: Callable[[str], ServiceModel]) -> None:
        self._model = model
        self._shapes: dict[tuple[str, bool], JsonShapes] = {}

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
        constraints.check_named(model, found, members)
        return members

    def read(self, service: str, operation: str, body: bytes) -> dict[str, Any]:
        members = clean.read(*self._find(service, operation), body)
        if members is not None:
            return members
        try:
            document = orjson.loads(body)
        except ValueError:
            raise faults.serialization() from None
        return self.request(service, operation, document)

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

    def _of(self, service: str, text_blobs: bool) -> JsonShapes:
        # Few nodes need it, and none for its first answer.
        from pileus.wire.protocols.attribute_value import DynamoShapes
        from pileus.wire.protocols.document_shapes import DocumentShapes

        key = (service, text_blobs)
        if key not in self._shapes:
            dynamo = service == "dynamodb" and not text_blobs
            self._shapes[key] = DynamoShapes(service) if dynamo else DocumentShapes(service, text_blobs=text_blobs)
        return self._shapes[key]
