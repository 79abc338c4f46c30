"""Which addresses the cloud calls for its users."""

from __future__ import annotations

import asyncio

import pytest

from pileus.cloud import kafka
from pileus.cloud.outgoing import CannotConnect, resolve


@pytest.mark.parametrize("host", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254"])
def test_addresses_of_the_own_link_are_not_called(host: str) -> None:
    with pytest.raises(CannotConnect, match="own link"):
        asyncio.run(resolve(host, 80))


def test_a_kafka_reader_does_not_call_them_either() -> None:
    async def call(service: str, operation: str, request: object) -> dict[str, object]:
        return {"SecretString": '{"certificate": "none", "username": "u", "password": "p"}'}

    async def read(brokers: list[str], access: list[tuple[str, str]]) -> None:
        reader = kafka.Reader(brokers, ["t"], "g", client="c", start="LATEST", batch_size=1, window_s=0)
        try:
            await reader.open(call, access)
        finally:
            reader.close()

    for access in ([], [("BASIC_AUTH", "secret")]):
        with pytest.raises(kafka.BrokersFailed, match="own link"):
            asyncio.run(read(["127.0.0.1:9092", "169.254.169.254:80"], access))
