"""Session tokens: of users, of federated users, altered, mixed up and past their time."""

from __future__ import annotations

from typing import Any

import pytest

from .test_assume_role import allow, refused, role, trust


@pytest.fixture
def iam(aws: Any) -> Any:
    return aws.client("iam")


@pytest.fixture
def user(aws: Any, iam: Any) -> dict[str, str]:
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=allow("iam:List*", "sts:GetFederationToken"))
    return {"AccessKeyId": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"]}


def test_who_calls(aws: Any) -> None:
    identity = aws.client("sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{aws.account}:root"
    assert identity["UserId"] == identity["Account"] == aws.account


def test_whose_key(aws: Any, user: Any) -> None:
    sts = aws.client("sts")
    assert sts.get_access_key_info(AccessKeyId=user["AccessKeyId"])["Account"] == aws.account
    session = sts.get_session_token()["Credentials"]
    assert sts.get_access_key_info(AccessKeyId=session["AccessKeyId"])["Account"] == aws.account
    with refused("ValidationError"):
        sts.get_access_key_info(AccessKeyId="notakeynotakeynotakey")


def test_a_session_of_a_user(aws: Any, user: Any) -> None:
    session = aws.client("sts", credentials=user).get_session_token(DurationSeconds=900)["Credentials"]
    temporary = aws.client("sts", credentials=session)
    assert temporary.get_caller_identity()["Arn"] == f"arn:aws:iam::{aws.account}:user/alice"
    assert len(aws.client("iam", credentials=session).list_users()["Users"]) == 1
    with refused("AccessDenied", "Cannot call GetSessionToken with session credentials", 403):
        temporary.get_session_token()
    with refused("AccessDenied", "Cannot call GetFederationToken with session credentials", 403):
        temporary.get_federation_token(Name="bob")


def test_a_federated_user(aws: Any, user: Any) -> None:
    sts = aws.client("sts", credentials=user)
    answer = sts.get_federation_token(Name="bob", Policy=allow("iam:ListUsers", "iam:CreateUser"))
    assert answer["FederatedUser"] == {
        "FederatedUserId": f"{aws.account}:bob",
        "Arn": f"arn:aws:sts::{aws.account}:federated-user/bob",
    }
    assert answer["PackedPolicySize"] > 0
    bob = aws.client("iam", credentials=answer["Credentials"])
    assert len(bob.list_users()["Users"]) == 1
    with refused("AccessDenied", status=403):
        bob.list_roles()
    with refused("AccessDenied", status=403):
        bob.create_user(UserName="mallory")
    # Without a policy nothing is left.
    answer = sts.get_federation_token(Name="bob")
    assert answer["PackedPolicySize"] == 0
    with refused("AccessDenied", status=403):
        aws.client("iam", credentials=answer["Credentials"]).list_users()


def test_a_federated_user_of_root(aws: Any) -> None:
    answer = aws.client("sts").get_federation_token(Name="bob", Policy=allow("iam:ListUsers"))
    assert aws.client("iam", credentials=answer["Credentials"]).list_users()["Users"] == []


def test_tokens_that_are_none(aws: Any, user: Any) -> None:
    message = "The security token included in the request is invalid."
    session = aws.client("sts").get_session_token()["Credentials"]
    other = aws.client("sts").get_session_token()["Credentials"]
    token = session["SessionToken"]
    broken = [
        {**session, "SessionToken": token[:-8] + "AAAAAAAA"},
        {**session, "SessionToken": "B" + token[1:]},
        {**session, "SessionToken": other["SessionToken"]},
        {**session, "SessionToken": "not base64 at all"},
        {**session, "SessionToken": ""},
        {**user, "SessionToken": token},
        {"AccessKeyId": aws.account, "SecretAccessKey": "test", "SessionToken": token},
        {"AccessKeyId": "AKIA" + "A" * 16, "SecretAccessKey": "x" * 40},
    ]
    for credentials in broken:
        with refused("InvalidClientTokenId", message, 403):
            aws.client("sts", credentials=credentials).get_caller_identity()
    with refused("SignatureDoesNotMatch", status=403):
        aws.client("sts", credentials={**session, "SecretAccessKey": "x" * 40}).get_caller_identity()


def test_the_words_of_other_services(aws: Any) -> None:
    session = aws.client("sts").get_session_token()["Credentials"]
    broken = {**session, "SessionToken": "B" + session["SessionToken"][1:]}
    message = "The security token included in the request is invalid."
    with refused("UnrecognizedClientException", message, 400):
        aws.client("dynamodb", credentials=broken).list_tables()
    with refused("InvalidToken", "The provided token is malformed or otherwise invalid.", 400):
        aws.client("s3", credentials=broken).list_buckets()
    nobody = {"AccessKeyId": "AKIA" + "A" * 16, "SecretAccessKey": "x" * 40}
    with refused("UnrecognizedClientException", message, 400):
        aws.client("dynamodb", credentials=nobody).list_tables()
    with refused("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403):
        aws.client("s3", credentials=nobody).list_buckets()
    wrong = {"AccessKeyId": aws.account, "SecretAccessKey": "wrong"}
    with refused("InvalidSignatureException", status=400):
        aws.client("dynamodb", credentials=wrong).list_tables()
    with refused("SignatureDoesNotMatch", status=403):
        aws.client("s3", credentials=wrong).list_buckets()


def test_sessions_outlive_a_restart_and_end_in_time(start_pileus: Any, tmp_path: Any, aws: Any) -> None:
    server = start_pileus(data_dir=tmp_path / "kept")
    account = type(aws)(server.endpoint)
    arn = role(account.client("iam"), trust({"AWS": account.account}))
    session = account.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    server.stop()
    server = start_pileus("--clock", "virtual", data_dir=tmp_path / "kept")
    account = type(aws)(server.endpoint, account.account)
    assert account.client("sts", credentials=session).get_caller_identity()["Account"] == account.account
    server.advance(3601)
    with refused("ExpiredToken", "The security token included in the request is expired", 403):
        account.client("sts", credentials=session).get_caller_identity()
    with refused("ExpiredTokenException", "The security token included in the request is expired", 400):
        account.client("dynamodb", credentials=session).list_tables()
    with refused("ExpiredToken", "The provided token has expired.", 400):
        account.client("s3", credentials=session).list_buckets()


def test_the_same_key_on_another_cloud(start_pileus: Any, aws: Any) -> None:
    other = type(aws)(start_pileus().endpoint)
    session = aws.client("sts").get_session_token()["Credentials"]
    with refused("InvalidClientTokenId", status=403):
        other.client("sts", credentials=session).get_caller_identity()


def test_what_is_not_built_says_so(aws: Any) -> None:
    with refused("NotImplemented", status=501):
        aws.client("sts").decode_authorization_message(EncodedMessage="x")
    with refused("NotImplemented", status=501):
        aws.client("sts").get_session_token(SerialNumber="arn:aws:iam::1:mfa/x", TokenCode="123456")
