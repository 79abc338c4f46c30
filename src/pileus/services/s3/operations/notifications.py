"""A bucket's notification configuration."""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import service_principal
from pileus.services.s3 import buckets, errors, notifications
from pileus.services.s3.operations.configuration import save
from pileus.services.s3.records import Bucket
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
    notifications.refuse_unbuilt(kept)
    if not request.get("SkipDestinationValidation"):
        await _check_destinations(ctx, bucket, kept)

    async def change(tx: Transaction) -> None:
        save(tx, await buckets.find(ctx, tx, request), notification=kept)

    await ctx.cloud.store.write(change)


async def _check_destinations(ctx: Context, bucket: Bucket, kept: dict[str, Any]) -> None:
    """Ask Lambda, as S3 itself, whether it would run each function."""
    refused: dict[str, str] = {}
    principal = service_principal("s3", account=bucket.account, source_arn=bucket.arn)
    for arn in dict.fromkeys(entry["LambdaFunctionArn"] for entry in kept.get("LambdaFunctionConfigurations", ())):
        try:
            await ctx.cloud.call(
                principal,
                "lambda",
                "Invoke",
                {"FunctionName": arn, "InvocationType": "DryRun"},
                region=bucket.region,
            )
        except AWSError as error:
            if error.fault == "server":
                raise
            refused[arn] = f"Not authorized to invoke function [{arn}]"
    if refused:
        members = {}
        for number, (arn, reason) in enumerate(refused.items(), 1):
            members[f"ArgumentName{number}"] = f"{arn}, null"
            members[f"ArgumentValue{number}"] = reason
        raise errors.invalid_argument("Unable to validate the following destination configurations", **members)
