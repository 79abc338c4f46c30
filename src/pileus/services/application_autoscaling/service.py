"""Application Auto Scaling's manifest."""

from __future__ import annotations

from collections.abc import Sequence

from pileus.cloud.context import Context
from pileus.cloud.manifest import Loop, Permission, Request, Service, free, reading, writing
from pileus.services.application_autoscaling import forgetting, keys, scaling, telling, timers
from pileus.services.application_autoscaling.operations import actions, policies, targets

_ON = f"{keys.SERVICE}:"


def _allowed(ctx: Context, request: Request) -> Sequence[Permission]:
    """With the condition keys that say what is scaled."""
    conditions: dict[str, str | list[str]] = {}
    for member, key in (
        ("ServiceNamespace", "service-namespace"),
        ("ScalableDimension", "scalable-dimension"),
    ):
        if member in request:
            conditions[_ON + key] = request[member]
    return (Permission(_ON + ctx.operation, conditions=conditions),)


def _on_target(ctx: Context, request: Request) -> Sequence[Permission]:
    return (Permission(_ON + ctx.operation, request["ResourceARN"]),)


SERVICE = Service(
    name=keys.SERVICE,
    operations={
        "DeleteScalingPolicy": writing(policies.delete_scaling_policy, _allowed),
        "DeleteScheduledAction": writing(actions.delete_scheduled_action, _allowed),
        "DeregisterScalableTarget": writing(targets.deregister_scalable_target, _allowed),
        "DescribeScalableTargets": reading(targets.describe_scalable_targets, _allowed),
        "DescribeScalingActivities": reading(actions.describe_scaling_activities, _allowed),
        "DescribeScalingPolicies": reading(policies.describe_scaling_policies, _allowed),
        "DescribeScheduledActions": reading(actions.describe_scheduled_actions, _allowed),
        "ListTagsForResource": reading(targets.list_tags_for_resource, _on_target),
        "PutScalingPolicy": writing(policies.put_scaling_policy, _allowed),
        "PutScheduledAction": writing(actions.put_scheduled_action, _allowed),
        "RegisterScalableTarget": free(targets.register_scalable_target, _allowed),
        "TagResource": writing(targets.tag_resource, _on_target),
        "UntagResource": writing(targets.untag_resource, _on_target),
    },
    loops=(Loop("application-autoscaling.look", scaling.look, period_s=scaling.PERIOD_S),),
    targets={forgetting.TARGET: timers.ring, telling.TARGET: telling.tell},
)
