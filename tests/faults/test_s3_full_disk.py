"""A disk that is full: uploads are refused and leave nothing, what was there can be read, and it goes on afterwards."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

ROOM_BYTES = 3 << 20
PART_BYTES = 5 << 20


def body(name: str, size: int) -> bytes:
    """The bytes of an object, the same whenever they are asked for."""
    return (hashlib.sha256(name.encode()).digest() * (size // 32 + 1))[:size]


def test_a_full_disk_refuses_uploads_and_keeps_what_was_acknowledged(
    start_pileus: Callable[..., Any], aws: Any, tmp_path: Path
) -> None:
    """A limit on the size of files stands for the full disk: it can be set and lifted under a running node."""
    data = tmp_path / "data"
    server = start_pileus("--clock", "virtual", data_dir=data, durability="full")
    account = type(aws)(server.endpoint)
    s3 = account.client("s3")
    s3.create_bucket(Bucket="bucket")
    kept: dict[str, bytes] = {}

    def put(key: str, size: int) -> None:
        s3.put_object(Bucket="bucket", Key=key, Body=body(key, size))
        kept[key] = body(key, size)

    def check(s3: Any) -> None:
        listed = s3.list_objects_v2(Bucket="bucket").get("Contents", ())
        assert {one["Key"]: one["Size"] for one in listed} == {key: len(text) for key, text in kept.items()}
        for key, text in kept.items():
            assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == text

    def files() -> int:
        return sum(path.is_file() for path in (data / "blobs").rglob("*"))

    for key, size in (("small", 100), ("large", 2 << 20), ("again", 200_000)):
        put(key, size)
    upload = s3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
    names = {"Bucket": "bucket", "Key": "parts", "UploadId": upload}
    first = s3.upload_part(**names, PartNumber=1, Body=body("first", PART_BYTES))["ETag"]
    before = files()

    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    store = max(file.stat().st_size for file in data.rglob("store.db*"))
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (max(store, ROOM_BYTES), hard))
    refused: list[tuple[int, str]] = []

    def refuse(call: Callable[..., Any], **request: Any) -> None:
        try:
            call(**request)
        except ClientError as error:
            refused.append((error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]))

    refuse(s3.put_object, Bucket="bucket", Key="new", Body=body("new", 2 * ROOM_BYTES))
    # An object that is there stays what it was.
    refuse(s3.put_object, Bucket="bucket", Key="large", Body=body("other", 2 * ROOM_BYTES))
    refuse(s3.upload_part, **names, PartNumber=2, Body=body("second", 2 * ROOM_BYTES))
    assert refused == [(503, "ServiceUnavailable")] * 3
    check(s3)
    # What goes into the store itself, until that is full.
    full = len(refused) + 1
    for number in range(1000):
        refuse(put, key=f"s{number}", size=50_000)
        if len(refused) == full:
            break
    assert refused[-1:] * 4 == refused, "the disk did not become full"
    check(s3)
    assert [part["PartNumber"] for part in s3.list_parts(**names)["Parts"]] == [1]

    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    server.advance(120)
    assert files() == before, "what was refused has left files"
    put("large", 2 * ROOM_BYTES)
    second = s3.upload_part(**names, PartNumber=2, Body=body("second", 10))["ETag"]
    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
    s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    kept["parts"] = body("first", PART_BYTES) + body("second", 10)
    check(s3)
    server.kill()
    server = start_pileus("--clock", "virtual", data_dir=data)
    check(type(aws)(server.endpoint, account.account).client("s3"))
