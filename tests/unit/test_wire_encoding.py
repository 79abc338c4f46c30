"""Answers, errors, event streams and compression, byte for byte."""
# ruff: noqa: E501 -- the documents are AWS's

from __future__ import annotations

import gzip
import math
import uuid
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from codec_kit import ID, encode, encode_error, text

from pileus.kernel.errors import AWSError, NotBuilt
from pileus.wire import eventstream
from pileus.wire.compression import gunzip

# -- answers


def test_json_answers() -> None:
    answer = encode("dynamodb", "ListTables", {"TableNames": ["ü"], "Other": 1})
    body = '{"TableNames":["ü"]}'.encode()
    assert answer.status == 200
    assert answer.body == body
    assert answer.headers == [
        ("x-amzn-RequestId", ID),
        ("Content-Type", "application/x-amz-json-1.0"),
        ("x-amz-crc32", str(zlib.crc32(body))),
    ]
    assert encode("sqs", "DeleteMessage", {}).body == b""
    assert encode("events", "ListRules", {"Rules": [], "NextToken": None}).body == b'{"Rules":[]}'


def test_numbers_in_json_answers() -> None:
    answer = encode("cloudwatch", "GetMetricData", {"MetricDataResults": [{"Values": [math.inf, 1.5]}]}, "json")
    assert answer.body == b'{"MetricDataResults":[{"Values":["Infinity",1.5]}]}'
    answer = encode("sqs", "ReceiveMessage", {"Messages": []})
    assert answer.body == b'{"Messages":[]}'
    answer = encode("kms", "CreateKey", {"KeyMetadata": {"KeyId": "k", "CreationDate": 1_700_000_000.1234}})
    assert answer.body == b'{"KeyMetadata":{"KeyId":"k","CreationDate":1700000000.123}}'


def test_query_answers() -> None:
    assert text(encode("sns", "CreateTopic", {"TopicArn": "arn:<&>"})) == (
        '<CreateTopicResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><CreateTopicResult><TopicArn>arn:&lt;&amp;'
        f"&gt;</TopicArn></CreateTopicResult><ResponseMetadata><RequestId>{ID}</RequestId></ResponseMetadata>"
        "</CreateTopicResponse>"
    )
    assert text(encode("sqs", "SendMessage", {"MessageId": "m", "MD5OfMessageBody": "d"}, "query")) == (
        '<?xml version="1.0"?><SendMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><SendMessageResult>'
        "<MD5OfMessageBody>d</MD5OfMessageBody><MessageId>m</MessageId></SendMessageResult><ResponseMetadata>"
        f"<RequestId>{ID}</RequestId></ResponseMetadata></SendMessageResponse>"
    )
    assert "<ListTopicsResult><Topics/></ListTopicsResult>" in text(encode("sns", "ListTopics", {"Topics": []}))
    role = {"Role": {"CreateDate": 1_700_000_000.9, "RoleName": "r"}}
    assert "<CreateDate>2023-11-14T22:13:20Z</CreateDate>" in text(encode("iam", "GetRole", role))


def test_s3_answers() -> None:
    answer = encode(
        "s3", "ListBuckets", {"Buckets": [{"Name": "b", "CreationDate": 1_700_000_000}], "Owner": {"ID": "i"}}
    )
    assert text(answer) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        "<Buckets><Bucket><Name>b</Name><CreationDate>2023-11-14T22:13:20.000Z</CreationDate></Bucket></Buckets>"
        "<Owner><ID>i</ID></Owner></ListAllMyBucketsResult>"
    )
    assert [name for name, _ in answer.headers] == ["x-amz-id-2", "x-amz-request-id", "Server", "Content-Type"]
    assert len(answer.headers[0][1]) == 76


def test_grantees_carry_their_type_as_an_attribute() -> None:
    grants = [{"Grantee": {"Type": "CanonicalUser", "ID": "i"}, "Permission": "READ"}]
    assert (
        '<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>i</ID></Grantee>'
        "<Permission>READ</Permission></Grant>"
    ) in text(encode("s3", "GetBucketAcl", {"Grants": grants}))


def test_headers_cannot_be_broken_out_of() -> None:
    answer = encode(
        "s3",
        "GetObject",
        {"ContentType": "a/b\r\nset-cookie: x", "Metadata": {"k": "ü✓"}, "Body": b"x", "LastModified": 1_700_000_000},
        headers={"x-more": "1\n2", "content-type": "c/d\r\ne"},
    )
    headers = dict(answer.headers)
    assert headers["content-type"] == "c/d  e"
    assert "Content-Type" not in headers
    assert headers["x-more"] == "1 2"
    assert headers["x-amz-meta-k"].encode("latin-1").decode() == "ü✓"
    assert headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"


