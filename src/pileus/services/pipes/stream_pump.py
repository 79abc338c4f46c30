"""Pipes from streams of DynamoDB.

How far a stream has been read is kept in the store after every batch: a node that dies goes on there, so an event may
come twice and none is lost. Source: "Amazon DynamoDB stream as a source" of the user guide.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.sending import Message, send
from pileus.delivery.contract import Retry, Undeliverable
from pileus.kernel.errors import AWSError
from pileus.kernel.raw import RawJson
from pileus.services.pipes import keys
from pileus.services.pipes.delivering import Failed, hand_on, role_of
from pileus.services.pipes.pump import Pump, log
from pileus.services.pipes.records import Place, decode, encode
from pileus.store.contract import Reader, Transaction

PAGE_RECORDS = 1000
# Stream records come with a signal; this is for those that another node wrote.
IDLE_LOOK_S = 60.0
_LOST_PLACE = frozenset({"ExpiredIteratorException", "TrimmedDataAccessException"})


class StreamPump(Pump):
    async def _read(self) -> None:
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
            await self._pause(attempts)
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
