"""Feeds from SQS: messages received, gathered into batches, deleted when the function has done with them.

One receiver per mapping waits in a long poll and hands each batch to a task of its own, as many at the same time as the
mapping, its backlog and the function's concurrency let. What fails stays in the queue, whose visibility timeout and
redrive policy say what becomes of it. Nothing is kept of a queue here: what was received by a node that died is
received again.

Sources: "Using Lambda with Amazon SQS" of the developer guide and its pages on scaling and error handling; recorded
answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from pileus.cloud.queues import record_of
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import lineage
from pileus.services.lambda_.feeding import batches
from pileus.services.lambda_.feeding.feed import Feed, Throttled
from pileus.services.lambda_.feeding.filters import compile_filter
from pileus.services.lambda_.feeding.sources import is_fifo
from pileus.services.lambda_.invoking import new_trace

LONG_POLL_S = 20
RECEIVED_AT_ONCE = 10
# "Lambda starts with five concurrent batches, and adds up to 300 more per minute", to 1,250 at most.
BATCHES_FIRST = 5
BATCHES_MORE_PER_S = 5.0
BATCHES_MAX = 1250
# The part of the visibility timeout for which a batch waits for concurrency before it is left to the queue.
PATIENCE = 0.8
VISIBILITY_DEFAULT_S = 30.0


class QueueFeed(Feed):
    async def start(self) -> None:
        arn = parse_arn(self.mapping.source)
        assert arn is not None, "sources are checked when they are set"
        self._url = f"{self.cloud.endpoint}/{arn.account}/{arn.resource}"
        self._source_region = arn.region
        self._passes = compile_filter(self.mapping.filters, inner="body")
        self._batches: set[asyncio.Task[None]] = set()
        self._one_less = asyncio.Event()
        self._visibility_s = VISIBILITY_DEFAULT_S
        # Since when all places have been taken; more come with time.
        self._full_since: float | None = None
        await super().start()

    async def ended(self) -> None:
        await super().ended()
        if self._batches:
            await asyncio.wait(self._batches)

    def busy(self) -> list[asyncio.Task[None]]:
        return list(self._batches)

    def cancel(self) -> None:
        super().cancel()
        if not self.stopping:
            # The node ends.
            for batch in self._batches:
                batch.cancel()

    async def _run(self) -> None:
        answer = await self._queue("GetQueueAttributes", {"AttributeNames": ["VisibilityTimeout"]})
        self._visibility_s = float(answer.get("Attributes", {}).get("VisibilityTimeout", VISIBILITY_DEFAULT_S))
        while True:
            await self._place()
            for messages in await self._gather():
                task = asyncio.ensure_future(self._work(messages))
                self._batches.add(task)
                task.add_done_callback(self._batch_ended)

    async def _queue(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return await self.call("sqs", operation, {"QueueUrl": self._url, **request})

    # how many at once

    async def _place(self) -> None:
        """Wait until one more batch may be under way."""
        while len(self._batches) >= self._limit():
            self._one_less.clear()
            woken = asyncio.ensure_future(self._one_less.wait())
            # More places come with time, too.
            grown = asyncio.ensure_future(self.cloud.clock.sleep(1 / BATCHES_MORE_PER_S))
            try:
                await asyncio.wait([woken, grown], return_when=asyncio.FIRST_COMPLETED)
            finally:
                woken.cancel()
                grown.cancel()

    def _limit(self) -> int:
        most = self.mapping.concurrency_max or BATCHES_MAX
        if len(self._batches) < BATCHES_FIRST:
            self._full_since = None
            return min(most, BATCHES_FIRST)
        now = self.cloud.clock.monotonic()
        if self._full_since is None:
            self._full_since = now
        return min(most, BATCHES_FIRST + int((now - self._full_since) * BATCHES_MORE_PER_S))

    def _batch_ended(self, task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        self._one_less.set()
        if not task.cancelled():
            # What went wrong has been told; the messages are still in the queue.
            task.exception()

    # receiving

    async def _gather(self) -> list[list[dict[str, Any]]]:
        """The next batches: of what there is at once, and with a batching window of what comes until it ends."""
        size = self.mapping.batch_size
        found = await self._receive(min(size, RECEIVED_AT_ONCE), LONG_POLL_S)
        if found and self.mapping.window_s:
            deadline = self.cloud.clock.time() + self.mapping.window_s
            while len(found) < size and _bytes(found) < batches.PAYLOAD_BYTES_MAX:
                left = deadline - self.cloud.clock.time()
                if left <= 0:
                    break
                if left < 1:
                    # Long polls are in whole seconds.
                    await self.cloud.clock.sleep(left)
                found += await self._receive(min(size - len(found), RECEIVED_AT_ONCE), int(left))
        return _cut(found)

    async def _receive(self, most: int, wait_s: int) -> list[dict[str, Any]]:
        """Messages that pass the filter, as the function sees them; the others are deleted."""
        answer = await self._queue(
            "ReceiveMessage",
            {
                "MaxNumberOfMessages": most,
                "WaitTimeSeconds": wait_s,
                "MessageSystemAttributeNames": ["All"],
                "MessageAttributeNames": ["All"],
            },
        )
        records = [self._record(message) for message in answer.get("Messages") or ()]
        if not self.mapping.filters:
            return records
        passing = [record for record in records if self._passes(record)]
        kept = {record["receiptHandle"] for record in passing}
        await self._delete([record for record in records if record["receiptHandle"] not in kept])
        return passing

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        record = record_of(message, queue_arn=self.mapping.source, region=self._source_region)
        # Recorded answers of AWS: null where a standard queue's message has none, and nothing in a FIFO queue's.
        if message.get("MessageAttributes") or not is_fifo(self.mapping.source):
            record["md5OfMessageAttributes"] = message.get("MD5OfMessageAttributes")
        return record

    # working

    async def _work(self, records: Sequence[dict[str, Any]]) -> None:
        """Run the function with a batch, and delete what it has done with.

        A message of a recursive loop is left to the queue, whose redrive policy moves it to its dead-letter queue.
        """
        payload = batches.event([orjson.dumps(record) for record in records])
        began = self.cloud.clock.monotonic()
        now = self.cloud.clock.time()
        trace = lineage.merged([str(record["attributes"].get("AWSTraceHeader", "")) for record in records])
        trace = trace or new_trace(self.cloud, now)
        waited = 0
        while True:
            try:
                outcome = await self.invoke(payload, trace)
                break
            except AWSError:
                if len(records) > 1:
                    # The others are not to suffer for it.
                    for record in records:
                        await self._work([record])
                return
            except Throttled:
                wait_s = min(0.05 * 2 ** min(waited, 10), 5.0)
                waited += 1
                if self.cloud.clock.monotonic() + wait_s - began > self._visibility_s * PATIENCE or self.stopping:
                    # They become visible again by themselves.
                    return
                await self.cloud.clock.sleep(wait_s)
        if outcome.result.function_error is not None:
            return
        failed: set[str] = set()
        if self.mapping.report_items:
            ids = [str(record["messageId"]) for record in records]
            reported = batches.failed_items(outcome.result.payload, ids)
            if reported is None:
                return
            failed = set(reported)
        await self._delete([record for record in records if record["messageId"] not in failed])

    async def _delete(self, records: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(records), RECEIVED_AT_ONCE):
            entries = [
                {"Id": str(number), "ReceiptHandle": record["receiptHandle"]}
                for number, record in enumerate(records[start : start + RECEIVED_AT_ONCE])
            ]
            try:
                await self._queue("DeleteMessageBatch", {"Entries": entries})
            except AWSError as error:
                if error.fault == "server":
                    raise
                # The queue is gone, or may not be changed: what was done was done.
                return


def _bytes(records: Sequence[dict[str, Any]]) -> int:
    return sum(len(record["body"]) for record in records)


def _cut(records: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Batches that an invocation takes: ten messages of a megabyte are more than that."""
    out: list[list[dict[str, Any]]] = []
    size = 0
    for record in records:
        more = len(orjson.dumps(record))
        if not out or not batches.fits(size, more):
            out.append([])
            size = 0
        out[-1].append(record)
        size += more + 1
    return out
