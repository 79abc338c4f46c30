"""Versions: each write makes one, deleting hides them, and each can be had, tagged, copied and removed by its id."""

from __future__ import annotations

import random
import re

import pytest

from pileus.kernel.ids import Ids
from pileus.services.s3 import versions


@pytest.fixture
def versioned(s3, bucket):
    set_versioning(s3, bucket, "Enabled")
    return bucket


def set_versioning(s3, bucket, status):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def put(s3, bucket, key, body, **more):
    return s3.put_object(Bucket=bucket, Key=key, Body=body, **more).get("VersionId")


def listed(s3, bucket, **more):
    """(key, version id, is latest, "marker" or size), in the order of the listing."""
    answer = s3.list_object_versions(Bucket=bucket, **more)
    found = [(v["Key"], v["VersionId"], v["IsLatest"], v["Size"]) for v in answer.get("Versions", [])]
    found += [(v["Key"], v["VersionId"], v["IsLatest"], "marker") for v in answer.get("DeleteMarkers", [])]
    return found


def read(s3, bucket, key, version_id=None):
    more = {"VersionId": version_id} if version_id else {}
    answer = s3.get_object(Bucket=bucket, Key=key, **more)
    return answer["Body"].read(), answer.get("VersionId")


def test_version_ids():
    ids = Ids(1)
    made = versions.new_id(ids, 123456789)
    assert re.fullmatch(r"[A-Za-z0-9._]{32}", made)
    assert versions.sequence_of(made) == 123456789
    assert versions.new_id(ids, 123456789) != made
    changed = ("A" if made[0] != "A" else "B") + made[1:]
    for wrong in ("", "null", changed, made + "A", "ü" * 32, "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD"):
        assert versions.sequence_of(wrong) is None


def test_each_write_makes_a_version(s3, versioned, fails):
    first, second = put(s3, versioned, "key", b"one"), put(s3, versioned, "key", b"second")
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9._]{32}", first)
    assert read(s3, versioned, "key") == (b"second", second)
    assert read(s3, versioned, "key", first) == (b"one", first)
    head = s3.head_object(Bucket=versioned, Key="key", VersionId=first)
    assert (head["ContentLength"], head["VersionId"]) == (3, first)
    attributes = s3.get_object_attributes(Bucket=versioned, Key="key", VersionId=first, ObjectAttributes=["ObjectSize"])
    assert (attributes["ObjectSize"], attributes["VersionId"]) == (3, first)
    assert [entry["Size"] for entry in s3.list_objects_v2(Bucket=versioned)["Contents"]] == [6]
    assert listed(s3, versioned) == [("key", second, True, 6), ("key", first, False, 3)]
    other = put(s3, versioned, "other", b"")
    assert fails(s3.get_object, Bucket=versioned, Key="key", VersionId=other) == {
        "status": 404,
        "Code": "NoSuchVersion",
        "Message": "The specified version does not exist.",
        "Key": "key",
        "VersionId": other,
    }
    for call in (s3.get_object, s3.delete_object):
        assert fails(call, Bucket=versioned, Key="key", VersionId="made-up") == {
            "status": 400,
            "Code": "InvalidArgument",
            "Message": "Invalid version id specified",
            "ArgumentName": "versionId",
            "ArgumentValue": "made-up",
        }


