"""Handing event records to their destinations."""

from __future__ import annotations

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.sending import Message, send
from pileus.delivery.contract import Delivery
from pileus.kernel.principal import service_principal

# What Amazon SNS writes above the mails of a topic.
SUBJECT = "Amazon S3 Notification"


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    """Hand an event to its destination, as S3 acting for the bucket."""
    payload = delivery.payload
    principal = service_principal("s3", account=payload["account"], source_arn=payload["bucket"])
    trace = payload.get("trace", "")
    if (detail_type := payload.get("detail_type")) is not None:
        message = Message(
            body=orjson.dumps(payload["event"]),
            source="aws.s3",
            detail_type=detail_type,
            resources=(payload["bucket"],),
            trace=trace,
        )
    else:
        message = Message(body=orjson.dumps(payload["event"]), subject=SUBJECT, trace=trace)
    await send(cloud, principal, payload["destination"], message, region=payload["region"])
