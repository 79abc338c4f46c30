"""Replication of what cannot be read for a while: PENDING as long as there is hope, FAILED after a day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.faults.test_s3_torn_uploads import files
from tests.services.s3.replication_kit import new_role, put_rules, rule, versioned

from waiting import until

BODY = b"replicate me" * 10_000
HOUR_S = 3600


@pytest.fixture
def damaged(aws: Any, start_pileus: Any, tmp_path: Path) -> tuple[Any, Any, str, str, Path]:
    """(server, client, source, target, the one blob): an object whose bytes its disk had lost when it was completed."""
    server = start_pileus("--clock", "virtual", data_dir=tmp_path / "data")
    own = type(aws)(server.endpoint, aws.account)
    s3 = own.client("s3")
    source, target = versioned(s3), versioned(s3)
    put_rules(s3, source, new_role(own), rule(target))
    upload = {"Bucket": source, "Key": "key"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = {"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=BODY)["ETag"]}
    (blob,) = files(tmp_path / "data")
    blob.rename(blob.with_suffix(".away"))
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    return server, s3, source, target, blob


def status(s3: Any, source: str) -> str:
    found: str = s3.head_object(Bucket=source, Key="key")["ReplicationStatus"]
    return found


def test_it_goes_on_when_the_bytes_are_back(damaged: Any) -> None:
    server, s3, source, target, blob = damaged
    server.advance(HOUR_S)
    assert status(s3, source) == "PENDING"
    assert "Versions" not in s3.list_object_versions(Bucket=target)
    blob.with_suffix(".away").rename(blob)
    server.advance(HOUR_S)
    until(lambda: status(s3, source) == "COMPLETED")
    assert s3.get_object(Bucket=target, Key="key")["Body"].read() == BODY


def test_it_fails_after_a_day(damaged: Any) -> None:
    server, s3, source, target, _ = damaged
    for _ in range(4):
        server.advance(7 * HOUR_S)
    until(lambda: status(s3, source) == "FAILED")
    assert "Versions" not in s3.list_object_versions(Bucket=target)
    # What comes behind is not held back by it.
    s3.put_object(Bucket=source, Key="key", Body=b"whole")
    until(lambda: status(s3, source) == "COMPLETED")
