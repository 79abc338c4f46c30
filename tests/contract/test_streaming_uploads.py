"""Uploads in every framing that S3 takes, byte by byte, with signatures made here by the published rules.

Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks (Chunked Upload)
(AWS Signature Version 4)" and "... Including Trailing Headers" (Amazon S3 API Reference).
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import socket
import uuid
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

EMPTY = hashlib.sha256(b"").hexdigest()
DATA = bytes(range(256)) * 700  # more than two chunks of the 64 KiB that AWS names as the smallest


class Upload:
    """A PUT whose body is framed and signed by hand."""

    def __init__(self, endpoint: str, account: str, path: str, payload: str, **headers: str) -> None:
        self.address = urlsplit(endpoint)
        self.stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        self.scope = f"{self.stamp[:8]}/us-east-1/s3/aws4_request"
        key = b"AWS4test"
        for part in self.scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        self.key = key
        self.headers = {
            "content-encoding": "aws-chunked",
            "host": self.address.netloc,
            "x-amz-content-sha256": payload,
            "x-amz-date": self.stamp,
            "x-amz-decoded-content-length": str(len(DATA)),
            **headers,
        }
        names = ";".join(sorted(self.headers))
        lines = "".join(f"{name}:{self.headers[name]}\n" for name in sorted(self.headers))
        canonical = f"PUT\n{path}\n\n{lines}\n{names}\n{payload}"
        self.seed = self.sign("AWS4-HMAC-SHA256", hashlib.sha256(canonical.encode()).hexdigest())
        self.headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={account}/{self.scope}, SignedHeaders={names}, Signature={self.seed}"
        )
        self.path = path

    def sign(self, algorithm: str, *parts: str) -> str:
        text = "\n".join((algorithm, self.stamp, self.scope, *parts))
        return hmac.new(self.key, text.encode(), "sha256").hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Signed chunks, the empty last one included, without what follows it."""
        previous = self.seed
        for start in range(0, len(DATA) + 65536, 65536):
            chunk = DATA[start : start + 65536]
            digest = hashlib.sha256(chunk).hexdigest()
            previous = self.sign("AWS4-HMAC-SHA256-PAYLOAD", previous, EMPTY, digest)
            end = b"\r\n" if chunk else b""
            yield b"%x;chunk-signature=%s\r\n%s%s" % (len(chunk), previous.encode(), chunk, end)
        self.last = previous

    def trailer_signature(self, block: str) -> str:
        return self.sign("AWS4-HMAC-SHA256-TRAILER", self.last, hashlib.sha256(block.encode()).hexdigest())

    def send(self, body: bytes, *, expect: bool = False) -> tuple[int, str]:
        """(status, answer); with `expect` the body is sent only after `100 Continue`."""
        assert self.address.hostname
        assert self.address.port
        headers = {**self.headers, "content-length": str(len(body)), "connection": "close"}
        if expect:
            headers["expect"] = "100-continue"
        head = f"PUT {self.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with socket.create_connection((self.address.hostname, self.address.port), timeout=30) as sock:
            sock.sendall(head.encode() + b"\r\n")
            answer = b""
            if expect:
                answer = sock.recv(65536)
                if answer.startswith(b"HTTP/1.1 100 "):
                    answer = answer.partition(b"\r\n\r\n")[2]
                    sock.sendall(body)
            else:
                sock.sendall(body)
            while piece := sock.recv(65536):
                answer += piece
        return int(answer.split(b" ", 2)[1]), answer.decode()


def crc32() -> str:
    return base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()


@pytest.fixture
def bucket(aws: Any) -> str:
    name = f"uploads-{uuid.uuid4()}"
    aws.client("s3").create_bucket(Bucket=name)
    return name


def stored(aws: Any, bucket: str) -> bytes | None:
    s3 = aws.client("s3")
    if not s3.list_objects_v2(Bucket=bucket).get("Contents"):
        return None
    body: bytes = s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    return body