def test_delete_markers(s3, versioned, raw, fails):
    version = put(s3, versioned, "key", b"one")
    deleted = s3.delete_object(Bucket=versioned, Key="key")
    marker = deleted["VersionId"]
    assert deleted["DeleteMarker"] is True
    assert fails(s3.get_object, Bucket=versioned, Key="key") == {
        "status": 404,
        "Code": "NoSuchKey",
        "Message": "The specified key does not exist.",
        "Key": "key",
    }
    status, headers, _ = raw("GET", f"/{versioned}/key")
    assert (status, headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == (404, "true", marker)
    status, headers, _ = raw("HEAD", f"/{versioned}/key")
    assert (status, headers["x-amz-delete-marker"]) == (404, "true")
    assert fails(s3.get_object, Bucket=versioned, Key="key", VersionId=marker) == {
        "status": 405,
        "Code": "MethodNotAllowed",
        "Message": "The specified method is not allowed against this resource.",
        "Method": "GET",
        "ResourceType": "DeleteMarker",
    }
    status, headers, _ = raw("HEAD", f"/{versioned}/key?versionId={marker}")
    assert (status, headers["x-amz-delete-marker"], headers["allow"]) == (405, "true", "DELETE")
    assert "last-modified" in headers
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    assert read(s3, versioned, "key", version) == (b"one", version)

    second = s3.delete_object(Bucket=versioned, Key="key")["VersionId"]
    assert listed(s3, versioned) == [
        ("key", version, False, 3),
        ("key", second, True, "marker"),
        ("key", marker, False, "marker"),
    ]
    # Without its markers the object is back.
    for one in (marker, second):
        answer = s3.delete_object(Bucket=versioned, Key="key", VersionId=one)
        assert (answer["DeleteMarker"], answer["VersionId"]) == (True, one)
    assert read(s3, versioned, "key") == (b"one", version)
    answer = s3.delete_object(Bucket=versioned, Key="key", VersionId=version)
    assert answer["VersionId"] == version
    assert "DeleteMarker" not in answer
    # Again, as a client that heard no answer does.
    assert s3.delete_object(Bucket=versioned, Key="key", VersionId=version)["VersionId"] == version
    assert listed(s3, versioned) == []
    assert s3.delete_object(Bucket=versioned, Key="never-there")["DeleteMarker"] is True


def test_removing_the_current_version_brings_back_the_one_before(s3, versioned):
    made = [put(s3, versioned, "key", body) for body in (b"1", b"22", b"333")]
    s3.delete_object(Bucket=versioned, Key="key", VersionId=made[2])
    assert read(s3, versioned, "key") == (b"22", made[1])
    s3.delete_object(Bucket=versioned, Key="key", VersionId=made[0])
    assert listed(s3, versioned) == [("key", made[1], True, 2)]


def test_null_versions(s3, bucket, fails):
    assert put(s3, bucket, "key", b"null") is None
    set_versioning(s3, bucket, "Enabled")
    assert read(s3, bucket, "key") == (b"null", "null")
    version = put(s3, bucket, "key", b"version")
    assert read(s3, bucket, "key", "null") == (b"null", "null")
    assert listed(s3, bucket) == [("key", version, True, 7), ("key", "null", False, 4)]
    # Under suspension the null version is written anew; there is never a second one.
    set_versioning(s3, bucket, "Suspended")
    assert put(s3, bucket, "key", b"null two") is None
    assert listed(s3, bucket) == [("key", "null", True, 8), ("key", version, False, 7)]
    assert put(s3, bucket, "key", b"null three") is None
    assert listed(s3, bucket) == [("key", "null", True, 10), ("key", version, False, 7)]
    # So is a delete marker, which takes the null version's place.
    answer = s3.delete_object(Bucket=bucket, Key="key")
    assert (answer["DeleteMarker"], answer["VersionId"]) == (True, "null")
    assert listed(s3, bucket) == [("key", version, False, 7), ("key", "null", True, "marker")]
    assert fails(s3.get_object, Bucket=bucket, Key="key", VersionId="null")["status"] == 405
    s3.delete_object(Bucket=bucket, Key="key")
    assert len(listed(s3, bucket)) == 2
    assert put(s3, bucket, "key", b"null four") is None
    assert listed(s3, bucket) == [("key", "null", True, 9), ("key", version, False, 7)]
    s3.delete_object(Bucket=bucket, Key="key", VersionId="null")
    assert read(s3, bucket, "key") == (b"version", version)
    error = fails(s3.get_object, Bucket=bucket, Key="key", VersionId="null")
    assert (error["status"], error["Code"]) == (404, "NoSuchVersion")


def test_against_a_model(s3, bucket):
    """Writes, deletions and removals by id in any order leave what a list of versions per key says."""
    chance = random.Random(7)
    status, model = "", {"a": [], "b": []}
    for step in range(120):
        key = chance.choice("ab")
        kept = model[key]
        action = chance.choice(("put", "put", "delete", "remove", "remove", "status"))
        if action == "status":
            status = chance.choice(("Enabled", "Suspended"))
            set_versioning(s3, bucket, status)
        elif action == "put" or (action == "delete" and status):
            size = step if action == "put" else "marker"
            if action == "put":
                made = put(s3, bucket, key, b"x" * step) or "null"
            else:
                made = s3.delete_object(Bucket=bucket, Key=key)["VersionId"]
            if made == "null":
                kept[:] = [one for one in kept if one[0] != "null"]
            kept.insert(0, (made, size))
        elif action == "delete":
            s3.delete_object(Bucket=bucket, Key=key)
            kept.clear()
        elif kept:
            gone = chance.choice(kept)
            s3.delete_object(Bucket=bucket, Key=key, VersionId=gone[0])
            kept.remove(gone)
        expected = [(name, *one) for name in "ab" for one in model[name]]
        answer = [(name, id, size) for name, id, _, size in listed(s3, bucket)]
        assert sorted(answer, key=str) == sorted(expected, key=str), step
        latest = {(name, id) for name, id, is_latest, _ in listed(s3, bucket) if is_latest}
        assert latest == {(name, model[name][0][0]) for name in "ab" if model[name]}, step
        shown = {one["Key"]: one["Size"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}
        assert shown == {n: model[n][0][1] for n in "ab" if model[n] and model[n][0][1] != "marker"}, step
        paged = []
        for page in s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": chance.randint(1, 3)}
        ):
            paged += [one["VersionId"] for name in ("Versions", "DeleteMarkers") for one in page.get(name, [])]
        assert sorted(paged) == sorted(one[0] for name in "ab" for one in model[name]), step


def test_listing_pages(s3, versioned, fails):
    made = [put(s3, versioned, "key", b"") for _ in range(5)][::-1]
    put(s3, versioned, "other", b"")
    page = s3.list_object_versions(Bucket=versioned, Prefix="k", MaxKeys=3)
    assert [one["VersionId"] for one in page["Versions"]] == made[:3]
    assert (page["IsTruncated"], page["NextKeyMarker"], page["NextVersionIdMarker"]) == (True, "key", made[2])
    assert (page["KeyMarker"], page["VersionIdMarker"]) == ("", "")
    rest = {"Bucket": versioned, "Prefix": "k", "KeyMarker": "key", "VersionIdMarker": made[2], "MaxKeys": 5}
    page = s3.list_object_versions(**rest)
    assert [(one["VersionId"], one["IsLatest"]) for one in page["Versions"]] == [(made[3], False), (made[4], False)]
    assert page["IsTruncated"] is False
    assert "NextKeyMarker" not in page
    assert "Versions" not in s3.list_object_versions(Bucket=versioned, Prefix="k", KeyMarker="key", MaxKeys=4)
    # The listing goes on where it was, even if what stood there is gone.
    for one in made[:3]:
        s3.delete_object(Bucket=versioned, Key="key", VersionId=one)
    page = s3.list_object_versions(**rest)
    assert [(one["VersionId"], one["IsLatest"]) for one in page["Versions"]] == [(made[3], True), (made[4], False)]
    assert fails(s3.list_object_versions, Bucket=versioned, VersionIdMarker=made[3]) == {
        "status": 400,
        "Code": "InvalidArgument",
        "Message": "A version-id marker cannot be specified without a key marker.",
        "ArgumentName": "version-id-marker",
        "ArgumentValue": made[3],
    }
    error = fails(s3.list_object_versions, Bucket=versioned, KeyMarker="key", VersionIdMarker="wrong")
    assert error["Message"] == "Invalid version id specified"
    assert fails(s3.list_object_versions, Bucket=versioned, EncodingType="value")["ArgumentName"] == "encoding-type"
    assert "Versions" not in s3.list_object_versions(Bucket=versioned, MaxKeys=0)


def test_listing_rolls_up(s3, versioned):
    for key in ("a/1", "a/2", "b ü", "c/1"):
        put(s3, versioned, key, b"")
    s3.delete_object(Bucket=versioned, Key="a/1")
    s3.delete_object(Bucket=versioned, Key="c/1")
    page = s3.list_object_versions(Bucket=versioned, Delimiter="/")
    assert [one["Prefix"] for one in page["CommonPrefixes"]] == ["a/", "c/"]
    assert [one["Key"] for one in page["Versions"]] == ["b ü"]
    page = s3.list_object_versions(Bucket=versioned, Delimiter="/", MaxKeys=1)
    assert (page["NextKeyMarker"], page["IsTruncated"]) == ("a/", True)
    assert "NextVersionIdMarker" not in page
    page = s3.list_object_versions(Bucket=versioned, Delimiter="/", MaxKeys=1, KeyMarker="a/", EncodingType="url")
    assert page["Versions"][0]["Key"] == "b+%C3%BC"
    page = s3.list_object_versions(Bucket=versioned, Prefix="a/")
    assert [one["Key"] for one in page["Versions"]] == ["a/1", "a/2"] or len(page["Versions"]) == 2
    assert [one["Key"] for one in page["DeleteMarkers"]] == ["a/1"]


def test_delete_many(s3, versioned):
    first, second = put(s3, versioned, "key", b"1"), put(s3, versioned, "key", b"2")

    def delete(*wanted):
        return s3.delete_objects(Bucket=versioned, Delete={"Objects": list(wanted)})

    (gone,) = delete({"Key": "key"})["Deleted"]
    marker = gone.pop("DeleteMarkerVersionId")
    assert gone == {"Key": "key", "DeleteMarker": True}
    answer = delete({"Key": "key", "VersionId": first}, {"Key": "key", "VersionId": "wrong"})
    assert answer["Deleted"] == [{"Key": "key", "VersionId": first}]
    assert [(error["Code"], error["VersionId"]) for error in answer["Errors"]] == [("NoSuchVersion", "wrong")]
    assert delete({"Key": "key", "VersionId": marker})["Deleted"] == [
        {"Key": "key", "VersionId": marker, "DeleteMarker": True, "DeleteMarkerVersionId": marker}
    ]
    assert read(s3, versioned, "key") == (b"2", second)


def test_tags_of_versions(s3, versioned, fails):
    first = put(s3, versioned, "key", b"1", Tagging="a=1")
    second = put(s3, versioned, "key", b"2")
    at = {"Bucket": versioned, "Key": "key"}
    answer = s3.get_object_tagging(**at, VersionId=first)
    assert (answer["TagSet"], answer["VersionId"]) == ([{"Key": "a", "Value": "1"}], first)
    answer = s3.get_object_tagging(**at)
    assert (answer["TagSet"], answer["VersionId"]) == ([], second)
    tags = [{"Key": "b", "Value": "2"}]
    assert s3.put_object_tagging(**at, VersionId=first, Tagging={"TagSet": tags})["VersionId"] == first
    assert s3.put_object_tagging(**at, Tagging={"TagSet": tags})["VersionId"] == second
    assert s3.delete_object_tagging(**at)["VersionId"] == second
    assert s3.get_object_tagging(**at)["TagSet"] == []
    assert s3.get_object_tagging(**at, VersionId=first)["TagSet"] == tags
    assert read(s3, versioned, "key") == (b"2", second)
    marker = s3.delete_object(**at)["VersionId"]
    for more in ({}, {"VersionId": marker}):
        for call, method, values in (
            (s3.get_object_tagging, "GET", {}),
            (s3.put_object_tagging, "PUT", {"Tagging": {"TagSet": tags}}),
            (s3.delete_object_tagging, "DELETE", {}),
        ):
            error = fails(call, **at, **more, **values)
            assert (error["status"], error["Code"], error["Method"]) == (405, "MethodNotAllowed", method)


def test_copies_of_versions(s3, versioned, fails):
    first, second = put(s3, versioned, "key", b"1", Tagging="a=1"), put(s3, versioned, "key", b"22")

    def copy(target="copy", **source):
        return s3.copy_object(Bucket=versioned, Key=target, CopySource={"Bucket": versioned, "Key": "key", **source})

    answer = copy(VersionId=first)
    assert answer["CopySourceVersionId"] == first
    assert read(s3, versioned, "copy") == (b"1", answer["VersionId"])
    answer = copy()
    assert answer["CopySourceVersionId"] == second
    # An old version becomes the current one by being copied onto its key.
    answer = copy("key", VersionId=first)
    assert read(s3, versioned, "key") == (b"1", answer["VersionId"])
    assert s3.get_object_tagging(Bucket=versioned, Key="key")["TagSet"] == [{"Key": "a", "Value": "1"}]
    upload = s3.create_multipart_upload(Bucket=versioned, Key="big")["UploadId"]
    part = s3.upload_part_copy(
        Bucket=versioned,
        Key="big",
        UploadId=upload,
        PartNumber=1,
        CopySource={"Bucket": versioned, "Key": "key", "VersionId": second},
    )
    assert part["CopySourceVersionId"] == second
    marker = s3.delete_object(Bucket=versioned, Key="key")["VersionId"]
    assert fails(copy)["Code"] == "NoSuchKey"
    error = fails(copy, VersionId=marker)
    assert (error["status"], error["Code"]) == (400, "InvalidRequest")
    assert "delete marker by version id" in error["Message"]


def test_uploads_in_parts_make_versions(s3, versioned, fails):
    def upload(body):
        id = s3.create_multipart_upload(Bucket=versioned, Key="key")["UploadId"]
        part = s3.upload_part(Bucket=versioned, Key="key", UploadId=id, PartNumber=1, Body=body)
        listed = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        return {"Bucket": versioned, "Key": "key", "UploadId": id, "MultipartUpload": listed}

    first, second = upload(b"one" * 30_000), upload(b"two")
    made = s3.complete_multipart_upload(**first)
    # The client that has heard nothing asks again, and is told the same; nothing is made twice.
    again = s3.complete_multipart_upload(**first)
    for member in ("ETag", "VersionId", "Location", "ChecksumCRC64NVME"):
        assert again[member] == made[member]
    other = {**first, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": '"' + "0" * 32 + '"'}]}}
    assert fails(s3.complete_multipart_upload, **other)["Code"] == "NoSuchUpload"
    newer = s3.complete_multipart_upload(**second)["VersionId"]
    assert fails(s3.complete_multipart_upload, **first)["Code"] == "NoSuchUpload"
    assert read(s3, versioned, "key", made["VersionId"]) == (b"one" * 30_000, made["VersionId"])
    assert [one[1] for one in listed(s3, versioned)] == [newer, made["VersionId"]]


def test_conditions_look_at_the_current_version(s3, versioned, fails):
    etag = s3.put_object(Bucket=versioned, Key="key", Body=b"1")["ETag"]
    assert fails(put, s3=s3, bucket=versioned, key="key", body=b"2", IfNoneMatch="*")["status"] == 412
    s3.delete_object(Bucket=versioned, Key="key")
    error = fails(put, s3=s3, bucket=versioned, key="key", body=b"2", IfMatch=etag)
    assert (error["status"], error["Code"]) == (404, "NoSuchKey")
    put(s3, versioned, "key", b"2", IfNoneMatch="*")
    assert fails(put, s3=s3, bucket=versioned, key="key", body=b"3", IfMatch=etag)["status"] == 412
    assert fails(s3.delete_object, Bucket=versioned, Key="key", IfMatch=etag)["status"] == 412
    assert len(listed(s3, versioned)) == 3


def test_a_bucket_with_versions_is_not_empty(s3, versioned, fails):
    version = put(s3, versioned, "key", b"x")
    marker = s3.delete_object(Bucket=versioned, Key="key")["VersionId"]
    expected = {
        "status": 409,
        "Code": "BucketNotEmpty",
        "Message": "The bucket you tried to delete is not empty. You must delete all versions in the bucket.",
        "BucketName": versioned,
    }
    assert fails(s3.delete_bucket, Bucket=versioned) == expected
    s3.delete_object(Bucket=versioned, Key="key", VersionId=version)
    assert fails(s3.delete_bucket, Bucket=versioned) == expected
    s3.delete_object(Bucket=versioned, Key="key", VersionId=marker)
    s3.delete_bucket(Bucket=versioned)
