"""Provisioned concurrency: environments that are there before anybody calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from feed_kit import PASSES_GATES, allow, gate, make_table, put
from lambda_kit import caught

from waiting import until

TELLS = (
    "import os\nKIND = os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\ndef handler(event, context):\n    return KIND\n"
)


def settled(lambda_: Any, qualifier: str) -> dict[str, Any]:
    """The configuration, once it is not in progress any more."""

    def look() -> Any:
        config = lambda_.get_provisioned_concurrency_config(FunctionName="f", Qualifier=qualifier)
        return config if config["Status"] != "IN_PROGRESS" else None

    found: dict[str, Any] = until(look)
    return found


def provision(lambda_: Any, qualifier: str, count: int = 1) -> dict[str, Any]:
    answer: dict[str, Any] = lambda_.put_provisioned_concurrency_config(
        FunctionName="f", Qualifier=qualifier, ProvisionedConcurrentExecutions=count
    )
    return answer


def kind(lambda_: Any, qualifier: str) -> str:
    answer: str = json.loads(lambda_.invoke(FunctionName="f", Qualifier=qualifier)["Payload"].read())
    return answer


def test_a_version_gets_its_environments_and_loses_them(lambda_: Any, make: Callable[..., Any]) -> None:
    arn = make(code=TELLS, Publish=True)["FunctionArn"]
    got = provision(lambda_, "1", 2)
    assert got.pop("ResponseMetadata")["HTTPStatusCode"] == 202
    assert got.pop("LastModified").endswith("+0000")
    assert got == {
        "RequestedProvisionedConcurrentExecutions": 2,
        "AvailableProvisionedConcurrentExecutions": 0,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
    }
    got = settled(lambda_, "1")
    assert (got["Status"], got["AllocatedProvisionedConcurrentExecutions"]) == ("READY", 2)
    assert got["AvailableProvisionedConcurrentExecutions"] == 2
    assert kind(lambda_, "1") == "provisioned-concurrency"
    assert kind(lambda_, "$LATEST") == "on-demand"
    listed = lambda_.list_provisioned_concurrency_configs(FunctionName="f")["ProvisionedConcurrencyConfigs"]
    assert [each["FunctionArn"] for each in listed] == [f"{arn}:1"]
    deleted = lambda_.delete_provisioned_concurrency_config(FunctionName="f", Qualifier="1")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert kind(lambda_, "1") == "on-demand"
    assert caught(lambda_.get_provisioned_concurrency_config, FunctionName="f", Qualifier="1") == (
        "ProvisionedConcurrencyConfigNotFoundException",
        404,
        "No Provisioned Concurrency Config found for this function",
    )
    assert lambda_.list_provisioned_concurrency_configs(FunctionName="f")["ProvisionedConcurrencyConfigs"] == []


def test_an_alias_shares_its_own_among_its_versions(lambda_: Any, make: Callable[..., Any]) -> None:
    make(code=TELLS, Publish=True)
    lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    provision(lambda_, "live")
    assert settled(lambda_, "live")["Status"] == "READY"
    assert kind(lambda_, "live") == "provisioned-concurrency"
    assert caught(provision, lambda_=lambda_, qualifier="1") == (
        "ResourceConflictException",
        409,
        "Version is pointed by a Provisioned Concurrency alias",
    )
    lambda_.delete_alias(FunctionName="f", Name="live")
    assert caught(lambda_.get_provisioned_concurrency_config, FunctionName="f", Qualifier="live")[0] == (
        "ResourceNotFoundException"
    )
    provision(lambda_, "1")
    lambda_.create_alias(FunctionName="f", Name="other", FunctionVersion="1")
    assert caught(provision, lambda_=lambda_, qualifier="other") == (
        "ResourceConflictException",
        409,
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
    )


def test_an_init_that_fails_is_told(lambda_: Any, make: Callable[..., Any]) -> None:
    make(code="raise Exception('no')\n", Publish=True)
    provision(lambda_, "1")
    got = settled(lambda_, "1")
    assert (got["Status"], got["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")
    assert got["AllocatedProvisionedConcurrentExecutions"] == 0


def test_what_is_provisioned_comes_out_of_the_reservation(lambda_: Any, make: Callable[..., Any]) -> None:
    make(code=TELLS, Publish=True)
    provision(lambda_, "1")
    settled(lambda_, "1")
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=1)
    assert caught(lambda_.invoke, FunctionName="f")[0] == "TooManyRequestsException"
    assert kind(lambda_, "1") == "provisioned-concurrency"


def test_no_less_is_reserved_than_is_provisioned(lambda_: Any, make: Callable[..., Any]) -> None:
    make(Publish=True)
    provision(lambda_, "1", 2)
    settled(lambda_, "1")
    code, status, message = caught(lambda_.put_function_concurrency, FunctionName="f", ReservedConcurrentExecutions=1)
    assert (code, status) == ("InvalidParameterValueException", 400)
    assert message.startswith("Specified ReservedConcurrentExecutions for function should not be less than")
    assert "ReservedConcurrentExecutions" not in lambda_.get_function_concurrency(FunctionName="f")
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=2)
    assert caught(provision, lambda_=lambda_, qualifier="1", count=3)[0] == "InvalidParameterValueException"


WAITS = (
    gate()
    + """
