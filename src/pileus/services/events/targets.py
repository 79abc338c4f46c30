"""What a target may say.

Source: "Targets available in the EventBridge console" and `PutTargets` of its documentation; recorded answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.delivery.json_paths import InvalidPath, parse_path
from pileus.kernel.arn import Arn, parse_arn
from pileus.services.events import errors, inputs

# Services to which a rule may send, and those among them that it must have a role for.
_SERVICES = frozenset(
    {
        "apigateway",
        "appsync",
        "batch",
        "codebuild",
        "codepipeline",
        "ec2",
        "ecs",
        "events",
        "execute-api",
        "firehose",
        "inspector",
        "kinesis",
        "lambda",
        "logs",
        "redshift",
        "redshift-serverless",
        "sagemaker",
        "sns",
        "sqs",
        "ssm",
        "ssm-incidents",
        "states",
    }
)
_WITH_ROLE = frozenset(
    {"batch", "codebuild", "codepipeline", "ecs", "firehose", "kinesis", "redshift", "sagemaker", "states", "ssm"}
)
# Those that only services send to, by rules of their own.
_OF_SERVICES = frozenset({"schemas"})
_INPUTS = ("Input", "InputPath", "InputTransformer")


def check(target: Mapping[str, Any], account: str, *, managed: bool = False) -> None:
    """Raises ValidationException. `account`: the rule's. `managed`: a service says it of a rule of its own."""
    arn = parse_arn(target["Arn"])
    if arn is None or not arn.service:
        raise errors.invalid("Parameter Arn is not valid. Reason: Provided Arn is not in correct format.")
    if arn.service not in _SERVICES and not (managed and arn.service in _OF_SERVICES):
        raise errors.invalid(f"Parameter Arn is not valid. Reason: Provided Arn is not supported: {target['Arn']}.")
    if not target.get("RoleArn") and (
        arn.service in _WITH_ROLE or (arn.service == "events" and arn.resource.startswith("api-destination/"))
    ):
        raise errors.invalid(f"RoleArn is required for target {target['Arn']}.")
    if arn.service == "sqs" and arn.resource.endswith(".fifo"):
        if not (target.get("SqsParameters") or {}).get("MessageGroupId"):
            raise errors.invalid(f"Parameter(s) SqsParameters must be specified for target: {target['Id']}.")
    elif target.get("SqsParameters") and arn.service != "sqs":
        raise errors.invalid(f"Parameter(s) SqsParameters not valid for target {target['Id']}.")
    if is_foreign_bus(arn, account) and (given := [member for member in _INPUTS if target.get(member) is not None]):
        # "... are not available with PutTarget if the target is an event bus of a different AWS account."
        raise errors.invalid(f"Parameter(s) {', '.join(given)} not valid for target {target['Id']}.")
    _check_input(target)
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if queue is not None:
        dead_letter = parse_arn(queue)
        if dead_letter is None or dead_letter.service != "sqs":
            raise errors.invalid("Parameter DeadLetterConfig.Arn is not valid. Reason: Provided Arn is not supported.")


def is_foreign_bus(arn: Arn | None, account: str) -> bool:
    return (
        arn is not None and arn.service == "events" and arn.resource.startswith("event-bus/") and arn.account != account
    )


def _check_input(target: Mapping[str, Any]) -> None:
    given = [member for member in _INPUTS if target.get(member) is not None]
    if len(given) > 1:
        raise errors.invalid(
            f"Only one of Input, InputPath, or InputTransformer must be provided for target {target['Id']}."
        )
    if target.get("Input") is not None and not _is_json(target["Input"]):
        raise errors.invalid(f"JSON syntax error in input for target {target['Id']}: {target['Input']}")
    if target.get("InputPath") is not None and not _is_path(target["InputPath"]):
        raise errors.invalid(f"Parameter InputPath is not valid for target {target['Id']}.")
    transformer = target.get("InputTransformer")
    if transformer is None:
        return
    paths = transformer.get("InputPathsMap") or {}
    for path in paths.values():
        if not _is_path(path):
            raise errors.invalid(f"Invalid InputPathsMap value for target {target['Id']}: {path}")
    for name in inputs.placeholders(transformer["InputTemplate"]):
        if name not in paths and name not in inputs.PREDEFINED:
            raise errors.invalid(f"InputTemplate for target {target['Id']} contains invalid placeholder {name}.")


def _is_path(text: str) -> bool:
    try:
        parse_path(text)
    except InvalidPath:
        return False
    return True


def _is_json(text: str) -> bool:
    try:
        inputs.check(text)
    except inputs.InvalidOutput:
        return False
    return True
