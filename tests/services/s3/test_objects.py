"""Putting, getting, copying, tagging and deleting objects, through the wire."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import awscrt.auth
import botocore.session
import pytest
from s3transfer import crt

ODD_KEYS = [
    "a",
    "../../etc/passwd",
    "./a",
    "a//b",
    "//",
    "trailing/",
    "trailing.",
    "..",
    "...",
    "with space",
    "plus+and%2Fpercent%",
    "question?mark#hash",
    "ünïcödé/日本語/😀",
    "tab\tand\nnewline",
    "quote'\"<>&",
    "a" * 1024,
    "é" * 512,
    "😀" * 256,
    ("../" * 342)[:1024],
    "a/" * 512,
    "/absolute",
    "C:\\windows\\path",
    "e\u0301 and \u00e9",
    "\u202eright to left\u200b",
    "%2e%2e%2f%2e%2e",
    "a?versionId=1&acl",
    "\x7f\x85\x01",
    "\x01",
    "*()!~$,;=@:",
]


def md5_etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def test_put_get_head_delete(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="key", Body=b"something")
    assert put["ETag"] == '"437b930db84b8079c2dd804a71936b5f"'
    assert put["ServerSideEncryption"] == "AES256"
    assert (put["ChecksumCRC32"], put["ChecksumType"]) == ("Cdox+w==", "FULL_OBJECT")
    got = s3.get_object(Bucket=bucket, Key="key")
    assert got.pop("Body").read() == b"something"
    headers = got.pop("ResponseMetadata")["HTTPHeaders"]
    assert headers.keys() >= {"accept-ranges", "content-length", "content-type", "etag", "last-modified"}
    del got["LastModified"]
    assert got == {
        "AcceptRanges": "bytes",
        "ChecksumCRC32": "Cdox+w==",
        "ChecksumType": "FULL_OBJECT",
        "ContentLength": 9,
        "ContentType": "binary/octet-stream",
        "ETag": '"437b930db84b8079c2dd804a71936b5f"',
        "Metadata": {},
        "ServerSideEncryption": "AES256",
    }
    head = s3.head_object(Bucket=bucket, Key="key")
    assert head["ContentLength"] == 9
    assert "ChecksumCRC32" not in head
    assert s3.delete_object(Bucket=bucket, Key="key")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.delete_object(Bucket=bucket, Key="key")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_missing_key(s3, bucket, fails):
    missing = {
        "status": 404,
        "Code": "NoSuchKey",
        "Message": "The specified key does not exist.",
        "Key": "a/ü",
    }
    assert fails(s3.get_object, Bucket=bucket, Key="a/ü") == missing
    assert fails(s3.get_object, Bucket=bucket, Key="a/ü", Range="bytes=0-1") == missing
    assert fails(s3.get_object_tagging, Bucket=bucket, Key="a/ü") == missing
    assert fails(s3.head_object, Bucket=bucket, Key="a/ü") == {"status": 404, "Code": "404", "Message": "Not Found"}


@pytest.mark.parametrize("key", ODD_KEYS, ids=range(len(ODD_KEYS)))
def test_odd_keys_round_trip(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    copy = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert copy["CopyObjectResult"]["ETag"] == md5_etag(key.encode())
    for name in (key, "copy"):
        s3.delete_object(Bucket=bucket, Key=name)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_paths_that_are_no_utf_8(s3, bucket, raw):
    for path in ("%ff%fe", "a%c3", "%ed%a0%80", "%c0%ae%c0%ae%2f"):
        for method in ("PUT", "GET", "DELETE"):
            status, _, body = raw(method, f"/{bucket}/{path}", body=b"x" if method == "PUT" else b"")
            assert (status, b"<Code>InvalidURI</Code>" in body) == (400, True), (method, path, body)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_keys_that_are_too_long(s3, bucket, fails):
    for key in ("a" * 1025, "é" * 513):
        error = fails(s3.put_object, Bucket=bucket, Key=key, Body=b"")
        assert error == {
            "status": 400,
            "Code": "KeyTooLongError",
            "Message": "Your key is too long",
            "MaxSizeAllowed": "1024",
            "Size": str(len(key.encode())),
        }


@pytest.mark.parametrize("size", [0, 1, 2048, 2049, 64 * 1024, 64 * 1024 + 1, 1 << 20, (3 << 20) + 17])
def test_bodies_of_every_size(s3, bucket, size):
    """Tiny ones stand in their object's record, small ones beside it in the store, large ones in blobs."""
    body = os.urandom(size)
    assert s3.put_object(Bucket=bucket, Key="key", Body=body)["ETag"] == md5_etag(body)
    got = s3.get_object(Bucket=bucket, Key="key")
    assert got["ContentLength"] == size
    assert got["Body"].read() == body
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/key")
    # Over another, and back.
    for other in (b"other", os.urandom(20_000), body):
        s3.put_object(Bucket=bucket, Key="key", Body=other)
        assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == other
    s3.delete_object(Bucket=bucket, Key="key")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body


