"""Listings: pages of what is stored of one namespace, by resource, dimension and names.

Source: the API reference's pages DescribeScalableTargets, DescribeScalingPolicies, DescribeScheduledActions and
DescribeScalingActivities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.cloud.pages import page_answer, read_page
from pileus.kernel.paging import BadToken
from pileus.services.application_autoscaling import errors, keys, names
from pileus.services.application_autoscaling.records import (
    Activity,
    Policy,
    ScalableTarget,
    ScheduledAction,
    decode,
)
from pileus.store.contract import Reader

R = TypeVar("R", ScalableTarget, Policy, ScheduledAction, Activity)

PAGE = 50


async def describe(
    ctx: Context,
    tx: Reader,
    request: Request,
    *,
    member: str,
    kind: str,
    record: type[R],
    show: Callable[[R], dict[str, Any]],
    named: str = "",
) -> Answer:
    """A page of the answer's `member`. `named`: the request's list of names, where records have one."""
    names.check_filter(request)
    limit = request.get("MaxResults", PAGE)
    if not 1 <= limit <= PAGE:
        raise errors.invalid(f"Maximum results must be between 1 and {PAGE}")
    resources = [request["ResourceId"]] if "ResourceId" in request else request.get("ResourceIds") or None
    dimension, wanted = request.get("ScalableDimension"), request.get(named) or None

    def pick(data: bytes) -> dict[str, Any] | None:
        found = decode(record, data)
        if resources is not None and found.resource not in resources:
            return None
        if dimension is not None and found.dimension != dimension:
            return None
        if wanted is not None and not isinstance(found, ScalableTarget | Activity):
            # By the ARN, too.
            shown = show(found)
            if not {found.name, shown.get("PolicyARN"), shown.get("ScheduledActionARN")} & set(wanted):
                return None
        return show(found)

    span = keys.all_of(kind, ctx.account, ctx.region, request["ServiceNamespace"])
    try:
        found, token = await read_page(tx, span, pick, limit=limit, token=request.get("NextToken"))
    except BadToken:
        raise errors.bad_token() from None
    return page_answer(member, found, token)


def described(namespace: str, found: ScalableTarget | Policy | ScheduledAction | Activity) -> dict[str, Any]:
    """The members that all of them have."""
    return {"ServiceNamespace": namespace, "ResourceId": found.resource, "ScalableDimension": found.dimension}
