"""Multipart uploads, through the wire."""

from __future__ import annotations

import base64
import hashlib
import os

import pytest

from pileus.kernel import digests

MIB = 1 << 20
NO_SUCH_UPLOAD = (
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
    "completed."
)
INVALID_PART = (
    "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "
    "entity tag may not match the part's entity tag."
)


def of(algorithm, data):
    digest = digests.new(algorithm)
    digest.update(data)
    return digests.text(digest.digest())


def md5_of_md5s(parts):
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"'


class Upload:
    def __init__(self, s3, bucket, key="key", **options):
        self.s3 = s3
        self.at = {"Bucket": bucket, "Key": key}
        self.made = s3.create_multipart_upload(**self.at, **options)
        self.at["UploadId"] = self.made["UploadId"]
        self.parts = []

    def put(self, number, body, **options):
        answer = self.s3.upload_part(**self.at, PartNumber=number, Body=body, **options)
        self.parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        return answer

    def complete(self, parts=None, **options):
        listed = self.parts if parts is None else parts
        return self.s3.complete_multipart_upload(**self.at, MultipartUpload={"Parts": listed}, **options)


def test_parts_become_an_object(s3, bucket):
    bodies = [os.urandom(5 * MIB), os.urandom(5 * MIB + 1), b"tail"]
    upload = Upload(
        s3,
        bucket,
        "folder/key",
        ContentType="image/png",
        Metadata={"a": "1"},
        Tagging="t=1",
        StorageClass="STANDARD_IA",
    )
    assert upload.made["ServerSideEncryption"] == "AES256"
    assert "ChecksumAlgorithm" not in upload.made
    for number, body in enumerate(bodies, 1):
        answer = upload.put(number * 3, body)
        assert answer["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        assert answer["ServerSideEncryption"] == "AES256"
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    done = upload.complete()
    whole = b"".join(bodies)
    assert done["ETag"] == md5_of_md5s(bodies)
    assert (done["Bucket"], done["Key"]) == (bucket, "folder/key")
    assert done["Location"].endswith(f"/{bucket}/folder%2Fkey")
    assert (done["ChecksumCRC64NVME"], done["ChecksumType"]) == (of("CRC64NVME", whole), "FULL_OBJECT")
    got = s3.get_object(Bucket=bucket, Key="folder/key")
    assert got["Body"].read() == whole
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("image/png", {"a": "1"}, 1)
    assert (got["StorageClass"], got["ChecksumCRC64NVME"]) == ("STANDARD_IA", done["ChecksumCRC64NVME"])
    # Ranges across the parts' borders.
    for first, last in ((0, 9), (5 * MIB - 2, 5 * MIB + 3), (len(whole) - 8, len(whole) - 1), (1, len(whole) - 2)):
        span = s3.get_object(Bucket=bucket, Key="folder/key", Range=f"bytes={first}-{last}")
        assert span["Body"].read() == whole[first : last + 1]
    # Part by part.
    part = s3.get_object(Bucket=bucket, Key="folder/key", PartNumber=3)
    assert part["Body"].read() == b"tail"
    assert part["PartsCount"] == 3
    assert part["ContentRange"] == f"bytes {len(whole) - 4}-{len(whole) - 1}/{len(whole)}"
    assert "ChecksumCRC64NVME" not in part
    copy = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "folder/key"})
    assert copy["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(whole).hexdigest()}"'
    assert copy["CopyObjectResult"]["ChecksumCRC64NVME"] == done["ChecksumCRC64NVME"]
    s3.delete_object(Bucket=bucket, Key="folder/key")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == whole


def test_part_numbers_of_objects(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="plain", Body=b"test-123")
    got = s3.get_object(Bucket=bucket, Key="plain", PartNumber=1)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == "bytes 0-7/8"
    assert got["ChecksumCRC32"] == "MAPXAg=="
    assert "PartsCount" not in got
    assert fails(s3.get_object, Bucket=bucket, Key="plain", PartNumber=2) == {
        "status": 416,
        "Code": "InvalidPartNumber",
        "Message": "The requested partnumber is not satisfiable",
        "ActualPartCount": "1",
        "PartNumberRequested": "2",
    }
    error = fails(s3.get_object, Bucket=bucket, Key="plain", PartNumber=1, Range="bytes=0-1")
    assert error["Message"] == "Cannot specify both Range header and partNumber query parameter"


def test_a_part_uploaded_again_counts_anew(s3, bucket):
    upload = Upload(s3, bucket)
    upload.put(1, b"x" * 100_000)
    upload.parts.clear()
    upload.put(1, b"second")
    upload.put(2, b"never listed")
    upload.complete(upload.parts[:1])
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"second"


def test_uploads_that_are_not_there(s3, bucket, fails):
    upload = Upload(s3, bucket, "other")
    for upload_id in ("fakeid", upload.at["UploadId"]):
        at = {"Bucket": bucket, "Key": "key", "UploadId": upload_id}
        missing = {"status": 404, "Code": "NoSuchUpload", "Message": NO_SUCH_UPLOAD, "UploadId": upload_id}
        assert fails(s3.upload_part, **at, PartNumber=1, Body=b"x") == missing
        assert fails(s3.upload_part, **at, PartNumber=1, Body=b"x" * 100_000) == missing
        assert fails(s3.list_parts, **at) == missing
        assert fails(s3.abort_multipart_upload, **at) == missing
        assert (
            fails(s3.complete_multipart_upload, **at, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]})
            == missing
        )


