"""Attribute-based access control: a bucket's tags in the conditions of policies."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.services.s3.conftest import new_name
from tests.services.s3.test_accesspoints import client

DEV = [{"Key": "stage", "Value": "dev"}]


def enable(s3: Any, bucket: str, status: str = "Enabled") -> None:
    s3.put_bucket_abac(Bucket=bucket, AbacStatus={"Status": status})


def user_with(aws: Any, *statements: dict[str, Any]) -> Any:
    """A client of a user with such a policy."""
    iam, name = aws.client("iam"), new_name()
    iam.create_user(UserName=name)
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    return aws.client("s3", credentials=iam.create_access_key(UserName=name)["AccessKey"])


def test_the_setting(s3: Any, bucket: str, fails: Callable[..., Any], aws: Any) -> None:
    assert s3.get_bucket_abac(Bucket=bucket)["AbacStatus"] == {"Status": "Disabled"}
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": DEV})
    enable(s3, bucket)
    assert s3.get_bucket_abac(Bucket=bucket)["AbacStatus"] == {"Status": "Enabled"}
    for call in (s3.put_bucket_tagging, s3.delete_bucket_tagging):
        more = {"Tagging": {"TagSet": []}} if call == s3.put_bucket_tagging else {}
        assert fails(call, Bucket=bucket, **more)["Code"] == "InvalidRequest"
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == DEV
    arn = f"arn:aws:s3:::{bucket}"
    client(aws).tag_resource(AccountId=aws.account, ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert len(s3.get_bucket_tagging(Bucket=bucket)["TagSet"]) == 2
    error = fails(s3.put_bucket_abac, Bucket=bucket, AbacStatus={"Status": "Perhaps"})
    assert (error["status"], error["Code"]) == (400, "MalformedXML")
    assert fails(s3.get_bucket_abac, Bucket=new_name())["Code"] == "NoSuchBucket"
    enable(s3, bucket, "Disabled")
    s3.delete_bucket_tagging(Bucket=bucket)


@pytest.mark.parametrize("key", ["aws:ResourceTag/stage", "s3:BucketTag/stage"])
def test_tags_let_users_in(s3: Any, bucket: str, fails: Callable[..., Any], aws: Any, key: str) -> None:
    user = user_with(
        aws, {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {key: "dev"}}}
    )
    other = new_name()
    s3.create_bucket(Bucket=other, CreateBucketConfiguration={"Tags": [{"Key": "stage", "Value": "prod"}]})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": DEV})
    s3.put_object(Bucket=other, Key="k")
    enable(s3, other)
    # Not before it is enabled.
    assert fails(user.put_object, Bucket=bucket, Key="k")["Code"] == "AccessDenied"
    enable(s3, bucket)
    user.put_object(Bucket=bucket, Key="k")
    assert user.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert user.get_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 200
    for call in (user.get_object, user.delete_object):
        assert fails(call, Bucket=other, Key="k")["Code"] == "AccessDenied"
    # Both sides of a copy count, and each of many keys.
    source = {"Bucket": other, "Key": "k"}
    assert fails(user.copy_object, Bucket=bucket, Key="c", CopySource=source)["Code"] == "AccessDenied"
    assert "Errors" in user.delete_objects(Bucket=other, Delete={"Objects": [{"Key": "k"}]})
    answer = user.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
    assert [one["Key"] for one in answer["Deleted"]] == ["k"]


def test_the_buckets_policy_sees_tags_too(s3: Any, bucket: str, fails: Callable[..., Any]) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"StringEquals": {"s3:BucketTag/stage": "dev"}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": DEV})
    s3.put_object(Bucket=bucket, Key="k")
    enable(s3, bucket)
    assert fails(s3.put_object, Bucket=bucket, Key="k")["Code"] == "AccessDenied"
    enable(s3, bucket, "Disabled")
    s3.put_object(Bucket=bucket, Key="k")
