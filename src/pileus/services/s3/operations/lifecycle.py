"""A bucket's lifecycle rules."""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.services.s3 import buckets, directories, errors, keys, lifecycle
from pileus.services.s3.operations.configuration import save
from pileus.store.contract import Reader, Transaction


async def get_bucket_lifecycle_configuration(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    if not bucket.lifecycle:
        raise errors.not_found(
            "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", bucket.name
        )
    return {"Rules": bucket.lifecycle, "TransitionDefaultMinimumObjectSize": bucket.lifecycle_minimum_size}


async def put_bucket_lifecycle_configuration(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    minimum = lifecycle.check_minimum_size(request.get("TransitionDefaultMinimumObjectSize"))
    rules = lifecycle.check(request.get("LifecycleConfiguration"), ctx.cloud.ids)
    if bucket.is_directory:
        directories.check_lifecycle(rules)
    save(tx, bucket, lifecycle=rules, lifecycle_minimum_size=minimum)
    tx.put(keys.lifecycle(bucket.name), b"")
    return {"TransitionDefaultMinimumObjectSize": minimum}


async def delete_bucket_lifecycle(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    save(tx, bucket, lifecycle=[], lifecycle_minimum_size="")
    tx.delete(keys.lifecycle(bucket.name))
