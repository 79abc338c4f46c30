"""Which permissions each call needs.

Source: "Actions, resources, and condition keys for Amazon S3" in the Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Permissions, Request
from pileus.services.s3.copysource import parse_copy_source

# Condition keys of S3's own, by the request member whose value they take.
_CONDITIONS = {
    "ACL": "s3:x-amz-acl",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
    "StorageClass": "s3:x-amz-storage-class",
    "MetadataDirective": "s3:x-amz-metadata-directive",
    "CopySource": "s3:x-amz-copy-source",
    "WebsiteRedirectLocation": "s3:x-amz-website-redirect-location",
    "VersionId": "s3:VersionId",
    "Prefix": "s3:prefix",
    "Delimiter": "s3:delimiter",
    "MaxKeys": "s3:max-keys",
    "IfMatch": "s3:if-match",
    "IfNoneMatch": "s3:if-none-match",
    "DataAccessPointArn": "s3:DataAccessPointArn",
    "DataAccessPointAccount": "s3:DataAccessPointAccount",
}


def _conditions(request: Mapping[str, Any]) -> dict[str, str | list[str]]:
    return {
        _CONDITIONS[member]: str(value)
        for member, value in request.items()
        if member in _CONDITIONS and value is not None
    }


def _of_object(request: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """The same for calls about objects, with the tags that a request puts on one: in a header, or in its body."""
    conditions, tagging = _conditions(request), request.get("Tagging")
    if tagging:
        if isinstance(tagging, str):
            tags = dict(parse_qsl(tagging, keep_blank_values=True))
        else:
            tags = {tag.get("Key", ""): tag.get("Value", "") for tag in tagging.get("TagSet") or ()}
        conditions |= {f"s3:RequestObjectTag/{key}": value for key, value in tags.items()}
        conditions["s3:RequestObjectTagKeys"] = list(tags)
    return conditions


def bucket_arn(name: str) -> str:
    return f"arn:aws:s3:::{name}"


def object_arn(name: str, key: str) -> str:
    return f"arn:aws:s3:::{name}/{key}"


def account(action: str) -> Permissions:
    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        return (Permission(f"s3:{action}", "*"),)

    return needed


def bucket(action: str) -> Permissions:
    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        return (Permission(f"s3:{action}", bucket_arn(request["Bucket"]), _conditions(request)),)

    return needed


def object_(action: str) -> Permissions:
    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        return (Permission(f"s3:{action}", object_arn(request["Bucket"], request["Key"]), _of_object(request)),)

    return needed


def versioned(action: str) -> Permissions:
    """`action` with "Object" become "ObjectVersion" where a version is asked for: s3:GetObjectVersion."""
    plain, of_version = f"s3:{action}", f"s3:{action.replace('Object', 'ObjectVersion', 1)}"

    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        resource = object_arn(request["Bucket"], request["Key"])
        return (Permission(of_version if request.get("VersionId") else plain, resource, _of_object(request)),)

    return needed


def bypassing(plain: Permissions) -> Permissions:
    """The same, and s3:BypassGovernanceRetention where a request asks for that."""

    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        found = list(plain(ctx, request))
        if request.get("BypassGovernanceRetention"):
            found.append(Permission("s3:BypassGovernanceRetention", found[0].resource))
        return found

    return needed


def put_object(ctx: Context, request: Request) -> Sequence[Permission]:
    """Writing an object, and what its headers ask for beside that."""
    arn, conditions = object_arn(request["Bucket"], request["Key"]), _of_object(request)
    needed = [Permission("s3:PutObject", arn, conditions)]
    if request.get("Tagging"):
        needed.append(Permission("s3:PutObjectTagging", arn, conditions))
    # What S3 itself delivers is the bucket owner's; policies for that speak of s3:PutObject alone.
    if ctx.principal.kind != "service" and (
        request.get("ACL") or any(member.startswith("Grant") for member in request)
    ):
        needed.append(Permission("s3:PutObjectAcl", arn, conditions))
    if request.get("ObjectLockMode") or request.get("ObjectLockRetainUntilDate"):
        needed.append(Permission("s3:PutObjectRetention", arn, conditions))
    if request.get("ObjectLockLegalHoldStatus"):
        needed.append(Permission("s3:PutObjectLegalHold", arn, conditions))
    return needed


def copy_object(ctx: Context, request: Request) -> Sequence[Permission]:
    """Reading the source beside writing the target."""
    source = parse_copy_source(request["CopySource"])
    arn = object_arn(source.bucket, source.key)
    action = "s3:GetObjectVersion" if source.version_id else "s3:GetObject"
    return [Permission(action, arn), *put_object(ctx, request)]


def get_object_attributes(ctx: Context, request: Request) -> Sequence[Permission]:
    arn = object_arn(request["Bucket"], request["Key"])
    kind = "ObjectVersion" if request.get("VersionId") else "Object"
    return (Permission(f"s3:Get{kind}", arn), Permission(f"s3:Get{kind}Attributes", arn))


def asked_later(ctx: Context, request: Request) -> Sequence[Permission]:
    """The operation asks for what it needs itself: DeleteObjects tells of each object that may not be deleted."""
    return ()


def list_bucket(bucket: str) -> Permission:
    return Permission("s3:ListBucket", bucket_arn(bucket))


def delete_one(bucket: str, named: Mapping[str, Any]) -> Permission:
    action = "s3:DeleteObjectVersion" if named.get("VersionId") else "s3:DeleteObject"
    return Permission(action, object_arn(bucket, named["Key"]))


def bypass_one(bucket: str, named: Mapping[str, Any]) -> Permission:
    return Permission("s3:BypassGovernanceRetention", object_arn(bucket, named["Key"]))


def put_replication(ctx: Context, request: Request) -> Sequence[Permission]:
    """The role is handed over to S3."""
    role = (request.get("ReplicationConfiguration") or {}).get("Role")
    needed = list(bucket("PutReplicationConfiguration")(ctx, request))
    if role:
        needed.append(Permission("iam:PassRole", role, {"iam:PassedToService": "s3.amazonaws.com"}))
    return needed


def list_directory_buckets(ctx: Context, request: Request) -> Sequence[Permission]:
    return (Permission("s3express:ListAllMyDirectoryBuckets", "*"),)


def create_bucket(ctx: Context, request: Request) -> Sequence[Permission]:
    needed = list(bucket("CreateBucket")(ctx, request))
    arn = bucket_arn(request["Bucket"])
    if request.get("ObjectOwnership"):
        needed.append(Permission("s3:PutBucketOwnershipControls", arn))
    if request.get("ACL") or any(member.startswith("Grant") for member in request):
        needed.append(Permission("s3:PutBucketAcl", arn))
    if request.get("ObjectLockEnabledForBucket"):
        needed += [
            Permission("s3:PutBucketObjectLockConfiguration", arn),
            Permission("s3:PutBucketVersioning", arn),
        ]
    return needed
