"""Objects of directory buckets: what they say of themselves, listing, appending, renaming, copying, uploading."""

from __future__ import annotations

import base64
import hashlib
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.conftest import Account
from tests.services.s3.directory_kit import keys, make

Fails = Callable[..., dict[str, Any]]
PART = b"p" * (5 << 20)


@pytest.fixture(scope="module")
def s3(pileus: Any) -> Any:
    return Account(pileus.endpoint).client("s3")


@pytest.fixture
def directory(s3: Any) -> str:
    return make(s3)


def body_of(s3: Any, bucket: str, key: str, **more: Any) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()
    return body


def crc32(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def test_what_an_object_says_of_itself(s3: Any, directory: str, fails: Fails) -> None:
    names = {"Bucket": directory, "Key": "dir/k"}
    put = s3.put_object(**names, Body=b"body", Metadata={"a": "b"}, StorageClass="EXPRESS_ONEZONE")
    assert put["ETag"] != f'"{hashlib.md5(b"body", usedforsecurity=False).hexdigest()}"'
    assert s3.put_object(**names, Body=b"body", Metadata={"a": "b"})["ETag"] != put["ETag"]
    head = s3.head_object(**names, VersionId="null")
    assert head["StorageClass"] == "EXPRESS_ONEZONE"
    assert head["ServerSideEncryption"] == "AES256"
    assert head["Metadata"] == {"a": "b"}
    assert "VersionId" not in head
    got = s3.get_object_attributes(**names, ObjectAttributes=["StorageClass", "ObjectSize"])
    assert (got["StorageClass"], got["ObjectSize"]) == ("EXPRESS_ONEZONE", 4)
    assert body_of(s3, **{"bucket": directory, "key": "dir/k"}, Range="bytes=1-2") == b"od"
    assert fails(s3.put_object, **names, StorageClass="STANDARD")["Code"] == "InvalidStorageClass"
    assert fails(s3.get_object, Bucket=directory, Key="none")["Code"] == "NoSuchKey"
    error = fails(s3.put_object, **names, ContentMD5=base64.b64encode(b"m" * 16).decode())
    assert (error["status"], error["Code"]) == (501, "NotImplemented")
    assert error["Message"] == "This bucket does not support Content Md5 header."
    for more in (
        {"ACL": "private"},
        {"GrantRead": 'id="x"'},
        {"Tagging": "a=b"},
        {"ObjectLockLegalHoldStatus": "ON"},
        {"WebsiteRedirectLocation": "/x"},
    ):
        error = fails(s3.put_object, **names, **more)
        assert (error["status"], error["Code"]) == (501, "NotImplemented")
    for call, more in (
        (s3.get_object_acl, {}),
        (s3.get_object_tagging, {}),
        (s3.put_object_tagging, {"Tagging": {"TagSet": []}}),
        (s3.get_object_retention, {}),
        (s3.restore_object, {"RestoreRequest": {"Days": 1}}),
    ):
        assert fails(call, **names, **more)["status"] == 501
    # Conditional writes.
    assert fails(s3.put_object, **names, IfNoneMatch="*")["status"] == 412
    s3.put_object(**names, Body=b"more", IfMatch=s3.head_object(**names)["ETag"])


def test_express_is_no_class_of_other_buckets(s3: Any, bucket: str, fails: Fails) -> None:
    error = fails(s3.put_object, Bucket=bucket, Key="k", StorageClass="EXPRESS_ONEZONE")
    assert error["Code"] == "InvalidStorageClass"
    for more in ({"WriteOffsetBytes": 0}, {"WriteOffsetBytes": 5}):
        assert fails(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **more)["status"] == 501
    assert fails(s3.rename_object, Bucket=bucket, Key="n", RenameSource=f"{bucket}/k")["status"] == 501


# ------------------------------------------------------------------------------------------------------- listing


def test_listing(s3: Any, directory: str, fails: Fails) -> None:
    names = [f"{one}/{number}" for one in "abc" for number in range(4)] + ["top", "a/deep/er"]
    for name in names:
        s3.put_object(Bucket=directory, Key=name)
    upload = s3.create_multipart_upload(Bucket=directory, Key="up/under/way")["UploadId"]
    s3.create_multipart_upload(Bucket=directory, Key="loose")
    listed = [one["Key"] for one in s3.list_objects_v2(Bucket=directory)["Contents"]]
    assert sorted(listed) == sorted(names)
    # Nobody may rely on an order.
    assert listed != sorted(names)
    assert keys(s3, directory, PaginationConfig={"PageSize": 3}) == sorted(names)
    assert keys(s3, directory, Prefix="a/") == sorted(name for name in names if name.startswith("a/"))
    # With a delimiter, uploads under way show in the prefixes, in pages of any size.
    for size in (1, 2, 3, 100):
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=directory, Delimiter="/", PaginationConfig={"PageSize": size}
        )
        prefixes, contents = [], []
        for page in pages:
            assert page["KeyCount"] <= size
            prefixes += [one["Prefix"] for one in page.get("CommonPrefixes", ())]
            contents += [one["Key"] for one in page.get("Contents", ())]
        assert (sorted(prefixes), contents) == (["a/", "b/", "c/", "up/"], ["top"])
    page = s3.list_objects_v2(Bucket=directory, Prefix="up/", Delimiter="/", FetchOwner=True)
    assert [one["Prefix"] for one in page["CommonPrefixes"]] == ["up/under/"]
    s3.abort_multipart_upload(Bucket=directory, Key="up/under/way", UploadId=upload)
    assert "CommonPrefixes" not in s3.list_objects_v2(Bucket=directory, Prefix="up/", Delimiter="/")
    error = fails(s3.list_objects_v2, Bucket=directory, Prefix="a")
    assert (error["status"], error["Code"]) == (400, "InvalidRequest")
    assert error["Message"] == (
        "This bucket does not support a prefix that does not end in a delimiter. Specify a prefix path ending with a "
        "delimiter and try again."
    )
    assert fails(s3.list_objects_v2, Bucket=directory, Delimiter="-")["Code"] == "InvalidRequest"
    assert fails(s3.list_objects_v2, Bucket=directory, StartAfter="a")["status"] == 501
    assert fails(s3.list_objects_v2, Bucket=directory, ContinuationToken="x")["Code"] == "InvalidArgument"
    # Uploads keep their bucket.
    s3.delete_objects(Bucket=directory, Delete={"Objects": [{"Key": name} for name in names]})
    assert fails(s3.delete_bucket, Bucket=directory)["Code"] == "BucketNotEmpty"


