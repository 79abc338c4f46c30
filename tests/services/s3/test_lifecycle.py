"""Lifecycle rules: what may be put, what answers say of them, and what comes true as the days go by."""

from __future__ import annotations

import asyncio
import datetime
import re
from types import SimpleNamespace

import pytest
from tests.conftest import Account
from tests.services.s3.directory_kit import make

from pileus.kernel.ids import Ids
from pileus.services.s3 import keys, lifecycle, loops, versions
from pileus.services.s3.records import Body, Bucket, Object, encode
from pileus.store.sqlite import open_store

DAY_S = 86_400
BIG = b"x" * (128 * 1024)


def rule(**members):
    return {"Status": "Enabled", "Filter": {}, **members}


def put_rules(s3, bucket, *rules, **more):
    return s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)}, **more)


def test_rules_are_kept(s3, bucket, fails):
    missing = {
        "status": 404,
        "Code": "NoSuchLifecycleConfiguration",
        "Message": "The lifecycle configuration does not exist",
        "BucketName": bucket,
    }
    assert fails(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == missing
    date = datetime.datetime(2040, 1, 1, tzinfo=datetime.UTC)
    rules = [
        rule(ID="one", Filter={"Prefix": ""}, Expiration={"Days": 7}),
        rule(ID="two", Filter={"Tag": {"Key": "a", "Value": "b"}}, Expiration={"Date": date}),
        rule(
            ID="three",
            Filter={"And": {"Prefix": "logs/", "ObjectSizeGreaterThan": 10, "Tags": [{"Key": "a", "Value": ""}]}},
            Transitions=[{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 90, "StorageClass": "GLACIER"}],
            NoncurrentVersionExpiration={"NoncurrentDays": 3, "NewerNoncurrentVersions": 2},
        ),
        rule(ID="four", Status="Disabled", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 2}),
    ]
    put_rules(s3, bucket, *rules)
    answer = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert answer["Rules"] == rules
    assert answer["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    put_rules(s3, bucket, rule(Expiration={"Days": 1}), TransitionDefaultMinimumObjectSize="varies_by_storage_class")
    answer = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert answer["Rules"][0]["ID"]
    assert answer["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    for _ in range(2):
        s3.delete_bucket_lifecycle(Bucket=bucket)
    assert fails(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == missing
    error = fails(s3.get_bucket_lifecycle_configuration, Bucket=bucket + "-not")
    assert (error["status"], error["Code"]) == (404, "NoSuchBucket")


WEEK = {"Days": 7}
TAG = {"Key": "a", "Value": "b"}


@pytest.mark.parametrize(
    ("rules", "code", "message"),
    [
        ([], "MalformedXML", ""),
        ([{"Status": "Enabled", "Expiration": WEEK}], "MalformedXML", ""),
        ([rule(Prefix="a", Expiration=WEEK)], "MalformedXML", ""),
        ([rule(Status="enabled", Expiration=WEEK)], "MalformedXML", ""),
        ([rule(Filter={"And": {"Prefix": "a"}, "Prefix": ""}, Expiration=WEEK)], "MalformedXML", ""),
        ([rule(Filter={"ObjectSizeGreaterThan": 1, "Prefix": ""}, Expiration=WEEK)], "MalformedXML", ""),
        ([rule(NoncurrentVersionExpiration={})], "MalformedXML", ""),
        ([rule(Expiration={"Days": 1, "ExpiredObjectDeleteMarker": True})], "MalformedXML", ""),
        ([rule(Transitions=[{"Days": 1, "StorageClass": "STANDARD"}])], "MalformedXML", ""),
        (
            [rule(Filter={"And": {"Tags": [TAG, TAG]}}, Expiration=WEEK)],
            "InvalidRequest",
            "Duplicate Tag Keys are not allowed.",
        ),
        ([rule()], "InvalidRequest", "At least one action needs to be specified in a rule"),
        (
            [rule(Expiration={"Date": datetime.datetime(2040, 1, 1, 5, tzinfo=datetime.UTC)})],
            "InvalidArgument",
            "'Date' must be at midnight GMT",
        ),
        (
            [rule(Expiration={"Days": 0})],
            "InvalidArgument",
            "'Days' for Expiration action must be a positive integer",
        ),
        (
            [rule(ID="a", Expiration=WEEK), rule(ID="a", Expiration=WEEK)],
            "InvalidArgument",
            "Rule ID must be unique. Found same ID for more than one rule",
        ),
        ([rule(ID="a" * 256, Expiration=WEEK)], "InvalidArgument", "ID length should not exceed allowed limit of 255"),
        (
            [rule(Transitions=[{"Days": 29, "StorageClass": "STANDARD_IA"}])],
            "InvalidArgument",
            "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'",
        ),
        (
            [rule(Expiration=WEEK, Transitions=[{"Days": 7, "StorageClass": "GLACIER"}])],
            "InvalidArgument",
            "'Days' in the Expiration action for filter '(prefix=)' must be greater than 'Days' in the Transition "
            "action",
        ),
        (
            [rule(Filter={"Tag": TAG}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})],
            "InvalidRequest",
            "AbortIncompleteMultipartUpload cannot be specified with Tags.",
        ),
    ],
)
def test_rules_that_are_none(s3, bucket, fails, rules, code, message):
    error = fails(put_rules, s3=s3, bucket=bucket) if not rules else None
    if rules:
        configuration = {"Rules": rules}
        error = fails(s3.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration=configuration)
    assert (error["status"], error["Code"]) == (400, code)
    if message:
        assert error["Message"] == message


def test_answers_say_when_an_object_expires(s3, bucket):
    put_rules(
        s3,
        bucket,
        rule(ID="sized ü", Filter={"ObjectSizeGreaterThan": 3}, Expiration={"Days": 7}),
        rule(ID="tagged", Filter={"Tag": TAG}, Expiration={"Days": 2}),
        rule(ID="off", Status="Disabled", Expiration={"Days": 1}),
    )
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="small", Body=b"123")
    shown = s3.put_object(Bucket=bucket, Key="key", Body=b"1234")["Expiration"]
    date, rule_id = re.fullmatch(r'expiry-date="(.*)", rule-id="(.*)"', shown).groups()
    assert rule_id == "sized%20%C3%BC"
    when = datetime.datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=datetime.UTC)
    assert (when.hour, when.minute, when.second) == (0, 0, 0)
    modified = s3.head_object(Bucket=bucket, Key="key")["LastModified"]
    assert datetime.timedelta(days=7) <= when - modified <= datetime.timedelta(days=8)
    for call in (s3.get_object, s3.head_object):
        assert call(Bucket=bucket, Key="key")["Expiration"] == shown
    # Of several rules the one that comes first counts.
    assert 'rule-id="tagged"' in s3.put_object(Bucket=bucket, Key="key", Body=b"1234", Tagging="a=b")["Expiration"]
    s3.delete_object_tagging(Bucket=bucket, Key="key")
    assert "sized" in s3.get_object(Bucket=bucket, Key="key")["Expiration"]


