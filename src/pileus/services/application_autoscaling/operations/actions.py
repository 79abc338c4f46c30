"""Scheduled actions, and what scaling has done.

Sources: the API reference's pages PutScheduledAction, DeleteScheduledAction, DescribeScheduledActions,
DescribeScalingActivities.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.delivery import schedules
from pileus.delivery.cron import InvalidSchedule
from pileus.services.application_autoscaling import errors, forgetting, keys, listing, timers
from pileus.services.application_autoscaling.names import target_of
from pileus.services.application_autoscaling.operations.targets import find
from pileus.services.application_autoscaling.records import Activity, ScheduledAction, decode, encode
from pileus.store.contract import Reader, Transaction


def _arn(ctx: Context, namespace: str, action: ScheduledAction) -> str:
    return (
        f"arn:aws:autoscaling:{ctx.region}:{ctx.account}:scheduledAction:{action.id}:resource/{namespace}/"
        f"{action.resource}:scheduledActionName/{action.name}"
    )


async def put_scheduled_action(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = target_of(ctx.account, ctx.region, request)
    if await find(tx, at) is None:
        raise errors.not_registered(at)
    name = request["ScheduledActionName"]
    data = await tx.get(keys.action(at, name))
    known = None if data is None else decode(ScheduledAction, data)
    if known is None and not request.get("Schedule"):
        raise errors.invalid("Schedule must be specified when creating a scheduled action")
    action = ScheduledAction(
        id=ctx.cloud.ids.uuid(),
        name=name,
        resource=at.resource,
        dimension=at.dimension,
        created=ctx.now,
        schedule=request.get("Schedule", ""),
        zone=request.get("Timezone", ""),
        start=_moment(request.get("StartTime")),
        end=_moment(request.get("EndTime")),
        least=request.get("ScalableTargetAction", {}).get("MinCapacity"),
        most=request.get("ScalableTargetAction", {}).get("MaxCapacity"),
        timer=ctx.cloud.ids.hex(16),
    )
    if known is not None:
        # What is not given stays as it is.
        action.id, action.created = known.id, known.created
        action.schedule = action.schedule or known.schedule
        action.zone = action.zone or known.zone
        action.start = known.start if action.start is None else action.start
        action.end = known.end if action.end is None else action.end
        if "ScalableTargetAction" not in request:
            action.least, action.most = known.least, known.most
    _check(action)
    await forgetting.drop_timer(ctx.cloud, tx, at, name)
    tx.put(keys.action(at, name), encode(action))
    timers.put_next(ctx.cloud, tx, at, action, after=ctx.now)
    return {}


def _moment(given: Any) -> float | None:
    if given is None or isinstance(given, int | float):
        return given
    moment: float = given.timestamp()
    return moment


def _check(action: ScheduledAction) -> None:
    try:
        schedules.parse(action.schedule)
    except InvalidSchedule:
        raise errors.invalid("Schedule expression is invalid. Use at(), rate() or cron()") from None
    try:
        schedules.zone_of(action.zone or "UTC")
    except InvalidSchedule:
        raise errors.invalid(f"Timezone is invalid: {action.zone}") from None
    if action.least is None and action.most is None:
        raise errors.invalid("ScalableTargetAction must specify MinCapacity or MaxCapacity")
    if (action.least or 0) < 0 or (action.most or 0) < 0:
        raise errors.invalid("Minimum and maximum capacity must be greater than or equal to 0")
    if action.least is not None and action.most is not None and action.least > action.most:
        raise errors.invalid("Maximum capacity cannot be less than minimum capacity")
    if action.start is not None and action.end is not None and action.start >= action.end:
        raise errors.invalid("End time must be after start time")


async def delete_scheduled_action(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = target_of(ctx.account, ctx.region, request)
    name = request["ScheduledActionName"]
    if await tx.get(keys.action(at, name)) is None:
        raise errors.not_found(f"No scheduled action found for {at}, scheduled action name: {name}")
    tx.delete(keys.action(at, name))
    await forgetting.drop_timer(ctx.cloud, tx, at, name)
    return {}


async def describe_scheduled_actions(ctx: Context, tx: Reader, request: Request) -> Answer:
    namespace = request["ServiceNamespace"]

    def show(action: ScheduledAction) -> dict[str, Any]:
        limits = {"MinCapacity": action.least, "MaxCapacity": action.most}
        optional = {"Timezone": action.zone or None, "StartTime": action.start, "EndTime": action.end}
        return {
            "ScheduledActionName": action.name,
            "ScheduledActionARN": _arn(ctx, namespace, action),
            **listing.described(namespace, action),
            "Schedule": action.schedule,
            **{member: value for member, value in optional.items() if value is not None},
            "ScalableTargetAction": {member: value for member, value in limits.items() if value is not None},
            "CreationTime": action.created,
        }

    return await listing.describe(
        ctx,
        tx,
        request,
        member="ScheduledActions",
        kind="action",
        record=ScheduledAction,
        show=show,
        named="ScheduledActionNames",
    )


async def describe_scaling_activities(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(activity: Activity) -> dict[str, Any]:
        return {
            "ActivityId": activity.id,
            **listing.described(request["ServiceNamespace"], activity),
            "Description": activity.description,
            "Cause": activity.cause,
            "StartTime": activity.started,
            "EndTime": activity.ended,
            "StatusCode": activity.status,
            "StatusMessage": activity.message,
        }

    return await listing.describe(
        ctx, tx, request, member="ScalingActivities", kind="activity", record=Activity, show=show
    )