def test_listing_uploads(s3: Any, directory: str, fails: Fails) -> None:
    uploads = {
        (key, s3.create_multipart_upload(Bucket=directory, Key=key)["UploadId"])
        for key in ("a", "a", "a", "b", "d/e", "d/f", "g/h")
    }
    for size in (1, 2, 5, 100):
        found, marker = set(), {}
        while True:
            page = s3.list_multipart_uploads(Bucket=directory, MaxUploads=size, **marker)
            found |= {(one["Key"], one["UploadId"]) for one in page.get("Uploads", ())}
            assert "NextUploadIdMarker" not in page
            if not page["IsTruncated"]:
                break
            marker = {"KeyMarker": page["NextKeyMarker"]}
        assert found == uploads
    prefixes, marker = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=directory, MaxUploads=1, Delimiter="/", **marker)
        prefixes += [one["Prefix"] for one in page.get("CommonPrefixes", ())]
        if not page["IsTruncated"]:
            break
        marker = {"KeyMarker": page["NextKeyMarker"]}
    assert prefixes == ["d/", "g/"]
    assert fails(s3.list_multipart_uploads, Bucket=directory, KeyMarker="a")["Code"] == "InvalidArgument"
    assert fails(s3.list_multipart_uploads, Bucket=directory, KeyMarker="a", UploadIdMarker="b")["status"] == 501


# ------------------------------------------------------------------------------------------------------- appending


def append(s3: Any, bucket: str, key: str, at: int, body: bytes, **more: Any) -> Any:
    return s3.put_object(Bucket=bucket, Key=key, Body=body, WriteOffsetBytes=at, **more)


