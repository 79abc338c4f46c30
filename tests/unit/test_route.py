"""Which service a request is for."""

import pytest

from pileus.wire.route import Hosts, Route, route, signing_scope

SIGNED = "AWS4-HMAC-SHA256 Credential=AKID/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=00"


def signed(service: str, region: str = "eu-west-1", **headers: str) -> dict[str, str]:
    return {"authorization": SIGNED.format(service=service, region=region), **headers}


@pytest.mark.parametrize(
    ("headers", "path", "query", "expected"),
    [
        (signed("dynamodb", **{"x-amz-target": "DynamoDB_20120810.PutItem"}), "/", "", Route("dynamodb", "/")),
        (
            signed("dynamodb", **{"x-amz-target": "DynamoDBStreams_20120810.ListStreams"}),
            "/",
            "",
            Route("dynamodbstreams", "/"),
        ),
        (signed("states"), "/", "", Route("stepfunctions", "/")),
        (signed("monitoring"), "/", "", Route("cloudwatch", "/")),
        (signed("apigateway"), "/restapis", "", Route("apigateway", "/restapis")),
        (signed("apigateway"), "/v2/apis", "", Route("apigatewayv2", "/v2/apis")),
        (signed("s3", host="localhost:4566"), "/b/k", "", Route("s3", "/b/k")),
        (signed("s3", host="b.s3.localhost:4566"), "/k", "", Route("s3", "/b/k")),
        (signed("s3", host="a.b.c.s3.eu-west-1.amazonaws.com"), "/k", "", Route("s3", "/a.b.c/k", "eu-west-1")),
        (signed("s3", host="s3.s3.localhost"), "/k", "", Route("s3", "/s3/k")),
        (
            signed("s3", host="s3.localhost", **{"x-amz-account-id": "1"}),
            "/v20180820/configuration/x",
            "",
            Route("s3control", "/v20180820/configuration/x"),
        ),
        (
            {"host": "mabc.mrap.accesspoint.s3-global.amazonaws.com"},
            "/k",
            "",
            Route("s3", "/mabc.mrap/k", multi_region=True),
        ),
        (
            {"host": "localhost:4566"},
            "/arn%3Aaws%3As3%3A%3A123456789012%3Aaccesspoint%2Fmabc.mrap/k",
            "",
            Route("s3", "/arn%3Aaws%3As3%3A%3A123456789012%3Aaccesspoint%2Fmabc.mrap/k", multi_region=True),
        ),
        (
            {"host": "olp-123456789012.s3-object-lambda.eu-west-1.amazonaws.com"},
            "/k",
            "",
            Route("s3", "/arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint%2Folp/k", "eu-west-1"),
        ),
        (
            signed("s3-object-lambda", host="olp-123456789012.localhost:4566"),
            "/k",
            "",
            Route("s3", "/arn:aws:s3-object-lambda::123456789012:accesspoint%2Folp/k"),
        ),
        (
            signed("s3-object-lambda", host="io-local-001.127.0.0.1:4566"),
            "/WriteGetObjectResponse",
            "",
            Route("s3", "/WriteGetObjectResponse"),
        ),
        ({"host": "localhost:4566"}, "/bucket/mabc.mrap", "", Route("s3", "/bucket/mabc.mrap")),
        ({"host": "b.s3-eu-west-1.amazonaws.com"}, "/k", "", Route("s3", "/b/k", "eu-west-1")),
        ({"host": "b.s3.localhost.localstack.cloud:4566"}, "/k", "", Route("s3", "/b/k")),
        ({"host": "lambda.us-east-2.amazonaws.com"}, "/", "", Route("lambda", "/", "us-east-2")),
        ({"host": "sqs.localhost:4566"}, "/", "", Route("sqs", "/")),
        ({"host": "b.s3.cloud.example"}, "/k", "", Route("s3", "/b/k")),
        ({"host": "127.0.0.1:4566"}, "/b/k", "", Route("s3", "/b/k")),
        ({"host": "[::1]:4566"}, "/b/k", "", Route("s3", "/b/k")),
        ({"host": "localhost:4566"}, "/2015-03-31/functions", "", Route("lambda", "/2015-03-31/functions")),
        ({"host": "localhost"}, "/", "Action=GetCallerIdentity&Version=2011-06-15", Route("sts", "/")),
        ({"host": "localhost"}, "/123456789012/q.fifo", "Action=SendMessage", Route("sqs", "/123456789012/q.fifo")),
        (
            {"host": "localhost"},
            "/queue/eu-west-1/123456789012/q",
            "a=b&Action=SendMessage",
            Route("sqs", "/queue/eu-west-1/123456789012/q"),
        ),
        ({"host": "localhost"}, "/12345678901/q", "Action=SendMessage", Route("s3", "/12345678901/q")),
        ({"host": "localhost"}, "/123456789012/q", "Action=", Route("s3", "/123456789012/q")),
        (
            {"host": "localhost"},
            "/b/k",
            "X-Amz-Credential=AKID%2F20260101%2Fus-east-1%2Fs3%2Faws4_request",
            Route("s3", "/b/k"),
        ),
        (
            signed("s3express", host="b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com"),
            "/k",
            "",
            Route("s3", "/b--use1-az4--x-s3/k", "us-east-1", express=True),
        ),
        (
            signed("s3express", host="s3express-control.eu-north-1.amazonaws.com"),
            "/b--eun1-az1--x-s3",
            "policy",
            Route("s3", "/b--eun1-az1--x-s3", "eu-north-1", express=True),
        ),
        ({"host": "b--use1-az4--x-s3.localhost:4566"}, "/k", "", Route("s3", "/b--use1-az4--x-s3/k", express=True)),
        (signed("s3express", host="127.0.0.1:4566"), "/", "", Route("s3", "/", express=True)),
        ({}, "/", "", Route("s3", "/")),
    ],
)
def test_a_request_finds_its_service(headers: dict[str, str], path: str, query: str, expected: Route) -> None:
    assert route(Hosts(("cloud.example",)), headers, path, query) == expected


