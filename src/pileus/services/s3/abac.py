"""Attribute-based access control: tags in the conditions of policies.

A bucket's own (`aws:ResourceTag`, `s3:BucketTag`) count where the bucket has that enabled, as directory buckets always
have; those of its objects (`s3:ExistingObjectTag`) do anyway.

Sources: "Enabling ABAC in general purpose buckets", "Using tags with S3 general purpose buckets", "Tagging and access
control policies" in the Amazon S3 User Guide; the Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission
from pileus.kernel.errors import AWSError
from pileus.services.s3 import directories, versions
from pileus.services.s3.accesspoints import VIA
from pileus.services.s3.buckets import load
from pileus.services.s3.copysource import parse_copy_source
from pileus.services.s3.records import Bucket
from pileus.store.contract import Reader

_ARN = "arn:aws:s3:::"
# The actions that know the tags of the object which they are done to.
_ON_TAGGED = frozenset(
    f"s3:{verb}Object{version}{what}"
    for verb, what in (
        ("Get", ""),
        ("Get", "Acl"),
        ("Get", "Attributes"),
        ("Get", "Tagging"),
        ("Put", "Acl"),
        ("Put", "Tagging"),
        ("Delete", "Tagging"),
    )
    for version in ("", "Version")
)
# Those of them that a copy asks for its source; the others it asks for its target.
_READING_SOURCE = frozenset(("s3:GetObject", "s3:GetObjectVersion"))


async def refine(
    ctx: Context, tx: Reader, request: dict[str, Any], needed: Sequence[Permission]
) -> Sequence[Permission]:
    """The permissions that are still to be asked for, with the tags of the buckets and objects that they are about."""
    if ctx.principal.kind == "root" and VIA not in request and "CopySource" not in request:
        bucket = await load(tx, request["Bucket"])
        if bucket is not None and not bucket.policy and not bucket.is_directory:
            # No policy has a say: that of an account's root are the buckets' and access points' alone.
            return needed
    needed = await directories.settled(ctx, tx, needed)
    buckets = await _buckets(tx, needed)
    needed = _with_bucket_tags(buckets, needed)
    return [await _with_object_tags(ctx, tx, request, buckets, one) for one in needed]


async def with_tags(tx: Reader, needed: Sequence[Permission]) -> Sequence[Permission]:
    """The same permissions, with the tags of the buckets that they are about."""
    return _with_bucket_tags(await _buckets(tx, needed), needed)


async def _buckets(tx: Reader, needed: Iterable[Permission]) -> dict[str, Bucket]:
    found = {}
    for name in {_names(one)[0] for one in needed}:
        bucket = await load(tx, name) if name else None
        if bucket is not None:
            found[name] = bucket
    return found


def _with_bucket_tags(buckets: Mapping[str, Bucket], needed: Sequence[Permission]) -> Sequence[Permission]:
    found: dict[str, dict[str, str | list[str]]] = {}
    for name, bucket in buckets.items():
        if bucket.abac or bucket.is_directory:
            own = "s3express:BucketTag" if bucket.is_directory else "s3:BucketTag"
            found[name] = {f"{key}/{tag}": value for tag, value in bucket.tags for key in ("aws:ResourceTag", own)}
    if not found:
        return needed
    return [
        msgspec.structs.replace(one, conditions={**one.conditions, **found.get(_names(one)[0], {})}) for one in needed
    ]


async def _with_object_tags(
    ctx: Context, tx: Reader, request: Mapping[str, Any], buckets: Mapping[str, Bucket], one: Permission
) -> Permission:
    name, key = _names(one)
    bucket = buckets.get(name)
    if bucket is None or not key or one.action not in _ON_TAGGED:
        return one
    version_id = request.get("VersionId")
    if "CopySource" in request and one.action in _READING_SOURCE:
        version_id = parse_copy_source(request["CopySource"]).version_id
    try:
        version = await versions.wanted(tx, bucket, key, version_id)
    except AWSError:
        # What is wrong with the version id is the operation's to say.
        return one
    if version is None or not version.tags:
        return one
    tags = {f"s3:ExistingObjectTag/{tag}": value for tag, value in version.tags}
    return msgspec.structs.replace(one, conditions={**one.conditions, **tags})


def _names(permission: Permission) -> tuple[str, str]:
    """(bucket, key) that a permission is about; "" where it is about none."""
    resource = permission.resource
    if resource.startswith(directories.ARN):
        return resource.rpartition("/")[2], ""
    if not resource.startswith(_ARN):
        return "", ""
    bucket, _, key = resource[len(_ARN) :].partition("/")
    return bucket, key
