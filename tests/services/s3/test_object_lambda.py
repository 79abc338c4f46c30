"""Object Lambda access points: making them, and objects that a function makes on the way."""

from __future__ import annotations

import io
import uuid
import zipfile

import pytest
from tests.services.s3.control_kit import control_of, document, sent_here, user_keys
from tests.services.s3.replication_kit import allow_all, new_role

TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
WRITES = {"Effect": "Allow", "Action": "s3-object-lambda:WriteGetObjectResponse", "Resource": "*"}
FUNCTION = """
import json
import urllib.request

import boto3


def answer(event, body=b"", **members):
    where = event["getObjectContext"]
    boto3.client("s3").write_get_object_response(
        RequestRoute=where["outputRoute"], RequestToken=where["outputToken"], Body=body, **members
    )


def head(event):
    url = event["headObjectContext"]["inputS3Url"]
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as object:
        headers = dict(object.headers.items())
    if "wrong" in url:
        return ["no"]
    if "refused" in url:
        return {"statusCode": 403, "errorCode": "AccessDenied", "errorMessage": "not for you"}
    return {"statusCode": 200, "headers": {**headers, "x-amz-meta-seen": "by a function", "Content-Length": 42}}


def handler(event, context):
    if "headObjectContext" in event:
        return head(event)
    url = event["getObjectContext"]["inputS3Url"]
    key = event["userRequest"]["url"].partition("?")[0].rpartition("/")[2]
    if key == "silent":
        return {}
    if key == "broken":
        raise RuntimeError("no")
    if key == "told":
        del event["getObjectContext"]["inputS3Url"]
        return answer(event, json.dumps(event).encode())
    if key == "refused":
        return answer(event, b"x" * (5 << 20), StatusCode=404, ErrorCode="NoSuchKey", ErrorMessage="not for you")
    if key == "twice":
        answer(event, b"first")
        try:
            answer(event, b"second")
        except Exception as error:
            print(error)
        return {}
    with urllib.request.urlopen(url) as object:
        data = object.read()
    answer(event, data.upper(), ContentType="text/plain", Metadata={"made": "here"}, CacheControl="no-cache")
"""


@pytest.fixture
def supporting(control, mine, bucket):
    made = control.create_access_point(**mine, Name=f"p-{uuid.uuid4().hex}", Bucket=bucket)
    return made["AccessPointArn"]


def configuration(supporting, function, *actions, **more):
    transformation = {
        "Actions": [*actions] or ["GetObject"],
        "ContentTransformation": {"AwsLambda": {"FunctionArn": function}},
    }
    return {"SupportingAccessPoint": supporting, "TransformationConfigurations": [transformation], **more}


def function_arn(aws, name="f"):
    return f"arn:aws:lambda:us-east-1:{aws.account}:function:{name}"


