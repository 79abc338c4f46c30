"""Attribute-based access control: tags of buckets and objects in the conditions of policies."""

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


def _policy(bucket: str, *statements: dict[str, Any]) -> str:
    inside = {"Principal": "*", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**inside, **one} for one in statements]})


def test_the_tags_that_an_object_has(s3: Any, bucket: str, fails: Callable[..., Any], raw: Any) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.delete_public_access_block(Bucket=bucket)
    public, secret = ({"StringEquals": {f"s3:ExistingObjectTag/{key}": "yes"}} for key in ("public", "Secret"))
    reads = ["s3:GetObject", "s3:GetObjectVersion"]
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=_policy(
            bucket,
            {"Effect": "Allow", "Action": reads, "Condition": public},
            {"Effect": "Deny", "Action": [*reads, "s3:PutObjectTagging"], "Condition": secret},
        ),
    )
    first = s3.put_object(Bucket=bucket, Key="a", Body=b"1", Tagging="public=yes")["VersionId"]
    s3.put_object(Bucket=bucket, Key="a", Body=b"2", Tagging="public=no")
    s3.put_object(Bucket=bucket, Key="b", Body=b"3", Tagging="Secret=yes&public=yes")
    # Each version has its own.
    assert raw("GET", f"/{bucket}/a?versionId={first}", signed=False)[2] == b"1"
    for path in (f"/{bucket}/a", f"/{bucket}/b", f"/{bucket}/none"):
        assert raw("GET", path, signed=False)[0] == 403, path
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"2"
    for call, more in (
        (s3.get_object, {"Key": "b"}),
        (s3.copy_object, {"Key": "c", "CopySource": f"{bucket}/b"}),
        (s3.put_object_tagging, {"Key": "b", "Tagging": {"TagSet": []}}),
    ):
        assert fails(call, Bucket=bucket, **more)["Code"] == "AccessDenied", more
    assert s3.head_object(Bucket=bucket, Key="a")["ContentLength"] == 1


def test_a_copys_source_and_target_have_their_own_tags(s3: Any, bucket: str, fails: Callable[..., Any]) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    secret = {"StringEquals": {"s3:ExistingObjectTag/secret": "yes"}}
    acl = {"Effect": "Deny", "Action": "s3:PutObjectAcl", "Condition": secret}
    s3.put_bucket_policy(Bucket=bucket, Policy=_policy(bucket, acl))
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )
    old = s3.put_object(Bucket=bucket, Key="k", Tagging="secret=yes")["VersionId"]
    now = s3.put_object(Bucket=bucket, Key="k")["VersionId"]
    copy = {"Bucket": bucket, "Key": "k", "ACL": "bucket-owner-full-control", "TaggingDirective": "REPLACE"}
    # The target is the version that is there, whichever one is copied.
    s3.copy_object(**copy, CopySource={"Bucket": bucket, "Key": "k", "VersionId": old})
    s3.put_object(Bucket=bucket, Key="k", Tagging="secret=yes")
    source = {"Bucket": bucket, "Key": "k", "VersionId": now}
    assert fails(s3.copy_object, **copy, CopySource=source)["Code"] == "AccessDenied"


def test_the_tags_that_an_object_is_to_have(s3: Any, bucket: str, fails: Callable[..., Any]) -> None:
    without = {"StringNotEquals": {"s3:RequestObjectTag/team": ["a", "b"]}}
    others = {"ForAnyValue:StringNotEquals": {"s3:RequestObjectTagKeys": ["team"]}}
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=_policy(
            bucket,
            {"Effect": "Deny", "Action": "s3:PutObject", "Condition": without},
            {"Effect": "Deny", "Action": ["s3:PutObject", "s3:PutObjectTagging"], "Condition": others},
        ),
    )
    for tagging in ("team=a", "team=b"):
        s3.put_object(Bucket=bucket, Key="k", Tagging=tagging)
        s3.create_multipart_upload(Bucket=bucket, Key="k", Tagging=tagging)
    for more in ({}, {"Tagging": "team=c"}, {"Tagging": "team=a&other=x"}):
        for call in (s3.put_object, s3.create_multipart_upload):
            assert fails(call, Bucket=bucket, Key="k", **more)["Code"] == "AccessDenied", more
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "team", "Value": "z"}]})
    tagging = {"TagSet": [{"Key": "other", "Value": "z"}]}
    assert fails(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=tagging)["Code"] == "AccessDenied"
