"""Directory buckets (S3 Express One Zone): names and zones, which calls they take and refuse, and who may make these.

Sources: "Directory bucket naming rules", "Differences for directory buckets", "Authorizing Zonal endpoint API
operations with CreateSession" in the Amazon S3 User Guide, "Actions, resources, and condition keys for Amazon S3
Express" in the Service Authorization Reference, botocore's model; the words of refusals are those that users of the
service report, where they do.

All that is particular of such a bucket its name says: `{base}--{zone id}--x-s3`.

SDKs open a session before any call about such a bucket where they are given an endpoint, also before those that AWS's
own endpoints for bucket management take with one's own credentials. So the credentials of a session that was asked for
as they do it, without a mode, are taken there, too, as those of who opened it; and one can be had before there is a
bucket.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Permissions, Request
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import BucketSession
from pileus.services.s3 import errors
from pileus.services.s3.copysource import parse_copy_source
from pileus.services.s3.keys import bucket as bucket_key
from pileus.services.s3.records import DIRECTORY_END, Bucket, decode_bucket
from pileus.store.contract import Reader

Mode = Literal["ReadOnly", "ReadWrite"]

CREATE_SESSION = "s3express:CreateSession"
ARN = "arn:aws:s3express:"
DELIMITER = "/"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*--([a-z0-9-]+)--x-s3", re.ASCII)
_POINT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,48}[a-z0-9]--([a-z0-9-]+)--xa-s3", re.ASCII)
_POINT_CHARACTERS_MAX = 80
# use1-az4 in an Availability Zone; usw2-lax1-az1 in a Local Zone.
_ZONE = re.compile(r"([a-z]+\d)(-[a-z]+\d)?-az\d", re.ASCII)
_REGION = re.compile(r"([a-z]{2})(-gov)?-([a-z]+)-(\d)", re.ASCII)
_NAME_CHARACTERS_MAX = 63
_RESERVED = ("xn--", "sthree-", "amzn-s3-demo-")

# What a session is for, and what a call with one's own credentials needs a session's permission for.
_ZONAL: Mapping[str, Mode] = {
    "GetObject": "ReadOnly",
    "GetObjectAttributes": "ReadOnly",
    "HeadBucket": "ReadOnly",
    "HeadObject": "ReadOnly",
    "ListMultipartUploads": "ReadOnly",
    "ListObjectsV2": "ReadOnly",
    "ListParts": "ReadOnly",
    "AbortMultipartUpload": "ReadWrite",
    "CompleteMultipartUpload": "ReadWrite",
    "CreateMultipartUpload": "ReadWrite",
    "DeleteObject": "ReadWrite",
    "DeleteObjects": "ReadWrite",
    "PutObject": "ReadWrite",
    "RenameObject": "ReadWrite",
    "UploadPart": "ReadWrite",
}
# Only with one's own credentials: a session is confined to one bucket.
_COPIES = ("CopyObject", "UploadPartCopy")
# Bucket management, and the permission for it.
_REGIONAL = {
    "DeleteBucket": "DeleteBucket",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketInventoryConfiguration": "PutInventoryConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketMetricsConfiguration": "PutMetricsConfiguration",
    "DeleteBucketPolicy": "DeleteBucketPolicy",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketInventoryConfiguration": "GetInventoryConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketMetricsConfiguration": "GetMetricsConfiguration",
    "GetBucketPolicy": "GetBucketPolicy",
    "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
    "ListBucketMetricsConfigurations": "GetMetricsConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketInventoryConfiguration": "PutInventoryConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketMetricsConfiguration": "PutMetricsConfiguration",
    "PutBucketPolicy": "PutBucketPolicy",
}
# Root elements of what the endpoint for bucket management takes for a bad CreateBucket.
_TAKEN_FOR_CREATION = {
    "PutBucketAbac": "AbacStatus",
    "PutBucketAccelerateConfiguration": "AccelerateConfiguration",
    "PutBucketAcl": "AccessControlPolicy",
    "PutBucketAnalyticsConfiguration": "AnalyticsConfiguration",
    "PutBucketCors": "CORSConfiguration",
    "PutBucketIntelligentTieringConfiguration": "IntelligentTieringConfiguration",
    "PutBucketLogging": "BucketLoggingStatus",
    "PutBucketNotificationConfiguration": "NotificationConfiguration",
    "PutBucketOwnershipControls": "OwnershipControls",
    "PutBucketReplication": "ReplicationConfiguration",
    "PutBucketRequestPayment": "RequestPaymentConfiguration",
    "PutBucketTagging": "Tagging",
    "PutBucketVersioning": "VersioningConfiguration",
    "PutBucketWebsite": "WebsiteConfiguration",
    "PutObjectLockConfiguration": "ObjectLockConfiguration",
    "PutPublicAccessBlock": "PublicAccessBlockConfiguration",
}
# Of objects, or of a bucket's contents: what the zonal endpoints know and do not do.
_NOT_OF_OBJECTS = (
    "DeleteObjectTagging",
    "GetObjectAcl",
    "GetObjectLegalHold",
    "GetObjectRetention",
    "GetObjectTagging",
    "GetObjectTorrent",
    "ListObjects",
    "ListObjectVersions",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
    "RestoreObject",
    "SelectObjectContent",
)
# Elements of lifecycle rules that are of versions and of other storage classes.
_NOT_OF_RULES = ("Transitions", "NoncurrentVersionExpiration", "NoncurrentVersionTransitions")
# Members that directory buckets refuse, by the headers that bring them.
_REFUSED = {
    "ACL": "x-amz-acl",
    "BypassGovernanceRetention": "x-amz-bypass-governance-retention",
    "GrantFullControl": "x-amz-grant-full-control",
    "GrantRead": "x-amz-grant-read",
    "GrantReadACP": "x-amz-grant-read-acp",
    "GrantWrite": "x-amz-grant-write",
    "GrantWriteACP": "x-amz-grant-write-acp",
    "MFA": "x-amz-mfa",
    "ObjectLockEnabledForBucket": "x-amz-bucket-object-lock-enabled",
    "ObjectLockLegalHoldStatus": "x-amz-object-lock-legal-hold",
    "ObjectLockMode": "x-amz-object-lock-mode",
    "ObjectLockRetainUntilDate": "x-amz-object-lock-retain-until-date",
    "ObjectOwnership": "x-amz-object-ownership",
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSECustomerKey": "x-amz-server-side-encryption-customer-key",
    "SSECustomerKeyMD5": "x-amz-server-side-encryption-customer-key-MD5",
    "Tagging": "x-amz-tagging",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}

# -------------------------------------------------------------------------------------------------------- names


def is_one(name: object) -> bool:
    return isinstance(name, str) and name.endswith(DIRECTORY_END)


def zone_of(name: str) -> str:
    """The zone id in a directory bucket's name; "" where the name is none."""
    # The length first: the pattern takes time by the square of it, and a stranger may ask for any name.
    found = _NAME.fullmatch(name) if len(name) <= _NAME_CHARACTERS_MAX else None
    if found is None or name.startswith(_RESERVED):
        return ""
    zone = found[1].rpartition("--")[2]
    return zone if _ZONE.fullmatch(zone) else ""


