"""Calling API destinations.

Sources: "API destinations as targets in Amazon EventBridge" (headers, time-out, error codes that are tried again, the
rate limit) and "Connections for API destination targets" of the user guide.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import quote

import orjson

from pileus.cloud import outgoing
from pileus.cloud.context import Cloud, Context
from pileus.cloud.manifest import Answer, Request
from pileus.delivery import json_paths
from pileus.delivery.contract import Delivery, Retry, Undeliverable
from pileus.delivery.json_paths import MISSING
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.events import connections, errors, keys
from pileus.services.events.authorizing import Refused, Tokens, with_query
from pileus.services.events.delivering import Failed, make_body, principal_for
from pileus.services.events.operations.api_destinations import RATE, find_connection
from pileus.services.events.records import ApiDestination, Connection, decode
from pileus.store.contract import Reader

TIMEOUT_S = 5.0
# "Retries on error codes 401, 407, 409, 429 and 5xx".
_AGAIN = frozenset((401, 407, 409, 429))
# "Headers that can't be overridden or aren't sent".
_HEADERS_KEPT_BACK = frozenset(
    (
        *("a-im", "accept-charset", "accept-datetime", "accept-encoding", "cache-control", "connection", "date"),
        *("content-encoding", "content-length", "content-md5", "expect", "forwarded", "from", "host", "http2-settings"),
        *(
            "if-match",
            "if-modified-since",
            "if-none-match",
            "if-range",
            "if-unmodified-since",
            "max-forwards",
            "origin",
        ),
        *("pragma", "proxy-authorization", "range", "referer", "te", "trailer", "transfer-encoding", "user-agent"),
        *("upgrade", "via", "warning"),
    )
)


class Rates:
    """When each destination may be called next."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def wait_s(self, arn: str, rate: int, now: float) -> float:
        """Seconds until a call may be made; 0: now, and it counts."""
        due = self._next.get(arn, 0.0)
        # A second's calls may come at once.
        if due > now + 1.0 - 1.0 / rate:
            return due - (now + 1.0 - 1.0 / rate)
        self._next[arn] = max(due, now) + 1.0 / rate
        if len(self._next) > 10_000:
            self._next = {one: at for one, at in self._next.items() if at > now}
        return 0.0


