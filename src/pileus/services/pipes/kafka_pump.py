"""Pipes from topics of Kafka brokers of one's own.

The brokers keep how far a topic has been read. A batch is tried until it has arrived: nothing passes it.
Source: "Apache Kafka streams as a source" of the user guide.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud import kafka
from pileus.kernel.errors import AWSError
from pileus.services.pipes.events import KAFKA
from pileus.services.pipes.pump import Pump, fits

_ACCESS = {
    "BasicAuth": "BASIC_AUTH",
    "SaslScram512Auth": "SASL_SCRAM_512_AUTH",
    "SaslScram256Auth": "SASL_SCRAM_256_AUTH",
}


class KafkaPump(Pump):
    async def _read(self) -> None:
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
                    # The order within a partition is kept: nothing passes what has not arrived.
                    for part in kafka.cut(events, fits):
                        failures = 0
                        while not await self._hand_on(part):
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


def _access(own: dict[str, Any]) -> list[tuple[str, str]]:
    """The secrets with which Kafka's brokers are asked, by their kinds."""
    credentials = own.get("Credentials") or {}
    found = [(kind, credentials[member]) for member, kind in _ACCESS.items() if member in credentials]
    certificate = own.get("ServerRootCaCertificate")
    return found if certificate is None else [*found, ("SERVER_ROOT_CA_CERTIFICATE", certificate)]