def location_type(zone: str) -> str:
    found = _ZONE.fullmatch(zone)
    return "LocalZone" if found and found[2] else "AvailabilityZone"


def storage_class(name: str) -> str:
    """The one that all objects of a directory bucket are in."""
    return "ONEZONE_IA" if location_type(zone_of(name)) == "LocalZone" else "EXPRESS_ONEZONE"


def is_in(zone: str, region: str) -> bool:
    """Whether a zone is one of the region: use1-az4 of us-east-1, apne1-az1 of ap-northeast-1."""
    found, parts = _ZONE.fullmatch(zone), _REGION.fullmatch(region)
    if found is None or parts is None:
        return False
    area, gov, direction, number = parts.groups()
    short = re.sub("north|south|east|west|central", lambda word: word[0][0], direction)
    return found[1] == f"{area}{'g' if gov else ''}{short}{number}"


def arn(name: str, region: str, account: str) -> str:
    return f"{ARN}{region}:{account}:bucket/{name}"


# --------------------------------------------------------------------------------------------------- who may what


def permissions(operation: str, general: Permissions) -> Permissions:
    """The permissions that a call needs, of whichever kind its bucket is; refuses what directory buckets do not take,
    and what a session is not for."""

    def needed(ctx: Context, request: Request) -> Sequence[Permission]:
        if operation in _COPIES:
            if ctx.principal.bucket_session is not None:
                raise errors.access_denied()
            return _copying(ctx, operation, request, general)
        name = request.get("Bucket")
        if not is_one(name):
            if ctx.principal.bucket_session is not None:
                raise errors.access_denied()
            return general(ctx, request)
        check(operation, request)
        mode = _ZONAL.get(operation)
        session = ctx.principal.bucket_session
        via = request.get("DataAccessPointArn") or ""
        if session is not None and (session.bucket != name or session.point != via or not _reaches(session, mode)):
            raise errors.access_denied()
        if mode is not None:
            return (create_session(ctx, request["Bucket"], mode, **through(request)),)
        if operation == "CreateBucket":
            return _creating(ctx, request)
        if operation in _REGIONAL:
            return (Permission(f"s3express:{_REGIONAL[operation]}", arn(request["Bucket"], ctx.region, ctx.account)),)
        if session is not None:
            raise errors.access_denied()
        # CreateSession asks itself.
        return general(ctx, request)

    return needed


