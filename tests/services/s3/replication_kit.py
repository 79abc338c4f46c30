"""What tests of replication share."""

from __future__ import annotations

import json
import uuid
from typing import Any

TRUST = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
_DESTINATION = (
    "StorageClass",
    "Account",
    "AccessControlTranslation",
    "Metrics",
    "ReplicationTime",
    "EncryptionConfiguration",
)


def allow_all() -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


def new_role(aws: Any, *statements: dict[str, Any], trust: dict[str, Any] = TRUST) -> str:
    """The ARN of a role that S3 may assume; without statements it may do everything with S3."""
    iam, name = aws.client("iam"), f"replicator-{uuid.uuid4().hex}"

    def document(*made: dict[str, Any]) -> str:
        return json.dumps({"Version": "2012-10-17", "Statement": list(made)})

    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*(statements or [allow_all()])))
    return arn


def versioned(s3: Any, region: str = "us-east-1") -> str:
    name = f"test-{uuid.uuid4().hex}"
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **place)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def rule(target: str, **members: Any) -> dict[str, Any]:
    """A rule of the second schema; members of its destination are put there."""
    destination = {name: members.pop(name) for name in _DESTINATION if name in members}
    made = {
        "ID": "rule",
        "Status": "Enabled",
        "Priority": 0,
        "Filter": {},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{target}", **destination},
    }
    return {**made, **members}


def put_rules(s3: Any, bucket: str, role: str, *rules: dict[str, Any]) -> None:
    s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration={"Role": role, "Rules": list(rules)})
