"""What can be scaled: the names of scalable targets, and what is particular to each of their dimensions.

Sources: the API reference's page RegisterScalableTarget; "Amazon DynamoDB and Application
Auto Scaling"; "AWS Lambda and Application Auto Scaling".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pileus.cloud.manifest import Request
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.application_autoscaling import errors


class Dimension(NamedTuple):
    resource: re.Pattern[str]
    metric: str
    # The least and the most that a target tracking policy may aim at, and minutes in a row that must lie above it.
    targets: tuple[float, float]
    minutes_above: int
    role: str
    # "Setting write capacity units to 15."
    spoken: str


_TABLE = re.compile(r"table/([a-zA-Z0-9_.-]{3,255})")
_INDEX = re.compile(r"table/([a-zA-Z0-9_.-]{3,255})/index/([a-zA-Z0-9_.-]{3,255})")
_FUNCTION = re.compile(r"function:([a-zA-Z0-9_-]{1,140}):([a-zA-Z0-9_-]{1,128})")
_DYNAMODB_ROLE = "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
_READ = "DynamoDBReadCapacityUtilization"
_WRITE = "DynamoDBWriteCapacityUtilization"
_PERCENT = (20.0, 90.0)

DIMENSIONS = {
    f"dynamodb:{what}:{kind}CapacityUnits": Dimension(
        pattern, metric, _PERCENT, 2, _DYNAMODB_ROLE, f"{kind.lower()} capacity units"
    )
    for what, pattern in (("table", _TABLE), ("index", _INDEX))
    for kind, metric in (("Read", _READ), ("Write", _WRITE))
} | {
    "lambda:function:ProvisionedConcurrency": Dimension(
        _FUNCTION,
        "LambdaProvisionedConcurrencyUtilization",
        (0.1, 0.9),
        3,
        "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency",
        "desired concurrency",
    )
}


class Target(NamedTuple):
    """Which scalable target is meant; also the parts of its store key."""

    account: str
    region: str
    namespace: str
    resource: str
    dimension: str

    @property
    def traits(self) -> Dimension:
        return DIMENSIONS[self.dimension]

    @property
    def parts(self) -> tuple[str, ...]:
        """The names in its resource: table (and index), or function and alias."""
        found = self.traits.resource.fullmatch(self.resource)
        assert found is not None
        return found.groups()

    @property
    def service(self) -> str:
        """The service that its role is for."""
        return f"{self.namespace}.application-autoscaling.amazonaws.com"

    @property
    def role_arn(self) -> str:
        return f"arn:aws:iam::{self.account}:role/aws-service-role/{self.service}/{self.traits.role}"

    def __str__(self) -> str:
        return (
            f"service namespace: {self.namespace}, resource ID: {self.resource}, scalable dimension: {self.dimension}"
        )


def target_of(account: str, region: str, request: Request) -> Target:
    """The target that a request names; raises ValidationException where there can be none of that name."""
    namespace, dimension = request["ServiceNamespace"], request["ScalableDimension"]
    if not dimension.startswith(f"{namespace}:"):
        raise errors.unsupported()
    traits = DIMENSIONS.get(dimension)
    if traits is None:
        raise NotBuilt(f"Application Auto Scaling's {dimension}")
    if not traits.resource.fullmatch(request["ResourceId"]):
        raise errors.unsupported()
    return Target(account, region, namespace, request["ResourceId"], dimension)


def check_filter(request: Request) -> None:
    """Check the names that narrow a listing."""
    dimension = request.get("ScalableDimension")
    if dimension is None:
        return
    if not dimension.startswith(f"{request['ServiceNamespace']}:"):
        raise errors.unsupported()
    if "ResourceId" not in request and not request.get("ResourceIds"):
        raise AWSError("ValidationException", "Resource ID must be specified when scalable dimension is specified")
