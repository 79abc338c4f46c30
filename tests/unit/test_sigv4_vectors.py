"""The worked examples that AWS publishes: the SigV4 test suite and the Amazon S3 API Reference."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from pileus.access.sigv4 import ChunkSignatures, check_signature, check_time, read_claim
from pileus.kernel.errors import AWSError

# "Signature Version 4 test suite": AKIDEXAMPLE on 2015-08-30, service "service".
SUITE_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SUITE_NOW = 1_440_938_160.0
# "Examples: Signature Calculations in AWS Signature Version 4" (Amazon S3 API Reference).
S3_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
S3_NOW = 1_369_353_600.0
EMPTY = sha256(b"").hexdigest()


def _suite(signed: str, signature: str) -> str:
    return (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={signed}, Signature={signature}"
    )


SUITE: list[tuple[str, str, str, str, dict[str, str], bytes, str, str]] = [
    ("get-vanilla", "GET", "/", "", {}, b"", "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("get-vanilla-query-order-key-case", "GET", "/", "Param2=value2&Param1=value1", {}, b"", "host;x-amz-date",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ("get-relative", "GET", "/example/..", "", {}, b"", "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("get-slash", "GET", "//", "", {}, b"", "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("get-header-value-trim", "GET", "/", "", {"my-header1": " value1", "my-header2": ' "a   b   c"'}, b"",
     "host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
    ("get-header-value-order", "GET", "/", "", {"my-header1": "value4,value1,value3,value2"}, b"",
     "host;my-header1;x-amz-date", "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"),
    ("post-vanilla", "POST", "/", "", {}, b"", "host;x-amz-date",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("post-x-www-form-urlencoded", "POST", "/", "", {"content-type": "application/x-www-form-urlencoded"},
     b"Param1=value1", "content-type;host;x-amz-date",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "query", "more", "body", "signed", "signature"), [v[1:] for v in SUITE],
                         ids=[v[0] for v in SUITE])  # fmt: skip
def test_the_suite(
    *, method: str, path: str, query: str, more: dict[str, str], body: bytes, signed: str, signature: str
) -> None:
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z", **more}
    headers["authorization"] = _suite(signed, signature)
    claim = read_claim(query, headers, "json")
    assert claim is not None
    check_time(claim, SUITE_NOW, "json")
    arguments: dict[str, Any] = {
        "method": method, "path": path, "query": query, "headers": headers,
        "body_sha256": sha256(body).hexdigest(), "family": "json",
    }  # fmt: skip
    check_signature(claim, SUITE_SECRET, **arguments)
    with pytest.raises(AWSError):
        check_signature(claim, SUITE_SECRET + "x", **arguments)
    with pytest.raises(AWSError):
        check_signature(claim, SUITE_SECRET, **{**arguments, "method": "DELETE"})


def _s3(signed: str, signature: str) -> str:
    return (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={signed},Signature={signature}"
    )


S3_EXAMPLES: list[tuple[str, str, str, str, dict[str, str], str, str]] = [
    ("get-object", "GET", "/test.txt", "", {"range": "bytes=0-9", "x-amz-content-sha256": EMPTY},
     "host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    ("put-object", "PUT", "/test%24file.text", "",
     {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY",
      "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    ("put-object unencoded", "PUT", "/test$file.text", "",
     {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY",
      "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    ("get-bucket-lifecycle", "GET", "/", "lifecycle", {"x-amz-content-sha256": EMPTY},
     "host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ("list-objects", "GET", "/", "max-keys=2&prefix=J", {"x-amz-content-sha256": EMPTY},
     "host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "query", "more", "signed", "signature"), [v[1:] for v in S3_EXAMPLES],
                         ids=[v[0] for v in S3_EXAMPLES])  # fmt: skip
def test_s3_in_the_header(
    *, method: str, path: str, query: str, more: dict[str, str], signed: str, signature: str
) -> None:
    headers = {"host": "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z", **more}
    headers["authorization"] = _s3(signed, signature)
    claim = read_claim(query, headers, "s3")
    assert claim is not None
    check_time(claim, S3_NOW, "s3")
    check_signature(
        claim, S3_SECRET, method=method, path=path, query=query, headers=headers, body_sha256="", family="s3"
    )


PRESIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


def test_s3_presigned() -> None:
    headers = {"host": "examplebucket.s3.amazonaws.com"}
    claim = read_claim(PRESIGNED, headers, "s3")
    assert claim is not None
    assert claim.expires_s == 86400
    check_time(claim, S3_NOW + 86400, "s3")
    check_signature(
        claim, S3_SECRET, method="GET", path="/test.txt", query=PRESIGNED, headers=headers, body_sha256="", family="s3"
    )


CHUNK_SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CHUNKS = [
    (b"a" * 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (b"a" * 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (b"", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
]


def _chunks() -> ChunkSignatures:
    headers = {
        "host": "s3.amazonaws.com",
        "x-amz-date": "20130524T000000Z",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "content-encoding": "aws-chunked",
        "content-length": "66824",
        "x-amz-decoded-content-length": "66560",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    }
    signed = (
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
        "x-amz-storage-class"
    )
    headers["authorization"] = _s3(signed, CHUNK_SEED)
    claim = read_claim("", headers, "s3")
    assert claim is not None
    path = "/examplebucket/chunkObject.txt"
    key = check_signature(
        claim, S3_SECRET, method="PUT", path=path, query="", headers=headers, body_sha256="", family="s3"
    )
    return ChunkSignatures(key, claim)


def test_s3_chunked() -> None:
    chunks = _chunks()
    for data, signature in CHUNKS:
        chunks.chunk(sha256(data).hexdigest(), signature)


def test_s3_chunks_in_another_order() -> None:
    chunks = _chunks()
    data, signature = CHUNKS[1]
    with pytest.raises(AWSError, match="SignatureDoesNotMatch"):
        chunks.chunk(sha256(data).hexdigest(), signature)


def test_s3_chunk_altered() -> None:
    chunks = _chunks()
    with pytest.raises(AWSError, match="SignatureDoesNotMatch"):
        chunks.chunk(sha256(b"b" * 65536).hexdigest(), CHUNKS[0][1])


def test_s3_chunked_with_trailer() -> None:
    headers = {
        "host": "s3.amazonaws.com",
        "x-amz-date": "20130524T000000Z",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "x-amz-trailer": "x-amz-checksum-crc32c",
    }
    signed = (
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;"
        "x-amz-trailer"
    )
    headers["authorization"] = _s3(signed, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
    claim = read_claim("", headers, "s3")
    assert claim is not None
    path = "/examplebucket/chunkObject.txt"
    key = check_signature(
        claim, S3_SECRET, method="PUT", path=path, query="", headers=headers, body_sha256="", family="s3"
    )
    chunks = ChunkSignatures(key, claim)
    assert chunks.trailer_signed
    for data, signature in (
        (b"a" * 65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
        (b"a" * 1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
        (b"", "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
    ):
        chunks.chunk(sha256(data).hexdigest(), signature)
    chunks.trailer(
        b"x-amz-checksum-crc32c:sOO8/Q==\n", "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    )
