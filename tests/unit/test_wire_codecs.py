"""The corners of the protocols: what requests may look like, and answers byte for byte."""
# ruff: noqa: E501 -- the documents are AWS's

from __future__ import annotations

import asyncio
import gzip
import math
import uuid
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from pileus.kernel.errors import AWSError, NotBuilt
from pileus.model import load
from pileus.wire import eventstream
from pileus.wire.compression import gunzip
from pileus.wire.message import HttpAnswer, HttpRequest
from pileus.wire.protocols import codec, codec_for, protocol_of, values
from pileus.wire.protocols.rest_router import RestRouter
from pileus.wire.protocols.xml_reader import read_xml
from pileus.wire.protocols.xml_shapes import escape

ID = "5d5f4bb7-52cb-4b9b-a3a8-f2a2d9a0c3f1"


def decode(
    service: str,
    operation: str,
    body: bytes = b"",
    *,
    method: str = "POST",
    path: str = "/",
    query: str = "",
    headers: dict[str, str] | None = None,
    protocol: str | None = None,
) -> dict[str, Any]:
    model = load(service)
    request = HttpRequest(method, path, query, headers or {}, body)
    chosen = codec(model, protocol or model.protocols[0])
    labels: dict[str, str] = {}
    if chosen.protocol.startswith("rest"):
        found, labels = chosen.find(request)
        assert found.name == operation
    return chosen.decode(model.operations[operation], request, labels)


def encode(
    service: str, operation: str, answer: dict[str, Any], protocol: str | None = None, **more: Any
) -> HttpAnswer:
    model = load(service)
    return codec(model, protocol or model.protocols[0]).encode(model.operations[operation], answer, ID, **more)


def encode_error(
    service: str, error: AWSError, operation: str | None = None, protocol: str | None = None
) -> HttpAnswer:
    model = load(service)
    found = model.operations[operation] if operation else None
    return codec(model, protocol or model.protocols[0]).encode_error(found, error, ID)


def text(answer: HttpAnswer) -> str:
    assert isinstance(answer.body, bytes)
    return answer.body.decode()


# -- single values


@pytest.mark.parametrize(
    ("seconds", "iso", "rfc"),
    [
        (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
        (1_700_000_000.123, "2023-11-14T22:13:20.123Z", "Tue, 14 Nov 2023 22:13:20 GMT"),
        (1_700_000_000.9996, "2023-11-14T22:13:21Z", "Tue, 14 Nov 2023 22:13:20 GMT"),
        (-1.5, "1969-12-31T23:59:58.500Z", "Wed, 31 Dec 1969 23:59:58 GMT"),
        (253_402_300_799, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ],
)
def test_timestamps_are_written(seconds: float, iso: str, rfc: str) -> None:
    assert values.iso8601(seconds) == iso
    assert values.rfc822(seconds) == rfc


@pytest.mark.parametrize(
    ("written", "form", "seconds"),
    [
        ("2023-11-14T22:13:20Z", "iso8601", 1_700_000_000),
        ("2023-11-14T22:13:20.123Z", "iso8601", 1_700_000_000.123),
        ("2023-11-14T23:13:20+01:00", "iso8601", 1_700_000_000),
        ("2023-11-14T22:13:20", "iso8601", 1_700_000_000),
        ("2023-11-14", "iso8601", 1_699_920_000),
        ("Tue, 14 Nov 2023 22:13:20 GMT", "rfc822", 1_700_000_000),
        ("Tue, 14 Nov 2023 22:13:20 GMT", "iso8601", 1_700_000_000),
        ("1700000000", "iso8601", 1_700_000_000),
        ("1.7e9", "unixtimestamp", 1_700_000_000),
        (" 1700000000.5 ", "unixtimestamp", 1_700_000_000.5),
    ],
)
def test_timestamps_are_read(written: str, form: str, seconds: float) -> None:
    assert values.parse_timestamp(written, form) == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["", "yesterday", "nan", "1e400", "99999999999999", "2023-13-01T00:00:00Z", "٣"])
def test_what_is_no_timestamp_is_refused(written: str) -> None:
    for form in ("iso8601", "rfc822", "unixtimestamp"):
        with pytest.raises(ValueError, match=r"."):
            values.parse_timestamp(written, form)


@pytest.mark.parametrize("written", ["", "1.5", "0x10", "1_000", "٣", "2147483648", "nan"])
def test_what_is_no_integer_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        values.parse_integer(written, "integer")


def test_floats_know_the_special_ones() -> None:
    assert values.parse_float("-Infinity") == -math.inf
    assert math.isnan(values.parse_float("NaN"))
    assert [values.float_text(v) for v in (math.inf, -math.inf, math.nan, 1.0, 0.1)] == [
        "Infinity",
        "-Infinity",
        "NaN",
        "1.0",
        "0.1",
    ]
    with pytest.raises(ValueError, match="nan"):
        values.parse_float("nan")


@pytest.mark.parametrize("written", ["AAA", "AA=A", "AA==AA==", "AA\n==", "A-_=", "=", "ü==="])
def test_base64_is_strict(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        values.parse_blob(written)


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        ("plain", "plain"),
        ('<a b="c">&\'', "&lt;a b=&quot;c&quot;&gt;&amp;'"),
        ("\r\n\t", "&#xD;\n\t"),
        ("a\x00b\x1f", "a&#x0;b&#x1F;"),
        ("ü ✓ 𝄞", "ü ✓ 𝄞"),
        ("\uffff", "&#xFFFF;"),
    ],
)
def test_xml_text_is_escaped(raw: str, escaped: str) -> None:
    assert escape(raw) == escaped