def test_an_aborted_upload_leaves_nothing(s3, bucket, fails):
    upload = Upload(s3, bucket)
    upload.put(1, b"x" * 100_000)
    answer = s3.abort_multipart_upload(**upload.at)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert fails(s3.list_parts, **upload.at)["Code"] == "NoSuchUpload"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_completing_with_wrong_parts(s3, bucket, fails):
    upload = Upload(s3, bucket)
    upload.put(1, b"data")
    upload.put(2, b"data")
    etag = upload.parts[0]["ETag"].strip('"')
    error = fails(s3.complete_multipart_upload, **upload.at)
    assert (error["Code"], error["Message"]) == ("InvalidRequest", "You must specify at least one part")
    assert fails(upload.complete) == {
        "status": 400,
        "Code": "EntityTooSmall",
        "Message": "Your proposed upload is smaller than the minimum allowed size",
        "ETag": etag,
        "MinSizeAllowed": "5242880",
        "PartNumber": "1",
        "ProposedSize": "4",
    }
    wrong = {"status": 400, "Code": "InvalidPart", "Message": INVALID_PART, "UploadId": upload.at["UploadId"]}
    other = "d41d8cd98f00b204e9800998ecf8427e"
    error = fails(upload.complete, parts=[{"PartNumber": 1, "ETag": f'"{other}"'}])
    assert error == {**wrong, "PartNumber": "1", "ETag": other}
    error = fails(upload.complete, parts=[{"PartNumber": 3, "ETag": etag}])
    assert error == {**wrong, "PartNumber": "3", "ETag": etag}
    assert fails(upload.complete, parts=upload.parts[::-1])["Code"] == "InvalidPartOrder"
    error = fails(upload.complete, parts=upload.parts[:1], MpuObjectSize=5)
    assert error["Message"] == "The provided 'x-amz-mp-object-size' header value 5 does not match what was computed: 4"
    for number in (0, 10_001):
        error = fails(s3.upload_part, **upload.at, PartNumber=number, Body=b"x")
        assert error == {
            "status": 400,
            "Code": "InvalidArgument",
            "Message": "Part number must be an integer between 1 and 10000, inclusive",
            "ArgumentName": "partNumber",
            "ArgumentValue": str(number),
        }
    upload.complete(upload.parts[:1], MpuObjectSize=4)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_composite_checksums(s3, bucket, fails, algorithm):
    member = "Checksum" + algorithm
    upload = Upload(s3, bucket, ChecksumAlgorithm=algorithm)
    assert (upload.made["ChecksumAlgorithm"], upload.made["ChecksumType"]) == (algorithm, "COMPOSITE")
    bodies = [os.urandom(5 * MIB), b"tail"]
    for number, body in enumerate(bodies, 1):
        assert upload.put(number, body, ChecksumAlgorithm=algorithm)[member] == of(algorithm, body)
    error = fails(upload.complete)
    assert error["Message"] == (
        f"The upload was created using a {algorithm.lower()} checksum. The complete request must include the "
        "checksum for each part. It was missing for part 1 in the request."
    )
    listed = s3.list_parts(**upload.at)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, "COMPOSITE")
    parts = [{name: part[name] for name in ("PartNumber", "ETag", member)} for part in listed["Parts"]]
    done = upload.complete(parts)
    raw = b"".join(base64.b64decode(of(algorithm, body)) for body in bodies)
    assert (done[member], done["ChecksumType"]) == (of(algorithm, raw) + "-2", "COMPOSITE")
    part = s3.get_object(Bucket=bucket, Key="key", PartNumber=2)
    assert (part[member], part["ChecksumType"]) == (of(algorithm, b"tail"), "COMPOSITE")
    asked = {"Bucket": bucket, "Key": "key", "ObjectAttributes": ["ObjectParts", "Checksum"]}
    shown = s3.get_object_attributes(**asked, MaxParts=1, PartNumberMarker=1)
    assert shown["ObjectParts"] == {
        "TotalPartsCount": 2,
        "PartNumberMarker": 1,
        "NextPartNumberMarker": 2,
        "MaxParts": 1,
        "IsTruncated": False,
        "Parts": [{"PartNumber": 2, "Size": 4, member: of(algorithm, b"tail")}],
    }


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_checksums_of_the_full_object(s3, bucket, fails, algorithm):
    member = "Checksum" + algorithm
    upload = Upload(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    bodies = [os.urandom(5 * MIB), b"tail"]
    for number, body in enumerate(bodies, 1):
        upload.put(number, body, ChecksumAlgorithm=algorithm)
    whole = of(algorithm, b"".join(bodies))
    mismatch = {
        "status": 400,
        "Code": "BadDigest",
        "Message": f"The {algorithm.lower()} you specified did not match the calculated checksum.",
    }
    assert fails(upload.complete, **{member: of(algorithm, b"other")}) == mismatch
    assert fails(upload.complete, ChecksumSHA256=of("SHA256", b"x")) == mismatch
    error = fails(upload.complete, ChecksumType="COMPOSITE")
    assert error["Message"] == (
        "The upload was created using the FULL_OBJECT checksum mode. The complete request must use the same "
        "checksum mode."
    )
    error = fails(upload.complete, parts=[{**upload.parts[0], member: of(algorithm, b"wrong")}])
    assert error["Code"] == "InvalidPart"
    done = upload.complete(ChecksumType="FULL_OBJECT", **{member: whole})
    assert (done[member], done["ChecksumType"]) == (whole, "FULL_OBJECT")
    assert member not in s3.get_object(Bucket=bucket, Key="key", PartNumber=2)
    attributes = s3.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=["ObjectParts"])
    assert attributes["ObjectParts"] == {"TotalPartsCount": 2}


