"""Archived objects: restored for a time; and what S3 no longer has."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from tests.services.s3.conftest import new_name


def expiry(restore):
    """The date in an x-amz-restore header."""
    return parsedate_to_datetime(re.search('expiry-date="(.*?)"', restore)[1])


def test_a_restored_object_can_be_read_for_a_time(start_pileus, fails):
    from tests.conftest import Account

    server = start_pileus("--clock", "virtual")
    s3 = Account(server.endpoint).client("s3")
    name = new_name()
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="key", Body=b"x", StorageClass="GLACIER")
    asked = {"Days": 2, "GlacierJobParameters": {"Tier": "Bulk"}}
    answer = s3.restore_object(Bucket=name, Key="key", RestoreRequest=asked)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert s3.get_object(Bucket=name, Key="key")["Body"].read() == b"x"
    found = s3.head_object(Bucket=name, Key="key")
    assert found["Restore"].startswith('ongoing-request="false", expiry-date="')
    assert found["StorageClass"] == "GLACIER"
    with_status = {"Bucket": name, "OptionalObjectAttributes": ["RestoreStatus"]}
    for listed in (
        s3.list_objects(**with_status)["Contents"],
        s3.list_objects_v2(**with_status)["Contents"],
        s3.list_object_versions(**with_status)["Versions"],
    ):
        assert listed[0]["RestoreStatus"]["IsRestoreInProgress"] is False
        assert f"{listed[0]['RestoreStatus']['RestoreExpiryDate']:%d %b %Y %H:%M:%S}" in found["Restore"]
    assert "RestoreStatus" not in s3.list_objects_v2(Bucket=name)["Contents"][0]
    # Once more: only for longer.
    answer = s3.restore_object(Bucket=name, Key="key", RestoreRequest={"Days": 4})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    again = s3.head_object(Bucket=name, Key="key")["Restore"]
    assert (expiry(again) - expiry(found["Restore"])).days == 2
    server.advance(6 * 86_400)
    assert "RestoreStatus" not in s3.list_objects_v2(**with_status)["Contents"][0]
    assert "Restore" not in s3.head_object(Bucket=name, Key="key")
    error = fails(s3.get_object, Bucket=name, Key="key")
    assert (error["Code"], error["StorageClass"]) == ("InvalidObjectState", "GLACIER")


def test_what_cannot_be_restored(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert fails(s3.restore_object, Bucket=bucket, Key="missing", RestoreRequest={"Days": 1})["Code"] == "NoSuchKey"
    assert fails(s3.restore_object, Bucket=bucket, Key="key", RestoreRequest={"Days": 1}) == {
        "status": 403,
        "Code": "InvalidObjectState",
        "Message": "Restore is not allowed for the object's current storage class",
        "StorageClass": "STANDARD",
    }
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", StorageClass="DEEP_ARCHIVE")
    assert fails(s3.restore_object, Bucket=bucket, Key="key", RestoreRequest={"Days": 0})["Code"] == "InvalidArgument"
    asked = {"Days": 1, "GlacierJobParameters": {"Tier": "Expedited"}}
    assert fails(s3.restore_object, Bucket=bucket, Key="key", RestoreRequest=asked)["Code"] == "InvalidArgument"


def test_what_is_no_more(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert fails(s3.get_object_torrent, Bucket=bucket, Key="key")["Code"] == "MethodNotAllowed"
    error = fails(
        s3.select_object_content,
        Bucket=bucket,
        Key="key",
        Expression="SELECT * FROM s3object",
        ExpressionType="SQL",
        InputSerialization={"CSV": {}},
        OutputSerialization={"CSV": {}},
    )
    assert (error["status"], error["Code"]) == (405, "MethodNotAllowed")