def _reaches(session: BucketSession, mode: Mode | None) -> bool:
    """Whether a session is for calls of this mode; None: for those that manage the bucket."""
    if mode is None:
        return session.manages
    return session.mode == "ReadWrite" or mode == "ReadOnly"


def through(request: Mapping[str, Any]) -> dict[str, str]:
    """The condition keys of a call that came through an access point."""
    members = ("DataAccessPointArn", "DataAccessPointAccount")
    return {f"s3express:{member}": request[member] for member in members if member in request}


def check_through_point(operation: str) -> None:
    """Refuse what is not done through an access point: all that manages the bucket, and renaming."""
    if operation == "RenameObject" or not (operation in _ZONAL or operation in (*_COPIES, "CreateSession")):
        raise errors.method_not_allowed(_method(operation), resource_type="BUCKET")


def point_zone(name: str) -> str:
    """The zone id in the name of an access point for a directory bucket; "" where the name is none."""
    found = _POINT_NAME.fullmatch(name) if len(name) <= _POINT_CHARACTERS_MAX else None
    return found[1] if found is not None and _ZONE.fullmatch(found[1]) else ""


def create_session(ctx: Context, name: str, mode: Mode, **more: str) -> Permission:
    """The permission for a session, or for the like without one."""
    conditions: dict[str, str | list[str]] = {"s3express:SessionMode": mode, **more}
    return Permission(CREATE_SESSION, arn(name, ctx.region, ctx.account), conditions)


def _creating(ctx: Context, request: Request) -> Sequence[Permission]:
    resource = arn(request["Bucket"], ctx.region, ctx.account)
    configuration = request.get("CreateBucketConfiguration") or {}
    zone = (configuration.get("Location") or {}).get("Name")
    needed = [Permission("s3express:CreateBucket", resource, {"s3express:LocationName": zone} if zone else {})]
    if configuration.get("Tags"):
        needed.append(Permission("s3express:TagResource", resource))
    return needed


def _copying(ctx: Context, operation: str, request: Request, general: Permissions) -> Sequence[Permission]:
    """Each side of a copy in the words of its own kind of bucket."""
    source = parse_copy_source(request["CopySource"])
    reads, *writes = general(ctx, request)
    if is_one(source.bucket):
        reads = create_session(ctx, source.bucket, "ReadOnly")
    if is_one(request["Bucket"]):
        check(operation, request)
        writes = [create_session(ctx, request["Bucket"], "ReadWrite")]
    return [reads, *writes]


async def settled(ctx: Context, tx: Reader, needed: Sequence[Permission]) -> Sequence[Permission]:
    """The permissions that are still to be asked for, on the ARNs of buckets as their owners have them: these hold
    region and account.

    What a session with a bucket is for has been asked for when it was created; where that was another bucket of the
    name, or none yet, it is asked for now.
    """
    if not any(one.resource.startswith(ARN) for one in needed):
        return needed
    found = []
    for one in needed:
        bucket = await _bucket(tx, one)
        if bucket is None:
            found.append(one)
        elif one.action != CREATE_SESSION or not _is_of(ctx, bucket):
            found.append(msgspec.structs.replace(one, resource=bucket.arn))
    return found


async def _bucket(tx: Reader, permission: Permission) -> Bucket | None:
    """The directory bucket that a permission is about; None: there is none, or it is about something else."""
    if not permission.resource.startswith(ARN):
        return None
    data = await tx.get(bucket_key(permission.resource.rpartition("/")[2]))
    return decode_bucket(data) if data is not None else None


