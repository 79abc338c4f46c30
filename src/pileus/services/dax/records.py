"""What is stored of clusters and of what they are made with."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from pileus.kernel.arn import make_arn

T = TypeVar("T", bound=msgspec.Struct)

ITEM_TTL, QUERY_TTL = "record-ttl-millis", "query-ttl-millis"
TTL_DEFAULT_MS = 300_000


class Node(msgspec.Struct, kw_only=True):
    id: str
    zone: str
    created: float


class Cluster(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    name: str
    account: str
    region: str
    # Part of its address, as at AWS: "ey3o9d".
    label: str
    node_type: str
    nodes: tuple[Node, ...]
    # Counts the nodes it ever had: a new one has a new name.
    nodes_made: int
    role: str
    created: float
    # Where its clients reach it on this node.
    port: int
    description: str = ""
    subnet_group: str = "default"
    security_groups: tuple[str, ...] = ()
    parameter_group: str = "default.dax1.0"
    maintenance_window: str = ""
    topic: str = ""
    topic_status: str = "active"
    encrypted: bool = False
    # Whether clients reach it by TLS.
    tls: bool = False
    network_type: Literal["ipv4", "ipv6", "dual_stack"] = "ipv4"
    tags: dict[str, str] = {}

    @property
    def arn(self) -> str:
        return make_arn("dax", self.region, self.account, f"cache/{self.name}")


class ParameterGroup(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    name: str
    description: str = ""
    # Milliseconds, of what differs from the defaults.
    parameters: dict[str, int] = {}

    def ttl_s(self, parameter: str) -> float:
        return self.parameters.get(parameter, TTL_DEFAULT_MS) / 1000


class SubnetGroup(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    name: str
    subnets: tuple[str, ...]
    description: str = ""


class Event(msgspec.Struct, kw_only=True):
    source: str
    type: Literal["CLUSTER", "PARAMETER_GROUP", "SUBNET_GROUP"]
    message: str
    # Seconds since the epoch.
    date: float


def encode(record: msgspec.Struct) -> bytes:
    return msgspec.msgpack.encode(record)


def decode(kind: type[T], data: bytes) -> T:
    return msgspec.msgpack.decode(data, type=kind)