@pytest.mark.parametrize("size", [2048, 20_000, 200_000])
def test_ranges(s3, bucket, fails, size):
    body = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="key", Body=body)
    for asked, first, last in (
        ("bytes=0-1023", 0, 1023),
        ("bytes=1024-", 1024, size - 1),
        ("bytes=-10", size - 10, size - 1),
        ("bytes=5-99999999999999999999999", 5, size - 1),
        (f"bytes=-{size * 2}", 0, size - 1),
        (f"bytes={size - 1}-", size - 1, size - 1),
    ):
        got = s3.get_object(Bucket=bucket, Key="key", Range=asked)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["Body"].read() == body[first : last + 1]
        assert got["ContentRange"] == f"bytes {first}-{last}/{size}"
        assert got["ContentLength"] == last - first + 1
        assert "ChecksumCRC32" not in got
        assert s3.head_object(Bucket=bucket, Key="key", Range=asked)["ContentRange"] == got["ContentRange"]
    for ignored in ("bytes=5-1", "octets=0-1", "bytes=0-1,3-4", "bytes=a-b", "bytes=-"):
        got = s3.get_object(Bucket=bucket, Key="key", Range=ignored)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert got["ContentLength"] == size
    for beyond in (f"bytes={size}-", "bytes=999999-1999999", "bytes=-0"):
        assert fails(s3.get_object, Bucket=bucket, Key="key", Range=beyond) == {
            "status": 416,
            "Code": "InvalidRange",
            "Message": "The requested range is not satisfiable",
            "ActualObjectSize": str(size),
            "RangeRequested": beyond,
        }


def test_headers_beyond_ascii_go_as_they_came(s3, bucket):
    s3.put_object(Bucket=bucket, Key="key", CacheControl="ÄÕ S3", ContentDisposition='attachment; filename="_—_é.pdf"')
    answer = s3.head_object(Bucket=bucket, Key="key")
    # Clients send UTF-8 and read latin-1.
    assert answer["CacheControl"].encode("latin-1").decode() == "ÄÕ S3"
    assert answer["ContentDisposition"].encode("latin-1").decode() == 'attachment; filename="_—_é.pdf"'


def test_headers_and_metadata(s3, bucket):
    s3.put_object(
        Bucket=bucket,
        Key="key",
        Body=b"x",
        CacheControl="no-cache",
        ContentDisposition='attachment; filename="foo.jpg"',
        ContentEncoding="gzip",
        ContentLanguage="de",
        ContentType="text/plain; charset=utf-8",
        Expires="Wed, 21 Oct 2015 07:28:00 GMT",
        WebsiteRedirectLocation="/elsewhere",
        Metadata={"Mixed-Case": "Value", "under_score": "x"},
        StorageClass="STANDARD_IA",
        Tagging="a=1&b=",
    )
    for answer in (s3.get_object(Bucket=bucket, Key="key"), s3.head_object(Bucket=bucket, Key="key")):
        assert answer["CacheControl"] == "no-cache"
        assert answer["ContentDisposition"] == 'attachment; filename="foo.jpg"'
        assert answer["ContentEncoding"] == "gzip"
        assert answer["ContentLanguage"] == "de"
        assert answer["ContentType"] == "text/plain; charset=utf-8"
        assert answer["ResponseMetadata"]["HTTPHeaders"]["expires"] == "Wed, 21 Oct 2015 07:28:00 GMT"
        assert answer["WebsiteRedirectLocation"] == "/elsewhere"
        assert answer["Metadata"] == {"mixed-case": "Value", "under_score": "x"}
        assert answer["StorageClass"] == "STANDARD_IA"
        assert answer["TagCount"] == 2


