"""Browsers' uploads: forms, their policies, what they are answered."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.services.s3.conftest import new_name


def post(url, fields, file=b"abcdef", *, file_name="file.txt", content_type=None, more=()):
    boundary = "boundary0123456789"
    parts = [*fields.items(), *more]
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in parts
    )
    if file is not None:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n'
        body += head.encode() + b"Content-Type: text/plain\r\n\r\n" + file + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    try:
        headers = {"Content-Type": content_type or f"multipart/form-data; boundary={boundary}"}
        connection.request("POST", address.path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def error_of(text):
    return dict(re.findall(r"<(\w+)>([^<]*)</\1>", text)) | dict.fromkeys(re.findall(r"<(\w+)/>", text), "")


@pytest.fixture(params=["s3v4", "s3"])
def signer(request, aws):
    return aws.client("s3", config={"signature_version": request.param, "s3": {"addressing_style": "path"}})


@pytest.fixture
def sign(s3, bucket):
    def make(key="key", fields=None, conditions=None, expires=60):
        signed = s3.generate_presigned_post(
            bucket, key, Fields=fields or {}, Conditions=conditions or [], ExpiresIn=expires
        )
        return signed["url"], signed["fields"]

    return make


def test_put_by_a_form(s3, bucket, signer):
    signed = signer.generate_presigned_post(bucket, "folder/${filename}")
    status, headers, text = post(signed["url"], signed["fields"])
    assert (status, text) == (204, "")
    assert headers["etag"] == '"e80b5017098950fc58aad83c8c14978e"'
    assert headers["location"].endswith(f"{bucket}/folder/file.txt")
    found = s3.get_object(Bucket=bucket, Key="folder/file.txt", ChecksumMode="ENABLED")
    assert (found["Body"].read(), found["ContentType"]) == (b"abcdef", "binary/octet-stream")
    assert found["ChecksumCRC64NVME"] == "Pact6XRTYyA="


def test_a_large_file(s3, bucket, sign):
    data = os.urandom(3 * 1024 * 1024 + 5)
    url, fields = sign()
    assert post(url, fields, data)[0] == 204
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == data


def test_what_is_kept_beside_the_file(s3, bucket, sign):
    tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    more = {
        "Content-Type": "text/plain",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-meta-test-1": "one",
        "tagging": tags,
        "success_action_status": "201",
    }
    url, fields = sign(fields=more, conditions=[{name: value} for name, value in more.items()])
    status, headers, text = post(url, fields)
    assert status == 201
    shown = error_of(text)
    assert (shown["Bucket"], shown["Key"], shown["Location"]) == (bucket, "key", headers["location"])
    found = s3.head_object(Bucket=bucket, Key="key")
    assert (found["ContentType"], found["StorageClass"], found["Metadata"]) == (
        "text/plain",
        "STANDARD_IA",
        {"test-1": "one"},
    )
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"] == [{"Key": "a", "Value": "b"}]
    for tagging in ("no xml", '<!DOCTYPE a [<!ENTITY b "c">]><Tagging/>'):
        url, fields = sign(fields={"tagging": tagging}, conditions=[{"tagging": tagging}])
        assert error_of(post(url, fields)[2])["Code"] == "MalformedXML"
    url, fields = sign(fields={"x-amz-storage-class": "FakeClass"}, conditions=[{"x-amz-storage-class": "FakeClass"}])
    assert error_of(post(url, fields)[2])["StorageClassRequested"] == "FakeClass"


def test_redirected_to(bucket, sign):
    target = "http://localhost.test/random?a=b"
    url, fields = sign(fields={"success_action_redirect": target}, conditions=[{"success_action_redirect": target}])
    status, headers, _ = post(url, fields)
    assert status == 303
    assert headers["location"].startswith(target + "&")
    query = parse_qs(urlsplit(headers["location"]).query)
    assert (query["bucket"], query["key"], query["etag"]) == ([bucket], ["key"], [headers["etag"]])


def test_conditions(s3, sign):
    target = "http://localhost.test/random"
    given = {"success_action_redirect": target}

    def answer(condition):
        url, fields = sign(fields=given, conditions=[condition])
        status, _, text = post(url, fields)
        return status, error_of(text)

    for condition, shown in (
        (
            ["eq", "$success_action_redirect", "HTTP://localhost.test/random"],
            '["eq", "$success_action_redirect", "HTTP://localhost.test/random"]',
        ),
        (
            ["eq", "success_action_redirect", target],
            f'["eq", "success_action_redirect", "{target}"]',
        ),
        (
            ["starts-with", "$success_action_redirect", "http://elsewhere"],
            '["starts-with", "$success_action_redirect", "http://elsewhere"]',
        ),
    ):
        status, error = answer(condition)
        assert (status, error["Code"]) == (403, "AccessDenied")
        message = error["Message"].replace("&quot;", '"')
        assert message == f"Invalid according to Policy: Policy Condition failed: {shown}"
    assert answer(["starts-with", "$success_action_redirect", "http://localhost"])[0] == 303
    status, error = answer({"a": "b", "success_action_redirect": target})
    assert (status, error["Code"], error["Message"]) == (
        400,
        "InvalidPolicyDocument",
        "Invalid Policy: Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
    )
    url, fields = sign()
    error = error_of(post(url, fields, more=[("x-amz-meta-a", "b")][:0])[2])
    assert error == {}
    status, _, text = post(url, {"x-amz-meta-a": "b", **fields})
    assert error_of(text)["Message"] == "Invalid according to Policy: Extra input fields: x-amz-meta-a"
    assert post(url, {"x-ignore-a": "b", **fields})[0] == 204


def test_sizes(s3, bucket, sign, fails):
    url, fields = sign(conditions=[["content-length-range", 5, 10]])
    error = error_of(post(url, fields, b"a" * 12)[2])
    assert (error["Code"], error["ProposedSize"], error["MaxSizeAllowed"]) == ("EntityTooLarge", "12", "10")
    error = error_of(post(url, fields, b"a")[2])
    assert (error["Code"], error["ProposedSize"], error["MinSizeAllowed"]) == ("EntityTooSmall", "1", "5")
    error = error_of(post(url, fields, b"a" * 300_000)[2])
    assert (error["Code"], error["ProposedSize"]) == ("EntityTooLarge", "300000")
    assert fails(s3.head_object, Bucket=bucket, Key="key")["status"] == 404
    assert post(url, fields, b"a" * 10)[0] == 204
    url, fields = sign(conditions=[["content-length-range", "test", 10]])
    error = error_of(post(url, fields)[2])
    assert error["Message"].replace("&quot;", '"') == (
        'Invalid according to Policy: Policy Condition failed: ["content-length-range", "test", "10"]'
    )


def test_what_is_missing_or_wrong(aws, bucket, signer, raw):
    signed = signer.generate_presigned_post(bucket, "key")
    url, fields = signed["url"], signed["fields"]
    name = "x-amz-signature" if "x-amz-signature" in fields else "signature"
    status, _, text = post(url, {field: value for field, value in fields.items() if field != name})
    shown = "X-Amz-Signature" if name.startswith("x-amz") else "Signature"
    assert status == 400
    assert error_of(text)["Message"] == (
        f"Bucket POST must contain a field named &apos;{shown}&apos;.  If it is specified, please check the order of "
        "the fields."
    ).replace("&apos;", "'")
    assert error_of(text)["ArgumentName"] == shown
    status, _, text = post(url, {**fields, name: "wrong"})
    assert (status, error_of(text)["Code"]) == (403, "SignatureDoesNotMatch")
    status, _, text = post(url, fields, file=None)
    assert (status, error_of(text)["ArgumentName"]) == (400, "file")
    status, _, text = post(url, fields, content_type="application/x-www-form-urlencoded")
    assert (status, error_of(text)["Condition"]) == (
        412,
        "Bucket POST must be of the enclosure-type multipart/form-data",
    )
    expired = signer.generate_presigned_post(bucket, "key", ExpiresIn=-10)
    status, _, text = post(expired["url"], expired["fields"])
    assert (status, error_of(text)["Message"]) == (403, "Invalid according to Policy: Policy expired.")
    # Without a policy it is nobody who asks.
    assert post(url, {"key": "key"})[0] == 403
    for document in ("{}", "[]", "no json", json.dumps({"expiration": "never", "conditions": []})):
        policy = base64.b64encode(document.encode()).decode()
        assert post(url, {**fields, "policy": policy})[0] in (400, 403)
    assert raw("POST", f"/{bucket}", headers={"Content-Type": "multipart/form-data"}, signed=False)[0] == 400


def test_by_a_user_who_may_and_one_who_may_not(aws, bucket):
    iam = aws.client("iam")
    name = new_name()[:20]
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    client = aws.client(
        "s3", credentials={"AccessKeyId": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"]}
    )
    signed = client.generate_presigned_post(bucket, "key")
    assert post(signed["url"], signed["fields"])[0] == 403
    statement = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="put", PolicyDocument=policy)
    assert post(signed["url"], signed["fields"])[0] == 204


def test_locks_that_a_form_asks_for(aws, s3, bucket):
    locking = new_name()
    s3.create_bucket(Bucket=locking, ObjectLockEnabledForBucket=True)
    mode, until = "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"
    asked = {mode: "GOVERNANCE", until: "2099-01-02T03:04:05Z"}
    for name, fields, expected in (
        (locking, asked, ""),
        (bucket, asked, "InvalidRequest"),
        (locking, {**asked, until: "soon"}, "InvalidArgument"),
        (locking, {mode: "GOVERNANCE"}, "InvalidArgument"),
    ):
        conditions = [{field: value} for field, value in fields.items()]
        signed = s3.generate_presigned_post(name, "key", Fields=dict(fields), Conditions=conditions)
        assert error_of(post(signed["url"], signed["fields"])[2]).get("Code", "") == expected, fields
    kept = s3.get_object_retention(Bucket=locking, Key="key")["Retention"]
    assert (kept["Mode"], f"{kept['RetainUntilDate']:%Y-%m-%dT%H:%M:%SZ}") == ("GOVERNANCE", asked[until])
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_form_without_a_key_for_its_file(s3, bucket):
    for key, file_name in (("", "a"), ("${filename}", "")):
        signed = s3.generate_presigned_post(bucket, "", Fields={}, Conditions=[["starts-with", "$key", ""]])
        status, _, text = post(signed["url"], {**signed["fields"], "key": key}, file_name=file_name)
        error = error_of(text)
        assert (status, error["Code"], error["ArgumentName"]) == (400, "InvalidArgument", "key")
        assert error["Message"] == "User key must have a length greater than 0."
