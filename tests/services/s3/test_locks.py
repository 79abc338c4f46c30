"""Object lock: versions that nobody removes before their time."""

from __future__ import annotations

import datetime
import json

import pytest
from tests.conftest import Account
from tests.services.s3.conftest import new_name

DAY_S = 86_400
LOCKED = {
    "status": 403,
    "Code": "AccessDenied",
    "Message": "Access Denied because object protected by object lock.",
}


def days(count):
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=count)


@pytest.fixture
def locking(s3):
    name = new_name()
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def test_configuration(s3, bucket, locking, fails):
    assert s3.get_bucket_versioning(Bucket=locking)["Status"] == "Enabled"
    error = fails(s3.put_bucket_versioning, Bucket=locking, VersioningConfiguration={"Status": "Suspended"})
    assert error == {
        "status": 409,
        "Code": "InvalidBucketState",
        "Message": "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
    }
    s3.put_bucket_versioning(Bucket=locking, VersioningConfiguration={"Status": "Enabled"})
    enabled = {"ObjectLockEnabled": "Enabled"}
    assert s3.get_object_lock_configuration(Bucket=locking)["ObjectLockConfiguration"] == enabled
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(Bucket=locking, ObjectLockConfiguration={**enabled, "Rule": rule})
    assert s3.get_object_lock_configuration(Bucket=locking)["ObjectLockConfiguration"]["Rule"] == rule
    for wrong in (
        {},
        {"Rule": rule},
        {**enabled, "Rule": {"DefaultRetention": {}}},
        {**enabled, "Rule": {"DefaultRetention": {"Mode": "BAD", "Days": 1}}},
        {**enabled, "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE"}}},
        {**enabled, "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1, "Years": 1}}},
    ):
        error = fails(s3.put_object_lock_configuration, Bucket=locking, ObjectLockConfiguration=wrong)
        assert error["Code"] == "MalformedXML", wrong
    assert fails(s3.get_object_lock_configuration, Bucket=bucket) == {
        "status": 404,
        "Code": "ObjectLockConfigurationNotFoundError",
        "Message": "Object Lock configuration does not exist for this bucket",
        "BucketName": bucket,
    }
    error = fails(s3.put_object_lock_configuration, Bucket=bucket, ObjectLockConfiguration=enabled)
    assert (error["status"], error["Code"]) == (409, "InvalidBucketState")


def test_where_there_is_no_lock(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    missing = {"status": 400, "Code": "InvalidRequest", "Message": "Bucket is missing Object Lock Configuration"}
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": days(1)}
    at = {"Bucket": bucket, "Key": "key"}
    assert fails(s3.get_object_retention, **at) == missing
    assert fails(s3.put_object_retention, **at, Retention=retention) == missing
    assert fails(s3.put_object, **at, ObjectLockLegalHoldStatus="ON") == missing
    for wanted in (True, False):
        for call, more in (
            (s3.delete_object, at),
            (s3.delete_objects, {"Bucket": bucket, "Delete": {"Objects": [{"Key": "key"}]}}),
        ):
            assert fails(call, **more, BypassGovernanceRetention=wanted) == {
                "status": 400,
                "Code": "InvalidArgument",
                "Message": "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets.",
                "ArgumentName": "x-amz-bypass-governance-retention",
            }


def test_governance(s3, locking, fails):
    at = {"Bucket": locking, "Key": "key"}
    until = days(2)
    version = s3.put_object(**at, Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)["VersionId"]
    head = s3.head_object(**at)
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until)
    assert fails(s3.delete_object, **at, VersionId=version) == LOCKED
    answer = s3.delete_objects(Bucket=locking, Delete={"Objects": [{"Key": "key", "VersionId": version}]})
    assert [(error["Code"], error["Message"]) for error in answer["Errors"]] == [("AccessDenied", LOCKED["Message"])]

    def retain(count, mode="GOVERNANCE", **more):
        s3.put_object_retention(**at, Retention={"Mode": mode, "RetainUntilDate": days(count)}, **more)

    retain(3)
    assert fails(retain, count=1) == LOCKED
    retain(1, BypassGovernanceRetention=True)
    error = fails(retain, count=-1)
    assert (error["Message"], error["ArgumentName"]) == (
        "The retain until date must be in the future!",
        "RetainUntilDate",
    )
    assert fails(retain, count=1, mode="BAD")["Code"] == "MalformedXML"
    assert fails(s3.put_object_retention, **at, Retention={"Mode": "GOVERNANCE"})["Code"] == "MalformedXML"
    assert s3.get_object_retention(**at)["Retention"]["Mode"] == "GOVERNANCE"
    # What is locked can be hidden, not removed.
    marker = s3.delete_object(**at)["VersionId"]
    s3.delete_object(**at, VersionId=marker)
    copy = s3.copy_object(Bucket=locking, Key="copy", CopySource=f"{locking}/key")["VersionId"]
    assert "ObjectLockMode" not in s3.head_object(Bucket=locking, Key="copy")
    s3.delete_object(Bucket=locking, Key="copy", VersionId=copy)
    assert fails(s3.put_object_retention, **at, Retention={})["Code"] == "MalformedXML"
    s3.put_object_retention(**at, Retention={}, BypassGovernanceRetention=True)
    assert fails(s3.get_object_retention, **at)["Code"] == "NoSuchObjectLockConfiguration"
    assert "ObjectLockMode" not in s3.head_object(**at)
    retain(2)
    s3.delete_object(**at, VersionId=version, BypassGovernanceRetention=True)
    assert "Versions" not in s3.list_object_versions(Bucket=locking)


