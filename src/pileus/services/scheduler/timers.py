"""Schedules at work: a timer in the outbox for each; it puts the invocation, and the next timer.

What a timer does is one transaction, so every time of a schedule is invoked, and invoked through one delivery.
Source: "Configuring flexible time windows", "Deletion after schedule completion" of the user guide.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Cloud, Context
from pileus.delivery.contract import Delivery
from pileus.delivery.schedules import next_due
from pileus.services.scheduler import keys
from pileus.services.scheduler.names import ScheduleName
from pileus.services.scheduler.records import Schedule, decode
from pileus.store.contract import Transaction

TARGET = "scheduler.timer"
INVOKE_TARGET = "scheduler.invoke"
DEAD_TARGET = "scheduler.dead"
# What a schedule's target has where it says nothing.
RETRIES = 185
AGE_MAX_S = 86400
_FOREVER_S = 200 * 366 * 86400.0


async def set_timer(ctx: Context, tx: Transaction, at: ScheduleName, schedule: Schedule) -> None:
    """Have the schedule's times begin now; none where it is disabled."""
    await drop_timer(ctx, tx, at)
    schedule.timer = ""
    if schedule.state == "ENABLED":
        schedule.timer = ctx.cloud.ids.hex(16)
        _put_next(ctx.cloud, tx, at, schedule, after=ctx.now, began=ctx.now, now=ctx.now)


async def drop_timer(ctx: Context, tx: Transaction, at: ScheduleName) -> None:
    await ctx.cloud.outbox.cancel(tx, _id(at))


def _window_s(schedule: Schedule) -> float:
    return 60.0 * schedule.flexible.get("MaximumWindowInMinutes", 0) if schedule.flexible["Mode"] != "OFF" else 0.0


def _id(at: ScheduleName) -> str:
    return f"scheduler.timer/{at.arn}"


def _put_next(
    cloud: Cloud, tx: Transaction, at: ScheduleName, schedule: Schedule, *, after: float, began: float, now: float
) -> bool:
    """Put the timer of the next time, if there is one."""
    due = next_due(schedule.expression, schedule.zone, after=after, began=began, start=schedule.start, end=schedule.end)
    if due is None:
        return False
    payload = {"at": list(at), "timer": schedule.timer, "began": began, "due": due}
    cloud.outbox.put(
        tx,
        target=TARGET,
        payload=payload,
        now=now,
        due=due + cloud.ids.uniform(0.0, _window_s(schedule)),
        id=_id(at),
        age_max_s=_FOREVER_S,
    )
    return True


async def ring(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler. What was due more than once while the node was down is invoked once."""
    payload = delivery.payload
    at = ScheduleName(*payload["at"])
    now = cloud.clock.time()

    async def invoke(tx: Transaction) -> None:
        key = keys.schedule(*at)
        data = await tx.get(key)
        schedule = decode(Schedule, data) if data is not None else None
        if schedule is None or schedule.timer != payload["timer"]:
            return
        put_invocation(cloud, tx, at, schedule, due=payload["due"], now=now)
        # A window may be longer than the time to the next: none is left out for it.
        within_window = now <= payload["due"] + _window_s(schedule)
        after = payload["due"] if within_window else max(payload["due"], now)
        again = _put_next(cloud, tx, at, schedule, after=after, began=payload["began"], now=now)
        if not again and schedule.after_completion == "DELETE":
            tx.delete(key)

    await cloud.store.write(invoke)


def put_invocation(
    cloud: Cloud, tx: Transaction, at: ScheduleName, schedule: Schedule, *, due: float, now: float
) -> None:
    target: dict[str, Any] = schedule.target
    retry = target.get("RetryPolicy") or {}
    cloud.outbox.put(
        tx,
        target=INVOKE_TARGET,
        payload={"at": list(at), "target": target, "due": due, "execution": cloud.ids.uuid()},
        now=now,
        attempts_max=1 + retry.get("MaximumRetryAttempts", RETRIES),
        age_max_s=float(retry.get("MaximumEventAgeInSeconds", AGE_MAX_S)),
        dead_target=DEAD_TARGET,
    )
