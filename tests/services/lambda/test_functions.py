"""Functions: their life, what AWS shows of them, and what it refuses."""

# ruff: noqa: E501 -- messages as AWS writes them

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from lambda_kit import ECHO, caught, package

NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    answer.pop("ResponseMetadata")
    return answer


def arn(aws: Any, rest: str) -> str:
    return f"arn:aws:lambda:us-east-1:{aws.account}:function:{rest}"


def test_the_life_of_a_function(aws: Any, lambda_: Any, role: str, updated: Callable[..., None]) -> None:
    code = package({"index.py": ECHO})
    created = lambda_.create_function(
        FunctionName="f", Runtime="python3.12", Handler="index.handler", Role=role, Code={"ZipFile": code}
    )
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    created = plain(created)
    revision, modified = created.pop("RevisionId"), created.pop("LastModified")
    assert UUID.fullmatch(revision)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", modified)
    runtime_arn = created["RuntimeVersionConfig"]["RuntimeVersionArn"]
    assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", runtime_arn)
    common = {
        "Architectures": ["x86_64"],
        "CodeSha256": base64.b64encode(hashlib.sha256(code).digest()).decode(),
        "CodeSize": len(code),
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": arn(aws, "f"),
        "FunctionName": "f",
        "Handler": "index.handler",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
        "MemorySize": 128,
        "PackageType": "Zip",
        "Role": role,
        "Runtime": "python3.12",
        "RuntimeVersionConfig": {"RuntimeVersionArn": runtime_arn},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": "$LATEST",
    }
    pending = {"State": "Pending", "StateReason": "The function is being created.", "StateReasonCode": "Creating"}
    assert created == {**common, **pending}

    updated()
    active = plain(lambda_.get_function_configuration(FunctionName="f"))
    assert active.pop("RevisionId") != revision
    assert active.pop("LastModified") == modified
    assert active == {**common, "State": "Active", "LastUpdateStatus": "Successful"}

    changed = plain(
        lambda_.update_function_configuration(FunctionName="f", Timeout=9, Environment={"Variables": {"AB": "c"}})
    )
    assert changed["LastUpdateStatus"] == "InProgress"
    assert changed["LastUpdateStatusReason"] == "The function is being created."
    assert changed["LastUpdateStatusReasonCode"] == "Creating"
    updated()
    new = package({"index.py": "x = 1"})
    assert lambda_.update_function_code(FunctionName="f", ZipFile=new)["LastUpdateStatus"] == "InProgress"
    updated()
    found = lambda_.get_function(FunctionName="f")
    assert found["Configuration"]["Timeout"] == 9
    assert found["Configuration"]["Environment"] == {"Variables": {"AB": "c"}}
    assert found["Configuration"]["CodeSha256"] == base64.b64encode(hashlib.sha256(new).digest()).decode()
    assert found["Code"]["RepositoryType"] == "S3"
    assert "Tags" not in found
    assert "Concurrency" not in found

    deleted = lambda_.delete_function(FunctionName="f")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert caught(lambda_.get_function, FunctionName="f") == (
        "ResourceNotFoundException",
        404,
        f"Function not found: {arn(aws, 'f')}",
    )
    assert caught(lambda_.delete_function, FunctionName="f")[2] == f"Function not found: {arn(aws, 'f')}"


