"""Getting in at a broker: its address, whether its user may, and the user's password, sealed in the store."""

from __future__ import annotations

import asyncio
import re
import ssl

from pileus.cloud.context import Cloud
from pileus.cloud.outgoing import CannotConnect, resolve
from pileus.services.mq import errors, keys
from pileus.services.mq.records import Broker
from pileus.store.contract import Reader, Transaction

ENDPOINT_TAG = "pileus:endpoint"
_ENDPOINT = re.compile(r"(amqps?)://([A-Za-z0-9.\-]+):([0-9]{1,5})")
_ANSWER_S = 5.0
_KEY_BYTES = 32
_NONCE_BYTES = 12


def parse_endpoint(text: str) -> tuple[bool, str, int]:
    """Whether it is TLS, the host and the port."""
    found = _ENDPOINT.fullmatch(text)
    if found is None or not 0 < int(found[3]) < 65536:
        raise errors.bad_request(
            f"The tag {ENDPOINT_TAG} is not an address: amqp://host:port or amqps://host:port.", "tags"
        )
    return found[1] == "amqps", found[2], int(found[3])


async def try_login(endpoint: str, user: str, password: str) -> None:
    """Raises BadRequestException unless a broker answers there and lets the user in."""
    tls, host, port = parse_endpoint(endpoint)
    try:
        address = await resolve(host, port)
        await asyncio.get_running_loop().run_in_executor(None, _connect, tls, host, address, port, user, password)
    except (OSError, CannotConnect) as error:
        raise errors.bad_request(f"No broker answers at {endpoint}: {error}", "tags") from None


def _connect(tls: bool, host: str, address: str, port: int, user: str, password: str) -> None:
    import pika
    from pika.exceptions import AMQPConnectionError, AuthenticationError, ProbableAuthenticationError

    parameters = pika.ConnectionParameters(
        address,
        port,
        credentials=pika.PlainCredentials(user, password),
        ssl_options=pika.SSLOptions(ssl.create_default_context(), host) if tls else None,
        socket_timeout=_ANSWER_S,
        stack_timeout=_ANSWER_S,
        blocked_connection_timeout=_ANSWER_S,
    )
    try:
        pika.BlockingConnection(parameters).close()
    except (AuthenticationError, ProbableAuthenticationError):
        raise errors.bad_request(f"The broker refuses the user [{user}] or the password.", "users") from None
    except AMQPConnectionError as error:
        raise OSError(str(error) or type(error).__name__) from None


async def seal(cloud: Cloud, tx: Transaction, broker_id: str, password: str) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = await tx.get(keys.seal())
    if key is None:
        key = cloud.ids.token_bytes(_KEY_BYTES)
        tx.put(keys.seal(), key)
    nonce = cloud.ids.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, password.encode(), broker_id.encode())


async def unseal(tx: Reader, broker: Broker) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = await tx.get(keys.seal())
    assert key is not None, "it was made with the first broker"
    nonce, text = broker.sealed[:_NONCE_BYTES], broker.sealed[_NONCE_BYTES:]
    return AESGCM(key).decrypt(nonce, text, broker.id.encode()).decode()
