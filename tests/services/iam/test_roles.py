"""Roles: what answers carry, what is refused and in which words."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .support import TRUST_LAMBDA, allow, refused, trust, user_keys


@pytest.fixture
def iam(aws: Any) -> Any:
    return aws.client("iam")


def test_a_role_from_its_creation_to_its_end(iam: Any, aws: Any) -> None:
    created = iam.create_role(
        RoleName="worker", Path="/team/", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA), Description="works"
    )["Role"]
    assert set(created) == {"Path", "RoleName", "RoleId", "Arn", "CreateDate", "AssumeRolePolicyDocument"}
    assert created["Arn"] == f"arn:aws:iam::{aws.account}:role/team/worker"
    assert created["AssumeRolePolicyDocument"] == TRUST_LAMBDA
    assert re.fullmatch(r"AROA[A-Z2-7]{17}", created["RoleId"])
    assert created["CreateDate"].microsecond == 0

    found = iam.get_role(RoleName="worker")["Role"]
    assert found == {**created, "Description": "works", "MaxSessionDuration": 3600, "RoleLastUsed": {}}

    listed = iam.list_roles()
    assert listed["IsTruncated"] is False
    assert listed["Roles"] == [{**created, "Description": "works", "MaxSessionDuration": 3600}]

    iam.update_role(RoleName="worker", Description="rests", MaxSessionDuration=7200)
    found = iam.get_role(RoleName="worker")["Role"]
    assert (found["Description"], found["MaxSessionDuration"]) == ("rests", 7200)
    assert iam.update_role_description(RoleName="worker", Description="sleeps")["Role"]["Description"] == "sleeps"

    iam.delete_role(RoleName="worker")
    with refused("NoSuchEntity", "The role with name worker cannot be found.", 404):
        iam.get_role(RoleName="worker")


def test_a_role_without_description_shows_none(iam: Any) -> None:
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
    assert "Description" not in iam.get_role(RoleName="r")["Role"]
    iam.create_role(RoleName="s", AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}), Description="")
    assert iam.get_role(RoleName="s")["Role"]["Description"] == ""


def test_names_are_unique_without_regard_to_case(iam: Any) -> None:
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
    for name in ("worker", "WORKER"):
        with refused("EntityAlreadyExists", f"Role with name {name} already exists.", 409):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))


def test_percent_signs_in_documents_survive(iam: Any) -> None:
    encoded = "arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2Faaeeieije"
    condition = {"StringEquals": {"aws:SourceArn": encoded}}
    document = json.loads(trust({"Service": "lambda.amazonaws.com"}, Condition=condition))
    created = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(document))["Role"]
    assert created["AssumeRolePolicyDocument"] == document
    assert iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"] == document
    policy = json.loads(allow("apigateway:PUT", resource=[f"arn:aws:apigateway:us-east-1::/tags/{encoded}"]))
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(policy))
    assert iam.get_role_policy(RoleName="r", PolicyName="p")["PolicyDocument"] == policy


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "This policy contains invalid Json"),
        ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},'
         '"Action":"sts:AssumeRole"}]', "This policy contains invalid Json"),
        ('"text"', "This policy contains invalid Json"),
        (trust({"Service": "lambda.amazonaws.com"}, Resource="*"), "Has prohibited field Resource"),
        (trust({"Service": "lambda.amazonaws.com"}, Action="s3:GetObject"),
         "AssumeRole policy may only specify STS AssumeRole actions."),
        (trust({"Service": "nowhere"}), 'Invalid principal in policy: "SERVICE":"nowhere"'),
        (trust({"AWS": "bob"}), 'Invalid principal in policy: "AWS":"bob"'),
        ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}',
         "Missing required field Principal"),
        ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*"}]}', "Missing required field Action"),
        ('{"Version":"2012-10-17","Statement":[{"Principal":"*","Action":"sts:AssumeRole"}]}',
         "Missing required field Effect"),
        ('{"Version":"2012-10-17","Statements":[]}', "Unknown field Statements"),
    ],
)  # fmt: skip
def test_trust_policies_that_are_none(iam: Any, document: str, message: str) -> None:
    with refused("MalformedPolicyDocument", message):
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
    with refused("MalformedPolicyDocument", message):
        iam.update_assume_role_policy(RoleName="r", PolicyDocument=document)
    assert iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"] == TRUST_LAMBDA


def test_a_trust_policy_that_is_too_long(iam: Any) -> None:
    condition = {"StringEquals": {"aws:SourceArn": ["x" * 100 + str(i) for i in range(20)]}}
    with refused("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048", 409):
        iam.create_role(
            RoleName="r", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}, Condition=condition)
        )


def test_update_assume_role_policy(iam: Any) -> None:
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=trust({"Service": ["states.amazonaws.com"]}))
    document = iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"]
    assert document["Statement"][0]["Principal"] == {"Service": ["states.amazonaws.com"]}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a b", "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the "
         "following: +=,.@_-"),
        ("a" * 65, None),
    ],
)  # fmt: skip
def test_names_that_are_none(iam: Any, name: str, message: str | None) -> None:
    with refused("ValidationError", message):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))


def test_a_role_is_deleted_only_bare(iam: Any) -> None:
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
    arn = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    iam.attach_role_policy(RoleName="r", PolicyArn=arn)
    with refused("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409):
        iam.delete_role(RoleName="r")
    iam.detach_role_policy(RoleName="r", PolicyArn=arn)
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=allow("s3:GetObject"))
    with refused("DeleteConflict", "Cannot delete entity, must delete policies first.", 409):
        iam.delete_role(RoleName="r")
    iam.delete_role_policy(RoleName="r", PolicyName="p")
    iam.create_instance_profile(InstanceProfileName="i")
    iam.add_role_to_instance_profile(InstanceProfileName="i", RoleName="r")
    with refused("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.", 409):
        iam.delete_role(RoleName="r")
    iam.remove_role_from_instance_profile(InstanceProfileName="i", RoleName="r")
    iam.delete_role(RoleName="r")


def test_lists_come_in_pages(iam: Any) -> None:
    for i in range(7):
        path = "/even/" if i % 2 == 0 else "/odd/"
        iam.create_role(RoleName=f"r{i}", Path=path, AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
    pages = list(iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["Roles"]) for page in pages] == [3, 3, 1]
    assert [role["RoleName"] for page in pages for role in page["Roles"]] == [f"r{i}" for i in range(7)]
    even = list(iam.get_paginator("list_roles").paginate(PathPrefix="/even/", PaginationConfig={"PageSize": 2}))
    assert [role["RoleName"] for page in even for role in page["Roles"]] == ["r0", "r2", "r4", "r6"]
    assert [page["IsTruncated"] for page in even] == [True, False]
    with refused("ValidationError", "Invalid Marker."):
        iam.list_roles(Marker="bm90IG91cnM=")


def test_tags(iam: Any) -> None:
    iam.create_role(
        RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA), Tags=[{"Key": "Team", "Value": "red"}]
    )
    assert iam.get_role(RoleName="r")["Role"]["Tags"] == [{"Key": "Team", "Value": "red"}]
    iam.tag_role(RoleName="r", Tags=[{"Key": "team", "Value": "blue"}, {"Key": "x", "Value": ""}])
    assert iam.list_role_tags(RoleName="r")["Tags"] == [{"Key": "team", "Value": "blue"}, {"Key": "x", "Value": ""}]
    iam.untag_role(RoleName="r", TagKeys=["TEAM", "nothing"])
    assert iam.list_role_tags(RoleName="r")["Tags"] == [{"Key": "x", "Value": ""}]
    with refused("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."):
        iam.tag_role(RoleName="r", Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}])


def test_boundaries(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="b", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA), PermissionsBoundary=arn)[
        "Role"
    ]
    shown = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    assert role["PermissionsBoundary"] == iam.get_role(RoleName="r")["Role"]["PermissionsBoundary"] == shown
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PermissionsBoundaryUsageCount"] == 1
    with refused("DeleteConflict", "Cannot delete a policy attached to entities.", 409):
        iam.delete_policy(PolicyArn=arn)
    iam.delete_role_permissions_boundary(RoleName="r")
    assert "PermissionsBoundary" not in iam.get_role(RoleName="r")["Role"]
    with refused("NoSuchEntity", status=404):
        iam.put_role_permissions_boundary(RoleName="r", PermissionsBoundary=arn + "x")
    iam.delete_policy(PolicyArn=arn)


def test_service_linked_roles(iam: Any, aws: Any) -> None:
    created = iam.create_service_linked_role(AWSServiceName="batch.amazonaws.com")["Role"]
    assert created["RoleName"] == "AWSServiceRoleForBatch"
    assert created["Path"] == "/aws-service-role/batch.amazonaws.com/"
    attached = iam.list_attached_role_policies(RoleName="AWSServiceRoleForBatch")["AttachedPolicies"]
    assert attached == [
        {
            "PolicyName": "BatchServiceRolePolicy",
            "PolicyArn": "arn:aws:iam::aws:policy/aws-service-role/BatchServiceRolePolicy",
        }
    ]
    with refused(
        "InvalidInput",
        "Service role name AWSServiceRoleForBatch has been taken in this account, please try a different suffix.",
    ):
        iam.create_service_linked_role(AWSServiceName="batch.amazonaws.com")
    with refused("InvalidInput", "Custom suffix is not allowed for batch.amazonaws.com"):
        iam.create_service_linked_role(AWSServiceName="batch.amazonaws.com", CustomSuffix="x")
    suffixed = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="x")
    assert suffixed["Role"]["RoleName"] == "AWSServiceRoleForAutoScaling_x"
    with refused(
        "UnmodifiableEntity",
        "Cannot perform the operation on the protected role 'AWSServiceRoleForBatch' - "
        "this role is only modifiable by AWS",
    ):
        iam.delete_role(RoleName="AWSServiceRoleForBatch")
    task = iam.delete_service_linked_role(RoleName="AWSServiceRoleForBatch")["DeletionTaskId"]
    assert task.startswith("task/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch/")
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    with refused("NoSuchEntity", status=404):
        iam.get_role(RoleName="AWSServiceRoleForBatch")


def test_what_was_acknowledged_outlives_a_power_cut(start_pileus: Any, aws: Any, tmp_path: Any) -> None:
    server = start_pileus(data_dir=tmp_path / "kept", durability="full")
    account = type(aws)(server.endpoint)
    iam = account.client("iam")
    created = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))["Role"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=allow("s3:GetObject"))
    keys = user_keys(iam, "alice")
    server.kill()
    server = start_pileus(data_dir=tmp_path / "kept", durability="full")
    account = type(aws)(server.endpoint, account.account)
    iam = account.client("iam")
    assert iam.get_role(RoleName="r")["Role"]["RoleId"] == created["RoleId"]
    assert iam.list_role_policies(RoleName="r")["PolicyNames"] == ["p"]
    assert account.client("sts", credentials=keys).get_caller_identity()["Arn"].endswith("user/alice")


def test_of_many_who_create_one_role_one_succeeds(iam: Any) -> None:
    def create(_: int) -> str:
        try:
            answer = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
            return str(answer["Role"]["RoleId"])
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(create, range(16)))
    assert outcomes.count("EntityAlreadyExists") == 15
    assert iam.get_role(RoleName="r")["Role"]["RoleId"] in outcomes
