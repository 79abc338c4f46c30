"""Loading models, with and without a folder to keep them in."""

from __future__ import annotations

from pathlib import Path

import pytest

from pileus.model import ModelNotFound, load, loader, service_names


def _cached(service: str, folder: Path) -> dict[str, object]:
    return loader._read_cached(loader._source(service), service, folder)


def test_the_newest_version_is_loaded() -> None:
    assert load("cloudfront").metadata.api_version == "2020-05-31"
    assert load("dynamodb").metadata.target_prefix == "DynamoDB_20120810"
    assert load("lambda") is load("lambda")


@pytest.mark.parametrize("name", ["nope", "", ".", "..", "../botocore/data/s3", "s3/2006-03-01"])
def test_what_is_no_service_is_said(name: str) -> None:
    with pytest.raises(ModelNotFound):
        load(name)


def test_protocols_are_those_listed_the_preferred_first() -> None:
    assert load("cloudwatch").protocols == ("smithy-rpc-v2-cbor", "json", "query")
    assert load("sqs").protocols == ("json", "query")
    assert load("s3").protocols == ("rest-xml",)
    assert load("apigatewayv2").protocols == ("rest-json",)


def test_operations_know_their_traits() -> None:
    s3 = load("s3").operations
    assert s3["PutObject"].streaming_input == "Body"
    assert s3["DeleteObjects"].checksum["requestChecksumRequired"] is True
    assert s3["SelectObjectContent"].event_output == "Payload"
    assert load("lambda").operations["Invoke"].streaming_input is None
    assert load("cloudwatch").operations["PutMetricData"].compressions == ("gzip",)
    assert load("stepfunctions").operations["StartSyncExecution"].host_prefix == "sync-"
    assert load("dynamodb").operations["TransactWriteItems"].idempotency_token == "ClientRequestToken"
    assert load("cognito-idp").operations["SignUp"].unauthenticated
    assert not load("cognito-idp").operations["AdminGetUser"].unauthenticated


def test_errors_are_found_by_name_and_by_code() -> None:
    model = load("sqs")
    by_name, by_code = model.error("QueueDoesNotExist"), model.error("AWS.SimpleQueueService.NonExistentQueue")
    assert by_name is not None
    assert by_name is by_code
    lost = load("lambda").error("ResourceNotFoundException")
    assert lost is not None
    assert (lost.status, lost.fault) == (404, False)
    internal = load("dynamodb").error("InternalServerError")
    assert internal is not None
    assert internal.fault
    assert model.error("Nope") is None


def test_a_kept_model_is_the_same_without_its_words(tmp_path: Path) -> None:
    first = _cached("sqs", tmp_path / "new")
    (file,) = (tmp_path / "new").iterdir()
    assert b"documentation" not in file.read_bytes()
    assert _cached("sqs", tmp_path / "new") == first
    assert first == loader._read_source(loader._source("sqs"))


@pytest.mark.parametrize("content", [b"", b"{}", b"0" * 32 + b"\n{}", b"\x00\xff" * 100])
def test_a_broken_file_is_made_anew(tmp_path: Path, content: bytes) -> None:
    good = _cached("sqs", tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(content or whole[: len(whole) // 2])
    assert _cached("sqs", tmp_path) == good
    assert file.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert _cached("sts", blocked)["metadata"]


def test_every_service_has_a_model_that_can_be_read() -> None:
    assert {"s3", "lambda", "dynamodb"} <= service_names()