def test_metadata_beyond_ascii(s3, bucket, raw):
    raw("PUT", f"/{bucket}/q", headers={"x-amz-meta-a": "=?UTF-8?Q?caf=C3=A9=20?="})
    assert s3.head_object(Bucket=bucket, Key="q")["Metadata"] == {"a": "=?UTF-8?Q?caf=C3=A9_?="}
    raw("PUT", f"/{bucket}/b", headers={"x-amz-meta-a": "=?UTF-8?B?77+9Ye+/vQ==?="})
    assert s3.head_object(Bucket=bucket, Key="b")["Metadata"] == {"a": "=?UTF-8?B?77+9Ye+/vQ==?="}


def test_metadata_that_is_too_large(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="key", Metadata={"a": "x" * 2047})
    error = fails(s3.put_object, Bucket=bucket, Key="key", Metadata={"a": "x" * 2048})
    assert error == {
        "status": 400,
        "Code": "MetadataTooLarge",
        "Message": "Your metadata headers exceed the maximum allowed metadata size",
        "MaxSizeAllowed": "2048",
        "Size": "2049",
    }


def test_answers_with_headers_of_ones_own(s3, bucket, raw, fails):
    s3.put_object(Bucket=bucket, Key="key", Body=b"something")
    got = s3.get_object(
        Bucket=bucket,
        Key="key",
        ResponseCacheControl="max-age=74",
        ResponseContentDisposition='attachment; filename="foo.jpg"',
        ResponseContentEncoding="identity",
        ResponseContentLanguage="de-DE",
        ResponseContentType="image/jpeg",
        ResponseExpires="Wed, 21 Oct 2015 07:28:00 GMT",
    )
    assert got["CacheControl"] == "max-age=74"
    assert got["ContentDisposition"] == 'attachment; filename="foo.jpg"'
    assert got["ContentEncoding"] == "identity"
    assert got["ContentLanguage"] == "de-DE"
    assert got["ContentType"] == "image/jpeg"
    assert got["ResponseMetadata"]["HTTPHeaders"]["expires"] == "Wed, 21 Oct 2015 07:28:00 GMT"
    error = fails(s3.get_object, Bucket=bucket, Key="key", ResponseCacheControl="—")
    assert error["Message"] == "Header value cannot be represented using ISO-8859-1."
    assert error["ArgumentName"] == "response-cache-control"


def test_storage_classes(s3, bucket, fails):
    error = fails(s3.put_object, Bucket=bucket, Key="key", StorageClass="WRONG")
    assert error == {
        "status": 400,
        "Code": "InvalidStorageClass",
        "Message": "The storage class you specified is not valid",
        "StorageClassRequested": "WRONG",
    }
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", StorageClass="GLACIER")
    assert fails(s3.get_object, Bucket=bucket, Key="key") == {
        "status": 403,
        "Code": "InvalidObjectState",
        "Message": "The operation is not valid for the object's storage class",
        "StorageClass": "GLACIER",
    }
    assert s3.head_object(Bucket=bucket, Key="key")["StorageClass"] == "GLACIER"


