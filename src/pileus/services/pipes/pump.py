"""The first half of a pipe: reading its source, batch after batch.

Of a queue nothing is kept here: a message is deleted when it has arrived, and what fails becomes visible again, as the
queue's redrive policy says. How far a stream has been read is kept in the store after every batch: a node that dies
goes on there, so an event may come twice and none is lost. A broker keeps what is not acknowledged, as a queue does;
its batches go one after the other, and one that fails is delivered again. Of Kafka's topics the brokers keep how far
they have been read.

Sources: "Amazon SQS as a source", "Amazon DynamoDB stream as a source", "Amazon MQ message broker as a source",
"Amazon EventBridge Pipes error handling and troubleshooting" of the user guide.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.sending import Message, queue_url, send
from pileus.delivery.contract import Retry, Undeliverable
from pileus.kernel.errors import AWSError
from pileus.kernel.raw import RawJson
from pileus.services.pipes import keys, settings
from pileus.services.pipes.delivering import Failed, hand_on, role_of
from pileus.services.pipes.events import KAFKA, RABBITMQ, compile_filter
from pileus.services.pipes.names import PipeName
from pileus.services.pipes.records import Pipe, Place, decode, encode
from pileus.store.contract import Reader, Transaction

log = logging.getLogger("pileus.pipes")

LONG_POLL_S = 20
RECEIVED_AT_ONCE = 10
PAGE_RECORDS = 1000
# Batches of a standard queue under way at once.
BATCHES_MAX = 10
# Stream records come with a signal; this is for those that another node wrote.
IDLE_LOOK_S = 60.0
RETRY_WAIT_S = 0.5
RETRY_WAIT_MAX_S = 60.0
_ACCESS = {
    "BasicAuth": "BASIC_AUTH",
    "SaslScram512Auth": "SASL_SCRAM_512_AUTH",
    "SaslScram256Auth": "SASL_SCRAM_256_AUTH",
}
# "The maximum payload size of a batch": 6 MB, with some room for what is around it.
BATCH_BYTES_MAX = 6_000_000
_LOST_PLACE = frozenset({"ExpiredIteratorException", "TrimmedDataAccessException"})


class Pump:
    """A pipe that runs."""

    def __init__(self, cloud: Cloud, at: PipeName, pipe: Pipe) -> None:
        self.cloud = cloud
        self.at = at
        self.pipe = pipe
        self._source = arn = settings.source_arn(pipe.source)
        self._own = settings.own_parameters(arn, pipe.source_parameters)
        self._passes = compile_filter(settings.filters(pipe.source_parameters))
        self._size: int = self._own.get("BatchSize") or settings.BATCH_SIZES[arn.service]
        self._window_s: float = self._own.get("MaximumBatchingWindowInSeconds") or 0
        self._working: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._at_work = 0
        self.stopping = False
        self._readers = {
            "sqs": self._read_queue,
            "dynamodb": self._read_stream,
            "mq": self._read_broker,
            "smk": self._read_kafka,
        }

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run_on())

    async def stop(self) -> None:
        """Read no more; returns when what was under way is done."""
        self.stopping = True
        if self._task is not None and not self._at_work:
            self._task.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])
        if self._working:
            await asyncio.wait(self._working)

    def cancel(self) -> list[asyncio.Task[None]]:
        tasks = [task for task in (self._task, *self._working) if task is not None]
        for task in tasks:
            task.cancel()
        return tasks

    def busy(self) -> list[asyncio.Task[None]]:
        """The tasks that do more than wait for something to come."""
        own = [self._task] if self._task is not None and self._at_work else []
        return [*own, *self._working]

    async def _run_on(self) -> None:
        """Again and again, whatever is wrong with the source: it may be mended."""
        failures = 0
        while not self.stopping:
            try:
                await self._readers[self._source.service]()
                return
            except AWSError as error:
                log.debug("pipe %s: %s", self.at.arn, error)
            except Exception:  # the next try may find it mended
                log.exception("pipe %s failed", self.at.arn)
            await self.cloud.clock.sleep(min(RETRY_WAIT_S * 2**failures, RETRY_WAIT_MAX_S))
            failures = min(failures + 1, 10)

    async def _call(self, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        principal = await role_of(self.cloud, self.at, self.pipe)
        region = self._source.region or self.at.region
        return await self.cloud.call(principal, service, operation, request, region=region)

    # queues

    async def _read_queue(self) -> None:
        url = queue_url(self.cloud, self._source)
        fifo = self._source.resource.endswith(".fifo")
        while not self.stopping:
            batch = await self._receive(url)
            if not batch:
                continue
            if fifo:
                self._at_work += 1
                try:
                    await self._work(url, batch)
                finally:
                    self._at_work -= 1
                continue
            while len(self._working) >= BATCHES_MAX:
                await asyncio.wait(self._working, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.ensure_future(self._work(url, batch))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _receive(self, url: str) -> list[dict[str, Any]]:
        found = await self._receive_once(url, min(self._size, RECEIVED_AT_ONCE), LONG_POLL_S)
        if found and self._window_s:
            deadline = self.cloud.clock.time() + self._window_s
            while len(found) < self._size and (left := deadline - self.cloud.clock.time()) > 0:
                if left < 1:
                    # Long polls are in whole seconds.
                    await self.cloud.clock.sleep(left)
                found += await self._receive_once(url, min(self._size - len(found), RECEIVED_AT_ONCE), int(left))
        return found

    async def _receive_once(self, url: str, most: int, wait_s: int) -> list[dict[str, Any]]:
        """Messages that pass the filter; the others are deleted."""
        answer = await self._call(
            "sqs",
            "ReceiveMessage",
            {
                "QueueUrl": url,
                "MaxNumberOfMessages": most,
                "WaitTimeSeconds": wait_s,
                "MessageSystemAttributeNames": ["All"],
                "MessageAttributeNames": ["All"],
            },
        )
        events = [self._event(message) for message in answer.get("Messages") or ()]
        passing = [event for event in events if self._passes(event)]
        await self._delete(url, [event for event in events if event not in passing])
        return passing

    def _event(self, message: dict[str, Any]) -> dict[str, Any]:
        attributes = message.get("MessageAttributes") or {}
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes") or {},
            "messageAttributes": {name: _attribute(value) for name, value in attributes.items()},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self.pipe.source,
            "awsRegion": self._source.region,
        }

    async def _work(self, url: str, batch: list[dict[str, Any]]) -> None:
        done = batch
        try:
            await hand_on(self.cloud, self.at, self.pipe, batch)
        except Failed as error:
            log.info("pipe %s: %s", self.at.arn, error)
            which = set(range(len(batch))) if error.which is None else error.which
            done = [event for number, event in enumerate(batch) if number not in which]
        await self._delete(url, done)

    async def _delete(self, url: str, events: list[dict[str, Any]]) -> None:
        for start in range(0, len(events), RECEIVED_AT_ONCE):
            entries = [
                {"Id": str(number), "ReceiptHandle": event["receiptHandle"]}
                for number, event in enumerate(events[start : start + RECEIVED_AT_ONCE])
            ]
            # A queue that is gone meanwhile has nothing left to delete.
            with suppress(AWSError):
                await self._call("sqs", "DeleteMessageBatch", {"QueueUrl": url, "Entries": entries})

    # brokers

    async def _read_broker(self) -> None:
        # Its client is there only where it was installed.
        from pileus.cloud import rabbitmq

        reader = rabbitmq.Reader(
            self._own["QueueName"],
            self._own.get("VirtualHost") or "/",
            batch_size=self._size,
            window_s=self._window_s,
            stopping=lambda: self.stopping,
        )
        failures = 0
        try:
            await reader.open(self._call, self.pipe.source, self._own["Credentials"]["BasicAuth"])
            while not self.stopping:
                messages = await reader.batch(_fits, 0)
                if not messages:
                    continue
                self._at_work += 1
                try:
                    if await reader.alive(self._hand_on([self._of_broker(reader.key, one) for one in messages])):
                        failures = 0
                        await reader.done(messages)
                        continue
                    await reader.alive(self._pause(failures))
                    failures += 1
                    await reader.give_back(messages)
                finally:
                    self._at_work -= 1
        except rabbitmq.BrokerFailed as error:
            raise AWSError("BadRequestException", f"The broker does not answer: {error}") from error
        finally:
            reader.close()

    def _of_broker(self, key: str, message: Any) -> dict[str, Any]:
        from pileus.cloud import rabbitmq

        source = {"eventSource": RABBITMQ, "eventSourceArn": self.pipe.source, "eventSourceKey": key}
        return source | rabbitmq.record(message)

    async def _hand_on(self, events: list[dict[str, Any]]) -> bool:
        """Whether all that pass the filter have arrived."""
        batch = [event for event in events if self._passes(event)]
        try:
            if batch:
                await hand_on(self.cloud, self.at, self.pipe, batch)
        except Failed as error:
            log.info("pipe %s: %s", self.at.arn, error)
            return False
        return True

    async def _read_kafka(self) -> None:
        from pileus.cloud import kafka

        brokers = [self._source.resource, *(self._own.get("AdditionalBootstrapServers") or ())]
        reader = kafka.Reader(
            brokers,
            [self._own["TopicName"]],
            self._own.get("ConsumerGroupID") or f"pipe-{self.at.name}-{int(self.pipe.created * 1000)}",
            client=f"pipe-{self.at.name}",
            start=self._own.get("StartingPosition") or "TRIM_HORIZON",
            batch_size=self._size,
            window_s=self._window_s,
        )
        try:
            await reader.open(self._call, _access(self._own))
            while not self.stopping:
                messages = await reader.batch()
                if not messages:
                    continue
                events = [
                    {
                        "eventSource": KAFKA,
                        "bootstrapServers": ",".join(brokers),
                        "eventSourceKey": f"{one.topic()}-{one.partition()}",
                        **kafka.record(one),
                    }
                    for one in messages
                ]
                self._at_work += 1
                try:
                    failures = 0
                    # The order within a partition is kept: nothing passes what has not arrived.
                    while not await self._hand_on(events):
                        if self.stopping:
                            return
                        await self._pause(failures)
                        failures += 1
                    await reader.done(messages)
                finally:
                    self._at_work -= 1
        except kafka.BrokersFailed as error:
            raise AWSError("BadRequestException", f"The brokers do not answer: {error}") from error
        finally:
            reader.close()

    async def _pause(self, failures: int) -> None:
        await self.cloud.clock.sleep(min(RETRY_WAIT_S * 2 ** min(failures, 10), RETRY_WAIT_MAX_S))

    # streams

    async def _read_stream(self) -> None:
        described = await self._call("dynamodbstreams", "DescribeStream", {"StreamArn": self.pipe.source})
        shards = [shard["ShardId"] for shard in described["StreamDescription"]["Shards"]]
        readers = [asyncio.ensure_future(self._read_shard(shard)) for shard in shards]
        try:
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _read_shard(self, shard: str) -> None:
        key = keys.place(*self.at, shard)

        async def load(tx: Reader) -> Place:
            data = await tx.get(key)
            return decode(Place, data) if data is not None else Place()

        place = await self.cloud.store.read(load)
        with self.cloud.signals.listen(self.pipe.source) as signal:
            iterator: str | None = await self._iterator(shard, key, place)
            while iterator is not None and not self.stopping:
                signal.clear()
                records, iterator = await self._page(shard, key, place, iterator)
                if records and self._window_s and len(records) < self._size:
                    await self.cloud.clock.sleep(self._window_s)
                    if iterator is not None:
                        more, iterator = await self._page(shard, key, place, iterator)
                        records += more
                if not records:
                    await _wait(self.cloud, signal, IDLE_LOOK_S)
                    continue
                self._at_work += 1
                try:
                    if not await self._in_lanes(shard, key, place, records):
                        return
                finally:
                    self._at_work -= 1

    async def _iterator(self, shard: str, key: bytes, place: Place) -> str:
        request: dict[str, Any] = {"StreamArn": self.pipe.source, "ShardId": shard}
        if place.after:
            request |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": place.after}
        elif place.since is not None:
            # By whole seconds: rather some too many than one too few.
            request |= {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": float(int(place.since))}
        else:
            request["ShardIteratorType"] = self._own["StartingPosition"]
        try:
            answer = await self._call("dynamodbstreams", "GetShardIterator", request)
        except AWSError as error:
            if error.code not in _LOST_PLACE:
                raise
            request = {"StreamArn": self.pipe.source, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
            answer = await self._call("dynamodbstreams", "GetShardIterator", request)
        if request["ShardIteratorType"] == "LATEST":
            # A node that dies before the first record begins here again, and not where the stream then ends.
            place.since = self.cloud.clock.time()
            await self._keep(key, place)
        iterator: str = answer["ShardIterator"]
        return iterator

    async def _page(
        self, shard: str, key: bytes, place: Place, iterator: str
    ) -> tuple[list[dict[str, Any]], str | None]:
        request = {"ShardIterator": iterator, "Limit": PAGE_RECORDS}
        try:
            answer = await self._call("dynamodbstreams", "GetRecords", request)
        except AWSError as error:
            if error.code not in _LOST_PLACE:
                raise
            return [], await self._iterator(shard, key, place)
        records = [
            orjson.loads(orjson.dumps({**record, "eventSourceARN": self.pipe.source}, default=_as_it_is))
            for record in answer["Records"]
        ]
        return records, answer.get("NextShardIterator")

    async def _in_lanes(self, shard: str, key: bytes, place: Place, records: list[dict[str, Any]]) -> bool:
        """Bring a page's records to their end in as many lanes as the pipe has; whether they are all there.

        The records of one item stay in one lane, and so in order. Where the shard has been read to is kept after every
        batch of a single lane, else with the page.
        """
        lanes: list[list[dict[str, Any]]] = [[] for _ in range(self._own.get("ParallelizationFactor") or 1)]
        for record in records:
            lanes[crc32(orjson.dumps(record["dynamodb"]["Keys"], option=orjson.OPT_SORT_KEYS)) % len(lanes)].append(
                record
            )

        async def bring(lane: list[dict[str, Any]]) -> bool:
            for start in range(0, len(lane), self._size):
                batch = lane[start : start + self._size]
                if not await self._through(shard, batch):
                    return False
                if len(lanes) == 1:
                    place.after = batch[-1]["dynamodb"]["SequenceNumber"]
                    await self._keep(key, place)
                if self.stopping:
                    return start + self._size >= len(lane)
            return True

        if len(lanes) == 1:
            return await bring(lanes[0])
        working = [asyncio.ensure_future(bring(lane)) for lane in lanes if lane]
        try:
            done = await asyncio.gather(*working)
        finally:
            # Where one of them fails the shard is read anew: the others must not go on beside it.
            for one in working:
                one.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        if not all(done):
            return False
        place.after = records[-1]["dynamodb"]["SequenceNumber"]
        await self._keep(key, place)
        return True

    async def _through(self, shard: str, records: list[dict[str, Any]]) -> bool:
        """Bring records to their end, in order: arrived, tried again, split, or given up. False: the pipe stops."""
        batches = [[record for record in records if self._passes(record)]]
        attempts = 0
        while batches:
            batch = batches[0]
            if not batch:
                batches.pop(0)
                continue
            age_max = self._own.get("MaximumRecordAgeInSeconds", -1)
            oldest = float(batch[0]["dynamodb"].get("ApproximateCreationDateTime") or 0)
            if age_max >= 0 and self.cloud.clock.time() - oldest > age_max:
                await self._give_up(shard, batch[:1], "RecordAgeExceeded", attempts)
                batches[0] = batch[1:]
                continue
            try:
                await hand_on(self.cloud, self.at, self.pipe, batch)
                batches.pop(0)
                attempts = 0
                continue
            except Failed as error:
                log.info("pipe %s: %s", self.at.arn, error)
                attempts += 1
                if error.which:
                    # All before the first that failed have arrived.
                    batch = batches[0] = batch[min(error.which) :]
            retries = self._own.get("MaximumRetryAttempts", -1)
            if self._own.get("OnPartialBatchItemFailure") == "AUTOMATIC_BISECT" and len(batch) > 1:
                middle = len(batch) // 2
                batches[:1] = [batch[:middle], batch[middle:]]
            elif 0 <= retries < attempts:
                await self._give_up(shard, batch, "RetryAttemptsExhausted", attempts)
                batches.pop(0)
                attempts = 0
                continue
            if self.stopping:
                return False
            await self.cloud.clock.sleep(min(RETRY_WAIT_S * 2 ** min(attempts, 10), RETRY_WAIT_MAX_S))
            if self.stopping:
                return False
        return True

    async def _keep(self, key: bytes, place: Place) -> None:
        async def put(tx: Transaction) -> None:
            # A pipe that is gone leaves nothing behind.
            if await tx.get(keys.pipe(*self.at)) is not None:
                tx.put(key, encode(place))

        await self.cloud.store.write(put)

    async def _give_up(self, shard: str, records: list[dict[str, Any]], condition: str, attempts: int) -> None:
        """Tell the dead-letter queue which records were given up; the stream still has them."""
        queue = (self._own.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            return
        first, last = records[0]["dynamodb"], records[-1]["dynamodb"]
        letter = {
            "context": {
                "partnerResourceArn": self.at.arn,
                "condition": condition,
                "approximateInvokeCount": attempts,
            },
            "version": "1.0",
            "timestamp": _shown(self.cloud.clock.time()),
            "DDBStreamBatchInfo": {
                "shardId": shard,
                "startSequenceNumber": first["SequenceNumber"],
                "endSequenceNumber": last["SequenceNumber"],
                "approximateArrivalOfFirstRecord": _shown(float(first["ApproximateCreationDateTime"])),
                "approximateArrivalOfLastRecord": _shown(float(last["ApproximateCreationDateTime"])),
                "batchSize": len(records),
                "streamArn": self.pipe.source,
            },
        }
        principal = await role_of(self.cloud, self.at, self.pipe)
        try:
            await send(self.cloud, principal, queue, Message(body=orjson.dumps(letter)), region=self.at.region)
        except (Retry, Undeliverable) as error:
            log.warning("pipe %s: a dead letter is lost: %s", self.at.arn, error)


def _access(own: dict[str, Any]) -> list[tuple[str, str]]:
    """The secrets with which Kafka's brokers are asked, by their kinds."""
    credentials = own.get("Credentials") or {}
    found = [(kind, credentials[member]) for member, kind in _ACCESS.items() if member in credentials]
    certificate = own.get("ServerRootCaCertificate")
    return found if certificate is None else [*found, ("SERVER_ROOT_CA_CERTIFICATE", certificate)]


def _fits(size: int, more: int) -> bool:
    return size + more < BATCH_BYTES_MAX


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if value.get("StringValue") is not None:
        shown["stringValue"] = value["StringValue"]
    if value.get("BinaryValue") is not None:
        shown["binaryValue"] = b64encode(value["BinaryValue"]).decode()
    return shown | {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}


def _as_it_is(value: Any) -> orjson.Fragment:
    """Items are in their wire form already."""
    assert isinstance(value, RawJson)
    return orjson.Fragment(value.json)


def _shown(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


async def _wait(cloud: Cloud, signal: asyncio.Event, seconds: float) -> None:
    woken = asyncio.ensure_future(signal.wait())
    slept = asyncio.ensure_future(cloud.clock.sleep(seconds))
    try:
        await asyncio.wait([woken, slept], return_when=asyncio.FIRST_COMPLETED)
    finally:
        woken.cancel()
        slept.cancel()
