"""Recursive loops are stopped where the trace header says that they are loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from feed_kit import allow, events, make_table, recorder, wait_events
from lambda_kit import caught

from waiting import until

CALLS_ITSELF = """
import boto3, json
lambda_ = boto3.client("lambda")
seen = boto3.client("dynamodb")

def handler(event, context):
    seen.put_item(TableName="calls", Item={"id": {"S": context.aws_request_id}})
    lambda_.invoke(FunctionName=context.function_name, InvocationType=KIND, Payload=json.dumps(event))
"""


@pytest.fixture
def tables(aws: Any, role: str) -> None:
    allow(aws)
    make_table(aws, "seen", stream=None)
    make_table(aws, "calls", stream=None)


def calls(aws: Any) -> int:
    count: int = aws.client("dynamodb").scan(TableName="calls", ConsistentRead=True)["Count"]
    return count


def test_an_asynchronous_loop_ends_after_sixteen_runs_at_the_destination(
    aws: Any, lambda_: Any, make: Callable[..., Any], tables: None
) -> None:
    make("loop", CALLS_ITSELF.replace("KIND", "'Event'"))
    arn = make("failures", recorder())["FunctionArn"]
    lambda_.put_function_event_invoke_config(FunctionName="loop", DestinationConfig={"OnFailure": {"Destination": arn}})
    lambda_.invoke(FunctionName="loop", InvocationType="Event", Payload=b'{"a": 1}')
    record = wait_events(aws, 1)[0]
    assert record["requestPayload"] == {"a": 1}
    assert calls(aws) == 16
    assert len(events(aws)) == 1


def test_a_synchronous_loop_ends_with_an_exception(
    aws: Any, lambda_: Any, make: Callable[..., Any], tables: None
) -> None:
    code = CALLS_ITSELF.replace("KIND", "'RequestResponse'").replace(
        "    lambda_.invoke", "    answer = lambda_.invoke"
    )
    code += "    return json.loads(answer['Payload'].read())\n"
    make("loop", code, Timeout=60)
    payload = lambda_.invoke(FunctionName="loop")["Payload"].read().decode()
    assert "RecursiveInvocationException" in payload
    assert calls(aws) == 16


def test_a_loop_that_is_allowed_goes_on(aws: Any, lambda_: Any, make: Callable[..., Any], tables: None) -> None:
    make("loop", CALLS_ITSELF.replace("KIND", "'Event'"))
    lambda_.put_function_recursion_config(FunctionName="loop", RecursiveLoop="Allow")
    lambda_.invoke(FunctionName="loop", InvocationType="Event")
    until(lambda: calls(aws) > 20)
    lambda_.delete_function(FunctionName="loop")


def test_a_loop_through_a_bucket_is_stopped(aws: Any, lambda_: Any, make: Callable[..., Any], tables: None) -> None:
    s3 = aws.client("s3")
    bucket = f"loop-{aws.account}"
    s3.create_bucket(Bucket=bucket)
    code = recorder("    boto3.client('s3').put_object(Bucket=os.environ['BUCKET'], Key='k', Body=b'')")
    arn = make("loop", code, Environment={"Variables": {"BUCKET": bucket}})["FunctionArn"]
    lambda_.put_function_event_invoke_config(
        FunctionName="loop", DestinationConfig={"OnFailure": {"Destination": make("last", recorder())["FunctionArn"]}}
    )
    lambda_.add_permission(
        FunctionName="loop", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    call = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [call]}
    )
    s3.put_object(Bucket=bucket, Key="first", Body=b"")
    found = wait_events(aws, 17)
    assert len(found) == 17
    assert [event["requestContext"]["condition"] for event in found if "requestContext" in event] == [
        "RecursiveInvocation"
    ]


def test_destinations_that_the_role_may_not_reach_are_refused(
    aws: Any, lambda_: Any, make: Callable[..., Any], role: str
) -> None:
    make()
    topic = f"arn:aws:sns:us-east-1:{aws.account}:t"
    configuration = {"OnFailure": {"Destination": topic}}
    assert caught(lambda_.put_function_event_invoke_config, FunctionName="f", DestinationConfig=configuration) == (
        "InvalidParameterValueException",
        400,
        f"The function's execution role does not have permissions to call Publish on {topic}",
    )
    refused = (
        "InvalidParameterValueException",
        400,
        "The provided execution role does not have permissions to call Publish on SNS",
    )
    settings = {"FunctionName": "f", "DeadLetterConfig": {"TargetArn": topic}}
    assert caught(lambda_.update_function_configuration, **settings) == refused
    allow(aws)
    answer = lambda_.update_function_configuration(**settings)
    assert answer["DeadLetterConfig"] == {"TargetArn": topic}
    until(lambda: lambda_.get_function_configuration(FunctionName="f")["LastUpdateStatus"] == "Successful")
    gone = lambda_.update_function_configuration(FunctionName="f", DeadLetterConfig={"TargetArn": ""})
    assert "DeadLetterConfig" not in gone
