"""Access control lists: there is the default one, by which the owner has full control.

Sources: "Access control list (ACL) overview", "Controlling ownership of objects and disabling ACLs for your bucket" in
the Amazon S3 User Guide; recorded answers. Lists that grant something to others are refused by name.
"""

from __future__ import annotations

import re
from typing import Any

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.s3 import buckets, errors, metadata, versions
from pileus.services.s3.operations.buckets import ACLS
from pileus.services.s3.operations.reading import missing
from pileus.services.s3.records import Bucket, Object
from pileus.store.contract import Reader, Transaction

_GRANTS_MAX = 100
_PERMISSIONS = ("FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP")
_GROUPS = tuple(
    f"http://acs.amazonaws.com/groups/{name}"
    for name in ("global/AllUsers", "global/AuthenticatedUsers", "s3/LogDelivery")
)
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}")
_GRANT_HEADERS = {
    "GrantFullControl": "x-amz-grant-full-control",
    "GrantRead": "x-amz-grant-read",
    "GrantReadACP": "x-amz-grant-read-acp",
    "GrantWrite": "x-amz-grant-write",
    "GrantWriteACP": "x-amz-grant-write-acp",
}


def _default(bucket: Bucket) -> dict[str, Any]:
    owner = buckets.owner(bucket)
    return {
        "Owner": owner,
        "Grants": [{"Grantee": {"Type": "CanonicalUser", **owner}, "Permission": "FULL_CONTROL"}],
    }


async def get_bucket_acl(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    return _default(await buckets.find(ctx, tx, request))


async def put_bucket_acl(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    _check(ctx, request, bucket, ACLS)


async def get_object_acl(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    async def look(tx: Reader) -> tuple[Bucket, Object | None]:
        bucket = await buckets.find(ctx, tx, request)
        return bucket, await versions.wanted(tx, bucket, request["Key"], request.get("VersionId"))

    bucket, version = await ctx.cloud.store.read(look)
    if version is None or version.delete_marker:
        raise await missing(ctx, bucket, request, version)
    return _default(bucket)


async def put_object_acl(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    version = await versions.wanted(tx, bucket, request["Key"], request.get("VersionId"))
    if version is None:
        raise errors.no_such_key(request["Key"])
    if version.delete_marker:
        raise errors.method_not_allowed(ctx.http.method, versions.marker_headers(version, named=True))
    _check(ctx, request, bucket, metadata.CANNED_ACLS)


def _check(ctx: Context, request: dict[str, Any], bucket: Bucket, canned: tuple[str, ...] | frozenset[str]) -> None:
    """Let through what says that the owner has full control, and nothing else."""
    acl, policy = request.get("ACL"), request.get("AccessControlPolicy")
    grants = {header: request[member] for member, header in _GRANT_HEADERS.items() if request.get(member) is not None}
    if acl is not None and acl not in canned:
        raise errors.invalid_argument(None, "x-amz-acl", acl)
    if acl is not None and grants:
        raise errors.invalid_request("Specifying both Canned ACLs and Header Grants is not allowed")
    if policy is not None and (acl is not None or grants):
        raise AWSError("UnexpectedContent", "This request does not support content", status=400)
    for header, value in grants.items():
        _check_grant_header(header, value)
    if policy is not None:
        _check_policy(policy)
    elif acl is None and not grants:
        raise AWSError(
            "MissingSecurityHeader",
            "Your request was missing a required header",
            status=400,
            MissingHeaderName="x-amz-acl",
        )
    if bucket.ownership == "BucketOwnerEnforced":
        raise AWSError("AccessControlListNotSupported", "The bucket does not allow ACLs", status=400)
    if acl in ("private", "bucket-owner-full-control", "bucket-owner-read") or policy == _default(bucket):
        return
    raise NotBuilt(f"{ctx.operation} with grants to others than the owner")


def _check_grant_header(header: str, value: str) -> None:
    for one in value.split(","):
        kind, equals, grantee = one.strip().partition("=")
        grantee = grantee.strip('"')
        if not equals or kind not in ("id", "uri", "emailAddress"):
            raise errors.invalid_argument("Argument format not recognized", header, one.strip())
        if kind == "id":
            _check_id(grantee, "id")
        elif kind == "uri" and grantee not in _GROUPS:
            raise errors.invalid_argument("Invalid group uri", "uri", grantee)


def _check_id(canonical_id: str, name: str) -> None:
    if not _CANONICAL_ID.fullmatch(canonical_id):
        raise errors.invalid_argument("Invalid id", name, canonical_id)


def _check_policy(policy: dict[str, Any]) -> None:
    malformed = AWSError(
        "MalformedACLError",
        "The XML you provided was not well-formed or did not validate against our published schema",
        status=400,
    )
    grants = policy.get("Grants")
    if not (policy.get("Owner") or {}).get("ID") or grants is None or len(grants) > _GRANTS_MAX:
        raise malformed
    for grant in grants:
        grantee = grant.get("Grantee") or {}
        member = {"CanonicalUser": "ID", "Group": "URI", "AmazonCustomerByEmail": "EmailAddress"}.get(
            grantee.get("Type", "")
        )
        if grant.get("Permission") not in _PERMISSIONS or member is None or not grantee.get(member):
            raise malformed
    _check_id(policy["Owner"]["ID"], "CanonicalUser/ID")
    for grant in grants:
        grantee = grant["Grantee"]
        if grantee["Type"] == "CanonicalUser":
            _check_id(grantee["ID"], "CanonicalUser/ID")
        elif grantee["Type"] == "Group" and grantee["URI"] not in _GROUPS:
            raise errors.invalid_argument("Invalid group uri", "Group/URI", grantee["URI"])
