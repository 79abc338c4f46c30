"""Reading queues of RabbitMQ brokers: batches of messages, and what becomes of them.

The broker keeps what is not acknowledged: the messages of a node that dies, or of a batch that is given back, are
delivered again. The client blocks, so each reader has a thread of its own.

Sources: "Using Lambda with Amazon MQ" of Lambda's developer guide, "Amazon MQ message broker as a source in EventBridge
Pipes" of EventBridge's user guide.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
import pika
from pika.exceptions import AMQPError

from pileus.cloud import amqp_values
from pileus.cloud.amqp_values import shown_moment
from pileus.cloud.outgoing import CannotConnect, resolve
from pileus.kernel.errors import AWSError

# How long the thread waits in the library before it looks whether the reader is to end.
POLL_S = 0.5
# How long a batch without a window is gathered: for what the broker is sending already.
LINGER_S = 0.02
ANSWER_S = 10.0
# How often the broker hears of the reader while a batch is worked on.
ALIVE_S = 5.0

amqp_values.install()

R = TypeVar("R")

# A message as it came: its tag, whether it came before, its properties, its body.
Message = tuple[int, bool, pika.BasicProperties, bytes]
# A call of an operation as whoever reads: service, operation, request.
Caller = Callable[[str, str, dict[str, Any]], Awaitable[dict[str, Any]]]


class BrokerFailed(Exception):
    """The broker does not answer, or not well; its words."""


class Reader:
    """A queue that is being read."""

    def __init__(
        self, queue: str, virtual_host: str, *, batch_size: int, window_s: float, stopping: Callable[[], bool]
    ) -> None:
        self.queue, self.virtual_host = queue, virtual_host
        self._batch_size, self._window_s, self._stopping = batch_size, window_s, stopping
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="amqp")
        self._connection: pika.BlockingConnection | None = None
        self._channel: Any = None
        # What came and did not fit into a batch.
        self._held: Message | None = None

    @property
    def key(self) -> str:
        """ "orders::/", as events name a queue."""
        return f"{self.queue}::{self.virtual_host}"

    async def open(self, call: Caller, broker: str, secret: str) -> None:
        """Connect to the broker with this ARN, as the secret's user. Raises AWSError, BrokerFailed."""
        opened = await call("mq", "OpenBroker", {"BrokerId": broker})
        parts = urlsplit(opened["Endpoint"])
        assert parts.hostname is not None, "brokers are registered with it"
        assert parts.port is not None, "brokers are registered with it"
        user, password = await _login(call, opened, secret)
        try:
            address = await resolve(parts.hostname, parts.port)
        except (OSError, CannotConnect) as error:
            raise AWSError("BadRequestException", f"The broker is not found: {error}") from error
        parameters = pika.ConnectionParameters(
            address,
            parts.port,
            self.virtual_host,
            pika.PlainCredentials(user, password),
            ssl_options=pika.SSLOptions(ssl.create_default_context(), parts.hostname)
            if parts.scheme == "amqps"
            else None,
            socket_timeout=ANSWER_S,
            stack_timeout=ANSWER_S,
            blocked_connection_timeout=ANSWER_S,
        )
        self._connection = await self._in_thread(lambda: pika.BlockingConnection(parameters))
        self._channel = await self._in_thread(self._connection.channel)
        await self._in_thread(lambda: self._channel.basic_qos(prefetch_count=self._batch_size))

    async def batch(self, fits: Callable[[int, int], bool], empty_bytes: int) -> list[Message]:
        """What is there already, or comes within the window after the first; [] where nothing comes for a moment.

        `fits`: whether a record of so many bytes still fits to so many bytes; `empty_bytes`: of a batch of none.
        """
        found: list[Message] = await self._in_thread(functools.partial(self._gather, fits, empty_bytes))
        return found

    async def done(self, messages: list[Message]) -> None:
        await self._in_thread(lambda: self._channel.basic_ack(messages[-1][0], multiple=True))

    async def give_back(self, messages: list[Message]) -> None:
        """Have them delivered again."""
        await self._in_thread(lambda: self._channel.basic_nack(messages[-1][0], multiple=True, requeue=True))

    async def alive(self, work: Coroutine[Any, Any, R]) -> R:
        """Do something while the broker hears of the reader."""
        assert self._connection is not None, "it is open"
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait([task], timeout=ALIVE_S))[0]:
                await self._in_thread(self._connection.process_data_events)
        finally:
            task.cancel()
        return task.result()

    def close(self) -> None:
        if self._connection is not None:
            self._thread.submit(_close, self._connection)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except AMQPError as error:
            raise BrokerFailed(str(getattr(error, "reply_text", "") or error or type(error).__name__)) from error

    # on the thread

    def _gather(self, fits: Callable[[int, int], bool], empty_bytes: int) -> list[Message]:
        first = self._next(POLL_S)
        if first is None:
            return []
        found, size = [first], empty_bytes + len(orjson.dumps(record(first)))
        # The broker's messages come in real time, whatever time it is in the cloud.
        until = time.monotonic() + (self._window_s or LINGER_S)
        while len(found) < self._batch_size and not self._stopping():
            message = self._next(min(POLL_S, max(until - time.monotonic(), 0.001)))
            if message is None:
                if time.monotonic() >= until:
                    break
                continue
            more = len(orjson.dumps(record(message))) + 1
            if not fits(size, more):
                self._held = message
                break
            found.append(message)
            size += more
        return found

    def _next(self, wait_s: float) -> Message | None:
        if (held := self._held) is not None:
            self._held = None
            return held
        deliver, properties, body = next(self._channel.consume(self.queue, inactivity_timeout=wait_s))
        return None if deliver is None else (deliver.delivery_tag, deliver.redelivered, properties, body)