def test_checksum_modes_that_do_not_exist(s3, bucket, fails):
    def create(**options):
        return fails(s3.create_multipart_upload, Bucket=bucket, Key="key", **options)

    assert create(ChecksumType="FULL_OBJECT")["Message"] == (
        "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
    )
    assert create(ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT")["Code"] == "InvalidRequest"
    assert create(ChecksumAlgorithm="CRC64NVME", ChecksumType="COMPOSITE")["Code"] == "InvalidRequest"
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC32C")
    error = fails(upload.put, number=1, body=b"x", ChecksumCRC32=of("CRC32", b"x"))
    assert error["Message"] == (
        "Checksum Type mismatch occurred, expected checksum Type: crc32c, actual checksum Type: crc32"
    )


def test_empty_numbers_count_as_missing(s3, bucket, raw):
    upload = Upload(s3, bucket)
    upload.put(1, b"data")
    at = upload.at
    for parameter in ("part-number-marker", "max-parts"):
        status, _, body = raw("GET", f"/{bucket}/{at['Key']}?uploadId={at['UploadId']}&{parameter}=")
        assert status == 200
        assert b"<MaxParts>1000</MaxParts>" in body
        assert b"<PartNumber>1</PartNumber>" in body


def test_listing_parts(s3, bucket, fails):
    upload = Upload(s3, bucket)
    empty = s3.list_parts(**upload.at)
    assert "Parts" not in empty
    assert (empty["PartNumberMarker"], empty["NextPartNumberMarker"], empty["MaxParts"]) == (0, 0, 1000)
    assert empty["StorageClass"] == "STANDARD"
    assert set(empty["Owner"]) == {"ID"}
    assert set(empty["Initiator"]) == {"ID", "DisplayName"}
    for number in (1, 2, 300):
        upload.put(number, b"part %d" % number)
    first = s3.list_parts(**upload.at, MaxParts=2)
    assert [part["PartNumber"] for part in first["Parts"]] == [1, 2]
    assert (first["IsTruncated"], first["NextPartNumberMarker"]) == (True, 2)
    second = s3.list_parts(**upload.at, MaxParts=2, PartNumberMarker=2)
    assert [(part["PartNumber"], part["Size"]) for part in second["Parts"]] == [(300, 8)]
    assert (second["IsTruncated"], second["NextPartNumberMarker"]) == (False, 300)
    beyond = s3.list_parts(**upload.at, PartNumberMarker=300)
    assert "Parts" not in beyond
    assert beyond["NextPartNumberMarker"] == 0


def test_listing_uploads(s3, bucket, fails):
    ids = {}
    for number, key in enumerate(("b", "a", "a", "c/d", "c/e", "a")):
        ids.setdefault(key, []).append(Upload(s3, bucket, key).at["UploadId"])
        del number
    everything = s3.list_multipart_uploads(Bucket=bucket)
    order = [("a", one) for one in ids["a"]] + [(key, ids[key][0]) for key in ("b", "c/d", "c/e")]
    assert [(one["Key"], one["UploadId"]) for one in everything["Uploads"]] == order
    assert (everything["NextKeyMarker"], everything["NextUploadIdMarker"]) == order[-1]
    assert everything["IsTruncated"] is False
    assert "Prefix" not in everything
    # Page by page, through several uploads of one key.
    seen, markers = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=1, **markers)
        seen += [(one["Key"], one["UploadId"]) for one in page["Uploads"]]
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert seen == order
    behind = s3.list_multipart_uploads(Bucket=bucket, KeyMarker="a", MaxUploads=1)
    assert [one["Key"] for one in behind["Uploads"]] == ["b"]
    rolled = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [one["Prefix"] for one in rolled["CommonPrefixes"]] == ["c/"]
    assert [one["Key"] for one in rolled["Uploads"]] == ["a", "a", "a", "b"]
    inside = s3.list_multipart_uploads(Bucket=bucket, Prefix="c/", EncodingType="url")
    assert (inside["Prefix"], inside["EncodingType"]) == ("c/", "url")
    error = fails(s3.list_multipart_uploads, Bucket=bucket, KeyMarker="a", UploadIdMarker=ids["b"][0])
    assert error == {
        "status": 400,
        "Code": "InvalidArgument",
        "Message": "Invalid uploadId marker",
        "ArgumentName": "upload-id-marker",
        "ArgumentValue": ids["b"][0],
    }


