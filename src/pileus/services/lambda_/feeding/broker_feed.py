"""Feeds from queues of RabbitMQ brokers.

A batch is acknowledged when the function has done with it; one that fails is delivered again. One batch is under way at
a time, as at AWS.

Source: "Using Lambda with Amazon MQ" of the developer guide.
"""

from __future__ import annotations

import contextlib
from typing import Any

import orjson

from pileus.cloud import rabbitmq
from pileus.kernel.errors import AWSError
from pileus.services.lambda_.feeding import batches
from pileus.services.lambda_.feeding.feed import Feed, Outcome, Throttled
from pileus.services.lambda_.feeding.filters import compile_filter
from pileus.services.lambda_.invoking import new_trace

RETRY_WAIT_S = 0.5
RETRY_WAIT_MAX_S = 60.0
# What an event has besides its records.
_EVENT_BYTES = 2048


class BrokerFeed(Feed):
    async def start(self) -> None:
        self._passes = compile_filter(self.mapping.filters, inner="data")
        self._failures = 0
        await super().start()

    async def _run(self) -> None:
        access = self.mapping.access
        reader = rabbitmq.Reader(
            self.mapping.queues[0],
            next((each["URI"] for each in access if each.get("Type") == "VIRTUAL_HOST"), "/"),
            batch_size=self.mapping.batch_size,
            window_s=self.mapping.window_s,
            stopping=lambda: self.stopping,
        )
        try:
            secret = next(each["URI"] for each in access if each.get("Type") == "BASIC_AUTH")
            try:
                await reader.open(self.call, self.mapping.source, secret)
            except AWSError as error:
                await self.tell(f"PROBLEM: {error.message}")
                raise
            while not self.stopping:
                messages = await reader.batch(batches.fits, _EVENT_BYTES)
                if messages:
                    await self._work(reader, messages)
        except rabbitmq.BrokerFailed as error:
            await self.tell(f"PROBLEM: {error}")
            raise
        finally:
            reader.close()

    async def _work(self, reader: rabbitmq.Reader, messages: list[rabbitmq.Message]) -> None:
        """Run the function with the batch; then acknowledge it, or have it delivered again."""
        records = [rabbitmq.record(message) for message in messages]
        if self.mapping.filters:
            records = [record for record in records if self._passes(rabbitmq.opened_record(record))]
        with self.working():
            if not records or await reader.alive(self._attempt(reader, records)):
                self._failures = 0
                await reader.done(messages)
                return
        wait_s = min(RETRY_WAIT_S * 2 ** min(self._failures, 10), RETRY_WAIT_MAX_S)
        self._failures += 1
        await reader.alive(self.pause(wait_s))
        await reader.give_back(messages)

    async def _attempt(self, reader: rabbitmq.Reader, records: list[dict[str, Any]]) -> bool:
        event = {
            "eventSource": "aws:rmq",
            "eventSourceArn": self.mapping.source,
            "rmqMessagesByQueue": {reader.key: records},
        }
        outcome: Outcome | None = None
        with contextlib.suppress(Throttled):
            outcome = await self.invoke(orjson.dumps(event), new_trace(self.cloud, self.cloud.clock.time()))
        done = outcome is not None and outcome.result.function_error is None
        await self.tell("OK" if done else "PROBLEM: Function call failed")
        return done
