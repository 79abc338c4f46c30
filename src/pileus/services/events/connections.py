"""Connections: what is shown of their parameters, and the rest sealed.

Source: "Connections for API destination targets in Amazon EventBridge" of the user guide; recorded answers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Cloud, Context
from pileus.services.events import errors, keys
from pileus.services.events.records import Connection, decode
from pileus.store.contract import Reader, Transaction

_KEY_BYTES = 32
_NONCE_BYTES = 12
_PARAMETERS = {
    "BASIC": "BasicAuthParameters",
    "API_KEY": "ApiKeyAuthParameters",
    "OAUTH_CLIENT_CREDENTIALS": "OAuthParameters",
}
_SECRETS = frozenset(("Password", "ApiKeyValue", "ClientSecret"))


def check(authorization: str, parameters: dict[str, Any]) -> None:
    """Raises ValidationException unless the parameters are those of this kind of authorization."""
    wanted = _PARAMETERS[authorization]
    if wanted not in parameters or any(one in parameters for one in _PARAMETERS.values() if one != wanted):
        raise errors.invalid(
            f"Parameter AuthParameters is not valid. Reason: {wanted} is the one that {authorization} needs."
        )


def shown(value: Any) -> Any:
    """The parameters without what is secret."""
    if isinstance(value, dict):
        if "IsValueSecret" in value or {"Key", "Value"} <= value.keys():
            secret = value.get("IsValueSecret", True)
            return {name: one for name, one in value.items() if name != "Value" or not secret}
        return {name: shown(one) for name, one in value.items() if name not in _SECRETS}
    return [shown(one) for one in value] if isinstance(value, list) else value


async def get(ctx: Context, tx: Reader, name: str) -> Connection:
    data = await tx.get(keys.connection(ctx.account, ctx.region, name))
    if data is None:
        raise errors.no_connection(name)
    return decode(Connection, data)


async def seal(cloud: Cloud, tx: Transaction, connection: Connection, parameters: dict[str, Any]) -> None:
    """Keep the parameters, shown and sealed."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = await tx.get(keys.seal())
    if key is None:
        key = cloud.ids.token_bytes(_KEY_BYTES)
        tx.put(keys.seal(), key)
    nonce = cloud.ids.token_bytes(_NONCE_BYTES)
    text = msgspec.msgpack.encode(parameters)
    connection.shown = shown(parameters)
    connection.sealed = nonce + AESGCM(key).encrypt(nonce, text, connection.id.encode())


async def unseal(tx: Reader, connection: Connection) -> dict[str, Any]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = await tx.get(keys.seal())
    if key is None or not connection.sealed:
        return {}
    nonce, text = connection.sealed[:_NONCE_BYTES], connection.sealed[_NONCE_BYTES:]
    found: dict[str, Any] = msgspec.msgpack.decode(AESGCM(key).decrypt(nonce, text, connection.id.encode()))
    return found


def parameters_of(authorization: str) -> str:
    """The member that holds the parameters of this kind of authorization."""
    return _PARAMETERS[authorization]
