"""Access points for directory buckets, and their scopes."""

from __future__ import annotations

import uuid

import pytest
from tests.services.s3.control_kit import control_of, document, sent_here, user_keys
from tests.services.s3.directory_kit import ZONE, Signed, keys, make


@pytest.fixture
def directory(s3):
    return make(s3)


def new_point(zone=ZONE):
    return f"point-{uuid.uuid4().hex[:20]}--{zone}--xa-s3"


@pytest.fixture
def point(control, mine, directory):
    """`point(...)`: a new access point's name."""

    def made(**more):
        name = new_point()
        control.create_access_point(**mine, Name=name, Bucket=directory, **more)
        return name

    return made


def client(aws, **options):
    return sent_here(aws, aws.client("s3", **options))


def test_the_life_of_an_access_point(aws, control, mine, directory, s3, bucket, fails):
    name = new_point()
    arn = f"arn:aws:s3express:us-east-1:{aws.account}:accesspoint/{name}"
    made = control.create_access_point(**mine, Name=name, Bucket=directory, Tags=[{"Key": "a", "Value": "b"}])
    assert made["AccessPointArn"] == arn
    found = control.get_access_point(**mine, Name=name)
    assert (found["Bucket"], found["AccessPointArn"], found["NetworkOrigin"]) == (directory, arn, "Internet")
    assert control.list_tags_for_resource(**mine, ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    listed = control.list_access_points_for_directory_buckets(**mine)["AccessPointList"]
    assert [one["Name"] for one in listed] == [name]
    other = control.list_access_points_for_directory_buckets(**mine, DirectoryBucket=make(s3))
    assert other.get("AccessPointList", []) == []
    assert control.list_access_points(**mine).get("AccessPointList", []) == []
    error = fails(control.create_access_point, **mine, Name=name, Bucket=directory)
    assert error["Code"] == "AccessPointAlreadyOwnedByYou"
    theirs = type(aws)(aws.endpoint)
    error = fails(control_of(theirs).create_access_point, AccountId=theirs.account, Name=name, Bucket=directory)
    assert (error["status"], error["Code"]) == (409, "AccessPointAlreadyExists")
    for wrong, where in (
        (new_point("use1-az5"), directory),
        (new_point(), bucket),
        (f"point-{uuid.uuid4().hex}", directory),
        ("p--x--xa-s3", directory),
    ):
        assert fails(control.create_access_point, **mine, Name=wrong, Bucket=where)["Code"] == "InvalidRequest"
    control.delete_access_point(**mine, Name=name)
    assert fails(control.get_access_point, **mine, Name=name)["Code"] == "NoSuchAccessPoint"
    assert fails(client(aws).get_object, Bucket=name, Key="k")["Code"] == "NoSuchAccessPoint"


def test_objects_through_a_point(aws, control, mine, directory, point, s3, fails):
    name = point()
    through = client(aws)
    through.put_object(Bucket=name, Key="a/1", Body=b"x")
    assert s3.get_object(Bucket=directory, Key="a/1")["Body"].read() == b"x"
    assert through.head_object(Bucket=name, Key="a/1")["ContentLength"] == 1
    assert keys(through, name) == ["a/1"]
    upload = through.create_multipart_upload(Bucket=name, Key="parts")["UploadId"]
    part = through.upload_part(Bucket=name, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    through.complete_multipart_upload(Bucket=name, Key="parts", UploadId=upload, MultipartUpload=parts)
    through.copy_object(Bucket=name, Key="copy", CopySource=f"{name}/parts")
    assert through.get_object(Bucket=name, Key="copy")["Body"].read() == b"part"
    through.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "copy"}, {"Key": "parts"}]})
    assert keys(s3, directory) == ["a/1"]
    assert fails(through.delete_bucket, Bucket=name)["Code"] == "MethodNotAllowed"
    assert fails(through.rename_object, Bucket=name, Key="b", RenameSource="a/1")["Code"] == "MethodNotAllowed"


