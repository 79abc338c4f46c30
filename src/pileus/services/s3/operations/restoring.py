"""Reading archived objects again: RestoreObject. And two operations that S3 no longer has.

Sources: "Restoring an archived object", "Understanding archive retrieval options" in the Amazon S3 User Guide; the page
of RestoreObject in the API Reference; recorded answers.

A restoration is a note at the object of when its copy can be read and until when; both are looked at as it is read.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.s3 import buckets, errors, lifecycle, metadata, notifications, restorations, versions
from pileus.services.s3.records import Restoration
from pileus.store.contract import Transaction

# Seconds until the copy is there. AWS takes hours, as much as half a day; here the bytes are at hand.
RESTORE_S = 0.0
TIERS = ("Standard", "Bulk", "Expedited")


async def restore_object(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    key = request["Key"]
    asked = request.get("RestoreRequest") or {}
    if asked.get("Type") == "SELECT" or asked.get("SelectParameters"):
        raise select_is_gone()
    version = await versions.wanted(tx, bucket, key, request.get("VersionId"))
    if version is None:
        raise errors.no_such_key(key)
    if version.delete_marker:
        raise errors.method_not_allowed(ctx.http.method, versions.marker_headers(version, named=True))
    if version.storage_class == "INTELLIGENT_TIERING":
        raise NotBuilt("RestoreObject of INTELLIGENT_TIERING")
    if version.storage_class not in metadata.ARCHIVED:
        raise AWSError(
            "InvalidObjectState",
            "Restore is not allowed for the object's current storage class",
            status=403,
            StorageClass=version.storage_class,
        )
    days = asked.get("Days")
    if days is None:
        raise errors.malformed_xml()
    if days <= 0:
        raise errors.invalid_argument("restoration days should be at least 1", "Days", str(days))
    tier = (asked.get("GlacierJobParameters") or {}).get("Tier") or asked.get("Tier") or "Standard"
    if tier == "Expedited" and version.storage_class == "DEEP_ARCHIVE":
        raise errors.invalid_argument("Retrieval option is not supported by this storage class", "Tier", tier)
    before = version.restoration
    if before is not None and ctx.now < before.ready:
        raise AWSError("RestoreAlreadyInProgress", "Object restore is already in progress", status=409)
    again = before is not None and before.ready <= ctx.now < before.expires
    ready = before.ready if before is not None and again else ctx.now + RESTORE_S
    version.restoration = Restoration(ready, lifecycle.midnight_after(ready if not again else ctx.now, days), tier)
    await versions.change(tx, bucket, key, version)
    restorations.set_timer(ctx, tx, bucket, key, version)
    if again:
        return
    ctx.status = 202
    notifications.announce(ctx, tx, bucket, "s3:ObjectRestore:Post", key=key, version=version, now=ctx.now)
    done = {
        "lifecycleRestorationExpiryTime": notifications.shown_time(version.restoration.expires),
        "lifecycleRestoreStorageClass": version.storage_class,
    }
    notifications.announce(
        ctx,
        tx,
        bucket,
        "s3:ObjectRestore:Completed",
        key=key,
        version=version,
        now=ctx.now,
        more={"glacierEventData": {"restoreEventData": done}},
        due=ready if ready > ctx.now else None,
    )


def select_is_gone() -> AWSError:
    """Source: "Amazon S3 Select is no longer available to new customers" (User Guide)."""
    return errors.method_not_allowed("POST", resource_type="OBJECT")


async def select_object_content(ctx: Context, request: dict[str, Any]) -> None:
    await ctx.cloud.store.read(lambda tx: buckets.find(ctx, tx, request))
    raise select_is_gone()


async def get_object_torrent(ctx: Context, request: dict[str, Any]) -> None:
    """Gone since April 2022."""
    await ctx.cloud.store.read(lambda tx: buckets.find(ctx, tx, request))
    raise errors.method_not_allowed("GET", resource_type="OBJECT")
