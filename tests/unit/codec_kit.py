"""Requests and answers by way of the codecs, in one call each."""

from __future__ import annotations

from typing import Any

from pileus.kernel.errors import AWSError
from pileus.model import load
from pileus.wire.message import HttpAnswer, HttpRequest
from pileus.wire.protocols import codec

ID = "5d5f4bb7-52cb-4b9b-a3a8-f2a2d9a0c3f1"


def decode(
    service: str,
    operation: str,
    body: bytes = b"",
    *,
    method: str = "POST",
    path: str = "/",
    query: str = "",
    headers: dict[str, str] | None = None,
    protocol: str | None = None,
) -> dict[str, Any]:
    model = load(service)
    request = HttpRequest(method, path, query, headers or {}, body)
    chosen = codec(model, protocol or model.protocols[0])
    labels: dict[str, str] = {}
    if chosen.protocol.startswith("rest"):
        found, labels = chosen.find(request)
        assert found.name == operation
    return chosen.decode(model.operations[operation], request, labels)


def encode(
    service: str, operation: str, answer: dict[str, Any], protocol: str | None = None, **more: Any
) -> HttpAnswer:
    model = load(service)
    return codec(model, protocol or model.protocols[0]).encode(model.operations[operation], answer, ID, **more)


def encode_error(
    service: str, error: AWSError, operation: str | None = None, protocol: str | None = None
) -> HttpAnswer:
    model = load(service)
    found = model.operations[operation] if operation else None
    return codec(model, protocol or model.protocols[0]).encode_error(found, error, ID)


def text(answer: HttpAnswer) -> str:
    assert isinstance(answer.body, bytes)
    return answer.body.decode()
