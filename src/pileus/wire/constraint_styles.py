"""How each service words a violated constraint, and where AWS demands other than its models say.

Sources: AWS's recorded answers; for IAM's names and paths, RDS, EC2 and ECR its answers as reported against AWS's own
tools; for the rest the errors that the service's operations model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Style(NamedTuple):
    """How one service words what is wrong with a request."""

    code: str = "ValidationException"
    # Where an operation models the error of this name, it is the code instead.
    preferred: str = ""
    # A required member that is missing, where that is not said in the frame's words: (code, message of `{path}`).
    missing: tuple[str, str] | None = None
    # Whether that holds for members of members too, or for the request's own (and strings) only.
    missing_nested: bool = True
    # Whether nothing but missing members is looked at here: the rest is the service's own matter.
    only_missing: bool = False
    # "createRestApi" + this stands before the path of what is in the body.
    body_prefix: str = ""
    # Whether an enum's failure shows neither value nor set.
    bare_enums: bool = False
    # Whether the constraints of what lists and maps hold name "Member must not be null".
    not_null: bool = False
    # Wordings of patterns, by pattern; `{member}` is the path.
    patterns: Mapping[str, str] = {}
    # Whether only the first is told, as "Invalid parameter at 'path' failed to satisfy constraint: 'must ...'".
    terse: bool = False
    # Whether a violation in the body is but "MalformedXML".
    schema: bool = False


_IAM_NAME = r"[\w+=,.@-]+"
_IAM_PATH = "(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)"
_IAM = {
    _IAM_NAME: "The specified value for {member} is invalid. It must contain only alphanumeric characters and/or the "
    "following: +=,.@_-",
    _IAM_PATH: "The specified value for {member} is invalid. It must begin and end with / and contain only "
    "alphanumeric characters and/or / characters.",
}
_QUERY = Style(code="ValidationError")
_MISSING_PARAMETER = ("MissingParameter", "The request must contain the parameter {path}")

STYLES: dict[str, Style] = {
    "apigateway": Style(body_prefix="Input"),
    "apigatewayv2": Style(code="BadRequestException"),
    "cloudformation": _QUERY,
    "cloudfront": Style(code="InvalidArgument"),
    "cloudwatch": Style(),
    "codebuild": Style(code="InvalidInputException"),
    "cognito-idp": Style(code="InvalidParameterException"),
    "dax": Style(code="InvalidParameterValueException"),
    "ec2": Style(missing=_MISSING_PARAMETER, only_missing=True),
    "ecr": Style(code="InvalidParameterException", terse=True),
    "ecs": Style(code="InvalidParameterException"),
    "elbv2": _QUERY,
    "iam": Style(code="ValidationError", bare_enums=True, patterns=_IAM),
    "kafka": Style(code="BadRequestException"),
    "lambda": Style(not_null=True),
    "logs": Style(code="InvalidParameterException", preferred="ValidationException"),
    "mq": Style(code="BadRequestException"),
    "rds": Style(missing=("MissingParameter", "The request must contain the parameter {path}."), only_missing=True),
    "rds-data": Style(code="BadRequestException"),
    "route53": Style(code="InvalidInput"),
    "s3": Style(schema=True),
    "s3control": Style(schema=True),
    "sns": Style(
        code="ValidationError",
        missing=("InvalidParameter", "Invalid parameter: {path} Reason: no value for required parameter"),
        missing_nested=False,
    ),
    "sqs": Style(missing=("MissingParameter", "The request must contain the parameter {path}."), only_missing=True),
    "sts": _QUERY,
    "transcribe": Style(code="BadRequestException"),
    "xray": Style(code="InvalidRequestException"),
}
DEFAULT_STYLE = Style()

# Traits that count instead of the model's, for a shape or for it in one operation.
SHAPES: dict[tuple[str, str], dict[str, Any]] = {
    ("cloudformation", "StackName"): {"pattern": "[a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*"},
    ("cloudformation", "TemplateBody"): {"max": 51200},
    # Items are large and their model demands nothing; what is wrong in them the service says itself.
    ("dynamodb", "AttributeValue"): {"opaque": True},
    ("lambda", "LayerVersionArn"): {
        "pattern": r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:"
        r"[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)"
    },
    # The service words these itself.
    ("lambda", "CreateFunction.Runtime"): {"enum": None},
    ("lambda", "UpdateFunctionConfiguration.Runtime"): {"enum": None},
    # Of functions on managed instances more is allowed, which are not built.
    ("lambda", "Timeout"): {"max": 900},
    ("lambda", "TaggableResource"): {
        "pattern": r"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:"
        r"(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|"
        r"code-signing-config:csc-[a-z0-9]{17}|"
        r"event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|"
        r"capacity-provider:[a-zA-Z0-9-_]+)"
    },
    ("lambda", "SecurityGroupIds"): {"sparse": True},
    ("lambda", "SubnetIds"): {"sparse": True},
    # Too long ones are told in words of the service's own.
    ("logs", "LogGroupName"): {"max": None},
    ("logs", "LogStreamName"): {"max": None},
    # S3 has errors of its own for these.
    ("s3", "BucketLocationConstraint"): {"enum": None},
    ("s3", "Event"): {"enum": None},
    ("s3", "FilterRuleName"): {"enum": None},
    ("s3", "Permission"): {"enum": None},
    ("s3", "Protocol"): {"enum": None},
    ("s3", "Type"): {"enum": None},
}


# Structures whose members have another order in AWS's own classes than in the model, and members beyond it.
SHOWN = {
    "MetricTransformation": "metricName metricNamespace metricValue defaultValue unit dimensions",
    "PutEventsRequestEntry": "Time Source Resources DetailType Detail EventBusName TraceHeader KmsKeyIdentifier "
    "InternalMetadata",
}
