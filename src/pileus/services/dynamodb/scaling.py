"""Auto scaling of a global table's replicas, which Application Auto Scaling does in each region.

Source: the API reference's pages AutoScalingSettingsUpdate, AutoScalingSettingsDescription; "Using IAM with DynamoDB
global tables" in the Developer Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal

_SERVICE = "application-autoscaling"


class Scaled(NamedTuple):
    """One capacity of a table, or of one of its indexes, in a region, as somebody asks for it."""

    cloud: Cloud
    principal: Principal
    region: str
    table: str
    # "": the table itself.
    index_name: str
    kind: str

    @property
    def target(self) -> dict[str, str]:
        resource = f"table/{self.table}" + (f"/index/{self.index_name}" if self.index_name else "")
        return {
            "ServiceNamespace": "dynamodb",
            "ResourceId": resource,
            "ScalableDimension": f"dynamodb:{'index' if self.index_name else 'table'}:{self.kind}CapacityUnits",
        }

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return await self.cloud.call(self.principal, _SERVICE, operation, request, region=self.region)


def owner(account: str) -> Principal:
    """What DynamoDB does itself it does as the account."""
    return Principal(kind="root", account=account, arn=f"arn:aws:iam::{account}:root", id=account)


async def limits(scaled: Scaled) -> dict[str, Any] | None:
    """The scalable target; None where there is none."""
    target = scaled.target
    found = await scaled.call(
        "DescribeScalableTargets",
        {
            "ServiceNamespace": "dynamodb",
            "ResourceIds": [target["ResourceId"]],
            "ScalableDimension": target["ScalableDimension"],
        },
    )
    return next(iter(found["ScalableTargets"]), None)


async def policies(scaled: Scaled) -> list[dict[str, Any]]:
    found = await scaled.call("DescribeScalingPolicies", scaled.target)
    return [each for each in found["ScalingPolicies"] if "TargetTrackingScalingPolicyConfiguration" in each]


async def described(scaled: Scaled) -> dict[str, Any]:
    """As AutoScalingSettingsDescription."""
    target = await limits(scaled)
    if target is None:
        return {"AutoScalingDisabled": True}
    members = ("DisableScaleIn", "ScaleInCooldown", "ScaleOutCooldown", "TargetValue")
    shown = []
    for policy in await policies(scaled):
        known = policy["TargetTrackingScalingPolicyConfiguration"]
        configuration = {name: known[name] for name in members if name in known}
        shown.append({"PolicyName": policy["PolicyName"], "TargetTrackingScalingPolicyConfiguration": configuration})
    return {
        "MinimumUnits": target["MinCapacity"],
        "MaximumUnits": target["MaxCapacity"],
        "AutoScalingRoleArn": target["RoleARN"],
        "ScalingPolicies": shown,
    }


async def change(scaled: Scaled, update: Mapping[str, Any]) -> None:
    """Do what an AutoScalingSettingsUpdate says."""
    if update.get("AutoScalingDisabled"):
        try:
            await scaled.call("DeregisterScalableTarget", scaled.target)
        except AWSError as error:
            if error.code != "ObjectNotFoundException":
                raise
        return
    members = {"MinimumUnits": "MinCapacity", "MaximumUnits": "MaxCapacity", "AutoScalingRoleArn": "RoleARN"}
    target = {name: update[member] for member, name in members.items() if member in update}
    if target:
        await scaled.call("RegisterScalableTarget", {**scaled.target, **target})
    policy = update.get("ScalingPolicyUpdate")
    if policy:
        await _put_policy(scaled, policy.get("PolicyName"), policy["TargetTrackingScalingPolicyConfiguration"])


async def _put_policy(scaled: Scaled, name: str | None, configuration: Mapping[str, Any]) -> None:
    metric = f"DynamoDB{scaled.kind}CapacityUtilization"
    request = {
        **scaled.target,
        "PolicyName": name or f"{metric}:{scaled.target['ResourceId']}",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            **configuration,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
        },
    }
    await scaled.call("PutScalingPolicy", request)


async def copy(source: Scaled, region: str) -> None:
    """Scale the same capacity in another region, as it is here."""
    target = await limits(source)
    if target is None:
        return
    there = source._replace(region=region)
    members = {name: target[name] for name in ("MinCapacity", "MaxCapacity")}
    await there.call("RegisterScalableTarget", {**there.target, **members})
    for policy in await policies(source):
        await _put_policy(there, policy["PolicyName"], policy["TargetTrackingScalingPolicyConfiguration"])
