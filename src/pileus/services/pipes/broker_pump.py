"""Pipes from queues of RabbitMQ brokers.

The broker keeps what is not acknowledged. Batches go one after the other, and one that fails is delivered again.
Source: "Amazon MQ message broker as a source" of the user guide.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud import rabbitmq
from pileus.kernel.errors import AWSError
from pileus.services.pipes.events import RABBITMQ
from pileus.services.pipes.pump import Pump, fits


class BrokerPump(Pump):
    async def _read(self) -> None:
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
                messages = await reader.batch(fits, 0)
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

    def _of_broker(self, key: str, message: rabbitmq.Message) -> dict[str, Any]:
        source = {"eventSource": RABBITMQ, "eventSourceArn": self.pipe.source, "eventSourceKey": key}
        return source | rabbitmq.record(message)
