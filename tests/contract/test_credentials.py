"""Credentials through the wire, service by service: presigned URLs, a role's session, a service as the caller."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError


def fetch(url: str, method: str = "GET", data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("version", [None, "s3", "s3v4"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_presigned_urls(aws: Any, version: str | None, style: str) -> None:
    # By default boto3 presigns in Version 2 for the older regions.
    config: dict[str, Any] = {"s3": {"addressing_style": style}}
    if version is not None:
        config["signature_version"] = version
    named = type(aws)(aws.endpoint.replace("127.0.0.1", "s3.localhost"), aws.account)
    s3 = named.client("s3", config=config)
    bucket = f"presigned-{aws.account}"
    aws.client("s3").create_bucket(Bucket=bucket)
    where = {"Bucket": bucket, "Key": "a key/with ödd+chars"}
    # Not every resolver knows that names below localhost are this machine.
    host = f"{bucket}.s3.localhost"
    port = aws.endpoint.rpartition(":")[2]
    headers = {"Host": f"{host if style == 'virtual' else 's3.localhost'}:{port}"}

    def local(url: str) -> str:
        assert (host in url) is (style == "virtual")
        return url.replace(host, "localhost", 1).replace("s3.localhost", "localhost", 1)

    put = local(s3.generate_presigned_url("put_object", Params=where, ExpiresIn=60))
    get = local(s3.generate_presigned_url("get_object", Params=where, ExpiresIn=60))
    assert ("AWSAccessKeyId=" in put) is (version != "s3v4")
    answer = fetch(put, "PUT", b"content", **headers, **{"Content-Type": ""})
    assert answer == (200, b"")
    assert fetch(get, **headers) == (200, b"content")
    assert fetch(get.replace("with", "without"), **headers)[0] == 403
    keys = {"AccessKeyId": aws.account, "SecretAccessKey": "wrong"}
    wrong = named.client("s3", credentials=keys, config=config)
    status, body = fetch(local(wrong.generate_presigned_url("get_object", Params=where)), **headers)
    assert status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in body


def test_presigned_urls_of_other_services(aws: Any) -> None:
    url = aws.client("sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    status, body = fetch(url)
    assert status == 200
    assert f"<Account>{aws.account}</Account>".encode() in body
    assert fetch(url.replace("GetCallerIdentity", "GetSessionToken"))[0] == 403


def test_a_role_on_the_hot_path(aws: Any) -> None:
    iam, root = aws.client("iam"), aws.client("dynamodb")
    for name in ("mine", "yours"):
        root.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        )
    trust = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    arn = iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    statement = {
        "Effect": "Allow",
        "Action": "dynamodb:PutItem",
        "Resource": f"arn:aws:dynamodb:us-east-1:{aws.account}:table/mine",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=document)
    session = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    dynamodb = aws.client("dynamodb", credentials=session)
    dynamodb.put_item(TableName="mine", Item={"pk": {"S": "a"}})
    item = {"pk": {"S": "a"}}
    for call, table, action, what in (
        (dynamodb.put_item, "yours", "PutItem", {"Item": item}),
        (dynamodb.get_item, "mine", "GetItem", {"Key": item}),
    ):
        with pytest.raises(ClientError) as caught:
            call(TableName=table, **what)
        error = caught.value.response
        assert error["Error"]["Code"] == "AccessDeniedException"
        assert error["Error"]["Message"] == (
            f"User: arn:aws:sts::{aws.account}:assumed-role/r/session is not authorized to perform: dynamodb:{action} "
            f"on resource: arn:aws:dynamodb:us-east-1:{aws.account}:table/{table} "
            f"because no identity-based policy allows the dynamodb:{action} action"
        )
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_modes(start_pileus: Any, aws: Any, tmp_path: Any) -> None:
    for mode in ("audit", "off"):
        server = start_pileus("--iam", mode, data_dir=tmp_path / mode)
        account = type(aws)(server.endpoint)
        iam = account.client("iam")
        iam.create_user(UserName="u")
        key = iam.create_access_key(UserName="u")["AccessKey"]
        assert len(account.client("iam", credentials=key).list_users()["Users"]) == 1
        # Not even the trust of a role is asked for.
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": trust})
        arn = iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        account.client("sts", credentials=key).assume_role(RoleArn=arn, RoleSessionName="session")
        logged = "would be denied" in server.log.read_text()
        assert logged is (mode == "audit")
        # Whoever has no key is refused in every mode.
        key["SecretAccessKey"] = "x"
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            account.client("iam", credentials=key).list_users()
