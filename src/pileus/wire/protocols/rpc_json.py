"""JSON 1.0 and 1.1: one path, the operation in `X-Amz-Target`, everything else in the body."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from pileus.kernel.errors import AWSError
from pileus.model import Operation, ServiceModel
from pileus.wire import eventstream
from pileus.wire.message import HttpAnswer, HttpRequest
from pileus.wire.protocols import faults
from pileus.wire.protocols.attribute_value import DynamoShapes
from pileus.wire.protocols.errors import Fault, look_up, type_name
from pileus.wire.protocols.json_shapes import Convert, JsonShapes

# Errors whose message the frame spells "Message".
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_CAPITAL_MESSAGE = frozenset({"SerializationException", "AccessDeniedException"})


class JsonCodec:
    """See `pileus.wire.protocols`."""

    protocol = "json"

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._content_type = f"application/x-amz-json-{model.metadata.json_version}"
        dynamo = model.name in ("dynamodb", "dynamodbstreams")
        self._shapes = DynamoShapes(model.name) if dynamo else JsonShapes(model.name)
        self._checksum = dynamo
        self._decoders: dict[str, Convert | None] = {}
        self._encoders: dict[str, Convert | None] = {}

    def find(self, request: HttpRequest) -> tuple[Operation, dict[str, str]]:
        target = request.headers.get("x-amz-target", "")
        name = target.rpartition(".")[2]
        if name not in self._model.operations:
            raise AWSError("UnknownOperationException", status=400)
        return self._model.operations[name], {}

    def decode(self, operation: Operation, request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
        try:
            decoder = self._decoders[operation.name]
        except KeyError:
            shape = operation.input
            decoder = self._decoders[operation.name] = None if shape is None else self._shapes.decoder(shape)
        value = read_json(request.body)
        if decoder is None:
            return {}
        try:
            members: dict[str, Any] = decoder(value)
        except RecursionError:
            raise faults.serialization() from None
        return members

    def encode(
        self,
        operation: Operation,
        answer: Mapping[str, Any] | None,
        request_id: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        answer = answer or {}
        try:
            encoder = self._encoders[operation.name]
        except KeyError:
            if operation.event_output is not None:
                return self._encode_events(operation, answer, request_id)
            shape = operation.output
            encoder = self._encoders[operation.name] = None if shape is None else self._shapes.encoder(shape)
        body = b"" if encoder is None else orjson.dumps(encoder(answer))
        return self._answer(status or operation.status, body, request_id, headers)

    def encode_error(self, operation: Operation | None, error: AWSError, request_id: str) -> HttpAnswer:
        fault = look_up(self._model, error)
        body = self._error_body(fault)
        headers = dict(error.headers)
        if self._model.query_compatible:
            headers["x-amzn-query-error"] = f"{fault.code};{fault.type}"
        return self._answer(fault.status, body, request_id, headers)

    def _error_body(self, fault: Fault) -> bytes:
        content: dict[str, Any] = {"__type": type_name(self._model, fault)}
        if fault.shape is not None:
            content.update(self._shapes.encoder(fault.shape)(fault.members))
        else:
            content.update(fault.members)
        if fault.name == "ConditionalCheckFailedException" and "Item" in content and "message" in content:
            # With the item, DynamoDB spells it otherwise than its model does.
            content["Message"] = content.pop("message")
        if fault.message and "message" not in content and "Message" not in content:
            content["Message" if fault.name in _CAPITAL_MESSAGE else "message"] = fault.message
        return orjson.dumps(content, default=str)

    def _answer(self, status: int, body: bytes, request_id: str, extra: Mapping[str, str] | None) -> HttpAnswer:
        headers = [("x-amzn-RequestId", request_id), ("Content-Type", self._content_type)]
        if self._checksum:
            headers.append(("x-amz-crc32", str(zlib.crc32(body))))
        if extra:
            merge_headers(headers, extra)
        return HttpAnswer(status, headers, body)

    def _encode_events(self, operation: Operation, answer: Mapping[str, Any], request_id: str) -> HttpAnswer:
        assert operation.output is not None
        assert operation.event_output is not None
        name = operation.event_output
        events = eventstream.EventEncoder(
            operation.output.members[name],
            lambda shape, value: orjson.dumps(self._shapes.encoder(shape)(value)),
            self._content_type,
        )
        first = self._shapes.structure_encoder(operation.output, [n for n in operation.output.members if n != name])
        body = events.encode(answer[name], orjson.dumps(first(answer)))
        headers = [("x-amzn-RequestId", request_id), ("Content-Type", eventstream.CONTENT_TYPE)]
        return HttpAnswer(operation.status, headers, body)


def read_json(body: bytes) -> Any:
    """The parsed body; no body is an empty object. Raises `SerializationException`."""
    if not body:
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise faults.serialization() from None


def merge_headers(headers: list[tuple[str, str]], extra: Mapping[str, str]) -> None:
    """Add `extra` in place; a header that is there already is replaced."""
    lower = {name.lower() for name in extra}
    headers[:] = [header for header in headers if header[0].lower() not in lower]
    headers += [(name, header_text(value)) for name, value in extra.items()]


def header_text(text: str) -> str:
    """`text` as a header can hold it: no line breaks or other controls (they would end it), UTF-8 beyond latin-1."""
    if text.isascii() and text.isprintable():
        return text
    text = _CONTROLS.sub(" ", text)
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("latin-1")
    return text
