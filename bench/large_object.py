"""Memory and speed of one object as large as an upload may be: by one put, by parts, and read again.

python -m bench.large_object [GB]        5 when not said

Both are sent by pre-signed URL, as browsers and other strangers send them, in pieces of 1 MiB. One copy is on the disk
at a time.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import sys
import time
import zlib
from collections.abc import Callable

from bench.client import aws, presigned
from bench.deep_queue import serving
from bench.servers import HOME, Peak, Server

BUCKET = "bench"
PIECE = os.urandom(2**20)
PART_MB = 64


def send(server: Server, head: bytes, pieces: int) -> http.client.HTTPResponse:
    with socket.create_connection(("127.0.0.1", server.port), 120) as connection:
        connection.sendall(head)
        for _ in range(pieces):
            connection.sendall(PIECE)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        answer.read()
    if answer.status != 200:
        raise SystemExit(f"an upload answered {answer.status}")
    return answer


def put(server: Server, pieces: int) -> None:
    send(server, presigned(server, "PUT", f"/{BUCKET}/object", pieces * len(PIECE)), pieces)


def put_parts(server: Server, pieces: int) -> None:
    s3 = aws(server, "s3")
    upload = {"Bucket": BUCKET, "Key": "object"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = []
    for number in range(1, pieces // PART_MB + 1):
        path = f"/{BUCKET}/object?partNumber={number}&uploadId={upload['UploadId']}"
        answer = send(server, presigned(server, "PUT", path, PART_MB * len(PIECE)), PART_MB)
        parts.append({"PartNumber": number, "ETag": answer.headers["ETag"]})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def get(server: Server, pieces: int) -> None:
    into, got, crc = bytearray(len(PIECE)), 0, 0
    with socket.create_connection(("127.0.0.1", server.port), 120) as connection:
        connection.sendall(presigned(server, "GET", f"/{BUCKET}/object"))
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        while more := answer.readinto(into):
            got, crc = got + more, zlib.crc32(memoryview(into)[:more], crc)
    expected = 0
    for _ in range(pieces):
        expected = zlib.crc32(PIECE, expected)
    if (answer.status, got, crc) != (200, pieces * len(PIECE), expected):
        raise SystemExit(
            f"a download answered {answer.status} with {got} bytes, of CRC {crc:08x} and not {expected:08x}"
        )


def measure(server: Server, what: str, do: Callable[[Server, int], None], pieces: int) -> None:
    server.settle()
    before, cpu_s, begun = server.pss_mb(), server.cpu_s(), time.perf_counter()
    with Peak(server, every_s=0.1) as peak:
        do(server, pieces)
    seconds, cpu_s = time.perf_counter() - begun, server.cpu_s() - cpu_s
    cpu_ms, taken = cpu_s / pieces * 1e3, peak.mb - before
    print(f"{what:22} {pieces / seconds:7.0f} MB/s {cpu_ms:6.2f} ms of processor per MB, {taken:6.1f} MB at the peak")


def main() -> None:
    pieces = int(float(sys.argv[1]) * 1024) if len(sys.argv) > 1 else 5 * 1024
    pieces -= pieces % PART_MB
    folder = HOME / "large-object"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if shutil.disk_usage(folder).free < (pieces + 2048) * 2**20:
        raise SystemExit(f"there is no room for {pieces} MB and two GB beside it")
    try:
        with serving(folder) as (server, _):
            s3 = aws(server, "s3")
            s3.create_bucket(Bucket=BUCKET)
            for what, do in (("one put", put), ("parts of 64 MB", put_parts)):
                measure(server, what, do, pieces)
                measure(server, f"get of {what}", get, pieces)
                s3.delete_object(Bucket=BUCKET, Key="object")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