import os
KIND = os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]

def handler(event, context):
    gate(context.aws_request_id)
    return KIND
"""
)


def test_more_calls_than_environments_spill_over(aws: Any, lambda_: Any, role: str, make: Callable[..., Any]) -> None:
    allow(aws, PASSES_GATES)
    make_table(aws)
    make(code=WAITS, Publish=True, Timeout=30)
    provision(lambda_, "1")
    settled(lambda_, "1")
    with ThreadPoolExecutor(3) as threads:
        kinds = [threads.submit(kind, aws.client("lambda"), "1") for _ in range(3)]
        until(lambda: aws.client("dynamodb").scan(TableName="things", ConsistentRead=True)["Count"] == 3)
        put(aws, "go")
        assert sorted(each.result() for each in kinds) == ["on-demand", "on-demand", "provisioned-concurrency"]


@pytest.mark.parametrize(
    ("qualifier", "count", "error"),
    [
        ("1", 1001, ("InvalidParameterValueException", 400, "account's unreserved concurrency [1000].")),
        ("1", 950, ("InvalidParameterValueException", 400, "below its minimum value of [100].")),
        ("$LATEST", 1, ("InvalidParameterValueException", 400, "cannot be applied to unpublished function versions.")),
        ("7", 1, ("ResourceNotFoundException", 404, "function:f:7")),
        ("missing", 1, ("ResourceNotFoundException", 404, "function:f:missing")),
    ],
)
def test_what_cannot_be_provisioned(
    lambda_: Any, make: Callable[..., Any], qualifier: str, count: int, error: tuple[str, int, str]
) -> None:
    make(Publish=True)
    code, status, message = caught(provision, lambda_=lambda_, qualifier=qualifier, count=count)
    assert (code, status) == error[:2]
    assert message.endswith(error[2])


def test_what_has_no_provisioned_concurrency_to_show(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    arn = make(Publish=True)["FunctionArn"].removesuffix(":1")
    lambda_.create_alias(FunctionName="f", Name="a", FunctionVersion="1")
    show, take_back = lambda_.get_provisioned_concurrency_config, lambda_.delete_provisioned_concurrency_config
    unpublished = "The function resource provided must be an alias or a published version."
    for call in (show, take_back):
        for qualifier, code, message in (
            ("$LATEST", "InvalidParameterValueException", unpublished),
            ("7", "ResourceNotFoundException", f"Function not found: {arn}:7"),
            ("missing", "ResourceNotFoundException", f"Cannot find alias arn: {arn}:missing"),
        ):
            assert caught(call, FunctionName="f", Qualifier=qualifier)[::2] == (code, message)
    for qualifier in ("1", "a"):
        assert caught(show, FunctionName="f", Qualifier=qualifier) == (
            "ProvisionedConcurrencyConfigNotFoundException",
            404,
            "No Provisioned Concurrency Config found for this function",
        )
        take_back(FunctionName="f", Qualifier=qualifier)
    assert caught(lambda_.list_provisioned_concurrency_configs, FunctionName="g")[0] == "ResourceNotFoundException"


def test_a_restart_brings_them_back(start_pileus: Callable[..., Any], account: Callable[..., Any]) -> None:
    from lambda_kit import LOGGING, TRUST, package

    server = start_pileus()
    aws = account(server)
    iam, lambda_ = aws.client("iam"), aws.client("lambda")
    iam.create_role(RoleName="function-role", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="function-role", PolicyName="logs", PolicyDocument=json.dumps(LOGGING))
    lambda_.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="index.handler",
        Role=f"arn:aws:iam::{aws.account}:role/function-role",
        Code={"ZipFile": package({"index.py": TELLS})},
        Publish=True,
    )
    # The version is still being made: it gets them once it is there.
    provision(lambda_, "1")
    assert settled(lambda_, "1")["Status"] == "READY"
    server.kill()
    again = account(start_pileus(), aws.account).client("lambda")
    until(lambda: kind(again, "1") == "provisioned-concurrency")
