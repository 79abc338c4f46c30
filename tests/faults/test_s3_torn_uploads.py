"""Uploads that break off: nothing of them shows, and nothing of them stays."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import os
import random
import socket
import struct
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

WAIT_S = 30.0
LARGE = 3_000_000
INLINE_BYTES_MAX = 64 * 1024


class _Unsigned(S3SigV4Auth):
    def payload(self, request):
        return "UNSIGNED-PAYLOAD"


def head(endpoint, account, path, *, length, headers=None, method="PUT"):
    """A signed request as bytes, as far as its body."""
    address = urlsplit(endpoint).netloc
    request = AWSRequest(method, f"http://{address}{path}", headers=headers or {})
    _Unsigned(Credentials(account, "test"), "s3", "us-east-1").add_auth(request)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {address}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def connect(endpoint):
    address = urlsplit(endpoint)
    return socket.create_connection((address.hostname, address.port), timeout=WAIT_S)


def files(data_dir: Path) -> list[Path]:
    return [path for path in (data_dir / "blobs").rglob("*") if path.is_file()]


def wait_for(condition, what):
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


@pytest.fixture
def own(start_pileus, tmp_path):
    """A server of the test's own, and a client of it."""
    server = start_pileus(data_dir=tmp_path / "data")
    return server, client_of(server)


def client_of(server):
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}, max_pool_connections=20),
    )


ACCOUNT = "123456789012"


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("part", [False, True], ids=["object", "part"])
def test_clients_that_vanish(own, tmp_path, reset, part):
    server, s3 = own
    s3.create_bucket(Bucket="torn")
    s3.put_object(Bucket="torn", Key="key", Body=b"before")
    path = "/torn/key"
    if part:
        upload = s3.create_multipart_upload(Bucket="torn", Key="key")["UploadId"]
        path += f"?partNumber=1&uploadId={upload}"
    for sent in (0, 1, 100_000, LARGE - 1):
        with connect(server.endpoint) as connection:
            connection.sendall(head(server.endpoint, ACCOUNT, path, length=LARGE))
            connection.sendall(os.urandom(sent))
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_for(lambda: not files(tmp_path / "data"), "what vanished clients had sent is still there")
    assert s3.get_object(Bucket="torn", Key="key")["Body"].read() == b"before"
    if part:
        assert "Parts" not in s3.list_parts(Bucket="torn", Key="key", UploadId=upload)


def test_bodies_shorter_than_announced(own, tmp_path):
    server, s3 = own
    s3.create_bucket(Bucket="torn")
    for length in (10, LARGE):
        with connect(server.endpoint) as connection:
            connection.sendall(head(server.endpoint, ACCOUNT, "/torn/key", length=length) + b"x" * (length // 2))
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
            assert not answer.startswith(b"HTTP/1.1 200")
    assert "Contents" not in s3.list_objects_v2(Bucket="torn")
    wait_for(lambda: not files(tmp_path / "data"), "short bodies are still there")


def test_chunked_bodies_of_another_length_than_announced(own, tmp_path):
    server, s3 = own
    s3.create_bucket(Bucket="torn")
    for size, announced in ((10, 11), (11, 10), (LARGE, LARGE + 1), (LARGE, LARGE - 1)):
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size)
        headers = {
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": str(announced),
        }
        address = urlsplit(server.endpoint).netloc
        request = AWSRequest("PUT", f"http://{address}/torn/key", headers=headers)

        class Streaming(S3SigV4Auth):
            def payload(self, request):
                return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

        Streaming(Credentials(ACCOUNT, "test"), "s3", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection(address, timeout=WAIT_S)
        connection.request("PUT", "/torn/key", body=framed, headers=dict(request.headers.items()))
        answer = connection.getresponse()
        assert answer.status == 400
        assert b"IncompleteBody" in answer.read()
        connection.close()
    assert "Contents" not in s3.list_objects_v2(Bucket="torn")
    wait_for(lambda: not files(tmp_path / "data"), "what was refused is still there")


def test_bodies_that_are_refused_leave_no_file(own, tmp_path):
    _, s3 = own
    s3.create_bucket(Bucket="torn")
    body = os.urandom(LARGE)
    for wrong in ({"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, {"ChecksumCRC32": "AAAAAA=="}):
        with pytest.raises(ClientError, match="BadDigest"):
            s3.put_object(Bucket="torn", Key="key", Body=body, **wrong)
        assert not files(tmp_path / "data")
    assert "Contents" not in s3.list_objects_v2(Bucket="torn")


@pytest.mark.parametrize("durability", ["relaxed", "full"])
def test_killed_while_uploading(start_pileus, tmp_path, durability):
    """What was acknowledged is whole; what shows is whole; and no file is left that nothing names."""
    data_dir = tmp_path / "data"
    acknowledged: dict[str, str] = {}
    sent: dict[str, set[str]] = {}
    draw = random.Random(7)
    for round_ in range(3):
        server = start_pileus(data_dir=data_dir, durability=durability)
        s3 = client_of(server)
        if round_ == 0:
            s3.create_bucket(Bucket="torn")
        stopping = threading.Event()
        begun = threading.Barrier(5)
        heard = threading.Event()

        def write(worker, s3=s3, stopping=stopping, begun=begun, heard=heard, round_=round_):
            own = random.Random((round_, worker).__hash__())
            begun.wait()
            while not stopping.is_set():
                # Each worker has its own keys, so that what it was told last counts.
                key = f"{worker}/{own.randrange(4)}"
                body = own.randbytes(own.choice((0, 100, 5_000, 70_000, 400_000, 1_500_000)))
                etag = hashlib.md5(body).hexdigest()
                sent.setdefault(key, set()).add(etag)
                acknowledged.pop(key, None)
                try:
                    s3.put_object(Bucket="torn", Key=key, Body=body)
                except (BotoCoreError, ClientError):
                    return
                acknowledged[key] = etag
                heard.set()

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(write, worker) for worker in range(4)]
            begun.wait()
            assert heard.wait(WAIT_S)
            time.sleep(0.2 + draw.random() * 0.4)
            server.kill()
            stopping.set()
            for writer in writers:
                writer.result()

        server = start_pileus(data_dir=data_dir, durability=durability)
        s3 = client_of(server)
        shown = s3.list_objects_v2(Bucket="torn").get("Contents", [])
        found = {}
        for one in shown:
            body = s3.get_object(Bucket="torn", Key=one["Key"])["Body"].read()
            found[one["Key"]] = hashlib.md5(body).hexdigest()
            assert one["ETag"] == f'"{found[one["Key"]]}"'
            assert found[one["Key"]] in sent[one["Key"]]
        for key, etag in acknowledged.items():
            assert found[key] == etag, key
        blobs = sum(one["Size"] > INLINE_BYTES_MAX for one in shown)
        wait_for(lambda: len(files(data_dir)) == blobs, "files are left that nothing names")  # noqa: B023
        assert server.stop() == 0
