"""Tags of objects."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.services.s3 import buckets, errors, notifications, replication, versions
from pileus.services.s3.metadata import OBJECT_TAGS_MAX, Tags, body_tags, shown_tags
from pileus.services.s3.records import Bucket, Object
from pileus.store.contract import Reader, Transaction


async def _find(ctx: Context, tx: Reader, request: dict[str, Any]) -> tuple[Bucket, Object]:
    bucket = await buckets.find(ctx, tx, request)
    version = await versions.wanted(tx, bucket, request["Key"], request.get("VersionId"))
    if version is None:
        raise errors.no_such_key(request["Key"])
    if version.delete_marker:
        raise errors.method_not_allowed(ctx.http.method, versions.marker_headers(version, named=True))
    return bucket, version


async def get_object_tagging(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket, version = await _find(ctx, tx, request)
    return {"TagSet": shown_tags(version.tags), **versions.shown_id(bucket, version)}


async def put_object_tagging(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    tags = body_tags(request.get("Tagging"), OBJECT_TAGS_MAX, "Object")
    return await _change(ctx, tx, request, tags, "s3:ObjectTagging:Put")


async def delete_object_tagging(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    return await _change(ctx, tx, request, (), "s3:ObjectTagging:Delete")


async def _change(ctx: Context, tx: Transaction, request: dict[str, Any], tags: Tags, event: str) -> dict[str, Any]:
    bucket, version = await _find(ctx, tx, request)
    changed = msgspec.structs.replace(version, tags=tags)
    replication.change(ctx, tx, bucket, request["Key"], changed)
    await versions.change(tx, bucket, request["Key"], changed)
    notifications.announce(ctx, tx, bucket, event, key=request["Key"], version=changed, now=ctx.now)
    return versions.shown_id(bucket, version)
