"""Checksums and digests: verified, kept, shown."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.kernel import digests
from pileus.services.s3 import checksums

ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
# Of b"hello world"; recorded from AWS where the recordings have them, else from the standard library.
KNOWN = {
    "CRC32": "DUoRhQ==",
    "SHA1": base64.b64encode(hashlib.sha1(b"hello world").digest()).decode(),
    "SHA256": base64.b64encode(hashlib.sha256(b"hello world").digest()).decode(),
    "SHA512": base64.b64encode(hashlib.sha512(b"hello world").digest()).decode(),
    "MD5": base64.b64encode(hashlib.md5(b"hello world").digest()).decode(),
}


def of(algorithm, data):
    digest = digests.new(algorithm)
    digest.update(data)
    return digests.text(digest.digest())


@pytest.mark.parametrize("algorithm", KNOWN)
def test_known_values(algorithm):
    assert of(algorithm, b"hello world") == KNOWN[algorithm]


def test_check_values_of_the_crc_catalogue():
    assert of("CRC32", b"123456789") == base64.b64encode(bytes.fromhex("cbf43926")).decode()
    assert of("CRC32C", b"123456789") == base64.b64encode(bytes.fromhex("e3069283")).decode()
    assert of("CRC64NVME", b"123456789") == base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode()


@pytest.mark.parametrize("algorithm", digests.ALGORITHMS)
def test_sizes_and_streaming(algorithm):
    data = os.urandom(10_000)
    digest = digests.new(algorithm)
    for at in range(0, len(data), 777):
        digest.update(data[at : at + 777])
    assert digests.text(digest.digest()) == of(algorithm, data)
    checksums.check_form(algorithm, of(algorithm, data))


@given(st.sampled_from(checksums.LINEAR), st.lists(st.binary(max_size=300), min_size=1, max_size=6))
def test_the_crc_of_the_whole_from_its_parts(algorithm, parts):
    combined = checksums.combined(algorithm, [(of(algorithm, part), len(part)) for part in parts])
    assert combined == of(algorithm, b"".join(parts))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [11, 200_000])
def test_sent_checksums_are_verified_and_kept(s3, bucket, fails, algorithm, size):
    body, member = b"x" * size, "Checksum" + algorithm
    value = of(algorithm, body)
    put = s3.put_object(Bucket=bucket, Key="key", Body=body, **{member: value})
    assert (put[member], put["ChecksumType"]) == (value, "FULL_OBJECT")
    head = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert (head[member], head["ChecksumType"]) == (value, "FULL_OBJECT")
    assert s3.get_object(Bucket=bucket, Key="key")[member] == value
    attributes = s3.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=["Checksum"])
    assert attributes["Checksum"] == {member: value, "ChecksumType": "FULL_OBJECT"}
    (listed,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == ([algorithm], "FULL_OBJECT")
    copy = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "key"})
    assert copy["CopyObjectResult"][member] == value

    wrong = of(algorithm, b"other")
    assert fails(s3.put_object, Bucket=bucket, Key="bad", Body=body, **{member: wrong}) == {
        "status": 400,
        "Code": "BadDigest",
        "Message": f"The {algorithm} you specified did not match the calculated checksum.",
    }
    for malformed in ("test", "aGVsbG8="):
        assert fails(s3.put_object, Bucket=bucket, Key="bad", Body=body, **{member: malformed}) == {
            "status": 400,
            "Code": "InvalidRequest",
            "Message": f"Value for x-amz-checksum-{algorithm.lower()} header is invalid.",
        }
    assert fails(s3.head_object, Bucket=bucket, Key="bad")["status"] == 404


def test_one_checksum_only(bucket, raw):
    body = b"hello world"
    status, _, answer = raw(
        "PUT",
        f"/{bucket}/key",
        body=body,
        headers={"x-amz-checksum-sha256": of("SHA256", body), "x-amz-checksum-crc32": of("CRC32", body)},
    )
    assert status == 400
    assert b"Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed." in answer


def test_objects_without_a_checksum_get_one(s3, bucket, raw):
    status, headers, _ = raw("PUT", f"/{bucket}/key", body=b"hello world")
    assert status == 200
    head = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == of("CRC64NVME", b"hello world")
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert headers["x-amz-checksum-crc64nvme"] == head["ChecksumCRC64NVME"]


def _chunked(body, trailers=(), size=65536):
    """aws-chunked framing without signatures."""
    framed = b""
    for at in range(0, len(body), size):
        chunk = body[at : at + size]
        framed += b"%x\r\n%b\r\n" % (len(chunk), chunk)
    framed += b"0\r\n"
    for name, value in trailers:
        framed += f"{name}:{value}\r\n".encode()
    return framed + b"\r\n"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [11, 300_000])
def test_trailing_checksums(s3, bucket, raw, algorithm, size):
    body, name = os.urandom(size), "x-amz-checksum-" + algorithm.lower()
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(size),
        "x-amz-trailer": name,
    }
    status, answered, _ = raw(
        "PUT", f"/{bucket}/key", body=_chunked(body, [(name, of(algorithm, body))]), headers=headers
    )
    assert status == 200
    assert answered[name] == of(algorithm, body)
    got = s3.get_object(Bucket=bucket, Key="key")
    assert got["Body"].read() == body
    assert "ContentEncoding" not in got
    for trailers, code in (
        ([(name, of(algorithm, b"other"))], b"BadDigest"),
        ([(name, "wrong")], b"InvalidRequest"),
        ([], b"MalformedTrailerError"),
    ):
        status, _, answer = raw("PUT", f"/{bucket}/bad", body=_chunked(body, trailers), headers=headers)
        assert status == 400
        assert b"<Code>" + code + b"</Code>" in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_content_md5(s3, bucket, fails):
    good = base64.b64encode(hashlib.md5(b"something").digest()).decode()
    s3.put_object(Bucket=bucket, Key="key", Body=b"something", ContentMD5=good)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = {"Bucket": bucket, "Key": "parts", "UploadId": upload, "PartNumber": 1, "Body": b"something"}
    s3.upload_part(**part, ContentMD5=good)
    for wrong in ("__invalid__", "000", "not base64 encoded checksum", "MTIz", "dGVzdC1zdHJpbmc="):
        refused = {
            "status": 400,
            "Code": "InvalidDigest",
            "Message": "The Content-MD5 you specified was invalid.",
            "Content-MD5": wrong,
        }
        assert fails(s3.put_object, Bucket=bucket, Key="bad", Body=b"something", ContentMD5=wrong) == refused
        assert fails(s3.upload_part, **part, ContentMD5=wrong) == refused
    other = hashlib.md5(b"other")
    mismatch = {
        "status": 400,
        "Code": "BadDigest",
        "Message": "The Content-MD5 you specified did not match what we received.",
        "CalculatedDigest": good,
        "ExpectedDigest": other.hexdigest(),
    }
    sent = base64.b64encode(other.digest()).decode()
    assert fails(s3.put_object, Bucket=bucket, Key="bad", Body=b"something", ContentMD5=sent) == mismatch
    # Where PutObject shows it in hexadecimal, UploadPart shows it as it came.
    assert fails(s3.upload_part, **part, ContentMD5=sent) == {**mismatch, "ExpectedDigest": sent}


def test_copying_with_another_algorithm(s3, bucket):
    s3.put_object(Bucket=bucket, Key="key", Body=b"hello world")
    source = {"Bucket": bucket, "Key": "key"}
    for algorithm in ALGORITHMS:
        answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ChecksumAlgorithm=algorithm)
        assert answer["CopyObjectResult"]["Checksum" + algorithm] == of(algorithm, b"hello world")
        assert answer["CopyObjectResult"]["ChecksumType"] == "FULL_OBJECT"
    assert zlib.crc32(b"hello world") == int.from_bytes(base64.b64decode(of("CRC32", b"hello world")), "big")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_bodies_that_do_not_stream_are_verified(s3, bucket, raw, algorithm):
    body, name = b"<Delete><Object><Key>key</Key></Object></Delete>", "x-amz-checksum-" + algorithm.lower()
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")

    def delete(headers):
        return raw("POST", f"/{bucket}?delete", body=body, headers=headers)

    for headers, code in (
        ({name: of(algorithm, b"other")}, b"BadDigest"),
        ({name: "wrong"}, b"InvalidRequest"),
        ({"content-md5": of("MD5", b"other")}, b"BadDigest"),
        ({"content-md5": "wrong"}, b"InvalidDigest"),
    ):
        status, _, answer = delete(headers)
        assert status == 400
        assert b"<Code>" + code + b"</Code>" in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert delete({name: of(algorithm, body), "content-md5": of("MD5", body)})[0] == 200
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_what_headers_say_of_a_checksum_must_agree(bucket, refused):
    value, other = of("CRC32", b"hello"), of("SHA1", b"hello")
    unmatched = "Value for x-amz-sdk-checksum-algorithm header is invalid."
    cases = [
        (
            {"x-amz-sdk-checksum-algorithm": "CRC32"},
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
            "were found.",
        ),
        ({"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": value}, unmatched),
        ({"x-amz-sdk-checksum-algorithm": "unknown", "x-amz-checksum-crc32": value}, unmatched),
        ({"x-amz-sdk-checksum-algorithm": "unknown"}, unmatched),
        (
            {"x-amz-checksum-sha256a": "dummy"},
            "The algorithm type you specified in x-amz-checksum- header is invalid.",
        ),
        (
            {"x-amz-checksum-crc32": value, "x-amz-checksum-sha1": other},
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ),
    ]
    for headers, message in cases:
        found = refused("PUT", f"/{bucket}/a", "Message", body=b"hello", headers=headers)
        assert found == (400, "InvalidRequest", message), headers
    for headers in (
        {"x-amz-sdk-checksum-algorithm": "crc32", "x-amz-checksum-crc32": value},
        {"x-amz-checksum-type": "FULL_OBJECT", "x-amz-checksum-algorithm": "CRC32"},
    ):
        assert refused("PUT", f"/{bucket}/a", body=b"hello", headers=headers)[0] == 200, headers


def test_trailers_that_are_no_checksums(bucket, refused):
    headers = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": "3"}
    body = b"3\r\nabc\r\n0\r\nx-amz-checksum-%s:AAAA\r\n\r\n"
    for named, sent, expected in (
        ("x-amz-checksum-foo", b"foo", "InvalidRequest"),
        ("x-amz-checksum-crc32", b"crc32", "InvalidRequest"),
        ("x-amz-checksum-crc32", b"sha1", "MalformedTrailerError"),
    ):
        more = {**headers, "x-amz-trailer": named}
        assert refused("PUT", f"/{bucket}/a", body=body % sent, headers=more) == (400, expected), (named, sent)


@pytest.mark.parametrize("length", ["three", "9" * 5000])
def test_announced_lengths_that_are_none(bucket, refused, length):
    headers = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": length}
    assert refused("PUT", f"/{bucket}/a", body=b"3\r\nabc\r\n0\r\n\r\n", headers=headers) == (400, "InvalidArgument")