def test_the_package_can_be_fetched_where_it_says(lambda_: Any, make: Callable[..., Any]) -> None:
    make("f")
    location = lambda_.get_function(FunctionName="f")["Code"]["Location"]
    with urllib.request.urlopen(location) as answer:
        assert answer.read() == package({"index.py": ECHO})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(location[:-1] + ("0" if location[-1] != "0" else "1"))
    assert refused.value.code == 403


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"Code": {"ZipFile": b"this is no zip file"}}, "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try to upload again."),
        ({"Code": {}}, "InvalidParameterValueException", "Please provide a source for function code."),
        ({"Runtime": "go1.x"}, "InvalidParameterValueException", "The runtime parameter of go1.x is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions."),
        ({"FunctionName": "a" * 65}, "InvalidParameterValueException", f"1 validation error detected: Value '{'a' * 65}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"),
        ({"FunctionName": "no:such:name"}, "ValidationException", f"1 validation error detected: Value 'no:such:name' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: {NAME_PATTERN}"),
        ({"Architectures": ["X86_64"]}, "ValidationException", "1 validation error detected: Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION"),
        ({"Environment": {"Variables": {"VV": "x" * 4090}}}, "InvalidParameterValueException", "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: " + json.dumps({"VV": "x" * 4090}, separators=(",", ":"))),
        ({"Timeout": 901}, "ValidationException", "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"),
        ({"MemorySize": 10241}, "InvalidParameterValueException", "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240"),
        ({"MemorySize": 32769}, "ValidationException", "1 validation error detected: Value '32769' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to 32768"),
        ({"Tags": {str(n): "" for n in range(51)}}, "InvalidParameterValueException", "Number of tags exceeds resource tag limit."),
        ({"Code": {"S3Bucket": "no-such-bucket-anywhere", "S3Key": "k"}}, "InvalidParameterValueException", "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist"),
    ],
)  # fmt: skip
def test_what_create_function_refuses(
    lambda_: Any, role: str, request_: dict[str, Any], code: str, message: str
) -> None:
    request = {"FunctionName": "f", "Runtime": "python3.12", "Handler": "index.handler", "Role": role}
    request["Code"] = {"ZipFile": package({"index.py": ECHO})}
    assert caught(lambda_.create_function, **{**request, **request_}) == (code, 400, message)
    assert lambda_.list_functions()["Functions"] == []


def test_requests_that_are_too_large(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    # Refused by what it announces: nobody has to send all of it.
    node = urlsplit(aws.endpoint)
    connection = http.client.HTTPConnection(node.hostname or "", node.port, timeout=30)
    connection.putrequest("POST", "/2015-03-31/functions")
    connection.putheader("authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request")
    connection.putheader("content-length", "70167212")
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")
    message = "Request must be smaller than 70167211 bytes for the CreateFunction operation"
    assert message in answer.read().decode()
    connection.close()
    make()
    variables = {"Variables": {"LARGE": "x" * 5120}}
    assert caught(lambda_.update_function_configuration, FunctionName="f", Environment=variables) == (
        "RequestEntityTooLargeException",
        413,
        "Request must be smaller than 5120 bytes for the UpdateFunctionConfiguration operation",
    )
    code, _, message = caught(
        lambda_.update_function_configuration, FunctionName="f", Environment={"Variables": {"LARGE": "x" * 4096}}
    )
    assert code == "InvalidParameterValueException"
    assert "exceeded the 4KB limit" in message


def test_a_runtime_that_is_none_is_told_all_others(lambda_: Any, role: str) -> None:
    error = caught(
        lambda_.create_function,
        FunctionName="f",
        Runtime="PYTHON3.9",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": package({"index.py": ECHO})},
    )
    assert error[:2] == ("InvalidParameterValueException", 400)
    head = (
        "Value PYTHON3.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [nodejs20.x, "
    )
    assert error[2].startswith(head)
    assert error[2].endswith("java8.al2] or be a valid ARN")


def test_a_role_that_lambda_may_not_assume(aws: Any, lambda_: Any, role: str) -> None:
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}  # fmt: skip
    aws.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument=json.dumps(trust))
    request = {
        "FunctionName": "f",
        "Runtime": "python3.12",
        "Handler": "i.h",
        "Code": {"ZipFile": package({"i.py": ""})},
    }
    refusal = ("InvalidParameterValueException", 400, "The role defined for the function cannot be assumed by Lambda.")
    assert caught(lambda_.create_function, Role=role.replace("function-role", "other"), **request) == refusal
    assert caught(lambda_.create_function, Role=role.replace("function-role", "none"), **request) == refusal
    elsewhere = role.replace(aws.account, "999999999999")
    assert caught(lambda_.create_function, Role=elsewhere, **request)[:2] == ("AccessDeniedException", 403)


def test_a_name_is_taken_once(lambda_: Any, make: Callable[..., Any]) -> None:
    make("f")
    error = caught(make, name="f")
    assert error == ("ResourceConflictException", 409, "Function already exist: f")


