"""Encryption: what customers' keys guard, and that what is stored cannot be read without a key."""

from __future__ import annotations

import base64
import hashlib
import os
import stat

import pytest

KEY = b"k" * 32
OTHER = b"o" * 32
MiB = 1024 * 1024


def sse(key=KEY, prefix=""):
    return {
        f"{prefix}SSECustomerAlgorithm": "AES256",
        f"{prefix}SSECustomerKey": key,
    }


def md5(key=KEY):
    return base64.b64encode(hashlib.md5(key).digest()).decode()


def stored_files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_nothing_of_an_object_stands_on_the_disk(start_pileus, tmp_path):
    from tests.conftest import Account

    server = start_pileus(data_dir=tmp_path / "data", durability="full")
    s3 = Account(server.endpoint).client("s3")
    s3.create_bucket(Bucket="encrypted")
    small, large = b"unheard-of " * 100, b"unheard-of " * 200_000
    s3.put_object(Bucket="encrypted", Key="small", Body=small)
    s3.put_object(Bucket="encrypted", Key="large", Body=large)
    server.kill()
    files = stored_files(tmp_path / "data")
    assert not [path for path in files if b"unheard-of" in path.read_bytes()]
    key = tmp_path / "data" / "s3.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not [path for path in files if path != key and key.read_bytes() in path.read_bytes()]

    # Without the key nothing is answered, and nothing new is written under another one.
    hidden = key.rename(tmp_path / "hidden")
    server = start_pileus(data_dir=tmp_path / "data")
    s3 = Account(server.endpoint).client("s3")
    with pytest.raises(Exception, match=r"ServiceUnavailable|503"):
        s3.get_object(Bucket="encrypted", Key="small")
    assert "s3.key is missing" in server.log.read_text()
    server.kill()
    assert not key.exists()
    hidden.rename(key)
    server = start_pileus(data_dir=tmp_path / "data")
    s3 = Account(server.endpoint).client("s3")
    bucket = {"Bucket": "encrypted"}
    # The account is another one: what is asked for is only whether the node works again.
    with pytest.raises(Exception, match="AccessDenied"):
        s3.get_object(**bucket, Key="small")


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 65537, 3 * MiB + 7])
def test_ranges_of_encrypted_bodies(s3, bucket, size):
    data = os.urandom(size)
    for more in ({}, sse()):
        s3.put_object(Bucket=bucket, Key="key", Body=data, **more)
        assert s3.get_object(Bucket=bucket, Key="key", **more)["Body"].read() == data
        for first, last in ((0, 0), (1, 70_000), (65_535, 65_536), (size // 2, size), (max(size - 5, 0), size + 9)):
            if first < size:
                answer = s3.get_object(Bucket=bucket, Key="key", Range=f"bytes={first}-{last}", **more)
                assert answer["Body"].read() == data[first : last + 1]


def test_a_customers_key(s3, bucket, fails):
    answer = s3.put_object(Bucket=bucket, Key="key", Body=b"test_data", **sse())
    assert (answer["SSECustomerAlgorithm"], answer["SSECustomerKeyMD5"]) == ("AES256", md5())
    assert "ServerSideEncryption" not in answer
    # The MD5 would tell of the bytes.
    assert answer["ETag"] != f'"{hashlib.md5(b"test_data").hexdigest()}"'
    for call in (s3.get_object, s3.head_object):
        found = call(Bucket=bucket, Key="key", **sse())
        assert (found["SSECustomerKeyMD5"], found["ETag"]) == (md5(), answer["ETag"])
        assert "ServerSideEncryption" not in found
    attributes = s3.get_object_attributes(
        Bucket=bucket,
        Key="key",
        ObjectAttributes=["ObjectSize", "ETag"],
        SSECustomerAlgorithm="AES256",
        SSECustomerKey=base64.b64encode(KEY).decode(),
        SSECustomerKeyMD5=md5(),
    )
    assert (attributes["ObjectSize"], attributes["ETag"]) == (9, answer["ETag"].strip('"'))

    assert fails(s3.get_object, Bucket=bucket, Key="key") == {
        "status": 400,
        "Code": "InvalidRequest",
        "Message": "The object was stored using a form of Server Side Encryption. The correct parameters must be "
        "provided to retrieve the object.",
    }
    wrong = {
        "status": 403,
        "Code": "AccessDenied",
        "Message": "Requests specifying Server Side Encryption with Customer provided keys must provide the correct "
        "secret key.",
    }
    assert fails(s3.get_object, Bucket=bucket, Key="key", **sse(OTHER)) == wrong
    assert fails(s3.head_object, Bucket=bucket, Key="key", **sse(OTHER))["status"] == 403
    assert fails(s3.get_object, Bucket=bucket, Key="key", **sse() | {"SSECustomerAlgorithm": "KMS"}) == {
        "status": 400,
        "Code": "InvalidEncryptionAlgorithmError",
        "Message": "The Encryption request you specified is not valid. Supported value: AES256.",
        "ArgumentName": "x-amz-server-side-encryption",
        "ArgumentValue": "KMS",
    }
    encoded = {"SSECustomerKey": base64.b64encode(KEY).decode(), "SSECustomerKeyMD5": md5(OTHER)}
    assert fails(s3.get_object, Bucket=bucket, Key="key", SSECustomerAlgorithm="AES256", **encoded) == {
        "status": 400,
        "Code": "InvalidArgument",
        "Message": "The calculated MD5 hash of the key did not match the hash that was provided.",
        "ArgumentName": "x-amz-server-side-encryption",
    }
    assert fails(s3.get_object, Bucket=bucket, Key="key", **sse(b"short")) == {
        "status": 400,
        "Code": "InvalidArgument",
        "Message": "The secret key was invalid for the specified algorithm.",
        "ArgumentName": "x-amz-server-side-encryption",
    }
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    error = fails(s3.get_object, Bucket=bucket, Key="plain", **sse())
    assert error["Message"] == "The encryption parameters are not applicable to this object."
    error = fails(s3.put_object, Bucket=bucket, Key="key", ServerSideEncryption="AES256", **sse())
    assert (error["Code"], error["ArgumentValue"]) == ("InvalidArgument", "AES256")
    s3.delete_object(Bucket=bucket, Key="key")


def test_copying_between_keys(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="source", Body=b"test_data", **sse())
    copy = {"Bucket": bucket, "Key": "target", "CopySource": f"{bucket}/source"}
    assert fails(s3.copy_object, **copy)["Code"] == "InvalidRequest"
    answer = s3.copy_object(**copy, **sse(prefix="CopySource"), **sse(OTHER))
    assert answer["SSECustomerKeyMD5"] == md5(OTHER)
    assert s3.get_object(Bucket=bucket, Key="target", **sse(OTHER))["Body"].read() == b"test_data"
    answer = s3.copy_object(**copy, **sse(prefix="CopySource"))
    assert answer["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket=bucket, Key="target")["Body"].read() == b"test_data"


def test_a_customers_key_for_an_upload_in_parts(s3, bucket, fails):
    data = os.urandom(5 * MiB + 3)
    created = s3.create_multipart_upload(Bucket=bucket, Key="key", **sse())
    assert created["SSECustomerKeyMD5"] == md5()
    upload = {"Bucket": bucket, "Key": "key", "UploadId": created["UploadId"]}
    for more, message in (
        (
            {},
            "The multipart upload initiate requested encryption. Subsequent part requests must include the "
            "appropriate encryption parameters.",
        ),
        (sse(OTHER), "The provided encryption parameters did not match the ones used originally."),
    ):
        error = fails(s3.upload_part, **upload, PartNumber=1, Body=b"x", **more)
        assert (error["Code"], error["Message"]) == ("InvalidRequest", message)
    parts = []
    for number, body in ((1, data[: 5 * MiB]), (2, data[5 * MiB :])):
        answer = s3.upload_part(**upload, PartNumber=number, Body=body, **sse())
        assert answer["SSECustomerKeyMD5"] == md5()
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    answer = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert not {"ServerSideEncryption", "SSECustomerAlgorithm", "ChecksumCRC64NVME"} & set(answer)
    assert s3.get_object(Bucket=bucket, Key="key", **sse())["Body"].read() == data
    found = s3.get_object(Bucket=bucket, Key="key", Range=f"bytes={5 * MiB - 2}-{5 * MiB}", **sse())
    assert found["Body"].read() == data[5 * MiB - 2 : 5 * MiB + 1]


def test_a_bucket_that_blocks_customers_keys(s3, bucket, fails):
    rule = {"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    error = fails(s3.put_object, Bucket=bucket, Key="key", Body=b"x", **sse())
    assert (error["status"], error["Code"]) == (403, "AccessDenied")
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")


def test_keys_of_kms_without_kms(bucket, refused):
    message = (
        "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
    )
    key = {"x-amz-server-side-encryption-aws-kms-key-id": "a-key"}
    for headers in (key, {**key, "x-amz-server-side-encryption": "AES256"}):
        for method, path in (("PUT", f"/{bucket}/a"), ("POST", f"/{bucket}/a?uploads")):
            assert refused(method, path, "Message", headers=headers) == (400, "InvalidArgument", message)
