"""Attribute-based access control: a bucket's tags in the conditions of policies, where the bucket has it enabled;
directory buckets always have.

Sources: "Enabling ABAC in general purpose buckets", "Using tags with S3 general purpose buckets" in the Amazon S3 User
Guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission
from pileus.services.s3 import directories
from pileus.services.s3.buckets import load
from pileus.store.contract import Reader

_ARN = "arn:aws:s3:::"


async def refine(
    ctx: Context, tx: Reader, request: dict[str, Any], needed: Sequence[Permission]
) -> Sequence[Permission]:
    """The permissions that are still to be asked for, with the tags of the buckets that they are about."""
    return await with_tags(tx, await directories.settled(ctx, tx, needed))


async def with_tags(tx: Reader, needed: Sequence[Permission]) -> Sequence[Permission]:
    found: dict[str, dict[str, str | list[str]]] = {}
    for name in {_bucket(one) for one in needed}:
        bucket = await load(tx, name) if name else None
        if bucket is not None and (bucket.abac or bucket.is_directory):
            own = "s3express:BucketTag" if bucket.is_directory else "s3:BucketTag"
            found[name] = {f"{key}/{tag}": value for tag, value in bucket.tags for key in ("aws:ResourceTag", own)}
    if not found:
        return needed
    return [replace(one, conditions={**one.conditions, **found.get(_bucket(one), {})}) for one in needed]


def _bucket(permission: Permission) -> str:
    """The bucket that a permission is about; "" where it is about none."""
    resource = permission.resource
    if resource.startswith(directories.ARN):
        return resource.rpartition("/")[2]
    return resource[len(_ARN) :].partition("/")[0] if resource.startswith(_ARN) else ""
