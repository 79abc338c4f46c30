"""Server access logs, on the virtual clock."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from tests.services.s3.conftest import new_name
from tests.services.s3.test_posting import post

from waiting import until

PERIOD_S = 61.0
# Of 60 KB, these are 18 MB.
FULL = 300
LINE = re.compile(
    r"(?P<owner>[0-9a-f]{64}) (?P<bucket>\S+) \[(?P<time>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000)\] (?P<ip>\S+) "
    r"(?P<requester>\S+) (?P<request_id>[0-9A-Z]{16}) (?P<operation>\S+) (?P<key>\S+) \"(?P<uri>[^\"]*)\" "
    r"(?P<status>\d{3}) (?P<error>\S+) (?P<sent>\S+) (?P<size>\S+) (?P<total>\S+) (?P<turn>\S+) "
    r"\"(?P<referer>[^\"]*)\" \"(?P<agent>[^\"]*)\" (?P<version>\S+) (?P<host_id>\S+) (?P<signature>\S+) "
    r"(?P<cipher>\S+) (?P<auth>\S+) (?P<host>\S+) (?P<tls>\S+) (?P<access_point>\S+) (?P<acl>\S+) "
    r"(?P<region>\S+)"
)


class Logged:
    """A bucket, another one that has its logs, and what these say."""

    def __init__(self, aws: Any, server: Any) -> None:
        self.aws = type(aws)(server.endpoint, aws.account)
        self.server = server
        self.s3 = self.aws.client("s3")
        self.bucket, self.target = new_name(), new_name()
        for name in (self.bucket, self.target):
            self.s3.create_bucket(Bucket=name)
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{self.target}/*",
            "Condition": {
                "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{self.bucket}"},
                "StringEquals": {"aws:SourceAccount": aws.account},
            },
        }
        self.policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.s3.put_bucket_policy(Bucket=self.target, Policy=self.policy)

    def log(self, prefix: str = "log/", **more: Any) -> None:
        enabled = {"TargetBucket": self.target, "TargetPrefix": prefix, **more}
        self.s3.put_bucket_logging(Bucket=self.bucket, BucketLoggingStatus={"LoggingEnabled": enabled})

    def delivered(self) -> list[str]:
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket=self.target).get("Contents", [])]

    def lines(self) -> list[dict[str, str]]:
        """What has been delivered, which is taken away."""
        found = []
        for key in self.delivered():
            body = self.s3.get_object(Bucket=self.target, Key=key)["Body"].read().decode()
            assert body.endswith("\n")
            for text in body.splitlines():
                match = LINE.fullmatch(text)
                assert match is not None, text
                found.append(match.groupdict())
            self.s3.delete_object(Bucket=self.target, Key=key)
        return found


@pytest.fixture
def logged(aws: Any, start_pileus: Callable[..., Any]) -> Logged:
    return Logged(aws, start_pileus("--clock", "virtual", durability="memory"))


def test_each_request_has_a_line(logged: Logged, fails: Callable[..., Any]) -> None:
    s3, bucket = logged.s3, logged.bucket
    s3.put_object(Bucket=bucket, Key="before", Body=b"x")
    logged.log()
    s3.put_object(Bucket=bucket, Key="a b/ü.txt", Body=b"x" * 1000)
    got = s3.get_object(Bucket=bucket, Key="a b/ü.txt", Range="bytes=0-9")
    assert len(got["Body"].read()) == 10
    s3.head_object(Bucket=bucket, Key="a b/ü.txt")
    assert fails(s3.get_object, Bucket=bucket, Key="missing")["Code"] == "NoSuchKey"
    s3.list_objects_v2(Bucket=bucket, Prefix="a")
    s3.get_bucket_logging(Bucket=bucket)
    s3.put_object_tagging(Bucket=bucket, Key="before", Tagging={"TagSet": []})
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "before"}]})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"part")
    s3.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)
    assert logged.delivered() == []
    logged.server.advance(PERIOD_S)
    (key,) = logged.delivered()
    assert re.fullmatch(r"log/\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-F]{16}", key)
    lines = logged.lines()
    # The setting itself is there before the request that makes it is over, and no line of its own.
    assert [(one["operation"], one["key"], one["status"], one["error"]) for one in lines] == [
        ("REST.PUT.OBJECT", "a%20b/%C3%BC.txt", "200", "-"),
        ("REST.GET.OBJECT", "a%20b/%C3%BC.txt", "206", "-"),
        ("REST.HEAD.OBJECT", "a%20b/%C3%BC.txt", "200", "-"),
        ("REST.GET.OBJECT", "missing", "404", "NoSuchKey"),
        ("REST.GET.BUCKET", "-", "200", "-"),
        ("REST.GET.LOGGING_STATUS", "-", "200", "-"),
        ("REST.PUT.OBJECT_TAGGING", "before", "200", "-"),
        ("REST.POST.MULTI_OBJECT_DELETE", "-", "200", "-"),
        ("BATCH.DELETE.OBJECT", "before", "204", "-"),
        ("REST.POST.UPLOADS", "m", "200", "-"),
        ("REST.PUT.PART", "m", "200", "-"),
        ("REST.DELETE.UPLOAD", "m", "204", "-"),
    ]
    put, read, head = lines[:3]
    owner = s3.list_buckets()["Owner"]["ID"]
    assert {one["owner"] for one in lines} == {one["requester"] for one in lines} == {owner}
    assert {one["bucket"] for one in lines} == {bucket}
    assert (put["sent"], put["size"]) == ("-", "1000")
    assert (read["sent"], read["size"]) == ("10", "1000")
    assert (head["sent"], head["size"]) == ("-", "1000")
    assert read["request_id"] == got["ResponseMetadata"]["RequestId"]
    assert read["host_id"] == got["ResponseMetadata"]["HostId"]
    assert read["uri"] == f"GET /{bucket}/a%20b/%C3%BC.txt HTTP/1.1"
    assert (read["ip"], read["signature"], read["auth"]) == ("127.0.0.1", "SigV4", "AuthHeader")
    assert read["agent"].startswith("Boto3/")
    assert f"http://{read['host']}" == logged.server.endpoint
    assert int(read["turn"]) <= int(read["total"])
    # Deliveries have no lines, and where nothing happened nothing is delivered.
    logged.server.advance(PERIOD_S)
    assert logged.delivered() == []


def test_who_asked(logged: Logged) -> None:
    iam, aws = logged.aws.client("iam"), logged.aws
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    logged.log()
    ann = aws.client("s3", credentials=key)
    with pytest.raises(ann.exceptions.ClientError, match="AccessDenied"):
        ann.list_objects_v2(Bucket=logged.bucket)
    stranger = boto3.client(
        "s3", endpoint_url=logged.server.endpoint, region_name="us-east-1", config=Config(signature_version=UNSIGNED)
    )
    with pytest.raises(stranger.exceptions.ClientError, match="AccessDenied"):
        stranger.get_object(Bucket=logged.bucket, Key="k")
    logged.server.advance(PERIOD_S)
    by_user, by_nobody = logged.lines()
    assert by_user["requester"] == f"arn:aws:iam::{aws.account}:user/ann"
    assert (by_user["status"], by_user["error"], by_user["auth"]) == ("403", "AccessDenied", "AuthHeader")
    assert (by_nobody["requester"], by_nobody["signature"], by_nobody["auth"]) == ("-", "-", "-")


def test_partitioned_prefixes_and_grants(logged: Logged) -> None:
    s3 = logged.s3
    where = f"p/{logged.aws.account}/us-east-1/{logged.bucket}"
    for source, time in (("EventTime", "00-00-00"), ("DeliveryTime", r"\d\d-\d\d-\d\d")):
        logged.log("p/", TargetObjectKeyFormat={"PartitionedPrefix": {"PartitionDateSource": source}})
        s3.list_objects_v2(Bucket=logged.bucket)
        logged.server.advance(PERIOD_S)
        # That of the setting goes where the one before it says.
        key = max(logged.delivered())
        assert re.fullmatch(rf"{where}/(\d{{4}})/(\d\d)/(\d\d)/\1-\2-\3-{time}-[0-9A-F]{{16}}", key), key
        assert "REST.GET.BUCKET" in {one["operation"] for one in logged.lines()}
    s3.put_bucket_ownership_controls(
        Bucket=logged.target, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )
    other = type(logged.aws)(logged.server.endpoint).client("s3")
    reader = {"Type": "CanonicalUser", "ID": other.list_buckets()["Owner"]["ID"]}
    logged.log(TargetGrants=[{"Grantee": reader, "Permission": "READ"}])
    s3.list_objects_v2(Bucket=logged.bucket)
    logged.server.advance(PERIOD_S)
    (key,) = (one for one in logged.delivered() if one.startswith("log/"))
    grants = s3.get_object_acl(Bucket=logged.target, Key=key)["Grants"]
    assert [one["Permission"] for one in grants if one["Grantee"]["ID"] == reader["ID"]] == ["READ"]


def test_what_the_target_refuses_waits(logged: Logged) -> None:
    logged.s3.delete_bucket_policy(Bucket=logged.target)
    logged.log()
    logged.s3.list_objects_v2(Bucket=logged.bucket, Prefix="first")
    logged.server.advance(PERIOD_S)
    assert logged.delivered() == []
    logged.s3.put_bucket_policy(Bucket=logged.target, Policy=logged.policy)
    logged.server.advance(3600)
    assert [one["uri"].count("prefix=first") for one in logged.lines()] == [1]
    # Of what is asked once it is switched off nothing is told; what was asked before is, wherever it was to go.
    logged.s3.list_objects_v2(Bucket=logged.bucket, Prefix="before")
    logged.s3.put_bucket_logging(Bucket=logged.bucket, BucketLoggingStatus={})
    logged.s3.list_objects_v2(Bucket=logged.bucket, Prefix="after")
    logged.server.advance(PERIOD_S)
    assert [one["operation"] for one in logged.lines()] == ["REST.GET.BUCKET", "REST.PUT.LOGGING_STATUS"]
    # A target that stays shut for a day is given up.
    logged.s3.delete_bucket_policy(Bucket=logged.target)
    logged.log()
    logged.s3.list_objects_v2(Bucket=logged.bucket)
    logged.server.advance(25 * 3600)
    logged.s3.put_bucket_policy(Bucket=logged.target, Policy=logged.policy)
    logged.server.advance(3600)
    assert logged.delivered() == []


def test_what_is_left_at_the_end_comes_after_it(aws: Any, start_pileus: Callable[..., Any], tmp_path: Any) -> None:
    server = start_pileus(data_dir=tmp_path / "data")
    logged = Logged(aws, server)
    logged.log()
    logged.s3.list_objects_v2(Bucket=logged.bucket)
    server.stop()
    again = type(aws)(start_pileus(data_dir=tmp_path / "data").endpoint, aws.account).client("s3")
    until(lambda: "Contents" in again.list_objects_v2(Bucket=logged.target))
    (found,) = again.list_objects_v2(Bucket=logged.target)["Contents"]
    assert b" REST.GET.BUCKET " in again.get_object(Bucket=logged.target, Key=found["Key"])["Body"].read()


def test_copies_and_addresses(logged: Logged) -> None:
    s3, bucket, other = logged.s3, logged.bucket, new_name()
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=bucket, Key='k"', Body=b"12345")
    logged.log()
    s3.copy_object(Bucket=other, Key="c", CopySource={"Bucket": bucket, "Key": 'k"'})
    s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": other, "Key": "c"})
    upload = s3.create_multipart_upload(Bucket=other, Key="m")["UploadId"]
    source = {"Bucket": bucket, "Key": "c"}
    s3.upload_part_copy(Bucket=other, Key="m", UploadId=upload, PartNumber=1, CopySource=source)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": 'k"'})
    with urlopen(url) as answer:
        assert answer.read() == b"12345"
    # A client that knows no better goes where it is sent.
    logged.aws.client("s3", region="eu-west-1").get_object(Bucket=bucket, Key="c")
    logged.server.advance(PERIOD_S)
    lines = logged.lines()
    assert [(one["operation"], one["key"], one["status"], one["size"]) for one in lines] == [
        ("REST.COPY.OBJECT_GET", "k%22", "200", "5"),
        ("REST.COPY.OBJECT", "c", "200", "-"),
        ("REST.COPY.PART_GET", "c", "200", "5"),
        ("REST.GET.OBJECT", "k%22", "200", "5"),
        ("REST.GET.OBJECT", "c", "301", "-"),
        ("REST.GET.OBJECT", "c", "200", "5"),
    ]
    read, lost = lines[3:5]
    assert (read["signature"], read["auth"], lost["error"]) == ("SigV2", "QueryString", "PermanentRedirect")
    assert "AWSAccessKeyId=" in read["uri"]
    assert "Signature=REDACTED" in read["uri"]


def test_lifecycles(logged: Logged) -> None:
    s3, bucket = logged.s3, logged.bucket
    s3.put_object(Bucket=bucket, Key="old/k")
    s3.put_object(Bucket=bucket, Key="cold/k", Body=b"x" * 200_000)
    s3.create_multipart_upload(Bucket=bucket, Key="up/k")

    def rule(name: str, **members: Any) -> dict[str, Any]:
        return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": name}, **members}

    rules = [
        rule("old/", Expiration={"Days": 1}),
        rule("cold/", Transitions=[{"Days": 1, "StorageClass": "GLACIER"}]),
        rule("up/", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}),
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    logged.log()
    logged.server.advance(3 * 86_400)
    found = []
    for key in logged.delivered():
        found += s3.get_object(Bucket=logged.target, Key=key)["Body"].read().decode().splitlines()
    shown = [text.split("] ")[1].split(" ") for text in found]
    # The address, then who; the request's id; what; of what; the request and its status.
    assert sorted((one[0], one[1], *one[3:7]) for one in shown) == [
        ("-", "AmazonS3", "S3.DELETE.UPLOAD", "up/k", "-", "-"),
        ("-", "AmazonS3", "S3.EXPIRE.OBJECT", "old/k", "-", "-"),
        ("-", "AmazonS3", "S3.TRANSITION.OBJECT", "cold/k", "-", "-"),
    ]


def test_settings_that_are_refused(logged: Logged) -> None:
    partitions: dict[str, Any] = {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}
    group = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"}

    def refused(code: str, **more: Any) -> None:
        with pytest.raises(logged.s3.exceptions.ClientError, match=code):
            logged.log(**more)

    refused("MalformedXML", TargetObjectKeyFormat={**partitions, "SimplePrefix": {}})
    refused("MalformedXML", TargetObjectKeyFormat={"PartitionedPrefix": {"PartitionDateSource": "Never"}})
    refused("InvalidArgument", TargetGrants=[{"Grantee": group, "Permission": "READ"}])
    logged.s3.put_bucket_ownership_controls(
        Bucket=logged.target, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    refused("MalformedXML", TargetGrants=[{"Grantee": group, "Permission": "READ_ACP"}])
    nobody = {"Type": "CanonicalUser", "ID": "x"}
    refused("InvalidArgument", TargetGrants=[{"Grantee": nobody, "Permission": "READ"}])
    logged.log(TargetGrants=[{"Grantee": group, "Permission": "READ"}])


def test_a_list_lets_deliveries_in(logged: Logged) -> None:
    s3, target = logged.s3, new_name()
    s3.create_bucket(Bucket=target, ObjectOwnership="ObjectWriter", ACL="log-delivery-write")
    s3.delete_bucket_policy(Bucket=logged.target)
    logged.target = target
    logged.log()
    s3.list_objects_v2(Bucket=logged.bucket)
    logged.server.advance(PERIOD_S)
    assert [one["operation"] for one in logged.lines()] == ["REST.GET.BUCKET"]


def test_forms_and_visitors(logged: Logged) -> None:
    s3, bucket = logged.s3, logged.bucket
    s3.delete_public_access_block(Bucket=bucket)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    logged.log()
    signed = s3.generate_presigned_post(bucket, "index.html")
    assert post(signed["url"], signed["fields"])[0] == 204
    site = f"{logged.server.endpoint}/_aws/s3-website/{bucket}"
    with urlopen(f"{site}/?a=b") as answer:
        assert answer.read() == b"abcdef"
    with pytest.raises(OSError, match="403"):
        urlopen(f"{site}/none")
    logged.server.advance(PERIOD_S)
    lines = logged.lines()
    assert [(one["operation"], one["key"], one["status"], one["error"], one["size"]) for one in lines] == [
        ("REST.POST.OBJECT", "index.html", "204", "-", "-"),
        ("WEBSITE.GET.OBJECT", "index.html", "200", "-", "6"),
        ("WEBSITE.GET.OBJECT", "none", "403", "AccessDenied", "-"),
    ]
    assert [one["requester"] for one in lines[1:]] == ["-", "-"]
    assert (lines[1]["sent"], lines[1]["auth"]) == ("6", "-")
    assert lines[1]["uri"] == f"GET /_aws/s3-website/{bucket}/?a=b HTTP/1.1"


def test_strangers_fill_their_headers(logged: Logged) -> None:
    """More than one value of the store holds."""
    logged.log()
    address = urlsplit(logged.server.endpoint).netloc
    connection = http.client.HTTPConnection(address, timeout=30)
    for _ in range(FULL):
        connection.request("GET", f"/{logged.bucket}/k", headers={"Referer": "x" * 60_000})
        assert connection.getresponse().read()
    connection.close()
    logged.server.advance(PERIOD_S)
    assert len(logged.delivered()) > 1
    assert len(logged.lines()) == FULL
