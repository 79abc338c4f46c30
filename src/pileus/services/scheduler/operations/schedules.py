"""Schedules.

Source: the API reference's pages of these operations; recorded answers.
"""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.cloud.roles import RoleSessions
from pileus.delivery import schedules as expressions
from pileus.delivery.cron import InvalidSchedule
from pileus.kernel.errors import AWSError
from pileus.services.scheduler import errors, keys, paging, targets
from pileus.services.scheduler.names import ScheduleName, schedule_name
from pileus.services.scheduler.operations.groups import get_group
from pileus.services.scheduler.records import Schedule, decode, encode
from pileus.services.scheduler.timers import AGE_MAX_S, RETRIES, drop_timer, set_timer
from pileus.store.contract import Reader, Transaction

# How far back a schedule may begin.
START_AGO_S = 300


async def _check(ctx: Context, at: ScheduleName, request: Request) -> None:
    """Raises ValidationException."""
    expression, zone = request["ScheduleExpression"], request.get("ScheduleExpressionTimezone") or "UTC"
    try:
        parsed = expressions.parse(expression)
    except InvalidSchedule:
        raise errors.invalid(f"Invalid Schedule Expression {expression}.") from None
    try:
        expressions.zone_of(zone)
    except InvalidSchedule:
        raise errors.invalid(f"Invalid Schedule Expression Timezone {zone}.") from None
    start, end = request.get("StartDate"), request.get("EndDate")
    if isinstance(parsed, expressions.Once):
        # Nothing but its own time counts for it.
        start = end = None
    if start is not None and start < ctx.now - START_AGO_S:
        raise errors.invalid("The StartDate you specify cannot be earlier than 5 minutes ago.")
    if start is not None and end is not None and start >= end:
        raise errors.invalid("The StartDate you specify must come before the EndDate.")
    if end is not None and end <= ctx.now:
        raise errors.invalid("The EndDate you specify must come after the current time.")
    window = request["FlexibleTimeWindow"]
    if window["Mode"] == "OFF" and window.get("MaximumWindowInMinutes") is not None:
        raise errors.invalid("MaximumWindowInMinutes can't be specified when the flexible time window is OFF.")
    if window["Mode"] == "FLEXIBLE" and window.get("MaximumWindowInMinutes") is None:
        raise errors.invalid("MaximumWindowInMinutes must be specified when the flexible time window is FLEXIBLE.")
    targets.check(request["Target"])
    if ctx.cloud.settings.iam == "enforce":
        try:
            await ctx.cloud.part(RoleSessions).session(
                "scheduler", request["Target"]["RoleArn"], source_arn=at.group_arn, session_name="check"
            )
        except AWSError:
            raise errors.invalid(
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
            ) from None


def _made(ctx: Context, request: Request, former: Schedule | None) -> Schedule:
    """What a request leaves out has its default, also in an update."""
    return Schedule(
        name=request["Name"],
        group=schedule_name(ctx, request).group,
        expression=request["ScheduleExpression"],
        state=request.get("State") or "ENABLED",
        created=ctx.now if former is None else former.created,
        modified=ctx.now,
        target=request["Target"],
        flexible=request["FlexibleTimeWindow"],
        zone=request.get("ScheduleExpressionTimezone") or "UTC",
        start=request.get("StartDate"),
        end=request.get("EndDate"),
        description=request.get("Description"),
        kms_key=request.get("KmsKeyArn") or "",
        after_completion=request.get("ActionAfterCompletion") or "NONE",
        client_token=request.get("ClientToken", ""),
    )


async def create_schedule(ctx: Context, request: Request) -> Answer:
    at = schedule_name(ctx, request)
    await _check(ctx, at, request)

    async def create(tx: Transaction) -> None:
        await get_group(ctx, tx, at.group)
        data = await tx.get(keys.schedule(*at))
        if data is not None:
            if request.get("ClientToken") and decode(Schedule, data).client_token == request["ClientToken"]:
                # The same request again.
                return
            raise errors.schedule_exists(at.name)
        schedule = _made(ctx, request, None)
        await set_timer(ctx, tx, at, schedule)
        tx.put(keys.schedule(*at), encode(schedule))

    await ctx.cloud.store.write(create)
    return {"ScheduleArn": at.arn}


async def update_schedule(ctx: Context, request: Request) -> Answer:
    at = schedule_name(ctx, request)
    await _check(ctx, at, request)

    async def update(tx: Transaction) -> None:
        await get_group(ctx, tx, at.group)
        schedule = _made(ctx, request, await _get(tx, at))
        await set_timer(ctx, tx, at, schedule)
        tx.put(keys.schedule(*at), encode(schedule))

    await ctx.cloud.store.write(update)
    return {"ScheduleArn": at.arn}


async def _get(tx: Reader, at: ScheduleName) -> Schedule:
    data = await tx.get(keys.schedule(*at))
    if data is None:
        raise errors.no_schedule(at.name)
    return decode(Schedule, data)


async def delete_schedule(ctx: Context, tx: Transaction, request: Request) -> None:
    at = schedule_name(ctx, request)
    await get_group(ctx, tx, at.group)
    await _get(tx, at)
    await drop_timer(ctx, tx, at)
    tx.delete(keys.schedule(*at))


async def get_schedule(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = schedule_name(ctx, request)
    await get_group(ctx, tx, at.group)
    schedule = await _get(tx, at)
    retry = {"MaximumEventAgeInSeconds": AGE_MAX_S, "MaximumRetryAttempts": RETRIES}
    shown: Answer = {
        "Arn": at.arn,
        "GroupName": at.group,
        "Name": at.name,
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.zone,
        "State": schedule.state,
        "CreationDate": schedule.created,
        "LastModificationDate": schedule.modified,
        "Target": {**schedule.target, "RetryPolicy": {**retry, **(schedule.target.get("RetryPolicy") or {})}},
        "FlexibleTimeWindow": schedule.flexible,
        "ActionAfterCompletion": schedule.after_completion,
    }
    for member, value in (
        ("StartDate", schedule.start),
        ("EndDate", schedule.end),
        ("Description", schedule.description),
        ("KmsKeyArn", schedule.kms_key or None),
    ):
        if value is not None:
            shown[member] = value
    return shown


async def list_schedules(ctx: Context, tx: Reader, request: Request) -> Answer:
    group, prefix = request.get("GroupName"), request.get("NamePrefix", "")
    if group is not None:
        await get_group(ctx, tx, group)

    def show(data: bytes) -> Answer | None:
        schedule = decode(Schedule, data)
        if not schedule.name.startswith(prefix) or request.get("State", schedule.state) != schedule.state:
            return None
        return {
            "Arn": ScheduleName(ctx.account, ctx.region, schedule.group, schedule.name).arn,
            "GroupName": schedule.group,
            "Name": schedule.name,
            "State": schedule.state,
            "CreationDate": schedule.created,
            "LastModificationDate": schedule.modified,
            "Target": {"Arn": schedule.target["Arn"]},
        }

    span = keys.schedules(ctx.account, ctx.region, group, prefix)
    found, token = await paging.page(tx, request, span, show)
    return paging.answer("Schedules", found, token)
