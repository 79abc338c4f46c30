"""The shape of a service: its manifest names what it is made of, without logic.

SERVICE = Service(
    name="sqs",
    operations={
        "SendMessage": writing(messages.send_message, queue_permission),
        "ReceiveMessage": free(messages.receive_message, queue_permission),
        "ListQueues": reading(queues.list_queues),
    },
    loops=(Loop("sqs.retention", loops.expire_messages, period_s=60),),
    targets={"sqs": targets.deliver},
)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from pileus.access.contract import Guard
from pileus.cloud.context import Cloud, Context
from pileus.cloud.forms import FormReader
from pileus.cloud.hosted import Handler
from pileus.delivery.contract import Delivery
from pileus.store.contract import Reader

Request = dict[str, Any]
Answer = dict[str, Any]


class Kind(Enum):
    """How the pipeline runs an operation."""

    # (ctx, tx, request) on a snapshot.
    READING = "reading"
    # (ctx, tx, request) in one transaction that the pipeline opens and retries: no effect outside it.
    WRITING = "writing"
    # (ctx, request): long polls, invokes, object bodies, orchestration; opens its own transactions.
    FREE = "free"


class Permission(msgspec.Struct, frozen=True):
    """What a call must be allowed: `action` on `resource` (an ARN or "*"), with condition keys of the service's own."""

    action: str
    resource: str = "*"
    conditions: Mapping[str, str | list[str]] = {}


# Which permissions a call needs; every one must be allowed.
Permissions = Callable[[Context, Request], Sequence[Permission]]
# The same permissions, with the condition keys that only the store can tell.
Refine = Callable[[Context, Reader, Request, Sequence[Permission]], Awaitable[Sequence[Permission]]]
# The resource's own policy document (parsed), or None; a `Guard` where its ARN does not say whose it is.
ResourcePolicy = Callable[[Context, Reader, Request], Awaitable[dict[str, Any] | Guard | None]]


@dataclass(frozen=True, slots=True)
class Operation:
    kind: Kind
    function: Callable[..., Awaitable[Answer | None]]
    # None: the action `{signing name}:{operation}` on "*".
    permissions: Permissions | None = None
    resource_policy: ResourcePolicy | None = None
    # Awaited only for callers whose policies are looked at.
    refine: Refine | None = None
    # Whether `resource_policy` can find anything at all; asked first, as it costs nothing. None: it always can.
    guarded: Callable[[Context], bool] | None = None


def reading(
    function: Callable[..., Awaitable[Answer | None]],
    permissions: Permissions | None = None,
    resource_policy: ResourcePolicy | None = None,
    refine: Refine | None = None,
    guarded: Callable[[Context], bool] | None = None,
) -> Operation:
    return Operation(Kind.READING, function, permissions, resource_policy, refine, guarded)


def writing(
    function: Callable[..., Awaitable[Answer | None]],
    permissions: Permissions | None = None,
    resource_policy: ResourcePolicy | None = None,
    refine: Refine | None = None,
    guarded: Callable[[Context], bool] | None = None,
) -> Operation:
    return Operation(Kind.WRITING, function, permissions, resource_policy, refine, guarded)


def free(
    function: Callable[..., Awaitable[Answer | None]],
    permissions: Permissions | None = None,
    resource_policy: ResourcePolicy | None = None,
    refine: Refine | None = None,
    guarded: Callable[[Context], bool] | None = None,
) -> Operation:
    return Operation(Kind.FREE, function, permissions, resource_policy, refine, guarded)


@dataclass(frozen=True, slots=True)
class Loop:
    """Background work: one idempotent `step(cloud)`, run every `period_s` and when nudged by name.

    A step may return the seconds until it wants to run again, which counts instead of the period.
    """

    name: str
    step: Callable[[Cloud], Awaitable[float | None]]
    period_s: float


@dataclass(frozen=True, kw_only=True)
class Service:
    # botocore's name of the service ("s3", "lambda", "stepfunctions").
    name: str
    operations: Mapping[str, Operation]
    loops: Sequence[Loop] = ()
    # Outbox targets this service delivers to, by name; called as (cloud, delivery).
    targets: Mapping[str, Callable[[Cloud, Delivery], Awaitable[None]]] = field(default_factory=dict)
    # How many deliveries of a target may be under way, where the deliverer's own limit is too low: those that wait for
    # a function.
    target_limits: Mapping[str, int] = field(default_factory=dict)
    # Files that Pileus hands out itself, by the path that begins their address ("/_pileus/lambda/code/": the
    # service's name comes first); called as
    # (cloud, path, query); None: there is none, or the address is not good for it.
    downloads: Mapping[str, Callable[[Cloud, str, str], Awaitable[AsyncIterator[bytes] | None]]] = field(
        default_factory=dict
    )
    # Pages of Pileus's own for the machine's user, by their path ("/_pileus/lambda/bill"), as JSON; called as (cloud,
    # the query's parameters).
    pages: Mapping[str, Callable[[Cloud, dict[str, str]], Awaitable[dict[str, Any]]]] = field(default_factory=dict)
    # Answers a browser's preflight (OPTIONS) with these headers; called as (cloud, path, the request's headers). None:
    # OPTIONS is a method like any other.
    preflight: Callable[[Cloud, str, Mapping[str, str]], Awaitable[dict[str, str]]] | None = None
    # Puts what a request's members stand for in their place (S3: the bucket behind an access point); (ctx, members).
    # May return the name of what is to be done instead, one of `alternatives`.
    resolve: Callable[[Context, dict[str, Any]], Awaitable[str | None]] | None = None
    alternatives: Mapping[str, Operation] = field(default_factory=dict)
    # Raises where what a request is about (S3: the bucket) is not there; asked where the request cannot be read, since
    # that counts before what is wrong with its body. Called as (ctx, tx, the members that do not stand in the body).
    admit: Callable[[Context, Reader, dict[str, Any]], Awaitable[None]] | None = None
    # Reads what browsers post as a form to the service's own addresses: see `pileus.cloud.forms`.
    forms: FormReader | None = None
    # Host names that this service serves itself, by their label ("lambda-url"): see `pileus.cloud.hosted`. The label is
    # in `wire/route.py`, too, which knows services that are not loaded yet.
    hosts: Mapping[str, Handler] = field(default_factory=dict)
    # The largest request body that does not stream, bytes.
    body_bytes_max: int = 16 * 1024 * 1024
    # Run once before requests are served, and once after the last; what they make is put into `cloud.parts`.
    start: Callable[[Cloud], Awaitable[None]] | None = None
    stop: Callable[[Cloud], Awaitable[None]] | None = None
