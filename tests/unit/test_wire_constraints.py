"""The services' validation errors, word for word."""
# ruff: noqa: E501 -- the sentences are AWS's

from __future__ import annotations

from typing import Any

import pytest

from pileus.kernel.errors import AWSError
from pileus.model import load, loader, service_names
from pileus.wire import constraints, patterns

LONG = "x" * 2000
FUNCTION = {"Role": "arn:aws:iam::123456789012:role/r", "Code": {}}
FAILED = "failed to satisfy constraint: Member must"


def failure(service: str, operation: str, members: dict[str, Any]) -> tuple[str, str]:
    model = load(service)
    with pytest.raises(AWSError) as raised:
        constraints.check(model, model.operations[operation], members)
    assert raised.value.status == 400
    return raised.value.code, raised.value.message


CASES = [
    (
        "events",
        "CreateConnection",
        {"Name": "two errors " * 7, "AuthorizationType": "INVALID", "AuthParameters": {}},
        "ValidationException",
        f"3 validation errors detected: Value '{'two errors ' * 7}' at 'name' {FAILED} satisfy regular expression "
        rf"pattern: [\.\-_A-Za-z0-9]+; Value '{'two errors ' * 7}' at 'name' {FAILED} have length less than or equal to "
        f"64; Value 'INVALID' at 'authorizationType' {FAILED} satisfy enum value set: [BASIC, OAUTH_CLIENT_CREDENTIALS, "
        "API_KEY]",
    ),
    (
        "events",
        "PutTargets",
        {"Rule": "r", "Targets": [{"Id": "good", "Arn": "a"}, {"Id": "!@#", "Arn": "a"}]},
        "ValidationException",
        rf"1 validation error detected: Value '!@#' at 'targets.2.member.id' {FAILED} satisfy regular expression "
        r"pattern: [\.\-_A-Za-z0-9]+",
    ),
    (
        "lambda",
        "CreateFunction",
        {**FUNCTION, "FunctionName": "f", "Architectures": ["X86_64"]},
        "ValidationException",
        f"1 validation error detected: Value '[X86_64]' at 'architectures' {FAILED} satisfy constraint: [Member must "
        "satisfy enum value set: [x86_64, arm64], Member must not be null]",
    ),
    (
        "lambda",
        "CreateFunction",
        {**FUNCTION, "FunctionName": "f", "VpcConfig": {"SubnetIds": ["sub"]}},
        "ValidationException",
        f"1 validation error detected: Value '[sub]' at 'vpcConfig.subnetIds' {FAILED} satisfy constraint: [Member must "
        "have length less than or equal to 1024, Member must have length greater than or equal to 0, Member must "
        "satisfy regular expression pattern: subnet-[0-9a-z]*]",
    ),
    (
        "lambda",
        "UpdateAlias",
        {"FunctionName": "f", "Name": "a", "RoutingConfig": {"AdditionalVersionWeights": {"2": 2.0}}},
        "ValidationException",
        "1 validation error detected: Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy "
        "constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must "
        "have value greater than or equal to 0.0, Member must not be null]",
    ),
    (
        "lambda",
        "UpdateAlias",
        {"FunctionName": "f", "Name": "a", "RoutingConfig": {"AdditionalVersionWeights": {"$LATEST": 0.5}}},
        "ValidationException",
        "1 validation error detected: Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to "
        "satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 1024, "
        "Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]",
    ),
    (
        "lambda",
        "CreateAlias",
        {"FunctionName": "f", "FunctionVersion": "1", "Name": "2024"},
        "ValidationException",
        f"1 validation error detected: Value '2024' at 'name' {FAILED} satisfy regular expression pattern: "
        "(?!^[0-9]+$)([a-zA-Z0-9-_]+)",
    ),
    (
        "lambda",
        "UntagResource",
        {"Resource": "arn:aws:lambda:us-east-1:123456789012:function:f"},
        "ValidationException",
        f"1 validation error detected: Value null at 'tagKeys' {FAILED} not be null",
    ),
    (
        "lambda",
        "CreateEventSourceMapping",
        {"FunctionName": "f", "StartingPosition": "newest"},
        "ValidationException",
        f"1 validation error detected: Value 'newest' at 'startingPosition' {FAILED} satisfy enum value set: [LATEST, "
        "AT_TIMESTAMP, TRIM_HORIZON]",
    ),
    (
        "apigateway",
        "CreateRestApi",
        {"name": "a", "endpointConfiguration": {"types": ["wrong"], "ipAddressType": "wrong"}},
        "ValidationException",
        f"2 validation errors detected: Value '[wrong]' at 'createRestApiInput.endpointConfiguration.types' {FAILED} "
        "satisfy constraint: [Member must satisfy enum value set: [PRIVATE, EDGE, REGIONAL]]; Value 'wrong' at "
        f"'createRestApiInput.endpointConfiguration.ipAddressType' {FAILED} satisfy enum value set: [ipv4, dualstack]",
    ),
    (
        "apigateway",
        "UpdateMethodResponse",
        {
            "restApiId": "a",
            "resourceId": "b",
            "httpMethod": "GET",
            "statusCode": "200",
            "patchOperations": [{"op": "add"}, {"op": "append"}],
        },
        "ValidationException",
        f"1 validation error detected: Value 'append' at 'updateMethodResponseInput.patchOperations.2.member.op' {FAILED} "
        "satisfy enum value set: [add, remove, move, test, replace, copy]",
    ),
    (
        "apigateway",
        "GetIntegrationResponse",
        {"restApiId": "a", "resourceId": "b", "httpMethod": "GET", "statusCode": "x"},
        "ValidationException",
        rf"1 validation error detected: Value 'x' at 'statusCode' {FAILED} satisfy regular expression pattern: "
        r"[1-5]\d\d",
    ),
    (
        "stepfunctions",
        "ListExecutions",
        {"statusFilter": "running", "maxResults": 1001},
        "ValidationException",
        f"2 validation errors detected: Value 'running' at 'statusFilter' {FAILED} satisfy enum value set: [SUCCEEDED, "
        f"TIMED_OUT, PENDING_REDRIVE, ABORTED, FAILED, RUNNING]; Value '1001' at 'maxResults' {FAILED} have value less "
        "than or equal to 1000",
    ),
    (
        "dynamodb",
        "PutItem",
        {"TableName": "t"},
        "ValidationException",
        f"1 validation error detected: Value null at 'item' {FAILED} not be null",
    ),
    (
        "kms",
        "GenerateRandom",
        {"NumberOfBytes": 1025},
        "ValidationException",
        f"1 validation error detected: Value '1025' at 'numberOfBytes' {FAILED} have value less than or equal to 1024",
    ),
    (
        "kinesis",
        "PutRecord",
        {"StreamName": "s", "PartitionKey": "", "Data": b"abc"},
        "ValidationException",
        f"1 validation error detected: Value '' at 'partitionKey' {FAILED} have length greater than or equal to 1",
    ),
    (
        "kms",
        "Encrypt",
        {"KeyId": "k", "Plaintext": b""},
        "ValidationException",
        f"1 validation error detected: Value at 'plaintext' {FAILED} have length greater than or equal to 1",
    ),
    (
        "cloudwatch",
        "SetAlarmState",
        {"AlarmName": "a", "StateReason": "r", "StateValue": "INVALID"},
        "ValidationException",
        f"1 validation error detected: Value 'INVALID' at 'stateValue' {FAILED} satisfy enum value set: "
        "[INSUFFICIENT_DATA, ALARM, OK]",
    ),
    (
        "logs",
        "PutMetricFilter",
        {
            "logGroupName": "g",
            "filterName": "f",
            "filterPattern": "p",
            "metricTransformations": [
                {"metricName": name, "metricNamespace": "n", "metricValue": "1"} for name in ("one", "two")
            ],
        },
        "InvalidParameterException",
        "1 validation error detected: Value '[MetricTransformation(metricName=one, metricNamespace=n, metricValue=1, "
        "defaultValue=null, unit=null, dimensions=null), MetricTransformation(metricName=two, metricNamespace=n, "
        "metricValue=1, defaultValue=null, unit=null, dimensions=null)]' at 'metricTransformations' failed to satisfy "
        "constraint: Member must have length less than or equal to 1",
    ),
    (
        "events",
        "PutEvents",
        {"Entries": [{"Source": "s", "Detail": "{}"}] * 11},
        "ValidationException",
        "1 validation error detected: Value '["
        + ", ".join(
            [
                "PutEventsRequestEntry(time=null, source=s, resources=null, detailType=null, detail={}, "
                "eventBusName=null, traceHeader=null, kmsKeyIdentifier=null, internalMetadata=null)"
            ]
            * 11
        )
        + f"]' at 'entries' {FAILED} have length less than or equal to 10",
    ),
    (
        "logs",
        "PutDeliveryDestination",
        {"name": "n", "outputFormat": "xml"},
        "ValidationException",
        f"1 validation error detected: Value 'xml' at 'outputFormat' {FAILED} satisfy enum value set: [w3c, raw, json, "
        "plain, parquet]",
    ),
    (
        "cloudformation",
        "CreateStack",
        {"StackName": "*no*"},
        "ValidationError",
        f"1 validation error detected: Value '*no*' at 'stackName' {FAILED} satisfy regular expression pattern: "
        "[a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*",
    ),
    (
        "sns",
        "Publish",
        {"Message": "m", "MessageAttributes": {"attr1": {"StringValue": "x"}}},
        "ValidationError",
        f"1 validation error detected: Value null at 'messageAttributes.attr1.member.dataType' {FAILED} not be null",
    ),
    (
        "sns",
        "SetPlatformApplicationAttributes",
        {"PlatformApplicationArn": "a"},
        "ValidationError",
        f"1 validation error detected: Value null at 'attributes' {FAILED} not be null",
    ),
    (
        "sns",
        "Unsubscribe",
        {},
        "InvalidParameter",
        "Invalid parameter: SubscriptionArn Reason: no value for required parameter",
    ),
    (
        "sqs",
        "SendMessage",
        {"QueueUrl": "q"},
        "MissingParameter",
        "The request must contain the parameter MessageBody.",
    ),
    (
        "sqs",
        "SendMessageBatch",
        {"QueueUrl": "q", "Entries": [{"Id": "1", "MessageBody": "b"}, {"MessageBody": "b"}]},
        "MissingParameter",
        "The request must contain the parameter SendMessageBatchRequestEntry.2.Id.",
    ),
    (
        "ecr",
        "CreateRepository",
        {"repositoryName": "Org/Repo"},
        "InvalidParameterException",
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression "
        r"'[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*''",
    ),
    (
        "ecr",
        "CreateRepository",
        {"repositoryName": "a"},
        "InvalidParameterException",
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must have length greater than or equal to 2'",
    ),
    ("ec2", "DeleteVpc", {}, "MissingParameter", "The request must contain the parameter VpcId"),
    (
        "iam",
        "CreateRole",
        {"RoleName": "a b", "AssumeRolePolicyDocument": "{}"},
        "ValidationError",
        "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the "
        "following: +=,.@_-",
    ),
    (
        "iam",
        "UpdateServiceSpecificCredential",
        {"ServiceSpecificCredentialId": "A" * 20, "Status": "Invalid"},
        "ValidationError",
        f"1 validation error detected: Value at 'status' {FAILED} satisfy enum value set",
    ),
    (
        "cognito-idp",
        "SignUp",
        {"ClientId": "c", "Username": "u", "Password": "\t"},
        "InvalidParameterException",
        rf"1 validation error detected: Value at 'password' {FAILED} satisfy regular expression pattern: [\S]+",
    ),
    (
        "s3",
        "PutBucketVersioning",
        {"Bucket": "b", "VersioningConfiguration": {"Status": "enabled"}},
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    ("s3", "PutBucketTagging", {"Bucket": "b"}, "MissingRequestBodyError", "Request Body is empty"),
    (
        "rds-data",
        "ExecuteStatement",
        {"resourceArn": "a" * 20, "secretArn": "b" * 20, "sql": "s", "parameters": [{"value": {}}]},
        "SerializationException",
        "Unions must have exactly one member set",
    ),
]


@pytest.mark.parametrize(("service", "operation", "members", "code", "message"), CASES)
def test_a_violation_is_told_in_the_services_words(
    service: str, operation: str, members: dict[str, Any], code: str, message: str
) -> None:
    assert failure(service, operation, members) == (code, message)


@pytest.mark.parametrize(
    ("service", "operation", "members"),
    [
        ("s3", "PutObject", {"Bucket": "b", "Key": "k", "ACL": "whatever"}),
        ("s3", "CreateBucket", {"Bucket": "b", "CreateBucketConfiguration": {"LocationConstraint": "mars"}}),
        ("lambda", "CreateFunction", {**FUNCTION, "FunctionName": "f", "Runtime": "cobol"}),
        ("dynamodb", "PutItem", {"TableName": "t", "Item": {"a": {"L": [{"S": ""}]}}}),
        ("sqs", "ReceiveMessage", {"QueueUrl": "q", "MaxNumberOfMessages": 11}),
        ("stepfunctions", "ListExecutions", {}),
    ],
)
def test_what_a_service_judges_itself_passes(service: str, operation: str, members: dict[str, Any]) -> None:
    model = load(service)
    constraints.check(model, model.operations[operation], members)


def test_nulls_in_lists_are_refused() -> None:
    code, message = failure("lambda", "CreateFunction", {**FUNCTION, "FunctionName": "f", "Layers": [None]})
    assert code == "ValidationException"
    assert message == f"1 validation error detected: Value null at 'layers.1.member' {FAILED} not be null"


def test_lengths_count_utf_16_units() -> None:
    model = load("lambda")
    operation = model.operations["CreateFunction"]
    constraints.check(model, operation, {**FUNCTION, "FunctionName": "f", "Description": "𝄞" * 128})
    _, message = failure("lambda", "CreateFunction", {**FUNCTION, "FunctionName": "f", "Description": "𝄞" * 129})
    assert message.endswith(
        "at 'description' failed to satisfy constraint: Member must have length less than or equal to 256"
    )


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["OK", "ALARM", "INSUFFICIENT_DATA"], "INSUFFICIENT_DATA, ALARM, OK"),
        (["json", "plain", "w3c", "raw", "parquet"], "w3c, raw, json, plain, parquet"),
        (["POST", "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"], "HEAD, POST, PATCH, DELETE, PUT, GET, OPTIONS"),
        (
            ["HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512"],
            "HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512",
        ),
        (["é", "ü"], "é, ü"),
    ],
)
def test_enum_sets_have_awss_order(values: list[str], shown: str) -> None:
    assert constraints.enum_set(values) == shown


