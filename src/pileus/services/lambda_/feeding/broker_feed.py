"""Feeds from queues of RabbitMQ brokers.

The broker keeps what is not acknowledged, and a batch is acknowledged when the function has done with it: the messages
of a node that dies, or of a batch that fails, are delivered again. One batch is under way at a time, as at AWS. The
client blocks, so each feed has a thread of its own.

Source: "Using Lambda with Amazon MQ" of the developer guide.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
import pika
from pika.exceptions import AMQPError

from pileus.cloud.outgoing import CannotConnect, resolve
from pileus.kernel.errors import AWSError
from pileus.services.lambda_.feeding import batches
from pileus.services.lambda_.feeding.feed import Feed, Outcome, Throttled
from pileus.services.lambda_.feeding.filters import compile_filter
from pileus.services.lambda_.invoking import new_trace

# How long the thread waits in the library before it looks whether the feed is to end.
POLL_S = 0.5
# How long a batch without a window is gathered: for what the broker is sending already.
LINGER_S = 0.02
ANSWER_S = 10.0
# How often the broker hears of the feed while the function runs.
ALIVE_S = 5.0
RETRY_WAIT_S = 0.5
RETRY_WAIT_MAX_S = 60.0
# What an event has besides its records.
_EVENT_BYTES = 2048

R = TypeVar("R")

# A message as it came: its tag, whether it came before, its properties, its body.
_Message = tuple[int, bool, pika.BasicProperties, bytes]


class BrokerFeed(Feed):
    async def start(self) -> None:
        self._passes = compile_filter(self.mapping.filters, inner="data")
        self._queue = self.mapping.queues[0]
        self._host = next((each["URI"] for each in self.mapping.access if each.get("Type") == "VIRTUAL_HOST"), "/")
        self._failures = 0
        await super().start()

    async def _run(self) -> None:
        # What came and did not fit into a batch.
        self._held: _Message | None = None
        try:
            parameters = await self._parameters()
        except AWSError as error:
            await self.tell(f"PROBLEM: {error.message}")
            raise
        thread = ThreadPoolExecutor(1, thread_name_prefix="amqp")
        connection: pika.BlockingConnection | None = None
        try:
            connection = await self._in(thread, lambda: pika.BlockingConnection(parameters))
            channel = await self._in(thread, connection.channel)
            await self._in(thread, lambda: channel.basic_qos(prefetch_count=self.mapping.batch_size))
            while not self.stopping:
                messages = await self._in(thread, functools.partial(self._gather, channel))
                if messages:
                    await self._work(thread, connection, channel, messages)
        except AMQPError as error:
            await self.tell(f"PROBLEM: {_reason(error)}")
            raise
        finally:
            if connection is not None:
                thread.submit(_close, connection)
            thread.shutdown(wait=False)

    async def _in(self, thread: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(thread, work)

    async def _parameters(self) -> pika.ConnectionParameters:
        opened = await self.call("mq", "OpenBroker", {"BrokerId": self.mapping.source})
        parts = urlsplit(opened["Endpoint"])
        assert parts.hostname is not None, "brokers are registered with it"
        assert parts.port is not None, "brokers are registered with it"
        user, password = await self._login(opened)
        try:
            address = await resolve(parts.hostname, parts.port)
        except (OSError, CannotConnect) as error:
            raise AWSError("BadRequestException", f"The broker is not found: {error}") from error
        return pika.ConnectionParameters(
            address,
            parts.port,
            self._host,
            pika.PlainCredentials(user, password),
            ssl_options=pika.SSLOptions(ssl.create_default_context(), parts.hostname)
            if parts.scheme == "amqps"
            else None,
            socket_timeout=ANSWER_S,
            stack_timeout=ANSWER_S,
            blocked_connection_timeout=ANSWER_S,
        )

    async def _login(self, opened: dict[str, Any]) -> tuple[str, str]:
        """Those of the secret; the broker's own user where there is no Secrets Manager to ask."""
        uri = next(each["URI"] for each in self.mapping.access if each.get("Type") == "BASIC_AUTH")
        try:
            answer = await self.call("secretsmanager", "GetSecretValue", {"SecretId": uri})
        except AWSError as error:
            if error.code != "NotImplemented":
                raise
            return opened["Username"], opened["Password"]
        secret = orjson.loads(answer["SecretString"])
        return secret["username"], secret["password"]

    # on the feed's thread

    def _gather(self, channel: Any) -> list[_Message]:
        """A batch: what is there already, or comes within the window after the first."""
        first = self._next(channel, POLL_S)
        if first is None:
            return []
        found, size = [first], _EVENT_BYTES + len(orjson.dumps(_record(first)))
        # The broker's messages come in real time, whatever time it is in the cloud.
        until = time.monotonic() + (self.mapping.window_s or LINGER_S)
        while len(found) < self.mapping.batch_size and not self.stopping:
            message = self._next(channel, min(POLL_S, max(until - time.monotonic(), 0.001)))
            if message is None:
                if time.monotonic() >= until:
                    break
                continue
            more = len(orjson.dumps(_record(message))) + 1
            if not batches.fits(size, more):
                self._held = message
                break
            found.append(message)
            size += more
        return found

    def _next(self, channel: Any, wait_s: float) -> _Message | None:
        if (held := self._held) is not None:
            self._held = None
            return held
        deliver, properties, body = next(channel.consume(self._queue, inactivity_timeout=wait_s))
        return None if deliver is None else (deliver.delivery_tag, deliver.redelivered, properties, body)

    # working

    async def _work(self, thread: ThreadPoolExecutor, connection: Any, channel: Any, messages: list[_Message]) -> None:
        """Run the function with the batch; then acknowledge it, or have it delivered again."""
        records = [_record(message) for message in messages]
        if self.mapping.filters:
            records = [record for record in records if self._passes(_opened(record))]
        last = messages[-1][0]
        with self.working():
            if not records or await self._alive(thread, connection, self._attempt(records)):
                self._failures = 0
                await self._in(thread, lambda: channel.basic_ack(last, multiple=True))
                return
        wait_s = min(RETRY_WAIT_S * 2 ** min(self._failures, 10), RETRY_WAIT_MAX_S)
        self._failures += 1
        await self._alive(thread, connection, self.pause(wait_s))
        await self._in(thread, lambda: channel.basic_nack(last, multiple=True, requeue=True))

    async def _alive(self, thread: ThreadPoolExecutor, connection: Any, work: Coroutine[Any, Any, R]) -> R:
        """Do something while the broker hears of the feed."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait([task], timeout=ALIVE_S))[0]:
                await self._in(thread, connection.process_data_events)
        finally:
            task.cancel()
        return task.result()

    async def _attempt(self, records: list[dict[str, Any]]) -> bool:
        event = {
            "eventSource": "aws:rmq",
            "eventSourceArn": self.mapping.source,
            "rmqMessagesByQueue": {f"{self._queue}::{self._host}": records},
        }
        outcome: Outcome | None = None
        with contextlib.suppress(Throttled):
            outcome = await self.invoke(orjson.dumps(event), new_trace(self.cloud, self.cloud.clock.time()))
        done = outcome is not None and outcome.result.function_error is None
        await self.tell("OK" if done else "PROBLEM: Function call failed")
        return done


def _close(connection: Any) -> None:
    with contextlib.suppress(AMQPError):
        connection.close()


def _reason(error: AMQPError) -> str:
    return str(getattr(error, "reply_text", "") or error or type(error).__name__)


def _record(message: _Message) -> dict[str, Any]:
    _, redelivered, properties, body = message
    return {
        "basicProperties": {
            "contentType": properties.content_type,
            "contentEncoding": properties.content_encoding,
            "headers": None if properties.headers is None else _header(properties.headers),
            "deliveryMode": properties.delivery_mode,
            "priority": properties.priority,
            "correlationId": properties.correlation_id,
            "replyTo": properties.reply_to,
            "expiration": properties.expiration,
            "messageId": properties.message_id,
            "timestamp": None if properties.timestamp is None else _shown_time(properties.timestamp),
            "type": properties.type,
            "userId": properties.user_id,
            "appId": properties.app_id,
            "clusterId": properties.cluster_id,
            "bodySize": len(body),
        },
        "redelivered": redelivered,
        "data": b64encode(body).decode(),
    }


def _header(value: Any) -> Any:
    """A value of the headers as AWS shows it: texts as their bytes."""
    if isinstance(value, dict):
        return {name: _header(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_header(each) for each in value]
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        # Bytes are signed in Java.
        return {"bytes": [each - 256 if each > 127 else each for each in value]}
    if isinstance(value, datetime):
        return _shown_time(int(value.timestamp()))
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _shown_time(seconds: int) -> str:
    """ "Jan 1, 1970, 12:33:41 AM"."""
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%b} {at.day}, {at.year}, {at.hour % 12 or 12}:{at:%M:%S %p}"


def _opened(record: dict[str, Any]) -> dict[str, Any]:
    """The record as filters see it: its data as the text that it is."""
    return record | {"data": b64decode(record["data"]).decode(errors="replace")}