def test_appending(s3: Any, directory: str) -> None:
    made = append(s3, directory, "log", 0, b"begin", Metadata={"a": "b"}, ContentType="text/plain")
    assert "Size" not in made
    whole, etags = b"begin", {made["ETag"]}
    for piece in (b"-small", b"L" * 300_000, b"x", b"M" * 70_000, b"end"):
        answer = append(s3, directory, "log", len(whole), piece)
        whole += piece
        assert (answer["Size"], answer["ChecksumCRC32"]) == (len(whole), crc32(whole))
        etags.add(answer["ETag"])
        assert body_of(s3, directory, "log") == whole
    assert len(etags) == 6
    head = s3.head_object(Bucket=directory, Key="log", ChecksumMode="ENABLED")
    assert (head["ChecksumCRC32"], head["ChecksumType"]) == (crc32(whole), "FULL_OBJECT")
    assert (head["Metadata"], head["ContentType"], head["ContentLength"]) == ({"a": "b"}, "text/plain", len(whole))
    assert body_of(s3, directory, "log", Range="bytes=3-7") == whole[3:8]
    assert body_of(s3, directory, "log", Range="bytes=-300010") == whole[-300_010:]
    assert body_of(s3, directory, "log", PartNumber=3) == b"L" * 300_000
    # A copy is in one part again, and leaves nothing of the pieces behind.
    s3.copy_object(Bucket=directory, Key="copy", CopySource=f"{directory}/log")
    assert body_of(s3, directory, "copy") == whole
    s3.put_object(Bucket=directory, Key="log", Body=b"anew")
    assert body_of(s3, directory, "log") == b"anew"


def test_many_appends(s3: Any, directory: str) -> None:
    """More than one list of parts."""
    whole = b""
    for number in range(230):
        piece = f"{number},".encode()
        append(s3, directory, "k", len(whole), piece)
        whole += piece
    assert body_of(s3, directory, "k") == whole
    assert body_of(s3, directory, "k", Range="bytes=250-260") == whole[250:261]
    assert body_of(s3, directory, "k", PartNumber=200) == b"199,"
    parts = s3.get_object_attributes(Bucket=directory, Key="k", ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert parts["TotalPartsCount"] == 230
    s3.delete_object(Bucket=directory, Key="k")
    assert keys(s3, directory) == []


def test_appending_to_an_upload_and_with_other_checksums(s3: Any, directory: str, fails: Fails) -> None:
    upload = s3.create_multipart_upload(Bucket=directory, Key="m")["UploadId"]
    names = {"Bucket": directory, "Key": "m", "UploadId": upload}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**names, PartNumber=number, Body=body)["ETag"]}
        for number, body in ((1, PART), (2, b"two"))
    ]
    s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    algorithm = s3.head_object(Bucket=directory, Key="m", ChecksumMode="ENABLED")
    given = {"ChecksumAlgorithm": "CRC64NVME"} if "ChecksumCRC64NVME" in algorithm else {}
    append(s3, directory, "m", len(PART) + 3, b"three", **given)
    assert body_of(s3, directory, "m", PartNumber=3) == b"three"
    assert body_of(s3, directory, "m", Range=f"bytes={len(PART) - 1}-") == b"ptwothree"
    # Of other algorithms than CRC it is that of the parts' checksums.
    append(s3, directory, "s", 0, b"one", ChecksumAlgorithm="SHA256")
    append(s3, directory, "s", 3, b"two", ChecksumAlgorithm="SHA256")
    answer = append(s3, directory, "s", 6, b"three", ChecksumAlgorithm="SHA256")
    digests = b"".join(hashlib.sha256(one).digest() for one in (b"one", b"two", b"three"))
    assert answer["ChecksumSHA256"] == f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-3"
    assert answer["ChecksumType"] == "COMPOSITE"
    error = fails(append, s3=s3, bucket=directory, key="s", at=11, body=b"x", ChecksumAlgorithm="CRC32C")
    assert (error["status"], error["Code"]) == (400, "InvalidRequest")
    assert error["Message"] == (
        "Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: crc32c"
    )


def test_bad_appends(s3: Any, directory: str, fails: Fails) -> None:
    names = {"s3": s3, "bucket": directory, "key": "k"}
    assert fails(append, **names, at=1, body=b"x")["Code"] == "InvalidWriteOffset"
    append(s3, directory, "k", 0, b"body")
    for at in (0, 3, 5, 1 << 40):
        error = fails(append, **names, at=at, body=b"x")
        assert (error["status"], error["Code"]) == (400, "InvalidWriteOffset")
        assert error["Message"] == ("The write offset value that you specified does not match the current object size.")
    assert fails(append, **names, at=-1, body=b"x")["Code"] == "InvalidArgument"
    error = fails(append, **names, at=4, body=b"")
    assert error["Message"] == "Request body cannot be empty when 'write offset' is specified."
    error = fails(append, **names, at=4, body=b"x", Metadata={"a": "b"})
    assert error["Message"] == (
        "Cannot specify both a write offset value and user-defined object metadata for existing objects."
    )
    assert fails(append, **names, at=4, body=b"x", IfNoneMatch="*")["status"] == 412
    assert fails(append, **names, at=4, body=b"x", ChecksumCRC32="AAAAAA==")["Code"] == "BadDigest"
    assert body_of(s3, directory, "k") == b"body"
    # To an empty object.
    append(s3, directory, "empty", 0, b"")
    append(s3, directory, "empty", 0, b"some")
    assert body_of(s3, directory, "empty") == b"some"


