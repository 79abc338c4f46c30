"""Feeds from Kafka brokers of one's own.

How far a topic has been read is kept by the brokers, for the consumer group: committed after every batch, and once
before the first, so that a node that dies goes on where it was. A batch that fails is tried again until it succeeds, as
at AWS: the order within a partition is kept. Kafka's client blocks, so each feed has a thread of its own.

Source: "Using Lambda with self-managed Apache Kafka" of the developer guide.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
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

from pileus.kernel.errors import AWSError
from pileus.services.lambda_.feeding import batches
from pileus.services.lambda_.feeding.feed import Feed, Outcome, Throttled
from pileus.services.lambda_.feeding.filters import compile_filter
from pileus.services.lambda_.invoking import new_trace

# How long the thread waits in the library before it looks whether the feed is to end.
POLL_S = 0.5
ANSWER_S = 10.0
RETRY_WAIT_S = 0.5
RETRY_WAIT_MAX_S = 60.0
_SCRAM = {"SASL_SCRAM_512_AUTH": "SCRAM-SHA-512", "SASL_SCRAM_256_AUTH": "SCRAM-SHA-256", "BASIC_AUTH": "PLAIN"}
_TIMESTAMPS = {0: "NOT_AVAILABLE", 1: "CREATE_TIME", 2: "LOG_APPEND_TIME"}


class KafkaFeed(Feed):
    async def start(self) -> None:
        self._passes = compile_filter(self.mapping.filters, inner="value")
        await super().start()

    async def _run(self) -> None:
        try:
            settings = await self._settings()
        except AWSError as error:
            await self.tell(f"PROBLEM: {error.message}")
            raise
        thread = ThreadPoolExecutor(1, thread_name_prefix="kafka")
        consumer: Consumer | None = None
        try:
            consumer = await self._in(thread, lambda: Consumer(settings))
            await self._in(thread, lambda: consumer.subscribe(self.mapping.topics, on_assign=self._assigned))
            while not self.stopping:
                messages = await self._in(thread, functools.partial(self._gather, consumer))
                if messages:
                    await self._work(messages)
                    commit = functools.partial(consumer.commit, offsets=_ends(messages), asynchronous=False)
                    with self.working():
                        await self._in(thread, commit)
        except KafkaException as error:
            await self.tell(f"PROBLEM: {error.args[0].str()}")
            raise
        finally:
            if consumer is not None:
                thread.submit(consumer.close)
            thread.shutdown(wait=False)

    async def _in(self, thread: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(thread, work)

    async def _settings(self) -> dict[str, Any]:
        """What the library is told."""
        settings: dict[str, Any] = {
            "bootstrap.servers": ",".join(self.mapping.brokers),
            "group.id": self.mapping.group,
            "client.id": f"lambda-{self.mapping.id}",
            "enable.auto.commit": False,
            "auto.offset.reset": "latest" if self.mapping.start == "LATEST" else "earliest",
            "log_level": 2,
        }
        for access in self.mapping.access:
            kind, uri = access.get("Type", ""), access.get("URI", "")
            if kind in _SCRAM:
                secret = await self._secret(uri)
                settings |= {
                    "security.protocol": "SASL_SSL",
                    "sasl.mechanism": _SCRAM[kind],
                    "sasl.username": secret["username"],
                    "sasl.password": secret["password"],
                }
            elif kind == "SERVER_ROOT_CA_CERTIFICATE":
                settings["ssl.ca.pem"] = (await self._secret(uri))["certificate"]
        return settings

    async def _secret(self, uri: str) -> dict[str, str]:
        answer = await self.call("secretsmanager", "GetSecretValue", {"SecretId": uri})
        secret: dict[str, str] = orjson.loads(answer["SecretString"])
        return secret

    # on the feed's thread

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin where the group was, or where the mapping says; that is kept before anything is read."""
        committed = consumer.committed(partitions, timeout=ANSWER_S)
        new = [each for each in committed if each.offset < 0]
        if self.mapping.start == "AT_TIMESTAMP" and new:
            at_ms = int((self.mapping.start_at or 0) * 1000)
            asked = [TopicPartition(each.topic, each.partition, at_ms) for each in new]
            found = consumer.offsets_for_times(asked, timeout=ANSWER_S)
        else:
            end = OFFSET_END if self.mapping.start == "LATEST" else OFFSET_BEGINNING
            found = [TopicPartition(each.topic, each.partition, end) for each in new]
        begun = []
        for each in found:
            low, high = consumer.get_watermark_offsets(each, timeout=ANSWER_S)
            offset = {OFFSET_END: high, OFFSET_BEGINNING: low}.get(each.offset, each.offset)
            begun.append(TopicPartition(each.topic, each.partition, high if offset < 0 else offset))
        if begun:
            consumer.commit(offsets=begun, asynchronous=False)
        consumer.assign([each for each in committed if each.offset >= 0] + begun)

    def _gather(self, consumer: Consumer) -> list[Message]:
        first = consumer.poll(POLL_S)
        if first is None:
            return []
        if (error := first.error()) is not None:
            raise KafkaException(error)
        rest = self.mapping.batch_size - 1
        more = consumer.consume(rest, timeout=float(self.mapping.window_s) or 0.001) if rest else []
        return [first, *(each for each in more if each.error() is None)]

    # working

    async def _work(self, messages: Sequence[Message]) -> None:
        """Run the function until it has done with the batch."""
        records = [_record(message) for message in messages]
        if self.mapping.filters:
            records = [record for record in records if self._passes(_opened(record))]
        for batch in _cut(records):
            attempts = 0
            while not await self._attempt(batch):
                await self.pause(min(RETRY_WAIT_S * 2 ** min(attempts, 10), RETRY_WAIT_MAX_S))
                attempts += 1

    async def _attempt(self, batch: Sequence[dict[str, Any]]) -> bool:
        by_partition: dict[str, list[dict[str, Any]]] = {}
        for record in batch:
            by_partition.setdefault(f"{record['topic']}-{record['partition']}", []).append(record)
        event = {
            "eventSource": "SelfManagedKafka",
            "bootstrapServers": ",".join(self.mapping.brokers),
            "records": by_partition,
        }
        with self.working():
            outcome: Outcome | None = None
            with contextlib.suppress(Throttled):
                outcome = await self.invoke(orjson.dumps(event), new_trace(self.cloud, self.cloud.clock.time()))
            done = outcome is not None and outcome.result.function_error is None
            await self.tell("OK" if done else "PROBLEM: Function call failed")
            return done