async def call(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler for API destinations."""
    payload = delivery.payload
    target = payload["target"]
    await principal_for(cloud, payload)
    http = _resolved(target.get("HttpParameters") or {}, orjson.loads(payload["event"]))
    await _reach(cloud, target["Arn"], http, make_body(payload))


async def invoke_api_destination(ctx: Context, request: Request) -> Answer:
    """Call an API destination and wait for its answer: how Pipes does it.

    AWS has the permission (`events:InvokeApiDestination`) and no such operation: only calls from inside come here.
    `request`: ApiDestinationArn, HttpParameters (of a target's shape, without paths), Body (bytes).
    """
    try:
        await _reach(ctx.cloud, request["ApiDestinationArn"], request["HttpParameters"], request["Body"])
    except Retry as error:
        raise AWSError("InternalException", str(error), status=500, fault="server") from error
    except Undeliverable as error:
        raise errors.invalid(str(error)) from error
    return {}


async def _reach(cloud: Cloud, destination_arn: str, http: dict[str, Any], body: bytes) -> None:
    """Raises Retry or Failed."""
    arn = parse_arn(destination_arn)
    assert arn is not None, "targets are checked when they are put"

    async def look(tx: Reader) -> tuple[ApiDestination, Connection, dict[str, Any]]:
        _, name, id = (arn.resource + "//").split("/")[:3]
        data = await tx.get(keys.api_destination(arn.account, arn.region, name))
        destination = decode(ApiDestination, data) if data is not None else None
        if destination is None or destination.id != id:
            raise Failed("NO_RESOURCE", f"API destination {arn} does not exist.")
        connection = await find_connection(tx, destination.connection_arn)
        if connection is None:
            raise Failed("NO_RESOURCE", f"Connection {destination.connection_arn} does not exist.")
        return destination, connection, await connections.unseal(tx, connection)

    destination, connection, parameters = await cloud.store.read(look)
    if connection.state not in ("AUTHORIZED", "AUTHORIZING"):
        raise Failed("CONNECTION_FAILURE", f"Connection {connection.name} is {connection.state}.")
    wait_s = cloud.part(Rates).wait_s(destination_arn, destination.rate or RATE, cloud.clock.time())
    if wait_s > 0:
        raise Retry("the destination's rate is reached", after_s=wait_s, counted=False)
    try:
        headers = await _headers(cloud, connection, parameters, http)
        answer = await outgoing.request(
            destination.method,
            _url(destination, parameters, http),
            headers=headers,
            body=b"" if destination.method in ("GET", "HEAD") else _body(body, parameters),
            timeout_s=TIMEOUT_S,
        )
    except outgoing.CannotConnect as error:
        raise Retry(f"CONNECTION_FAILURE: {error}") from None
    except Refused as error:
        raise Retry(f"CONNECTION_FAILURE: {error}") from None
    if answer.status < 400:
        return
    told = f"ERROR_FROM_TARGET: The API destination answered {answer.status}."
    if answer.status in _AGAIN or answer.status >= 500:
        if answer.status in (401, 407):
            cloud.part(Tokens).forget(connection)
        after = answer.headers.get("retry-after", "")
        raise Retry(told, after_s=float(after) if after.isdigit() and len(after) < 6 else None)
    raise Failed("ERROR_FROM_TARGET", f"The API destination answered {answer.status}.")


def _resolved(http: dict[str, Any], event: Any) -> dict[str, Any]:
    """A target's HttpParameters, with what its paths find in the event."""
    return {
        "PathParameterValues": [_value(value, event) for value in http.get("PathParameterValues") or ()],
        **{
            member: {name: _value(value, event) for name, value in (http.get(member) or {}).items()}
            for member in ("HeaderParameters", "QueryStringParameters")
        },
    }


async def _headers(
    cloud: Cloud, connection: Connection, parameters: dict[str, Any], http: dict[str, Any]
) -> list[tuple[str, str]]:
    headers = {"content-type": ("Content-Type", "application/json; charset=utf-8")}

    def add(name: str, value: str) -> None:
        if name.lower() not in _HEADERS_KEPT_BACK:
            headers[name.lower()] = (name, value)

    for name, value in http["HeaderParameters"].items():
        add(name, value)
    # Where both say something, the connection counts.
    for one in _invocation(parameters, "HeaderParameters"):
        add(one["Key"], one.get("Value", ""))
    if basic := parameters.get("BasicAuthParameters"):
        text = f"{basic['Username']}:{basic['Password']}".encode()
        headers["authorization"] = ("Authorization", f"Basic {b64encode(text).decode()}")
    elif api_key := parameters.get("ApiKeyAuthParameters"):
        add(api_key["ApiKeyName"], api_key["ApiKeyValue"])
    elif "OAuthParameters" in parameters:
        token = await cloud.part(Tokens).of(cloud, connection, parameters)
        headers["authorization"] = ("Authorization", f"Bearer {token}")
    headers["user-agent"] = ("User-Agent", "Amazon/EventBridge/ApiDestinations")
    headers["range"] = ("Range", "bytes=0-1048575")
    headers["accept-encoding"] = ("Accept-Encoding", "gzip,deflate")
    return list(headers.values())


def _invocation(parameters: dict[str, Any], member: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (parameters.get("InvocationHttpParameters") or {}).get(member) or []
    return found


def _url(destination: ApiDestination, parameters: dict[str, Any], http: dict[str, Any]) -> str:
    """The endpoint, with a value for each "*" of its path, and everybody's query parameters."""
    scheme, separator, rest = destination.endpoint.partition("://")
    url = rest if separator else scheme
    for value in http["PathParameterValues"]:
        url = url.replace("*", quote(value, safe=""), 1)
    url = f"{scheme}://{url}" if separator else f"https://{url}"
    pairs = dict(http["QueryStringParameters"])
    pairs |= {one["Key"]: one.get("Value", "") for one in _invocation(parameters, "QueryStringParameters")}
    return with_query(url, list(pairs.items()))


def _body(body: bytes, parameters: dict[str, Any]) -> bytes:
    """The input, with the connection's body parameters in it where it is an object."""
    more = _invocation(parameters, "BodyParameters")
    if not more:
        return body
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(document, dict):
        return body
    return orjson.dumps(document | {one["Key"]: one.get("Value", "") for one in more})


def _value(value: str, event: Any) -> str:
    """A value of the target's, which may be a path into the event."""
    if not value.startswith("$."):
        return value
    try:
        found = json_paths.find(value, event)
    except json_paths.InvalidPath:
        return value
    if found is MISSING:
        return ""
    return found if isinstance(found, str) else orjson.dumps(found).decode()
