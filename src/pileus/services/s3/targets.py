"""Handing event records to their destinations."""

from __future__ import annotations

import orjson

from pileus.cloud.context import Cloud
from pileus.delivery.contract import Delivery, Retry, Undeliverable
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import service_principal

# What a destination answers when it is gone, or no longer lets S3 in.
_FINAL = ("ResourceNotFoundException", "AccessDenied", "AccessDeniedException", "InvalidRequestContentException")
_LATER = ("TooManyRequestsException", "ThrottlingException")


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    """Invoke the function asynchronously, as S3 acting for the bucket."""
    payload = delivery.payload
    principal = service_principal("s3", account=payload["account"], source_arn=payload["bucket"])
    try:
        await cloud.call(
            principal,
            "lambda",
            "Invoke",
            {
                "FunctionName": payload["function"],
                "InvocationType": "Event",
                "Payload": orjson.dumps(payload["event"]),
            },
            region=payload["region"],
        )
    except AWSError as error:
        if error.code in _FINAL:
            raise Undeliverable(str(error)) from error
        if error.code in _LATER:
            raise Retry(str(error), counted=False) from error
        raise
