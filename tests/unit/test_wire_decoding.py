"""The corners of what requests may look like."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from codec_kit import ID, decode, encode, encode_error, text

from pileus.kernel.errors import AWSError
from pileus.model import load
from pileus.wire.message import HttpRequest
from pileus.wire.protocols import codec_for


@pytest.mark.parametrize(
    ("service", "operation", "body", "message"),
    [
        ("dynamodb", "PutItem", b'{"TableName":1}', "NUMBER_VALUE cannot be converted to String"),
        ("dynamodb", "PutItem", b'{"TableName":true}', "TRUE_VALUE cannot be converted to String"),
        ("dynamodb", "PutItem", b'{"TableName":1.5}', "DECIMAL_VALUE cannot be converted to String"),
        ("dynamodb", "PutItem", b'{"TableName":[]}', "Start of list found where not expected"),
        ("dynamodb", "PutItem", b'{"TableName":{}}', "Start of structure or map found where not expected"),
        ("dynamodb", "Query", b'{"Limit":"1"}', "STRING_VALUE cannot be converted to Integer"),
        ("dynamodb", "PutItem", b'{"Item":{"a":{"B":"AAA"}}}', "Base64 encoded length is expected a multiple of 4"),
        ("kinesis", "PutRecord", b'{"StreamName":true}', "TRUE_VALUE can not be converted to a String"),
        ("kinesis", "GetRecords", b'{"Limit":"1"}', "STRING_VALUE can not be converted to an Integer"),
        ("kinesis", "PutRecords", b'{"Records":"1"}', "Unexpected field type"),
        ("kinesis", "PutRecord", b'{"StreamName":', ""),
        ("kinesis", "PutRecord", b"[]", ""),
        ("kinesis", "PutRecord", b'"\xff"', ""),
        ("kinesis", "PutRecord", b'{"Data":"A"}', ""),
    ],
)
def test_wrong_json_is_a_serialization_exception(service: str, operation: str, body: bytes, message: str) -> None:
    with pytest.raises(AWSError) as raised:
        decode(service, operation, body)
    assert (raised.value.code, raised.value.status) == ("SerializationException", 400)
    assert message in raised.value.message


@pytest.mark.parametrize(
    ("value", "class_name"),
    [(b"true", "java.lang.Boolean"), (b"1", "com.amazon.coral.value.json.numbers.TruncatingBigNumber")],
)
def test_api_gateway_names_javas_classes(value: bytes, class_name: str) -> None:
    with pytest.raises(AWSError) as raised:
        decode("apigateway", "CreateRestApi", b'{"name":' + value + b"}", path="/restapis")
    assert raised.value.message == f"class {class_name} can not be converted to an String"


def test_json_is_read_as_leniently_as_aws_reads_it() -> None:
    body = (
        b'{"StreamName":"s","Unknown":{"x":[]},"ExplicitHashKey":null,"PartitionKey":"a","PartitionKey":"b","Data":""}'
    )
    assert decode("kinesis", "PutRecord", body) == {"StreamName": "s", "PartitionKey": "b", "Data": b""}
    assert decode("dynamodb", "Query", b'{"Limit":3.9}') == {"Limit": 3}
    assert decode("dynamodb", "ListTables", b"") == {}


def test_items_are_read_alike_by_hand_and_by_model() -> None:
    from pileus.wire.protocols.json_shapes import JsonShapes

    shape = load("dynamodb").shape("AttributeValue")
    item = {
        "M": {
            "s": {"S": ""},
            "n": {"N": "1"},
            "b": {"B": "AAE="},
            "l": {"L": [{"NULL": True}, {"BOOL": False}, {"BS": ["AA=="]}, {"SS": ["a"]}, {"X": 1}]},
        }
    }
    by_model = JsonShapes("dynamodb").decoder(shape)(orjson.loads(orjson.dumps(item)))
    by_hand = decode("dynamodb", "PutItem", orjson.dumps({"Item": {"a": item}}))["Item"]["a"]
    assert by_hand == by_model
    assert by_hand["M"]["b"] == {"B": b"\x00\x01"}
    answer = encode("dynamodb", "GetItem", {"Item": {"a": by_hand}})
    item["M"]["l"]["L"][4] = {}  # type: ignore[index]
    assert orjson.loads(text(answer)) == {"Item": {"a": item}}


@pytest.mark.parametrize(
    "body", [b'{"Item":{"a":{"L":[null]}}}', b'{"Item":{"a":null}}', b'{"Item":{"a":{"SS":[null]}}}']
)
def test_items_hold_no_nulls(body: bytes) -> None:
    from pileus.wire import constraints

    model = load("dynamodb")
    with pytest.raises(AWSError, match="ValidationException"):
        constraints.check(model, model.operations["PutItem"], {"TableName": "t", **decode("dynamodb", "PutItem", body)})


def test_kinesis_takes_the_cbor_of_the_java_sdk() -> None:
    import cbor2

    model = load("kinesis")
    body = cbor2.dumps(
        {
            "StreamName": "s",
            "ShardId": "0",
            "ShardIteratorType": "AT_TIMESTAMP",
            "Timestamp": cbor2.CBORTag(1, 1_700_000_000_123),
        }
    )
    headers = {"x-amz-target": "Kinesis_20131202.GetShardIterator", "content-type": "application/x-amz-cbor-1.1"}
    request = HttpRequest("POST", "/", "", headers, body)
    chosen = codec_for(model, request)
    operation, labels = chosen.find(request)
    members = chosen.decode(operation, request, labels)
    assert (operation.name, members["Timestamp"], members["ShardId"]) == ("GetShardIterator", 1_700_000_000.123, "0")
    record = {
        "Data": b"\x00",
        "PartitionKey": "p",
        "SequenceNumber": "1",
        "ApproximateArrivalTimestamp": 1_700_000_000.5,
    }
    answer = chosen.encode(model.operations["GetRecords"], {"Records": [record]}, ID)
    assert ("Content-Type", "application/x-amz-cbor-1.1") in answer.headers
    assert isinstance(answer.body, bytes)
    (read,) = cbor2.loads(answer.body, semantic_decoders={1: lambda value, _: value})["Records"]
    assert read == {**record, "ApproximateArrivalTimestamp": 1_700_000_000_500}
    failed = chosen.encode_error(operation, AWSError("ResourceNotFoundException", "m"), ID)
    assert isinstance(failed.body, bytes)
    assert cbor2.loads(failed.body) == {"__type": "ResourceNotFoundException", "message": "m"}


def test_forms_may_come_in_body_and_query() -> None:
    members = decode("sns", "Publish", b"Message=a+b%26&TopicArn=", query="Action=Publish&Subject=s&Message=not+this")
    assert members == {"Message": "not this", "TopicArn": "", "Subject": "s"}


@pytest.mark.parametrize(
    ("service", "operation", "body", "members"),
    [
        ("iam", "TagRole", b"Tags.member.2.Key=b&Tags.member.10.Key=c&Tags.member.1.Key=a", {"Tags": ["a", "b", "c"]}),
        ("iam", "TagRole", b"Tags=", {"Tags": []}),
        ("iam", "TagRole", b"Tags.member.0.Key=a&Tags.member.x.Key=b&Tags.member.01.Key=c", {"Tags": []}),
        ("iam", "TagRole", b"Tags.1.Key=a", {"Tags": []}),
    ],
)
def test_lists_in_forms_are_put_in_order(service: str, operation: str, body: bytes, members: dict[str, Any]) -> None:
    decoded = decode(service, operation, body)
    assert {"Tags": [tag.get("Key") for tag in decoded["Tags"]]} == members


def test_sqs_takes_forms_as_older_sdks_send_them() -> None:
    body = (
        b"Action=SendMessage&MessageBody=b&DelaySeconds=5&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=Binary"
        b"&MessageAttribute.1.Value.BinaryValue=AAE%3D&Version=2012-11-05"
    )
    assert decode("sqs", "SendMessage", body, path="/123456789012/q", headers={"host": "h:1"}, protocol="query") == {
        "QueueUrl": "http://h:1/123456789012/q",
        "MessageBody": "b",
        "DelaySeconds": 5,
        "MessageAttributes": {"n": {"DataType": "Binary", "BinaryValue": b"\x00\x01"}},
    }


def test_ec2s_forms_have_names_of_their_own() -> None:
    body = b"Filter.1.Name=n&Filter.1.Value.1=a&Filter.1.Value.2=b&InstanceId.1=i&DryRun=true&MaxResults=5"
    assert decode("ec2", "DescribeInstances", body) == {
        "Filters": [{"Name": "n", "Values": ["a", "b"]}],
        "InstanceIds": ["i"],
        "DryRun": True,
        "MaxResults": 5,
    }


@pytest.mark.parametrize(
    ("service", "operation", "body"),
    [
        ("iam", "ListRoles", b"MaxItems=many"),
        ("iam", "CreateRole", b"RoleName.x=a"),
        ("sts", "AssumeRole", b"DurationSeconds=99999999999999999999"),
        ("ec2", "DescribeInstances", b"DryRun=perhaps"),
        ("iam", "CreateRole", b"A" + b".A" * 100 + b"=1"),
    ],
)
def test_wrong_forms_are_the_clients_error(service: str, operation: str, body: bytes) -> None:
    with pytest.raises(AWSError) as raised:
        decode(service, operation, body)
    assert raised.value.status == 400


def test_headers_and_query_are_read_by_their_types() -> None:
    members = decode(
        "s3",
        "GetObject",
        method="GET",
        path="/b/k",
        query="versionId=v&response-content-type=a%2Fb&partNumber=3&X-Amz-Signature=x",
        headers={
            "if-modified-since": "Tue, 14 Nov 2023 22:13:20 GMT",
            "if-unmodified-since": "no date",
            "range": "bytes=0-1",
        },
    )
    assert members == {
        "Bucket": "b",
        "Key": "k",
        "VersionId": "v",
        "ResponseContentType": "a/b",
        "PartNumber": 3,
        "IfModifiedSince": 1_700_000_000.0,
        "Range": "bytes=0-1",
    }


def test_a_list_in_a_header_may_be_quoted() -> None:
    members = decode(
        "s3",
        "GetObjectAttributes",
        method="GET",
        path="/b/k",
        query="attributes",
        headers={"x-amz-object-attributes": 'ETag, "a,\\"b" ,, Checksum'},
    )
    assert members["ObjectAttributes"] == ["ETag", 'a,"b', "Checksum"]


def test_a_wrong_number_in_s3s_query_is_an_invalid_argument() -> None:
    with pytest.raises(AWSError) as raised:
        decode("s3", "ListObjectsV2", method="GET", path="/b", query="list-type=2&max-keys=lots")
    answer = text(encode_error("s3", raised.value, "ListObjectsV2"))
    assert "<Code>InvalidArgument</Code><Message>Provided max-keys not an integer or within integer range" in answer
    assert "<ArgumentName>max-keys</ArgumentName><ArgumentValue>lots</ArgumentValue>" in answer


def test_a_map_takes_what_the_query_has_left() -> None:
    members = decode(
        "apigateway",
        "ImportRestApi",
        b"{}",
        path="/restapis",
        query="mode=import&failonwarnings=true&basepath=ignore&X-Amz-Date=1&x=",
    )
    assert members == {"failOnWarnings": True, "parameters": {"basepath": "ignore", "x": ""}, "body": b"{}"}


def test_metadata_comes_from_prefixed_headers() -> None:
    members = decode(
        "s3", "PutObject", b"data", method="PUT", path="/b/k", headers={"x-amz-meta-a-b": "1", "x-amz-meta-": "e"}
    )
    assert members["Metadata"] == {"a-b": "1", "": "e"}
    assert asyncio.run(members["Body"].read()) == b"data"