def test_scopes(aws, control, mine, directory, point, s3, fails):
    scope = {"Prefixes": ["a/", "b/"], "Permissions": ["GetObject", "PutObject", "ListBucket"]}
    name = point(Scope=scope)
    at = {**mine, "Name": name}
    assert control.get_access_point_scope(**at)["Scope"] == scope
    through = client(aws)
    through.put_object(Bucket=name, Key="a/1", Body=b"x")
    s3.put_object(Bucket=directory, Key="c/1", Body=b"y")
    assert through.get_object(Bucket=name, Key="a/1")["Body"].read() == b"x"
    assert through.list_objects_v2(Bucket=name, Prefix="a/")["KeyCount"] == 1
    for call, more in (
        (through.get_object, {"Key": "c/1"}),
        (through.put_object, {"Key": "c/2", "Body": b""}),
        (through.list_objects_v2, {}),
        (through.list_objects_v2, {"Prefix": "c/"}),
        (through.delete_object, {"Key": "a/1"}),
        (through.copy_object, {"Key": "a/2", "CopySource": f"{name}/c/1"}),
    ):
        assert fails(call, Bucket=name, **more)["Code"] == "AccessDenied"
    control.put_access_point_scope(**at, Scope={"Permissions": ["DeleteObject"]})
    assert control.get_access_point_scope(**at)["Scope"] == {"Permissions": ["DeleteObject"]}
    assert fails(through.get_object, Bucket=name, Key="a/1")["Code"] == "AccessDenied"
    through.delete_object(Bucket=name, Key="c/1")
    control.delete_access_point_scope(**at)
    assert control.get_access_point_scope(**at).get("Scope", {}) == {}
    assert through.get_object(Bucket=name, Key="a/1")["Body"].read() == b"x"
    error = fails(control.put_access_point_scope, **at, Scope={"Prefixes": ["a" * 128, "b" * 128]})
    assert error["Code"] == "InvalidRequest"
    assert fails(control.put_access_point_scope, **at, Scope={"Permissions": ["Other"]})["Code"] == "MalformedXML"
    regional = f"p-{uuid.uuid4().hex}"
    general = f"test-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=general)
    control.create_access_point(**mine, Name=regional, Bucket=general)
    assert fails(control.get_access_point_scope, **mine, Name=regional)["Code"] == "InvalidRequest"


def test_a_session_is_of_its_point(aws, directory, point, s3):
    s3.put_object(Bucket=directory, Key="k", Body=b"x")
    name, other = point(), point()
    session = client(aws).create_session(Bucket=name)["Credentials"]
    signed = Signed(aws)
    statuses = [signed("GET", f"/{bucket}/k", session)[0] for bucket in (name, other, directory)]
    assert statuses == [200, 403, 403]


def test_a_policy_of_a_point(aws, control, mine, directory, point, s3, fails):
    s3.put_object(Bucket=directory, Key="k", Body=b"x")
    name = point()
    user, keys_ = user_keys(aws)
    theirs = client(aws, credentials=keys_)
    assert fails(theirs.get_object, Bucket=name, Key="k")["Code"] == "AccessDenied"
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": user},
        "Action": "s3express:CreateSession",
        "Resource": f"arn:aws:s3express:us-east-1:{aws.account}:accesspoint/{name}",
    }
    control.put_access_point_policy(**mine, Name=name, Policy=document(allow))
    assert control.get_access_point_policy(**mine, Name=name)["Policy"] == document(allow)
    # A client keeps what it has, or has not, of a session.
    assert client(aws, credentials=keys_).get_object(Bucket=name, Key="k")["Body"].read() == b"x"
    assert fails(client(aws, credentials=keys_).get_object, Bucket=directory, Key="k")["Code"] == "AccessDenied"


def test_another_account_needs_both(aws, control, mine, directory, point, s3, fails):
    s3.put_object(Bucket=directory, Key="k", Body=b"x")
    name, other = point(), type(aws)(aws.endpoint)
    allow = {"Effect": "Allow", "Principal": {"AWS": other.account}, "Action": "s3express:CreateSession"}
    arn = f"arn:aws:s3express:us-east-1:{aws.account}"
    control.put_access_point_policy(
        **mine, Name=name, Policy=document({**allow, "Resource": f"{arn}:accesspoint/{name}"})
    )
    assert fails(client(other).get_object, Bucket=name, Key="k")["Code"] == "AccessDenied"
    delegated = {
        **allow,
        "Resource": f"{arn}:bucket/{directory}",
        "Condition": {"StringEquals": {"s3express:DataAccessPointAccount": aws.account}},
    }
    s3.put_bucket_policy(Bucket=directory, Policy=document(delegated))
    assert client(other).get_object(Bucket=name, Key="k")["Body"].read() == b"x"
    assert fails(client(other).get_object, Bucket=directory, Key="k")["Code"] == "AccessDenied"
    assert fails(client(other).get_object, Bucket=point(), Key="k")["Code"] == "AccessDenied"


def test_who_may_not(aws, mine, directory, point, fails):
    name = point()
    _, keys_ = user_keys(aws, {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    theirs = control_of(aws, credentials=keys_)
    for call, more in (
        (theirs.create_access_point, {"Name": new_point(), "Bucket": directory}),
        (theirs.get_access_point_scope, {"Name": name}),
        (theirs.put_access_point_scope, {"Name": name, "Scope": {}}),
        (theirs.list_access_points_for_directory_buckets, {}),
    ):
        error = fails(call, **mine, **more)
        assert error["Code"] == "AccessDenied"
        assert "s3express:" in error["Message"]