@pytest.mark.parametrize("expect", [False, True])
def test_signed_chunks(aws: Any, bucket: str, expect: bool) -> None:
    upload = Upload(aws.endpoint, aws.account, f"/{bucket}/k", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    status, answer = upload.send(b"".join(upload.chunks()) + b"\r\n", expect=expect)
    assert status == 200, answer
    assert stored(aws, bucket) == DATA


def test_a_chunk_that_was_changed_on_the_way_is_refused_and_leaves_nothing(aws: Any, bucket: str) -> None:
    upload = Upload(aws.endpoint, aws.account, f"/{bucket}/k", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    body = b"".join(upload.chunks()) + b"\r\n"
    changed = body[:100_000] + bytes([body[100_000] ^ 1]) + body[100_001:]
    status, answer = upload.send(changed)
    assert status == 403
    assert "<Code>SignatureDoesNotMatch</Code>" in answer
    assert stored(aws, bucket) is None


def test_signed_chunks_with_a_signed_trailing_checksum(aws: Any, bucket: str) -> None:
    upload = Upload(
        aws.endpoint,
        aws.account,
        f"/{bucket}/k",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        **{"x-amz-trailer": "x-amz-checksum-crc32"},
    )
    body = b"".join(upload.chunks())
    signature = upload.trailer_signature(f"x-amz-checksum-crc32:{crc32()}\n")
    body += f"x-amz-checksum-crc32:{crc32()}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()
    status, answer = upload.send(body)
    assert status == 200, answer
    assert f"x-amz-checksum-crc32: {crc32()}" in answer
    assert stored(aws, bucket) == DATA


def test_a_trailer_with_another_signature_is_refused(aws: Any, bucket: str) -> None:
    upload = Upload(
        aws.endpoint,
        aws.account,
        f"/{bucket}/k",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        **{"x-amz-trailer": "x-amz-checksum-crc32"},
    )
    body = b"".join(upload.chunks())
    body += f"x-amz-checksum-crc32:{crc32()}\r\nx-amz-trailer-signature:{'0' * 64}\r\n\r\n".encode()
    status, answer = upload.send(body)
    assert status == 403
    assert "<Code>SignatureDoesNotMatch</Code>" in answer
    assert stored(aws, bucket) is None


@pytest.mark.parametrize("right", [True, False])
def test_unsigned_chunks_with_a_trailing_checksum(aws: Any, bucket: str, right: bool) -> None:
    upload = Upload(
        aws.endpoint,
        aws.account,
        f"/{bucket}/k",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        **{"x-amz-trailer": "x-amz-checksum-crc32"},
    )
    checksum = crc32() if right else "AAAAAA=="
    body = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % (len(DATA), DATA, checksum.encode())
    status, answer = upload.send(body)
    if right:
        assert status == 200, answer
        assert stored(aws, bucket) == DATA
    else:
        assert status == 400
        assert "<Code>BadDigest</Code>" in answer
        assert stored(aws, bucket) is None


@pytest.mark.parametrize("kept", [10, 65536 + 90, 100_000, 179_300])
def test_an_upload_that_breaks_off_leaves_nothing(aws: Any, bucket: str, kept: int) -> None:
    upload = Upload(aws.endpoint, aws.account, f"/{bucket}/k", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    body = b"".join(upload.chunks())
    assert kept < len(body)
    status, answer = upload.send(body[:kept])
    assert status in (400, 403), answer
    assert stored(aws, bucket) is None


def test_a_refused_upload_is_refused_before_its_body_is_sent(aws: Any, bucket: str) -> None:
    upload = Upload(aws.endpoint, aws.account, f"/{bucket}/k", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    upload.headers["authorization"] = upload.headers["authorization"][:-64] + "0" * 64
    status, answer = upload.send(b"never sent", expect=True)
    assert status == 403
    assert "SignatureDoesNotMatch" in answer