async def _login(call: Caller, opened: dict[str, Any], secret: str) -> tuple[str, str]:
    """Those of the secret; the broker's own user where there is no Secrets Manager to ask."""
    try:
        answer = await call("secretsmanager", "GetSecretValue", {"SecretId": secret})
    except AWSError as error:
        if error.code != "NotImplemented":
            raise
        return opened["Username"], opened["Password"]
    found = orjson.loads(answer["SecretString"])
    return found["username"], found["password"]


def _close(connection: Any) -> None:
    with contextlib.suppress(AMQPError):
        connection.close()


def record(message: Message) -> dict[str, Any]:
    """A message as events show it."""
    _, redelivered, properties, body = message
    return {
        "basicProperties": {
            "contentType": _text(properties.content_type),
            "contentEncoding": _text(properties.content_encoding),
            "headers": None if properties.headers is None else _header(properties.headers),
            "deliveryMode": properties.delivery_mode,
            "priority": properties.priority,
            "correlationId": _text(properties.correlation_id),
            "replyTo": _text(properties.reply_to),
            "expiration": _text(properties.expiration),
            "messageId": _text(properties.message_id),
            "timestamp": None if properties.timestamp is None else _shown_time(shown_moment(properties.timestamp)),
            "type": _text(properties.type),
            "userId": _text(properties.user_id),
            "appId": _text(properties.app_id),
            "clusterId": _text(properties.cluster_id),
            "bodySize": len(body),
        },
        "redelivered": redelivered,
        "data": b64encode(body).decode(),
    }


def opened_record(shown: dict[str, Any]) -> dict[str, Any]:
    """The record as filters see it: its data as the text that it is."""
    return shown | {"data": b64decode(shown["data"]).decode(errors="replace")}


def _text(value: str | bytes | None) -> str | None:
    """A short text; the client leaves one that is no UTF-8 as it came."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _header(value: Any) -> Any:
    """A value of the headers as AWS shows it: texts as their bytes."""
    if isinstance(value, dict):
        return {_text(name): _header(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_header(each) for each in value]
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        # Bytes are signed in Java.
        return {"bytes": [each - 256 if each > 127 else each for each in value]}
    if isinstance(value, datetime):
        return _shown_time(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _shown_time(at: datetime) -> str:
    """ "Jan 1, 1970, 12:33:41 AM"."""
    return f"{at:%b} {at.day}, {at.year}, {at.hour % 12 or 12}:{at:%M:%S %p}"
