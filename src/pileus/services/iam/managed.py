"""Managed policies, the account's own and AWS's, as one."""

from __future__ import annotations

import re
from typing import Any

from pileus.cloud.manifest import Answer
from pileus.kernel.arn import parse_arn
from pileus.services.iam import aws_policies, errors, keys
from pileus.services.iam.aws_policies import AwsPolicy
from pileus.services.iam.entities import tag_list
from pileus.services.iam.records import Policy, decode
from pileus.store.contract import Reader

VERSIONS_MAX = 5
_ARN = re.compile(r"arn:[a-z-]+:iam::(\d{12}|aws):policy/[\x21-\x7e]+")


def check_arn(arn: str) -> None:
    """Raise ValidationError unless this is the ARN of a managed policy."""
    if not _ARN.fullmatch(arn):
        raise errors.validation_error("Invalid ARN:  Could not be parsed!")


async def find(tx: Reader, account: str, arn: str) -> Policy | AwsPolicy | None:
    """The policy of that ARN, if `account` may use it."""
    check_arn(arn)
    parsed = parse_arn(arn)
    assert parsed is not None
    if parsed.account == "aws":
        return aws_policies.find(arn)
    if parsed.account != account:
        return None
    raw = await tx.get(keys.entity(account, "policy", arn.rpartition("/")[2]))
    policy = None if raw is None else decode(raw, Policy)
    return policy if policy is not None and policy.arn == arn else None


async def load(tx: Reader, account: str, arn: str) -> Policy | AwsPolicy:
    found = await find(tx, account, arn)
    if found is None:
        raise errors.policy_not_found(arn)
    return found


async def load_own(tx: Reader, account: str, arn: str) -> Policy:
    """A policy that can be changed; raises NoSuchEntity, or AccessDenied for AWS's."""
    found = await load(tx, account, arn)
    if isinstance(found, AwsPolicy):
        raise errors.invalid_input(f"Cannot perform the operation on the AWS managed policy {arn}.")
    return found


async def count(tx: Reader, account: str, relation: keys.Relation, arn: str) -> int:
    """To how many entities it is attached, or of how many it is the boundary."""
    start, end = keys.related_to(account, relation, arn)
    return len(await tx.scan(start, end, limit=10_000))


async def answer(tx: Reader, account: str, policy: Policy | AwsPolicy, *, detail: bool = False) -> Answer:
    """A Policy; description and tags only in `detail`."""
    own = isinstance(policy, Policy)
    found: Answer = {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": policy.default if isinstance(policy, Policy) else policy.version,
        "AttachmentCount": await count(tx, account, "attached", policy.arn),
        "PermissionsBoundaryUsageCount": await count(tx, account, "bounded", policy.arn),
        "IsAttachable": True,
        "CreateDate": policy.created,
        "UpdateDate": policy.updated,
    }
    if detail:
        if policy.description is not None:
            found["Description"] = policy.description
        found["Tags"] = tag_list(policy.tags) if isinstance(policy, Policy) else []
    elif own and isinstance(policy, Policy) and policy.tags:
        found["Tags"] = tag_list(policy.tags)
    return found


def versions(policy: Policy | AwsPolicy) -> list[tuple[dict[str, Any], str]]:
    """(PolicyVersion without its document, the document), the newest first."""
    if isinstance(policy, AwsPolicy):
        shown = {"VersionId": policy.version, "IsDefaultVersion": True, "CreateDate": policy.updated}
        return [(shown, policy.document)]
    return [
        (
            {"VersionId": id, "IsDefaultVersion": id == policy.default, "CreateDate": version.created},
            version.document,
        )
        for id, version in reversed(policy.versions.items())
    ]
