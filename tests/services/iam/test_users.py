"""Users, groups, access keys, instance profiles, service-specific credentials, the account."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .support import TRUST_LAMBDA, allow, refused, user_keys, without_metadata


@pytest.fixture
def iam(aws: Any) -> Any:
    return aws.client("iam")


def test_a_user(iam: Any, aws: Any) -> None:
    created = iam.create_user(UserName="alice", Path="/team/")["User"]
    assert set(created) == {"Path", "UserName", "UserId", "Arn", "CreateDate"}
    assert created["Arn"] == f"arn:aws:iam::{aws.account}:user/team/alice"
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", created["UserId"])
    assert iam.get_user(UserName="alice")["User"] == created
    assert iam.list_users()["Users"] == [created]
    with refused("EntityAlreadyExists", "User with name Alice already exists.", 409):
        iam.create_user(UserName="Alice")
    iam.update_user(UserName="alice", NewUserName="bob", NewPath="/")
    assert iam.get_user(UserName="bob")["User"]["UserId"] == created["UserId"]
    with refused("NoSuchEntity", "The user with name alice cannot be found.", 404):
        iam.get_user(UserName="alice")
    iam.delete_user(UserName="bob")
    with refused("NoSuchEntity", "The user with name bob cannot be found.", 404):
        iam.delete_user(UserName="bob")


def test_the_caller_is_meant_where_no_user_is_named(iam: Any, aws: Any) -> None:
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{aws.account}:root"
    keys = user_keys(iam, "alice")
    iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=allow("iam:GetUser"))
    assert aws.client("iam", credentials=keys).get_user()["User"]["UserName"] == "alice"


def test_access_keys(iam: Any, aws: Any) -> None:
    iam.create_user(UserName="alice")
    first = iam.create_access_key(UserName="alice")["AccessKey"]
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", first["AccessKeyId"])
    assert len(first["SecretAccessKey"]) == 40
    assert (first["Status"], first["UserName"]) == ("Active", "alice")
    sts = aws.client("sts", credentials=first)
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{aws.account}:user/alice"
    second = iam.create_access_key(UserName="alice")["AccessKey"]
    with refused("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2", 409):
        iam.create_access_key(UserName="alice")
    listed = iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]
    assert [one["AccessKeyId"] for one in listed] == [first["AccessKeyId"], second["AccessKeyId"]]
    assert all("SecretAccessKey" not in one for one in listed)

    iam.update_access_key(UserName="alice", AccessKeyId=first["AccessKeyId"], Status="Inactive")
    with refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403):
        sts.get_caller_identity()
    iam.update_access_key(UserName="alice", AccessKeyId=first["AccessKeyId"], Status="Active")
    assert sts.get_caller_identity()["Account"] == aws.account

    with refused("DeleteConflict", "Cannot delete entity, must delete access keys first.", 409):
        iam.delete_user(UserName="alice")
    iam.delete_access_key(UserName="alice", AccessKeyId=first["AccessKeyId"])
    with refused("InvalidClientTokenId", status=403):
        sts.get_caller_identity()
    with refused("NoSuchEntity", f"The Access Key with id {first['AccessKeyId']} cannot be found.", 404):
        iam.delete_access_key(UserName="alice", AccessKeyId=first["AccessKeyId"])


def test_a_wrong_secret(iam: Any, aws: Any) -> None:
    keys = user_keys(iam, "alice")
    keys["SecretAccessKey"] = "x" * 40
    with refused(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method. Consult the service documentation for details.",
        403,
    ):
        aws.client("sts", credentials=keys).get_caller_identity()


def test_the_last_use_of_a_key(iam: Any, aws: Any) -> None:
    keys = user_keys(iam, "alice")
    unused = without_metadata(iam.get_access_key_last_used(AccessKeyId=keys["AccessKeyId"]))
    assert unused == {"UserName": "alice", "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}
    aws.client("sts", credentials=keys).get_caller_identity()
    used = iam.get_access_key_last_used(AccessKeyId=keys["AccessKeyId"])["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("sts", "us-east-1")
    assert "LastUsedDate" in used


def test_what_a_user_may_do_changes_with_its_policies(iam: Any, aws: Any) -> None:
    alice = aws.client("iam", credentials=user_keys(iam, "alice"))
    denied = (
        f"User: arn:aws:iam::{aws.account}:user/alice is not authorized to perform: iam:ListRoles on resource: "
        f"arn:aws:iam::{aws.account}:role/* because no identity-based policy allows the iam:ListRoles action"
    )
    with refused("AccessDenied", denied, 403):
        alice.list_roles()
    iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=allow("iam:ListRoles"))
    assert alice.list_roles()["Roles"] == []
    iam.delete_user_policy(UserName="alice", PolicyName="p")
    with refused("AccessDenied", denied, 403):
        alice.list_roles()
    # By way of a group, and a managed policy.
    iam.create_group(GroupName="readers")
    iam.attach_group_policy(GroupName="readers", PolicyArn="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
    iam.add_user_to_group(GroupName="readers", UserName="alice")
    assert alice.list_roles()["Roles"] == []
    # A boundary narrows it.
    boundary = iam.create_policy(PolicyName="b", PolicyDocument=allow("iam:GetUser"))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="alice", PermissionsBoundary=boundary)
    with refused("AccessDenied", denied.replace("identity-based policy", "permissions boundary"), 403):
        alice.list_roles()
    iam.delete_user_permissions_boundary(UserName="alice")
    # A denial outweighs everything.
    statement = {"Effect": "Deny", "Action": "iam:List*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_group_policy(GroupName="readers", PolicyName="no", PolicyDocument=document)
    with refused(
        "AccessDenied",
        denied.split(" because", maxsplit=1)[0] + " with an explicit deny in an identity-based policy",
        403,
    ):
        alice.list_roles()
    iam.remove_user_from_group(GroupName="readers", UserName="alice")
    with refused("AccessDenied", denied, 403):
        alice.list_roles()


def test_a_user_made_anew_is_another_one(iam: Any, aws: Any) -> None:
    keys = user_keys(iam, "alice")
    iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=allow("iam:ListRoles", "sts:*"))
    session = aws.client("sts", credentials=keys).get_session_token()["Credentials"]
    temporary = aws.client("iam", credentials=session)
    with refused("AccessDenied", status=403):
        temporary.list_users()
    assert temporary.list_roles()["Roles"] == []
    iam.delete_user_policy(UserName="alice", PolicyName="p")
    iam.delete_access_key(UserName="alice", AccessKeyId=keys["AccessKeyId"])
    iam.delete_user(UserName="alice")
    iam.create_user(UserName="alice")
    iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=allow("iam:*"))
    with refused("AccessDenied", status=403):
        temporary.list_roles()


def test_groups(iam: Any, aws: Any) -> None:
    created = iam.create_group(GroupName="g", Path="/x/")["Group"]
    assert created["Arn"] == f"arn:aws:iam::{aws.account}:group/x/g"
    for name in ("alice", "bob"):
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="g", UserName=name)
        iam.add_user_to_group(GroupName="g", UserName=name)
    found = iam.get_group(GroupName="g")
    assert [user["UserName"] for user in found["Users"]] == ["alice", "bob"]
    assert iam.list_groups_for_user(UserName="alice")["Groups"] == [created]
    with refused("DeleteConflict", "Cannot delete entity, must remove users from group first.", 409):
        iam.delete_group(GroupName="g")
    with refused("DeleteConflict", "Cannot delete entity, must remove users from group first.", 409):
        iam.delete_user(UserName="alice")
    iam.update_group(GroupName="g", NewGroupName="h")
    assert [user["UserName"] for user in iam.get_group(GroupName="h")["Users"]] == ["alice", "bob"]
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="bob")["Groups"]] == ["h"]
    iam.update_user(UserName="bob", NewUserName="carol")
    assert [user["UserName"] for user in iam.get_group(GroupName="h")["Users"]] == ["alice", "carol"]
    for name in ("alice", "carol"):
        iam.remove_user_from_group(GroupName="h", UserName=name)
    iam.delete_group(GroupName="h")
    with refused("NoSuchEntity", "The group with name h cannot be found.", 404):
        iam.get_group(GroupName="h")


def test_instance_profiles(iam: Any, aws: Any) -> None:
    created = iam.create_instance_profile(InstanceProfileName="i")["InstanceProfile"]
    assert created["Arn"] == f"arn:aws:iam::{aws.account}:instance-profile/i"
    assert created["Roles"] == []
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
    iam.add_role_to_instance_profile(InstanceProfileName="i", RoleName="r")
    with refused("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", 409):
        iam.add_role_to_instance_profile(InstanceProfileName="i", RoleName="r")
    found = iam.get_instance_profile(InstanceProfileName="i")["InstanceProfile"]
    assert [role["RoleName"] for role in found["Roles"]] == ["r"]
    assert iam.list_instance_profiles_for_role(RoleName="r")["InstanceProfiles"] == [found]
    with refused("EntityAlreadyExists", "Instance Profile i already exists.", 409):
        iam.create_instance_profile(InstanceProfileName="i")
    with refused("NoSuchEntity", "Instance Profile j cannot be found.", 404):
        iam.get_instance_profile(InstanceProfileName="j")


def test_service_specific_credentials(iam: Any, aws: Any) -> None:
    iam.create_user(UserName="u")
    made = iam.create_service_specific_credential(UserName="u", ServiceName="cassandra.amazonaws.com")
    credential = made["ServiceSpecificCredential"]
    assert credential["ServiceUserName"] == f"u-at-{aws.account}"
    id, password = credential["ServiceSpecificCredentialId"], credential.pop("ServicePassword")
    listed = without_metadata(iam.list_service_specific_credentials(UserName="u"))
    assert listed == {"ServiceSpecificCredentials": [credential]}
    iam.update_service_specific_credential(UserName="u", ServiceSpecificCredentialId=id, Status="Inactive")
    reset = iam.reset_service_specific_credential(UserName="u", ServiceSpecificCredentialId=id)
    assert reset["ServiceSpecificCredential"]["Status"] == "Inactive"
    assert reset["ServiceSpecificCredential"]["ServicePassword"] != password
    with refused("DeleteConflict", "Cannot delete entity, must remove referenced objects first.", 409):
        iam.delete_user(UserName="u")
    with refused(
        "ValidationError",
        "1 validation error detected: Value at 'status' failed to satisfy constraint: "
        "Member must satisfy enum value set",
    ):
        iam.update_service_specific_credential(UserName="u", ServiceSpecificCredentialId=id, Status="Odd")
    message = "No such service lambda.amazonaws.com is supported for Service Specific Credentials"
    with refused("NoSuchEntity", message, 404):
        iam.create_service_specific_credential(UserName="u", ServiceName="lambda.amazonaws.com")
    with refused("NoSuchEntity", "The user with name nobody cannot be found.", 404):
        iam.create_service_specific_credential(UserName="nobody", ServiceName="cassandra.amazonaws.com")
    iam.delete_service_specific_credential(UserName="u", ServiceSpecificCredentialId=id)
    iam.delete_user(UserName="u")


def test_the_account(iam: Any, aws: Any) -> None:
    alias = f"alias-{aws.account}"
    iam.create_account_alias(AccountAlias=alias)
    assert iam.list_account_aliases()["AccountAliases"] == [alias]
    iam.delete_account_alias(AccountAlias=alias)
    with refused("NoSuchEntity", f"The account alias {alias} cannot be found.", 404):
        iam.delete_account_alias(AccountAlias=alias)
    iam.create_user(UserName="u")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=allow("s3:*"))
    iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    summary = iam.get_account_summary()["SummaryMap"]
    assert (summary["Users"], summary["Roles"], summary["Groups"], summary["UsersQuota"]) == (1, 1, 0, 5000)
    details = iam.get_account_authorization_details()
    assert [user["UserName"] for user in details["UserDetailList"]] == ["u"]
    [role] = details["RoleDetailList"]
    assert role["RolePolicyList"] == [{"PolicyName": "p", "PolicyDocument": json.loads(allow("s3:*"))}]
    assert [policy["PolicyName"] for policy in details["Policies"]] == ["ReadOnlyAccess"]
    only = iam.get_account_authorization_details(Filter=["User"])
    assert (len(only["UserDetailList"]), only["RoleDetailList"]) == (1, [])


def test_accounts_do_not_see_each_other(iam: Any, aws: Any) -> None:
    iam.create_user(UserName="alice")
    other = type(aws)(aws.endpoint).client("iam")
    assert other.list_users()["Users"] == []
    with refused("NoSuchEntity", status=404):
        other.get_user(UserName="alice")


def test_what_is_not_built_says_so(iam: Any) -> None:
    with refused("NotImplemented", "iam:GetLoginProfile is not implemented by Pileus.", 501):
        iam.get_login_profile(UserName="u")


def test_an_unsigned_request(aws: Any) -> None:
    from botocore import UNSIGNED

    with refused("MissingAuthenticationToken", "Request is missing Authentication Token", 403):
        aws.client("iam", config={"signature_version": UNSIGNED}).list_users()
