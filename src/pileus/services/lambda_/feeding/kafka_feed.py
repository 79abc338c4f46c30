"""Feeds from Kafka brokers of one's own.

A batch that fails is tried again until it succeeds, as at AWS: the order within a partition is kept.

Source: "Using Lambda with self-managed Apache Kafka" of the developer guide.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import orjson

from pileus.cloud import kafka
from pileus.kernel.errors import AWSError
from pileus.services.lambda_.feeding import batches
from pileus.services.lambda_.feeding.feed import Feed, Outcome, Throttled
from pileus.services.lambda_.feeding.filters import compile_filter
from pileus.services.lambda_.invoking import new_trace

RETRY_WAIT_S = 0.5
RETRY_WAIT_MAX_S = 60.0


class KafkaFeed(Feed):
    async def start(self) -> None:
        self._passes = compile_filter(self.mapping.filters, inner="value")
        await super().start()

    async def _run(self) -> None:
        mapping = self.mapping
        reader = kafka.Reader(
            mapping.brokers,
            mapping.topics,
            mapping.group,
            client=f"lambda-{mapping.id}",
            start=mapping.start,
            start_at=mapping.start_at,
            batch_size=mapping.batch_size,
            window_s=mapping.window_s,
        )
        try:
            try:
                await reader.open(self.call, [(each.get("Type", ""), each.get("URI", "")) for each in mapping.access])
            except AWSError as error:
                await self.tell(f"PROBLEM: {error.message}")
                raise
            while not self.stopping:
                messages = await reader.batch()
                if messages:
                    await self._work(messages)
                    with self.working():
                        await reader.done(messages)
        except kafka.BrokersFailed as error:
            await self.tell(f"PROBLEM: {error}")
            raise
        finally:
            reader.close()

    async def _work(self, messages: Sequence[kafka.Message]) -> None:
        """Run the function until it has done with the batch."""
        records = [kafka.record(message) for message in messages]
        if self.mapping.filters:
            records = [record for record in records if self._passes(kafka.opened_record(record))]
        for batch in kafka.cut(records, _fits):
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


def _fits(size: int, more: int) -> bool:
    # With what is around a record.
    return batches.fits(size, more + 256)