def test_when_things_fall_due():
    def version(**more):
        return Object(body=Body("blob", "b", len(BIG)), etag="", modified=DAY_S * 100 + 10, sequence=1, **more)

    def bucket(*rules, minimum="all_storage_classes_128K"):
        return Bucket(
            name="b", account="1", region="r", created=0, lifecycle=list(rules), lifecycle_minimum_size=minimum
        )

    assert lifecycle.midnight_after(DAY_S * 100 + 10, 3) == DAY_S * 104
    moves = rule(
        ID="r",
        Transitions=[{"Days": 1, "StorageClass": "GLACIER"}, {"Days": 2, "StorageClass": "DEEP_ARCHIVE"}],
        Expiration={"Days": 5},
    )
    dues = lifecycle.of_current(bucket(moves), "key", version())
    for day, expected in ((101, None), (102, "GLACIER"), (103, "DEEP_ARCHIVE"), (105, "DEEP_ARCHIVE"), (106, "")):
        chosen = lifecycle.chosen(dues, DAY_S * day)
        assert (chosen.storage_class if chosen else None) == expected, day
    # An archived object does not come back up.
    assert [
        d.storage_class for d in lifecycle.of_current(bucket(moves), "k", version(storage_class="DEEP_ARCHIVE"))
    ] == [""]
    small = Object(body=Body("blob", "b", 10), etag="", modified=0.0, sequence=1)
    assert [d.storage_class for d in lifecycle.of_current(bucket(moves), "k", small)] == [""]
    varies = bucket(moves, minimum="varies_by_storage_class")
    assert len(lifecycle.of_current(varies, "k", small)) == 3
    old = rule(ID="r", NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 2})
    assert lifecycle.of_noncurrent(bucket(old), "k", small, 0.0, 1) == []
    assert [due.when for due in lifecycle.of_noncurrent(bucket(old), "k", small, 10.0, 2)] == [DAY_S * 2]