def test_bypassing_needs_leave(aws, s3, locking, fails):
    version = s3.put_object(Bucket=locking, Key="key", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=days(1))[
        "VersionId"
    ]
    iam = aws.client("iam")
    iam.create_user(UserName="ann")
    statement = {"Effect": "Allow", "Action": "s3:DeleteObject*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps(document))
    theirs = aws.client("s3", credentials=iam.create_access_key(UserName="ann")["AccessKey"])
    named = {"Key": "key", "VersionId": version}
    error = fails(theirs.delete_object, Bucket=locking, **named, BypassGovernanceRetention=True)
    assert "s3:BypassGovernanceRetention" in error["Message"]
    answer = theirs.delete_objects(Bucket=locking, Delete={"Objects": [named]}, BypassGovernanceRetention=True)
    assert "s3:BypassGovernanceRetention" in answer["Errors"][0]["Message"]
    assert s3.get_object(Bucket=locking, **named)["VersionId"] == version


def test_legal_hold(s3, locking, fails):
    at = {"Bucket": locking, "Key": "key"}
    version = s3.put_object(**at, Body=b"x")["VersionId"]
    assert fails(s3.get_object_legal_hold, **at)["Code"] == "NoSuchObjectLockConfiguration"
    assert fails(s3.get_object_retention, **at)["Code"] == "NoSuchObjectLockConfiguration"
    s3.put_object_legal_hold(**at, LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(**at)["LegalHold"]["Status"] == "ON"
    assert s3.head_object(**at)["ObjectLockLegalHoldStatus"] == "ON"
    assert fails(s3.delete_object, **at, VersionId=version, BypassGovernanceRetention=True) == LOCKED
    assert fails(s3.put_object_legal_hold, **at, LegalHold={"Status": "MAYBE"})["Code"] == "MalformedXML"
    assert fails(s3.put_object_legal_hold, Bucket=locking, Key="no", LegalHold={"Status": "ON"})["Code"] == "NoSuchKey"
    s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
    s3.delete_object(**at, VersionId=version)
    error = fails(s3.put_object, **at, ObjectLockMode="GOVERNANCE")
    assert "must both be supplied" in error["Message"]


def test_compliance_ends_with_its_time(start_pileus, fails):
    server = start_pileus("--clock", "virtual")
    s3 = Account(server.endpoint).client("s3")
    s3.create_bucket(Bucket="locking", ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 2}}
    s3.put_object_lock_configuration(
        Bucket="locking", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    at = {"Bucket": "locking", "Key": "key"}
    upload = s3.create_multipart_upload(**at)["UploadId"]
    part = s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    version = s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload=parts)["VersionId"]
    assert s3.get_object_retention(**at)["Retention"]["Mode"] == "COMPLIANCE"
    weaker = {"Mode": "GOVERNANCE", "RetainUntilDate": days(5)}
    for retention in (weaker, {}):
        assert fails(s3.put_object_retention, **at, Retention=retention, BypassGovernanceRetention=True) == LOCKED
    assert fails(s3.delete_object, **at, VersionId=version, BypassGovernanceRetention=True) == LOCKED
    # Lifecycle rules wait for the lock as well.
    s3.delete_object(**at)
    expire = {"Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket="locking", LifecycleConfiguration={"Rules": [expire]})
    server.advance(1.9 * DAY_S)
    assert [one["VersionId"] for one in s3.list_object_versions(Bucket="locking")["Versions"]] == [version]
    server.advance(1.2 * DAY_S)
    assert "Versions" not in s3.list_object_versions(Bucket="locking")


def test_what_is_locked_must_come_with_its_digest(s3, locking, refused, md5):
    name = locking
    until = f"{days(1):%Y-%m-%dT%H:%M:%SZ}"
    locked = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": until}
    missing = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put {} requests with Object Lock parameters"
    for headers in (locked, {"x-amz-object-lock-legal-hold": "ON"}):
        found = refused("PUT", f"/{name}/a", "Message", body=b"x", headers=headers)
        assert found == (400, "InvalidRequest", missing.format("Object"))
        assert refused("PUT", f"/{name}/a", body=b"x", headers={**headers, **md5(b"x")})[0] == 200
    assert refused("PUT", f"/{name}/b", body=b"x")[0] == 200
    upload = s3.create_multipart_upload(Bucket=name, Key="c", ObjectLockLegalHoldStatus="ON")["UploadId"]
    part = f"/{name}/c?partNumber=1&uploadId={upload}"
    assert refused("PUT", part, "Message", body=b"x") == (400, "InvalidRequest", missing.format("Part"))
    assert refused("PUT", part, body=b"x", headers=md5(b"x"))[0] == 200
    default = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": default}
    s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=configuration)
    assert refused("PUT", f"/{name}/b", body=b"x") == (400, "InvalidRequest")
    assert refused("PUT", f"/{name}/b", body=b"x", headers=md5(b"x"))[0] == 200


def test_dates_of_retention_in_headers(locking, refused, md5):
    for given, message in (
        ("garbage", "The retain until date must be provided in ISO 8601 format"),
        ("2020-12-25T12:00:00Z", "The retain until date must be in the future!"),
    ):
        headers = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": given}
        found = refused(
            "PUT",
            f"/{locking}/a",
            "Message",
            "ArgumentName",
            "ArgumentValue",
            body=b"x",
            headers={**headers, **md5(b"x")},
        )
        assert found == (400, "InvalidArgument", message, "x-amz-object-lock-retain-until-date", given)