def test_of_many_at_once_one_makes_the_function(lambda_: Any, role: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def create(number: int) -> str:
        code = {"ZipFile": package({"i.py": f"n = {number}"})}
        try:
            lambda_.create_function(FunctionName="f", Runtime="python3.12", Handler="i.h", Role=role, Code=code)
        except lambda_.exceptions.ResourceConflictException:
            return "refused"
        return "made"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(create, range(8)))
    assert sorted(outcomes) == ["made", *["refused"] * 7]
    assert lambda_.get_account_settings()["AccountUsage"]["FunctionCount"] == 1


def test_code_from_s3(aws: Any, lambda_: Any, make: Callable[..., Any], updated: Callable[..., None]) -> None:
    s3 = aws.client("s3")
    bucket = f"code-{aws.account}"
    s3.create_bucket(Bucket=bucket)
    first, second = package({"index.py": ECHO}), package({"index.py": "x = 2"})
    s3.put_object(Bucket=bucket, Key="first.zip", Body=first)
    s3.put_object(Bucket=bucket, Key="second.zip", Body=second)
    make("f", Code={"S3Bucket": bucket, "S3Key": "first.zip"})
    assert lambda_.get_function_configuration(FunctionName="f")["CodeSize"] == len(first)
    lambda_.update_function_code(FunctionName="f", S3Bucket=bucket, S3Key="second.zip")
    updated()
    assert lambda_.get_function_configuration(FunctionName="f")["CodeSize"] == len(second)
    # Of a bucket with versions, the one that is asked for.
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    third = package({"index.py": "x = 'three'"})
    version = s3.put_object(Bucket=bucket, Key="first.zip", Body=third)["VersionId"]
    s3.put_object(Bucket=bucket, Key="first.zip", Body=b"no zip")
    lambda_.update_function_code(FunctionName="f", S3Bucket=bucket, S3Key="first.zip", S3ObjectVersion=version)
    updated()
    digest = lambda_.get_function_configuration(FunctionName="f")["CodeSha256"]
    assert digest == base64.b64encode(hashlib.sha256(third).digest()).decode()
    assert caught(lambda_.update_function_code, FunctionName="f", S3Bucket=bucket, S3Key="none") == (
        "InvalidParameterValueException",
        400,
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.",
    )
    far = f"far-code-{aws.account}"
    aws.client("s3", region="eu-west-1").create_bucket(
        Bucket=far, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    assert caught(lambda_.update_function_code, FunctionName="f", S3Bucket=far, S3Key="first.zip") == (
        "InvalidParameterValueException",
        400,
        "Error occurred while GetObject. S3 Error Code: PermanentRedirect. S3 Error Message: The bucket is in this "
        "region: eu-west-1. Please use this region to retry the request",
    )


@pytest.mark.parametrize(
    "form",
    ["f", "function:f", "{account}:function:f", "arn:aws:lambda:us-east-1:{account}:function:f", "f:$LATEST"],
)
def test_every_form_of_a_name(aws: Any, lambda_: Any, make: Callable[..., Any], form: str) -> None:
    make("f")
    found = lambda_.get_function_configuration(FunctionName=form.format(account=aws.account))
    assert found["FunctionArn"] == arn(aws, "f:$LATEST" if form.endswith("$LATEST") else "f")


def test_names_that_mean_nothing_here(aws: Any, lambda_: Any) -> None:
    elsewhere = f"arn:aws:lambda:ap-southeast-1:{aws.account}:function:f"
    assert caught(lambda_.get_function, FunctionName=elsewhere) == (
        "ResourceNotFoundException",
        404,
        "Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')",
    )
    assert caught(lambda_.get_function, FunctionName=arn(aws, "f:$LATEST"), Qualifier="1") == (
        "InvalidParameterValueException",
        400,
        "The derived qualifier from the function name does not match the specified qualifier.",
    )
    assert caught(lambda_.get_function, FunctionName="f", Qualifier="7")[2] == f"Function not found: {arn(aws, 'f:7')}"
    assert caught(lambda_.get_function, FunctionName="f:$latest")[0] == "ValidationException"
    assert caught(lambda_.get_function, FunctionName="f", Qualifier="$latest")[2].endswith(":function:f:$latest")
    assert caught(lambda_.delete_function, FunctionName="f", Qualifier="$LATEST")[2] == (
        "$LATEST version cannot be deleted without deleting the function."
    )
    assert caught(lambda_.delete_function, FunctionName="f", Qualifier="live")[2] == (
        "Deletion of aliases is not currently supported."
    )


def test_listing_page_by_page(aws: Any, lambda_: Any, role: str) -> None:
    for name in ("a", "b", "c"):
        lambda_.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler="i.h",
            Role=role,
            Code={"ZipFile": package({"i.py": ""})},
            Publish=name == "b",
        )
    pages = list(lambda_.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))
    assert [[one["FunctionArn"] for one in page["Functions"]] for page in pages] == [
        [arn(aws, "a"), arn(aws, "b")],
        [arn(aws, "c")],
    ]
    assert "State" not in pages[0]["Functions"][0]
    assert "RuntimeVersionConfig" not in pages[0]["Functions"][0]
    every = lambda_.list_functions(FunctionVersion="ALL")["Functions"]
    assert [one["FunctionArn"] for one in every] == [
        arn(aws, rest) for rest in ("a:$LATEST", "b:$LATEST", "b:1", "c:$LATEST")
    ]


