"""Access control lists as such: what requests may ask for, what lists say, whom they let in.

Sources: "Access control list (ACL) overview", "Canned ACL", "Controlling ownership of objects and disabling ACLs for
your bucket", "Blocking public access to your Amazon S3 storage" in the Amazon S3 User Guide; recorded answers.

An empty list stands for the default, by which the owner has full control: nearly every bucket and object has that one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.s3 import errors
from pileus.services.s3.accounts import canonical_id
from pileus.services.s3.records import Bucket, Grant, Object

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
LOG_SERVICE = "logging.s3.amazonaws.com"
# The canonical user of Amazon EC2, which `aws-exec-read` lets in.
_EC2 = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"
# Whom objects belong to that nobody signed for.
ANONYMOUS = "65a011a29cdf8ec533ec3d1ccaae921c"

ENFORCED = "BucketOwnerEnforced"
PREFERRED = "BucketOwnerPreferred"
OWNERSHIPS = (ENFORCED, PREFERRED, "ObjectWriter")

_GROUPS = (ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY)
_PUBLIC = (ALL_USERS, AUTHENTICATED_USERS)
_GRANTS_MAX = 100
_PERMISSIONS = ("FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP")
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}|" + ANONYMOUS)
_HEADERS = {
    "GrantFullControl": ("x-amz-grant-full-control", "FULL_CONTROL"),
    "GrantRead": ("x-amz-grant-read", "READ"),
    "GrantReadACP": ("x-amz-grant-read-acp", "READ_ACP"),
    "GrantWrite": ("x-amz-grant-write", "WRITE"),
    "GrantWriteACP": ("x-amz-grant-write-acp", "WRITE_ACP"),
}

BUCKET_CANNED = frozenset(
    ("private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "log-delivery-write")
)
OBJECT_CANNED = frozenset(
    (
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
    )
)
_CANNED: dict[str, tuple[Grant, ...]] = {
    "private": (),
    "public-read": (Grant("Group", ALL_USERS, "READ"),),
    "public-read-write": (Grant("Group", ALL_USERS, "READ"), Grant("Group", ALL_USERS, "WRITE")),
    "authenticated-read": (Grant("Group", AUTHENTICATED_USERS, "READ"),),
    "aws-exec-read": (Grant("CanonicalUser", _EC2, "READ"),),
    "log-delivery-write": (Grant("Group", LOG_DELIVERY, "WRITE"), Grant("Group", LOG_DELIVERY, "READ_ACP")),
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
}


def _full(owner: str) -> Grant:
    return Grant("CanonicalUser", owner, "FULL_CONTROL")


def canned(name: str, owner: str, bucket_owner: str) -> tuple[Grant, ...]:
    """The list that a canned ACL stands for; owners are canonical ids."""
    grants = list(_CANNED[name])
    if owner != bucket_owner and name.startswith("bucket-owner-"):
        grants.append(Grant("CanonicalUser", bucket_owner, "READ" if name.endswith("read") else "FULL_CONTROL"))
    return (_full(owner), *grants) if grants else ()


def asks(request: Mapping[str, Any]) -> bool:
    """Whether a request brings a list of its own."""
    if request.get("ACL") is not None:
        return True
    # Nearly every request brings none of them.
    return not _HEADERS.keys().isdisjoint(request) and any(request.get(member) is not None for member in _HEADERS)


def of_headers(
    request: Mapping[str, Any], allowed: Collection[str], *, owner: str, bucket_owner: str
) -> tuple[Grant, ...] | None:
    """The list that `x-amz-acl` or the `x-amz-grant-` headers ask for; None where there are none of them."""
    acl = request.get("ACL")
    given = [(member, request[member]) for member in _HEADERS if request.get(member) is not None]
    if acl is not None and acl not in allowed:
        raise errors.invalid_argument(None, "x-amz-acl", acl)
    if acl is not None and given:
        raise errors.invalid_request("Specifying both Canned ACLs and Header Grants is not allowed")
    if acl is not None:
        return canned(acl, owner, bucket_owner)
    if not given:
        return None
    return tuple(grant for member, value in given for grant in _of_header(*_HEADERS[member], value))


def _of_header(header: str, permission: str, value: str) -> list[Grant]:
    grants = []
    for one in value.split(","):
        kind, equals, grantee = one.strip().partition("=")
        grantee = grantee.strip('"')
        if not equals or kind not in ("id", "uri", "emailAddress"):
            raise errors.invalid_argument("Argument format not recognized", header, one.strip())
        if kind == "emailAddress":
            raise _unknown_address()
        if kind == "id":
            _check_id(grantee, "id")
            grants.append(Grant("CanonicalUser", grantee, permission))
        else:
            if grantee not in _GROUPS:
                raise errors.invalid_argument("Invalid group uri", "uri", grantee)
            grants.append(Grant("Group", grantee, permission))
    return grants


def _check_id(given: str, name: str) -> None:
    if not _CANONICAL_ID.fullmatch(given):
        raise errors.invalid_argument("Invalid id", name, given)


def _unknown_address() -> AWSError:
    """Since October 2025 nobody is granted anything by an address ("Email Grantee ACLs")."""
    return AWSError("MethodNotAllowed", "The specified method is not allowed against this resource.", status=405)


def of_request(
    request: Mapping[str, Any], allowed: Collection[str], *, owner: str, bucket_owner: str
) -> tuple[Grant, ...]:
    """The list that PutBucketAcl or PutObjectAcl puts, by its headers or its body."""
    policy = request.get("AccessControlPolicy")
    grants = of_headers(request, allowed, owner=owner, bucket_owner=bucket_owner)
    if policy is not None:
        if grants is not None:
            raise AWSError("UnexpectedContent", "This request does not support content", status=400)
        return of_policy(policy, owner)
    if grants is None:
        raise AWSError(
            "MissingSecurityHeader",
            "Your request was missing a required header",
            status=400,
            MissingHeaderName="x-amz-acl",
        )
    return grants


def of_policy(policy: Mapping[str, Any], owner: str) -> tuple[Grant, ...]:
    """The list that an AccessControlPolicy says, which may not hand the resource to another owner."""
    malformed = AWSError(
        "MalformedACLError",
        "The XML you provided was not well-formed or did not validate against our published schema",
        status=400,
    )
    given = policy.get("Grants")
    if not (policy.get("Owner") or {}).get("ID") or given is None or len(given) > _GRANTS_MAX:
        raise malformed
    grants = [_of_policy_grant(grant, malformed) for grant in given]
    _check_id(policy["Owner"]["ID"], "CanonicalUser/ID")
    for grant in grants:
        if grant.type == "CanonicalUser":
            _check_id(grant.grantee, "CanonicalUser/ID")
        elif grant.type == "Group":
            if grant.grantee not in _GROUPS:
                raise errors.invalid_argument("Invalid group uri", "Group/URI", grant.grantee)
        else:
            raise _unknown_address()
    if policy["Owner"]["ID"] != owner:
        raise errors.access_denied()
    return tuple(grants)


def _of_policy_grant(grant: Mapping[str, Any], malformed: AWSError) -> Grant:
    grantee = grant.get("Grantee") or {}
    type_ = grantee.get("Type", "")
    member = {"CanonicalUser": "ID", "Group": "URI", "AmazonCustomerByEmail": "EmailAddress"}.get(type_)
    if grant.get("Permission") not in _PERMISSIONS or member is None or not grantee.get(member):
        raise malformed
    return Grant(type_, grantee[member], grant["Permission"])


def kept(grants: tuple[Grant, ...], owner: str) -> tuple[Grant, ...]:
    """The list as it is stored."""
    return () if grants == (_full(owner),) else grants


def effective(grants: tuple[Grant, ...], owner: str) -> tuple[Grant, ...]:
    return grants or (_full(owner),)


def shown(grants: tuple[Grant, ...], owner: str) -> dict[str, Any]:
    """An AccessControlPolicy, as GetBucketAcl and GetObjectAcl answer it."""
    return {
        "Owner": {"ID": owner},
        "Grants": [
            {
                "Grantee": {"Type": grant.type, "ID" if grant.type == "CanonicalUser" else "URI": grant.grantee},
                "Permission": grant.permission,
            }
            for grant in effective(grants, owner)
        ],
    }


def is_public(grants: Iterable[Grant]) -> bool:
    return any(grant.grantee in _PUBLIC for grant in grants)


def not_supported() -> AWSError:
    return AWSError("AccessControlListNotSupported", "The bucket does not allow ACLs", status=400)


def invalid_with_enforced() -> AWSError:
    return AWSError(
        "InvalidBucketAclWithObjectOwnership",
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        status=400,
    )


# ------------------------------------------------------------------------------------------------ owners and writers


def writer_id(account: str) -> str:
    return canonical_id(account) if account else ANONYMOUS


def owner_id(bucket: Bucket, version: Object) -> str:
    """The canonical id of an object's owner."""
    if bucket.ownership == ENFORCED or not version.owner:
        return canonical_id(bucket.account)
    return writer_id("" if version.owner == ANONYMOUS else version.owner)


