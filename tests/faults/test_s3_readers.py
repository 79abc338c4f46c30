"""Downloads that stall or break off: what they hold is bounded, and given back."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import struct
from pathlib import Path

import pytest
from tests.faults.test_s3_torn_uploads import ACCOUNT, client_of, connect, files, head, wait_for

LARGE = 40_000_000
# What a server may gain while it serves them: far below one object for each.
GAIN_MB = 48
READERS = 6
# After which blobs are gone that nothing names any more, seconds.
SWEPT_S = 600


def memory_mb(pid: int) -> float:
    found = re.search(r"(?m)^Pss_Anon:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
    assert found is not None
    return int(found[1]) / 1000


def open_blobs(pid: int) -> list[str]:
    """The blobs that the process has open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue
        if "/blobs/" in target:
            found.append(target)
    return found


@pytest.fixture
def large(start_pileus, tmp_path):
    """A server with one large object; its parts make it of several blobs."""
    server = start_pileus("--clock", "virtual", data_dir=tmp_path / "data")
    s3 = client_of(server)
    s3.create_bucket(Bucket="read")
    body = os.urandom(LARGE)
    upload = {"Bucket": "read", "Key": "key"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = []
    for number, part in enumerate((body[: LARGE // 2], body[LARGE // 2 :]), 1):
        etag = s3.upload_part(**upload, PartNumber=number, Body=part)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    return server, s3, hashlib.sha256(body).hexdigest()


def begin(server) -> tuple[socket.socket, http.client.HTTPResponse]:
    """A download of which nothing but the head has been read."""
    connection = connect(server.endpoint)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    connection.sendall(head(server.endpoint, ACCOUNT, "/read/key", length=0, method="GET"))
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    assert (answer.status, answer.length) == (200, LARGE)
    return connection, answer


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_readers_that_vanish(large, tmp_path, reset):
    server, s3, digest = large
    for read in (0, 1, 100_000, LARGE - 1, LARGE // 2, 1_000_000):
        connection, answer = begin(server)
        left = read
        while left:
            left -= len(answer.read(min(left, 1_000_000)))
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        answer.close()
        connection.close()
    wait_for(lambda: not open_blobs(server.process.pid), "what vanished readers were sent is still open")
    whole = s3.get_object(Bucket="read", Key="key")["Body"]
    assert hashlib.sha256(whole.read()).hexdigest() == digest
    s3.delete_object(Bucket="read", Key="key")
    server.advance(SWEPT_S)
    wait_for(lambda: not files(tmp_path / "data"), "what was deleted is still there")


def test_readers_that_stall_hold_little_and_get_what_they_asked_for(large, tmp_path):
    server, s3, digest = large
    before = memory_mb(server.process.pid)
    readers = [begin(server) for _ in range(READERS)]
    first = [answer.read(1000) for _, answer in readers]
    # The server goes on meanwhile, also with the object that they read.
    s3.put_object(Bucket="read", Key="other", Body=b"x")
    s3.put_object(Bucket="read", Key="key", Body=b"another")
    s3.delete_object(Bucket="read", Key="key")
    assert memory_mb(server.process.pid) - before < GAIN_MB
    server.advance(SWEPT_S)
    for (connection, answer), start in zip(readers, first, strict=True):
        found = hashlib.sha256(start)
        while chunk := answer.read(1_000_000):
            found.update(chunk)
        assert found.hexdigest() == digest
        connection.close()
    wait_for(lambda: not open_blobs(server.process.pid), "blobs are open that nobody reads")
    server.advance(SWEPT_S)
    wait_for(lambda: not files(tmp_path / "data"), "what was deleted is still there")
