"""A bucket's notification configuration."""

from __future__ import annotations

from typing import Any

import orjson

from pileus.cloud.context import Context
from pileus.cloud.sending import Message, request_for
from pileus.kernel.errors import AWSError
from pileus.kernel.ids import host_id
from pileus.kernel.principal import Principal, service_principal
from pileus.services.s3 import buckets, errors, notifications
from pileus.services.s3.operations.configuration import save
from pileus.services.s3.records import Bucket
from pileus.services.s3.targets import SUBJECT
from pileus.store.contract import Reader, Transaction


async def get_bucket_notification_configuration(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    return bucket.notification


async def put_bucket_notification_configuration(ctx: Context, request: dict[str, Any]) -> None:
    """Replaces the whole configuration; its destinations must let S3 call them."""

    async def look(tx: Reader) -> Bucket:
        return await buckets.find(ctx, tx, request)

    bucket = await ctx.cloud.store.read(look)
    kept = notifications.check(request.get("NotificationConfiguration") or {}, bucket, ctx.cloud.ids)
    if not request.get("SkipDestinationValidation"):
        await _check_destinations(ctx, bucket, kept)

    async def change(tx: Transaction) -> None:
        save(tx, await buckets.find(ctx, tx, request), notification=kept)

    await ctx.cloud.store.write(change)


async def _check_destinations(ctx: Context, bucket: Bucket, kept: dict[str, Any]) -> None:
    """Try each destination as S3 itself: a function dry, a queue or topic with the event that AWS sends, too."""
    refused: dict[str, str] = {}
    principal = service_principal("s3", account=bucket.account, source_arn=bucket.arn)
    for member, (arn_member, _, service) in notifications.DESTINATIONS.items():
        for arn in dict.fromkeys(entry[arn_member] for entry in kept.get(member, ())):
            try:
                await _try(ctx, bucket, principal, service, arn)
            except AWSError as error:
                if error.fault == "server":
                    raise
                if service == "lambda":
                    refused[f"{arn}, null"] = f"Not authorized to invoke function [{arn}]"
                    continue
                what = "queue" if service == "sqs" else "topic"
                refused[arn] = (
                    f"The destination {what} does not exist"
                    if error.code in _GONE
                    else f"Permissions on the destination {what} do not allow S3 to publish notifications from this "
                    "bucket"
                )
    if refused:
        members = {}
        for number, (name, reason) in enumerate(refused.items(), 1):
            members[f"ArgumentName{number}"] = name
            members[f"ArgumentValue{number}"] = reason
        raise errors.invalid_argument("Unable to validate the following destination configurations", **members)


_GONE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NotFound", "NotFoundException")


async def _try(ctx: Context, bucket: Bucket, principal: Principal, service: str, arn: str) -> None:
    if service == "lambda":
        request: dict[str, Any] = {"FunctionName": arn, "InvocationType": "DryRun"}
        await ctx.cloud.call(principal, "lambda", "Invoke", request, region=bucket.region)
        return
    event = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": notifications.shown_time(ctx.now),
        "Bucket": bucket.name,
        "RequestId": ctx.request_id,
        "HostId": host_id(ctx.request_id),
    }
    call = request_for(ctx.cloud, arn, Message(body=orjson.dumps(event), subject=SUBJECT))
    await ctx.cloud.call(principal, call.service, call.operation, call.request, region=call.region or bucket.region)
