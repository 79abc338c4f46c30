"""Conditional reads, writes and copies, through the wire."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

NOT_HELD = "At least one of the pre-conditions you specified did not hold"
OLD = datetime(2015, 1, 1, tzinfo=UTC)


def failed(condition):
    return {"status": 412, "Code": "PreconditionFailed", "Message": NOT_HELD, "Condition": condition}


@pytest.fixture
def etag(s3, bucket):
    return s3.put_object(Bucket=bucket, Key="key", Body=b"data")["ETag"]


@pytest.mark.parametrize("operation", ["get_object", "head_object"])
def test_reads(s3, bucket, etag, fails, operation):
    call = getattr(s3, operation)
    modified = call(Bucket=bucket, Key="key")["LastModified"]
    future = datetime.now(UTC) + timedelta(days=1)
    for held in (
        {"IfMatch": etag},
        {"IfMatch": etag.strip('"')},
        {"IfMatch": f'"other", {etag}'},
        {"IfMatch": "*"},
        {"IfNoneMatch": '"other"'},
        {"IfModifiedSince": OLD},
        {"IfModifiedSince": future},
        {"IfUnmodifiedSince": modified},
        {"IfMatch": etag, "IfUnmodifiedSince": OLD},
        {"IfNoneMatch": '"other"', "IfModifiedSince": modified},
    ):
        assert call(Bucket=bucket, Key="key", **held)["ETag"] == etag, held
    for not_modified in (
        {"IfNoneMatch": etag},
        {"IfNoneMatch": etag.strip('"')},
        {"IfNoneMatch": "*"},
        {"IfModifiedSince": modified},
        {"IfNoneMatch": etag, "IfModifiedSince": OLD},
    ):
        assert fails(call, Bucket=bucket, Key="key", **not_modified) == {
            "status": 304,
            "Code": "304",
            "Message": "Not Modified",
        }, not_modified
    for wrong, condition in (
        ({"IfMatch": '"other"'}, "If-Match"),
        ({"IfUnmodifiedSince": OLD}, "If-Unmodified-Since"),
    ):
        error = fails(call, Bucket=bucket, Key="key", **wrong)
        if operation == "head_object":
            assert error == {"status": 412, "Code": "412", "Message": "Precondition Failed"}
        else:
            assert error == failed(condition)


def test_not_modified_has_validators_and_no_body(bucket, etag, raw):
    status, headers, body = raw("GET", f"/{bucket}/key", headers={"If-None-Match": etag})
    assert (status, body) == (304, b"")
    assert headers["etag"] == etag
    assert "last-modified" in headers
    assert "content-type" not in headers


def test_put_if_none_match(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="key", Body=b"1", IfNoneMatch="*")
    assert fails(s3.put_object, Bucket=bucket, Key="key", Body=b"2", IfNoneMatch="*") == failed("If-None-Match")
    large = b"x" * 200_000
    assert fails(s3.put_object, Bucket=bucket, Key="key", Body=large, IfNoneMatch="*") == failed("If-None-Match")
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"1"
    s3.delete_object(Bucket=bucket, Key="key")
    s3.put_object(Bucket=bucket, Key="key", Body=large, IfNoneMatch="*")


def test_put_if_match(s3, bucket, fails):
    error = fails(s3.put_object, Bucket=bucket, Key="key", Body=b"1", IfMatch='"any"')
    assert (error["status"], error["Code"], error["Key"]) == (404, "NoSuchKey", "key")
    etag = s3.put_object(Bucket=bucket, Key="key", Body=b"1")["ETag"]
    assert fails(s3.put_object, Bucket=bucket, Key="key", Body=b"2", IfMatch='"other"') == failed("If-Match")
    s3.put_object(Bucket=bucket, Key="key", Body=b"2", IfMatch=etag)
    assert fails(s3.put_object, Bucket=bucket, Key="key", Body=b"3", IfMatch=etag) == failed("If-Match")
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"2"


NOT_TAKEN = [
    (
        {"IfMatch": '"a"', "IfNoneMatch": "*"},
        "If-Match,If-None-Match",
        "Multiple conditional request headers present in the request",
    ),
    (
        {"IfNoneMatch": '"a"'},
        "If-None-Match",
        "We don't accept the provided value of If-None-Match header for this API",
    ),
    ({"IfMatch": "*"}, "If-Match", "We don't accept the provided value of If-Match header for this API"),
]


@pytest.mark.parametrize("case", NOT_TAKEN, ids=[header for _, header, _ in NOT_TAKEN])
def test_conditions_that_writes_do_not_take(s3, bucket, etag, fails, case):
    conditions, header, more = case
    refused = {
        "status": 501,
        "Code": "NotImplemented",
        "Message": "A header you provided implies functionality that is not implemented",
        "Header": header,
        "additionalMessage": more,
    }
    assert fails(s3.put_object, Bucket=bucket, Key="key", Body=b"x", **conditions) == refused
    source = {"Bucket": bucket, "Key": "key"}
    assert fails(s3.copy_object, Bucket=bucket, Key="copy", CopySource=source, **conditions) == refused


def test_conditional_delete(s3, bucket, etag, fails):
    assert fails(s3.delete_object, Bucket=bucket, Key="key", IfMatch='"other"') == failed("If-Match")
    error = fails(s3.delete_object, Bucket=bucket, Key="key", IfMatchSize=4)
    assert (error["status"], error["Code"], error["Header"]) == (501, "NotImplemented", "x-amz-if-match-size")
    s3.delete_object(Bucket=bucket, Key="key", IfMatch=etag)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_copy_source_conditions(s3, bucket, etag, fails):
    source = {"Bucket": bucket, "Key": "key"}
    modified = s3.head_object(Bucket=bucket, Key="key")["LastModified"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]

    def both(**conditions):
        yield s3.copy_object, {"Bucket": bucket, "Key": "copy", "CopySource": source, **conditions}
        yield (
            s3.upload_part_copy,
            {
                "Bucket": bucket,
                "Key": "parts",
                "UploadId": upload,
                "PartNumber": 1,
                "CopySource": source,
                **conditions,
            },
        )

    for held in (
        {"CopySourceIfMatch": etag},
        {"CopySourceIfNoneMatch": '"other"'},
        {"CopySourceIfModifiedSince": OLD},
        {"CopySourceIfModifiedSince": datetime.now(UTC) + timedelta(days=1)},
        {"CopySourceIfUnmodifiedSince": modified},
        {"CopySourceIfMatch": etag, "CopySourceIfUnmodifiedSince": OLD},
    ):
        for call, arguments in both(**held):
            call(**arguments)
    for wrong, condition in (
        ({"CopySourceIfMatch": '"other"'}, "x-amz-copy-source-If-Match"),
        ({"CopySourceIfNoneMatch": etag}, "x-amz-copy-source-If-None-Match"),
        ({"CopySourceIfModifiedSince": modified}, "x-amz-copy-source-If-Modified-Since"),
        ({"CopySourceIfUnmodifiedSince": OLD}, "x-amz-copy-source-If-Unmodified-Since"),
    ):
        for call, arguments in both(**wrong):
            assert fails(call, **arguments) == failed(condition)


def test_copy_if_none_match_at_the_target(s3, bucket, etag, fails):
    source = {"Bucket": bucket, "Key": "key"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, IfNoneMatch="*")
    error = fails(s3.copy_object, Bucket=bucket, Key="copy", CopySource=source, IfNoneMatch="*")
    assert error == failed("If-None-Match")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, IfMatch=etag)


def _upload(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=b"part")
    return {
        "Bucket": bucket,
        "Key": "key",
        "UploadId": upload,
        "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    }


def _conflict(condition):
    return {
        "status": 409,
        "Code": "ConditionalRequestConflict",
        "Message": "The conditional request cannot succeed due to a conflicting operation against this resource.",
        "Condition": condition,
        "Key": "key",
    }


def test_completing_an_upload_if_nothing_is_there(s3, bucket, etag, fails):
    upload = _upload(s3, bucket)
    assert fails(s3.complete_multipart_upload, **upload, IfNoneMatch="*") == failed("If-None-Match")
    s3.delete_object(Bucket=bucket, Key="key")
    assert fails(s3.complete_multipart_upload, **upload, IfNoneMatch="*") == _conflict("If-None-Match")
    s3.complete_multipart_upload(**_upload(s3, bucket), IfNoneMatch="*")


def test_completing_an_upload_over_what_was_seen(s3, bucket, etag, fails):
    upload = _upload(s3, bucket)
    assert fails(s3.complete_multipart_upload, **upload, IfMatch='"other"') == failed("If-Match")
    s3.delete_object(Bucket=bucket, Key="key")
    assert fails(s3.complete_multipart_upload, **upload, IfMatch=etag)["Code"] == "NoSuchKey"
    s3.put_object(Bucket=bucket, Key="key", Body=b"data")
    assert fails(s3.complete_multipart_upload, **upload, IfMatch=etag) == _conflict("If-Match")
    s3.complete_multipart_upload(**_upload(s3, bucket), IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"part"
    assert time.time() - s3.head_object(Bucket=bucket, Key="key")["LastModified"].timestamp() < 60
