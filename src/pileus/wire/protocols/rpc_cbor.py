"""smithy-rpc-v2-cbor: the operation in the path, everything else as CBOR in the body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from pileus.kernel.errors import AWSError
from pileus.model import Operation, ServiceModel, Shape
from pileus.wire import eventstream
from pileus.wire.message import HttpAnswer, HttpRequest
from pileus.wire.protocols import faults
from pileus.wire.protocols.errors import look_up, type_name
from pileus.wire.protocols.json_shapes import Convert, JsonShapes
from pileus.wire.protocols.rpc_json import merge_headers

CONTENT_TYPE = "application/cbor"
# What the AWS SDK for Java sends to Kinesis unless told otherwise; the rest of its content type.
OLDER_PROTOCOL = "x-amz-cbor-1.1"
_MAX_DEPTH = 100
# What the reader would turn into objects of its own: dates, big numbers, references, patterns, ...
_TAGS = (0, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
_PATH = re.compile(r"/service/([^/]+)/operation/([^/]+)/?$")


class CborCodec:
    """See `pileus.wire.protocols`."""

    def __init__(self, model: ServiceModel, protocol: str) -> None:
        self.protocol = protocol
        self._model = model
        # Kinesis's own CBOR, older than Smithy's: JSON 1.1 in other bytes, with timestamps in milliseconds.
        self._older = protocol == OLDER_PROTOCOL
        self._content_type = f"application/{protocol}" if self._older else CONTENT_TYPE
        self._shapes = JsonShapes(model.name, named=False, binary=True, ticks=1000 if self._older else 1)
        self._decoders: dict[str, Convert | None] = {}
        self._encoders: dict[str, Convert | None] = {}

    def find(self, request: HttpRequest) -> tuple[Operation, dict[str, str]]:
        if self._older:
            name = request.headers.get("x-amz-target", "").rpartition(".")[2]
        else:
            match = _PATH.search(request.path)
            name = match[2] if match is not None else ""
        if name not in self._model.operations:
            raise AWSError("UnknownOperationException", status=400 if self._older else 404)
        return self._model.operations[name], {}

    def decode(self, operation: Operation, request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
        try:
            decoder = self._decoders[operation.name]
        except KeyError:
            shape = operation.input
            decoder = self._decoders[operation.name] = None if shape is None else self._shapes.decoder(shape)
        value = read_cbor(request.body) if request.body else {}
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
        try:
            encoder = self._encoders[operation.name]
        except KeyError:
            shape = operation.output
            encoder = self._encoders[operation.name] = None if shape is None else self._shapes.encoder(shape)
        if operation.event_output is not None:
            return self._encode_events(operation, answer or {}, request_id)
        # An operation without an output has no body and no content type.
        if encoder is None:
            return self._answer(status or operation.status, b"", request_id, headers)
        return self._answer(status or operation.status, _dumps(encoder(answer or {})), request_id, headers)

    def encode_error(self, operation: Operation | None, error: AWSError, request_id: str) -> HttpAnswer:
        fault = look_up(self._model, error)
        content: dict[str, Any] = {"__type": type_name(self._model, fault)}
        content.update(self._shapes.encoder(fault.shape)(fault.members) if fault.shape is not None else fault.members)
        if fault.message and "message" not in content and "Message" not in content:
            content["message"] = fault.message
        headers = dict(error.headers)
        if self._model.query_compatible:
            headers["x-amzn-query-error"] = f"{fault.code};{fault.type}"
        return self._answer(fault.status, _dumps(content), request_id, headers)

    def _answer(self, status: int, body: bytes, request_id: str, extra: Mapping[str, str] | None) -> HttpAnswer:
        sent = self._headers(request_id)
        if body or self._older:
            sent.append(("Content-Type", self._content_type))
        if extra:
            merge_headers(sent, extra)
        return HttpAnswer(status, sent, body)

    def _encode_events(self, operation: Operation, answer: Mapping[str, Any], request_id: str) -> HttpAnswer:
        assert operation.output is not None
        assert operation.event_output is not None
        name = operation.event_output

        def body(shape: Shape, value: Any) -> bytes:
            return _dumps(self._shapes.encoder(shape)(value))

        events = eventstream.EventEncoder(operation.output.members[name], body, self._content_type)
        first = self._shapes.structure_encoder(operation.output, [n for n in operation.output.members if n != name])
        frames = events.encode(answer[name], _dumps(first(answer)))
        sent = [*self._headers(request_id), ("Content-Type", eventstream.CONTENT_TYPE)]
        return HttpAnswer(operation.status, sent, frames)

    def _headers(self, request_id: str) -> list[tuple[str, str]]:
        sent = [("x-amzn-RequestId", request_id)]
        return sent if self._older else [*sent, ("smithy-protocol", "rpc-v2-cbor")]


def _time(value: Any, *_: Any) -> Any:
    return value


def _refuse(*_: Any) -> Any:
    raise ValueError("no AWS protocol has this tag")


def read_cbor(body: bytes) -> Any:
    """The parsed body, timestamps as seconds. Raises `SerializationException`."""
    import cbor2

    stream = BytesIO(body)
    try:
        value = cbor2.CBORDecoder(
            stream,
            max_depth=_MAX_DEPTH,
            strict_hashable_types=True,
            semantic_decoders=dict.fromkeys(_TAGS, _refuse) | {1: _time},
        ).decode()
    except Exception:  # noqa: BLE001 -- whatever the reader trips over, it tripped over the caller's bytes
        raise faults.serialization() from None
    if stream.tell() != len(body):
        raise faults.serialization()
    return value


def _dumps(value: Any) -> bytes:
    import cbor2

    return cbor2.dumps(value)