def test_one_of_many_appends_at_one_place_wins(s3: Any, directory: str) -> None:
    racers, whole = 4, b""
    gate = threading.Barrier(racers)

    def race(piece: bytes) -> bytes | str:
        gate.wait()
        try:
            append(s3, directory, "k", len(whole), piece)
            return piece
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    with ThreadPoolExecutor(racers) as pool:
        for number in range(8):
            # Those in files and those in the store at once.
            pieces = [f"{number}:{racer}".encode() * (1 + racer % 2 * 20_000) for racer in range(racers)]
            outcomes = list(pool.map(race, pieces))
            (won,) = (one for one in outcomes if isinstance(one, bytes))
            assert [one for one in outcomes if isinstance(one, str)] == ["InvalidWriteOffset"] * (racers - 1)
            whole += won
            assert body_of(s3, directory, "k") == whole


# ------------------------------------------------------------------------------------------------------- renaming


def test_renaming(s3: Any, directory: str) -> None:
    big = b"b" * 200_000
    s3.put_object(Bucket=directory, Key="a b/ü", Body=big, Metadata={"m": "v"}, ContentType="text/plain")
    before = s3.head_object(Bucket=directory, Key="a b/ü", ChecksumMode="ENABLED")
    s3.rename_object(Bucket=directory, Key="new", RenameSource=f"{directory}/a%20b/%C3%BC")
    after = s3.head_object(Bucket=directory, Key="new", ChecksumMode="ENABLED")
    for answer in (before, after):
        answer.pop("ResponseMetadata")
    assert after == before
    assert keys(s3, directory) == ["new"]
    # Onto another, which goes; by the key alone; with a slash before the bucket.
    s3.put_object(Bucket=directory, Key="other", Body=b"other")
    s3.rename_object(Bucket=directory, Key="other", RenameSource="new")
    s3.rename_object(Bucket=directory, Key="deep/er", RenameSource=f"/{directory}/other")
    assert keys(s3, directory) == ["deep/er"]
    assert body_of(s3, directory, "deep/er") == big
    # Onto itself nothing changes.
    s3.rename_object(Bucket=directory, Key="deep/er", RenameSource="deep/er")
    assert body_of(s3, directory, "deep/er") == big
    # One that was appended to, and may be again.
    append(s3, directory, "deep/er", len(big), b"end")
    s3.rename_object(Bucket=directory, Key="log", RenameSource="deep/er")
    append(s3, directory, "log", len(big) + 3, b"!")
    assert body_of(s3, directory, "log") == big + b"end!"


def test_conditions_of_renaming(s3: Any, directory: str, fails: Fails) -> None:
    etag = s3.put_object(Bucket=directory, Key="a", Body=b"a")["ETag"]
    other = s3.put_object(Bucket=directory, Key="b", Body=b"b")["ETag"]
    names = {"Bucket": directory, "Key": "b", "RenameSource": f"{directory}/a"}
    now = datetime.now(UTC)
    past, future = now - timedelta(days=1), now + timedelta(days=1)
    for more, condition in (
        ({"DestinationIfNoneMatch": "*"}, "If-None-Match"),
        ({"DestinationIfMatch": etag}, "If-Match"),
        ({"DestinationIfModifiedSince": future}, "If-Modified-Since"),
        ({"DestinationIfUnmodifiedSince": past}, "If-Unmodified-Since"),
        ({"SourceIfMatch": other}, "x-amz-rename-source-if-match"),
        ({"SourceIfNoneMatch": etag}, "x-amz-rename-source-if-none-match"),
        ({"SourceIfNoneMatch": "*"}, "x-amz-rename-source-if-none-match"),
        ({"SourceIfModifiedSince": future}, "x-amz-rename-source-if-modified-since"),
        ({"SourceIfUnmodifiedSince": past}, "x-amz-rename-source-if-unmodified-since"),
    ):
        error = fails(s3.rename_object, **names, **more)
        assert (error["status"], error["Code"], error["Condition"]) == (412, "PreconditionFailed", condition)
    assert fails(s3.rename_object, **{**names, "Key": "none"}, DestinationIfMatch=etag)["status"] == 412
    assert fails(s3.rename_object, **names, DestinationIfNoneMatch=other)["status"] == 501
    assert keys(s3, directory) == ["a", "b"]
    s3.rename_object(
        **names,
        DestinationIfMatch=other,
        DestinationIfModifiedSince=past,
        DestinationIfUnmodifiedSince=future,
        SourceIfMatch=etag,
        SourceIfNoneMatch=other,
        SourceIfModifiedSince=past,
        SourceIfUnmodifiedSince=future,
    )
    assert body_of(s3, directory, "b") == b"a"
    s3.rename_object(Bucket=directory, Key="c", RenameSource="b", DestinationIfNoneMatch="*")
    assert keys(s3, directory) == ["c"]