def test_a_status_comes_from_the_context_the_member_or_the_model() -> None:
    assert encode("s3", "GetObject", {"Body": b"x"}, status=206).status == 206
    assert encode("lambda", "Invoke", {"StatusCode": 202}).status == 202
    assert encode("lambda", "CreateFunction", {"FunctionName": "f"}).status == 201
    gone = encode("lambda", "DeleteFunction", {"StatusCode": 204})
    assert (gone.status, gone.body) == (204, b"")


def test_a_stream_is_handed_on() -> None:
    async def produce() -> AsyncIterator[bytes]:
        yield b"a"

    stream = produce()
    assert encode("s3", "GetObject", {"Body": stream, "ContentLength": 1}).body is stream
    assert ("Content-Length", "1") in encode("s3", "HeadObject", {"ContentLength": 1}).headers


# -- errors


def test_json_errors() -> None:
    answer = encode_error("dynamodb", AWSError("ResourceNotFoundException", "gone"))
    assert answer.status == 400
    assert answer.body == b'{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"gone"}'
    answer = encode_error("dynamodb", AWSError("ValidationException", "no"))
    assert answer.body == b'{"__type":"com.amazon.coral.validate#ValidationException","message":"no"}'
    answer = encode_error("dynamodb", AWSError("SerializationException"))
    assert answer.body == b'{"__type":"com.amazon.coral.service#SerializationException"}'
    answer = encode_error("kinesis", NotBuilt("kinesis.PutRecord"))
    assert answer.status == 501
    assert answer.body == b'{"__type":"NotImplemented","message":"kinesis.PutRecord is not implemented by Pileus."}'


@pytest.mark.parametrize(
    ("service", "protocol", "error", "type_", "query_error", "status"),
    [
        ("sqs", "json", "QueueDoesNotExist", "com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue;Sender", 400),
        ("sqs", "json", "MissingParameter", "com.amazon.coral.service#MissingRequiredParameterException", "MissingParameter;Sender", 400),
        ("sqs", "json", "PurgeQueueInProgress", "com.amazonaws.sqs#PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress;Sender", 403),
        ("cloudwatch", "json", "ValidationException", "com.amazon.coral.validate#ValidationException", "ValidationError;Sender", 400),
        ("cloudwatch", "json", "ResourceNotFound", "com.amazonaws.cloudwatch.v2010_08_01#ResourceNotFound", "ResourceNotFound;Sender", 404),
        ("cloudwatch", "smithy-rpc-v2-cbor", "ResourceNotFound", "com.amazonaws.cloudwatch.v2010_08_01#ResourceNotFound", "ResourceNotFound;Sender", 404),
    ],
)  # fmt: skip
def test_errors_of_services_that_once_spoke_query(
    service: str, protocol: str, error: str, type_: str, query_error: str, status: int
) -> None:
    import cbor2

    answer = encode_error(service, AWSError(error, "m"), protocol=protocol)
    assert isinstance(answer.body, bytes)
    content = orjson.loads(answer.body) if protocol == "json" else cbor2.loads(answer.body)
    assert content == {"__type": type_, "message": "m"}
    assert dict(answer.headers)["x-amzn-query-error"] == query_error
    assert answer.status == status


def test_query_errors() -> None:
    assert text(encode_error("sns", AWSError("NotFoundException", "no <topic>"))) == (
        '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>NotFound</Code>'
        f"<Message>no &lt;topic&gt;</Message></Error><RequestId>{ID}</RequestId></ErrorResponse>"
    )
    answer = encode_error("sqs", AWSError("QueueDoesNotExist", "m"), protocol="query")
    assert "<Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>m</Message><Detail/></Error>" in text(answer)
    answer = encode_error("cloudwatch", AWSError("ResourceNotFound"), protocol="query")
    assert "<Error><Type>Sender</Type><Code>ResourceNotFound</Code></Error>" in text(answer)
    assert text(encode_error("ec2", AWSError("InvalidVpcID.NotFound", "m"))) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code>'
        f"<Message>m</Message></Error></Errors><RequestID>{ID}</RequestID></Response>"
    )
    assert "<Type>Receiver</Type>" in text(encode_error("iam", AWSError("ServiceFailure", "m")))