@pytest.fixture
def function(aws):
    """The ARN of a function that answers for objects."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("index.py", FUNCTION)
    functions, name = aws.client("lambda"), f"f-{uuid.uuid4().hex[:20]}"
    arn = functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="index.handler",
        Timeout=30,
        Role=new_role(aws, WRITES, trust=TRUST),
        Code={"ZipFile": archive.getvalue()},
    )["FunctionArn"]
    waiter = functions.get_waiter("function_active_v2")
    waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})
    yield arn
    functions.delete_function(FunctionName=name)


def client(aws, **options):
    """SDKs put an access point's name before the endpoint's: an address has none."""
    named = type(aws)(aws.endpoint.replace("127.0.0.1", "localhost"), aws.account)
    return sent_here(aws, named.client("s3", **options))


def test_the_life_of_a_point(aws, control, mine, supporting, fails):
    name = f"ol-{uuid.uuid4().hex[:20]}"
    at = {**mine, "Name": name}
    arn = f"arn:aws:s3-object-lambda:us-east-1:{aws.account}:accesspoint/{name}"
    given = configuration(supporting, function_arn(aws))
    made = control.create_access_point_for_object_lambda(**at, Configuration=given)
    assert made["ObjectLambdaAccessPointArn"] == arn
    assert made["Alias"]["Status"] == "READY"
    assert made["Alias"]["Value"].endswith("--ol-s3")
    found = control.get_access_point_for_object_lambda(**at)
    assert (found["Name"], found["Alias"]) == (name, made["Alias"])
    assert all(found["PublicAccessBlockConfiguration"].values())
    listed = control.list_access_points_for_object_lambda(**mine)["ObjectLambdaAccessPointList"]
    assert listed == [{"Name": name, "ObjectLambdaAccessPointArn": arn, "Alias": made["Alias"]}]
    assert control.get_access_point_configuration_for_object_lambda(**at)["Configuration"] == given
    changed = configuration(supporting, function_arn(aws, "g"), AllowedFeatures=["GetObject-Range"])
    control.put_access_point_configuration_for_object_lambda(**at, Configuration=changed)
    assert control.get_access_point_configuration_for_object_lambda(**at)["Configuration"] == changed
    error = fails(control.create_access_point_for_object_lambda, **at, Configuration=given)
    assert (error["status"], error["Code"]) == (409, "AccessPointAlreadyOwnedByYou")
    error = fails(control.get_access_point_policy_for_object_lambda, **at)
    assert (error["status"], error["Code"]) == (404, "NoSuchAccessPointPolicy")
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": aws.account},
        "Action": "s3-object-lambda:GetObject",
        "Resource": arn,
    }
    control.put_access_point_policy_for_object_lambda(**at, Policy=document(allow))
    assert control.get_access_point_policy_for_object_lambda(**at)["Policy"] == document(allow)
    assert control.get_access_point_policy_status_for_object_lambda(**at)["PolicyStatus"] == {"IsPublic": False}
    public = document({**allow, "Principal": "*"})
    assert fails(control.put_access_point_policy_for_object_lambda, **at, Policy=public)["Code"] == "AccessDenied"
    control.delete_access_point_policy_for_object_lambda(**at)
    assert fails(control.get_access_point_policy_status_for_object_lambda, **at)["Code"] == "NoSuchAccessPointPolicy"
    control.delete_access_point_for_object_lambda(**at)
    error = fails(control.get_access_point_for_object_lambda, **at)
    assert (error["status"], error["Code"]) == (404, "NoSuchAccessPoint")
    assert fails(client(aws).get_object, Bucket=arn, Key="k")["Code"] == "NoSuchAccessPoint"


def test_what_configurations_must_hold_to(aws, control, mine, supporting, fails):
    function = function_arn(aws)
    given = configuration(supporting, function)
    (transformation,) = given["TransformationConfigurations"]

    def refused(**changes):
        error = fails(
            control.create_access_point_for_object_lambda, **mine, Name="a-point", Configuration={**given, **changes}
        )
        return error["status"], error["Code"]

    assert refused(SupportingAccessPoint=f"{supporting}x") == (404, "NoSuchAccessPoint")
    elsewhere = supporting.replace("us-east-1", "eu-west-1")
    assert refused(SupportingAccessPoint=elsewhere) == (400, "InvalidRequest")
    assert refused(TransformationConfigurations=[]) == (400, "InvalidRequest")
    assert refused(TransformationConfigurations=[{**transformation, "Actions": []}]) == (400, "InvalidRequest")
    listing = [{**transformation, "Actions": ["ListObjectsV2"]}]
    assert refused(TransformationConfigurations=listing)[0] == 501
    bare = {"AwsLambda": {"FunctionArn": "f"}}
    wrong = [{**transformation, "ContentTransformation": bare}]
    assert refused(TransformationConfigurations=wrong) == (400, "InvalidRequest")
    _, keys = user_keys(aws)
    theirs = control_of(aws, credentials=keys)
    error = fails(theirs.create_access_point_for_object_lambda, **mine, Name="a-point", Configuration=given)
    assert error["Code"] == "AccessDenied"


@pytest.fixture
def point(control, mine, supporting, function):
    made = control.create_access_point_for_object_lambda(
        **mine, Name=f"ol-{uuid.uuid4().hex[:20]}", Configuration=configuration(supporting, function)
    )
    return made["ObjectLambdaAccessPointArn"], made["Alias"]["Value"]


def test_a_function_answers(aws, point, s3, bucket, supporting, fails):
    arn, alias = point
    s3.put_object(Bucket=bucket, Key="a b/c+d", Body=b"some text")
    through = client(aws)
    found = through.get_object(Bucket=arn, Key="a b/c+d")
    assert found["Body"].read() == b"SOME TEXT"
    assert (found["ContentType"], found["CacheControl"], found["Metadata"]) == (
        "text/plain",
        "no-cache",
        {"made": "here"},
    )
    assert s3.get_object(Bucket=alias, Key="a b/c+d")["Body"].read() == b"SOME TEXT"
    large = b"x" * (3 << 20)
    s3.put_object(Bucket=bucket, Key="large", Body=large)
    assert through.get_object(Bucket=arn, Key="large")["Body"].read() == large.upper()
    # What no function answers is the supporting access point's.
    assert through.head_object(Bucket=arn, Key="a b/c+d")["ContentLength"] == 9
    through.put_object(Bucket=arn, Key="put", Body=b"y")
    assert s3.get_object(Bucket=bucket, Key="put")["Body"].read() == b"y"
    assert {one["Key"] for one in through.list_objects_v2(Bucket=alias)["Contents"]} == {"a b/c+d", "large", "put"}
    assert fails(through.get_object, Bucket=arn, Key="large", Range="bytes=0-1")["status"] == 501
    told = through.get_object(Bucket=arn, Key="told")["Body"].read().decode()
    for part in (arn, supporting, '"protocolVersion": "1.00"', f'"accountId": "{aws.account}"', '"type": "Root"'):
        assert part in told
    assert "Authorization" not in told


def test_a_function_tells_of_an_object(aws, control, mine, s3, bucket, supporting, function, fails):
    both = configuration(supporting, function, "GetObject", "HeadObject")
    made = control.create_access_point_for_object_lambda(**mine, Name="ol-heads", Configuration=both)
    through, at = client(aws), {"Bucket": made["ObjectLambdaAccessPointArn"]}
    for key in ("k", "wrong", "refused"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x", ContentType="text/plain")
    found = through.head_object(**at, Key="k")
    assert (found["ContentLength"], found["ContentType"]) == (42, "text/plain")
    assert found["Metadata"] == {"seen": "by a function"}
    assert through.get_object(**at, Key="k")["Body"].read() == b"X"
    assert fails(through.head_object, **at, Key="wrong")["status"] == 400
    assert fails(through.head_object, **at, Key="refused")["status"] == 403
    assert fails(through.head_object, **at, Key="k", Range="bytes=0-0")["status"] == 501


def test_what_functions_do_wrong(aws, point, s3, fails):
    arn, _ = point
    through = client(aws)
    for key, status, code in (
        ("silent", 500, "LambdaResponseNotReceived"),
        ("broken", 500, "LambdaRuntimeError"),
        ("refused", 404, "NoSuchKey"),
    ):
        error = fails(through.get_object, Bucket=arn, Key=key)
        assert (error["status"], error["Code"]) == (status, code)
    assert fails(through.get_object, Bucket=arn, Key="refused")["Message"] == "not for you"
    assert through.get_object(Bucket=arn, Key="twice")["Body"].read() == b"first"
    lost = {"RequestRoute": "io-local-001", "RequestToken": "guessed", "Body": b"x"}
    error = fails(through.write_get_object_response, **lost)
    assert (error["status"], error["Code"]) == (400, "ValidationError")


def test_who_may(aws, control, mine, point, s3, bucket, supporting, function, fails):
    arn, _ = point
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    reads = {"Effect": "Allow", "Action": "s3-object-lambda:GetObject", "Resource": arn}
    invokes = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function}

    def get(*statements):
        _, keys = user_keys(aws, *statements)
        return client(aws, credentials=keys)

    assert fails(get().get_object, Bucket=arn, Key="k")["Code"] == "AccessDenied"
    assert fails(get(reads).get_object, Bucket=arn, Key="k")["Code"] == "LambdaPermissionError"
    # The function may read as whoever asks, and no more.
    assert fails(get(reads, invokes).get_object, Bucket=arn, Key="k")["Code"] == "LambdaRuntimeError"
    assert get(reads, invokes, allow_all()).get_object(Bucket=arn, Key="k")["Body"].read() == b"X"
    gone = configuration(supporting, function_arn(aws, "gone"))
    made = control.create_access_point_for_object_lambda(**mine, Name="ol-gone", Configuration=gone)
    error = fails(client(aws).get_object, Bucket=made["ObjectLambdaAccessPointArn"], Key="k")
    assert (error["status"], error["Code"]) == (404, "LambdaNotFound")