def test_what_is_not_built_says_so(s3, bucket, fails):
    for asked in (
        {"ServerSideEncryption": "aws:kms"},
        {"ServerSideEncryption": "aws:kms:dsse"},
    ):
        error = fails(s3.put_object, Bucket=bucket, Key="key", Body=b"x", **asked)
        assert (error["status"], error["Code"]) == (501, "NotImplemented"), asked
    error = fails(s3.put_object, Bucket=bucket, Key="key", ACL="public-read")
    assert (error["status"], error["Code"]) == (400, "AccessControlListNotSupported")
    error = fails(s3.get_object, Bucket=bucket, Key="key", VersionId="HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD")
    assert error == {
        "status": 400,
        "Code": "InvalidArgument",
        "Message": "Invalid version id specified",
        "ArgumentName": "versionId",
        "ArgumentValue": "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD",
    }
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_the_null_version(s3, bucket):
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert "VersionId" not in s3.get_object(Bucket=bucket, Key="key", VersionId="null")
    s3.delete_object(Bucket=bucket, Key="key", VersionId="null")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_delete_many(s3, bucket, fails):
    for key in ("a", "b/c", "ü"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x" * 70_000)
    answer = s3.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "a"}, {"Key": "missing"}, {"Key": "ü", "VersionId": "wrong"}, {"Key": "b/c"}]},
    )
    assert answer["Deleted"] == [{"Key": "a"}, {"Key": "missing"}, {"Key": "b/c"}]
    assert answer["Errors"] == [
        {
            "Key": "ü",
            "VersionId": "wrong",
            "Code": "NoSuchVersion",
            "Message": "The specified version does not exist.",
        }
    ]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "ü"}], "Quiet": True})
    assert "Deleted" not in answer
    assert "Errors" not in answer
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    for wrong in ([], [{"Key": str(number)} for number in range(1001)]):
        assert fails(s3.delete_objects, Bucket=bucket, Delete={"Objects": wrong})["Code"] == "MalformedXML"
    many = [{"Key": str(number)} for number in range(1000)]
    assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": many})["Deleted"]) == 1000


def test_tags(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Tagging="tag1=1&tag2=two%20words&tag3")
    expected = [{"Key": "tag1", "Value": "1"}, {"Key": "tag2", "Value": "two words"}, {"Key": "tag3", "Value": ""}]
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"] == expected
    s3.put_object_tagging(Bucket=bucket, Key="key", Tagging={"TagSet": [{"Key": "new", "Value": ""}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"] == [{"Key": "new", "Value": ""}]
    assert s3.head_object(Bucket=bucket, Key="key")["TagCount"] == 1
    assert s3.delete_object_tagging(Bucket=bucket, Key="key")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"] == []
    assert "TagCount" not in s3.head_object(Bucket=bucket, Key="key")

    def put(*tags):
        return fails(
            s3.put_object_tagging,
            Bucket=bucket,
            Key="key",
            Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in tags]},
        )

    assert put(*[(str(number), "") for number in range(11)])["Message"] == "Object tags cannot be greater than 10"
    assert put(("a", "1"), ("a", "2"))["Message"] == "Cannot provide multiple Tags with the same key"
    assert put(("k" * 129, ""))["Message"] == "The TagKey you have provided is invalid"
    assert put(("k", "v" * 257))["Message"] == "The TagValue you have provided is invalid"
    assert put(("k", "<"))["Message"] == "The TagValue you have provided is invalid"
    assert put(("aws:k", ""))["Message"] == "System tags cannot be added/updated by requester"
    assert fails(s3.put_object, Bucket=bucket, Key="key", Tagging="a=1&a=2")["Code"] == "InvalidArgument"
    # A new object does not inherit the tags of the one that it replaces.
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Tagging="a=1")
    s3.put_object(Bucket=bucket, Key="key", Body=b"y")
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"] == []


def test_copy_with_metadata(s3, bucket, aws):
    other = "copy-" + bucket
    s3.create_bucket(Bucket=other)
    body = os.urandom(200_000)
    s3.put_object(Bucket=bucket, Key="a b/ü", Body=body, ContentType="image/png", Metadata={"k": "v"}, Tagging="t=1")
    answer = s3.copy_object(Bucket=other, Key="target", CopySource={"Bucket": bucket, "Key": "a b/ü"})
    assert answer["CopyObjectResult"]["ETag"] == md5_etag(body)
    assert answer["CopyObjectResult"]["ChecksumType"] == "FULL_OBJECT"
    assert answer["ServerSideEncryption"] == "AES256"
    got = s3.get_object(Bucket=other, Key="target")
    assert got["Body"].read() == body
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("image/png", {"k": "v"}, 1)
    s3.copy_object(
        Bucket=other,
        Key="target",
        CopySource=f"/{bucket}/a b/ü",
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        ContentType="image/jpg",
        Metadata={"other": "x"},
        Tagging="u=2",
        StorageClass="ONEZONE_IA",
    )
    head = s3.head_object(Bucket=other, Key="target")
    assert (head["ContentType"], head["Metadata"], head["StorageClass"]) == ("image/jpg", {"other": "x"}, "ONEZONE_IA")
    assert s3.get_object_tagging(Bucket=other, Key="target")["TagSet"] == [{"Key": "u", "Value": "2"}]
    # The source stays what it was, whatever becomes of the copy.
    s3.delete_object(Bucket=other, Key="target")
    assert s3.get_object(Bucket=bucket, Key="a b/ü")["Body"].read() == body


