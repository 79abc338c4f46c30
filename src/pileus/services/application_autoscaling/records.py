"""What Application Auto Scaling stores. Times are seconds since the epoch."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)


class ScalableTarget(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    resource: str
    dimension: str
    created: float
    least: int
    most: int
    role: str
    suspended: dict[str, bool] = {}
    tags: dict[str, str] = {}
    # When it was last scaled by a policy, and whether that was out.
    scaled_out: float = 0.0
    scaled_in: float = 0.0


class Policy(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    name: str
    resource: str
    dimension: str
    created: float
    kind: Literal["TargetTrackingScaling", "StepScaling"]
    # As it was given.
    configuration: dict[str, Any]


class ScheduledAction(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    name: str
    resource: str
    dimension: str
    created: float
    schedule: str
    zone: str = ""
    start: float | None = None
    end: float | None = None
    # Of its ScalableTargetAction; None: not changed.
    least: int | None = None
    most: int | None = None
    # Of the timer that belongs to this version.
    timer: str = ""


class Activity(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    resource: str
    dimension: str
    description: str
    cause: str
    started: float
    ended: float
    status: Literal["Successful", "Failed"]
    message: str


encode = msgspec.msgpack.Encoder().encode
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (ScalableTarget, Policy, ScheduledAction, Activity)
}


def decode(kind: type[R], data: bytes) -> R:
    record: R = _decoders[kind].decode(data)
    return record