def test_every_pattern_of_every_service_compiles() -> None:
    broken = []
    for service in sorted(service_names()):
        # Read, not loaded: a loaded model stays in memory.
        for name, traits in loader._read_source(loader._source(service))["shapes"].items():
            pattern = traits.get("pattern")
            if pattern and patterns.matcher(pattern) is None:
                broken.append((service, name, pattern))
    # No engine but Java's takes two quantifiers in a row; nothing is checked there.
    assert broken == [("rbin", "RuleArn", "^arn:\\S+:rbin:[a-z\\-0-9]{0,63}:[0-9]{12}:rule/[0-9a-zA-Z]{11}{0,1011}$")]


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"[\w-_]*", "a-b_c", True),
        (r"\d+", "١٢", False),
        (r"\w+", "é", False),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "é ١/x", True),
        (r"[a-z]+", "ab\n", False),
        (r"^[a-z]+$", "ab\n", False),
        (r".*", "a\nb", False),
        (r".*", "a\x0cb", True),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", "𝄞 x", True),
        (r"(?!^[0-9]+$)([a-zA-Z0-9-_]+)", "2024", False),
        (r"\p{ASCII}*", "é", False),
    ],
)
def test_patterns_mean_what_they_mean_in_java(pattern: str, text: str, matches: bool) -> None:
    found = patterns.matcher(pattern)
    assert found is not None
    assert found(text) is matches


def test_a_pattern_that_would_run_for_years_is_a_refusal() -> None:
    found = patterns.matcher("((a+)+b?)+$")
    assert found is not None
    assert found("a" * 200 + "!") is False


def test_a_broken_pattern_checks_nothing() -> None:
    assert patterns.matcher("([a-z]") is None


@pytest.mark.parametrize("length", [1, 32767, 32768, 65535])
def test_keys_of_maps_up_to_their_limit(length: int) -> None:
    model = load("dynamodb")
    item = {"n" * length: {"S": "v"}, "other": {"S": "v"}}
    constraints.check(model, model.operations["PutItem"], {"TableName": "t", "Item": item})


def test_keys_and_values_of_maps() -> None:
    code, message = failure("dynamodb", "PutItem", {"TableName": "t", "Item": {"n" * 65536: {"S": "v"}}})
    assert code == "ValidationException"
    assert "Map keys must satisfy constraint: [Member must have length less than or equal to 65535]" in message
    code, message = failure("dynamodb", "PutItem", {"TableName": "t", "Item": {"a": {"S": "v"}, "b": None}})
    assert "at 'item.b.member' failed to satisfy constraint: Member must not be null" in message