def test_a_bare_post_of_an_object_is_no_operation(bucket, raw):
    for body in (b"", b"<CompleteMultipartUpload/>"):
        status, _, answer = raw("POST", f"/{bucket}/key", body=body)
        assert status == 405
        assert b"<Code>MethodNotAllowed</Code>" in answer
        assert b"<ResourceType>OBJECT</ResourceType>" in answer


@pytest.mark.parametrize("size", [10, 300_000])
def test_parts_copied_from_objects(s3, bucket, fails, size):
    body = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    upload = Upload(s3, bucket)

    def copy(number, **options):
        source = {"Bucket": bucket, "Key": "source"}
        return s3.upload_part_copy(**upload.at, PartNumber=number, CopySource=source, **options)

    answer = copy(1, CopySourceRange="bytes=1-8")
    assert set(answer["CopyPartResult"]) == {"ETag", "LastModified"}
    assert answer["CopyPartResult"]["ETag"] == f'"{hashlib.md5(body[1:9]).hexdigest()}"'
    assert copy(2)["CopyPartResult"]["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    form = (
        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
        "zero-based offsets of the first and last bytes to copy"
    )
    for wrong in ("0-8", "bytes=1-0", "bytes=-", "bytes=1-", "bytes=-2", "bytes=0-1,3-4", "bytes=0--1"):
        assert fails(copy, number=3, CopySourceRange=wrong) == {
            "status": 400,
            "Code": "InvalidArgument",
            "Message": form,
            "ArgumentName": "x-amz-copy-source-range",
            "ArgumentValue": wrong,
        }
    error = fails(copy, number=3, CopySourceRange=f"bytes=0-{size}")
    assert error["Message"] == f"Range specified is not valid for source object of size: {size}"
    error = fails(copy, number=3, CopySourceRange=f"bytes={size}-{size + 5}")
    assert error["Message"] == "The specified copy range is invalid for the source object size"
    listed = s3.list_parts(**upload.at)["Parts"]
    assert [part["Size"] for part in listed] == [8, size]
    upload.complete([{"PartNumber": 2, "ETag": listed[1]["ETag"]}])
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == body


def test_completing_with_bodies_that_list_nothing(s3, bucket, refused):
    upload = Upload(s3, bucket)
    path = f"/{bucket}/{upload.at['Key']}?uploadId={upload.at['UploadId']}"

    def part(text):
        return f"<CompleteMultipartUpload><Part>{text}</Part></CompleteMultipartUpload>".encode()

    for body, expected in (
        (b"", (400, "InvalidRequest", "You must specify at least one part")),
        (b"<CompleteMultipartUpload/>", (400, "MalformedXML")),
        (part("<PartNumber>1</PartNumber>"), (400, "MalformedXML")),
        (part("<ETag>a</ETag>"), (400, "MalformedXML")),
        (part("<PartNumber>a</PartNumber><ETag>a</ETag>"), (400, "MalformedXML")),
        (part("<PartNumber>0</PartNumber><ETag>a</ETag>"), (400, "InvalidArgument", "PartNumber must be >= 1")),
        (part("<PartNumber>1</PartNumber><ETag>a</ETag>"), (400, "InvalidPart")),
    ):
        assert refused("POST", path, "Message", body=body)[: len(expected)] == expected, body
    number = "Part number must be an integer between 1 and 10000, inclusive"
    for given in ("", "0", "10001"):
        found = refused("PUT", f"{path}&partNumber={given}", "Message", "ArgumentValue", body=b"x")
        assert found == (400, "InvalidArgument", number, given)