def test_rest_json_errors() -> None:
    answer = encode_error("lambda", AWSError("ResourceNotFoundException", "gone"), "GetFunction")
    assert answer.status == 404
    assert answer.body == b'{"Type":"User","Message":"gone"}'
    assert ("x-amzn-ErrorType", "ResourceNotFoundException") in answer.headers
    throttled = AWSError("TooManyRequestsException", "slow", retryAfterSeconds="3", Reason="CallerRateLimitExceeded")
    answer = encode_error("lambda", throttled, "Invoke")
    assert answer.status == 429
    assert ("Retry-After", "3") in answer.headers
    assert orjson.loads(text(answer)) == {"Type": "User", "message": "slow", "Reason": "CallerRateLimitExceeded"}


def test_s3_errors() -> None:
    error = AWSError("NoSuchBucket", "The specified bucket does not exist", status=404, BucketName="b&b")
    answer = encode_error("s3", error, "GetObject")
    host_id = answer.headers[0][1]
    assert text(answer) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist'
        f"</Message><BucketName>b&amp;b</BucketName><RequestId>{ID}</RequestId><HostId>{host_id}</HostId></Error>"
    )
    head = encode_error("s3", AWSError("NotFound", "Not Found", status=404), "HeadObject")
    assert (head.status, head.body) == (404, b"")
    assert dict(head.headers)["Content-Type"] == "application/xml"
    assert encode_error("s3", AWSError("NotModified", status=304), "GetObject").body == b""


def test_errors_have_headers_of_their_own() -> None:
    answer = encode_error("s3", AWSError("PermanentRedirect", "m", status=301, headers={"x-amz-bucket-region": "r"}))
    assert ("x-amz-bucket-region", "r") in answer.headers


# -- event streams


def test_every_header_type_survives() -> None:
    headers: dict[str, eventstream.HeaderValue] = {
        "yes": True,
        "no": False,
        "int": -5,
        "long": 2**40,
        "bytes": b"\x00\xff",
        "text": "ü",
        "time": datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC),
        "id": uuid.UUID(ID),
    }
    message = eventstream.decode_message(eventstream.encode_message(headers, b"payload"))
    assert message.headers == headers
    assert message.payload == b"payload"


def test_a_message_is_framed_as_specified() -> None:
    # The empty message and the one with a payload of the specification's test vectors.
    assert eventstream.encode_message({}) == bytes.fromhex("000000100000000005c248eb7d98c8ff")
    assert eventstream.encode_message({}, b"{'foo':'bar'}") == (
        bytes.fromhex("0000001d00000000fd528c5a") + b"{'foo':'bar'}" + bytes.fromhex("c3653936")
    )


async def test_messages_are_read_as_they_arrive() -> None:
    frames = eventstream.encode_message({"a": "1"}, b"x") + eventstream.encode_message({}, b"y" * 100)

    async def chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    for size in (1, 7, 1000):
        payloads = [message.payload async for message in eventstream.read_messages(chunks(frames, size))]
        assert payloads == [b"x", b"y" * 100]
    with pytest.raises(AWSError, match="malformed"):
        _ = [message async for message in eventstream.read_messages(chunks(frames[:-1], 7))]
    with pytest.raises(AWSError, match="malformed"):
        _ = [message async for message in eventstream.read_messages(chunks(b"\xff" * 20, 7))]


async def test_an_error_outside_the_model_ends_the_stream_unmodelled() -> None:
    async def produce() -> AsyncIterator[dict[str, Any]]:
        raise AWSError("InternalFailure", "broke")
        yield {}

    answer = encode("s3", "SelectObjectContent", {"Payload": produce()})
    assert not isinstance(answer.body, bytes)
    messages = [eventstream.decode_message(frame) async for frame in answer.body]
    assert [message.headers for message in messages] == [
        {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "broke"}
    ]


# -- compression


def test_gzip_bodies_are_undone_within_a_limit() -> None:
    assert gunzip(gzip.compress(b"abc"), 3) == b"abc"
    assert gunzip(gzip.compress(b"ab") + gzip.compress(b"c"), 3) == b"abc"
    with pytest.raises(AWSError, match="too large"):
        gunzip(gzip.compress(b"abcd"), 3)
    with pytest.raises(AWSError, match="too large"):
        gunzip(gzip.compress(b"\x00" * 100_000_000), 1_000_000)
    for broken in (gzip.compress(b"abc")[:-1], b"abc", gzip.compress(b"abc") + b"junk"):
        with pytest.raises(AWSError, match="could not be read"):
            gunzip(broken, 100)
