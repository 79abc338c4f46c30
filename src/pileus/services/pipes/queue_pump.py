"""Pipes from queues of SQS.

Nothing is kept here: a message is deleted when it has arrived, and what fails becomes visible again, as the queue's
redrive policy says. Source: "Amazon SQS as a source" of the user guide.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from pileus.cloud.queues import record_of
from pileus.cloud.sending import queue_url
from pileus.kernel.errors import AWSError
from pileus.services.pipes.delivering import Failed, hand_on
from pileus.services.pipes.pump import Pump, log

LONG_POLL_S = 20
RECEIVED_AT_ONCE = 10
# Batches of a standard queue under way at once.
BATCHES_MAX = 10


class QueuePump(Pump):
    async def _read(self) -> None:
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
        events = [
            record_of(message, queue_arn=self.pipe.source, region=self._source.region)
            for message in answer.get("Messages") or ()
        ]
        passing = [event for event in events if self._passes(event)]
        await self._delete(url, [event for event in events if event not in passing])
        return passing

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
