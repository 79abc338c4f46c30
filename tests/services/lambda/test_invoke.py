"""Invocations: what callers get back, what is refused, the asynchronous queue, what appears in the log."""

# ruff: noqa: E501 -- messages as AWS writes them

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from collections.abc import Callable
from typing import Any

from lambda_kit import caught, package

from waiting import until

CONTEXT = """
def handler(event, context):
    client = context.client_context
    return {
        "request_id": context.aws_request_id, "arn": context.invoked_function_arn, "version": context.function_version,
        "client": client and client.custom, "group": context.log_group_name,
    }
"""
WHO = """
import boto3
def handler(event, context):
    return boto3.client("sts").get_caller_identity()["Arn"]
"""
SLOW = """
import time
def handler(event, context):
    time.sleep(event["s"])
    return "done"
"""


def arn(aws: Any, rest: str) -> str:
    return f"arn:aws:lambda:us-east-1:{aws.account}:function:{rest}"


def result(answer: dict[str, Any]) -> Any:
    return json.load(answer["Payload"])


def events(logs: Any, name: str = "f") -> list[str]:
    group = f"/aws/lambda/{name}"
    return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]


def test_a_call_and_its_answer(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f")
    answer = lambda_.invoke(FunctionName="f", Payload=b'{"a": [1, "\xc3\xa9"]}')
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert "LogResult" not in answer
    assert result(answer) == {"a": [1, "é"]}
    assert result(lambda_.invoke(FunctionName="f")) == {}


def test_what_the_function_learns_of_its_call(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f", CONTEXT, Publish=True)
    lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    client = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    answer = lambda_.invoke(FunctionName="f", Qualifier="live", ClientContext=client)
    assert answer["ExecutedVersion"] == "1"
    assert result(answer) == {
        "request_id": answer["ResponseMetadata"]["RequestId"],
        "arn": arn(aws, "f:live"),
        "version": "1",
        "client": {"k": "v"},
        "group": "/aws/lambda/f",
    }
    assert result(lambda_.invoke(FunctionName="f"))["arn"] == arn(aws, "f")


def test_the_log_tail_and_the_log(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f", "def handler(event, context):\n    print('hello from the function')\n")
    answer = lambda_.invoke(FunctionName="f", LogType="Tail")
    request_id = answer["ResponseMetadata"]["RequestId"]
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert f"START RequestId: {request_id} Version: $LATEST\n" in tail
    assert "hello from the function\n" in tail
    report = rf"REPORT RequestId: {request_id}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB"
    assert re.search(report, tail)
    logs = aws.client("logs")
    lines = until(lambda: [line for line in events(logs) if line.startswith("REPORT")] and events(logs))
    assert [line.split()[0] for line in lines if request_id in line or "hello" in line][-4:] == [
        "START",
        "hello",
        "END",
        "REPORT",
    ]
    stream = logs.describe_log_streams(logGroupName="/aws/lambda/f")["logStreams"][0]["logStreamName"]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream)


def test_an_error_of_the_function(lambda_: Any, make: Callable[..., Any]) -> None:
    make("f", "def handler(event, context):\n    raise ValueError('no luck')\n")
    answer = lambda_.invoke(FunctionName="f")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    error = result(answer)
    assert (error["errorMessage"], error["errorType"]) == ("no luck", "ValueError")
    assert error["requestId"] == answer["ResponseMetadata"]["RequestId"]


def test_an_answer_as_a_stream_of_events(lambda_: Any, make: Callable[..., Any]) -> None:
    """Python's runtime does not stream: its answer is one chunk."""
    make("f", "def handler(event, context):\n    return 1 / event['by']\n")
    answer = lambda_.invoke_with_response_stream(FunctionName="f", Payload=b'{"by": 4}', LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    chunk, complete = answer["EventStream"]
    assert chunk == {"PayloadChunk": {"Payload": b"0.25"}}
    assert b"REPORT RequestId" in base64.b64decode(complete["InvokeComplete"]["LogResult"])
    (complete,) = lambda_.invoke_with_response_stream(FunctionName="f", Payload=b'{"by": 0}')["EventStream"]
    assert complete["InvokeComplete"]["ErrorCode"] == "Unhandled"
    assert json.loads(complete["InvokeComplete"]["ErrorDetails"])["errorType"] == "ZeroDivisionError"
    assert caught(lambda_.invoke_with_response_stream, FunctionName="g")[:2] == ("ResourceNotFoundException", 404)


def test_the_legacy_way_to_queue_an_event(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f", "def handler(event, context):\n    print('legacy', event)\n")
    assert lambda_.invoke_async(FunctionName="f", InvokeArgs=b"[1]")["Status"] == 202
    until(lambda: "legacy [1]\n" in events(aws.client("logs")))


def test_dry_runs(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f")
    answer = lambda_.invoke(FunctionName="f", InvocationType="DryRun")
    assert (answer["StatusCode"], answer["Payload"].read()) == (204, b"")
    missing = caught(lambda_.invoke, FunctionName="g", InvocationType="DryRun")
    assert missing[:2] == ("ResourceNotFoundException", 404)


def test_what_invoke_refuses(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f")
    missing = caught(lambda_.invoke, FunctionName="g")
    assert missing == ("ResourceNotFoundException", 404, f"Function not found: {arn(aws, 'g:$LATEST')}")
    missing = caught(lambda_.invoke, FunctionName="f", Qualifier="live")
    assert missing[2] == f"Function not found: {arn(aws, 'f:live')}"
    code, status, message = caught(lambda_.invoke, FunctionName="f", Payload=b"{no json")
    assert (code, status) == ("InvalidRequestContentException", 400)
    assert message.startswith("Could not parse request body into json: Could not parse payload into json: ")
    code, status, message = caught(lambda_.invoke, FunctionName="f", Payload=b'"' + b"x" * 6_291_456 + b'"')
    assert (code, status) == ("RequestTooLargeException", 413)
    assert message == "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    request = {"InvocationType": "Event", "Payload": b'"' + b"x" * 1_048_576 + b'"'}
    assert caught(lambda_.invoke, FunctionName="f", **request)[2] == (
        "Request must be smaller than 1048576 bytes for the InvokeFunction operation"
    )
    assert caught(lambda_.invoke, FunctionName="f", ClientContext="!")[0] == "InvalidRequestContentException"


def test_a_function_that_is_being_created(lambda_: Any, role: str) -> None:
    lambda_.create_function(
        FunctionName="f", Runtime="python3.11", Handler="i.h", Role=role, Code={"ZipFile": package({"i.py": ""})}
    )
    try:
        lambda_.invoke(FunctionName="f")
    except lambda_.exceptions.ResourceConflictException as error:
        # Unless it was ready already.
        assert error.response["Error"]["Message"] == (  # noqa: PT017 -- either outcome is right
            "The operation cannot be performed at this time. The function is currently in the following state: Pending"
        )


def test_functions_act_as_their_role(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f", WHO, Timeout=30)
    assert result(lambda_.invoke(FunctionName="f")) == f"arn:aws:sts::{aws.account}:assumed-role/function-role/f"


def test_without_leave_to_write_there_is_no_log(aws: Any, lambda_: Any, role: str, make: Callable[..., Any]) -> None:
    aws.client("iam").delete_role_policy(RoleName="function-role", PolicyName="logs")
    make("f", "def handler(event, context):\n    print('secret')\n")
    answer = lambda_.invoke(FunctionName="f", LogType="Tail")
    assert b"secret" in base64.b64decode(answer["LogResult"])
    # Another function's log is written after this one's would have been.
    aws.client("iam").put_role_policy(
        RoleName="function-role",
        PolicyName="logs",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": "logs:*", "Resource": "arn:aws:logs:*:*:log-group:/aws/lambda/g:*"}
                ],
            }
        ),
    )
    make("g", "def handler(event, context):\n    print('heard')\n")
    lambda_.invoke(FunctionName="g")
    logs = aws.client("logs")
    until(lambda: events(logs, "g"))
    assert [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]] == ["/aws/lambda/g"]


def test_reserved_concurrency_throttles(lambda_: Any, make: Callable[..., Any]) -> None:
    make("f", SLOW, Timeout=30)
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=1)
    answers: list[Any] = []

    def occupy() -> None:
        # The calls that look for being throttled may be first.
        while not answers:
            with contextlib.suppress(lambda_.exceptions.TooManyRequestsException):
                answers.append(result(lambda_.invoke(FunctionName="f", Payload=b'{"s": 2}')))

    thread = threading.Thread(target=occupy)
    thread.start()
    error = until(lambda: _throttled(lambda_))
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert error["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert error["Type"] == "User"
    assert error["message"] == "Rate Exceeded."
    thread.join()
    assert answers == ["done"]
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    assert caught(lambda_.invoke, FunctionName="f", Payload=b'{"s": 0}')[1] == 429
    lambda_.delete_function_concurrency(FunctionName="f")
    assert result(lambda_.invoke(FunctionName="f", Payload=b'{"s": 0}')) == "done"


def _throttled(lambda_: Any) -> Any:
    try:
        lambda_.invoke(FunctionName="f", Payload=b'{"s": 0}')
    except lambda_.exceptions.TooManyRequestsException as error:
        return error.response
    return None


def test_invocations_go_on_with_the_old_code_until_the_new_is_there(
    lambda_: Any, make: Callable[..., Any], updated: Callable[..., None]
) -> None:
    make("f", "def handler(event, context):\n    return 1\n")
    assert result(lambda_.invoke(FunctionName="f")) == 1
    lambda_.update_function_code(
        FunctionName="f", ZipFile=package({"index.py": "def handler(event, context):\n    return 2\n"})
    )
    assert result(lambda_.invoke(FunctionName="f")) in (1, 2)
    updated()
    assert result(lambda_.invoke(FunctionName="f")) == 2


def test_weights_share_invocations_out(lambda_: Any, make: Callable[..., Any], updated: Callable[..., None]) -> None:
    make("f", Publish=True)
    lambda_.update_function_configuration(FunctionName="f", Description="another")
    updated()
    lambda_.publish_version(FunctionName="f")
    lambda_.create_alias(
        FunctionName="f",
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    seen = [lambda_.invoke(FunctionName="f", Qualifier="live")["ExecutedVersion"] for _ in range(60)]
    # All sixty on one side: once in 10^18 runs.
    assert set(seen) == {"1", "2"}


def test_an_event_is_accepted_and_then_handled(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make("f", "def handler(event, context):\n    print('handled', event['n'])\n")
    answer = lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"n": 7}')
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    assert "ExecutedVersion" not in answer
    request_id = answer["ResponseMetadata"]["RequestId"]
    logs = aws.client("logs")
    lines = until(lambda: events(logs) if "handled 7\n" in events(logs) else None)
    assert f"START RequestId: {request_id} Version: $LATEST\n" in lines
