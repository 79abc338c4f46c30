"""Scaling policies.

Sources: the API reference's pages PutScalingPolicy, DeleteScalingPolicy, DescribeScalingPolicies,
TargetTrackingScalingPolicyConfiguration, StepScalingPolicyConfiguration.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import NotBuilt
from pileus.services.application_autoscaling import errors, keys, listing, scaling
from pileus.services.application_autoscaling.names import Target, target_of
from pileus.services.application_autoscaling.operations.targets import find
from pileus.services.application_autoscaling.records import Policy, decode, encode
from pileus.store.contract import Reader, Transaction

POLICIES_MAX = 50
STEPS_MAX = 20
_CONFIGURATIONS = {
    "StepScaling": "StepScalingPolicyConfiguration",
    "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
}


def _arn(ctx: Context, namespace: str, policy: Policy) -> str:
    return (
        f"arn:aws:autoscaling:{ctx.region}:{ctx.account}:scalingPolicy:{policy.id}:resource/{namespace}/"
        f"{policy.resource}:policyName/{policy.name}"
    )


async def put_scaling_policy(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = target_of(ctx.account, ctx.region, request)
    if await find(tx, at) is None:
        raise errors.not_registered(at)
    name = request["PolicyName"]
    data = await tx.get(keys.policy(at, name))
    known = None if data is None else decode(Policy, data)
    kind = request.get("PolicyType", "StepScaling" if known is None else known.kind)
    if kind == "PredictiveScaling":
        raise NotBuilt("Application Auto Scaling's PredictiveScaling")
    if known is not None and known.kind != kind:
        raise errors.invalid("Cannot change the policy type of an existing policy")
    configuration = request.get(_CONFIGURATIONS[kind])
    if configuration is None:
        raise errors.invalid(f"{_CONFIGURATIONS[kind]} must be specified for policy type {kind}")
    others = await tx.scan(*keys.all_of("policy", at.account, at.region, *at[2:]), limit=POLICIES_MAX + 1)
    policies = [decode(Policy, each) for _, each in others]
    if kind == "TargetTrackingScaling":
        _check_tracking(at, configuration)
        if any(other.kind == kind and other.name != name for other in policies):
            raise errors.invalid("Only one TargetTrackingScaling policy for a given metric specification is allowed.")
        tx.put(keys.tracked(at), b"")
        tx.on_commit(lambda: scaling.watch(ctx.cloud, at))
    else:
        _check_steps(at, configuration)
    policy = Policy(
        id=ctx.cloud.ids.uuid() if known is None else known.id,
        name=name,
        resource=at.resource,
        dimension=at.dimension,
        created=ctx.now if known is None else known.created,
        kind=kind,
        configuration=configuration,
    )
    tx.put(keys.policy(at, name), encode(policy))
    return {"PolicyARN": _arn(ctx, at.namespace, policy), "Alarms": []}


def _check_tracking(at: Target, configuration: dict[str, Any]) -> None:
    if "CustomizedMetricSpecification" in configuration:
        raise NotBuilt("Application Auto Scaling's CustomizedMetricSpecification")
    metric = configuration.get("PredefinedMetricSpecification")
    if metric is None:
        raise errors.invalid("PredefinedMetricSpecification or CustomizedMetricSpecification must be specified")
    if metric["PredefinedMetricType"] != at.traits.metric:
        raise errors.invalid(
            f"Predefined metric type {metric['PredefinedMetricType']} is not supported for {at.namespace} and "
            f"{at.dimension}"
        )
    if "ResourceLabel" in metric:
        raise errors.invalid(f"Resource label must not be specified for {at.traits.metric}")
    least, most = at.traits.targets
    value = configuration["TargetValue"]
    if not (math.isfinite(value) and least <= value <= most):
        raise errors.invalid(f"Target value must be between {least:g} and {most:g} for {at.traits.metric}")
    for member in ("ScaleInCooldown", "ScaleOutCooldown"):
        if configuration.get(member, 0) < 0:
            raise errors.invalid(f"{member} must be greater than or equal to 0")


def _check_steps(at: Target, configuration: dict[str, Any]) -> None:
    if at.namespace == "dynamodb":
        raise errors.invalid("Step scaling policies are not supported for DynamoDB")
    if "AdjustmentType" not in configuration:
        raise errors.invalid("AdjustmentType must be specified for a step scaling policy")
    steps = configuration.get("StepAdjustments") or []
    if not 1 <= len(steps) <= STEPS_MAX:
        raise errors.invalid(f"A step scaling policy must have between 1 and {STEPS_MAX} step adjustments")
    spans = [
        (step.get("MetricIntervalLowerBound", -math.inf), step.get("MetricIntervalUpperBound", math.inf))
        for step in steps
    ]
    if any(lower >= upper for lower, upper in spans):
        raise errors.invalid("Step adjustment intervals must have a lower bound that is less than their upper bound")
    spans.sort()
    for (_, upper), (lower, _) in itertools.pairwise(spans):
        if lower < upper:
            raise errors.invalid("Step adjustment intervals can't overlap")
        if lower > upper:
            raise errors.invalid("Step adjustment intervals can't have a gap between them")


async def delete_scaling_policy(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = target_of(ctx.account, ctx.region, request)
    key = keys.policy(at, request["PolicyName"])
    data = await tx.get(key)
    if data is None:
        raise errors.not_found(f"No scaling policy found for {at}, policy name: {request['PolicyName']}")
    tx.delete(key)
    if decode(Policy, data).kind == "TargetTrackingScaling":
        tx.delete(keys.tracked(at))
    return {}


async def describe_scaling_policies(ctx: Context, tx: Reader, request: Request) -> Answer:
    namespace = request["ServiceNamespace"]

    def show(policy: Policy) -> dict[str, Any]:
        return {
            "PolicyARN": _arn(ctx, namespace, policy),
            "PolicyName": policy.name,
            **listing.described(namespace, policy),
            "PolicyType": policy.kind,
            _CONFIGURATIONS[policy.kind]: policy.configuration,
            "Alarms": [],
            "CreationTime": policy.created,
        }

    return await listing.describe(
        ctx, tx, request, member="ScalingPolicies", kind="policy", record=Policy, show=show, named="PolicyNames"
    )
