"""What a schedule may invoke, and which call that is.

Sources: "Managing targets in EventBridge Scheduler", "Using universal targets", "Adding context attributes" of the user
guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.sending import Call, Message, request_for
from pileus.kernel.arn import Arn, parse_arn
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.scheduler import errors

_UNIVERSAL = "aws-sdk:"
# AWS SDK's names of services, where they are others than botocore's.
_SDK_NAMES = {
    "eventbridge": "events",
    "sfn": "stepfunctions",
    "cloudwatchlogs": "logs",
    "elasticloadbalancingv2": "elbv2",
    "elasticloadbalancing": "elb",
    "cognitoidentityprovider": "cognito-idp",
    "cognitoidentity": "cognito-identity",
    "databasemigration": "dms",
    "costandusagereport": "cur",
}
# "You can't use universal targets for actions that only read": by how their names begin.
_READING = ("get", "describe", "list", "poll", "receive", "search", "scan", "query", "select", "read", "batchget")
_TEMPLATED = frozenset(
    ("codebuild", "codepipeline", "ecs", "events", "firehose", "inspector", "kinesis", "lambda", "sagemaker", "sns")
) | {"sqs", "states"}
# Parameters that a templated target must have.
_REQUIRED = {"events": "EventBridgeParameters", "kinesis": "KinesisParameters", "ecs": "EcsParameters"}


def check(target: Mapping[str, Any]) -> None:
    """Raises ValidationException."""
    arn = parse_arn(target["Arn"])
    if arn is None:
        raise errors.invalid("Provided Arn is not in correct format.")
    if arn.service == "scheduler" and arn.resource.startswith(_UNIVERSAL):
        _, _, action = arn.resource.removeprefix(_UNIVERSAL).partition(":")
        if not action:
            raise errors.invalid("Provided Arn is not in correct format.")
        if action.lower().startswith(_READING):
            raise errors.invalid(f"Provided Arn is not supported: {action} is a read-only action.")
        if target.get("Input") is not None and not isinstance(_json(target["Input"]), dict):
            raise errors.invalid("Invalid RequestJson provided. Reason: Input is not a JSON object.")
        return
    if arn.service not in _TEMPLATED:
        raise errors.invalid(f"Provided Arn is not supported: {target['Arn']}.")
    required = _REQUIRED.get(arn.service)
    if required is not None and not target.get(required):
        raise errors.invalid(f"{required} must be specified for target {target['Arn']}.")
    if (
        arn.service == "sqs"
        and arn.resource.endswith(".fifo")
        and not (target.get("SqsParameters") or {}).get("MessageGroupId")
    ):
        raise errors.invalid("SqsParameters.MessageGroupId must be specified for a FIFO queue.")
    if arn.service == "events" and target.get("Input") is not None and not isinstance(_json(target["Input"]), dict):
        raise errors.invalid("Invalid Input: events are JSON objects.")


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def call_of(cloud: Cloud, target: Mapping[str, Any], payload: str) -> Call:
    """The call that invokes the target with `payload`. Raises AWSError where it cannot be made."""
    arn = parse_arn(target["Arn"])
    assert arn is not None, "targets are checked when schedules are put"
    if arn.service == "scheduler":
        return _universal(cloud, arn, payload)
    if arn.service in ("lambda", "sqs", "sns", "events"):
        bus = target.get("EventBridgeParameters") or {}
        message = Message(
            body=payload.encode(),
            group=(target.get("SqsParameters") or {}).get("MessageGroupId", ""),
            source=bus.get("Source", ""),
            detail_type=bus.get("DetailType", ""),
        )
        return request_for(cloud, str(arn), message)
    if arn.service == "states":
        return Call("stepfunctions", "StartExecution", {"stateMachineArn": str(arn), "input": payload}, arn.region)
    if arn.service == "kinesis":
        key = target["KinesisParameters"]["PartitionKey"]
        request = {"StreamARN": str(arn), "Data": payload.encode(), "PartitionKey": key}
        return Call("kinesis", "PutRecord", request, arn.region)
    if arn.service == "firehose":
        stream = arn.resource.removeprefix("deliverystream/")
        request = {"DeliveryStreamName": stream, "Record": {"Data": payload.encode()}}
        return Call("firehose", "PutRecord", request, arn.region)
    raise NotBuilt(f"Schedules that invoke {arn.service}")


def _universal(cloud: Cloud, arn: Arn, payload: str) -> Call:
    sdk_name, _, action = arn.resource.removeprefix(_UNIVERSAL).partition(":")
    service = _SDK_NAMES.get(sdk_name, sdk_name)
    operation = action[:1].upper() + action[1:]
    document = _json(payload)
    if not isinstance(document, dict):
        raise AWSError("ValidationException", "The input of a universal target is a JSON object.")
    return Call(service, operation, cloud.documents.request(service, operation, document, text_blobs=True), "")
