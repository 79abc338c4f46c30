"""Requests and answers as JSON documents."""

from functools import partial
from typing import Any

import pytest

from pileus.kernel.errors import AWSError
from pileus.kernel.streams import BytesStream
from pileus.model import load
from pileus.wire.documents import Documents

DOCUMENTS = Documents(partial(load))


@pytest.mark.parametrize(
    ("service", "operation", "document", "members"),
    [
        ("sqs", "SendMessage", {"QueueUrl": "u", "MessageBody": "b"}, {"QueueUrl": "u", "MessageBody": "b"}),
        # Where the model's names begin with a small letter, both spellings count.
        ("logs", "CreateLogGroup", {"LogGroupName": "g"}, {"logGroupName": "g"}),
        ("logs", "CreateLogGroup", {"logGroupName": "g"}, {"logGroupName": "g"}),
        ("lambda", "Invoke", {"FunctionName": "f", "Payload": "e30="}, {"FunctionName": "f", "Payload": b"{}"}),
        ("dynamodb", "GetItem", {"TableName": "t" * 3, "Key": {"k": {"B": "AAE="}}}, None),
    ],
)
def test_a_document_becomes_members(service: str, operation: str, document: Any, members: Any) -> None:
    expected = members or {"TableName": "ttt", "Key": {"k": {"B": b"\0\1"}}}
    assert DOCUMENTS.request(service, operation, document) == expected


@pytest.mark.parametrize(("payload", "text"), [("{}", b"{}"), ({"a": 1}, b'{"a":1}')])
def test_blobs_as_text(payload: Any, text: bytes) -> None:
    found = DOCUMENTS.request("lambda", "Invoke", {"FunctionName": "f", "Payload": payload}, text_blobs=True)
    assert found["Payload"] == text
    answer = DOCUMENTS.answer("lambda", "Invoke", {"StatusCode": 200, "Payload": b"[1]"}, text_blobs=True)
    assert answer == {"StatusCode": 200, "Payload": "[1]"}


async def test_a_streaming_member_becomes_a_stream() -> None:
    document = {"Bucket": "bucket", "Key": "k", "Body": "hello"}
    body = DOCUMENTS.request("s3", "PutObject", document, text_blobs=True)["Body"]
    assert isinstance(body, BytesStream)
    assert await body.read() == b"hello"


@pytest.mark.parametrize(
    ("service", "operation", "document", "code"),
    [
        ("sqs", "SendMessage", {"QueueUrl": 1, "MessageBody": "b"}, "SerializationException"),
        ("sqs", "SendMessage", [], "SerializationException"),
        ("logs", "CreateLogGroup", {}, "InvalidParameterException"),
        ("sqs", "NoSuchThing", {}, "UnknownOperationException"),
        ("nosuchservice", "SendMessage", {}, "UnknownOperationException"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_services_words(
    service: str, operation: str, document: Any, code: str
) -> None:
    with pytest.raises(AWSError) as caught:
        DOCUMENTS.request(service, operation, document)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("operation", "document", "words"),
    [
        ("DeleteBucket", {}, "1 validation error detected: Value null at 'bucket'"),
        ("DeleteBucketPolicy", {"Bucket": None}, "1 validation error detected: Value null at 'bucket'"),
        ("PutObject", {"Key": "k"}, "1 validation error detected: Value null at 'bucket'"),
        ("PutObject", {}, "2 validation errors detected: Value null at 'bucket'"),
        ("PutBucketPolicy", {"Bucket": "b"}, "1 validation error detected: Value null at 'policy'"),
    ],
)
def test_what_paths_and_bodies_of_s3_hold_is_required_by_name(operation: str, document: Any, words: str) -> None:
    with pytest.raises(AWSError) as caught:
        DOCUMENTS.request("s3", operation, document)
    assert caught.value.code == "ValidationException"
    assert caught.value.message.startswith(f"{words} failed to satisfy constraint: Member must not be null")