def test_versions_and_aliases(aws: Any, lambda_: Any, make: Callable[..., Any], updated: Callable[..., None]) -> None:
    created = make("f", Publish=True)
    assert (created["Version"], created["FunctionArn"]) == ("1", arn(aws, "f"))
    again = lambda_.publish_version(FunctionName="f")
    assert (again["Version"], again["State"], again["LastUpdateStatus"]) == ("1", "Active", "Successful")
    lambda_.update_function_configuration(FunctionName="f", Description="second")
    updated()
    second = lambda_.publish_version(FunctionName="f", Description="two")
    assert (second["Version"], second["Description"], second["FunctionArn"]) == ("2", "two", arn(aws, "f:2"))
    third = lambda_.update_function_code(FunctionName="f", ZipFile=package({"index.py": "x = 3"}), Publish=True)
    assert (third["Version"], third["State"]) == ("3", "Pending")
    assert "LastUpdateStatus" not in third
    updated()
    assert [one["Version"] for one in lambda_.list_versions_by_function(FunctionName="f")["Versions"]] == [
        "$LATEST",
        "1",
        "2",
        "3",
    ]
    wrong = caught(lambda_.publish_version, FunctionName="f", CodeSha256="no")
    assert wrong[2].startswith("CodeSHA256 (no) is different from current CodeSHA256 in $LATEST (")

    alias = plain(lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1"))
    revision = alias.pop("RevisionId")
    assert alias == {"AliasArn": arn(aws, "f:live"), "Name": "live", "FunctionVersion": "1", "Description": ""}
    exists = f"Alias already exists: {arn(aws, 'f:live')}"
    assert caught(lambda_.create_alias, FunctionName="f", Name="live", FunctionVersion="1")[1:] == (409, exists)
    missing = f"Function not found: {arn(aws, 'f:9')}"
    assert caught(lambda_.create_alias, FunctionName="f", Name="x", FunctionVersion="9")[1:] == (404, missing)
    assert lambda_.get_function(FunctionName="f:live")["Configuration"]["FunctionArn"] == arn(aws, "f:live")
    moved = lambda_.update_alias(
        FunctionName="f",
        Name="live",
        FunctionVersion="2",
        RoutingConfig={"AdditionalVersionWeights": {"3": 0.5}},
        RevisionId=revision,
    )
    assert moved["RoutingConfig"] == {"AdditionalVersionWeights": {"3": 0.5}}
    stale = caught(lambda_.update_alias, FunctionName="f", Name="live", RevisionId=revision)
    assert stale[:2] == ("PreconditionFailedException", 412)
    assert caught(lambda_.delete_function, FunctionName="f", Qualifier="3")[2] == (
        "Unable to delete version because the following aliases reference it: [live]"
    )
    lambda_.delete_alias(FunctionName="f", Name="live")
    lambda_.delete_alias(FunctionName="f", Name="live")
    assert caught(lambda_.get_alias, FunctionName="f", Name="live")[2] == f"Cannot find alias arn: {arn(aws, 'f:live')}"
    lambda_.delete_function(FunctionName="f", Qualifier="3")
    lambda_.delete_function(FunctionName="f", Qualifier="3")
    assert lambda_.list_aliases(FunctionName="f")["Aliases"] == []


@pytest.mark.parametrize(
    ("routing", "version", "message"),
    [
        ({"1": 0.5, "2": 0.1}, "1", "Number of items in AdditionalVersionWeights cannot be greater than 1"),
        (
            {"1": 0.5},
            "1",
            "Invalid function version 1. Function version 1 is already included in routing configuration.",
        ),
        ({"1": 0.5}, "$LATEST", "$LATEST is not supported for an alias pointing to more than 1 version"),
    ],
)
def test_weights_that_cannot_be(
    lambda_: Any, make: Callable[..., Any], routing: dict[str, float], version: str, message: str
) -> None:
    make("f", Publish=True)
    request = {"FunctionName": "f", "Name": "live", "FunctionVersion": version}
    routing_config = {"AdditionalVersionWeights": routing}
    assert caught(lambda_.create_alias, RoutingConfig=routing_config, **request)[1:] == (400, message)


def test_tags(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f", Tags={"a": "1"})
    lambda_.tag_resource(Resource=arn(aws, "f"), Tags={"b": "2"})
    assert lambda_.list_tags(Resource=arn(aws, "f"))["Tags"] == {"a": "1", "b": "2"}
    assert lambda_.get_function(FunctionName="f")["Tags"] == {"a": "1", "b": "2"}
    lambda_.untag_resource(Resource=arn(aws, "f"), TagKeys=["a", "z"])
    assert lambda_.list_tags(Resource=arn(aws, "f"))["Tags"] == {"b": "2"}
    assert caught(lambda_.tag_resource, Resource=arn(aws, "f:1"), Tags={"a": "1"})[2] == (
        "Tags on function aliases and versions are not supported. Please specify a function ARN."
    )
    assert caught(lambda_.list_tags, Resource=arn(aws, "g"))[2] == f"Function not found: {arn(aws, 'g')}"


def test_logging_settings(lambda_: Any, make: Callable[..., Any], updated: Callable[..., None]) -> None:
    make("f")
    lambda_.update_function_configuration(FunctionName="f", LoggingConfig={"LogFormat": "JSON"})
    updated()
    assert lambda_.get_function_configuration(FunctionName="f")["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
        "LogGroup": "/aws/lambda/f",
    }
    lambda_.update_function_configuration(FunctionName="f", LoggingConfig={"LogFormat": "Text", "LogGroup": "mine"})
    updated()
    found = lambda_.get_function_configuration(FunctionName="f")["LoggingConfig"]
    assert found == {"LogFormat": "Text", "LogGroup": "mine"}


def test_reserved_concurrency_and_the_account(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f")
    assert "ReservedConcurrentExecutions" not in lambda_.get_function_concurrency(FunctionName="f")
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=7)
    assert lambda_.get_function_concurrency(FunctionName="f")["ReservedConcurrentExecutions"] == 7
    assert lambda_.get_function(FunctionName="f")["Concurrency"] == {"ReservedConcurrentExecutions": 7}
    settings = lambda_.get_account_settings()
    assert settings["AccountLimit"] == {
        "TotalCodeSize": 80530636800,
        "CodeSizeUnzipped": 262144000,
        "CodeSizeZipped": 52428800,
        "ConcurrentExecutions": 1000,
        "UnreservedConcurrentExecutions": 993,
    }
    assert settings["AccountUsage"] == {"TotalCodeSize": len(package({"index.py": ECHO})), "FunctionCount": 1}
    assert caught(lambda_.put_function_concurrency, FunctionName="f", ReservedConcurrentExecutions=901) == (
        "InvalidParameterValueException",
        400,
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [100].",
    )
    assert caught(lambda_.put_function_concurrency, FunctionName="g", ReservedConcurrentExecutions=1)[2] == (
        f"Function not found: {arn(aws, 'g:$LATEST')}"
    )
    lambda_.delete_function_concurrency(FunctionName="f")
    assert lambda_.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 1000


def test_aliases_of_one_version(lambda_: Any, make: Callable[..., Any], updated: Callable[..., None]) -> None:
    make(Publish=True)
    lambda_.update_function_configuration(FunctionName="f", Description="d")
    updated()
    lambda_.publish_version(FunctionName="f")
    for name, version, weights in (("a", "1", {}), ("b", "2", {}), ("c", "1", {"2": 0.1}), ("d", "$LATEST", {})):
        routing = {"AdditionalVersionWeights": weights}
        lambda_.create_alias(FunctionName="f", Name=name, FunctionVersion=version, RoutingConfig=routing)
    for version, names in (("1", ["a", "c"]), ("2", ["b", "c"]), ("$LATEST", ["d"]), ("3", [])):
        pages = lambda_.get_paginator("list_aliases").paginate(
            FunctionName="f", FunctionVersion=version, PaginationConfig={"PageSize": 1}
        )
        assert [[each["Name"] for each in page["Aliases"]] for page in pages] == ([[name] for name in names] or [[]])


@pytest.mark.parametrize("request_", [{"PublishTo": "LATEST_PUBLISHED", "Publish": True}, {"PackageType": "Image"}])
def test_what_is_not_built_says_so(lambda_: Any, role: str, request_: dict[str, Any]) -> None:
    request = {"FunctionName": "f", "Runtime": "python3.12", "Handler": "i.h", "Role": role}
    request["Code"] = {"ZipFile": package({"i.py": ""})}
    code, status, message = caught(lambda_.create_function, **{**request, **request_})
    assert (code, status) == ("NotImplemented", 501)
    assert next(iter(request_)) in message


def test_packages_that_are_kept_otherwise_are_not_built(lambda_: Any, role: str, make: Callable[..., Any]) -> None:
    make()
    settings = {"Runtime": "python3.12", "Handler": "i.h", "Role": role}
    for kept in (
        {"SourceKMSKeyArn": "arn:aws:kms:us-east-1:111122223333:key/k"},
        {"S3ObjectStorageMode": "REFERENCE", "S3Bucket": "bucket", "S3Key": "k"},
    ):
        code = kept if "S3Key" in kept else {"ZipFile": package({"i.py": ""}), **kept}
        refused = [
            caught(lambda_.create_function, FunctionName="g", Code=code, **settings),
            caught(lambda_.update_function_code, FunctionName="f", **code),
        ]
        if "S3Key" in kept:
            refused.append(caught(lambda_.publish_layer_version, LayerName="l", Content=code))
        for found in refused:
            assert found[:2] == ("NotImplemented", 501)
            assert next(iter(kept)) in found[2]


def test_operations_that_are_not_built_say_so(aws: Any, lambda_: Any) -> None:
    version = {"FunctionName": "f", "Qualifier": "1"}
    execution = {"DurableExecutionArn": arn(aws, "f:1/durable-execution/name/1")}
    for operation, request in (
        ("get_function_scaling_config", version),
        ("put_function_scaling_config", version),
        ("get_capacity_provider", {"CapacityProviderName": "p"}),
        ("delete_capacity_provider", {"CapacityProviderName": "p"}),
        ("list_capacity_providers", {}),
        ("list_function_versions_by_capacity_provider", {"CapacityProviderName": "p"}),
        ("list_durable_executions_by_function", {"FunctionName": "f"}),
        ("get_durable_execution", execution),
        ("get_durable_execution_history", execution),
        ("stop_durable_execution", execution),
    ):
        name = "".join(word.capitalize() for word in operation.split("_"))
        assert caught(getattr(lambda_, operation), **request) == (
            "NotImplemented",
            501,
            f"lambda:{name} is not implemented by Pileus.",
        )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"2": -1.0},
            "1 validation error detected: Value '{2=-1.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]",
        ),
        (
            {"$LATEST": 0.5},
            "1 validation error detected: Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]",
        ),
    ],
)
def test_weights_that_are_no_weights(aws: Any, weights: dict[str, float], message: str) -> None:
    lambda_ = aws.client("lambda", config={"parameter_validation": False})
    request = {"FunctionName": "f", "Name": "a", "FunctionVersion": "1"}
    routing = {"AdditionalVersionWeights": weights}
    assert caught(lambda_.create_alias, RoutingConfig=routing, **request) == ("ValidationException", 400, message)


