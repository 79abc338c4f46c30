"""Handing event records to their destinations."""

from __future__ import annotations

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.sending import Message, send
from pileus.delivery.contract import Delivery
from pileus.kernel.principal import service_principal


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    """Hand an event to its destination, as S3 acting for the bucket."""
    payload = delivery.payload
    principal = service_principal("s3", account=payload["account"], source_arn=payload["bucket"])
    message = Message(body=orjson.dumps(payload["event"]), trace=payload.get("trace", ""))
    await send(cloud, principal, payload["destination"], message, region=payload["region"])
