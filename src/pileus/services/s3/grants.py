"""S3 Access Grants as such: instances, locations and grants, which of them covers a path, what a session may do then.

Sources: "Managing access with S3 Access Grants" and its pages (registering a location, creating grants, requesting
access) in the Amazon S3 User Guide; "List of Amazon S3 Access Grants error codes" in the API Reference.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from pileus.kernel.errors import AWSError
from pileus.services.s3 import errors

SERVICE = "access-grants.s3"
# The one instance that an account has in a region, and the location that stands for all of its data.
DEFAULT = "default"
EVERYTHING = "s3://"
LOCATIONS_MAX = 1000
DURATION_DEFAULT_S, DURATION_MIN_S, DURATION_MAX_S = 3600, 900, 43200
PERMISSIONS = ("READ", "WRITE", "READWRITE")

# What IAM calls the users and roles that grants are given to.
GRANTEE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(?:user|role)/[\x21-\x7e]+", re.ASCII)
_PATH = re.compile(r"s3://([^/*?]+)(?:/(.*))?", re.DOTALL)
_READS = (
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:GetObjectAcl",
    "s3:GetObjectVersionAcl",
    "s3:ListMultipartUploadParts",
)
_WRITES = (
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:PutObjectVersionAcl",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:AbortMultipartUpload",
)


class GrantsInstance(msgspec.Struct, kw_only=True, tag=1):
    """Where an account's grants of one region are."""

    account: str
    region: str
    # Seconds since the epoch.
    created: float
    # The policy by which other accounts may ask it, as it was put; "": none. Then when that was, and for whom.
    policy: str = ""
    policy_put: float = 0.0
    organization: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def arn(self) -> str:
        return instance_arn(self.region, self.account)


class GrantsLocation(msgspec.Struct, kw_only=True, tag=1):
    """Data for which grants can be given, and the role that gets at it."""

    id: str
    account: str
    region: str
    created: float
    # "s3://", "s3://bucket" or "s3://bucket/prefix*".
    scope: str
    role: str
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def arn(self) -> str:
        return f"{instance_arn(self.region, self.account)}/location/{self.id}"


class AccessGrant(msgspec.Struct, kw_only=True, tag=1):
    """That a user or role may read or write data."""

    id: str
    account: str
    region: str
    created: float
    location: str
    # What the scope adds to its location's; "": nothing.
    subprefix: str
    scope: str
    # An IAM user's or role's ARN.
    grantee: str
    permission: str
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def arn(self) -> str:
        return f"{instance_arn(self.region, self.account)}/grant/{self.id}"


decode_instance = msgspec.msgpack.Decoder(GrantsInstance).decode
decode_location = msgspec.msgpack.Decoder(GrantsLocation).decode
decode_grant = msgspec.msgpack.Decoder(AccessGrant).decode


def instance_arn(region: str, account: str) -> str:
    return f"arn:aws:s3:{region}:{account}:access-grants/{DEFAULT}"


# ---------------------------------------------------------------------------------------------------------- paths


class Path(NamedTuple):
    """A place in a bucket: one key, or all that begin so."""

    bucket: str
    key: str
    prefix: bool

    def covers(self, other: Path) -> bool:
        if self.bucket != other.bucket:
            return False
        return other.key.startswith(self.key) if self.prefix else not other.prefix and self.key == other.key

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}{'*' if self.prefix else ''}"


def parse(text: str, *, is_object: bool = False) -> Path | None:
    """`s3://bucket`, `s3://bucket/prefix*`, `s3://bucket/key`; None: it is none. An object's key may end in a star."""
    found = _PATH.fullmatch(text)
    if found is None:
        return None
    key = found[2] or ""
    if is_object:
        return Path(found[1], key, prefix=False) if key else None
    if not key:
        return Path(found[1], "", prefix=True)
    return Path(found[1], key.removesuffix("*"), prefix=key.endswith("*"))


def joined(scope: str, subprefix: str) -> str:
    """The scope of a grant: its location's, and what it adds to that."""
    if scope != EVERYTHING and "/" not in scope.removeprefix(EVERYTHING):
        scope += "/"
    if not subprefix:
        return scope if scope.endswith("*") else f"{scope}*"
    return scope.removesuffix("*") + subprefix


def allows(grant: AccessGrant, permission: str, target: Path) -> bool:
    """Whether a grant is good for that much on the target."""
    scope = parse(grant.scope)
    return scope is not None and grant.permission in (permission, "READWRITE") and scope.covers(target)


def session_policy(scope: Path, permission: str) -> dict[str, Any]:
    """What the credentials for a scope are confined to."""
    actions = [*(_READS if "READ" in permission else ()), *(_WRITES if "WRITE" in permission else ())]
    bucket, key = f"arn:aws:s3:::{scope.bucket}", _escaped(scope.key) + ("*" if scope.prefix else "")
    statements: list[dict[str, Any]] = [{"Effect": "Allow", "Action": actions, "Resource": f"{bucket}/{key}"}]
    if "READ" in permission and scope.prefix:
        lists: dict[str, Any] = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket}
        if scope.key:
            lists["Condition"] = {"StringLike": {"s3:prefix": key}}
        statements.append(lists)
    return {"Version": "2012-10-17", "Statement": statements}


def _escaped(key: str) -> str:
    """A key as policies write it: what is a wildcard there is itself here."""
    return re.sub(r"[*?$]", lambda found: f"${{{found[0]}}}", key)


# ---------------------------------------------------------------------------------------------------------- errors


def no_instance() -> AWSError:
    return AWSError("AccessGrantsInstanceNotExistsError", "Access Grants Instance does not exist", status=404)


def no_location() -> AWSError:
    return AWSError(
        "NoSuchAccessGrantsLocationError", "The specified access grants location does not exist", status=404
    )


def no_grant() -> AWSError:
    return AWSError("NoSuchAccessGrantError", "The specified access grant does not exist", status=404)


def no_policy() -> AWSError:
    return AWSError(
        "AccessGrantsInstanceResourcePolicyNotExists",
        "Access Grants Instance Resource Policy does not exist",
        status=404,
    )


def invalid_grant() -> AWSError:
    return AWSError("InvalidAccessGrant", "The specified Access Grant is invalid", status=400)


def invalid_location() -> AWSError:
    return AWSError("InvalidAccessGrantsLocation", "The specified Access Grants Location is invalid", status=400)


def denied(permission: str, target: str) -> AWSError:
    return errors.access_denied(f"You do not have {permission} permissions to the requested S3 Prefix: {target}")