def _record(message: Message) -> dict[str, Any]:
    kind, moment = message.timestamp()
    record: dict[str, Any] = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": moment,
        "timestampType": _TIMESTAMPS.get(kind, "NOT_AVAILABLE"),
    }
    for name, content in (("key", message.key()), ("value", message.value())):
        if content is not None:
            record[name] = b64encode(_bytes(content)).decode()
    # Bytes are signed in Java.
    given: Any = message.headers() or ()
    headers = [(name, _bytes(value or b"")) for name, value in given]
    record["headers"] = [{name: [each - 256 if each > 127 else each for each in value]} for name, value in headers]
    return record


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _opened(record: dict[str, Any]) -> dict[str, Any]:
    """The record as filters see it: its value as the text that it is."""
    shown = dict(record)
    for name in ("key", "value"):
        if name in shown:
            shown[name] = b64decode(shown[name]).decode(errors="replace")
    shown.setdefault("value", "")
    return shown


def _cut(records: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    out: list[list[dict[str, Any]]] = []
    size = 0
    for record in records:
        more = len(orjson.dumps(record))
        if not out or not batches.fits(size, more + 256):
            out.append([])
            size = 0
        out[-1].append(record)
        size += more + 1
    return out


def _ends(messages: Sequence[Message]) -> list[TopicPartition]:
    """Behind the last message of each partition."""
    ends: dict[tuple[str, int], int] = {}
    for message in messages:
        ends[str(message.topic()), int(message.partition() or 0)] = int(message.offset() or 0) + 1
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]