def _is_of(ctx: Context, bucket: Bucket) -> bool:
    """Whether the caller has a session with this very bucket."""
    session = ctx.principal.bucket_session
    return session is not None and (session.bucket, session.made) == (bucket.name, bucket.created)


# ------------------------------------------------------------------------------------------------- what is refused


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Refuse what directory buckets do not take: operations, and members of those that they do take."""
    name = request["Bucket"]
    if operation in _NOT_OF_OBJECTS:
        raise AWSError(
            "NotImplemented", "A header you provided implies functionality that is not implemented", status=501
        )
    if (root := _TAKEN_FOR_CREATION.get(operation)) is not None:
        raise errors.invalid_argument(f"{root} is not valid, expected CreateBucketConfiguration")
    known = operation in _ZONAL or operation in _REGIONAL or operation in (*_COPIES, "CreateBucket", "CreateSession")
    if not known:
        raise errors.method_not_allowed(_method(operation), resource_type="BUCKET")
    for member, header in _REFUSED.items():
        if request.get(member):
            raise errors.header_not_implemented(header)
    if operation in ("PutObject", "UploadPart") and request.get("ContentMD5") is not None:
        raise AWSError("NotImplemented", "This bucket does not support Content Md5 header.", status=501)
    if operation in ("ListObjectsV2", "ListMultipartUploads"):
        _check_listing(request)
    if request.get("StorageClass") not in (None, storage_class(name)):
        raise AWSError(
            "InvalidStorageClass",
            "The storage class you specified is not valid",
            status=400,
            StorageClassRequested=str(request["StorageClass"]),
        )


def _method(operation: str) -> str:
    return "DELETE" if operation.startswith("Delete") else "GET"


def _check_listing(request: Mapping[str, Any]) -> None:
    if request.get("Delimiter") not in (None, "", DELIMITER):
        raise errors.invalid_request(
            "This bucket does not support a delimiter other than '/'. Specify '/' as the delimiter and try again."
        )
    prefix = request.get("Prefix")
    if prefix and not prefix.endswith(DELIMITER):
        raise errors.invalid_request(
            "This bucket does not support a prefix that does not end in a delimiter. Specify a prefix path ending with "
            "a delimiter and try again."
        )
    for member, shown in (("StartAfter", "start-after"), ("UploadIdMarker", "upload-id-marker")):
        if request.get(member):
            raise AWSError("NotImplemented", f"This bucket does not support {shown} parameter.", status=501)


def check_policy(document: Mapping[str, Any]) -> None:
    """The policy of a directory bucket speaks of sessions alone."""
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        actions = statement.get("Action", statement.get("NotAction"))
        for action in actions if isinstance(actions, list) else [actions]:
            if action.lower() not in ("*", "s3express:*", CREATE_SESSION.lower()):
                raise errors.malformed_policy("Policy has invalid action")


def check_deleted_key(key: str) -> None:
    """Keys that DeleteObjects does not take here: blank ones, and such as have control characters in them."""
    if not key.strip() or any(ord(char) < 32 and char not in "\n\t\r" for char in key):
        raise errors.malformed_xml()


def check_encryption(default: Mapping[str, Any]) -> None:
    """A bucket's default encryption: S3's own keys, or one key of the customer's in KMS."""
    if default["SSEAlgorithm"] not in ("AES256", "aws:kms"):
        raise errors.malformed_xml()
    if default["SSEAlgorithm"] == "aws:kms" and not default.get("KMSMasterKeyID"):
        raise errors.invalid_argument(
            "A KMSMasterKeyID is required if the default sse algorithm of a directory bucket is aws:kms",
            "ApplyServerSideEncryptionByDefault",
        )


def check_lifecycle(rules: Sequence[Mapping[str, Any]]) -> None:
    """Rules expire objects and end uploads, by prefix and size."""
    for rule in rules:
        filter_ = rule.get("Filter") or {}
        refused = [name for name in _NOT_OF_RULES if rule.get(name)]
        if "ExpiredObjectDeleteMarker" in (rule.get("Expiration") or {}):
            refused.append("ExpiredObjectDeleteMarker")
        if filter_.get("Tag") or (filter_.get("And") or {}).get("Tags"):
            refused.append("Tag")
        if refused:
            raise errors.invalid_request(f"'{refused[0]}' is not supported in lifecycle rules of directory buckets.")
