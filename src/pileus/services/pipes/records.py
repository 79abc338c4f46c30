"""What EventBridge Pipes stores. Times are seconds since the epoch."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)


class Pipe(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    source: str
    target: str
    role: str
    created: float
    modified: float
    # What it should do, and what it does.
    desired: str = "RUNNING"
    current: str = "CREATING"
    reason: str = ""
    # Another one with every change: who runs it looks whether it still goes by this.
    revision: str = ""
    description: str | None = None
    enrichment: str = ""
    # As they were given.
    source_parameters: dict[str, Any] = {}
    enrichment_parameters: dict[str, Any] | None = None
    target_parameters: dict[str, Any] | None = None
    log_configuration: dict[str, Any] | None = None
    kms_key: str = ""
    tags: dict[str, str] = {}


class Place(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far a shard of a stream has been read."""

    # The number of the last record that is done with.
    after: str = ""
    # Where a pipe that begins at the stream's end began.
    since: float | None = None


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (Pipe, Place)
}


def encode(record: msgspec.Struct) -> bytes:
    return _encoder.encode(record)


def decode(kind: type[R], data: bytes) -> R:
    record: R = _decoders[kind].decode(data)
    return record
