"""S3 is killed while it completes uploads, copies, deletes, expires, appends and renames: what it acknowledged is so,
all that shows is whole, nothing shows that nobody asked for, and no file is left that nothing names."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROUNDS = int(os.environ.get("PILEUS_KILL_ROUNDS", "5"))
WAIT_S = 30.0
PART_BYTES = 5 << 20
INLINE_BYTES_MAX = 64 * 1024
SOURCE = random.Random(1).randbytes(PART_BYTES)
# Over the midnight behind the day on which what is written now expires.
JUMP_S = 2 * 86400
SIZES = (0, 100, 70_000, 300_000)
# A directory bucket.
EXPRESS = "bucket--use1-az4--x-s3"


def client(endpoint: str) -> Any:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=20),
    )


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Worker:
    """Does one thing over and over until the node is gone, and remembers what the node said to it.

    `known`: by key, every body that may show (None: that nothing may): what was acknowledged last, and what was asked
    for after that. A worker has keys of its own.
    """

    def __init__(self, do: Callable[[Worker, Any, str], None], draw: random.Random) -> None:
        self.known: dict[str, set[str | None]] = defaultdict(lambda: {None})
        self.done = 0
        self.heard = threading.Event()
        self.draw = draw
        self.prefix = f"{do.__name__}/"
        # What it has appended to, and the rename that it waits for: the keys, and the body's digest.
        self.grown: dict[str, bytes] = {}
        self.moving: tuple[str, str, str] | None = None
        self._do = do
        self.fault: BaseException | None = None

    def ask(self, keys: dict[str, bytes | None], call: Callable[[], Any]) -> Any:
        """Make a call that is to leave these bodies under these keys."""
        wanted = {key: None if body is None else digest(body) for key, body in keys.items()}
        for key, body in wanted.items():
            self.known[key].add(body)
        answer = call()
        for key, body in wanted.items():
            self.known[key] = {body}
        return answer

    def run(self, s3: Any, killed: threading.Event) -> None:
        try:
            while not killed.is_set():
                self._do(self, s3, f"{self.prefix}{self.done % 7}")
                self.done += 1
                self.heard.set()
        except ClientError as error:
            self.fault = error
        except BotoCoreError as error:
            if not killed.wait(5):
                self.fault = error
        finally:
            self.heard.set()


def complete(worker: Worker, s3: Any, key: str) -> None:
    upload = s3.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]
    names = {"Bucket": "bucket", "Key": key, "UploadId": upload}
    first = s3.upload_part_copy(PartNumber=1, CopySource="bucket/source", **names)["CopyPartResult"]["ETag"]
    end = worker.draw.randbytes(worker.draw.choice(SIZES[1:]))
    last = s3.upload_part(PartNumber=2, Body=end, **names)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": last}]}
    worker.ask({key: SOURCE + end}, lambda: s3.complete_multipart_upload(MultipartUpload=parts, **names))


def abort(worker: Worker, s3: Any, key: str) -> None:
    upload = s3.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]
    names = {"Bucket": "bucket", "Key": key, "UploadId": upload}
    s3.upload_part(PartNumber=1, Body=worker.draw.randbytes(300_000), **names)
    worker.ask({key: None}, lambda: s3.abort_multipart_upload(**names))


def copy(worker: Worker, s3: Any, key: str) -> None:
    body = worker.draw.randbytes(worker.draw.choice(SIZES))
    worker.ask({f"{key}/of": body}, lambda: s3.put_object(Bucket="bucket", Key=f"{key}/of", Body=body))
    worker.ask({key: body}, lambda: s3.copy_object(Bucket="bucket", Key=key, CopySource=f"bucket/{key}/of"))


def delete(worker: Worker, s3: Any, key: str) -> None:
    bodies = {f"{key}/{number}": worker.draw.randbytes(worker.draw.choice(SIZES)) for number in range(3)}
    for name, body in bodies.items():
        worker.ask({name: body}, lambda name=name, body=body: s3.put_object(Bucket="bucket", Key=name, Body=body))
    gone = {"Objects": [{"Key": name} for name in bodies]}
    worker.ask(dict.fromkeys(bodies), lambda: s3.delete_objects(Bucket="bucket", Delete=gone))


def append(worker: Worker, s3: Any, key: str) -> None:
    if (before := worker.grown.get(key)) is None:
        try:
            before = s3.get_object(Bucket=EXPRESS, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            before = b""
    body = worker.draw.randbytes(worker.draw.choice(SIZES[1:]))
    added = {"Bucket": EXPRESS, "Key": key, "Body": body, "WriteOffsetBytes": len(before)}
    worker.ask({key: before + body}, lambda: s3.put_object(**added))
    worker.grown[key] = before + body


def rename(worker: Worker, s3: Any, key: str) -> None:
    body = worker.draw.randbytes(worker.draw.choice(SIZES[1:]))
    old, new = f"{key}/old", f"{key}/new"
    worker.ask({old: body}, lambda: s3.put_object(Bucket=EXPRESS, Key=old, Body=body))
    worker.moving = (old, new, digest(body))
    moved = {"Bucket": EXPRESS, "Key": new, "RenameSource": f"{EXPRESS}/{old}"}
    worker.ask({old: None, new: body}, lambda: s3.rename_object(**moved))
    worker.moving = None


def files(data_dir: Path) -> list[Path]:
    return [path for path in (data_dir / "blobs").rglob("*") if path.is_file()]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def part_size(s3: Any, names: dict[str, str], number: int) -> int:
    return int(s3.head_object(**names, PartNumber=number)["ContentLength"])


def read(s3: Any, bucket: str) -> tuple[dict[str, str], int]:
    """(digest by key, in how many files they are)."""
    shown, blobs = {}, 0
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    for one in (one for page in pages for one in page.get("Contents", ())):
        names = {"Bucket": bucket, "Key": one["Key"]}
        body = s3.get_object(**names)["Body"].read()
        assert len(body) == one["Size"]
        shown[one["Key"]] = digest(body)
        parts = 1
        if one["Key"].startswith(("complete/", "append/")):
            found = s3.get_object_attributes(**names, ObjectAttributes=["ObjectParts"])
            parts = found.get("ObjectParts", {}).get("TotalPartsCount", 1)
        sizes = [one["Size"]] if parts == 1 else [part_size(s3, names, number + 1) for number in range(parts)]
        blobs += sum(size > INLINE_BYTES_MAX for size in sizes)
    return shown, blobs


def check(
    server: Any, s3: Any, data_dir: Path, known: dict[str, set[str | None]], moving: list[tuple[str, str, str]]
) -> None:
    shown, blobs = read(s3, "bucket")
    more, more_blobs = read(s3, EXPRESS)
    shown |= more
    assert shown.pop("source") == digest(SOURCE)
    for old, new, body in moving:
        # Under the one key or the other, wherever the rename was cut off.
        assert (shown.get(old) == body) != (shown.get(new) == body)
    for key, may in known.items():
        assert shown.pop(key, None) in may, key
    assert not shown
    for upload in s3.list_multipart_uploads(Bucket="bucket").get("Uploads", ()):
        s3.abort_multipart_upload(Bucket="bucket", Key=upload["Key"], UploadId=upload["UploadId"])
    # What is released stays for a minute, for those who still read it.
    server.advance(120)
    wait_for(lambda: len(files(data_dir)) == blobs + more_blobs, "files are left that nothing names")


def test_killed_amid_changes(start_pileus, tmp_path):
    data_dir = tmp_path / "data"
    draw = random.Random(11)
    known: dict[str, set[str | None]] = {}
    moving: list[tuple[str, str, str]] = []
    for round_ in range(ROUNDS):
        server = start_pileus("--clock", "virtual", data_dir=data_dir)
        s3 = client(server.endpoint)
        if round_ == 0:
            s3.create_bucket(Bucket="bucket")
            s3.put_object(Bucket="bucket", Key="source", Body=SOURCE)
            place = {"Type": "AvailabilityZone", "Name": "use1-az4"}
            kind = {"Type": "Directory", "DataRedundancy": "SingleAvailabilityZone"}
            s3.create_bucket(Bucket=EXPRESS, CreateBucketConfiguration={"Location": place, "Bucket": kind})
        check(server, s3, data_dir, known, moving)
        workers = [
            Worker(do, random.Random((round_, at).__hash__()))
            for at, do in enumerate((complete, abort, copy, delete, append, rename))
        ]
        for worker in workers:
            worker.known.update({key: may for key, may in known.items() if key.startswith(worker.prefix)})
        killed = threading.Event()
        threads = [threading.Thread(target=worker.run, args=(client(server.endpoint), killed)) for worker in workers]
        for thread in threads:
            thread.start()
        for worker in workers:
            assert worker.heard.wait(WAIT_S)
        time.sleep(draw.random() * 0.2)
        killed_at = [worker.done for worker in workers]
        server.kill()
        killed.set()
        for thread in threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        for worker in workers:
            assert worker.fault is None, worker.fault
            known.update(worker.known)
        moving = [worker.moving for worker in workers if worker.moving is not None]
        assert all(killed_at)
    server = start_pileus("--clock", "virtual", data_dir=data_dir)
    check(server, client(server.endpoint), data_dir, known, moving)
    assert server.stop() == 0


def test_killed_amid_expiry(start_pileus, tmp_path):
    """The clock jumps over the day on which everything expires; wherever that was cut off, the next start goes on."""
    data_dir = tmp_path / "data"
    server = start_pileus("--clock", "virtual", data_dir=data_dir)
    s3 = client(server.endpoint)
    s3.create_bucket(Bucket="bucket")
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket="bucket", LifecycleConfiguration={"Rules": [rule]})
    keep = {f"new/{number}": random.Random(number).randbytes(70_000) for number in range(3)}
    for key, body in keep.items():
        s3.put_object(Bucket="bucket", Key=key, Body=body)
    old = 60
    for number in range(old):
        s3.put_object(Bucket="bucket", Key=f"old/{number}", Body=b"x" * (70_000 if number % 4 == 0 else 100))
    draw = random.Random(3)
    counts = [old]
    for _ in range(3):
        jump = threading.Thread(target=jump_ahead, args=(server,))
        jump.start()
        time.sleep(draw.random() * 0.15)
        server.kill()
        jump.join(WAIT_S)
        server = start_pileus("--clock", "virtual", data_dir=data_dir)
        s3 = client(server.endpoint)
        shown = s3.list_objects_v2(Bucket="bucket")["Contents"]
        for one in shown:
            assert len(s3.get_object(Bucket="bucket", Key=one["Key"])["Body"].read()) == one["Size"]
        counts.append(sum(one["Key"].startswith("old/") for one in shown))
    assert counts == sorted(counts, reverse=True)
    server.advance(JUMP_S)
    assert {one["Key"] for one in s3.list_objects_v2(Bucket="bucket")["Contents"]} == set(keep)
    server.advance(120)
    wait_for(lambda: len(files(data_dir)) == len(keep), "files of expired objects are left")
    for key, body in keep.items():
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == body
    assert server.stop() == 0


def jump_ahead(server: Any) -> None:
    try:
        server.advance(JUMP_S)
    except OSError:
        return
