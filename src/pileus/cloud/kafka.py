"""Reading topics of Kafka brokers of one's own: batches of messages, and how far they have been worked on.

How far a topic has been read is kept by the brokers, for the consumer group: committed when a batch is done, and once
before the first, so that a node that dies goes on where it was. Kafka's client blocks, so each reader has a thread of
its own.

Sources: "Using Lambda with self-managed Apache Kafka" of Lambda's developer guide, "Apache Kafka streams as a source in
EventBridge Pipes" of EventBridge's user guide.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaException,
    Message,
    TopicPartition,
)

from pileus.cloud.outgoing import CannotConnect, resolve

__all__ = ["BrokersFailed", "Message", "Reader", "opened_record", "record"]

# How long the thread waits in the library before it looks whether the reader is to end.
POLL_S = 0.5
ANSWER_S = 10.0
# Many large messages are no batch: they would all be in memory at once.
BATCH_BYTES_MAX = 6_000_000
_AT_ONCE = 100
_SCRAM = {"SASL_SCRAM_512_AUTH": "SCRAM-SHA-512", "SASL_SCRAM_256_AUTH": "SCRAM-SHA-256", "BASIC_AUTH": "PLAIN"}
_TIMESTAMPS = {0: "NOT_AVAILABLE", 1: "CREATE_TIME", 2: "LOG_APPEND_TIME"}

# A call of an operation as whoever reads: service, operation, request.
Caller = Callable[[str, str, dict[str, Any]], Awaitable[dict[str, Any]]]


class BrokersFailed(Exception):
    """The brokers do not answer, or not well; the library's words."""


