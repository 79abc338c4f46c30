"""What CloudWatch Logs stores. All times are milliseconds since the epoch, as in its API."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)


class Group(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    # Streams hang on it, so that a group made again under its old name starts empty.
    id: str
    created_ms: int
    log_class: str = "STANDARD"
    retention_days: int = 0  # 0: kept for ever
    kms_key: str = ""
    tags: dict[str, str] = {}
    deletion_protection: bool = False
    # What its streams held when the retention loop last looked: AWS, too, counts with a delay.
    stored_bytes: int = 0


class Stream(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    id: str
    created_ms: int
    # Of the next chunk; also orders events of one millisecond.
    sequence: int = 0
    first_event_ms: int | None = None
    last_event_ms: int | None = None
    last_ingestion_ms: int | None = None
    size_bytes: int = 0


class ResourcePolicy(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    document: str
    updated_ms: int


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (Group, Stream, ResourcePolicy)
}


def encode(record: msgspec.Struct) -> bytes:
    return _encoder.encode(record)


def decode(kind: type[R], data: bytes) -> R:
    record: R = _decoders[kind].decode(data)
    return record
