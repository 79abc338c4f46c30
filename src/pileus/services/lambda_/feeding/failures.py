"""Batches of streams that are given up, and their way to the on-failure destination.

Source: "Retain discarded records" of the developer guide; recorded answers. An S3 object also has the whole event.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.sending import Message, send
from pileus.delivery.contract import Delivery, Undeliverable
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.lambda_.feeding.feed import Outcome
from pileus.services.lambda_.names import Target
from pileus.services.lambda_.node import node
from pileus.services.lambda_.records import EventSource
from pileus.store.contract import Transaction

TARGET = "lambda.feed-failure"


def of_stream(
    at: Target,
    mapping: EventSource,
    shard: str,
    records: Sequence[tuple[str, float]],
    event: bytes,
    *,
    condition: str,
    attempts: int,
    request_id: str,
    outcome: Outcome | None,
    now: float,
    nonce: str,
) -> dict[str, Any]:
    """The delivery's payload. `records`: number and time of arrival of each."""
    record: dict[str, Any] = {
        "requestContext": {
            "requestId": request_id,
            "functionArn": at.asked_arn,
            "condition": condition,
            "approximateInvokeCount": attempts,
        }
    }
    if outcome is not None:
        record["responseContext"] = {
            "statusCode": 200,
            "executedVersion": outcome.version,
            "functionError": outcome.result.function_error,
        }
    record |= {
        "version": "1.0",
        "timestamp": _milliseconds(now),
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": records[0][0],
            "endSequenceNumber": records[-1][0],
            "approximateArrivalOfFirstRecord": _seconds(records[0][1]),
            "approximateArrivalOfLastRecord": _seconds(records[-1][1]),
            "batchSize": len(records),
            "streamArn": mapping.source,
        },
    }
    destination = mapping.on_failure
    arn = parse_arn(destination)
    if arn is not None and arn.service == "s3":
        record["payload"] = event.decode()
        moment = datetime.fromtimestamp(now, UTC)
        destination += f"/aws/lambda/{mapping.id}/{shard}/{moment:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{nonce}"
    return {
        "account": at.account,
        "region": at.region,
        "name": at.name,
        "qualifier": at.qualifier,
        "destination": destination,
        "body": orjson.dumps(record).decode(),
    }


def put(cloud: Cloud, tx: Transaction, failure: dict[str, Any], now: float) -> None:
    cloud.outbox.put(tx, target=TARGET, payload=failure, now=now)


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler: to the destination, as the function's role."""
    at = Target(*(delivery.payload[name] for name in ("account", "region", "name", "qualifier")))
    mine = node(cloud)
    try:
        role = await mine.resolver.caller(await mine.resolver.resolve(at))
    except AWSError as error:
        if error.code == "ResourceNotFoundException":
            raise Undeliverable(error.message) from error
        raise
    message = Message(body=delivery.payload["body"].encode())
    await send(cloud, role, delivery.payload["destination"], message, region=at.region)


def _seconds(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _milliseconds(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