def test_a_plus_in_a_copy_source_is_a_space(aws, bucket, fails):
    given = ""
    s3 = aws.client("s3")
    # boto3 encodes what it is given; other clients send it as it is.
    s3.meta.events.register(
        "before-sign.s3.CopyObject", lambda request, **_: request.headers.replace_header("x-amz-copy-source", given)
    )
    s3.put_object(Bucket=bucket, Key="a b", Body=b"space")
    s3.put_object(Bucket=bucket, Key="c+d", Body=b"plus")
    for key, body in (("a+b", b"space"), ("a%20b", b"space"), ("c%2Bd", b"plus")):
        given = f"{bucket}/{key}"
        s3.copy_object(Bucket=bucket, Key="copy", CopySource="replaced/by-another")
        assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body
    given = f"{bucket}/c+d"
    assert fails(s3.copy_object, Bucket=bucket, Key="copy", CopySource="replaced/by-another")["Code"] == "NoSuchKey"


def test_copy_onto_itself(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", StorageClass="STANDARD_IA", Metadata={"a": "1"})
    source = {"Bucket": bucket, "Key": "key"}
    s3.copy_object(Bucket=bucket, Key="key", CopySource=source)  # the storage class becomes STANDARD
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="key")
    assert fails(s3.copy_object, Bucket=bucket, Key="key", CopySource=source) == {
        "status": 400,
        "Code": "InvalidRequest",
        "Message": "This copy request is illegal because it is trying to copy an object to itself without changing "
        "the object's metadata, storage class, website redirect location or encryption attributes.",
    }
    s3.copy_object(Bucket=bucket, Key="key", CopySource=source, MetadataDirective="REPLACE", Metadata={"b": "2"})
    assert s3.head_object(Bucket=bucket, Key="key")["Metadata"] == {"b": "2"}
    s3.copy_object(Bucket=bucket, Key="key", CopySource=source, StorageClass="STANDARD")
    s3.copy_object(Bucket=bucket, Key="key", CopySource=source, WebsiteRedirectLocation="/direct")
    assert s3.head_object(Bucket=bucket, Key="key")["WebsiteRedirectLocation"] == "/direct"
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"


def test_copy_from_what_is_not_there(s3, bucket, fails):
    error = fails(s3.copy_object, Bucket=bucket, Key="key", CopySource={"Bucket": bucket, "Key": "missing"})
    assert (error["status"], error["Code"], error["Key"]) == (404, "NoSuchKey", "missing")
    error = fails(s3.copy_object, Bucket=bucket, Key="key", CopySource={"Bucket": "no-" + bucket, "Key": "a"})
    assert (error["status"], error["Code"], error["BucketName"]) == (404, "NoSuchBucket", "no-" + bucket)
    error = fails(s3.copy_object, Bucket=bucket, Key="key", CopySource="nothing")
    assert error == {
        "status": 400,
        "Code": "InvalidArgument",
        "Message": "Invalid copy source object key",
        "ArgumentName": "x-amz-copy-source",
        "ArgumentValue": "x-amz-copy-source",
    }


def test_copying_needs_leave_to_read(s3, bucket, aws, fails):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"x")
    stranger = type(aws)(aws.endpoint)
    theirs = stranger.client("s3")
    name = "theirs-" + bucket
    theirs.create_bucket(Bucket=name)
    error = fails(theirs.copy_object, Bucket=name, Key="loot", CopySource={"Bucket": bucket, "Key": "secret"})
    assert (error["status"], error["Code"]) == (403, "AccessDenied")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": stranger.account},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/secret",
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    theirs.copy_object(Bucket=name, Key="loot", CopySource={"Bucket": bucket, "Key": "secret"})
    assert theirs.get_object(Bucket=name, Key="loot")["Body"].read() == b"x"


