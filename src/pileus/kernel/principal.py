"""Who makes a call."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

PrincipalKind = Literal["root", "user", "role", "federated", "service", "anonymous"]


class BucketSession(msgspec.Struct, frozen=True):
    """What the credentials of a session with a directory bucket (S3's CreateSession) are confined to."""

    bucket: str
    # When the bucket was made, seconds since the epoch: one that is made anew under its name is another. 0: there was
    # none.
    made: float
    mode: Literal["ReadOnly", "ReadWrite"]
    # Whether its management is within reach, too, as far as the caller's own permissions go.
    manages: bool
    # The ARN of the access point through which it was opened, and alone can be used; "": none.
    point: str = ""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller.

    `arn` is the form that policies and `GetCallerIdentity` show:
    root `arn:aws:iam::{account}:root`, user `arn:aws:iam::{account}:user{path}{name}`,
    role session `arn:aws:sts::{account}:assumed-role/{role}/{session}`; for a service `service` holds
    `s3.amazonaws.com` and `arn` is empty; for an anonymous caller both are empty.
    """

    kind: PrincipalKind
    account: str
    arn: str = ""
    # The unique id: AIDA... for a user, AROA...:session for a role session, the account for root.
    id: str = ""
    name: str = ""
    service: str = ""
    # For a role session: the role's own ARN, whose policies count.
    role_arn: str = ""
    access_key_id: str = ""
    # Policy documents (parsed JSON) passed to AssumeRole; they narrow what the role allows.
    session_policies: tuple[dict[str, Any], ...] = ()
    tags: dict[str, str] = {}
    source_identity: str = ""
    # For temporary credentials: when they were issued, seconds since the epoch; 0 for all others.
    issued: float = 0.0
    # What a service principal acts for: aws:SourceArn and aws:SourceAccount of its call.
    source_arn: str = ""
    source_account: str = ""
    # Such credentials are good for this alone.
    bucket_session: BucketSession | None = None
    # For credentials that S3 Access Grants has given out: the instance's ARN.
    grants_instance: str = ""


def service_principal(service: str, *, account: str, source_arn: str = "") -> Principal:
    """The principal `{service}.amazonaws.com`, acting for a resource of `account`."""
    return Principal(
        kind="service",
        account=account,
        service=f"{service}.amazonaws.com",
        name=f"{service}.amazonaws.com",
        source_arn=source_arn,
        source_account=account,
    )


ANONYMOUS = Principal(kind="anonymous", account="")
