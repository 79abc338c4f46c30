"""Assuming roles: who may, for how long, with what left of the role's permissions."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError


def trust(principal: Any, *actions: str, **more: Any) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": actions or ["sts:AssumeRole"], **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allow(*actions: str, resource: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contextmanager
def refused(code: str, message: str | None = None, status: int = 400) -> Iterator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    response = caught.value.response
    assert response["Error"]["Code"] == code, response["Error"]
    if message is not None:
        assert response["Error"]["Message"] == message
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.fixture
def iam(aws: Any) -> Any:
    return aws.client("iam")


@pytest.fixture
def user(aws: Any, iam: Any) -> dict[str, str]:
    """The access key of the user `alice`, who has no permissions."""
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    return {"AccessKeyId": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"]}


def role(iam: Any, document: str, policy: str | None = None, **more: Any) -> str:
    arn: str = iam.create_role(RoleName="r", AssumeRolePolicyDocument=document, **more)["Role"]["Arn"]
    if policy is not None:
        iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy)
    return arn


def not_authorized(aws: Any, arn: str, action: str = "sts:AssumeRole") -> str:
    return f"User: arn:aws:iam::{aws.account}:user/alice is not authorized to perform: {action} on resource: {arn}"


def test_the_answer(aws: Any, iam: Any, user: Any) -> None:
    arn = role(iam, trust({"AWS": f"arn:aws:iam::{aws.account}:user/alice"}), Path="/team/")
    answer = aws.client("sts", credentials=user).assume_role(RoleArn=arn, RoleSessionName="session")
    del answer["ResponseMetadata"]
    credentials = answer.pop("Credentials")
    role_id = iam.get_role(RoleName="r")["Role"]["RoleId"]
    assert answer == {
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role_id}:session",
            "Arn": f"arn:aws:sts::{aws.account}:assumed-role/r/session",
        }
    }
    assert set(credentials) == {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", credentials["AccessKeyId"])
    assert abs(credentials["Expiration"].timestamp() - time.time() - 3600) < 60
    identity = aws.client("sts", credentials=credentials).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{aws.account}:assumed-role/r/session"
    assert identity["UserId"] == f"{role_id}:session"
    assert identity["Account"] == aws.account


def test_a_trust_in_the_account_needs_a_permission_too(aws: Any, iam: Any, user: Any) -> None:
    arn = role(iam, trust({"AWS": aws.account}))
    sts = aws.client("sts", credentials=user)
    with refused("AccessDenied", not_authorized(aws, arn), 403):
        sts.assume_role(RoleArn=arn, RoleSessionName="session")
    iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=allow("sts:AssumeRole", resource=arn))
    sts.assume_role(RoleArn=arn, RoleSessionName="session")


def test_a_permission_without_trust(aws: Any, iam: Any, user: Any) -> None:
    arn = role(iam, trust({"Service": "lambda.amazonaws.com"}))
    iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=allow("sts:*"))
    with refused("AccessDenied", not_authorized(aws, arn), 403):
        aws.client("sts", credentials=user).assume_role(RoleArn=arn, RoleSessionName="session")


def test_a_role_that_is_not_there(aws: Any, iam: Any, user: Any) -> None:
    iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=allow("sts:*"))
    arn = f"arn:aws:iam::{aws.account}:role/nobody"
    with refused("AccessDenied", not_authorized(aws, arn), 403):
        aws.client("sts", credentials=user).assume_role(RoleArn=arn, RoleSessionName="session")
    with refused("ValidationError"):
        aws.client("sts").assume_role(RoleArn="arn:aws:s3:::a-bucket-of-ours", RoleSessionName="session")


def test_the_path_is_part_of_the_arn(aws: Any, iam: Any) -> None:
    arn = role(iam, trust({"AWS": aws.account}), Path="/team/")
    with refused("AccessDenied", status=403):
        aws.client("sts").assume_role(RoleArn=arn.replace("team/", ""), RoleSessionName="session")


def test_another_account(aws: Any, iam: Any) -> None:
    other = type(aws)(aws.endpoint)
    arn = role(iam, trust({"AWS": f"arn:aws:iam::{other.account}:root"}), allow("iam:ListUsers"))
    credentials = other.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    assert aws.client("iam", credentials=credentials).list_users()["Users"] == []
    third = type(aws)(aws.endpoint)
    with refused("AccessDenied", status=403):
        third.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")


def test_a_session_has_the_permissions_of_the_role(aws: Any, iam: Any) -> None:
    arn = role(iam, trust({"AWS": aws.account}), allow("iam:ListUsers"))
    credentials = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    session = aws.client("iam", credentials=credentials)
    assert session.list_users()["Users"] == []
    message = (
        f"User: arn:aws:sts::{aws.account}:assumed-role/r/session is not authorized to perform: iam:ListRoles on "
        f"resource: arn:aws:iam::{aws.account}:role/* because no identity-based policy allows the iam:ListRoles action"
    )
    with refused("AccessDenied", message, 403):
        session.list_roles()
    # The role's policies count as they are now.
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=allow("iam:ListRoles"))
    assert len(session.list_roles()["Roles"]) == 1
    with refused("AccessDenied", status=403):
        session.list_users()
    iam.delete_role_policy(RoleName="r", PolicyName="p")
    iam.delete_role(RoleName="r")
    role(iam, trust({"AWS": aws.account}), allow("iam:*"))
    with refused("AccessDenied", status=403):
        session.list_roles()


def test_session_policies_narrow(aws: Any, iam: Any) -> None:
    arn = role(iam, trust({"AWS": aws.account}), allow("iam:List*"))
    sts = aws.client("sts")
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="session", Policy=allow("iam:ListUsers", "iam:CreateUser"))
    assert 0 < answer["PackedPolicySize"] <= 100
    session = aws.client("iam", credentials=answer["Credentials"])
    assert session.list_users()["Users"] == []
    with refused("AccessDenied", status=403):
        session.create_user(UserName="mallory")
    with pytest.raises(ClientError, match="because no session policy allows the iam:ListRoles action"):
        session.list_roles()
    managed = [{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}]
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="session", PolicyArns=managed)
    with pytest.raises(ClientError, match="because no session policy allows"):
        aws.client("iam", credentials=answer["Credentials"]).list_users()
    with refused("MalformedPolicyDocument"):
        sts.assume_role(RoleArn=arn, RoleSessionName="session", Policy="{")
    with refused("PackedPolicyTooLarge"):
        sts.assume_role(RoleArn=arn, RoleSessionName="session", Policy=allow(*(f"s3:Get{i}" * 20 for i in range(30))))


def test_durations(aws: Any, iam: Any) -> None:
    arn = role(iam, trust({"AWS": aws.account}), allow("sts:AssumeRole"), MaxSessionDuration=7200)
    sts = aws.client("sts")
    credentials = sts.assume_role(RoleArn=arn, RoleSessionName="session", DurationSeconds=7200)["Credentials"]
    assert abs(credentials["Expiration"].timestamp() - time.time() - 7200) < 60
    with refused("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."):
        sts.assume_role(RoleArn=arn, RoleSessionName="session", DurationSeconds=7201)
    with refused("ValidationError"):
        unchecked = aws.client("sts", config={"parameter_validation": False})
        unchecked.assume_role(RoleArn=arn, RoleSessionName="session", DurationSeconds=899)
    chained = aws.client("sts", credentials=credentials)
    chained.assume_role(RoleArn=arn, RoleSessionName="again")
    with refused(
        "ValidationError",
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
    ):
        chained.assume_role(RoleArn=arn, RoleSessionName="again", DurationSeconds=3601)


def test_external_ids(aws: Any, iam: Any, user: Any) -> None:
    document = trust(
        {"AWS": f"arn:aws:iam::{aws.account}:user/alice"}, Condition={"StringEquals": {"sts:ExternalId": "secret"}}
    )
    arn = role(iam, document)
    sts = aws.client("sts", credentials=user)
    sts.assume_role(RoleArn=arn, RoleSessionName="session", ExternalId="secret")
    for more in ({}, {"ExternalId": "guess"}):
        with refused("AccessDenied", not_authorized(aws, arn), 403):
            sts.assume_role(RoleArn=arn, RoleSessionName="session", **more)


def test_tags(aws: Any, iam: Any, user: Any) -> None:
    alice = {"AWS": f"arn:aws:iam::{aws.account}:user/alice"}
    arn = role(iam, trust(alice))
    sts = aws.client("sts", credentials=user)
    tags = [{"Key": "team", "Value": "red"}]
    with refused("AccessDenied", not_authorized(aws, arn, "sts:TagSession"), 403):
        sts.assume_role(RoleArn=arn, RoleSessionName="session", Tags=tags)
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=trust(alice, "sts:AssumeRole", "sts:TagSession"))
    statement = {
        "Effect": "Allow",
        "Action": "iam:ListUsers",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalTag/Team": "red"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=document)
    plain = sts.assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    with refused("AccessDenied", status=403):
        aws.client("iam", credentials=plain).list_users()
    tagged = sts.assume_role(RoleArn=arn, RoleSessionName="session", Tags=tags)["Credentials"]
    assert len(aws.client("iam", credentials=tagged).list_users()["Users"]) == 1
    with refused("InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."):
        sts.assume_role(RoleArn=arn, RoleSessionName="session", Tags=[*tags, {"Key": "TEAM", "Value": "x"}])
    with refused("InvalidParameterValue", "The specified transitive tag key must be included in the requested tags."):
        sts.assume_role(RoleArn=arn, RoleSessionName="session", Tags=tags, TransitiveTagKeys=["other"])


def test_source_identity(aws: Any, iam: Any, user: Any) -> None:
    alice = {"AWS": f"arn:aws:iam::{aws.account}:user/alice"}
    arn = role(iam, trust(alice, "sts:AssumeRole", "sts:SetSourceIdentity"))
    sts = aws.client("sts", credentials=user)
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="session", SourceIdentity="alice@home")
    assert answer["SourceIdentity"] == "alice@home"
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=trust(alice))
    with refused("AccessDenied", not_authorized(aws, arn, "sts:SetSourceIdentity"), 403):
        sts.assume_role(RoleArn=arn, RoleSessionName="session", SourceIdentity="alice@home")


@pytest.mark.parametrize("name", ["a", "with space", "x" * 65])
def test_session_names(aws: Any, iam: Any, name: str) -> None:
    arn = role(iam, trust({"AWS": aws.account}))
    with refused("ValidationError"):
        aws.client("sts", config={"parameter_validation": False}).assume_role(RoleArn=arn, RoleSessionName=name)
