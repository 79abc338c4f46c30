"""A bucket's lesser settings: who pays, acceleration, access logs, websites, replication rules."""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.services.s3 import acls, buckets, errors, log_delivery, replication, websites
from pileus.services.s3.accounts import canonical_id
from pileus.services.s3.operations.configuration import save
from pileus.services.s3.records import Bucket
from pileus.store.contract import Reader, Transaction


async def get_bucket_request_payment(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    return {"Payer": bucket.payer}


async def put_bucket_request_payment(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    payer = (request.get("RequestPaymentConfiguration") or {}).get("Payer")
    if payer not in ("BucketOwner", "Requester"):
        raise errors.malformed_xml()
    save(tx, bucket, payer=payer)


async def get_bucket_accelerate_configuration(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    return {"Status": bucket.accelerate} if bucket.accelerate else {}


async def put_bucket_accelerate_configuration(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    """Nothing is faster for it here; what was set is told."""
    bucket = await buckets.find(ctx, tx, request)
    if "." in bucket.name:
        raise errors.invalid_request(
            "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names"
        )
    status = (request.get("AccelerateConfiguration") or {}).get("Status")
    if status not in ("Enabled", "Suspended"):
        raise errors.malformed_xml()
    save(tx, bucket, accelerate=status)


async def get_bucket_abac(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    return {"AbacStatus": {"Status": "Enabled" if bucket.abac else "Disabled"}}


async def put_bucket_abac(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    status = (request.get("AbacStatus") or {}).get("Status")
    if status not in ("Enabled", "Disabled"):
        raise errors.malformed_xml()
    save(tx, bucket, abac=status == "Enabled")


async def get_bucket_logging(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    return {"LoggingEnabled": bucket.logging} if bucket.logging else {}


async def put_bucket_logging(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    logging = (request.get("BucketLoggingStatus") or {}).get("LoggingEnabled") or {}
    if logging:
        await _check_log_target(tx, bucket, logging)
    save(tx, bucket, logging=logging)


async def _check_log_target(tx: Reader, bucket: Bucket, logging: dict[str, Any]) -> None:
    name = logging["TargetBucket"]
    target = await buckets.load(tx, name)

    def invalid(message: str) -> AWSError:
        return AWSError("InvalidTargetBucketForLogging", message, status=400, TargetBucket=name)

    if target is None or target.is_directory:
        raise invalid("The target bucket for logging does not exist")
    if target.account != bucket.account:
        raise invalid("The owner for the bucket to be logged and the target bucket must be the same.")
    if target.region != bucket.region:
        raise AWSError(
            "CrossLocationLoggingProhibitted",
            "Cross S3 location logging not allowed. ",
            status=403,
            SourceBucketLocation=bucket.region,
            TargetBucketLocation=target.region,
        )
    if logging.get("TargetGrants") and target.ownership == acls.ENFORCED:
        raise errors.invalid_argument(
            "You can't specify TargetGrants, because the target bucket has the bucket owner enforced setting."
        )
    _check_log_form(bucket, logging)


def _check_log_form(bucket: Bucket, logging: dict[str, Any]) -> None:
    form = logging.get("TargetObjectKeyFormat")
    if form is not None:
        source = (form.get("PartitionedPrefix") or {}).get("PartitionDateSource", "EventTime")
        if len(form) != 1 or source not in ("EventTime", "DeliveryTime"):
            raise errors.malformed_xml()
    grants = logging.get("TargetGrants") or []
    if not all(grant.get("Permission") in ("FULL_CONTROL", "READ", "WRITE") for grant in grants):
        raise errors.malformed_xml()
    owner = canonical_id(bucket.account)
    acls.of_headers(log_delivery.grant_members(grants, bucket.account), (), owner=owner, bucket_owner=owner)


# ---------------------------------------------------------------------------------------------------------- websites


async def get_bucket_website(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    if not bucket.website:
        raise errors.no_such_website(bucket.name)
    return bucket.website


async def put_bucket_website(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    save(tx, bucket, website=websites.check(request["WebsiteConfiguration"]))


async def delete_bucket_website(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    save(tx, await buckets.find(ctx, tx, request), website={})


# -------------------------------------------------------------------------------------------------------- replication


async def get_bucket_replication(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    if not bucket.replication:
        raise errors.not_found(
            "ReplicationConfigurationNotFoundError", "The replication configuration was not found", bucket.name
        )
    return {"ReplicationConfiguration": bucket.replication}


async def put_bucket_replication(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    kept = replication.check(request["ReplicationConfiguration"], ctx.cloud.ids)
    if bucket.versioning != "Enabled":
        raise errors.invalid_request("Versioning must be 'Enabled' on the bucket to apply a replication configuration")
    for rule in kept["Rules"]:
        name = replication.destination_name(rule)
        target = await buckets.load(tx, name)
        if target is None or target.versioning != "Enabled":
            raise errors.invalid_request("Destination bucket must have versioning enabled.")
        if name == bucket.name:
            raise errors.invalid_request("Destination bucket cannot be the same as the source bucket.")
    save(tx, bucket, replication=kept)


async def delete_bucket_replication(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    save(tx, await buckets.find(ctx, tx, request), replication={})
