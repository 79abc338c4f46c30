"""OAuth client credentials: getting tokens, and whether a connection is authorized.

Source: "OAuth client credentials" in "Authorization methods for connections in Amazon EventBridge" of the user guide.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import orjson

from pileus.cloud import outgoing
from pileus.cloud.context import Cloud, Context
from pileus.delivery.contract import Delivery, Retry
from pileus.services.events import connections, keys, telling
from pileus.services.events.records import Connection, decode, encode
from pileus.store.contract import Reader, Transaction

TARGET = "events.authorize"
TIMEOUT_S = 5.0
# A token that says nothing of its age, and how long before its end a new one is asked for.
_TOKEN_S = 3600.0
_RENEW_BEFORE_S = 60.0
_TOKENS_MAX = 1000


class Refused(Exception):
    """The authorization endpoint gives no token."""


class Tokens:
    """The node's tokens, by connection and when it was changed."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, float], tuple[str, float]] = {}

    async def of(self, cloud: Cloud, connection: Connection, parameters: dict[str, Any]) -> str:
        """A token that is good for a while. Raises Refused or CannotConnect."""
        key = (connection.id, connection.modified)
        found = self._tokens.get(key)
        if found is not None and found[1] > cloud.clock.time():
            return found[0]
        token, lives_s = await _fetch(parameters["OAuthParameters"])
        if len(self._tokens) >= _TOKENS_MAX:
            self._tokens.clear()
        self._tokens[key] = (token, cloud.clock.time() + lives_s - _RENEW_BEFORE_S)
        return token

    def forget(self, connection: Connection) -> None:
        self._tokens.pop((connection.id, connection.modified), None)


async def _fetch(oauth: dict[str, Any]) -> tuple[str, float]:
    more = oauth.get("OAuthHttpParameters") or {}
    form = {
        "grant_type": "client_credentials",
        "client_id": oauth["ClientParameters"]["ClientID"],
        "client_secret": oauth["ClientParameters"]["ClientSecret"],
    }
    form |= {one["Key"]: one.get("Value", "") for one in more.get("BodyParameters") or ()}
    headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")]
    headers += [(one["Key"], one.get("Value", "")) for one in more.get("HeaderParameters") or ()]
    url = with_query(
        oauth["AuthorizationEndpoint"],
        [(one["Key"], one.get("Value", "")) for one in more.get("QueryStringParameters") or ()],
    )
    method, body = oauth["HttpMethod"], b""
    if method == "GET":
        url = with_query(url, list(form.items()))
    else:
        body = urlencode(form).encode()
    answer = await outgoing.request(method, url, headers=headers, body=body, timeout_s=TIMEOUT_S)
    if answer.status >= 500:
        raise outgoing.CannotConnect(f"the authorization endpoint answered {answer.status}")
    try:
        found = orjson.loads(answer.body)
        return str(found["access_token"]), float(found.get("expires_in") or _TOKEN_S)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise Refused(f"The authorization endpoint answered {answer.status} without a token.") from None


def with_query(url: str, pairs: list[tuple[str, str]]) -> str:
    if not pairs:
        return url
    parts = urlsplit(url)
    query = "&".join(one for one in (parts.query, urlencode(pairs)) if one)
    return urlunsplit(parts._replace(query=query))


def put(ctx: Context, tx: Transaction, connection: Connection) -> None:
    """Have the connection authorized; until then it is AUTHORIZING."""
    payload = {"account": ctx.account, "region": ctx.region, "name": connection.name, "id": connection.id}
    ctx.cloud.outbox.put(tx, target=TARGET, payload=payload, now=ctx.now, id=f"events.authorize/{connection.id}")


async def authorize(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler. Nobody there: it is tried again for a day."""
    payload = delivery.payload
    key = keys.connection(payload["account"], payload["region"], payload["name"])

    async def look(tx: Reader) -> tuple[Connection, dict[str, Any]] | None:
        data = await tx.get(key)
        connection = decode(Connection, data) if data is not None else None
        if connection is None or connection.id != payload["id"] or connection.state != "AUTHORIZING":
            return None
        return connection, await connections.unseal(tx, connection)

    found = await cloud.store.read(look)
    if found is None:
        return
    connection, parameters = found
    state = "AUTHORIZED"
    try:
        await cloud.part(Tokens).of(cloud, connection, parameters)
    except outgoing.CannotConnect as error:
        raise Retry(str(error)) from None
    except Refused:
        state = "DEAUTHORIZED"

    async def settle(tx: Transaction) -> None:
        data = await tx.get(key)
        current = decode(Connection, data) if data is not None else None
        if current is not None and (current.id, current.modified) == (connection.id, connection.modified):
            was, current.state = current.state, state
            tx.put(key, encode(current))
            happened = "Authorized" if state == "AUTHORIZED" else "Deauthorized"
            owner = (payload["account"], payload["region"])
            await telling.of_connection(cloud, tx, owner, current, happened, was=was, now=cloud.clock.time())

    await cloud.store.write(settle)
