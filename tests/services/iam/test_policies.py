"""Managed and inline policies."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .support import TRUST_LAMBDA, allow, refused, without_metadata


@pytest.fixture
def iam(aws: Any) -> Any:
    return aws.client("iam")


def test_a_managed_policy(iam: Any, aws: Any) -> None:
    created = iam.create_policy(PolicyName="p", Path="/x/", PolicyDocument=allow("s3:GetObject"), Description="reads")
    policy = created["Policy"]
    assert re.fullmatch(r"ANPA[A-Z2-7]{17}", policy.pop("PolicyId"))
    assert policy.pop("CreateDate") == policy.pop("UpdateDate")
    assert policy == {
        "PolicyName": "p",
        "Arn": f"arn:aws:iam::{aws.account}:policy/x/p",
        "Path": "/x/",
        "DefaultVersionId": "v1",
        "AttachmentCount": 0,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
    }
    found = iam.get_policy(PolicyArn=policy["Arn"])["Policy"]
    assert (found["Description"], found["Tags"]) == ("reads", [])
    with refused("EntityAlreadyExists", "A policy called p already exists. Duplicate names are not allowed.", 409):
        iam.create_policy(PolicyName="p", PolicyDocument=allow("s3:GetObject"))
    iam.delete_policy(PolicyArn=policy["Arn"])
    with refused("NoSuchEntity", f"Policy {policy['Arn']} was not found.", 404):
        iam.get_policy(PolicyArn=policy["Arn"])
    with refused("NoSuchEntity", f"Policy {policy['Arn']} was not found.", 404):
        iam.delete_policy(PolicyArn=policy["Arn"])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "Syntax errors in policy."),
        ("[]", "Syntax errors in policy."),
        ('{"Version":"2012-10-17"}', "Syntax errors in policy."),
        ('{"Version":"2012-10-17","Statement":[]}', "Syntax errors in policy."),
        ('{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}',
         "Policy document must be version 2012-10-17 or greater."),
        (allow("s3:*", Principal="*"), "Policy document should not specify a principal."),
        (allow(), "Policy statement must contain actions."),
        (allow("s3:*", resource=[]), "Policy statement must contain resources."),
        (allow("GetObject"), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        (allow("s3:a:b"), "Actions/Condition can contain only one colon."),
        (allow("s_3:Get"), "Vendor s_3 is not valid"),
        (allow("s3:*", resource="bucket"), 'Resource bucket must be in ARN format or "*".'),
        (allow("s3:*", resource="arn:acme:s3:::b"), 'Partition "acme" is not valid for resource "arn:acme:s3:::b".'),
        (allow("s3:*", resource="arn:aws:s3"), "The policy failed legacy parsing"),
        (allow("s3:*", Sid="no spaces"), "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies "
         "the regular expression [0-9A-Za-z]*"),
        (allow("s3:*", Effect="Perhaps"), "Syntax errors in policy."),
        (allow("s3:*", Condition={"StringSoundsLike": {"a": "b"}}), "Syntax errors in policy."),
        (json.dumps({"Version": "2012-10-17", "Statement": [
            {"Sid": "A", "Effect": "Allow", "Action": "s3:*", "Resource": "*"},
            {"Sid": "A", "Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}),
         "Statement IDs (SID) in a single policy must be unique."),
    ],
)  # fmt: skip
def test_documents_that_are_none(iam: Any, document: str, message: str) -> None:
    with refused("MalformedPolicyDocument", message):
        iam.create_policy(PolicyName="p", PolicyDocument=document)


def test_a_policy_that_is_too_long(iam: Any) -> None:
    resources = [f"arn:aws:s3:::{'b' * 60}{i}" for i in range(100)]
    with refused("LimitExceeded", "Cannot exceed quota for PolicySize: 6144", 409):
        iam.create_policy(PolicyName="p", PolicyDocument=allow("s3:*", resource=resources))


def test_versions(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="p", PolicyDocument=allow("s3:GetObject"))["Policy"]["Arn"]
    second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("s3:PutObject"))["PolicyVersion"]
    assert (second["VersionId"], second["IsDefaultVersion"]) == ("v2", False)
    third = iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("s3:*"), SetAsDefault=True)["PolicyVersion"]
    assert (third["VersionId"], third["IsDefaultVersion"]) == ("v3", True)
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [(one["VersionId"], one["IsDefaultVersion"]) for one in versions] == [
        ("v3", True), ("v2", False), ("v1", False),
    ]  # fmt: skip
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v3"
    found = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert found["Document"] == json.loads(allow("s3:GetObject"))
    with refused("DeleteConflict", "Cannot delete the default version of a policy.", 409):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    with refused("NoSuchEntity", f"Policy {arn} version v3 does not exist or is not attachable.", 404):
        iam.get_policy_version(PolicyArn=arn, VersionId="v3")
    # Numbers are not used again.
    for number in (4, 5, 6):
        made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("s3:*"))["PolicyVersion"]
        assert made["VersionId"] == f"v{number}"
    with refused(
        "LimitExceeded",
        "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing "
        "version.",
        409,
    ):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("s3:*"))
    with refused(
        "DeleteConflict",
        "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The "
        "default version is deleted with the policy.",
        409,
    ):
        iam.delete_policy(PolicyArn=arn)


OWNERS = [
    ("user", lambda iam: iam.create_user(UserName="o"), {"UserName": "o"}),
    ("group", lambda iam: iam.create_group(GroupName="o"), {"GroupName": "o"}),
    ("role", lambda iam: iam.create_role(RoleName="o", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA)),
     {"RoleName": "o"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "make", "name"), OWNERS, ids=[owner[0] for owner in OWNERS])
def test_attaching(iam: Any, kind: str, make: Any, name: dict[str, str]) -> None:
    make(iam)
    attach, detach = getattr(iam, f"attach_{kind}_policy"), getattr(iam, f"detach_{kind}_policy")
    listed = getattr(iam, f"list_attached_{kind}_policies")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    for malformed in ("p", "longpolicynamebutnoarn", "arn:aws:iam::1:policy/p"):
        if len(malformed) >= 20:
            with refused("ValidationError", "Invalid ARN:  Could not be parsed!"):
                attach(**name, PolicyArn=malformed)
    with refused("NoSuchEntity", f"Policy {arn}123 does not exist or is not attachable.", 404):
        attach(**name, PolicyArn=arn + "123")
    attach(**name, PolicyArn=arn)
    attach(**name, PolicyArn=arn)
    attach(**name, PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
    assert without_metadata(listed(**name)) == {
        "AttachedPolicies": [
            {"PolicyName": "p", "PolicyArn": arn},
            {
                "PolicyName": "AWSLambdaBasicExecutionRole",
                "PolicyArn": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
            },
        ],
        "IsTruncated": False,
    }
    assert len(listed(**name, PathPrefix="/service-role/")["AttachedPolicies"]) == 1
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    entities = iam.list_entities_for_policy(PolicyArn=arn)
    member = f"{kind.capitalize()}Name"
    lists = {"group": "PolicyGroups", "user": "PolicyUsers", "role": "PolicyRoles"}
    assert {key: [one[member] for one in entities[lists[key]]] for key in lists} == {
        key: ["o"] if key == kind else [] for key in lists
    }
    with refused("DeleteConflict", "Cannot delete a policy attached to entities.", 409):
        iam.delete_policy(PolicyArn=arn)
    detach(**name, PolicyArn=arn)
    with refused("NoSuchEntity", f"Policy {arn} was not found.", 404):
        detach(**name, PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)


@pytest.mark.parametrize(("kind", "make", "name"), OWNERS, ids=[owner[0] for owner in OWNERS])
def test_inline_policies(iam: Any, kind: str, make: Any, name: dict[str, str]) -> None:
    make(iam)
    put, get = getattr(iam, f"put_{kind}_policy"), getattr(iam, f"get_{kind}_policy")
    delete, listed = getattr(iam, f"delete_{kind}_policy"), getattr(iam, f"list_{kind}_policies")
    put(**name, PolicyName="b", PolicyDocument=allow("s3:GetObject", "s3:ListBucket"))
    put(**name, PolicyName="a", PolicyDocument=allow("s3:*"))
    assert without_metadata(get(**name, PolicyName="b")) == {
        **name,
        "PolicyName": "b",
        "PolicyDocument": json.loads(allow("s3:GetObject", "s3:ListBucket")),
    }
    put(**name, PolicyName="b", PolicyDocument=allow("s3:ListBucket"))
    assert get(**name, PolicyName="b")["PolicyDocument"] == json.loads(allow("s3:ListBucket"))
    assert without_metadata(listed(**name)) == {"PolicyNames": ["a", "b"], "IsTruncated": False}
    delete(**name, PolicyName="b")
    for call in (get, delete):
        with refused("NoSuchEntity", f"The {kind} policy with name b cannot be found.", 404):
            call(**name, PolicyName="b")
    limit = {"user": 2048, "group": 5120, "role": 10240}[kind]
    resources = [f"arn:aws:s3:::{'b' * 60}{i}" for i in range(limit // 70)]
    with refused("LimitExceeded", f"Maximum policy size of {limit} bytes exceeded for {kind} o", 409):
        put(**name, PolicyName="c", PolicyDocument=allow("s3:*", resource=resources))
    with refused("MalformedPolicyDocument", "Syntax errors in policy."):
        put(**name, PolicyName="c", PolicyDocument="{")


def test_at_most_ten_policies_on_a_role(iam: Any) -> None:
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
    arns = [iam.create_policy(PolicyName=f"p{i}", PolicyDocument=allow("s3:*"))["Policy"]["Arn"] for i in range(11)]
    for arn in arns[:10]:
        iam.attach_role_policy(RoleName="r", PolicyArn=arn)
    with refused("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10", 409):
        iam.attach_role_policy(RoleName="r", PolicyArn=arns[10])


def test_the_policies_of_aws(iam: Any) -> None:
    for arn in (
        "arn:aws:iam::aws:policy/AdministratorAccess",
        "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess",
        "arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole",
    ):
        policy = iam.get_policy(PolicyArn=arn)["Policy"]
        version = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        assert version["Document"]["Version"] == "2012-10-17"
    assert all(one["Arn"].startswith("arn:aws:iam::aws:") for one in iam.list_policies(Scope="AWS")["Policies"])
    iam.create_policy(PolicyName="own", PolicyDocument=allow("s3:*"))
    assert [one["PolicyName"] for one in iam.list_policies(Scope="Local")["Policies"]] == ["own"]
    names = {one["PolicyName"] for one in iam.list_policies(MaxItems=1000)["Policies"]}
    assert {"own", "AWSLambdaBasicExecutionRole"} <= names
    assert iam.list_policies(OnlyAttached=True)["Policies"] == []
    with refused("InvalidInput"):
        iam.delete_policy(PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