def test_a_client_token_renames_once(s3: Any, directory: str, fails: Fails) -> None:
    s3.put_object(Bucket=directory, Key="a", Body=b"a")
    names = {"Bucket": directory, "Key": "b", "RenameSource": f"{directory}/a", "ClientToken": "t" * 64}
    assert fails(s3.rename_object, **names, SourceIfNoneMatch="*")["status"] == 412
    s3.rename_object(**names)
    # Again, and it is not done again.
    s3.put_object(Bucket=directory, Key="a", Body=b"another")
    s3.rename_object(**names)
    assert (body_of(s3, directory, "a"), body_of(s3, directory, "b")) == (b"another", b"a")
    error = fails(s3.rename_object, **{**names, "Key": "c"})
    assert (error["status"], error["Code"]) == (400, "IdempotencyParameterMismatch")
    for token in ("t" * 65, "a b", "ü"):
        assert fails(s3.rename_object, **{**names, "ClientToken": token})["status"] in (400, 403)
    assert keys(s3, directory) == ["a", "b"]


def test_bad_renames(s3: Any, directory: str, fails: Fails) -> None:
    s3.put_object(Bucket=directory, Key="a", Body=b"a")
    s3.put_object(Bucket=directory, Key="dir/", Body=b"")
    for key, source, expected in (
        ("n", "none", "NoSuchKey"),
        ("n", f"{directory}/none", "NoSuchKey"),
        ("n", f"{make(s3)}/a", "InvalidArgument"),
        ("n", "", "InvalidArgument"),
        ("n", "/", "InvalidArgument"),
        ("n", "%ff%fe", "InvalidArgument"),
        ("n", "k" * 1025, "KeyTooLongError"),
        ("n" * 1025, "a", "KeyTooLongError"),
        ("n/", "a", "InvalidRequest"),
        ("n", "dir/", "InvalidRequest"),
    ):
        assert fails(s3.rename_object, Bucket=directory, Key=key, RenameSource=source)["Code"] == expected, source
    assert keys(s3, directory) == ["a", "dir/"]


# --------------------------------------------------------------------------------------------- copying, uploading, …


def test_copies_between_kinds_of_buckets(s3: Any, directory: str, bucket: str, fails: Fails) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", Metadata={"a": "b"}, StorageClass="STANDARD_IA")
    s3.put_object(Bucket=bucket, Key="tagged", Tagging="a=b")
    s3.copy_object(Bucket=directory, Key="k", CopySource=f"{bucket}/k")
    head = s3.head_object(Bucket=directory, Key="k")
    assert (head["StorageClass"], head["Metadata"]) == ("EXPRESS_ONEZONE", {"a": "b"})
    s3.copy_object(Bucket=bucket, Key="back", CopySource=f"{directory}/k")
    head = s3.head_object(Bucket=bucket, Key="back")
    assert "StorageClass" not in head
    assert head["ETag"] == f'"{hashlib.md5(b"body", usedforsecurity=False).hexdigest()}"'
    names = {"Bucket": directory, "Key": "t", "CopySource": f"{bucket}/tagged"}
    assert fails(s3.copy_object, **names)["status"] == 501
    assert fails(s3.copy_object, **names, TaggingDirective="REPLACE", Tagging="a=b")["status"] == 501
    s3.copy_object(**names, TaggingDirective="REPLACE")
    # Onto itself it must change something.
    error = fails(s3.copy_object, Bucket=directory, Key="k", CopySource=f"{directory}/k")
    assert error["Code"] == "InvalidRequest"
    assert fails(s3.copy_object, Bucket=directory, Key="n", CopySource=f"{directory}/none")["Code"] == "NoSuchKey"