def test_attributes(s3, bucket, fails, raw):
    s3.put_object(Bucket=bucket, Key="key", Body=b"data-test", ChecksumAlgorithm="SHA256")
    everything = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    answer = s3.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=everything)
    assert answer["ETag"] == hashlib.md5(b"data-test").hexdigest()
    assert answer["ObjectSize"] == 9
    assert answer["StorageClass"] == "STANDARD"
    assert set(answer["Checksum"]) == {"ChecksumSHA256", "ChecksumType"}
    assert "ObjectParts" not in answer
    assert "LastModified" in answer
    status, _, body = raw("GET", f"/{bucket}/key?attributes", headers={"x-amz-object-attributes": "ETag , ObjectSize"})
    assert status == 200
    assert b"<ObjectSize>9</ObjectSize>" in body
    assert b"Checksum" not in body
    error = fails(s3.get_object_attributes, Bucket=bucket, Key="key", ObjectAttributes=["Wrong"])
    assert (error["Code"], error["ArgumentName"]) == ("InvalidArgument", "x-amz-object-attributes")


def test_concurrent_writers_leave_one_whole_object(s3, bucket):
    bodies = [bytes([65 + number]) * (50_000 + 30_000 * number) for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: s3.put_object(Bucket=bucket, Key="key", Body=body), bodies * 3))
    got = s3.get_object(Bucket=bucket, Key="key")
    body = got["Body"].read()
    assert body in bodies
    assert got["ETag"] == md5_etag(body)


def test_virtual_host_style(raw, s3, bucket, pileus):
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"x")
    port = pileus.endpoint.rpartition(":")[2]
    for host in (f"{bucket}.s3.localhost:{port}", f"{bucket}.s3.us-east-1.amazonaws.com"):
        status, _, body = raw("GET", "/a/b", headers={"Host": host})
        assert (status, body) == (200, b"x")
        status, _, body = raw("GET", "/?list-type=2", headers={"Host": host})
        assert status == 200
        assert b"<Key>a/b</Key>" in body


def test_presigned_urls(s3, bucket):
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a b", "ContentType": "text/x"})
    request = urllib.request.Request(url, data=b"presigned", method="PUT", headers={"Content-Type": "text/x"})
    assert urllib.request.urlopen(request).status == 200
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"presigned"
        assert answer.headers["Content-Type"] == "text/x"


