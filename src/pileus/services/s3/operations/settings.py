"""Settings of which a bucket has the one that is always there: what else could be set is refused by name.

Deployment tools read all of them to learn a bucket's state, and put back what they have read.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.kernel.errors import NotBuilt
from pileus.services.s3 import buckets, errors
from pileus.store.contract import Reader, Transaction


async def get_bucket_request_payment(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    await buckets.find(ctx, tx, request)
    return {"Payer": "BucketOwner"}


async def put_bucket_request_payment(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    await buckets.find(ctx, tx, request)
    payer = (request.get("RequestPaymentConfiguration") or {}).get("Payer")
    if payer not in ("BucketOwner", "Requester"):
        raise errors.malformed_xml()
    if payer == "Requester":
        raise NotBuilt("PutBucketRequestPayment with requesters who pay")


async def get_bucket_accelerate_configuration(ctx: Context, tx: Reader, request: dict[str, Any]) -> None:
    await buckets.find(ctx, tx, request)


async def put_bucket_accelerate_configuration(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    if "." in bucket.name:
        raise errors.invalid_request(
            "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names"
        )
    status = (request.get("AccelerateConfiguration") or {}).get("Status")
    if status not in ("Enabled", "Suspended"):
        raise errors.malformed_xml()
    raise NotBuilt("PutBucketAccelerateConfiguration")


async def get_bucket_logging(ctx: Context, tx: Reader, request: dict[str, Any]) -> None:
    await buckets.find(ctx, tx, request)


async def put_bucket_logging(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    await buckets.find(ctx, tx, request)
    if (request.get("BucketLoggingStatus") or {}).get("LoggingEnabled") is not None:
        raise NotBuilt("PutBucketLogging")


async def get_bucket_website(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    raise errors.not_found(
        "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration", bucket.name
    )


async def get_bucket_replication(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    raise errors.not_found(
        "ReplicationConfigurationNotFoundError", "The replication configuration was not found", bucket.name
    )


async def nothing_to_delete(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    """Deleting a setting that is not there."""
    await buckets.find(ctx, tx, request)