# -- XML from strangers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"<a>&undefined;</a>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<!DOCTYPE a><a/>",
        b"<a>\x00</a>",
        b"<a>" * 101 + b"</a>" * 101,
        b"<?xml version='1.0' encoding='no-such'?><a/>",
        b"\xff\xfe<",
    ],
)
def test_bad_xml_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_xml(body)


def test_xml_is_read_without_its_prefixes() -> None:
    root = read_xml(b'<?xml version="1.0"?><n:a xmlns:n="urn:n" n:k="v">x<!-- c --><b><![CDATA[<y>]]></b>&#65;z</n:a>')
    assert (root.name, root.attributes, root.text) == ("a", {"k": "v"}, "xAz")
    assert [(child.name, child.text) for child in root.children] == [("b", "<y>")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>", None),
        (b"<Tagging><TagSet/></Tagging>", None),
        (b"<Tags><TagSet/></Tags>", "MalformedXML"),
        (b"<Tagging><TagSet></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet/><TagSet/></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet><Other/></TagSet></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key><b/></Key></Tag></TagSet></Tagging>", "MalformedXML"),
    ],
)
def test_s3_takes_its_own_documents_only(body: bytes, code: str | None) -> None:
    def call() -> dict[str, Any]:
        return decode("s3", "PutBucketTagging", body, method="PUT", path="/b", query="tagging")

    if code is None:
        assert "TagSet" in call()["Tagging"]
        return
    with pytest.raises(AWSError, match=code):
        call()


# -- which operation

