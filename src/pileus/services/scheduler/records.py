"""What EventBridge Scheduler stores. Times are seconds since the epoch."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)


class Schedule(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    group: str
    expression: str
    state: str
    created: float
    modified: float
    # As they were given.
    target: dict[str, Any]
    flexible: dict[str, Any]
    zone: str = "UTC"
    start: float | None = None
    end: float | None = None
    description: str | None = None
    kms_key: str = ""
    after_completion: str = "NONE"
    client_token: str = ""
    # Of the timer that belongs to this version: one that was put for an earlier one does nothing.
    timer: str = ""


class Group(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    created: float
    modified: float
    state: str = "ACTIVE"
    tags: dict[str, str] = {}
    client_token: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (Schedule, Group)
}


def encode(record: msgspec.Struct) -> bytes:
    return _encoder.encode(record)


def decode(kind: type[R], data: bytes) -> R:
    record: R = _decoders[kind].decode(data)
    return record
