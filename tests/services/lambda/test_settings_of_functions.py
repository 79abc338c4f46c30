"""Settings beside the configuration: code signing, runtime updates, recursive loops."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from lambda_kit import TRUST, caught, package

PUBLISHERS = {"SigningProfileVersionArns": ["arn:aws:signer:us-east-1:111111111111:/signing-profiles/test"]}
NO_FUNCTION = "arn:aws:lambda:us-east-1:{}:function:none"


def missing(aws: Any) -> tuple[str, int, str]:
    return "ResourceNotFoundException", 404, f"Function not found: {NO_FUNCTION.format(aws.account)}"


@pytest.fixture
def signing(lambda_: Any) -> dict[str, Any]:
    config: dict[str, Any] = lambda_.create_code_signing_config(
        Description="d", AllowedPublishers=PUBLISHERS, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"}
    )["CodeSigningConfig"]
    return config


def test_the_life_of_a_code_signing_configuration(aws: Any, lambda_: Any, signing: dict[str, Any]) -> None:
    arn = signing["CodeSigningConfigArn"]
    assert arn == f"arn:aws:lambda:us-east-1:{aws.account}:code-signing-config:{signing['CodeSigningConfigId']}"
    assert (signing["Description"], signing["AllowedPublishers"]) == ("d", PUBLISHERS)
    assert signing["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Enforce"}
    same = lambda_.update_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"]
    assert same | {"LastModified": ""} == signing | {"LastModified": ""}
    lambda_.update_code_signing_config(
        CodeSigningConfigArn=arn, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Warn"}
    )
    read = lambda_.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"]
    assert read["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}
    assert lambda_.list_code_signing_configs()["CodeSigningConfigs"] == [read]
    assert lambda_.delete_code_signing_config(CodeSigningConfigArn=arn)["ResponseMetadata"]["HTTPStatusCode"] == 204
    gone = ("ResourceNotFoundException", 404, f"The Lambda code signing configuration {arn} can not be found.")
    for call in (
        lambda_.get_code_signing_config,
        lambda_.update_code_signing_config,
        lambda_.delete_code_signing_config,
        lambda_.list_functions_by_code_signing_config,
    ):
        assert caught(call, CodeSigningConfigArn=arn) == gone
    plain = lambda_.create_code_signing_config(AllowedPublishers=PUBLISHERS)["CodeSigningConfig"]
    assert plain["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}


def test_tags_of_a_code_signing_configuration(lambda_: Any, signing: dict[str, Any]) -> None:
    arn = signing["CodeSigningConfigArn"]
    assert lambda_.list_tags(Resource=arn)["Tags"] == {}
    made = lambda_.create_code_signing_config(AllowedPublishers=PUBLISHERS, Tags={"a": "1"})["CodeSigningConfig"]
    assert lambda_.list_tags(Resource=made["CodeSigningConfigArn"])["Tags"] == {"a": "1"}
    lambda_.tag_resource(Resource=arn, Tags={"b": "2", "c": "3"})
    lambda_.untag_resource(Resource=arn, TagKeys=["b"])
    assert lambda_.list_tags(Resource=arn)["Tags"] == {"c": "3"}
    assert "Tags" not in lambda_.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"]
    many = {str(n): "" for n in range(51)}
    refused = ("InvalidParameterValueException", 400, "Number of tags exceeds resource tag limit.")
    assert caught(lambda_.create_code_signing_config, AllowedPublishers=PUBLISHERS, Tags=many) == refused
    assert caught(lambda_.tag_resource, Resource=arn, Tags=many) == refused
    unknown = arn[:-3] + "000"
    assert caught(lambda_.list_tags, Resource=unknown)[:2] == ("ResourceNotFoundException", 404)


def test_functions_with_a_code_signing_configuration(
    aws: Any, lambda_: Any, make: Callable[..., Any], signing: dict[str, Any]
) -> None:
    arn = signing["CodeSigningConfigArn"]
    unknown = arn[:-3] + "000"
    for name in ("f", "none"):
        code, status, message = caught(
            lambda_.put_function_code_signing_config, FunctionName=name, CodeSigningConfigArn=unknown
        )
        assert (code, status) == ("CodeSigningConfigNotFoundException", 404)
        assert message == (
            "The code signing configuration cannot be found. Check that the provided configuration is not deleted: "
            f"{unknown}."
        )
    put = lambda_.put_function_code_signing_config
    assert caught(put, FunctionName="none", CodeSigningConfigArn=arn) == missing(aws)
    assert caught(lambda_.get_function_code_signing_config, FunctionName="none") == missing(aws)
    assert caught(lambda_.delete_function_code_signing_config, FunctionName="none") == missing(aws)

    function_arn = make()["FunctionArn"]
    assert "CodeSigningConfigArn" not in lambda_.get_function_code_signing_config(FunctionName="f")
    assert lambda_.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)["FunctionArns"] == []
    assert put(FunctionName="f", CodeSigningConfigArn=arn)["FunctionName"] == "f"
    read = lambda_.get_function_code_signing_config(FunctionName="f")
    assert (read["CodeSigningConfigArn"], read["FunctionName"]) == (arn, "f")
    listed = lambda_.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)["FunctionArns"]
    assert listed == [function_arn]
    assert caught(lambda_.delete_code_signing_config, CodeSigningConfigArn=arn)[:2] == (
        "ResourceConflictException",
        409,
    )

    new = package({"index.py": "def handler(event, context): return 2"})
    code, status, message = caught(lambda_.update_function_code, FunctionName="f", ZipFile=new)
    assert (code, status) == ("NotImplemented", 501)
    assert "Verifying code signatures" in message
    warn = {"UntrustedArtifactOnDeployment": "Warn"}
    lambda_.update_code_signing_config(CodeSigningConfigArn=arn, CodeSigningPolicies=warn)
    lambda_.update_function_code(FunctionName="f", ZipFile=new)
    make("g", CodeSigningConfigArn=arn)
    assert lambda_.get_function_code_signing_config(FunctionName="g")["CodeSigningConfigArn"] == arn
    for name in ("f", "f"):
        deleted = lambda_.delete_function_code_signing_config(FunctionName=name)
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    lambda_.delete_function(FunctionName="g")
    lambda_.delete_code_signing_config(CodeSigningConfigArn=arn)


def test_recursive_loops(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    assert caught(lambda_.get_function_recursion_config, FunctionName="none") == missing(aws)
    put = lambda_.put_function_recursion_config
    assert caught(put, FunctionName="none", RecursiveLoop="Allow") == missing(aws)
    make()
    assert lambda_.get_function_recursion_config(FunctionName="f")["RecursiveLoop"] == "Terminate"
    assert put(FunctionName="f", RecursiveLoop="Allow")["RecursiveLoop"] == "Allow"
    assert lambda_.get_function_recursion_config(FunctionName="f")["RecursiveLoop"] == "Allow"
    assert caught(put, FunctionName="f", RecursiveLoop="Never")[:2] == ("ValidationException", 400)


def test_runtime_updates(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    get, put = lambda_.get_runtime_management_config, lambda_.put_runtime_management_config
    assert caught(get, FunctionName="none") == missing(aws)
    arn = make()["FunctionArn"]
    first = get(FunctionName="f")
    assert (first["UpdateRuntimeOn"], first["FunctionArn"], "RuntimeVersionArn" in first) == ("Auto", arn, False)
    assert put(FunctionName="f", UpdateRuntimeOn="FunctionUpdate")["UpdateRuntimeOn"] == "FunctionUpdate"
    assert caught(put, FunctionName="f", UpdateRuntimeOn="Manual")[:2] == ("InvalidParameterValueException", 400)
    config = lambda_.get_function_configuration(FunctionName="f")
    runtime = config["RuntimeVersionConfig"]["RuntimeVersionArn"]
    other = runtime[:-4] + "0000"
    assert caught(put, FunctionName="f", UpdateRuntimeOn="Manual", RuntimeVersionArn=other)[:2] == (
        "InvalidParameterValueException",
        400,
    )
    put(FunctionName="f", UpdateRuntimeOn="Manual", RuntimeVersionArn=runtime)
    read = get(FunctionName="f")
    assert (read["UpdateRuntimeOn"], read["RuntimeVersionArn"]) == ("Manual", runtime)
    lambda_.publish_version(FunctionName="f")
    assert get(FunctionName="f", Qualifier="1")["UpdateRuntimeOn"] == "Auto"
    assert caught(get, FunctionName="f", Qualifier="2")[:2] == ("ResourceNotFoundException", 404)


def test_they_are_for_those_who_may(aws: Any, lambda_: Any, make: Callable[..., Any], signing: dict[str, Any]) -> None:
    make()
    iam = aws.client("iam")
    iam.create_user(UserName="u")
    client = aws.client("lambda", credentials=iam.create_access_key(UserName="u")["AccessKey"])
    arn = signing["CodeSigningConfigArn"]
    denied = ("AccessDeniedException", 403)
    assert caught(client.get_code_signing_config, CodeSigningConfigArn=arn)[:2] == denied
    assert caught(client.get_function_code_signing_config, FunctionName="f")[:2] == denied
    assert caught(client.put_function_recursion_config, FunctionName="f", RecursiveLoop="Allow")[:2] == denied
    assert caught(client.get_runtime_management_config, FunctionName="f")[:2] == denied


def test_that_output_is_not_kept_is_said_once(start_pileus: Any, account: Any) -> None:
    server = start_pileus()
    cloud = account(server)
    iam, lambda_ = cloud.client("iam"), cloud.client("lambda")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    lambda_.create_function(
        FunctionName="quiet",
        Runtime="python3.11",
        Handler="index.handler",
        Role=f"arn:aws:iam::{cloud.account}:role/r",
        Code={"ZipFile": package({"index.py": "def handler(event, context): print('x')"})},
    )
    lambda_.get_waiter("function_active_v2").wait(FunctionName="quiet", WaiterConfig={"Delay": 0.05})
    for _ in range(5):
        lambda_.invoke(FunctionName="quiet")
    server.stop()
    assert server.log.read_text().count("function output not kept") == 1


def test_some_errors_do_not_say_whose_they_are(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    from botocore.exceptions import ClientError

    make(Publish=True)
    arn = f"arn:aws:lambda:us-east-1:{aws.account}:code-signing-config:csc-0123456789abcdef0"
    weights = {"AdditionalVersionWeights": {"1": 0.5}}
    for call in (
        lambda: lambda_.get_code_signing_config(CodeSigningConfigArn=arn),
        lambda: lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=901),
        lambda: lambda_.create_alias(FunctionName="f", Name="a", FunctionVersion="$LATEST", RoutingConfig=weights),
    ):
        with pytest.raises(ClientError) as failure:
            call()
        assert "Type" not in failure.value.response
    with pytest.raises(ClientError) as failure:
        lambda_.get_function(FunctionName="missing")
    assert failure.value.response["Type"] == "User"


def test_snapshots_are_for_some_runtimes_only(
    lambda_: Any, make: Callable[..., Any], updated: Callable[[str], None]
) -> None:
    snap_start = {"ApplyOn": "PublishedVersions"}
    refused = (
        "InvalidParameterValueException",
        400,
        "python3.11 is not supported for SnapStart enabled functions.",
    )
    assert caught(make, name="snap", SnapStart=snap_start) == refused
    make("snap", SnapStart={"ApplyOn": "None"})
    assert caught(lambda_.update_function_configuration, FunctionName="snap", SnapStart=snap_start) == refused
    lambda_.update_function_configuration(FunctionName="snap", Runtime="python3.12", SnapStart=snap_start)
    updated("snap")
    config = lambda_.get_function_configuration(FunctionName="snap")
    assert config["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    # A runtime that has none cannot be taken afterwards.
    assert caught(lambda_.update_function_configuration, FunctionName="snap", Runtime="python3.11") == refused