S3_ROUTES = [
    ("GET", "/", "", {}, "ListBuckets", {}),
    ("GET", "/b", "", {}, "ListObjects", {"Bucket": "b"}),
    ("GET", "/b/", "", {}, "ListObjects", {"Bucket": "b"}),
    ("GET", "/b", "list-type=2&prefix=a", {}, "ListObjectsV2", {"Bucket": "b"}),
    ("GET", "/b", "list-type=3", {}, "ListObjects", {"Bucket": "b"}),
    ("GET", "/b", "acl", {}, "GetBucketAcl", {"Bucket": "b"}),
    ("GET", "/b", "acl=", {}, "GetBucketAcl", {"Bucket": "b"}),
    ("GET", "/b", "inventory&id=1", {}, "GetBucketInventoryConfiguration", {"Bucket": "b"}),
    ("GET", "/b", "inventory", {}, "ListBucketInventoryConfigurations", {"Bucket": "b"}),
    ("GET", "/b", "lifecycle", {}, "GetBucketLifecycleConfiguration", {"Bucket": "b"}),
    ("GET", "/b/k", "x-id=GetObject", {}, "GetObject", {"Bucket": "b", "Key": "k"}),
    ("GET", "/b/a/b%20c/d%2Fe", "", {}, "GetObject", {"Bucket": "b", "Key": "a/b c/d/e"}),
    ("GET", "/b//k//", "", {}, "GetObject", {"Bucket": "b", "Key": "/k//"}),
    ("GET", "/b/../k", "", {}, "GetObject", {"Bucket": "b", "Key": "../k"}),
    ("GET", "/b/k+%2B", "", {}, "GetObject", {"Bucket": "b", "Key": "k++"}),
    ("GET", "/b/k", "uploadId=u", {}, "ListParts", {"Bucket": "b", "Key": "k"}),
    ("GET", "/b/k", "attributes", {}, "GetObjectAttributes", {"Bucket": "b", "Key": "k"}),
    ("HEAD", "/b", "", {}, "HeadBucket", {"Bucket": "b"}),
    ("HEAD", "/b/k", "", {}, "HeadObject", {"Bucket": "b", "Key": "k"}),
    ("PUT", "/b", "", {}, "CreateBucket", {"Bucket": "b"}),
    ("PUT", "/b/k", "", {}, "PutObject", {"Bucket": "b", "Key": "k"}),
    ("PUT", "/b/k", "", {"x-amz-copy-source": "a/b"}, "CopyObject", {"Bucket": "b", "Key": "k"}),
    ("PUT", "/b/k", "partNumber=1&uploadId=u", {}, "UploadPart", {"Bucket": "b", "Key": "k"}),
    (
        "PUT",
        "/b/k",
        "partNumber=1&uploadId=u",
        {"x-amz-copy-source": "a/b"},
        "UploadPartCopy",
        {"Bucket": "b", "Key": "k"},
    ),
    ("PUT", "/b/k", "tagging", {}, "PutObjectTagging", {"Bucket": "b", "Key": "k"}),
    ("POST", "/b", "delete", {}, "DeleteObjects", {"Bucket": "b"}),
    ("POST", "/b/k", "uploads", {}, "CreateMultipartUpload", {"Bucket": "b", "Key": "k"}),
    ("POST", "/b/k", "uploadId=u", {}, "CompleteMultipartUpload", {"Bucket": "b", "Key": "k"}),
    ("POST", "/b/k", "select&select-type=2", {}, "SelectObjectContent", {"Bucket": "b", "Key": "k"}),
    ("DELETE", "/b/k", "", {}, "DeleteObject", {"Bucket": "b", "Key": "k"}),
    ("DELETE", "/b/k", "uploadId=u", {}, "AbortMultipartUpload", {"Bucket": "b", "Key": "k"}),
    ("DELETE", "/b/k", "versionId=v", {}, "DeleteObject", {"Bucket": "b", "Key": "k"}),
    ("POST", "/WriteGetObjectResponse", "", {}, "WriteGetObjectResponse", {}),
]


@pytest.mark.parametrize(("method", "path", "query", "headers", "name", "labels"), S3_ROUTES)
def test_s3s_requests_find_their_operation(
    method: str, path: str, query: str, headers: dict[str, str], name: str, labels: dict[str, str]
) -> None:
    found = RestRouter(load("s3")).match(method, path, query, headers)
    assert found is not None
    assert (found[0].name, found[1]) == (name, labels)