def of_new_object(
    bucket: Bucket, request: Mapping[str, Any], principal: Principal, *, block_public: bool
) -> tuple[str, tuple[Grant, ...]]:
    """(owner, list) of an object that is being written, as they are stored. Refuses what the bucket does not take.

    `block_public`: public lists are refused.

    Where ownership follows the writer, an object belongs to the account that puts it; a bucket that prefers its owner
    takes over what comes with the canned ACL that gives it full control.
    """
    bucket_owner = canonical_id(bucket.account)
    if bucket.ownership == ENFORCED:
        if not asks(request):
            return "", ()
        grants = of_headers(request, OBJECT_CANNED, owner=bucket_owner, bucket_owner=bucket_owner)
        if request.get("ACL") in ("private", "bucket-owner-full-control") or grants == (_full(bucket_owner),):
            return "", ()
        raise not_supported()
    account = bucket.account if principal.kind == "service" else principal.account
    owner = "" if account == bucket.account else account or ANONYMOUS
    if owner and bucket.ownership == PREFERRED and request.get("ACL") == "bucket-owner-full-control":
        owner = ""
    me = writer_id("" if owner == ANONYMOUS else owner or bucket.account)
    grants = of_headers(request, OBJECT_CANNED, owner=me, bucket_owner=bucket_owner)
    if grants is None:
        return owner, ()
    if block_public and is_public(grants):
        raise errors.access_denied()
    return owner, kept(grants, me)


