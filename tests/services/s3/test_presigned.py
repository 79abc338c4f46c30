"""URLs that are signed ahead, for whoever has no credentials."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


@pytest.fixture
def presign(aws, s3, bucket):
    """`presign(method, key, query, version)`: a URL with these parameters under its signature."""
    endpoint = s3.meta.endpoint_url
    credentials = Credentials(aws.account, "test")

    def sign(method, key, query, version=4):
        url = f"{endpoint}/{bucket}/{key}"
        if version == 4:
            request = AWSRequest(method, url, params=query)
            S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=60).add_auth(request)
            return request.prepare().url
        request = AWSRequest(method, url, headers=query)
        request.auth_path = f"/{bucket}/{key}"
        HmacV1QueryAuth(credentials, expires=60).add_auth(request)
        return request.url

    return sign


def send(method, url, body=b"", headers=()):
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": "", **dict(headers)})
    with urllib.request.urlopen(request) as answer:
        return answer.status, answer.headers


@pytest.mark.parametrize("version", [4, 2])
def test_headers_that_stand_in_the_query(s3, bucket, presign, version):
    query = {"x-amz-meta-Foo": "bar", "x-amz-storage-class": "STANDARD_IA", "X-Amz-Tagging": "a=b"}
    status, _ = send("PUT", presign("PUT", "key", query, version), b"123456")
    assert status == 200
    found = s3.head_object(Bucket=bucket, Key="key")
    assert (found["Metadata"], found["StorageClass"]) == ({"foo": "bar"}, "STANDARD_IA")
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_text_beyond_ascii_in_the_query(s3, bucket, presign):
    value = "non-ascii-%E2%80%94_—_é_"
    send("PUT", presign("PUT", "key", {"x-amz-meta-foo": value}, 2))
    found = s3.head_object(Bucket=bucket, Key="key")["Metadata"]
    assert found == {"foo": "=?UTF-8?Q?non-ascii-%E2%80%94=5F=E2=80=94=5F=C3=A9=5F?="}


def test_a_copy_that_the_query_asks_for(s3, bucket, presign):
    s3.put_object(Bucket=bucket, Key="from", Body=b"here")
    send("PUT", presign("PUT", "to", {"x-amz-copy-source": f"/{bucket}/from"}))
    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == b"here"


def test_a_checksum_in_the_query_is_held_against_the_body(s3, bucket, presign):
    url = presign("PUT", "key", {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "CRC32"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        send("PUT", url, b"not empty")
    assert caught.value.code == 400
    assert b"<Code>BadDigest</Code>" in caught.value.read()
    send("PUT", url)
    assert s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")["ChecksumCRC32"] == "AAAAAA=="


def test_a_header_goes_before_what_the_query_says(s3, bucket, presign):
    url = s3.generate_presigned_url(
        "put_object", Params={"Bucket": bucket, "Key": "key", "StorageClass": "STANDARD_IA"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        send("PUT", url + "&x-amz-storage-class=GLACIER")
    assert b"<Code>SignatureDoesNotMatch</Code>" in caught.value.read()


@pytest.mark.parametrize("version", [4, 2])
@pytest.mark.parametrize(
    "smuggle",
    [
        lambda url, source: f"{url}&X-Amz-Copy-Source={source}",
        lambda url, source: f"{url}&x-amz-meta-b",
        lambda url, source: url.replace("x-amz-meta-a=1", "x-amz-meta-a=2&x-amz-meta-a=1"),
        lambda url, source: url.replace("x-amz-meta-a=1", "X-Amz-Meta-A=2&x-amz-meta-a=1"),
        lambda url, source: f"{url}&x-amz-meta-a=2",
    ],
    ids=["capitals", "no-value", "before", "capitals-before", "behind"],
)
def test_whoever_has_a_url_adds_nothing_to_it(s3, bucket, presign, fails, smuggle, version):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"another's")
    url = presign("PUT", "key", {"x-amz-meta-a": "1"}, version)
    assert "x-amz-meta-a=1" in url
    with pytest.raises(urllib.error.HTTPError) as caught:
        send("PUT", smuggle(url, f"/{bucket}/secret"))
    assert b"<Code>SignatureDoesNotMatch</Code>" in caught.value.read()
    assert fails(s3.get_object, Bucket=bucket, Key="key")["Code"] == "NoSuchKey"


def test_nothing_in_the_query_counts_where_it_is_not_signed(s3, bucket, raw):
    status, _, _ = raw("PUT", f"/{bucket}/key?x-amz-meta-foo=bar", body=b"1")
    assert status == 200
    assert s3.head_object(Bucket=bucket, Key="key")["Metadata"] == {}


@pytest.mark.parametrize("size", [7, 20_000_000])
def test_a_put_as_curl_makes_it(s3, bucket, raw, size):
    """`curl --data-binary` says that it is a form, whatever it sends."""
    body = b"a=b&c=d" if size == 7 else bytes(size)
    status, _, _ = raw(
        "PUT", f"/{bucket}/key", body=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert status == 200
    found = s3.head_object(Bucket=bucket, Key="key")
    assert (found["ContentLength"], found["ContentType"]) == (size, "application/x-www-form-urlencoded")


def test_every_answer_says_who_it_is_of(s3, bucket, fails):
    answers = [s3.list_buckets(), s3.put_object(Bucket=bucket, Key="a"), s3.get_object(Bucket=bucket, Key="a")]
    assert {answer["ResponseMetadata"]["HTTPHeaders"]["server"] for answer in answers} == {"AmazonS3"}
    with pytest.raises(s3.exceptions.NoSuchKey) as caught:
        s3.get_object(Bucket=bucket, Key="b")
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["server"] == "AmazonS3"