@pytest.mark.parametrize(
    ("service", "method", "path", "name", "labels"),
    [
        ("lambda", "GET", "/2015-03-31/functions", "ListFunctions", {}),
        ("lambda", "GET", "/2015-03-31/functions/", "ListFunctions", {}),
        ("lambda", "GET", "/2015-03-31/functions/a%3Ab", "GetFunction", {"FunctionName": "a:b"}),
        ("lambda", "POST", "/2015-03-31/functions/f/invocations", "Invoke", {"FunctionName": "f"}),
        ("apigateway", "GET", "/tags/arn%3Aaws%3Aapigateway%3A%2Frestapis%2Fa", "GetTags", None),
        ("apigateway", "GET", "/restapis/a/resources/b/methods/GET", "GetMethod", None),
    ],
)
def test_rest_paths_find_their_operation(
    service: str, method: str, path: str, name: str, labels: dict[str, str] | None
) -> None:
    found = RestRouter(load(service)).match(method, path, "", {})
    assert found is not None
    assert found[0].name == name
    assert labels is None or found[1] == labels


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("lambda", "GET", "/"),
        ("lambda", "GET", "/2015-03-31/functions//"),
        ("lambda", "PATCH", "/2015-03-31/functions"),
        ("lambda", "GET", "/2015-03-31/functions/a/b/c/d"),
        ("s3", "FOO", "/b"),
        ("s3", "POST", "/"),
    ],
)
def test_what_is_no_operation_is_none(service: str, method: str, path: str) -> None:
    assert RestRouter(load(service)).match(method, path, "", {}) is None


def test_a_path_that_is_no_utf_8_is_an_invalid_uri() -> None:
    with pytest.raises(AWSError, match="InvalidURI"):
        RestRouter(load("s3")).match("GET", "/b/%C3%28", "", {})


@pytest.mark.parametrize(
    ("service", "headers", "query", "path", "protocol"),
    [
        (
            "cloudwatch",
            {"smithy-protocol": "rpc-v2-cbor"},
            "",
            "/service/G/operation/ListMetrics",
            "smithy-rpc-v2-cbor",
        ),
        ("cloudwatch", {"x-amz-target": "GraniteServiceVersion20100801.ListMetrics"}, "", "/", "json"),
        ("cloudwatch", {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}, "", "/", "query"),
        ("sqs", {"x-amz-target": "AmazonSQS.ListQueues"}, "", "/", "json"),
        ("sqs", {}, "Action=ListQueues", "/", "query"),
        ("sqs", {"content-type": "application/x-www-form-urlencoded"}, "", "/", "query"),
        ("dynamodb", {}, "", "/", "json"),
    ],
)
def test_a_request_tells_its_protocol(
    service: str, headers: dict[str, str], query: str, path: str, protocol: str
) -> None:
    request = HttpRequest("POST", path, query, headers)
    assert protocol_of(load(service), request) == protocol
    assert codec_for(load(service), request).protocol == protocol


@pytest.mark.parametrize(
    ("service", "request_", "code"),
    [
        ("dynamodb", HttpRequest("POST", "/", "", {"x-amz-target": "DynamoDB_20120810.Nope"}), "UnknownOperation"),
        ("dynamodb", HttpRequest("POST", "/", "", {}), "UnknownOperation"),
        ("sns", HttpRequest("POST", "/", "", {}, b"Version=2010-03-31"), "MissingAction"),
        (
            "sns",
            HttpRequest("POST", "/", "", {}, b"Action=Nope&Version=2010-03-31"),
            "Could not find operation Nope for",
        ),
        ("ec2", HttpRequest("POST", "/", "", {}, b"Action=Nope"), "The action Nope is not valid for this web service"),
        ("s3", HttpRequest("POST", "/", "", {}), "MethodNotAllowed"),
        ("lambda", HttpRequest("GET", "/nope", "", {}), "Unable to determine service/operation name to be authorized"),
        ("apigateway", HttpRequest("GET", "/nope", "", {}), "Missing Authentication Token"),
    ],
)
def test_what_is_no_operation_is_said(service: str, request_: HttpRequest, code: str) -> None:
    model = load(service)
    with pytest.raises(AWSError, match=code):
        codec(model, model.protocols[0]).find(request_)


# -- requests


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
        ("sqs", "json", "MissingParameter", "com.amazonaws.sqs#MissingRequiredParameterException", "MissingParameter;Sender", 400),
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
    assert "Content-Type" not in dict(head.headers)
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