def test_the_form_of_an_unsigned_query_call_names_its_service_by_version() -> None:
    headers = {"host": "localhost", "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    body = b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
    assert route(Hosts(), headers, "/", "", body).service == "sts"


@pytest.mark.parametrize("text", ["", "AWS AKID:sig", "AWS4-HMAC-SHA256 Credential=AKID/x, Signature=1", "Credential="])
def test_what_is_no_scope_names_none(text: str) -> None:
    assert signing_scope(text, "") is None


def test_a_stranger_who_sends_ever_new_hosts_fills_no_memory() -> None:
    hosts = Hosts()
    for number in range(10_000):
        hosts.read(f"{number}.s3.localhost")
    assert len(hosts._known) <= 4096


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"origin": "http://localhost:3000"}, False),
        ({"origin": "http://127.0.0.1:8080"}, False),
        ({"origin": "http://[::1]:8080"}, False),
        ({"origin": "http://site.s3-website.localhost:4566"}, False),
        ({"origin": "https://app.cloud.example"}, False),
        ({"origin": "https://example.com"}, True),
        ({"origin": "https://localhost.example.com"}, True),
        ({"origin": "https://evil.s3.amazonaws.com"}, True),
        ({"origin": "null"}, True),
        ({"origin": ""}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"}, False),
    ],
)
def test_web_pages_of_other_sites_are_told_apart(headers: dict[str, str], foreign: bool) -> None:
    assert Hosts(("cloud.example",)).is_foreign(headers) == foreign


def test_links_and_the_certificate_of_topics() -> None:
    hosts = Hosts()
    for query in ("Action=ConfirmSubscription&TopicArn=t&Token=x", "Action=Unsubscribe&SubscriptionArn=s"):
        assert route(hosts, {"host": "localhost:4566"}, "/", query) == Route("sns", "/")
        # Whoever says more than the link says it means something else.
        assert route(hosts, {"host": "localhost:4566"}, "/bucket", query) == Route("s3", "/bucket")
    assert route(hosts, {"host": "localhost"}, "/", "Action=Publish&TopicArn=t").service == "s3"
    path = "/SimpleNotificationService-0a1b.pem"
    for host in ("127.0.0.1:4566", "sns.us-east-1.amazonaws.com", "localhost"):
        found = hosts.hosted(host, path)
        assert found is not None
        assert (found.service, found.name) == ("sns", path[1:])
    assert hosts.hosted("b.s3.localhost:4566", path) is None
    website = hosts.hosted("b.s3-website.us-east-1.localhost:4566", path)
    assert website is not None
    assert website.service == "s3"


def test_a_key_id_has_its_end() -> None:
    """Else a header of many beginnings is gone through from each of them to its end, whoever sends it."""
    scope = "/20260101/eu-west-1/sqs/aws4_request"
    assert signing_scope(f"Credential={'A' * 256}{scope}", "") == ("eu-west-1", "sqs")
    assert signing_scope(f"Credential={'A' * 257}{scope}", "") is None
