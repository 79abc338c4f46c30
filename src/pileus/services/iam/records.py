"""What IAM keeps: one record per user, group, role, policy and instance profile, and one per access key.

A record carries all that belongs to its noun alone (inline policies, names of attached ones, tags), so that what a
principal may do is known from one record and the managed policies it names.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)


class Entity(msgspec.Struct, kw_only=True):
    """What users, groups and roles have in common."""

    v: int = 1
    name: str
    # Unique and never used again: AIDA..., AGPA..., AROA...
    id: str
    path: str
    # Seconds since the epoch.
    created: float
    # ARNs of managed policies, in the order in which they were attached.
    attached: list[str] = []
    # Name -> document, as it was given.
    inline: dict[str, str] = {}


class User(Entity, kw_only=True):
    tags: dict[str, str] = {}
    # The ARN of the permissions boundary, or "".
    boundary: str = ""
    groups: list[str] = []
    access_keys: list[str] = []
    service_credentials: list[str] = []


class Group(Entity, kw_only=True):
    pass


class Role(Entity, kw_only=True):
    # The trust policy's document.
    trust: str
    description: str | None = None
    max_session_s: int = 3600
    tags: dict[str, str] = {}
    boundary: str = ""


class AccessKey(msgspec.Struct, kw_only=True):
    v: int = 1
    id: str
    account: str
    user: str
    secret: str
    active: bool = True
    created: float


class KeyUse(msgspec.Struct, kw_only=True):
    """When and for what an access key was last used."""

    v: int = 1
    when: float
    service: str
    region: str


class PolicyVersion(msgspec.Struct, kw_only=True):
    document: str
    created: float


class Policy(msgspec.Struct, kw_only=True):
    """A managed policy of a customer."""

    v: int = 1
    name: str
    id: str
    path: str
    arn: str
    created: float
    updated: float
    description: str | None = None
    tags: dict[str, str] = {}
    # "v1" -> its version, oldest first.
    versions: dict[str, PolicyVersion]
    default: str
    # The number of the next version: those of deleted ones are not used again.
    next_version: int


class InstanceProfile(msgspec.Struct, kw_only=True):
    v: int = 1
    name: str
    id: str
    path: str
    created: float
    roles: list[str] = []
    tags: dict[str, str] = {}


class ServiceCredential(msgspec.Struct, kw_only=True):
    """A user's password for one service (CodeCommit, Keyspaces)."""

    v: int = 1
    id: str
    user: str
    service: str
    service_user: str
    password: str
    active: bool = True
    created: float


def encode(record: msgspec.Struct) -> bytes:
    return msgspec.msgpack.encode(record)


def decode(raw: bytes, kind: type[R]) -> R:
    return msgspec.msgpack.decode(raw, type=kind)