def test_transfer_manager(s3, bucket, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(20 << 20))
    s3.upload_file(str(path), bucket, "file")
    assert s3.head_object(Bucket=bucket, Key="file")["ETag"].endswith('-3"')
    s3.download_file(bucket, "file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == path.read_bytes()


def test_the_common_runtime(aws, bucket, tmp_path):
    """The transfer manager on AWS's C libraries, which cut uploads and downloads to parts of their own."""
    session = botocore.session.Session()
    session.set_credentials(aws.account, "test")
    provider = awscrt.auth.AwsCredentialsProvider.new_static(aws.account, "test")
    serializer = crt.BotocoreCRTRequestSerializer(
        session, {"region_name": "us-east-1", "endpoint_url": aws.endpoint, "config": None}
    )
    client = crt.create_s3_crt_client("us-east-1", provider, use_ssl=False, part_size=5 << 20)
    sizes = {"small é": 5, "large": 17 << 20}
    for key, size in sizes.items():
        (tmp_path / key).write_bytes(os.urandom(size))
    # A manager waits for all that is under way when it is left.
    with crt.CRTTransferManager(client, serializer) as manager:
        for future in [manager.upload(str(tmp_path / key), bucket, key) for key in sizes]:
            future.result()
        for future in [manager.download(bucket, key, str(tmp_path / f"{key}.back")) for key in sizes]:
            future.result()
    for key in sizes:
        assert (tmp_path / f"{key}.back").read_bytes() == (tmp_path / key).read_bytes()


def test_the_command_line(aws, bucket, tmp_path):
    source = tmp_path / "source"
    (source / "folder").mkdir(parents=True)
    (source / "one.txt").write_text("one")
    (source / "folder" / "two.bin").write_bytes(os.urandom(9 << 20))
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": aws.account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": aws.endpoint,
    }

    def run(*arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("aws")), "s3", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("sync", str(source), f"s3://{bucket}/up")
    assert "one.txt" in run("ls", "--recursive", f"s3://{bucket}/")
    assert "PRE folder/" in run("ls", f"s3://{bucket}/up/")
    run("sync", f"s3://{bucket}/up", str(tmp_path / "back"))
    for name in ("one.txt", "folder/two.bin"):
        assert (tmp_path / "back" / name).read_bytes() == (source / name).read_bytes()
    assert run("cp", f"s3://{bucket}/up/one.txt", "-") == "one"
    url = run("presign", f"s3://{bucket}/up/one.txt").strip()
    assert urllib.request.urlopen(url).read() == b"one"
    run("mv", f"s3://{bucket}/up/folder/two.bin", str(tmp_path / "moved.bin"))
    assert (tmp_path / "moved.bin").read_bytes() == (source / "folder" / "two.bin").read_bytes()
    (source / "one.txt").unlink()
    run("sync", "--delete", "--checksum-algorithm", "CRC64NVME", str(source), f"s3://{bucket}/up")
    assert [line.split()[-1] for line in run("ls", "--recursive", f"s3://{bucket}/").splitlines()] == [
        "up/folder/two.bin"
    ]
    run("rm", "--recursive", f"s3://{bucket}/up")
    assert run("ls", f"s3://{bucket}") == ""


def test_where_redirects_may_lead(s3, bucket, refused):
    header = "x-amz-website-redirect-location"
    for location, message in (
        ("elsewhere", "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."),
        ("/" + "a" * 2048, "The length of website redirect location cannot exceed 2,048 characters."),
    ):
        found = refused("PUT", f"/{bucket}/a", "Message", headers={header: location})
        assert found == (400, "InvalidRedirectLocation", message)
    assert refused("PUT", f"/{bucket}/a", headers={header: "/" + "a" * 2047})[0] == 200


def test_copy_sources_that_are_none(bucket, refused):
    for source, message in (
        ("", "Invalid copy source object key"),
        ("/", "Invalid copy source object key"),
        ("key", "Invalid copy source object key"),
        (f"{bucket}/", "Invalid copy source object key"),
        (f"//{bucket}/key", "Invalid copy source object key"),
        ("ab/key", "Invalid copy source bucket name"),
        (f"http://{bucket}/key", "Invalid copy source bucket name"),
        (f"{bucket}/%ff", "Invalid copy source encoding."),
    ):
        found = refused("PUT", f"/{bucket}/a", "Message", headers={"x-amz-copy-source": source})
        assert found == (400, "InvalidArgument", message), source
    for source, code in (
        (f"{bucket}/none", "NoSuchKey"),
        (f"{bucket}-none/key", "NoSuchBucket"),
        (f"{bucket}/a?versionId=abc", "InvalidArgument"),
    ):
        assert refused("PUT", f"/{bucket}/a", headers={"x-amz-copy-source": source})[1] == code, source


def test_deleting_many_under_conditions(s3, bucket):
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    etag = md5_etag(b"x")
    wanted = [("a", etag), ("b", "*"), ("c", '"other"'), ("none", etag), ("none", "*")]
    objects = [{"Key": key, "ETag": value} for key, value in wanted]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [one["Key"] for one in answer["Deleted"]] == ["a", "b"]
    assert [(one["Key"], one["Code"]) for one in answer["Errors"]] == [
        ("c", "PreconditionFailed"),
        ("none", "NoSuchKey"),
        ("none", "NoSuchKey"),
    ]


def test_a_put_that_says_nothing_of_its_length(s3, bucket):

    address = urlsplit(s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "a"}))
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    connection.putrequest("PUT", f"{address.path}?{address.query}")
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, b"<Code>MissingContentLength</Code>" in answer.read()) == (411, True)
    connection.close()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
