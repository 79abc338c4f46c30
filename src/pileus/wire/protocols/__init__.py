"""Codecs: between an HTTP request or answer and an operation's members. One interface for every protocol.

    model = pileus.model.load("dynamodb")
    codec = codec_for(model, request)               the protocol that the request speaks (or: codec(model, "json"))
    operation, labels = codec.find(request)         AWSError where there is no such operation
    members = codec.decode(operation, request, labels)
    constraints.check(model, operation, members)    pileus.wire.constraints: the modelled constraints
    answer = codec.encode(operation, members, request_id, status=ctx.status, headers=ctx.response_headers)
    answer = codec.encode_error(operation or None, error, request_id)

Members are plain: bytes for blobs, float seconds for timestamps, `ByteStream` for a streaming request payload
(`operation.streaming_input` names that member: the request then needs `stream` instead of `body`), bytes or an async
iterator of bytes for a streaming answer, an async iterator of `{event: members}` for an event stream
(`operation.event_output`). What is missing or null is absent. Decoding raises nothing but `AWSError` with a 4xx.

Header values are as HTTP has them: latin-1 in requests, latin-1 in answers (other characters leave as UTF-8 bytes).
`Content-Length` and `Date` are left to the HTTP layer, except where an answer's members have a content length (S3's
GetObject, HeadObject). Paths are path-style: who serves `bucket.s3.…` puts `/bucket` before the path first.

`gunzip` (pileus.wire.compression) undoes `Content-Encoding: gzip` for operations that take it; `RestRouter.match` is
what the rest codecs' `find` stands on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pileus.kernel.errors import AWSError
from pileus.model import Operation, ServiceModel
from pileus.wire.message import HttpAnswer, HttpRequest

__all__ = ["Codec", "codec", "codec_for"]


class Codec(Protocol):
    """What the pipeline needs to know of a protocol."""

    protocol: str

    def find(self, request: HttpRequest) -> tuple[Operation, dict[str, str]]:
        """The operation that is meant, and its path labels; `AWSError` where there is none."""
        ...

    def decode(self, operation: Operation, request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
        """The request's members. Raises `AWSError` where they cannot be read."""
        ...

    def encode(
        self,
        operation: Operation,
        answer: Mapping[str, Any] | None,
        request_id: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """A success. `status` and `headers` win over the model's; members that the model does not have are left out."""
        ...

    def encode_error(self, operation: Operation | None, error: AWSError, request_id: str) -> HttpAnswer:
        """An error in the protocol's shape; `operation` is `None` where it could not be told."""
        ...


_codecs: dict[tuple[ServiceModel, str], Codec] = {}


def codec(model: ServiceModel, protocol: str) -> Codec:
    """The codec of a service in one of `model.protocols` (or Kinesis's "x-amz-cbor-1.1").

    It compiles an operation at its first use and keeps it.
    """
    made = _codecs.get((model, protocol))
    if made is None:
        made = _codecs[(model, protocol)] = _make(model, protocol)
    return made


def _make(model: ServiceModel, protocol: str) -> Codec:
    # A service that speaks only JSON needs no XML reader, and so on: each module is imported where it is used.
    match protocol:
        case "json":
            from pileus.wire.protocols.rpc_json import JsonCodec

            return JsonCodec(model)
        case "query" | "ec2":
            from pileus.wire.protocols.rpc_query import QueryCodec

            return QueryCodec(model, protocol)
        case "rest-json" | "rest-xml":
            from pileus.wire.protocols.rest import RestCodec

            return RestCodec(model, protocol)
        case "smithy-rpc-v2-cbor" | "x-amz-cbor-1.1":
            from pileus.wire.protocols.rpc_cbor import CborCodec

            return CborCodec(model, protocol)
        case _:
            raise ValueError(f"no protocol {protocol!r}")


def codec_for(model: ServiceModel, request: HttpRequest) -> Codec:
    """The codec of the protocol that `request` speaks; the service's preferred one where nothing tells."""
    return codec(model, protocol_of(model, request))


def protocol_of(model: ServiceModel, request: HttpRequest) -> str:
    protocols = model.protocols
    if model.name == "kinesis" and request.headers.get("content-type", "").startswith("application/x-amz-cbor-1.1"):
        return "x-amz-cbor-1.1"
    if len(protocols) == 1:
        return protocols[0]
    headers = request.headers
    if "smithy-rpc-v2-cbor" in protocols and headers.get("smithy-protocol") == "rpc-v2-cbor":
        return "smithy-rpc-v2-cbor"
    if "json" in protocols and "x-amz-target" in headers:
        return "json"
    if "query" in protocols and (
        headers.get("content-type", "").startswith("application/x-www-form-urlencoded") or "Action=" in request.query
    ):
        return "query"
    return protocols[0]
