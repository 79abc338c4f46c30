"""Which operation and which protocol a request means."""

from __future__ import annotations

import pytest

from pileus.kernel.errors import AWSError
from pileus.model import load
from pileus.wire.message import HttpRequest
from pileus.wire.protocols import codec, codec_for, protocol_of
from pileus.wire.protocols.rest_router import RestRouter

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
