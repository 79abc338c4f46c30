"""Listing objects, through the wire."""

from __future__ import annotations

import pytest

KEYS = ["folder/aSubfolder/subFile1", "folder/aSubfolder/subFile2", "folder/file1", "folder/file2"]


@pytest.fixture
def filled(s3, bucket):
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    return bucket


def keys(answer):
    return [one["Key"] for one in answer.get("Contents", ())]


def prefixes(answer):
    return [one["Prefix"] for one in answer.get("CommonPrefixes", ())]


def test_members_of_version_1(s3, filled):
    answer = s3.list_objects(Bucket=filled)
    assert keys(answer) == KEYS
    entry = answer["Contents"][0]
    assert set(entry) == {
        "Key", "LastModified", "ETag", "Size", "StorageClass", "Owner", "ChecksumAlgorithm", "ChecksumType",
    }  # fmt: skip
    assert set(entry["Owner"]) == {"ID"}
    assert (answer["Marker"], answer["Prefix"], answer["MaxKeys"]) == ("", "", 1000)
    assert answer["IsTruncated"] is False
    assert "NextMarker" not in answer
    assert "Delimiter" not in answer
    # Without a delimiter no marker is named: the last key is it.
    assert "NextMarker" not in s3.list_objects(Bucket=filled, MaxKeys=1)


def test_members_of_version_2(s3, filled):
    answer = s3.list_objects_v2(Bucket=filled, MaxKeys=2)
    assert keys(answer) == KEYS[:2]
    assert (answer["KeyCount"], answer["MaxKeys"], answer["IsTruncated"]) == (2, 2, True)
    assert "Owner" not in answer["Contents"][0]
    assert "StartAfter" not in answer
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"
    rest = s3.list_objects_v2(Bucket=filled, ContinuationToken=answer["NextContinuationToken"], FetchOwner=True)
    assert keys(rest) == KEYS[2:]
    assert rest["ContinuationToken"] == answer["NextContinuationToken"]
    assert "NextContinuationToken" not in rest
    assert "Owner" in rest["Contents"][0]
    assert s3.list_objects_v2(Bucket=filled, MaxKeys=5000)["MaxKeys"] == 1000


def test_empty_bucket(s3, bucket):
    answer = s3.list_objects_v2(Bucket=bucket)
    assert "Contents" not in answer
    assert (answer["KeyCount"], answer["Name"], answer["Prefix"]) == (0, bucket, "")
    assert s3.list_objects(Bucket=bucket)["Marker"] == ""


def test_markers_and_common_prefixes(s3, filled):
    asked = {"Bucket": filled, "Prefix": "folder/", "Delimiter": "/", "MaxKeys": 1}
    first = s3.list_objects(**asked)
    assert (prefixes(first), keys(first), first["NextMarker"]) == (["folder/aSubfolder/"], [], "folder/aSubfolder/")
    second = s3.list_objects(**asked, Marker=first["NextMarker"])
    assert (prefixes(second), keys(second), second["NextMarker"]) == ([], ["folder/file1"], "folder/file1")
    # A marker inside a common prefix leaves all of it behind.
    inside = s3.list_objects(**asked, Marker="folder/aSubfolder/subFile1")
    assert (prefixes(inside), keys(inside)) == ([], ["folder/file1"])
    last = s3.list_objects(**asked, Marker="folder/file1")
    assert (keys(last), last["IsTruncated"]) == (["folder/file2"], False)
    assert "NextMarker" not in last


def test_tokens_and_common_prefixes(s3, filled):
    asked = {"Bucket": filled, "Prefix": "folder/", "Delimiter": "/", "MaxKeys": 1}
    seen, token = [], {}
    while True:
        page = s3.list_objects_v2(**asked, **token)
        assert page["KeyCount"] == 1
        seen += prefixes(page) + keys(page)
        if not page["IsTruncated"]:
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    assert seen == ["folder/aSubfolder/", "folder/file1", "folder/file2"]


def test_start_after(s3, filled):
    answer = s3.list_objects_v2(Bucket=filled, StartAfter=KEYS[1])
    assert keys(answer) == KEYS[2:]
    assert answer["StartAfter"] == KEYS[1]


def test_prefixes_and_delimiters(s3, bucket):
    for key in ("test/foo/bar/123", "test/foo/bar/456", "test/bar/foo/123", "tested", "ü/1", "ü/2"):
        s3.put_object(Bucket=bucket, Key=key)
    assert len(keys(s3.list_objects_v2(Bucket=bucket, Prefix="test/"))) == 3
    assert len(keys(s3.list_objects_v2(Bucket=bucket, Prefix="test/foo/bar"))) == 2
    answer = s3.list_objects(Bucket=bucket, Prefix="test", Delimiter="/")
    assert (prefixes(answer), keys(answer), answer["Delimiter"]) == (["test/"], ["tested"], "/")
    assert prefixes(s3.list_objects_v2(Bucket=bucket, Delimiter="foo/")) == ["test/bar/foo/", "test/foo/"]
    assert prefixes(s3.list_objects_v2(Bucket=bucket, Prefix="ü", Delimiter="/")) == ["ü/"]
    # A delimiter that occurs in no key rolls nothing.
    answer = s3.list_objects(Bucket=bucket, Prefix="test/", Delimiter="%2F", MaxKeys=1)
    assert (keys(answer), answer["Delimiter"]) == (["test/bar/foo/123"], "%2F")


def test_encoding(s3, bucket, raw):
    for key in ("a b/=@%2F+ü", "plain"):
        s3.put_object(Bucket=bucket, Key=key)
    _, _, body = raw("GET", f"/{bucket}?list-type=2&encoding-type=url&start-after=%3D&prefix=")
    assert b"<Key>a+b/%3D%40%252F%2B%C3%BC</Key>" in body
    assert b"<StartAfter>%3D</StartAfter>" in body
    assert b"<EncodingType>url</EncodingType>" in body
    _, _, body = raw("GET", f"/{bucket}?list-type=2")
    assert "<Key>a b/=@%2F+ü</Key>".encode() in body
    assert b"EncodingType" not in body
    for operation in ("list-type=2", "", "uploads"):
        status, _, body = raw("GET", f"/{bucket}?{operation}&encoding-type=value".replace("?&", "?"))
        assert status == 400
        assert b"<Message>Invalid Encoding Method specified in Request</Message>" in body
        assert b"<ArgumentName>encoding-type</ArgumentName>" in body
        assert b"<ArgumentValue>value</ArgumentValue>" in body


def test_bad_arguments(s3, filled, fails):
    error = fails(s3.list_objects_v2, Bucket=filled, MaxKeys=-1)
    assert error == {
        "status": 400,
        "Code": "InvalidArgument",
        "Message": "Argument max-keys must be an integer between 0 and 2147483647",
        "ArgumentName": "max-keys",
        "ArgumentValue": "-1",
    }
    error = fails(s3.list_objects_v2, Bucket=filled, ContinuationToken="wrong")
    assert (error["Code"], error["Message"]) == ("InvalidArgument", "The continuation token provided is incorrect")
    none = s3.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert (none["KeyCount"], none["MaxKeys"], none["IsTruncated"]) == (0, 0, False)


def test_order_is_that_of_utf_8(s3, bucket):
    # In UTF-16, the emoji would stand before the full-width letter.
    names = ["Z", "a", "é", "ａ", "😀"]
    for name in reversed(names):
        s3.put_object(Bucket=bucket, Key=name)
    assert keys(s3.list_objects_v2(Bucket=bucket)) == names
