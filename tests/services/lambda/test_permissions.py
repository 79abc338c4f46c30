"""Function policies, and whom they let in."""

# ruff: noqa: E501 -- messages as AWS writes them

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from lambda_kit import ECHO, caught, package

INVOKE = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}


def arn(aws: Any, rest: str) -> str:
    return f"arn:aws:lambda:us-east-1:{aws.account}:function:{rest}"


@pytest.mark.parametrize(
    ("request_", "statement"),
    [
        (
            {"Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::b", "SourceAccount": "111111111111"},
            {
                "Principal": {"Service": "s3.amazonaws.com"},
                "Condition": {
                    "StringEquals": {"AWS:SourceAccount": "111111111111"},
                    "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"},
                },
            },
        ),
        ({"Principal": "222222222222"}, {"Principal": {"AWS": "arn:aws:iam::222222222222:root"}}),
        (
            {"Principal": "arn:aws:iam::222222222222:user/u"},
            {"Principal": {"AWS": "arn:aws:iam::222222222222:user/u"}},
        ),
        (
            {"Principal": "*", "EventSourceToken": "token", "PrincipalOrgID": "o-1234567890"},
            {
                "Principal": "*",
                "Condition": {
                    "StringEquals": {"lambda:EventSourceToken": "token", "aws:PrincipalOrgID": "o-1234567890"}
                },
            },
        ),
        (
            {"Principal": "*", "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
            {
                "Principal": "*",
                "Action": "lambda:InvokeFunctionUrl",
                "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
            },
        ),
    ],
)
def test_the_statement_that_is_built(
    aws: Any, lambda_: Any, make: Callable[..., Any], request_: dict[str, Any], statement: dict[str, Any]
) -> None:
    make("f")
    answer = lambda_.add_permission(FunctionName="f", **{**INVOKE, **request_})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    head = {"Sid": "s3", "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn(aws, "f")}
    assert json.loads(answer["Statement"]) == {**head, **statement}
    policy = json.loads(lambda_.get_policy(FunctionName="f")["Policy"])
    assert policy == {"Version": "2012-10-17", "Id": "default", "Statement": [{**head, **statement}]}


def test_policies_of_versions_are_their_own(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f", Publish=True)
    lambda_.add_permission(FunctionName="f", **INVOKE)
    assert caught(lambda_.get_policy, FunctionName="f", Qualifier="1") == (
        "ResourceNotFoundException",
        404,
        "The resource you requested does not exist.",
    )
    lambda_.add_permission(FunctionName="f", Qualifier="1", **INVOKE)
    statement = json.loads(lambda_.get_policy(FunctionName="f", Qualifier="1")["Policy"])["Statement"][0]
    assert statement["Resource"] == arn(aws, "f:1")
    lambda_.remove_permission(FunctionName="f", Qualifier="1", StatementId="s3")
    assert caught(lambda_.get_policy, FunctionName="f", Qualifier="1")[1] == 404
    assert lambda_.get_policy(FunctionName="f")["Policy"]


def test_revisions(lambda_: Any, make: Callable[..., Any]) -> None:
    make("f")
    before = lambda_.get_function_configuration(FunctionName="f")["RevisionId"]
    lambda_.add_permission(FunctionName="f", RevisionId=before, **INVOKE)
    after = lambda_.get_policy(FunctionName="f")["RevisionId"]
    assert after != before
    assert lambda_.get_function_configuration(FunctionName="f")["RevisionId"] == after
    mismatch = (
        "PreconditionFailedException",
        412,
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve "
        "the latest Revision Id",
    )
    assert (
        caught(lambda_.add_permission, FunctionName="f", RevisionId=before, **{**INVOKE, "StatementId": "t"})
        == mismatch
    )
    assert caught(lambda_.remove_permission, FunctionName="f", RevisionId=before, StatementId="s3") == mismatch


def test_what_is_refused(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f")
    lambda_.add_permission(FunctionName="f", **INVOKE)
    add, remove = lambda_.add_permission, lambda_.remove_permission
    for error, message in (
        (caught(add, FunctionName="f", **INVOKE), "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement."),
        (caught(add, FunctionName="g", **INVOKE), f"Function not found: {arn(aws, 'g')}"),
        (caught(add, FunctionName="f", Qualifier="none", **INVOKE), f"Cannot find alias arn: {arn(aws, 'f:none')}"),
        (caught(add, FunctionName="f", Qualifier="42", **INVOKE), f"Function not found: {arn(aws, 'f:42')}"),
        (caught(add, FunctionName="f", Qualifier="a-$-b", **INVOKE), f"Function not found: {arn(aws, 'f:a-$-b')}"),
        (caught(add, FunctionName="f", Qualifier="$LATEST", **INVOKE), "We currently do not support adding policies for $LATEST."),
        (caught(add, FunctionName="f", **{**INVOKE, "StatementId": "t", "Principal": "invalid.nonaws.com"}), "The provided principal was invalid. Please check the principal and try again."),
        (caught(remove, FunctionName="g", StatementId="s3"), f"No policy found for: {arn(aws, 'g')}"),
        (caught(remove, FunctionName="f", StatementId="none"), "Statement none is not found in resource policy."),
        (caught(lambda_.get_policy, FunctionName="g"), "The resource you requested does not exist."),
    ):  # fmt: skip
        assert error[2] == message
    remove(FunctionName="f", StatementId="s3")
    assert caught(remove, FunctionName="f", StatementId="s3")[2] == "No policy is associated with the given resource."


def test_a_policy_has_a_limit(lambda_: Any, make: Callable[..., Any]) -> None:
    make("f")
    source = "arn:aws:s3:::" + "b" * 150
    for number in range(100):
        request = {**INVOKE, "StatementId": f"{number:0100d}", "SourceArn": source}
        try:
            lambda_.add_permission(FunctionName="f", **request)
        except lambda_.exceptions.PolicyLengthExceededException as error:
            message = error.response["Error"]["Message"]
            break
    assert message.startswith("The final policy size (")
    assert message.endswith(") is bigger than the limit (20480).")
    assert len(lambda_.get_policy(FunctionName="f")["Policy"]) <= 20480


def user(aws: Any, statements: list[dict[str, Any]]) -> Any:
    """A Lambda client of a user who may do this and no more."""
    iam = aws.client("iam")
    iam.create_user(UserName="u")
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="u")["AccessKey"]
    return aws.client("lambda", credentials=key)


def test_invoking_needs_permission_on_that_very_qualifier(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f", Publish=True)
    grant = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn(aws, "f:1")}
    theirs = user(aws, [grant])
    assert theirs.invoke(FunctionName="f", Qualifier="1")["StatusCode"] == 200
    code, status, message = caught(theirs.invoke, FunctionName="f")
    assert (code, status) == ("AccessDeniedException", 403)
    assert f"is not authorized to perform: lambda:InvokeFunction on resource: {arn(aws, 'f')}" in message


def test_the_functions_own_policy_lets_a_user_in(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f")
    theirs = user(aws, [])
    assert caught(theirs.invoke, FunctionName="f")[1] == 403
    lambda_.add_permission(
        FunctionName="f",
        StatementId="u",
        Action="lambda:InvokeFunction",
        Principal=f"arn:aws:iam::{aws.account}:user/u",
    )
    assert theirs.invoke(FunctionName="f")["StatusCode"] == 200


def test_what_another_account_may_do(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    """ "Granting Lambda function access to other accounts": most of what works on a function that is there."""
    arn = make("f")["FunctionArn"]
    number = "222222222222"
    theirs = aws.client("lambda", credentials={"AccessKeyId": number, "SecretAccessKey": "test"})
    calls: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "GetFunction": (theirs.get_function, {}),
        "TagResource": (theirs.tag_resource, {"Resource": arn, "Tags": {"a": "b"}}),
        "ListTags": (theirs.list_tags, {"Resource": arn}),
        "UntagResource": (theirs.untag_resource, {"Resource": arn, "TagKeys": ["a"]}),
        "UpdateFunctionCode": (theirs.update_function_code, {"ZipFile": package({"index.py": ECHO}), "DryRun": True}),
        "PublishVersion": (theirs.publish_version, {}),
        "ListVersionsByFunction": (theirs.list_versions_by_function, {}),
        "CreateAlias": (theirs.create_alias, {"Name": "a", "FunctionVersion": "1"}),
        "GetAlias": (theirs.get_alias, {"Name": "a"}),
        "DeleteAlias": (theirs.delete_alias, {"Name": "a"}),
        "PutFunctionConcurrency": (theirs.put_function_concurrency, {"ReservedConcurrentExecutions": 1}),
        "GetFunctionConcurrency": (theirs.get_function_concurrency, {}),
        "GetPolicy": (theirs.get_policy, {}),
        "PutFunctionEventInvokeConfig": (theirs.put_function_event_invoke_config, {"MaximumRetryAttempts": 0}),
        "ListFunctionEventInvokeConfigs": (theirs.list_function_event_invoke_configs, {}),
        "UpdateFunctionConfiguration": (theirs.update_function_configuration, {}),
        "DeleteFunction": (theirs.delete_function, {}),
    }
    for action, (call, request) in calls.items():
        named = request if "Resource" in request else {"FunctionName": arn, **request}
        assert caught(call, **named)[:2] == ("AccessDeniedException", 403), action
        lambda_.add_permission(FunctionName="f", StatementId=action, Action=f"lambda:{action}", Principal=number)
        if action == "UpdateFunctionConfiguration":
            assert caught(call, **named)[:2] == ("AccessDeniedException", 403)
        else:
            assert call(**named)["ResponseMetadata"]["HTTPStatusCode"] < 300, action
        if action == "ListTags":
            assert call(**named)["Tags"] == {"a": "b"}
    assert caught(lambda_.get_function, FunctionName="f")[0] == "ResourceNotFoundException"


def test_creating_a_function_needs_leave_to_pass_the_role(aws: Any, role: str) -> None:
    theirs = user(aws, [{"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}])
    error = caught(
        theirs.create_function,
        FunctionName="f",
        Runtime="python3.12",
        Handler="i.h",
        Role=role,
        Code={"ZipFile": package({"i.py": ""})},
    )
    assert error[:2] == ("AccessDeniedException", 403)
    assert f"is not authorized to perform: iam:PassRole on resource: {role}" in error[2]


def test_a_whole_policy_is_put_read_and_taken_back(aws: Any, lambda_: Any, make: Callable[..., dict[str, Any]]) -> None:
    arn = make()["FunctionArn"]
    lambda_.add_permission(FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="*")
    missing = {"ResourceArn": arn + "x"}
    document = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": "123456789012"},
            "Action": "lambda:InvokeFunction",
            "Resource": arn,
        },
    }
    put = lambda_.put_resource_policy(ResourceArn=arn, Policy=json.dumps(document))
    assert json.loads(put["Policy"])["Statement"] == [document["Statement"]]
    got = lambda_.get_resource_policy(ResourceArn=arn)
    assert (got["Policy"], got["RevisionId"]) == (put["Policy"], put["RevisionId"])
    assert lambda_.get_policy(FunctionName="f")["Policy"] == put["Policy"]
    other = aws.client("lambda", credentials={"AccessKeyId": "123456789012", "SecretAccessKey": "test"})
    assert other.invoke(FunctionName=arn)["StatusCode"] == 200
    assert caught(lambda_.put_resource_policy, ResourceArn=arn, Policy="{}")[0] == "InvalidParameterValueException"
    stale = "0" * 8 + "-0000-0000-0000-" + "0" * 12
    changed = caught(lambda_.delete_resource_policy, ResourceArn=arn, RevisionId=stale)
    assert changed[:2] == ("PreconditionFailedException", 412)
    assert caught(lambda_.put_resource_policy, Policy=json.dumps(document), **missing)[:2] == (
        "ResourceNotFoundException",
        404,
    )
    assert lambda_.delete_resource_policy(ResourceArn=arn)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert caught(lambda_.get_resource_policy, ResourceArn=arn)[:2] == ("ResourceNotFoundException", 404)
    assert caught(other.invoke, FunctionName=arn)[0] == "AccessDeniedException"
