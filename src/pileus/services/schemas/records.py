"""What EventBridge Schemas stores. Times are seconds since the epoch."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)


class Registry(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    name: str
    description: str | None = None
    tags: dict[str, str] = {}
    # Its resource policy as it was put, and which revision of it that is.
    policy: str = ""
    policy_revision: str = ""


class Discoverer(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    id: str
    # The ARN of the bus.
    source_arn: str
    state: str
    cross_account: bool
    description: str | None = None
    tags: dict[str, str] = {}


class Schema(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    name: str
    registry: str
    type: str
    modified: float
    description: str | None = None
    tags: dict[str, str] = {}
    # The numbers of its versions that are there, and the last that ever was.
    versions: list[int]
    last: int


class Version(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    type: str
    content: str
    created: float


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (Registry, Discoverer, Schema, Version)
}


def encode(record: msgspec.Struct) -> bytes:
    return _encoder.encode(record)


def decode(kind: type[R], data: bytes) -> R:
    record: R = _decoders[kind].decode(data)
    return record
