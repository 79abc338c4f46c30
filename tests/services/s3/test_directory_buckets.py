"""Directory buckets as such: making, finding, refusing; sessions and who may have one."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.conftest import Account
from tests.services.s3.conftest import new_name
from tests.services.s3.directory_kit import ZONE, Signed, configuration, make, new_directory
from tests.services.s3.test_accesspoints import client

from pileus.services.s3 import directories

Fails = Callable[..., dict[str, Any]]


@pytest.fixture
def directory(s3: Any) -> str:
    return make(s3)


@pytest.fixture
def signed(aws: Any) -> Signed:
    return Signed(aws)


def code(answer: tuple[int, dict[str, str], str]) -> tuple[int, str]:
    found = re.search("<Code>(.*?)</Code>", answer[2])
    return answer[0], found[1] if found else ""


def user_with(aws: Any, *statements: dict[str, Any]) -> Any:
    """A client of a user with such a policy."""
    iam, name = aws.client("iam"), new_name()
    iam.create_user(UserName=name)
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    return aws.client("s3", credentials=iam.create_access_key(UserName=name)["AccessKey"])


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


MODE = "s3express:SessionMode"
READ_ONLY = {"Condition": {"StringEquals": {MODE: "ReadOnly"}}}


# ------------------------------------------------------------------------------------------------------- buckets


def test_the_life_of_a_directory_bucket(s3: Any, aws: Any, bucket: str, fails: Fails) -> None:
    name = new_directory()
    arn = f"arn:aws:s3express:us-east-1:{aws.account}:bucket/{name}"
    made = s3.create_bucket(
        Bucket=name, CreateBucketConfiguration=configuration(Tags=[{"Key": "stage", "Value": "dev"}])
    )
    assert made["Location"] == f"https://{name}.s3express-{ZONE}.us-east-1.amazonaws.com/"
    assert made["BucketArn"] == arn
    head = s3.head_bucket(Bucket=name)
    assert (head["BucketLocationType"], head["BucketLocationName"]) == ("AvailabilityZone", ZONE)
    assert (head["BucketRegion"], head["BucketArn"], head["AccessPointAlias"]) == ("us-east-1", arn, False)
    (listed,) = s3.list_directory_buckets()["Buckets"]
    assert (listed["Name"], listed["BucketArn"]) == (name, arn)
    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == [bucket]
    again = fails(s3.create_bucket, Bucket=name, CreateBucketConfiguration=configuration())
    assert (again["status"], again["Code"]) == (409, "BucketAlreadyOwnedByYou")
    control = client(aws)
    mine = {"AccountId": aws.account, "ResourceArn": arn}
    control.tag_resource(**mine, Tags=[{"Key": "a", "Value": "b"}])
    control.untag_resource(**mine, TagKeys=["stage"])
    assert control.list_tags_for_resource(**mine)["Tags"] == [{"Key": "a", "Value": "b"}]
    s3.put_object(Bucket=name, Key="k")
    error = fails(s3.delete_bucket, Bucket=name)
    assert (error["status"], error["Code"]) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)
    assert s3.list_directory_buckets()["Buckets"] == []
    assert fails(s3.put_object, Bucket=name, Key="k")["Code"] == "NoSuchBucket"


def test_listing_goes_on_in_pages_of_one_region(s3: Any, aws: Any, signed: Signed, fails: Fails) -> None:
    names = sorted(make(s3) for _ in range(3))
    west = aws.client("s3", region="us-west-2")
    other = new_directory("usw2-az1")
    west.create_bucket(Bucket=other, CreateBucketConfiguration=configuration("usw2-az1"))
    first = s3.list_directory_buckets(MaxDirectoryBuckets=2)
    second = s3.list_directory_buckets(MaxDirectoryBuckets=2, ContinuationToken=first["ContinuationToken"])
    assert [one["Name"] for one in first["Buckets"] + second["Buckets"]] == names
    assert "ContinuationToken" not in second
    assert s3.list_directory_buckets(MaxDirectoryBuckets=0)["Buckets"] == []
    assert [one["Name"] for one in west.list_directory_buckets()["Buckets"]] == [other]
    assert fails(s3.list_directory_buckets, ContinuationToken="?")["Code"] == "InvalidArgument"
    # A zonal endpoint knows its own region alone.
    assert code(signed("GET", f"/{other}/k")) == (400, "AuthorizationHeaderMalformed")
    assert code(signed("GET", f"/{other}/k", region="us-west-2")) == (404, "NoSuchKey")


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        (f"a--{ZONE}--x-s3", None, "MalformedXML"),
        (f"a--{ZONE}--x-s3", {"LocationConstraint": "us-west-2"}, "MalformedXML"),
        (f"a--{ZONE}--x-s3", configuration(LocationConstraint="us-west-2"), "MalformedXML"),
        (f"a--{ZONE}--x-s3", {"Location": configuration()["Location"]}, "MalformedXML"),
        (f"a--{ZONE}--x-s3", {**configuration(), "Bucket": {"Type": "Directory"}}, "MalformedXML"),
        (f"a--{ZONE}--x-s3", {**configuration(), "Location": {"Type": "LocalZone", "Name": ZONE}}, "MalformedXML"),
        (f"a--{ZONE}--x-s3", configuration("use1-az5"), "InvalidBucketName"),
        ("a--usw2-az1--x-s3", configuration("usw2-az1"), "InvalidLocationConstraint"),
        ("a--x-s3", configuration(), "InvalidBucketName"),
        ("a.b--use1-az4--x-s3", configuration(), "InvalidBucketName"),
        ("sthree-a--use1-az4--x-s3", configuration(), "InvalidBucketName"),
        ("a" * 48 + "--use1-az4--x-s3", configuration(), "InvalidBucketName"),
        ("general", configuration(), "InvalidBucketName"),
    ],
)
def test_what_cannot_be_made(s3: Any, fails: Fails, name: str, given: Any, expected: str) -> None:
    error = fails(s3.create_bucket, Bucket=name, **({"CreateBucketConfiguration": given} if given else {}))
    assert (error["status"], error["Code"]) == (400, expected)


@pytest.mark.parametrize(
    ("zone", "region", "expected"),
    [
        ("use1-az4", "us-east-1", True),
        ("apne1-az1", "ap-northeast-1", True),
        ("usgw1-az2", "us-gov-west-1", True),
        ("euc2-az3", "eu-central-2", True),
        ("usw2-lax1-az1", "us-west-2", True),
        ("use1-az4", "us-east-2", False),
        ("use1-az4", "eu-west-1", False),
        ("use1", "us-east-1", False),
        ("use1-az4", "nowhere", False),
    ],
)
def test_zones_of_regions(zone: str, region: str, expected: bool) -> None:
    assert directories.is_in(zone, region) is expected


def test_headers_that_creation_refuses(s3: Any, fails: Fails) -> None:
    for more in ({"ACL": "private"}, {"ObjectOwnership": "ObjectWriter"}, {"ObjectLockEnabledForBucket": True}):
        error = fails(s3.create_bucket, Bucket=new_directory(), CreateBucketConfiguration=configuration(), **more)
        assert (error["status"], error["Code"]) == (501, "NotImplemented")


def test_a_local_zone_has_another_class(s3: Any, fails: Fails) -> None:
    name = new_directory("use1-dfw1-az1")
    given = {
        "Location": {"Type": "LocalZone", "Name": "use1-dfw1-az1"},
        "Bucket": {"Type": "Directory", "DataRedundancy": "SingleLocalZone"},
    }
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=given)
    assert s3.head_bucket(Bucket=name)["BucketLocationType"] == "LocalZone"
    s3.put_object(Bucket=name, Key="k")
    assert s3.head_object(Bucket=name, Key="k")["StorageClass"] == "ONEZONE_IA"
    assert fails(s3.put_object, Bucket=name, Key="k", StorageClass="EXPRESS_ONEZONE")["Code"] == "InvalidStorageClass"


def test_settings_that_directory_buckets_do_not_have(s3: Any, directory: str, fails: Fails) -> None:
    puts = {
        "VersioningConfiguration": lambda: {
            "call": s3.put_bucket_versioning,
            "VersioningConfiguration": {"Status": "Enabled"},
        },
        "PublicAccessBlockConfiguration": lambda: {
            "call": s3.put_public_access_block,
            "PublicAccessBlockConfiguration": {"BlockPublicAcls": False},
        },
        "OwnershipControls": lambda: {
            "call": s3.put_bucket_ownership_controls,
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]},
        },
        "CORSConfiguration": lambda: {
            "call": s3.put_bucket_cors,
            "CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]},
        },
        "Tagging": lambda: {"call": s3.put_bucket_tagging, "Tagging": {"TagSet": []}},
        "WebsiteConfiguration": lambda: {
            "call": s3.put_bucket_website,
            "WebsiteConfiguration": {"IndexDocument": {"Suffix": "i"}},
        },
    }
    for root, given in puts.items():
        error = fails(**{**given(), "Bucket": directory})
        assert (error["status"], error["Code"]) == (400, "InvalidArgument")
        assert error["Message"] == f"{root} is not valid, expected CreateBucketConfiguration"
    for call in (
        s3.get_bucket_versioning,
        s3.get_bucket_location,
        s3.get_bucket_cors,
        s3.delete_bucket_tagging,
        s3.delete_bucket_website,
        s3.get_bucket_acl,
        s3.get_public_access_block,
    ):
        error = fails(call, Bucket=directory)
        assert (error["status"], error["Code"]) == (405, "MethodNotAllowed")
    for call in (s3.list_objects, s3.list_object_versions):
        assert fails(call, Bucket=directory)["status"] == 501
    # Nothing of that had an effect.
    s3.put_object(Bucket=directory, Key="k")
    assert "VersionId" not in s3.head_object(Bucket=directory, Key="k")


def test_encryption(s3: Any, directory: str, fails: Fails) -> None:
    def put(**default: str) -> dict[str, Any]:
        rules = [{"ApplyServerSideEncryptionByDefault": default}]
        return {"Bucket": directory, "ServerSideEncryptionConfiguration": {"Rules": rules}}

    (rule,) = s3.get_bucket_encryption(Bucket=directory)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    s3.put_bucket_encryption(**put(SSEAlgorithm="AES256"))
    assert fails(s3.put_bucket_encryption, **put(SSEAlgorithm="aws:kms:dsse"))["Code"] == "MalformedXML"
    assert fails(s3.put_bucket_encryption, **put(SSEAlgorithm="aws:kms"))["Code"] == "InvalidArgument"
    s3.delete_bucket_encryption(Bucket=directory)
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32}
    for call in (s3.put_object, s3.get_object, s3.create_multipart_upload):
        assert fails(call, Bucket=directory, Key="k", **key)["status"] == 501


def test_what_of_other_buckets_does_not_go_with_them(
    s3: Any, aws: Any, bucket: str, directory: str, fails: Fails
) -> None:
    logging = {"LoggingEnabled": {"TargetBucket": directory, "TargetPrefix": ""}}
    error = fails(s3.put_bucket_logging, Bucket=bucket, BucketLoggingStatus=logging)
    assert error["Code"] == "InvalidTargetBucketForLogging"
    point = {"AccountId": aws.account, "Name": new_name()[:20], "Bucket": directory}
    error = fails(client(aws).create_access_point, **point)
    # Its name is none of one for a directory bucket.
    assert (error["status"], error["Code"]) == (400, "InvalidRequest")


# ------------------------------------------------------------------------------------------------------- lifecycle


def test_lifecycle_rules(s3: Any, directory: str, fails: Fails) -> None:
    def put(**rule: Any) -> dict[str, Any]:
        rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "old/"}, **rule}
        return {"Bucket": directory, "LifecycleConfiguration": {"Rules": [rule]}}

    rule = {"Expiration": {"Days": 1}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}
    s3.put_bucket_lifecycle_configuration(**put(**rule))
    (kept,) = s3.get_bucket_lifecycle_configuration(Bucket=directory)["Rules"]
    assert kept["Expiration"] == {"Days": 1}
    # The time is not told.
    answer = s3.put_object(Bucket=directory, Key="old/k")
    assert answer["Expiration"] == s3.head_object(Bucket=directory, Key="old/k")["Expiration"] == "NotImplemented"
    for bad in (
        {"Transitions": [{"Days": 30, "StorageClass": "GLACIER"}]},
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"Expiration": {"ExpiredObjectDeleteMarker": True}},
        {"Expiration": {"Days": 1}, "Filter": {"Tag": {"Key": "a", "Value": "b"}}},
    ):
        assert fails(s3.put_bucket_lifecycle_configuration, **put(**bad))["Code"] == "InvalidRequest"
    s3.delete_bucket_lifecycle(Bucket=directory)
    assert fails(s3.get_bucket_lifecycle_configuration, Bucket=directory)["Code"] == "NoSuchLifecycleConfiguration"


# ------------------------------------------------------------------------------------------------------- sessions


def test_a_session_is_for_one_bucket_and_mode(s3: Any, directory: str, signed: Signed) -> None:
    s3.put_object(Bucket=directory, Key="k", Body=b"body")
    answer = s3.create_session(Bucket=directory, SessionMode="ReadOnly")
    assert answer["ServerSideEncryption"] == "AES256"
    reader = answer["Credentials"]
    assert reader["AccessKeyId"].startswith("ASIA")
    assert signed("GET", f"/{directory}/k", reader)[2] == "body"
    assert signed("HEAD", f"/{directory}", reader)[0] == 200
    assert signed("GET", f"/{directory}?list-type=2", reader)[0] == 200
    assert code(signed("PUT", f"/{directory}/k", reader)) == (403, "AccessDenied")
    assert code(signed("DELETE", f"/{directory}/k", reader)) == (403, "AccessDenied")
    assert code(signed("GET", f"/{make(s3)}/k", reader)) == (403, "AccessDenied")
    assert code(signed("GET", f"/{directory}?session", reader)) == (403, "AccessDenied")
    assert code(signed("DELETE", f"/{directory}?encryption", reader)) == (403, "AccessDenied")
    writer = s3.create_session(Bucket=directory, SessionMode="ReadWrite")["Credentials"]
    assert signed("PUT", f"/{directory}/k", writer, body=b"more")[0] == 200
    # Whoever is handed a session for objects cannot manage the bucket, whoever opened it.
    assert code(signed("DELETE", f"/{directory}?encryption", writer)) == (403, "AccessDenied")
    assert code(signed("DELETE", f"/{directory}", writer)) == (403, "AccessDenied")
    # A zonal host names the bucket; a path at the regional one does.
    assert signed("GET", "/k", writer, host=f"{directory}.s3express-{ZONE}.us-east-1.amazonaws.com")[2] == "more"
    assert signed("GET", "/k", writer, host=f"{directory}.localhost:1")[2] == "more"
    listed = signed("GET", "/", host="s3express-control.us-east-1.amazonaws.com")[2]
    assert "<ListAllMyDirectoryBucketsResult" in listed
    assert f"<Name>{directory}</Name>" in listed


def test_a_session_is_good_for_nothing_else(s3: Any, aws: Any, directory: str, bucket: str, signed: Signed) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    writer = s3.create_session(Bucket=directory)["Credentials"]
    assert code(signed("GET", f"/{bucket}/k", writer)) == (403, "AccessDenied")
    assert code(signed("GET", "/", writer)) == (403, "AccessDenied")
    # Not signed for another service, nor sent as a token of another kind.
    assert code(signed("GET", f"/{directory}/k", writer, service="s3"))[0] in (400, 403)
    assert code(signed("GET", f"/{directory}/k", writer, token="x-amz-security-token")) == (400, "InvalidToken")
    role = aws.client("sts", credentials=writer)
    with pytest.raises(role.exceptions.ClientError) as caught:
        role.get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"
    # And other temporary credentials are none of a session's.
    session = aws.client("sts").get_session_token()["Credentials"]
    assert code(signed("GET", f"/{directory}/k", session)) == (400, "InvalidToken")
    forged = {**writer, "SessionToken": writer["SessionToken"][:-4] + "AAAA"}
    assert code(signed("GET", f"/{directory}/k", forged)) == (400, "InvalidToken")
    path = f"/v20180820/tags/arn%3Aaws%3As3express%3Aus-east-1%3A{aws.account}%3Abucket%2F{directory}"
    control = http_tags(signed, path, writer)
    assert control[0] == 403


def http_tags(signed: Signed, path: str, credentials: dict[str, str]) -> tuple[int, dict[str, str], str]:
    return signed("GET", path, credentials, host="s3express-control.us-east-1.amazonaws.com")


def test_bad_session_requests(s3: Any, directory: str, bucket: str, fails: Fails, signed: Signed) -> None:
    assert fails(s3.create_session, Bucket=directory, SessionMode="Write")["Code"] == "InvalidArgument"
    assert fails(s3.create_session, Bucket=directory, ServerSideEncryption="aws:kms")["Code"] == "InvalidArgument"
    more = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}
    assert fails(s3.create_session, Bucket=directory, **more)["status"] == 501
    host = f"{new_directory()}.s3express-{ZONE}.us-east-1.amazonaws.com"
    assert code(signed("GET", "/?session", host=host)) == (404, "NoSuchBucket")
    assert code(signed("GET", f"/{bucket}?session"))[0] == 405
    # Without what the model requires, which SDKs do not send.
    assert code(signed("PUT", f"/{directory}/k?renameObject")) == (400, "InvalidArgument")
    assert code(signed("DELETE", f"/{directory}?inventory")) == (400, "InvalidConfigurationId")


def test_sessions_end_after_five_minutes_or_with_their_bucket(start_pileus: Any) -> None:
    server = start_pileus("--clock", "virtual", durability="memory")
    aws = Account(server.endpoint)
    s3, signed = aws.client("s3"), Signed(aws)
    bucket = make(s3)
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    writer = s3.create_session(Bucket=bucket)["Credentials"]
    server.advance(290)
    assert signed("GET", f"/{bucket}/k", writer)[0] == 200
    server.advance(10)
    assert code(signed("GET", f"/{bucket}/k", writer)) == (400, "ExpiredToken")
    # Anew under the name, and of another account: who had a session has none.
    s3 = aws.client("s3")
    writer = s3.create_session(Bucket=bucket)["Credentials"]
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    other = Account(server.endpoint).client("s3")
    make(other, bucket)
    other.put_object(Bucket=bucket, Key="k", Body=b"of another")
    assert code(signed("GET", f"/{bucket}/k", writer)) == (403, "AccessDenied")
    assert server.stop() == 0


# ------------------------------------------------------------------------------------------------------- policies


def test_users_need_the_permission_for_sessions(s3: Any, aws: Any, directory: str, fails: Fails) -> None:
    s3.put_object(Bucket=directory, Key="k", Body=b"body")
    # Those for general purpose buckets do not count.
    stranger = user_with(aws, allow("s3:*"))
    error = fails(stranger.create_session, Bucket=directory)
    assert (error["status"], error["Code"]) == (403, "AccessDenied")
    assert "is not authorized to perform: s3express:CreateSession on resource" in error["Message"]
    for call in (stranger.get_object, stranger.head_object):
        assert fails(call, Bucket=directory, Key="k")["status"] == 403
    assert fails(stranger.copy_object, Bucket=directory, Key="c", CopySource=f"{directory}/k")["status"] == 403
    reader = user_with(aws, allow("s3express:CreateSession", **READ_ONLY))
    # Without a mode, the most that is allowed.
    assert reader.get_object(Bucket=directory, Key="k")["Body"].read() == b"body"
    assert fails(reader.put_object, Bucket=directory, Key="k")["Code"] == "AccessDenied"
    assert fails(reader.rename_object, Bucket=directory, Key="n", RenameSource="k")["Code"] == "AccessDenied"
    assert fails(reader.delete_objects, Bucket=directory, Delete={"Objects": [{"Key": "k"}]})["Code"] == "AccessDenied"
    assert fails(reader.create_session, Bucket=directory, SessionMode="ReadWrite")["Code"] == "AccessDenied"
    assert fails(reader.copy_object, Bucket=directory, Key="c", CopySource=f"{directory}/k")["Code"] == "AccessDenied"
    writer = user_with(aws, allow("s3express:CreateSession"))
    writer.copy_object(Bucket=directory, Key="c", CopySource=f"{directory}/k")
    writer.delete_objects(Bucket=directory, Delete={"Objects": [{"Key": "c"}]})
    # Bucket management has permissions of its own.
    assert fails(writer.get_bucket_policy, Bucket=directory)["Code"] == "AccessDenied"
    assert fails(writer.delete_bucket, Bucket=directory)["Code"] == "AccessDenied"
    assert fails(writer.list_directory_buckets)["Code"] == "AccessDenied"
    assert fails(writer.create_bucket, Bucket=new_directory(), CreateBucketConfiguration=configuration())["Code"] == (
        "AccessDenied"
    )
    zone = {"Condition": {"StringEquals": {"s3express:LocationName": ZONE}}}
    lists = allow("s3express:ListAllMyDirectoryBuckets")
    maker = user_with(aws, allow("s3express:CreateBucket", **zone), lists)
    name = make(maker)
    elsewhere = {"Bucket": new_directory("use1-az5"), "CreateBucketConfiguration": configuration("use1-az5")}
    assert fails(maker.create_bucket, **elsewhere)["Code"] == "AccessDenied"
    tagged = configuration(Tags=[{"Key": "a", "Value": "b"}])
    assert (
        fails(maker.create_bucket, Bucket=new_directory(), CreateBucketConfiguration=tagged)["Code"] == "AccessDenied"
    )
    assert name in [one["Name"] for one in maker.list_directory_buckets()["Buckets"]]
    # The session in which it was made is good for nothing in it.
    assert fails(maker.put_object, Bucket=name, Key="k")["Code"] == "AccessDenied"


def test_a_policy_lets_another_account_in(s3: Any, pileus: Any, aws: Any, directory: str, fails: Fails) -> None:
    other = Account(pileus.endpoint)
    stranger = other.client("s3")
    arn = f"arn:aws:s3express:us-east-1:{aws.account}:bucket/{directory}"
    s3.put_object(Bucket=directory, Key="k", Body=b"body")

    def policy(**more: Any) -> dict[str, Any]:
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": other.account},
            "Action": "s3express:CreateSession",
            "Resource": arn,
            **more,
        }
        return {"Bucket": directory, "Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}

    assert fails(stranger.get_object, Bucket=directory, Key="k")["Code"] == "AccessDenied"
    s3.put_bucket_policy(**policy(**READ_ONLY))
    assert stranger.get_object(Bucket=directory, Key="k")["Body"].read() == b"body"
    assert fails(stranger.put_object, Bucket=directory, Key="k")["Code"] == "AccessDenied"
    assert fails(stranger.get_bucket_policy, Bucket=directory)["Code"] == "AccessDenied"
    # A denial keeps the owner's root out, too.
    s3.put_bucket_policy(**policy(Effect="Deny", Principal="*"))
    assert fails(s3.create_session, Bucket=directory)["Code"] == "AccessDenied"
    assert fails(s3.get_object, Bucket=directory, Key="k")["Code"] == "AccessDenied"
    s3.delete_bucket_policy(Bucket=directory)
    assert fails(s3.get_bucket_policy, Bucket=directory)["Code"] == "NoSuchBucketPolicy"
    assert s3.get_object(Bucket=directory, Key="k")["Body"].read() == b"body"
    for bad in (
        {"Action": "s3express:DeleteBucket"},
        {"Action": "s3:GetObject"},
        {"Resource": f"arn:aws:s3:::{directory}"},
        {"Resource": arn.replace(aws.account, other.account)},
    ):
        assert fails(s3.put_bucket_policy, **policy(**bad))["Code"] == "MalformedPolicy"
    error = fails(s3.put_bucket_policy, **policy(Principal="*"))
    assert (error["status"], error["Code"]) == (403, "AccessDenied")


def test_tags_have_a_say(s3: Any, aws: Any, fails: Fails) -> None:
    condition = {"Condition": {"StringEquals": {"aws:ResourceTag/stage": "dev"}}}
    user = user_with(aws, allow("s3express:CreateSession", **condition))
    dev, prod = (make(s3, Tags=[{"Key": "stage", "Value": value}]) for value in ("dev", "prod"))
    user.put_object(Bucket=dev, Key="k")
    assert fails(user.put_object, Bucket=prod, Key="k")["Code"] == "AccessDenied"


def test_names_of_any_length_are_refused_at_once(aws: Any) -> None:
    """A stranger held the node up for the better part of a minute with one."""
    connection = http.client.HTTPConnection(urlsplit(aws.endpoint).netloc, timeout=20)
    try:
        connection.request("GET", f"/a{'-' * 60_000}!--x-s3/key")
        assert connection.getresponse().status in (400, 403, 404)
    finally:
        connection.close()
