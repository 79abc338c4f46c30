"""The Telemetry API and the older Logs API of one environment: who wants to be told what, in batches, inside it.

    PUT /2022-07-01/telemetry    schemas 2022-07-01, 2022-12-13, 2025-01-29
    PUT /2020-08-15/logs         schemas 2020-08-15, 2021-03-18

Events are gathered for each subscriber until there are enough of them, or they have waited long enough, and handed to
its HTTP server, or written to its TCP port, inside the environment; never anywhere else. While the environment stands
still nothing is sent: what waits is sent when it goes on. Sources: "Lambda Telemetry API", "Lambda Logs API".
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from socket import socket
from typing import Any
from urllib.parse import urlsplit

from pileus.services.lambda_ import extensions
from pileus.services.lambda_.execution import LogEvent
from pileus.services.lambda_.extensions import Call, Extension, Extensions
from pileus.services.lambda_.platform_logs import PlatformEvent, encoded, logs_dropped

TELEMETRY_PATH = "/2022-07-01/telemetry"
LOGS_PATH = "/2020-08-15/logs"
_TYPES = ("platform", "function", "extension")
# By API: the first part of its errors' names, its schemas, the one it has by default.
_APIS = {
    "telemetry": ("", ("2025-01-29", "2022-12-13", "2022-07-01"), None),
    "logs": ("Logs.", ("2021-03-18", "2020-08-15"), "2020-08-15"),
}
# Events of the Logs API, which knows no others; of the others it is told in its own words.
_LOGS_EVENTS = frozenset(
    f"platform.{name}" for name in ("start", "end", "report", "fault", "extension", "logsSubscription", "logsDropped")
)
_ONLY_LOGS = frozenset({"platform.end", "platform.fault", "platform.logsSubscription"})
_BUFFERING = {
    "maxItems": (1_000, 10_000, 10_000),
    "maxBytes": (262_144, 262_144, 1_048_576),
    "timeoutMs": (25, 1_000, 30_000),
}
_HOSTS = frozenset({"sandbox.localdomain", "sandbox", "localhost", "127.0.0.1", "169.254.100.1"})
_RESERVED_PORT = 9001
# Failed deliveries are tried again, ever later.
_BACKOFF_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
_ANSWER_BYTES_MAX = 64 * 1024
# A batch that is sent while the next one fills: more than these are dropped.
_WAITING_BATCHES = 2

# A TCP socket of the environment's network.
NewSocket = Callable[[], Awaitable[socket]]


class NotTaken(Exception):
    """A subscriber has refused what was handed to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a subscription asks for."""

    api: str
    schema: str
    types: tuple[str, ...]
    protocol: str
    method: str
    port: int
    path: str
    max_items: int
    max_bytes: int
    timeout_s: float


def understand(api: str, body: bytes) -> Wishes:
    """The request, checked; raises `ValueError` with everything that is wrong with it."""
    try:
        request = json.loads(body)
        if not isinstance(request, dict):
            raise TypeError
    except (ValueError, TypeError):
        raise ValueError("The request body is not valid JSON") from None
    wrong: list[str] = []
    _, schemas, default = _APIS[api]
    schema = request.get("schemaVersion") or default
    if schema not in schemas:
        wrong.append(
            f"schemaVersion should be one of {', '.join(schemas)}" if schema else "schemaVersion is not provided"
        )
    destination = request.get("destination")
    destination = destination if isinstance(destination, dict) else {}
    protocol, method = destination.get("protocol"), str(destination.get("method") or "POST").upper()
    port, path = _place(destination, protocol, wrong)
    if method not in ("POST", "PUT"):
        wrong.append("destination method should be POST or PUT")
    types = request.get("types")
    types = types if isinstance(types, list) else []
    if not types:
        wrong.append("types should not be empty")
    elif bad := [str(each) for each in types if each not in _TYPES]:
        wrong.append(f"types contain unknown values: {', '.join(bad)}")
    buffering = request.get("buffering")
    found: dict[str, int] = {}
    for name, (least, usual, most) in _BUFFERING.items():
        value = (buffering if isinstance(buffering, dict) else {}).get(name, usual)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            wrong.append(f"buffering {name} should be between {least} and {most}")
            value = usual
        found[name] = value
    if wrong:
        raise ValueError("; ".join(wrong))
    return Wishes(
        api=api,
        schema=str(schema),
        types=tuple(dict.fromkeys(types)),
        protocol=str(protocol),
        method=method,
        port=port,
        path=path,
        max_items=found["maxItems"],
        max_bytes=found["maxBytes"],
        timeout_s=found["timeoutMs"] / 1000,
    )


def _place(destination: dict[str, Any], protocol: object, wrong: list[str]) -> tuple[int, str]:
    """Port and path of the destination."""
    if protocol == "TCP":
        port, path, host = destination.get("port"), "", "localhost"
        if port is None and isinstance(destination.get("URI"), str):
            port, _, host = _parts(destination["URI"])
    elif protocol == "HTTP":
        uri = destination.get("URI")
        if not isinstance(uri, str) or not uri:
            wrong.append("URI is not provided")
            return 0, ""
        port, path, host = _parts(uri)
        if not uri.lower().startswith("http://"):
            wrong.append("URI scheme should be http")
    else:
        wrong.append("destination protocol should be HTTP or TCP")
        return 0, ""
    if host not in _HOSTS:
        wrong.append("URI host should be sandbox.localdomain")
    if port is None:
        wrong.append("URI port is not provided")
    elif not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536 or port == _RESERVED_PORT:
        wrong.append(f"port {port} is not allowed")
    else:
        return port, path
    return 0, ""


def _parts(uri: str) -> tuple[int | None, str, str]:
    try:
        parts = urlsplit(uri)
        path = parts.path or "/"
        return parts.port, f"{path}?{parts.query}" if parts.query else path, (parts.hostname or "").lower()
    except ValueError:
        return None, "/", ""


class Subscription:
    """One subscriber: what waits for it, and the task that hands it over."""

    def __init__(self, name: str, wishes: Wishes, new_socket: NewSocket) -> None:
        self.name = name
        self.wishes = wishes
        self._new_socket = new_socket
        self._loop = asyncio.get_running_loop()
        self._buffer: list[str] = []
        self._bytes = 0
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._batches: list[list[str]] = []
        self._sender: asyncio.Task[None] | None = None
        self._dropped = 0
        self._dropped_bytes = 0
        self._paused = False

    def put(self, text: str, now_ms: int) -> None:
        size = len(text)
        if self._bytes + size > self.wishes.max_bytes or len(self._buffer) >= self.wishes.max_items:
            if len(self._batches) >= _WAITING_BATCHES:
                self._dropped += 1
                self._dropped_bytes += size
                return
            self.flush()
        if self._dropped:
            record = logs_dropped(self._dropped, self._dropped_bytes)
            self._dropped = self._dropped_bytes = 0
            self._buffer.append(encoded(now_ms, "platform.logsDropped", record))
        if not self._buffer:
            self._since = self._loop.time()
            self._arm()
        self._buffer.append(text)
        self._bytes += size

    def flush(self) -> None:
        """Hand over what there is, once the subscriber has taken what came before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._buffer:
            self._batches.append(self._buffer)
            self._buffer, self._bytes = [], 0
        if self._batches and self._sender is None and not self._paused:
            self._sender = self._loop.create_task(self._send())

    def pause(self) -> None:
        """The environment stands still."""
        self._paused = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def resume(self) -> None:
        self._paused = False
        if self._buffer:
            self._arm()
        if self._batches:
            self.flush()

    async def sent(self) -> None:
        """Return when all has been taken."""
        self.flush()
        while self._sender is not None:
            await asyncio.shield(self._sender)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._sender is not None:
            self._sender.cancel()

    def _arm(self) -> None:
        if not self._paused:
            due = self._since + self.wishes.timeout_s
            self._timer = self._loop.call_at(max(due, self._loop.time()), self.flush)

    async def _send(self) -> None:
        try:
            failures = 0
            while self._batches and not self._paused:
                try:
                    await self._deliver(self._batches[0])
                except (OSError, EOFError, ValueError, NotTaken):
                    wait_s = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
                    failures += 1
                    await asyncio.sleep(wait_s)
                    continue
                failures = 0
                del self._batches[0]
        finally:
            self._sender = None

    async def _deliver(self, batch: list[str]) -> None:
        made = await self._new_socket()
        try:
            await self._loop.sock_connect(made, ("127.0.0.1", self.wishes.port))
            if self.wishes.protocol == "TCP":
                await self._loop.sock_sendall(made, "".join(f"{each}\n" for each in batch).encode())
                return
            body = f"[{','.join(batch)}]".encode()
            head = (
                f"{self.wishes.method} {self.wishes.path} HTTP/1.1\r\nHost: sandbox.localdomain:{self.wishes.port}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            await self._loop.sock_sendall(made, head.encode() + body)
            answer = b""
            while b"\r\n" not in answer and len(answer) < _ANSWER_BYTES_MAX:
                more = await self._loop.sock_recv(made, 4096)
                if not more:
                    raise EOFError
                answer += more
            status = int(answer.split(b" ", 2)[1])
            if not 200 <= status < 300:
                raise NotTaken
        finally:
            made.close()


class Telemetry:
    """All subscriptions of one environment."""

    def __init__(
        self,
        registry: Extensions,
        new_socket: NewSocket,
        on_subscribed: Callable[[str, str, list[str]], None],
        *,
        json_logs: bool,
    ) -> None:
        self._registry = registry
        self._new_socket = new_socket
        # (api, name, types)
        self._on_subscribed = on_subscribed
        self._json_logs = json_logs
        self._subscriptions: dict[str, Subscription] = {}
        # What happened in Init before anybody subscribed: who does so is told.
        self._early: list[tuple[int, PlatformEvent]] = []

    @property
    def any(self) -> bool:
        return bool(self._subscriptions)

    def begin(self) -> None:
        """Another Init: whoever subscribed is gone."""
        self.close()
        self._early = []

    def end_init(self) -> None:
        self._early = []

    def platform(self, now_ms: int, event: PlatformEvent) -> None:
        if self._registry.open:
            self._early.append((now_ms, event))
        for each in self._subscriptions.values():
            self._put_platform(each, now_ms, event)

    def lines(self, kind: str, events: Sequence[LogEvent]) -> None:
        """Output: `kind` is "function" or "extension"."""
        for each in self._subscriptions.values():
            if kind in each.wishes.types:
                as_json = self._json_logs and each.wishes.schema >= "2022-12-13"
                for event in events:
                    record = _record(event.message, as_json=as_json)
                    each.put(encoded(event.timestamp_ms, kind, record), event.timestamp_ms)

    def flush(self) -> None:
        for each in self._subscriptions.values():
            each.flush()

    async def sent(self, limit_s: float) -> None:
        """Return when everybody has taken what there is, or after that time."""
        if self._subscriptions:
            with contextlib.suppress(TimeoutError):
                every = asyncio.gather(*(each.sent() for each in self._subscriptions.values()))
                await asyncio.wait_for(every, limit_s)

    def pause(self) -> None:
        for each in self._subscriptions.values():
            each.pause()

    def resume(self) -> None:
        for each in self._subscriptions.values():
            each.resume()

    def close(self) -> None:
        for each in self._subscriptions.values():
            each.close()
        self._subscriptions = {}

    # the API

    def handle(self, call: Call, api: str) -> None:
        """`api`: "telemetry" or "logs"."""
        prefix = _APIS[api][0]
        if call.method != b"PUT":
            call.answer(405, b"")
            return
        extension = self._registry.known(call)
        if extension is None:
            return
        if not self._registry.open:
            name = "Logs" if api == "logs" else "Telemetry"
            message = f"{name} API subscription is closed already"
            call.answer(*extensions.failure(403, f"{name}.SubscriptionClosed", message))
            return
        try:
            wishes = understand(api, call.body)
            former = self._subscriptions.get(extension.id)
            if former is not None and former.wishes.api != api:
                raise ValueError(f"already subscribed using the {former.wishes.api} API")
        except ValueError as error:
            call.answer(*extensions.failure(400, f"{prefix}ValidationError", str(error)))
            return
        self._subscribe(extension, wishes)
        call.answer(200, b'"OK"')

    def _subscribe(self, extension: Extension, wishes: Wishes) -> None:
        former = self._subscriptions.get(extension.id)
        if former is not None:
            if former.wishes == wishes:
                return
            former.close()
        made = self._subscriptions[extension.id] = Subscription(extension.name, wishes, self._new_socket)
        for now_ms, event in self._early:
            self._put_platform(made, now_ms, event)
        self._on_subscribed(wishes.api, extension.name, list(wishes.types))

    @staticmethod
    def _put_platform(subscription: Subscription, now_ms: int, event: PlatformEvent) -> None:
        wishes = subscription.wishes
        if "platform" not in wishes.types:
            return
        kind, record = event.kind, event.record
        if wishes.api == "logs":
            if kind == "platform.runtimeDone" and wishes.schema == "2021-03-18":
                status = "failure" if record["status"] == "error" else record["status"]
                record = {"requestId": record["requestId"], "status": status}
            elif kind not in _LOGS_EVENTS:
                return
            elif kind == "platform.fault":
                record = record[""]
            elif kind == "platform.report":
                record = {name: record[name] for name in ("requestId", "metrics", "tracing") if name in record}
            elif kind == "platform.start":
                record = {name: record[name] for name in ("requestId", "version", "tracing") if name in record}
        elif kind in _ONLY_LOGS:
            return
        subscription.put(encoded(now_ms, kind, record), now_ms)


def _record(message: str, *, as_json: bool) -> Any:
    """A line of output as subscribers get it: JSON as JSON, where the schema and the log's format have it so."""
    text = message.removesuffix("\n")
    if as_json and text.startswith("{"):
        with contextlib.suppress(ValueError):
            return json.loads(text)
    return message