class Reader:
    """A group's reading of topics."""

    def __init__(
        self,
        brokers: Sequence[str],
        topics: Sequence[str],
        group: str,
        *,
        client: str,
        start: str,
        start_at: float | None = None,
        batch_size: int,
        window_s: float,
    ) -> None:
        """`start`: where a group that is new begins, "TRIM_HORIZON", "LATEST", or "AT_TIMESTAMP" with `start_at`."""
        self._brokers, self._topics, self._start, self._start_at = list(brokers), list(topics), start, start_at
        self._batch_size, self._window_s = batch_size, window_s
        self._settings: dict[str, Any] = {
            "group.id": group,
            "client.id": client,
            "enable.auto.commit": False,
            "auto.offset.reset": "latest" if start == "LATEST" else "earliest",
            "log_level": 2,
        }
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka")
        self._consumer: Consumer | None = None

    async def open(self, call: Caller, access: Sequence[tuple[str, str]]) -> None:
        """Begin. `access`: kinds as Lambda names them ("SASL_SCRAM_512_AUTH") and the ARNs of their secrets.

        Raises AWSError, BrokersFailed.
        """
        for kind, secret_arn in access:
            if kind in _SCRAM:
                secret = await _secret(call, secret_arn)
                self._settings |= {
                    "security.protocol": "SASL_SSL",
                    "sasl.mechanism": _SCRAM[kind],
                    "sasl.username": secret["username"],
                    "sasl.password": secret["password"],
                }
            elif kind == "SERVER_ROOT_CA_CERTIFICATE":
                self._settings["ssl.ca.pem"] = (await _secret(call, secret_arn))["certificate"]
        servers = await _callable(self._brokers, named="security.protocol" in self._settings)
        self._settings["bootstrap.servers"] = ",".join(servers)
        self._consumer = await self._in_thread(lambda: Consumer(self._settings))
        await self._in_thread(lambda: self._client.subscribe(self._topics, on_assign=self._assigned))

    @property
    def _client(self) -> Consumer:
        assert self._consumer is not None, "it is open"
        return self._consumer

    async def batch(self) -> list[Message]:
        """What comes within the window after the first; [] where nothing comes for a moment."""
        found: list[Message] = await self._in_thread(self._gather)
        return found

    async def done(self, messages: Sequence[Message]) -> None:
        await self._in_thread(lambda: self._client.commit(offsets=_ends(messages), asynchronous=False))

    def close(self) -> None:
        if self._consumer is not None:
            self._thread.submit(self._consumer.close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except KafkaException as error:
            raise BrokersFailed(error.args[0].str()) from error

    # on the thread

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin where the group was, or where it is to begin; that is kept before anything is read."""
        committed = consumer.committed(partitions, timeout=ANSWER_S)
        new = [each for each in committed if each.offset < 0]
        if self._start == "AT_TIMESTAMP" and new:
            at_ms = int((self._start_at or 0) * 1000)
            asked = [TopicPartition(each.topic, each.partition, at_ms) for each in new]
            found = consumer.offsets_for_times(asked, timeout=ANSWER_S)
        else:
            end = OFFSET_END if self._start == "LATEST" else OFFSET_BEGINNING
            found = [TopicPartition(each.topic, each.partition, end) for each in new]
        begun = []
        for each in found:
            low, high = consumer.get_watermark_offsets(each, timeout=ANSWER_S)
            offset = {OFFSET_END: high, OFFSET_BEGINNING: low}.get(each.offset, each.offset)
            begun.append(TopicPartition(each.topic, each.partition, high if offset < 0 else offset))
        if begun:
            consumer.commit(offsets=begun, asynchronous=False)
        consumer.assign([each for each in committed if each.offset >= 0] + begun)

    def _gather(self) -> list[Message]:
        first = self._client.poll(POLL_S)
        if first is None:
            return []
        if (error := first.error()) is not None:
            raise KafkaException(error)
        found, size = [first], _size(first)
        # The brokers' messages come in real time, whatever time it is in the cloud.
        until = time.monotonic() + self._window_s
        while (rest := self._batch_size - len(found)) > 0 and size < BATCH_BYTES_MAX:
            wait_s = max(until - time.monotonic(), 0.001)
            more = self._client.consume(min(rest, _AT_ONCE), timeout=wait_s)
            found += [each for each in more if each.error() is None]
            size += sum(map(_size, more))
            if not more:
                break
        return found


async def _callable(brokers: Sequence[str], *, named: bool) -> list[str]:
    """The addresses that are asked first, "host:port": those that may be called.

    `named`: with the hosts' names, which certificates are held against. Raises BrokersFailed where none is found, or
    where one must not be called.
    """
    found, failure = [], ""
    for broker in brokers:
        host, _, port = broker.rpartition(":")
        try:
            address = await resolve(host, int(port))
        except CannotConnect as error:
            raise BrokersFailed(str(error)) from None
        except (OSError, ValueError) as error:
            # Others may answer.
            failure = f"{host}: {error}"
            continue
        found.append(broker if named else f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
    if not found:
        raise BrokersFailed(failure)
    return found


async def _secret(call: Caller, arn: str) -> dict[str, str]:
    answer = await call("secretsmanager", "GetSecretValue", {"SecretId": arn})
    secret: dict[str, str] = orjson.loads(answer["SecretString"])
    return secret


def record(message: Message) -> dict[str, Any]:
    """A message as events show it."""
    kind, moment = message.timestamp()
    shown: dict[str, Any] = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": moment,
        "timestampType": _TIMESTAMPS.get(kind, "NOT_AVAILABLE"),
    }
    for name, content in (("key", message.key()), ("value", message.value())):
        if content is not None:
            shown[name] = b64encode(_bytes(content)).decode()
    # Bytes are signed in Java.
    given: Any = message.headers() or ()
    headers = [(name, _bytes(value or b"")) for name, value in given]
    shown["headers"] = [{name: [each - 256 if each > 127 else each for each in value]} for name, value in headers]
    return shown


def _size(message: Message) -> int:
    return len(message.value() or b"")


def cut(records: Sequence[dict[str, Any]], fits: Callable[[int, int], bool]) -> list[list[dict[str, Any]]]:
    """The records in parts, in their order. `fits`: whether one of so many bytes still fits to so many bytes."""
    parts: list[list[dict[str, Any]]] = []
    size = 0
    for one in records:
        more = len(orjson.dumps(one)) + 1
        if not parts or not fits(size, more):
            parts.append([])
            size = 0
        parts[-1].append(one)
        size += more
    return parts


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def opened_record(given: dict[str, Any]) -> dict[str, Any]:
    """The record as filters see it: its key and its value as the texts that they are."""
    shown = dict(given)
    for name in ("key", "value"):
        if name in shown:
            shown[name] = b64decode(shown[name]).decode(errors="replace")
    shown.setdefault("value", "")
    return shown


def _ends(messages: Sequence[Message]) -> list[TopicPartition]:
    """Behind the last message of each partition."""
    ends: dict[tuple[str, int], int] = {}
    for message in messages:
        ends[str(message.topic()), int(message.partition() or 0)] = int(message.offset() or 0) + 1
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]
