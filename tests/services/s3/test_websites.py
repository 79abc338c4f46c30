"""Static websites: their settings, and what browsers are shown."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest

INDEX = {"IndexDocument": {"Suffix": "index.html"}}


@pytest.fixture
def site(s3, bucket):
    """Sets a website's configuration on a bucket that everybody may read and list."""

    def put(configuration=INDEX, *, listed=True):
        s3.delete_public_access_block(Bucket=bucket)
        statements = [
            {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{bucket}{behind}"}
            for action, behind in (("s3:GetObject", "/*"), *((("s3:ListBucket", ""),) if listed else ()))
        ]
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
        s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=configuration)

    return put


@pytest.fixture
def browse(aws, bucket):
    def get(path="/", *, method="GET", name=bucket, by_path=False, headers=None, label="s3-website.us-east-1"):
        address = urlsplit(aws.endpoint)
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        host = f"{name}.{label}.localhost:{address.port}"
        if by_path:
            host, path = address.netloc, f"/_aws/s3-website/{name}{path}"
        try:
            connection.request(method, path, headers={"Host": host, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    return get


def lines(body):
    return [line for line in body.decode().splitlines() if "RequestId" not in line and "HostId" not in line]


def test_index_documents(s3, bucket, site, browse):
    site()
    s3.put_object(Bucket=bucket, Key="index.html", Body=b"<h1>all</h1>", ContentType="text/html")
    s3.put_object(Bucket=bucket, Key="folder/index.html", Body=b"folder", Metadata={"a": "b"})
    for by_path in (False, True):
        status, headers, body = browse(by_path=by_path)
        assert (status, headers["content-type"], body) == (200, "text/html", b"<h1>all</h1>")
    status, headers, body = browse("/folder/")
    assert (status, headers["x-amz-meta-a"], body) == (200, "b", b"folder")
    status, headers, _ = browse("/folder")
    assert (status, headers["location"]) == (302, "/folder/")
    status, headers, body = browse(method="HEAD")
    assert (status, headers["content-length"], body) == (200, "12", b"")
    etag = headers["etag"]
    assert browse(headers={"If-None-Match": etag})[0] == 304
    assert browse(label="s3-website-us-east-1")[0] == 200
    assert browse(label="s3-website")[0] == 200


@pytest.mark.parametrize(("address", "status"), [("127.0.0.0/8", 200), ("192.0.2.0/24", 403)])
def test_a_policy_sees_the_address_of_a_browser(s3, bucket, site, browse, address, status):
    site()
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"IpAddress": {"aws:SourceIp": address}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    s3.put_object(Bucket=bucket, Key="index.html", Body=b"home")
    assert browse("/")[0] == status


def test_pages_of_errors(s3, bucket, site, browse):
    site({**INDEX, "ErrorDocument": {"Key": "error.html"}})
    status, headers, body = browse()
    assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert headers["x-amz-error-code"] == "NoSuchKey"
    assert lines(body) == [
        "<html>",
        "<head><title>404 Not Found</title></head>",
        "<body>",
        "<h1>404 Not Found</h1>",
        "<ul>",
        "<li>Code: NoSuchKey</li>",
        "<li>Message: The specified key does not exist.</li>",
        "<li>Key: index.html</li>",
        "</ul>",
        "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>",
        "<ul>",
        "<li>Code: NoSuchKey</li>",
        "<li>Message: The specified key does not exist.</li>",
        "<li>Key: error.html</li>",
        "</ul>",
        "<hr/>",
        "</body>",
        "</html>",
    ]
    s3.put_object(Bucket=bucket, Key="error.html", Body=b"sorry")
    assert browse("/missing")[::2] == (404, b"sorry")
    _, _, body = browse("/<script>")
    assert b"<script>" not in body


def test_what_nobody_may_read_is_not_shown(s3, bucket, site, browse):
    site(listed=False)
    status, _, body = browse("/missing")
    assert status == 403
    assert "<li>Code: AccessDenied</li>" in lines(body)
    s3.delete_bucket_policy(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="index.html", Body=b"secret")
    status, _, body = browse()
    assert status == 403
    assert b"secret" not in body


def test_methods_and_buckets_without_a_site(s3, bucket, site, browse):
    status, _, body = browse(name="not-" + bucket)
    assert status == 404
    assert "<li>Code: NoSuchBucket</li>" in lines(body)
    assert f"<li>BucketName: not-{bucket}</li>" in lines(body)
    status, _, body = browse()
    assert "<li>Code: NoSuchWebsiteConfiguration</li>" in lines(body)
    site()
    for method in ("DELETE", "POST", "PUT"):
        status, _, body = browse(method=method)
        assert status == 405
        assert f"<li>Method: {method}</li>" in lines(body)
        assert "<li>ResourceType: OBJECT</li>" in lines(body)


def test_redirects(s3, bucket, site, browse):
    site({"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}})
    status, headers, _ = browse("/a/b?c=d")
    assert (status, headers["location"]) == (301, "https://example.com/a/b?c=d")
    rules = [
        {
            "Condition": {"KeyPrefixEquals": "old/"},
            "Redirect": {"ReplaceKeyPrefixWith": "new/", "HttpRedirectCode": "307"},
        },
        {
            "Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "lost"},
            "Redirect": {"HostName": "example.com", "ReplaceKeyWith": "found.html"},
        },
    ]
    site({**INDEX, "RoutingRules": rules})
    status, headers, _ = browse("/old/page")
    assert (status, urlsplit(headers["location"]).path) == (307, "/new/page")
    status, headers, _ = browse("/lost")
    assert (status, headers["location"]) == (301, "http://example.com/found.html")
    s3.put_object(Bucket=bucket, Key="lost", Body=b"here")
    assert browse("/lost")[2] == b"here"
    s3.put_object(Bucket=bucket, Key="moved", Body=b"", WebsiteRedirectLocation="/elsewhere")
    status, headers, _ = browse("/moved")
    assert (status, headers["location"]) == (301, "/elsewhere")
    _, headers, _ = browse("/old/%0D%0AX-Evil:1")
    assert "x-evil" not in headers


def test_settings(s3, bucket, fails):
    missing = {
        "status": 404,
        "Code": "NoSuchWebsiteConfiguration",
        "Message": "The specified bucket does not have a website configuration",
        "BucketName": bucket,
    }
    assert fails(s3.get_bucket_website, Bucket=bucket) == missing
    s3.delete_bucket_website(Bucket=bucket)
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=INDEX)
    assert s3.get_bucket_website(Bucket=bucket)["IndexDocument"] == INDEX["IndexDocument"]
    s3.delete_bucket_website(Bucket=bucket)
    assert fails(s3.get_bucket_website, Bucket=bucket) == missing


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (
            {"IndexDocument": {"Suffix": "/index.html"}},
            ("InvalidArgument", "The IndexDocument Suffix is not well formed"),
        ),
        ({"IndexDocument": {"Suffix": ""}}, ("InvalidArgument", "The IndexDocument Suffix is not well formed")),
        (
            {**INDEX, "RedirectAllRequestsTo": {"HostName": "example.com"}},
            (
                "InvalidArgument",
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
            ),
        ),
        (
            {"ErrorDocument": {"Key": "error.html"}},
            (
                "InvalidArgument",
                "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
            ),
        ),
        (
            {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "protocol"}},
            (
                "InvalidRequest",
                "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected "
                "automatically.",
            ),
        ),
        (
            {**INDEX, "RoutingRules": [{"Redirect": {"ReplaceKeyPrefixWith": "a", "ReplaceKeyWith": "b"}}]},
            ("InvalidRequest", "You can only define ReplaceKeyPrefix or ReplaceKey but not both."),
        ),
        (
            {**INDEX, "RoutingRules": [{"Condition": {}, "Redirect": {"ReplaceKeyWith": "b"}}]},
            (
                "InvalidRequest",
                "Condition cannot be empty. To redirect all requests without a condition, the condition element "
                "shouldn't be present.",
            ),
        ),
        ({**INDEX, "RoutingRules": []}, ("MalformedXML", None)),
    ],
)
def test_what_settings_may_not_say(s3, bucket, fails, configuration, expected):
    error = fails(s3.put_bucket_website, Bucket=bucket, WebsiteConfiguration=configuration)
    assert (error["status"], error["Code"]) == (400, expected[0])
    if expected[1]:
        assert error["Message"] == expected[1]
