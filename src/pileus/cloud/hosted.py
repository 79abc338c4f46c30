"""Host names that a service serves itself, without a protocol of AWS's models: function URLs, deployed APIs.

A manifest names the label (`hosts={"lambda-url": urls.serve}`); requests to `{name}.{label}.{region}.{domain}`, or to
the path `/_aws/{label}/{name}/...` where names do not resolve, come to its handler as they are, neither decoded nor
authenticated: it asks for what it needs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pileus.cloud.context import Cloud, HttpInfo
from pileus.kernel.principal import Principal


class HostedAccess(Protocol):
    """The node's authentication and authorization, for one request."""

    async def body(self, limit: int) -> bytes:
        """The body, read once; raises `RequestEntityTooLargeException` past `limit` bytes."""
        ...

    async def caller(self, service: str, body: bytes) -> Principal:
        """Who signed the request for `service` (a signing name); anonymous where nobody did. Raises `AWSError`."""
        ...

    async def allow(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        conditions: Mapping[str, str | list[str]],
        policy: dict[str, Any] | None,
    ) -> None:
        """Raise unless the principal's policies and the resource's own (`policy`) together allow `action`."""
        ...


@dataclass(slots=True, eq=False, kw_only=True)
class HostedRequest:
    # What stands before the label.
    name: str
    region: str
    # The host's name without port, or for the path form the one that it stands for.
    domain: str
    # Percent-encoded, as it came, without the beginning of the path form.
    path: str
    # Without the "?", as it came.
    query: str
    request_id: str
    # Seconds since the epoch.
    now: float
    http: HttpInfo
    access: HostedAccess
    # A program of this machine asks, and neither code inside an environment nor a web page.
    trusted: bool = False


@dataclass(slots=True, eq=False)
class HostedAnswer:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""
    # Called with how many bytes of the body were handed to the client, when that is over.
    when_sent: Callable[[int], None] | None = None


# Errors it raises are answered in JSON: {"Message": ...}.
Handler = Callable[[Cloud, HostedRequest], Awaitable[HostedAnswer]]
