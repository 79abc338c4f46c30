"""What EventBridge stores. Times are seconds since the epoch."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)


class Bus(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    created: float
    modified: float
    description: str = ""
    kms_key: str = ""
    dead_letter: dict[str, str] | None = None
    log_config: dict[str, str] | None = None
    # The statements of its policy, as they are shown.
    statements: list[dict[str, Any]] = []
    tags: dict[str, str] = {}


class Rule(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    bus: str
    state: str
    created: float
    created_by: str
    pattern: str = ""
    schedule: str = ""
    description: str = ""
    role: str = ""
    managed_by: str = ""
    tags: dict[str, str] = {}
    # As they were put, by their ids.
    targets: dict[str, dict[str, Any]] = {}
    # Of the timer that belongs to this schedule: one that was put for an earlier one does nothing.
    timer: str = ""

    @property
    def enabled(self) -> bool:
        return self.state != "DISABLED"


class Archive(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    # Events hang on it, so that an archive made again under its old name starts empty.
    id: str
    bus_arn: str
    created: float
    pattern: str = ""
    retention_days: int = 0
    description: str | None = None
    kms_key: str = ""


class ArchiveSize(msgspec.Struct, kw_only=True, omit_defaults=True):
    events: int = 0
    bytes: int = 0


class Replay(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    archive_arn: str
    archive_id: str
    destination: dict[str, Any]
    event_start: float
    event_end: float
    started: float
    state: str = "STARTING"
    reason: str = ""
    description: str | None = None
    ended: float | None = None
    last_replayed: float | None = None
    # The key of the event that was replayed last.
    cursor: bytes = b""


class Connection(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    id: str
    secret_id: str
    authorization: str
    state: str
    created: float
    modified: float
    authorized: float | None = None
    description: str | None = None
    kms_key: str = ""
    # What is shown of the parameters: no secrets.
    shown: dict[str, Any] = {}
    # All of them, sealed.
    sealed: bytes = b""


class PartnerSource(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A partner event source, as it was offered to one account."""

    name: str
    # The account that offers it.
    partner: str
    account: str
    created: float
    state: str = "PENDING"
    expires: float | None = None


class EndpointName(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Whose a global endpoint is, by its id."""

    account: str
    # The primary one.
    region: str
    name: str


class Endpoint(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A global endpoint."""

    name: str
    id: str
    account: str
    # The primary one.
    region: str
    created: float
    modified: float
    state: str = ""
    reason: str = ""
    description: str | None = None
    # As they were put: RoutingConfig, the State of ReplicationConfig, the ARNs of EventBuses.
    routing: dict[str, Any]
    replication: str
    buses: list[str]
    role: str = ""
    # The buses (ARNs) that have a managed rule of this endpoint.
    ruled: list[str] = []

    @property
    def at(self) -> EndpointName:
        return EndpointName(account=self.account, region=self.region, name=self.name)


class ApiDestination(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    id: str
    connection_arn: str
    endpoint: str
    method: str
    created: float
    modified: float
    description: str | None = None
    rate: int | None = None


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind)
    for kind in (
        *(Bus, Rule, Archive, ArchiveSize, Replay, Connection, ApiDestination, PartnerSource),
        *(Endpoint, EndpointName),
    )
}


def encode(record: msgspec.Struct) -> bytes:
    return _encoder.encode(record)


def decode(kind: type[R], data: bytes) -> R:
    record: R = _decoders[kind].decode(data)
    return record