def test_a_dry_run_of_new_code_changes_nothing(lambda_: Any, make: Callable[..., Any]) -> None:
    make()
    before = lambda_.get_function_configuration(FunctionName="f")
    new = package({"index.py": "def handler(event, context): return 'new'"})
    shown = lambda_.update_function_code(FunctionName="f", ZipFile=new, DryRun=True)
    assert shown["CodeSha256"] == base64.b64encode(hashlib.sha256(new).digest()).decode()
    after = lambda_.get_function_configuration(FunctionName="f")
    for member in ("CodeSha256", "RevisionId", "LastModified", "LastUpdateStatus"):
        assert after[member] == before[member]
    assert json.loads(lambda_.invoke(FunctionName="f", Payload="1")["Payload"].read()) == 1
    assert caught(lambda_.update_function_code, FunctionName="f", ZipFile=b"no zip", DryRun=True)[:2] == (
        "InvalidParameterValueException",
        400,
    )


def test_functions_by_qualifier(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    arn = make()["FunctionArn"]
    lambda_.publish_version(FunctionName="f")
    lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    for qualifier, version in (("1", "1"), ("live", "1"), ("$LATEST", "$LATEST")):
        for request in ({"FunctionName": "f", "Qualifier": qualifier}, {"FunctionName": f"{arn}:{qualifier}"}):
            found = lambda_.get_function(**request)["Configuration"]
            assert (found["FunctionArn"], found["Version"]) == (f"{arn}:{qualifier}", version)
    assert lambda_.get_function(FunctionName="f")["Configuration"]["FunctionArn"] == arn
    for qualifier in ("2", "dead"):
        assert caught(lambda_.get_function, FunctionName="f", Qualifier=qualifier) == (
            "ResourceNotFoundException",
            404,
            f"Function not found: {arn}:{qualifier}",
        )


def test_a_function_in_another_account_is_nobodys_to_make(lambda_: Any, role: str) -> None:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:x"
    request = {"Runtime": "python3.12", "Handler": "i.h", "Role": role, "Code": {"ZipFile": package({"i.py": ""})}}
    assert caught(lambda_.create_function, FunctionName=arn, **request) == ("AccessDeniedException", 403, None)
    layers = [arn.replace("function:x", "layer:l")]
    assert caught(lambda_.create_function, FunctionName="x", Layers=layers, **request)[2].endswith(
        r"[Member must have length less than or equal to 2048, Member must have length greater than or equal to 1, "
        r"Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso("
        r"[a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:"
        r"[a-zA-Z0-9-_]+), Member must not be null]"
    )


def test_every_version_and_layer_counts_as_code_storage(
    lambda_: Any, make: Callable[..., Any], updated: Callable[[str], None]
) -> None:
    def used() -> int:
        total: int = lambda_.get_account_settings()["AccountUsage"]["TotalCodeSize"]
        return total

    small, large = package({"index.py": ECHO}), package({"index.py": ECHO, "more.bin": bytes(range(256)) * 20})
    make(Publish=True)
    assert used() == 2 * len(small)
    lambda_.update_function_code(FunctionName="f", ZipFile=large)
    updated("f")
    assert used() == len(small) + len(large)
    lambda_.publish_layer_version(LayerName="l", Content={"ZipFile": small})
    assert used() == 2 * len(small) + len(large)
    lambda_.delete_layer_version(LayerName="l", VersionNumber=1)
    lambda_.delete_function(FunctionName="f", Qualifier="1")
    assert used() == len(large)
    lambda_.delete_function(FunctionName="f")
    assert used() == 0