# ---------------------------------------------------------------------------------------------------------- evaluation

_BUCKET_ACTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "READ": (("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"), ""),
    "WRITE": (("s3:PutObject", "s3:DeleteObject"), "/*"),
    "READ_ACP": (("s3:GetBucketAcl",), ""),
    "WRITE_ACP": (("s3:PutBucketAcl",), ""),
}
_OBJECT_ACTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "READ": (("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTorrent"), ""),
    "READ_ACP": (("s3:GetObjectAcl", "s3:GetObjectVersionAcl"), ""),
    "WRITE_ACP": (("s3:PutObjectAcl", "s3:PutObjectVersionAcl"), ""),
}


def statements(
    grants: Sequence[Grant],
    principal: Principal,
    arn: str,
    *,
    of_object: bool,
    ignore_public: bool,
    writing: bool = False,
) -> list[dict[str, Any]]:
    """What a list gives `principal`, in the words of the policy language; `arn` is that of the bucket or object.

    `writing`: an object is being written, and may be with a list of its own.
    """
    table = _OBJECT_ACTIONS if of_object else _BUCKET_ACTIONS
    found = []
    for grant in grants:
        named = _named(grant, principal, ignore_public=ignore_public)
        if named is None:
            continue
        for permission in table if grant.permission == "FULL_CONTROL" else (grant.permission,):
            if permission in table:
                actions, behind = table[permission]
                more = ("s3:PutObjectAcl",) if writing and permission == "WRITE" else ()
                found.append(
                    {"Effect": "Allow", "Principal": named, "Action": [*actions, *more], "Resource": arn + behind}
                )
    return found


def _named(grant: Grant, principal: Principal, *, ignore_public: bool) -> Any:
    """The Principal element by which a grant names the caller; None where it does not."""
    if grant.grantee in _PUBLIC:
        if ignore_public or (grant.grantee == AUTHENTICATED_USERS and principal.kind in ("anonymous", "service")):
            return None
        return "*"
    if grant.grantee == LOG_DELIVERY:
        return {"Service": LOG_SERVICE} if principal.service == LOG_SERVICE else None
    if principal.account and principal.kind != "service" and grant.grantee == canonical_id(principal.account):
        return {"AWS": principal.account}
    return "*" if principal.kind == "anonymous" and grant.grantee == ANONYMOUS else None
