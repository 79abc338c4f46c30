"""Forms that browsers post (multipart/form-data) to a service's own addresses: S3's uploads.

They are signed by a field, not by a header, and name no operation of AWS's models. The service reads one and says which
operation it asks for and who asks; the pipeline authorizes and runs that like any other call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pileus.cloud.context import Cloud
from pileus.kernel.principal import Principal
from pileus.kernel.streams import ByteStream


@dataclass(slots=True, eq=False, kw_only=True)
class Form:
    """A form as it arrives."""

    # With the bucket put in that the host names.
    path: str
    # Lower-case names.
    headers: Mapping[str, str]
    # Scheme and authority as the client wrote them.
    origin: str
    body: ByteStream
    # (access key id, session token, whether that is one of a session with a directory bucket) -> (secret, principal);
    # raises AWS's error where there is no such key.
    credential: Callable[[str, str, bool], Awaitable[tuple[str, Principal]]]
    # Seconds since the epoch.
    now: float


@dataclass(slots=True, eq=False, kw_only=True)
class Posted:
    """What a form asks for."""

    operation: str
    request: dict[str, Any]
    principal: Principal
    # "": none is said.
    region: str
    # From the operation's answer: status, headers, body.
    answer: Callable[[Mapping[str, Any]], tuple[int, dict[str, str], bytes]]


# None: the request is no such form.
FormReader = Callable[[Cloud, Form], Awaitable[Posted | None]]
