"""The context of one call, and the cloud it runs in."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

from pileus.access.contract import Credential, Guard
from pileus.cloud.metrics import Metrics
from pileus.cloud.traces import Traces
from pileus.delivery.contract import Outbox
from pileus.kernel.clock import Clock
from pileus.kernel.ids import Ids
from pileus.kernel.principal import Principal
from pileus.kernel.settings import Settings
from pileus.kernel.signals import Signals
from pileus.store.blobs import Blobs
from pileus.store.contract import Reader, Store

P = TypeVar("P")


class Listener(Protocol):
    """Serves the node's endpoint on a listening socket inside an execution environment."""

    def __call__(self, sock: socket.socket) -> Callable[[], None]:
        """Serve until what is returned is called. Callers that come this way are strangers (see wire/internal)."""
        ...


class Caller(Protocol):
    """A call from inside: enters the pipeline after decode, as a principal, and is authorized like any other."""

    async def __call__(
        self,
        principal: Principal,
        service: str,
        operation: str,
        request: Mapping[str, Any],
        *,
        region: str,
        account: str | None = None,
        trace: str = "",
        source: HttpInfo | None = None,
    ) -> dict[str, Any]:
        """The operation's answer; raises `AWSError`. `account` (default: the principal's) is whose cloud is meant;
        `trace` is the `X-Amzn-Trace-Id` that the call is made under; policies see the address, program and security of
        `source`, the request on whose behalf it is made."""
        ...


class Documents(Protocol):
    """Requests and answers as JSON documents, whatever protocol the service speaks.

    Members go by the model's names (their first letter in either case), timestamps and the like as JSON protocols have
    them; blobs are base64, or with `text_blobs` plain text (in requests also any JSON, taken as its text).
    """

    def request(self, service: str, operation: str, document: Any, *, text_blobs: bool = False) -> dict[str, Any]:
        """What `Caller` takes, from a parsed document. Raises `AWSError` where it does not fit the model."""
        ...

    def read(self, service: str, operation: str, body: bytes) -> dict[str, Any]:
        """The same from a document's text, of a service whose own protocol is JSON."""
        ...

    def answer(self, service: str, operation: str, members: Mapping[str, Any], *, text_blobs: bool = False) -> Any:
        """A document (for `orjson.dumps`) from what `Caller` answers."""
        ...


class Gate(Protocol):
    """Authentication and authorization for what comes in beside the pipeline: on ports of a service's own."""

    async def credential(self, access_key_id: str, session_token: str) -> Credential:
        """The secret and the principal behind an access key; raises AWS's error where there is none."""
        ...

    async def allow(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        region: str = "",
        source_ip: str = "",
        user_agent: str = "",
        secure: bool = False,
        conditions: Mapping[str, str | list[str]] | None = None,
        policy: dict[str, Any] | Guard | None = None,
    ) -> None:
        """Raise unless the principal's policies and the resource's own (`policy`) together allow `action`."""
        ...


class Permit(Protocol):
    """Asks for permissions that a call turns out to need while it runs; `needed` are the manifest's `Permission`s.

    It is told the context and does not hold it: what holds each other stays, bodies and all, until the collector comes.
    """

    async def __call__(self, ctx: Context, reader: Reader, needed: Sequence[Any]) -> None:
        """Raises AWS's refusal, as if the manifest had asked for them."""
        ...


@dataclass(eq=False, kw_only=True)
class Cloud:
    """The running node as services see it. Made by `app.py`, one per node."""

    settings: Settings
    clock: Clock
    ids: Ids
    store: Store
    blobs: Blobs
    outbox: Outbox
    # Runs the loop of that name soon; safe from any thread, cheap, and harmless when it runs already.
    nudge: Callable[[str], None]
    call: Caller
    listen: Listener
    documents: Documents = field(init=False)
    gate: Gate = field(init=False)
    # Where this node is reached, once it serves: "http://localhost:4566".
    endpoint: str = ""
    # Who waits on this node for what others do: a stream's readers for its next record.
    signals: Signals = field(default_factory=Signals)
    # The one place where services count.
    metrics: Metrics = field(default_factory=Metrics)
    # What services add to `pileus status`, by its name there.
    status: dict[str, Callable[[], Any]] = field(default_factory=dict)
    # Segments of traces, kept for X-Ray.
    traces: Traces = field(default_factory=Traces)
    # What services keep in memory (caches, pools), by its type.
    parts: dict[type[Any], Any] = field(default_factory=dict)
    # Called when the node is about to end, before it waits for requests in flight: calls that wait may then answer.
    before_end: list[Callable[[], None]] = field(default_factory=list)

    def part(self, kind: type[P]) -> P:
        """The one instance of `kind` that a service put into `parts` when it started."""
        part: P = self.parts[kind]
        return part


class HttpInfo(msgspec.Struct, eq=False):
    """What an operation may want to know of the request beyond its members; empty for calls from inside."""

    method: str = ""
    path: str = ""
    # As it came, without the "?".
    query: str = ""
    # Lower-case names.
    headers: Mapping[str, str] = {}
    source_ip: str = ""
    user_agent: str = ""
    secure: bool = False
    # A program of this machine asks: neither code inside an environment, nor a web page, nor another machine.
    trusted: bool = False
    # Returns when the client goes away while the operation runs; long polls watch it.
    disconnected: Callable[[], Awaitable[None]] | None = None

    @property
    def origin(self) -> str:
        """Scheme and authority as the client wrote them: "http://localhost:4566"."""
        return f"{'https' if self.secure else 'http'}://{self.headers.get('host', '')}" if self.method else ""


@dataclass(slots=True, eq=False)
class Sent:
    """An HTTP answer, once its client has been handed it or has gone."""

    status: int
    headers: Sequence[tuple[str, str]]
    # The error's code; "" where it tells of none.
    error: str
    # Bytes of the body that were handed out.
    body_bytes: int
    # Milliseconds: from the request's head to the last byte of the answer, and from there to its first.
    total_ms: int
    turn_around_ms: int


class Context(msgspec.Struct, eq=False):
    """One call."""

    cloud: Cloud
    request_id: str
    service: str
    operation: str
    account: str
    region: str
    principal: Principal
    # When the call came in, seconds since the epoch: one call has one time.
    now: float
    http: HttpInfo
    # An operation may set these: another success status than the model's, further response headers.
    status: int | None = None
    response_headers: dict[str, str] = {}
    # Set by the pipeline; None where a service acts for itself.
    permit: Permit | None = None
    # An operation may set this: called with what became of the answer, where the call came by HTTP.
    when_sent: Callable[[Sent], None] | None = None
