"""The end of restored copies: a timer in the outbox for each, so that buckets' listeners hear of it.

Nothing else happens then: whether a copy can be read is looked at as it is read. A restoration that was made longer, or
whose version is gone, lets its earlier timers pass.
"""

from __future__ import annotations

from pileus.cloud.context import Cloud, Context
from pileus.delivery.contract import Delivery
from pileus.services.s3 import buckets, loops, notifications, versions
from pileus.services.s3.records import Bucket, Object
from pileus.store.contract import Transaction

TARGET = "s3.restored"


def set_timer(ctx: Context, tx: Transaction, bucket: Bucket, key: str, version: Object) -> None:
    assert version.restoration is not None
    payload = {
        "bucket": bucket.name,
        "key": key,
        "version": version.version_id or versions.NULL_VERSION,
        "sequence": version.sequence,
        "expires": version.restoration.expires,
    }
    ctx.cloud.outbox.put(tx, target=TARGET, payload=payload, now=ctx.now, due=version.restoration.expires)


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    """Announce that a copy has expired, if it is still the one that the timer is for."""
    payload = delivery.payload
    key = payload["key"]
    now = cloud.clock.time()

    async def end(tx: Transaction) -> None:
        bucket = await buckets.load(tx, payload["bucket"])
        if bucket is None:
            return
        version = await versions.named(tx, bucket, key, payload["version"])
        if version is None or version.restoration is None:
            return
        if (version.sequence, version.restoration.expires) != (payload["sequence"], payload["expires"]):
            return
        ctx = loops.own_context(cloud, bucket, now)
        notifications.announce(ctx, tx, bucket, "s3:ObjectRestore:Delete", key=key, version=version, now=now)

    await cloud.store.write(end)
