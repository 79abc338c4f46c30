"""S3's control plane: access points and their use, the account's public access block, tags by ARN."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest
from tests.services.s3.conftest import new_name

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def client(aws, **options):
    """A client whose requests go to the server whatever host it makes of the account: not every machine knows that."""
    made = aws.client("s3control", **options)
    address = urlsplit(aws.endpoint).netloc

    def send_here(request, **_):
        request.headers["Host"] = urlsplit(request.url).netloc
        request.url = request.url.replace(urlsplit(request.url).netloc, address, 1)

    made.meta.events.register("before-send.s3-control", send_here)
    return made


@pytest.fixture
def control(aws):
    return client(aws)


@pytest.fixture
def mine(aws):
    return {"AccountId": aws.account}


def test_the_life_of_an_access_point(aws, control, mine, s3, bucket, fails):
    name = new_name()[:40]
    assert control.list_access_points(**mine)["AccessPointList"] == []
    made = control.create_access_point(**mine, Name=name, Bucket=bucket)
    arn = f"arn:aws:s3:us-east-1:{aws.account}:accesspoint/{name}"
    assert made["AccessPointArn"] == arn
    assert made["Alias"].startswith(name[:20].rstrip("-"))
    assert made["Alias"].endswith("-s3alias")
    found = control.get_access_point(**mine, Name=name)
    assert found.pop("CreationDate")
    found.pop("ResponseMetadata")
    shown = {
        "Name": name,
        "Bucket": bucket,
        "NetworkOrigin": "Internet",
        "Alias": made["Alias"],
        "AccessPointArn": arn,
        "BucketAccountId": aws.account,
    }
    assert found == {
        **shown,
        "PublicAccessBlockConfiguration": dict.fromkeys(BLOCKS, True),
        "Endpoints": {
            "ipv4": "s3-accesspoint.us-east-1.amazonaws.com",
            "dualstack": "s3-accesspoint.dualstack.us-east-1.amazonaws.com",
            "fips": "s3-accesspoint-fips.us-east-1.amazonaws.com",
            "fips_dualstack": "s3-accesspoint-fips.dualstack.us-east-1.amazonaws.com",
        },
    }
    assert control.list_access_points(**mine, Bucket=bucket)["AccessPointList"] == [shown]
    assert control.list_access_points(**mine, Bucket="other")["AccessPointList"] == []
    assert fails(control.create_access_point, **mine, Name=name, Bucket=bucket) == {
        "status": 409,
        "Code": "AccessPointAlreadyOwnedByYou",
        "Message": "Your previous request to create the named accesspoint succeeded and you already own it.",
    }
    answer = control.delete_access_point(**mine, Name=name)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    for call in (control.get_access_point, control.delete_access_point):
        assert fails(call, **mine, Name=name) == {
            "status": 404,
            "Code": "NoSuchAccessPoint",
            "Message": "The specified accesspoint does not exist",
            "AccessPointName": name,
        }
    assert fails(control.list_access_points, AccountId="000000000001")["Code"] == "AccessDenied"


def test_public_access_blocks_of_points(control, mine, bucket):
    for given, expected in (({}, ()), ({"BlockPublicAcls": True}, ("BlockPublicAcls",))):
        name = new_name()[:40]
        control.create_access_point(**mine, Name=name, Bucket=bucket, PublicAccessBlockConfiguration=given)
        found = control.get_access_point(**mine, Name=name)["PublicAccessBlockConfiguration"]
        assert found == {block: block in expected for block in BLOCKS}


def test_objects_by_alias_and_arn(aws, control, mine, s3, bucket, raw):
    name = new_name()[:40]
    made = control.create_access_point(**mine, Name=name, Bucket=bucket)
    alias = made["Alias"]
    s3.put_object(Bucket=alias, Key="a/b", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"x"
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=alias)["Contents"]] == ["a/b"]
    assert s3.head_bucket(Bucket=alias)["AccessPointAlias"] is True
    s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{alias}/a/b")
    s3.copy_object(Bucket=bucket, Key="d", CopySource=f"{made['AccessPointArn']}/object/a/b")
    assert s3.get_object(Bucket=alias, Key="d")["Body"].read() == b"x"
    # The host by which SDKs address the ARN.
    address = urlsplit(aws.endpoint)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    host = f"{name}-{aws.account}.s3-accesspoint.us-east-1.localhost:{address.port}"
    connection.request("GET", "/a/b", headers={"Host": host})
    assert connection.getresponse().status == 403
    connection.close()


def test_a_policy_of_a_point(aws, control, mine, s3, bucket, fails):
    iam = aws.client("iam")
    user = new_name()[:20]
    arn = iam.create_user(UserName=user)["User"]["Arn"]
    key = iam.create_access_key(UserName=user)["AccessKey"]
    theirs = aws.client(
        "s3", credentials={"AccessKeyId": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"]}
    )
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    name = new_name()[:40]
    made = control.create_access_point(**mine, Name=name, Bucket=bucket)
    assert fails(theirs.get_object, Bucket=made["Alias"], Key="a")["Code"] == "AccessDenied"
    assert fails(control.get_access_point_policy, **mine, Name=name)["Code"] == "NoSuchAccessPointPolicy"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": arn},
        "Action": "s3:GetObject",
        "Resource": f"{made['AccessPointArn']}/object/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    control.put_access_point_policy(**mine, Name=name, Policy=policy)
    assert control.get_access_point_policy(**mine, Name=name)["Policy"] == policy
    assert control.get_access_point_policy_status(**mine, Name=name)["PolicyStatus"]["IsPublic"] is False
    assert theirs.get_object(Bucket=made["Alias"], Key="a")["Body"].read() == b"x"
    assert fails(theirs.get_object, Bucket=bucket, Key="a")["Code"] == "AccessDenied"
    control.delete_access_point_policy(**mine, Name=name)
    assert fails(theirs.get_object, Bucket=made["Alias"], Key="a")["Code"] == "AccessDenied"


def test_the_accounts_public_access_block(control, mine, s3, bucket, raw, fails):
    assert fails(control.get_public_access_block, **mine)["Code"] == "NoSuchPublicAccessBlockConfiguration"
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a", Body=b"x", ACL="public-read")
    assert raw("GET", f"/{bucket}/a", signed=False)[0] == 200
    block = {**dict.fromkeys(BLOCKS, False), "IgnorePublicAcls": True}
    control.put_public_access_block(**mine, PublicAccessBlockConfiguration=block)
    assert control.get_public_access_block(**mine)["PublicAccessBlockConfiguration"] == block
    assert raw("GET", f"/{bucket}/a", signed=False)[0] == 403
    control.delete_public_access_block(**mine)
    assert raw("GET", f"/{bucket}/a", signed=False)[0] == 200


def test_tags_by_arn(control, mine, s3, bucket, fails):
    at = {**mine, "ResourceArn": f"arn:aws:s3:::{bucket}"}
    control.tag_resource(**at, Tags=[{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}])
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]
    control.untag_resource(**at, TagKeys=["a"])
    assert control.list_tags_for_resource(**at)["Tags"] == [{"Key": "c", "Value": "d"}]
    for tags, message in (
        ([{"Key": "a", "Value": "b"}] * 2, "There are duplicate tag keys in your request."),
        ([{"Key": "aws:a", "Value": "b"}], "User-defined tag keys can't start with"),
        ([{"Key": "a,b", "Value": "b"}], "This request contains a tag key or value that isn't valid."),
        ([{"Key": "a", "Value": "b,c"}], "This request contains a tag key or value that isn't valid."),
    ):
        error = fails(control.tag_resource, **at, Tags=tags)
        assert (error["status"], error["Code"]) == (400, "InvalidTag")
        assert error["Message"].startswith(message)


def test_who_may_not(aws, control, mine, bucket, fails):
    iam = aws.client("iam")
    user = new_name()[:20]
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    keys = {"AccessKeyId": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"]}
    theirs = client(aws, credentials=keys)
    for call, more in (
        (theirs.create_access_point, {"Name": "some-point", "Bucket": bucket}),
        (theirs.list_access_points, {}),
        (theirs.get_public_access_block, {}),
        (theirs.list_tags_for_resource, {"ResourceArn": f"arn:aws:s3:::{bucket}"}),
    ):
        assert fails(call, **mine, **more)["Code"] == "AccessDenied"
