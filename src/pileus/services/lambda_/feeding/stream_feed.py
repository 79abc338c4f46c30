"""Feeds from DynamoDB Streams: each shard read in order, batch after batch.

How far it has come is kept in the store after every batch (`StreamPlace`): a node that dies goes on there, so a record
may come twice and none is lost. Records that are given up are handed to the on-failure destination in the same
transaction.

Sources: "Process Amazon DynamoDB records with Lambda" of the developer guide, its pages on batching, windows and
retained records; recorded answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from pileus.kernel.errors import AWSError
from pileus.kernel.raw import RawJson
from pileus.services.lambda_ import keys, metrics
from pileus.services.lambda_.feeding import batches, failures, windows
from pileus.services.lambda_.feeding.feed import Feed, Outcome, Throttled
from pileus.services.lambda_.feeding.filters import Filter, compile_filter
from pileus.services.lambda_.invoking import new_trace
from pileus.services.lambda_.node import node
from pileus.services.lambda_.records import StreamPlace, decode, encode
from pileus.store.contract import Reader, Transaction

SOURCE = "dynamodbstreams"
# Records come with a signal; this is for those that another node wrote.
IDLE_LOOK_S = 60.0
PAGE_RECORDS = 1000
# Before the next attempt: 0.5, 1, 2 ... seconds.
RETRY_WAIT_S = 0.5
RETRY_WAIT_MAX_S = 60.0
FAILED = "PROBLEM: Function call failed"
# Where the record behind an iterator is gone, or the iterator too old.
_LOST_PLACE = frozenset({"ExpiredIteratorException", "TrimmedDataAccessException"})


class Record(NamedTuple):
    number: str
    # When it was written, seconds since the epoch.
    arrived: float
    # Records of one item stay in their order.
    lane: int
    json: bytes


def _as_it_is(value: Any) -> orjson.Fragment:
    """Items are in their wire form already."""
    assert isinstance(value, RawJson)
    return orjson.Fragment(value.json)


class StreamFeed(Feed):
    async def start(self) -> None:
        self._passes = compile_filter(self.mapping.filters)
        self.ready = asyncio.Event()
        await super().start()
        # Where a reader begins at the stream's end, that is where it is now.
        waiting = asyncio.ensure_future(self.ready.wait())
        assert self._task is not None
        await asyncio.wait([waiting, self._task], timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def _run(self) -> None:
        try:
            described = await self.call(SOURCE, "DescribeStream", {"StreamArn": self.mapping.source})
        except AWSError as error:
            await self.tell(f"PROBLEM: {error.message}")
            raise
        shards = [shard["ShardId"] for shard in described["StreamDescription"]["Shards"]]
        readers = [asyncio.ensure_future(_Shard(self, shard, self._passes).run()) for shard in shards]
        try:
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)


class _Shard:
    """One shard, from where it was left."""

    def __init__(self, feed: StreamFeed, shard: str, passes: Filter) -> None:
        self._feed = feed
        self._cloud = feed.cloud
        self._mapping = feed.mapping
        self._shard = shard
        self._passes = passes
        self._key = keys.stream_place(feed.account, feed.region, feed.mapping.id, shard)
        self._place = StreamPlace()
        # The numbers of records that were read and are not done with, in their order; and those that are done with and
        # have earlier ones before them that are not.
        self._open: dict[str, bool] = {}

    async def run(self) -> None:
        self._place = await self._cloud.store.read(self._load)
        with self._cloud.signals.listen(self._mapping.source) as signal:
            iterator = None if self._place.ended else await self._iterator()
            self._feed.ready.set()
            while iterator is not None:
                signal.clear()
                records, iterator = await self._gather(iterator, signal)
                if records:
                    await self._take(records)
        if not self._place.ended:
            await self._end()

    async def _load(self, tx: Reader) -> StreamPlace:
        data = await tx.get(self._key)
        return decode(StreamPlace, data) if data is not None else StreamPlace()

    # reading

    async def _iterator(self) -> str:
        """An iterator to what comes next."""
        place, mapping = self._place, self._mapping
        request: dict[str, Any] = {"StreamArn": mapping.source, "ShardId": self._shard}
        if place.after:
            request |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": place.after}
        elif place.since is not None:
            # By whole seconds: rather some records too many than one too few.
            request |= {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": float(int(place.since))}
        else:
            request["ShardIteratorType"] = mapping.start
        try:
            answer = await self._feed.call(SOURCE, "GetShardIterator", request)
        except AWSError as error:
            if error.code not in _LOST_PLACE:
                raise
            request = {"StreamArn": mapping.source, "ShardId": self._shard, "ShardIteratorType": "TRIM_HORIZON"}
            answer = await self._feed.call(SOURCE, "GetShardIterator", request)
        if request["ShardIteratorType"] == "LATEST":
            # A node that dies before the first record begins here again, and not where the stream then ends.
            place.since = self._cloud.clock.time()
            await self._cloud.store.write(self._put_place)
        iterator: str = answer["ShardIterator"]
        return iterator

    async def _gather(self, iterator: str, signal: asyncio.Event) -> tuple[list[Record], str | None]:
        """The next records: once there are some, and with a batching window until it ends or there are enough."""
        found: list[Record] = []
        size = 0
        deadline: float | None = None
        after: str | None = iterator
        while after is not None:
            records, after = await self._page(after)
            found += records
            size += sum(len(record.json) for record in records)
            now = self._cloud.clock.time()
            if found and deadline is None:
                deadline = now + self._mapping.window_s
            enough = len(found) >= self._mapping.batch_size or size >= batches.PAYLOAD_BYTES_MAX
            if enough or (deadline is not None and now >= deadline):
                break
            if records:
                continue
            if after is not None:
                closing = self._window_end()
                await self._wait(signal, min(each for each in (now + IDLE_LOOK_S, deadline, closing) if each))
                if not found and closing is not None and self._cloud.clock.time() >= closing:
                    await self._close_window()
        return found, after

    async def _page(self, iterator: str) -> tuple[list[Record], str | None]:
        try:
            answer = await self._feed.call(SOURCE, "GetRecords", {"ShardIterator": iterator, "Limit": PAGE_RECORDS})
        except AWSError as error:
            if error.code not in _LOST_PLACE:
                raise
            return [], await self._iterator()
        return [self._record(record) for record in answer["Records"]], answer.get("NextShardIterator")

    def _record(self, record: dict[str, Any]) -> Record:
        change = record["dynamodb"]
        lane = hash(orjson.dumps(dict(change["Keys"]))) % self._mapping.lanes if self._mapping.lanes > 1 else 0
        shown = {**record, "eventSourceARN": self._mapping.source}
        return Record(
            change["SequenceNumber"],
            float(change["ApproximateCreationDateTime"]),
            lane,
            orjson.dumps(shown, default=_as_it_is),
        )

    async def _wait(self, signal: asyncio.Event, until: float) -> None:
        woken = asyncio.ensure_future(signal.wait())
        slept = asyncio.ensure_future(self._cloud.clock.sleep_until(until))
        try:
            await asyncio.wait([woken, slept], return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            slept.cancel()
        signal.clear()

    # working

    async def _take(self, records: Sequence[Record]) -> None:
        """Bring records to the function, those of different lanes at the same time; returns when all are done with."""
        self._open.update(dict.fromkeys((record.number for record in records), False))
        passing = list(records)
        if self._mapping.filters:
            passing = [record for record in records if self._passes(orjson.loads(record.json))]
            kept = {record.number for record in passing}
            await self._done([record for record in records if record.number not in kept])
        if self._mapping.tumbling_s:
            await self._windowed(passing)
            return
        lanes = [[record for record in passing if record.lane == lane] for lane in range(self._mapping.lanes)]
        work = [asyncio.ensure_future(self._lane(lane)) for lane in lanes if lane]
        try:
            await asyncio.gather(*work)
        finally:
            for each in work:
                each.cancel()

    async def _lane(self, records: Sequence[Record]) -> None:
        for batch in self._cut(records):
            await self._work(batch, {})

    def _cut(self, records: Sequence[Record]) -> list[list[Record]]:
        """Batches of at most the size that was asked for, and that an invocation takes."""
        out: list[list[Record]] = []
        size = 0
        for record in records:
            if not out or len(out[-1]) >= self._mapping.batch_size or not batches.fits(size, len(record.json)):
                out.append([])
                size = 0
            out[-1].append(record)
            size += len(record.json) + 1
        return out

    async def _work(self, batch: list[Record], further: dict[str, Any]) -> dict[str, Any] | None:
        """Bring one batch to its end: run, tried again, split or given up. Returns what the function answered last."""
        attempts = waited = 0
        while True:
            with self._feed.working():
                if old := self._expired(batch):
                    # Recorded answers of AWS count the attempt that was not made any more.
                    await self._give_up(old, "RecordAgeExceeded", attempts + 1, None)
                    batch = batch[len(old) :]
                    if not batch:
                        return None
                self._tell_age(batch)
                outcome = await self._attempt(batch, further)
                if outcome is not None:
                    attempts += 1
                    answer, failed = self._judge(outcome, batch, further)
                    # All before the first that failed are done with.
                    await self._done(batch[: len(batch) - failed])
                    await self._feed.tell("OK" if not failed else FAILED)
                    if not failed:
                        return answer
                    batch = batch[len(batch) - failed :]
                    splits = self._mapping.bisect and len(batch) > 1
                    if not splits and 0 <= self._mapping.retries < attempts:
                        await self._give_up(batch, "RetryAttemptsExhausted", attempts, outcome)
                        return None
            if outcome is None:
                await self._feed.pause(min(0.1 * 2 ** min(waited, 10), 10.0))
                waited += 1
            elif splits:
                middle = len(batch) // 2
                await self._work(batch[:middle], further)
                return await self._work(batch[middle:], further)
            else:
                await self._feed.pause(min(RETRY_WAIT_S * 2 ** min(attempts - 1, 10), RETRY_WAIT_MAX_S))

    def _judge(
        self, outcome: Outcome, batch: Sequence[Record], further: dict[str, Any]
    ) -> tuple[dict[str, Any] | None, int]:
        """What the function answered, and how many records at the end of the batch are to be tried again."""
        if outcome.result.function_error is not None:
            return None, len(batch)
        answer = None
        if further:
            answer = windows.answer_of(outcome.result.payload)
            if answer is None:
                return None, len(batch)
        if not self._mapping.report_items:
            return answer, 0
        numbers = [record.number for record in batch]
        reported = batches.failed_items(outcome.result.payload, numbers)
        if reported is None:
            return None, len(batch)
        return answer, len(batch) - min((numbers.index(number) for number in reported), default=len(batch))

    async def _attempt(self, batch: Sequence[Record], further: dict[str, Any]) -> Outcome | None:
        """Run the function; None where there was no room for it, which does not count."""
        payload = batches.event([record.json for record in batch], **further)
        try:
            return await self._feed.invoke(payload, new_trace(self._cloud, self._cloud.clock.time()))
        except Throttled:
            await self._feed.tell(FAILED)
            return None

    def _tell_age(self, batch: Sequence[Record]) -> None:
        age_s = max(0.0, self._cloud.clock.time() - batch[-1].arrived)
        node(self._cloud).metrics.count(metrics.ITERATOR_AGE, self._feed.at, age_s * 1000)

    def _expired(self, batch: Sequence[Record]) -> list[Record]:
        """The records at the beginning that are older than the mapping lets them become."""
        if self._mapping.age_max_s == -1:
            return []
        limit = self._cloud.clock.time() - self._mapping.age_max_s
        old: list[Record] = []
        for record in batch:
            if record.arrived >= limit:
                break
            old.append(record)
        return old

    # ending

    async def _give_up(self, batch: Sequence[Record], condition: str, attempts: int, outcome: Outcome | None) -> None:
        failure = None
        if self._mapping.on_failure:
            failure = failures.of_stream(
                self._feed.at,
                self._mapping,
                self._shard,
                [(record.number, record.arrived) for record in batch],
                batches.event([record.json for record in batch]),
                condition=condition,
                attempts=attempts,
                request_id=outcome.request_id if outcome else self._cloud.ids.uuid(),
                outcome=outcome,
                now=self._cloud.clock.time(),
                nonce=self._cloud.ids.uuid(),
            )
        await self._done(batch, failure)

    async def _done(self, batch: Sequence[Record], failure: dict[str, Any] | None = None) -> None:
        """Keep that these are done with: the place moves on as far as there is none before it that is not."""
        for record in batch:
            self._open[record.number] = True
        after = self._place.after
        for number, done in list(self._open.items()):
            if not done:
                break
            del self._open[number]
            after = number
        moved = after != self._place.after
        self._place.after = after
        if not moved and failure is None:
            return

        async def put(tx: Transaction) -> None:
            if moved:
                await self._put_place(tx)
            if failure is not None:
                failures.put(self._cloud, tx, failure, self._cloud.clock.time())

        await self._cloud.store.write(put)

    async def _put_place(self, tx: Transaction) -> None:
        # Not where the mapping is gone: nothing is to be left of it.
        if await tx.get(keys.event_source(self._feed.account, self._feed.region, self._mapping.id)) is not None:
            tx.put(self._key, encode(self._place))

    async def _end(self) -> None:
        await self._close_window()
        self._place.ended = True
        await self._cloud.store.write(self._put_place)

    # windows

    def _window_end(self) -> float | None:
        """When the open window is to be closed."""
        if not self._mapping.tumbling_s or self._place.window is None:
            return None
        return self._place.window + self._mapping.tumbling_s

    async def _windowed(self, records: Sequence[Record]) -> None:
        """Records by window, in their order; a window is closed when the first record of a later one comes."""
        for window, inside in windows.by_window(records, self._mapping.tumbling_s):
            if self._place.window is not None and self._place.window != window:
                await self._close_window()
            self._place.window = window
            for batch in self._cut(inside):
                await self._run_window(batch, final=False)

    async def _run_window(self, batch: list[Record], *, final: bool, early: bool = False) -> None:
        assert self._place.window is not None
        further = windows.further(
            self._place.window,
            self._mapping.tumbling_s,
            self._place.state,
            shard=self._shard,
            source=self._mapping.source,
            final=final,
            early=early,
        )
        if not batch:
            await self._run_empty(further)
            return
        answer = await self._work(batch, further)
        if answer is not None:
            self._place.state = windows.state_of(answer)
            if windows.is_too_large(self._place.state):
                await self._run_window([], final=True, early=True)
                self._place.state = {}
        await self._cloud.store.write(self._put_place)

    async def _run_empty(self, further: dict[str, Any]) -> None:
        """A final invocation without records; until it succeeds nothing goes on, as at AWS."""
        attempts = 0
        while True:
            with self._feed.working():
                outcome = await self._attempt([], further)
            if outcome is not None:
                attempts += 1
                if outcome.result.function_error is None or 0 <= self._mapping.retries < attempts:
                    return
            await self._feed.pause(min(RETRY_WAIT_S * 2 ** min(attempts, 10), RETRY_WAIT_MAX_S))

    async def _close_window(self) -> None:
        if self._place.window is None:
            return
        await self._run_window([], final=True)
        self._place.window, self._place.state = None, {}
        await self._cloud.store.write(self._put_place)