def test_parts_are_consecutive(s3: Any, directory: str, bucket: str, fails: Fails) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=PART)
    upload = s3.create_multipart_upload(Bucket=directory, Key="k")["UploadId"]
    names = {"Bucket": directory, "Key": "k", "UploadId": upload}
    first = s3.upload_part_copy(**names, PartNumber=1, CopySource=f"{bucket}/source")["CopyPartResult"]["ETag"]
    tags = {
        number: s3.upload_part(**names, PartNumber=number, Body=f"part {number}".encode())["ETag"] for number in (2, 3)
    }

    def complete(*numbers: int) -> dict[str, Any]:
        listed = [{"PartNumber": number, "ETag": {1: first, **tags}[number]} for number in numbers]
        return {**names, "MultipartUpload": {"Parts": listed}}

    listed = s3.list_parts(**names)
    assert [one["PartNumber"] for one in listed["Parts"]] == [1, 2, 3]
    assert listed["StorageClass"] == "EXPRESS_ONEZONE"
    for numbers in ((1, 3), (2, 3)):
        error = fails(s3.complete_multipart_upload, **complete(*numbers))
        assert (error["status"], error["Code"]) == (400, "InvalidRequest")
    answer = s3.complete_multipart_upload(**complete(1, 2))
    assert "Expiration" not in answer
    assert s3.complete_multipart_upload(**complete(1, 2))["ETag"] == answer["ETag"]
    assert body_of(s3, directory, "k") == PART + b"part 2"
    for more in ({"Tagging": "a=b"}, {"ACL": "private"}):
        assert fails(s3.create_multipart_upload, Bucket=directory, Key="k", **more)["status"] == 501


def test_conditions_of_deleting(s3: Any, directory: str, fails: Fails) -> None:
    etag = s3.put_object(Bucket=directory, Key="k", Body=b"body")["ETag"]
    modified = s3.head_object(Bucket=directory, Key="k")["LastModified"]
    names = {"Bucket": directory, "Key": "k"}
    for more in (
        {"IfMatch": '"other"'},
        {"IfMatchSize": 5},
        {"IfMatchLastModifiedTime": modified - timedelta(seconds=5)},
    ):
        assert fails(s3.delete_object, **names, **more)["status"] == 412
    assert fails(s3.delete_object, **names, BypassGovernanceRetention=True)["status"] == 501
    many = [{"Key": "k", "Size": 5}, {"Key": "k", "ETag": '"other"'}, {"Key": "none"}]
    answer = s3.delete_objects(Bucket=directory, Delete={"Objects": many})
    assert [one["Code"] for one in answer["Errors"]] == ["PreconditionFailed"] * 2
    assert [one["Key"] for one in answer["Deleted"]] == ["none"]
    for key in (" ", "\n\t", "a\x01"):
        refused = {"Bucket": directory, "Delete": {"Objects": [{"Key": key}]}}
        assert fails(s3.delete_objects, **refused)["Code"] == "MalformedXML"
    s3.delete_object(**names, IfMatch=etag, IfMatchSize=4, IfMatchLastModifiedTime=modified)
    assert keys(s3, directory) == []
    # Deleting what is not there is no error, but where it is to be something.
    s3.delete_object(**names)
    assert fails(s3.delete_object, **names, IfMatch="*")["Code"] == "NoSuchKey"


def test_presigned_urls_and_forms(s3: Any, directory: str) -> None:
    names = {"Bucket": directory, "Key": "k"}
    put = s3.generate_presigned_url("put_object", Params=names)
    assert "X-Amz-S3session-Token=" in put
    urllib.request.urlopen(urllib.request.Request(put, b"body", {"Content-Type": ""}, method="PUT")).read()
    get = s3.generate_presigned_url("get_object", Params=names)
    assert urllib.request.urlopen(get).read() == b"body"
    for bad in (get.replace("X-Amz-S3session-Token=", "X-Amz-Security-Token="), get[:-1] + "z"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(bad)
        assert caught.value.code in (400, 403)
    form = s3.generate_presigned_post(directory, "posted", ExpiresIn=60)
    boundary = "b" * 20
    fields = [*form["fields"].items(), ("file", "in the form")]
    lines = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields]
    posted = urllib.request.Request(form["url"], "".join([*lines, f"--{boundary}--\r\n"]).encode(), method="POST")
    posted.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
    assert urllib.request.urlopen(posted).status == 204
    assert body_of(s3, directory, "posted") == b"in the form"