@pytest.fixture
def world(start_pileus):
    server = start_pileus("--clock", "virtual")
    s3 = Account(server.endpoint).client("s3")
    s3.create_bucket(Bucket="aging")
    return server, s3


def keys_of(s3):
    return [one["Key"] for one in s3.list_objects_v2(Bucket="aging").get("Contents", [])]


def test_objects_expire_move_and_uploads_end(world, fails):
    server, s3 = world
    for key in ("tmp/a", "keep/a"):
        s3.put_object(Bucket="aging", Key=key, Body=b"x")
    s3.put_object(Bucket="aging", Key="keep/big", Body=BIG)
    upload = s3.create_multipart_upload(Bucket="aging", Key="tmp/upload")
    assert "AbortDate" not in upload
    s3.upload_part(Bucket="aging", Key="tmp/upload", UploadId=upload["UploadId"], PartNumber=1, Body=BIG)
    put_rules(
        s3,
        "aging",
        rule(
            ID="tmp",
            Filter={"Prefix": "tmp/"},
            Expiration={"Days": 3},
            AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1},
        ),
        rule(ID="keep", Filter={"Prefix": "keep/"}, Transitions=[{"Days": 2, "StorageClass": "GLACIER_IR"}]),
    )
    later = s3.create_multipart_upload(Bucket="aging", Key="other")["UploadId"]
    assert s3.create_multipart_upload(Bucket="aging", Key="tmp/upload")["AbortRuleId"] == "tmp"
    account = Account(server.endpoint)
    express = account.client("s3")
    directory = make(express)
    express.put_object(Bucket=directory, Key="tmp/a", Body=b"x")
    assert "AbortDate" not in express.create_multipart_upload(Bucket=directory, Key="tmp/upload")
    ends = {"Expiration": {"Days": 3}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
    put_rules(express, directory, rule(ID="tmp", Filter={"Prefix": "tmp/"}, **ends))
    server.advance(1.5 * 3600)
    assert len(s3.list_multipart_uploads(Bucket="aging")["Uploads"]) == 3
    server.advance(2 * DAY_S)
    assert [one["UploadId"] for one in s3.list_multipart_uploads(Bucket="aging")["Uploads"]] == [later]
    assert keys_of(s3) == ["keep/a", "keep/big", "tmp/a"]
    server.advance(2 * DAY_S)
    assert keys_of(s3) == ["keep/a", "keep/big"]
    assert fails(s3.get_object, Bucket="aging", Key="tmp/a")["Code"] == "NoSuchKey"
    # In a directory bucket, too; a session from before the days went by has ended.
    express = account.client("s3")
    assert express.list_objects_v2(Bucket=directory)["KeyCount"] == 0
    assert "Uploads" not in express.list_multipart_uploads(Bucket=directory)
    classes = {one["Key"]: one["StorageClass"] for one in s3.list_objects_v2(Bucket="aging")["Contents"]}
    assert classes == {"keep/a": "STANDARD", "keep/big": "GLACIER_IR"}
    assert s3.get_object(Bucket="aging", Key="keep/big")["Body"].read() == BIG
    # New rules count for what is there already, within the hour.
    put_rules(s3, "aging", rule(Filter={"Prefix": "keep/"}, Expiration={"Days": 1}))
    server.advance(3700)
    assert keys_of(s3) == []


def test_versions_expire(world):
    server, s3 = world
    s3.put_bucket_versioning(Bucket="aging", VersioningConfiguration={"Status": "Enabled"})
    made = [s3.put_object(Bucket="aging", Key="key", Body=b"x" * n)["VersionId"] for n in range(4)]
    only = s3.put_object(Bucket="aging", Key="only", Body=b"x")["VersionId"]
    put_rules(
        s3,
        "aging",
        rule(
            Expiration={"Days": 5},
            NoncurrentVersionExpiration={"NoncurrentDays": 2, "NewerNoncurrentVersions": 1},
        ),
    )
    server.advance(4 * DAY_S)
    answer = s3.list_object_versions(Bucket="aging")
    # The current one, and one behind it.
    assert [one["VersionId"] for one in answer["Versions"]] == [made[3], made[2], only]
    server.advance(2.5 * DAY_S)
    answer = s3.list_object_versions(Bucket="aging")
    assert "Contents" not in s3.list_objects_v2(Bucket="aging")
    assert [one["Key"] for one in answer["DeleteMarkers"] if one["IsLatest"]] == ["key", "only"]
    put_rules(
        s3,
        "aging",
        rule(ID="old", NoncurrentVersionExpiration={"NoncurrentDays": 1}),
        rule(ID="markers", Expiration={"ExpiredObjectDeleteMarker": True}),
    )
    # The versions behind the markers go first, the markers that hide nothing any more then.
    server.advance(5 * DAY_S)
    answer = s3.list_object_versions(Bucket="aging")
    assert "Versions" not in answer
    assert "DeleteMarkers" not in answer
    s3.delete_bucket(Bucket="aging")


class Outbox:
    """Keeps the records that are put into it."""

    def __init__(self):
        self.records = []

    def put(self, tx, *, payload, **more):
        self.records += payload["event"]["Records"]


def test_what_is_done_is_told():
    heard = {"Id": "c", "LambdaFunctionArn": "f", "Events": ["s3:LifecycleTransition", "s3:LifecycleExpiration:*"]}
    bucket = Bucket(
        name="b",
        account="111111111111",
        region="us-east-1",
        created=0,
        versioning="Enabled",
        lifecycle=[
            rule(ID="r", Filter={"Prefix": "old/"}, Expiration={"Days": 1}),
            rule(ID="m", Filter={"Prefix": "big/"}, Transitions=[{"Days": 1, "StorageClass": "GLACIER_IR"}]),
            rule(ID="n", NoncurrentVersionExpiration={"NoncurrentDays": 1}),
        ],
        lifecycle_minimum_size="all_storage_classes_128K",
        notification={"LambdaFunctionConfigurations": [heard]},
    )
    outbox = Outbox()

    async def run():
        store = open_store(None, "memory")
        cloud = SimpleNamespace(store=store, ids=Ids(1), outbox=outbox, clock=SimpleNamespace(time=lambda: 3.0 * DAY_S))
        ctx = SimpleNamespace(cloud=cloud)

        async def fill(tx):
            tx.put(keys.bucket("b"), encode(bucket))
            tx.put(keys.lifecycle("b"), b"")
            for key, size in (("old/a", 0), ("big/a", 200_000), ("key", 0), ("key", 0)):
                old = await versions.latest(tx, bucket, key)
                body = Body("", "", size)
                new = Object(body=body, etag="e", modified=10.0, sequence=versions.next_sequence(10.0, old))
                await versions.put(ctx, tx, bucket, key, old=old, new=new)

        try:
            await store.write(fill)
            for _ in range(2):
                await loops.run_lifecycles(cloud)
        finally:
            await store.close()

    asyncio.run(run())
    told = {(record["eventName"], record["s3"]["object"]["key"]): record for record in outbox.records}
    assert sorted(told) == [
        ("LifecycleExpiration:Delete", "key"),
        ("LifecycleExpiration:DeleteMarkerCreated", "old/a"),
        ("LifecycleTransition", "big/a"),
    ]
    assert len(outbox.records) == 3
    moved = told["LifecycleTransition", "big/a"]
    assert moved["eventVersion"] == "2.3"
    assert moved["lifecycleEventData"] == {"transitionEventData": {"destinationStorageClass": "GLACIER_IR"}}
    assert moved["userIdentity"] == {"principalId": "s3.amazonaws.com"}
    assert moved["requestParameters"] == {"sourceIPAddress": "s3.amazonaws.com"}
    assert all(record["s3"]["object"]["versionId"] for record in outbox.records)
