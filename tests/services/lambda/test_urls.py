"""Function URLs: their configuration, and what comes through them."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from lambda_kit import caught

ECHO_EVENT = """
import json
def handler(event, context):
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}
"""
# Answers what the body of the request says, as it is.
RETURN_BODY = """
import json
def handler(event, context):
    return json.loads(event["body"])
"""
FORBIDDEN = {
    "Message": "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
}
MISSING = ("ResourceNotFoundException", 404, "The resource you requested does not exist.")
NO_FUNCTION = ("ResourceNotFoundException", 404, "Function does not exist")
PUBLIC = {
    "StatementId": "url",
    "Action": "lambda:InvokeFunctionUrl",
    "Principal": "*",
    "FunctionUrlAuthType": "NONE",
}


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def send(aws: Any) -> Callable[..., Answer]:
    """A request to a function URL, over the node's address whatever the host name."""

    def request(
        url: str, path: str = "/", method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        node = urlsplit(aws.endpoint)
        connection = http.client.HTTPConnection(node.hostname or "", node.port, timeout=30)
        try:
            connection.request(method, path, body, {"host": urlsplit(url).netloc, **(headers or {})})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    return request


@pytest.fixture
def public(lambda_: Any, make: Callable[..., Any]) -> Callable[..., str]:
    """A function that everybody may call, and its URL."""

    def create(code: str, **config: Any) -> str:
        make("f", code)
        lambda_.add_permission(FunctionName="f", **PUBLIC)
        url: str = lambda_.create_function_url_config(FunctionName="f", AuthType="NONE", **config)["FunctionUrl"]
        return url

    return create


def arn(aws: Any, rest: str = "f") -> str:
    return f"arn:aws:lambda:us-east-1:{aws.account}:function:{rest}"


def test_the_life_of_a_configuration(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make()
    assert caught(lambda_.get_function_url_config, FunctionName="f") == MISSING
    created = lambda_.create_function_url_config(FunctionName="f", AuthType="NONE")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    shown = set(created) - {"ResponseMetadata"}
    assert shown == {"FunctionUrl", "FunctionArn", "AuthType", "CreationTime"}
    assert created["FunctionArn"] == arn(aws)
    assert urlsplit(created["FunctionUrl"]).hostname.partition(".")[2] == "lambda-url.us-east-1.localhost"
    assert caught(lambda_.create_function_url_config, FunctionName="f", AuthType="NONE") == (
        "ResourceConflictException",
        409,
        f"Failed to create function url config for [functionArn = {arn(aws)}]. Error message:  "
        "FunctionUrlConfig exists for this Lambda function",
    )
    read = lambda_.get_function_url_config(FunctionName="f")
    assert read["InvokeMode"] == "BUFFERED"
    assert read["FunctionUrl"] == created["FunctionUrl"]
    assert "Cors" not in read

    changed = lambda_.update_function_url_config(FunctionName="f", AuthType="AWS_IAM")
    assert changed["AuthType"] == "AWS_IAM"
    assert "InvokeMode" not in changed
    cors = {"AllowOrigins": ["https://example.com"], "MaxAge": 5}
    changed = lambda_.update_function_url_config(FunctionName="f", InvokeMode="RESPONSE_STREAM", Cors=cors)
    assert (changed["InvokeMode"], changed["Cors"], changed["AuthType"]) == ("RESPONSE_STREAM", cors, "AWS_IAM")
    assert lambda_.update_function_url_config(FunctionName="f")["InvokeMode"] == "RESPONSE_STREAM"

    assert lambda_.delete_function_url_config(FunctionName="f")["ResponseMetadata"]["HTTPStatusCode"] == 204
    for call in (
        lambda_.get_function_url_config,
        lambda_.update_function_url_config,
        lambda_.delete_function_url_config,
    ):
        assert caught(call, FunctionName="f") == MISSING


def test_what_is_refused(lambda_: Any, make: Callable[..., Any]) -> None:
    assert caught(lambda_.create_function_url_config, FunctionName="none", AuthType="NONE") == NO_FUNCTION
    assert caught(lambda_.list_function_url_configs, FunctionName="none") == NO_FUNCTION
    make()
    assert caught(lambda_.create_function_url_config, FunctionName="f", AuthType="NONE", InvokeMode="UNKNOWN") == (
        "ValidationException",
        400,
        "1 validation error detected: Value 'UNKNOWN' at 'invokeMode' failed to satisfy constraint: "
        "Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]",
    )
    assert caught(lambda_.create_function_url_config, FunctionName="f", AuthType="NONE", Qualifier="gone") == (
        NO_FUNCTION
    )
    assert caught(lambda_.create_function_url_config, FunctionName="f", AuthType="NONE", Qualifier="1")[:2] == (
        "ValidationException",
        400,
    )


def test_what_has_no_url(lambda_: Any, make: Callable[..., Any]) -> None:
    make()
    lambda_.publish_version(FunctionName="f")
    lambda_.create_alias(FunctionName="f", Name="a", FunctionVersion="1")
    get, update, delete = (getattr(lambda_, f"{verb}_function_url_config") for verb in ("get", "update", "delete"))
    for call in (get, update, delete):
        for request in ({"FunctionName": "f"}, {"FunctionName": "f", "Qualifier": "a"}, {"FunctionName": "f:none"}):
            assert caught(call, **request) == MISSING
        for qualifier in ("1", "$LATEST"):
            code, _, message = caught(call, FunctionName="f", Qualifier=qualifier)
            assert code == "ValidationException"
            assert f"Value '{qualifier}' at 'qualifier'" in message
        assert caught(call, FunctionName="f:a", Qualifier="b")[2] == (
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    for call, error in ((get, MISSING), (delete, MISSING), (update, NO_FUNCTION)):
        assert caught(call, FunctionName="none") == error


def test_aliases_have_urls_of_their_own(aws: Any, lambda_: Any, make: Callable[..., Any], send: Any) -> None:
    make("f", ECHO_EVENT)
    lambda_.publish_version(FunctionName="f")
    lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    lambda_.create_function_url_config(FunctionName="f", AuthType="NONE")
    url = lambda_.create_function_url_config(FunctionName="f", AuthType="NONE", Qualifier="live")["FunctionUrl"]
    first = lambda_.list_function_url_configs(FunctionName="f", MaxItems=1)
    assert [one["FunctionArn"] for one in first["FunctionUrlConfigs"]] == [arn(aws)]
    second = lambda_.list_function_url_configs(FunctionName="f", MaxItems=1, Marker=first["NextMarker"])
    assert [one["FunctionArn"] for one in second["FunctionUrlConfigs"]] == [arn(aws, "f:live")]
    assert "NextMarker" not in second

    lambda_.add_permission(FunctionName="f", Qualifier="live", **PUBLIC)
    assert send(url).status == 200
    lambda_.delete_alias(FunctionName="f", Name="live")
    gone = send(url)
    assert (gone.status, gone.json(), gone.headers["x-amzn-errortype"]) == (403, FORBIDDEN, "AccessDeniedException")
    lambda_.delete_function_url_config(FunctionName="f")
    assert [
        one["FunctionArn"] for one in lambda_.list_function_url_configs(FunctionName="f")["FunctionUrlConfigs"]
    ] == [arn(aws, "f:live")]
    lambda_.delete_function(FunctionName="f")
    assert (send(url).status, send(url).json()) == (404, {"Message": None})


def test_the_event(aws: Any, public: Callable[..., str], send: Any) -> None:
    url = public(ECHO_EVENT)
    host = urlsplit(url).netloc
    answer = send(
        url,
        "/a%20b/c?x=1&x=2&y=%C3%A4&z=",
        "POST",
        b'{"a": 1}',
        {"content-type": "application/json", "cookie": "one=1; two=2", "X-Own": "v", "user-agent": "ua"},
    )
    assert answer.status == 200
    event = answer.json()
    assert event.keys() == {
        "version",
        "routeKey",
        "rawPath",
        "rawQueryString",
        "cookies",
        "headers",
        "queryStringParameters",
        "requestContext",
        "body",
        "isBase64Encoded",
    }
    assert (event["version"], event["routeKey"]) == ("2.0", "$default")
    assert (event["rawPath"], event["rawQueryString"]) == ("/a%20b/c", "x=1&x=2&y=%C3%A4&z=")
    assert event["queryStringParameters"] == {"x": "1,2", "y": "ä", "z": ""}
    assert event["cookies"] == ["one=1", "two=2"]
    assert (event["body"], event["isBase64Encoded"]) == ('{"a": 1}', False)
    domain = host.partition(":")[0]
    headers = event["headers"]
    assert (headers["host"], headers["x-own"], headers["content-length"]) == (domain, "v", "8")
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert not {"cookie", "connection"} & headers.keys()
    context = event["requestContext"]
    assert context["http"] == {
        "method": "POST",
        "path": "/a%20b/c",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "ua",
    }
    assert (context["accountId"], context["stage"], context["routeKey"]) == ("anonymous", "$default", "$default")
    assert context["domainName"] == domain
    assert context["apiId"] == context["domainPrefix"] == domain.partition(".")[0]
    assert context["requestId"] == answer.headers["x-amzn-requestid"]
    assert isinstance(context["timeEpoch"], int)
    assert "authorizer" not in context

    form = send(url, "/", "POST", b"a=1&b=2", {"content-type": "application/x-www-form-urlencoded"}).json()
    assert (base64.b64decode(form["body"]), form["isBase64Encoded"]) == (b"a=1&b=2", True)
    bare = send(url).json()
    assert (bare["rawPath"], bare["rawQueryString"], bare["isBase64Encoded"]) == ("/", "", False)
    assert not {"body", "cookies", "queryStringParameters"} & bare.keys()

    by_path = send(aws.endpoint, f"/_aws/lambda-url/{context['apiId']}/x/y?q=1").json()
    assert (by_path["rawPath"], by_path["rawQueryString"]) == ("/x/y", "q=1")
    other = url.replace("us-east-1", "eu-west-1")
    assert (send(other).status, send(other).json()) == (404, {"Message": None})


@pytest.mark.parametrize(
    ("returned", "status", "headers", "body"),
    [
        ("Hello, world!", 200, {"content-type": "application/json"}, b'"Hello, world!"'),
        ({"message": "hi"}, 200, {"content-type": "application/json"}, b'{"message": "hi"}'),
        (None, 200, {"content-type": "application/json"}, b"null"),
        (
            {"statusCode": 201, "headers": {"content-type": "text/plain", "X-Own": 7}, "body": "ä"},
            201,
            {"content-type": "text/plain", "x-own": "7"},
            "ä".encode(),
        ),
        (
            {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(b"\0\xff").decode()},
            200,
            {"content-type": "application/json", "content-length": "2"},
            b"\0\xff",
        ),
        ({"statusCode": 204}, 204, {}, b""),
        ({"statusCode": 304, "body": "not for the wire"}, 304, {}, b""),
        ({"statusCode": 302, "headers": {"location": "/x"}, "body": ""}, 302, {"location": "/x"}, b""),
        ({"statusCode": 200, "cookies": ["a=1", "b=2"]}, 200, {"set-cookie": "a=1"}, b""),
        ({"statusCode": "abc"}, 502, {}, b"Internal Server Error"),
        ({"statusCode": 99}, 502, {}, b"Internal Server Error"),
        ({"statusCode": 200, "headers": ["x"]}, 502, {}, b"Internal Server Error"),
        ({"statusCode": 200, "headers": {"bad name": "x"}}, 502, {}, b"Internal Server Error"),
        ({"statusCode": 200, "isBase64Encoded": True, "body": "%"}, 502, {}, b"Internal Server Error"),
    ],
)
def test_answers_as_responses(returned: Any, status: int, headers: dict[str, str], body: bytes) -> None:
    from pileus.services.lambda_.url_payloads import BadAnswer, answer

    try:
        found = answer(json.dumps(returned, ensure_ascii=False).encode())
    except BadAnswer:
        assert status == 502
        return
    assert (found.status, found.body) == (status, body)
    shown = dict(reversed(found.headers)) | {"content-length": str(len(body))}
    assert shown | headers == shown


def test_responses_through_the_wire(public: Callable[..., str], send: Any) -> None:
    url = public(RETURN_BODY)

    def returning(value: Any) -> Answer:
        answer: Answer = send(url, "/", "POST", json.dumps(value).encode(), {"content-type": "application/json"})
        return answer

    whole = returning(
        {
            "statusCode": 418,
            "headers": {"X-Own": "v", "connection": "close", "x-evil": "a\r\nset-cookie: b"},
            "cookies": ["a=1", "b=2; Secure"],
            "isBase64Encoded": True,
            "body": base64.b64encode(b"\0\xff").decode(),
        }
    )
    assert (whole.status, whole.body) == (418, b"\0\xff")
    assert whole.headers["x-own"] == "v"
    assert whole.headers.get_all("set-cookie") == ["a=1", "b=2; Secure"]
    assert whole.headers["x-amzn-remapped-connection"] == "close"
    assert (returning("text").body, returning("text").headers["content-type"]) == (b'"text"', "application/json")
    assert (returning({"statusCode": 204, "body": "x"}).status, returning("next").status) == (204, 200)
    bad = returning({"statusCode": 1000})
    assert (bad.status, bad.body) == (502, b"Internal Server Error")
    # Its body is not JSON: the function raises.
    failed = send(url, "/", "POST", b"no", {"content-type": "text/plain"})
    assert (failed.status, failed.body) == (502, b"Internal Server Error")
    # In base64 it is more than an invocation takes.
    assert send(url, "/", "POST", b"x" * (5 * 1024 * 1024)).status == 413


def test_who_may_call(aws: Any, lambda_: Any, make: Callable[..., Any], send: Any) -> None:
    make("f", ECHO_EVENT)
    url = lambda_.create_function_url_config(FunctionName="f", AuthType="NONE")["FunctionUrl"]
    closed = send(url)
    assert (closed.status, closed.json(), closed.headers["x-amzn-errortype"]) == (
        403,
        FORBIDDEN,
        "AccessDeniedException",
    )
    # For signed calls only.
    lambda_.add_permission(FunctionName="f", **{**PUBLIC, "FunctionUrlAuthType": "AWS_IAM"})
    assert send(url).status == 403
    lambda_.remove_permission(FunctionName="f", StatementId="url")
    lambda_.add_permission(FunctionName="f", **PUBLIC)
    assert send(url).status == 200
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    assert (send(url).status, send(url).headers["x-amzn-errortype"]) == (429, "TooManyRequestsException")


def test_signed_calls(aws: Any, lambda_: Any, make: Callable[..., Any], send: Any) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    make("f", ECHO_EVENT)
    url = lambda_.create_function_url_config(FunctionName="f", AuthType="AWS_IAM")["FunctionUrl"]

    def signed(key: str, secret: str, service: str = "lambda") -> Answer:
        request = AWSRequest("POST", url + "a?b=c", data=b"text", headers={"content-type": "text/plain"})
        SigV4Auth(Credentials(key, secret), service, "us-east-1").add_auth(request)
        answer: Answer = send(url, "/a?b=c", "POST", b"text", dict(request.headers.items()))
        return answer

    assert (send(url).status, send(url).json()) == (403, FORBIDDEN)
    root = signed(aws.account, "test")
    assert root.status == 200
    assert signed(aws.account, "wrong").headers["x-amzn-errortype"] == "InvalidSignatureException"
    assert signed(aws.account, "test", "s3").status == 403

    iam = aws.client("iam")
    user = iam.create_user(UserName="u")["User"]
    keys = iam.create_access_key(UserName="u")["AccessKey"]
    denied = signed(keys["AccessKeyId"], keys["SecretAccessKey"])
    assert (denied.status, denied.json()) == (403, FORBIDDEN)
    allow = {
        "Effect": "Allow",
        "Action": "lambda:InvokeFunctionUrl",
        "Resource": arn(aws),
        "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document)
    event = signed(keys["AccessKeyId"], keys["SecretAccessKey"]).json()
    assert event["body"] == "text"
    assert "authorization" not in event["headers"]
    assert event["requestContext"]["accountId"] == aws.account
    assert event["requestContext"]["authorizer"]["iam"] == {
        "accessKey": keys["AccessKeyId"],
        "accountId": aws.account,
        "callerId": user["UserId"],
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": user["Arn"],
        "userId": user["UserId"],
    }


def test_browsers_of_other_origins(public: Callable[..., str], send: Any) -> None:
    cors = {
        "AllowOrigins": ["https://example.com", "https://*.example.org"],
        "AllowMethods": ["GET", "POST"],
        "AllowHeaders": ["x-own"],
        "ExposeHeaders": ["x-shown"],
        "AllowCredentials": True,
        "MaxAge": 60,
    }
    code = 'def handler(event, context): return {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}}'
    url = public(code, Cors=cors)
    asked = {"access-control-request-method": "POST", "origin": "https://example.com"}
    preflight = send(url, "/x", "OPTIONS", headers=asked)
    shown = {name: value for name, value in preflight.headers.items() if name.startswith("access-control-")}
    assert (preflight.status, preflight.body, shown) == (
        200,
        b"",
        {
            "access-control-allow-origin": "https://example.com",
            "access-control-allow-credentials": "true",
            "access-control-expose-headers": "x-shown",
            "access-control-allow-methods": "GET,POST",
            "access-control-allow-headers": "x-own",
            "access-control-max-age": "60",
        },
    )
    other = send(url, "/x", "OPTIONS", headers=asked | {"origin": "https://example.com.evil"})
    assert "access-control-allow-origin" not in other.headers
    answer = send(url, headers={"origin": "https://a.example.org"})
    assert answer.headers.get_all("access-control-allow-origin") == ["https://a.example.org"]
    assert answer.headers["vary"] == "Origin"


def test_a_function_that_does_not_stream_answers_in_one_piece(public: Callable[..., str], send: Any) -> None:
    url = public('def handler(event, context): return {"statusCode": 201, "body": "x"}', InvokeMode="RESPONSE_STREAM")
    answer = send(url)
    assert (answer.status, answer.json()) == (200, {"statusCode": 201, "body": "x"})


def test_configurations_are_for_those_who_may(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make()
    iam = aws.client("iam")
    iam.create_user(UserName="u")
    allow = {
        "Effect": "Allow",
        "Action": "lambda:*FunctionUrlConfig",
        "Resource": arn(aws),
        "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document)
    client = aws.client("lambda", credentials=iam.create_access_key(UserName="u")["AccessKey"])
    code, status, message = caught(client.create_function_url_config, FunctionName="f", AuthType="NONE")
    assert (code, status) == ("AccessDeniedException", 403)
    assert "is not authorized to perform: lambda:CreateFunctionUrlConfig on resource: " + arn(aws) in message
    client.create_function_url_config(FunctionName="f", AuthType="AWS_IAM")
    assert caught(client.list_function_url_configs, FunctionName="f")[:2] == ("AccessDeniedException", 403)
