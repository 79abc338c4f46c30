"""What Amazon MQ stores. Times are seconds since the epoch."""

from __future__ import annotations

from typing import Any

import msgspec


class Broker(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    id: str
    name: str
    arn: str
    # Where it runs: "amqp://host:port" or "amqps://host:port".
    endpoint: str
    created: float
    # What was asked for and is shown again, in the API's members.
    asked: dict[str, Any]
    # The user that it was registered with, the password sealed.
    user: str
    sealed: bytes
    tags: dict[str, str] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Broker)


def encode(broker: Broker) -> bytes:
    return _encoder.encode(broker)


def decode(data: bytes) -> Broker:
    return _decoder.decode(data)
