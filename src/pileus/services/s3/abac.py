"""Attribute-based access control: a bucket's tags in the conditions of policies, where the bucket has it enabled.

Sources: "Enabling ABAC in general purpose buckets", "Using tags with S3 general purpose buckets" in the Amazon S3 User
Guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission
from pileus.services.s3.buckets import load
from pileus.store.contract import Reader

_ARN = "arn:aws:s3:::"


async def refine(
    ctx: Context, tx: Reader, request: dict[str, Any], needed: Sequence[Permission]
) -> Sequence[Permission]:
    """The same permissions, with the tags of the buckets that they are about."""
    return await with_tags(tx, needed)


async def with_tags(tx: Reader, needed: Sequence[Permission]) -> Sequence[Permission]:
    found: dict[str, dict[str, str | list[str]]] = {}
    for name in {_bucket(one) for one in needed}:
        bucket = await load(tx, name) if name else None
        if bucket is not None and bucket.abac:
            found[name] = {
                f"{key}/{tag}": value for tag, value in bucket.tags for key in ("aws:ResourceTag", "s3:BucketTag")
            }
    if not found:
        return needed
    return [replace(one, conditions={**one.conditions, **found.get(_bucket(one), {})}) for one in needed]


def _bucket(permission: Permission) -> str:
    """The bucket that a permission is about; "" where it is about none."""
    resource = permission.resource
    return resource[len(_ARN) :].partition("/")[0] if resource.startswith(_ARN) else ""
