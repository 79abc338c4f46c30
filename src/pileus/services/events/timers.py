"""Scheduled rules: a timer in the outbox for each, which puts a "Scheduled Event" and the next timer.

Source: "Creating an EventBridge rule that runs on a schedule" of the EventBridge user guide; recorded answers.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Cloud, Context
from pileus.delivery.contract import Delivery
from pileus.delivery.cron import Schedule, parse_schedule
from pileus.services.events import routing
from pileus.services.events.lookup import find_rule
from pileus.services.events.names import BusName, RuleName
from pileus.services.events.records import Rule
from pileus.store.contract import Transaction

TARGET = "events.timer"


async def set_timer(ctx: Context, tx: Transaction, at: RuleName, rule: Rule) -> None:
    """Have the rule's schedule begin now, or end: where it has none, is disabled or deleted."""
    await ctx.cloud.outbox.cancel(tx, _id(at))
    rule.timer = ""
    if not rule.schedule or not rule.enabled:
        return
    rule.timer = ctx.cloud.ids.hex(16)
    _put(ctx.cloud, tx, at, rule, parse_schedule(rule.schedule), began=ctx.now, after=ctx.now, now=ctx.now)


async def drop_timer(ctx: Context, tx: Transaction, at: RuleName) -> None:
    await ctx.cloud.outbox.cancel(tx, _id(at))


def _id(at: RuleName) -> str:
    return f"events.timer/{at.arn}"


def _put(
    cloud: Cloud,
    tx: Transaction,
    at: RuleName,
    rule: Rule,
    schedule: Schedule,
    *,
    began: float,
    after: float,
    now: float,
) -> None:
    due = schedule.next(after, began)
    # Neither the moment at which the schedule begins, nor one that has been.
    if due is not None and due <= after:
        due = schedule.next(due, began)
    if due is not None:
        payload = {"bus": list(at.bus), "rule": at.name, "timer": rule.timer, "began": began, "due": due}
        cloud.outbox.put(tx, target=TARGET, payload=payload, now=now, due=due, id=_id(at), age_max_s=366 * 86400.0)


async def ring(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler: what was due while the node was down happens once."""
    payload = delivery.payload
    at = RuleName(BusName(*payload["bus"]), payload["rule"])
    now = cloud.clock.time()

    async def put_event(tx: Transaction) -> None:
        rule = await find_rule(tx, at)
        if rule is None or rule.timer != payload["timer"]:
            return
        _put(
            cloud,
            tx,
            at,
            rule,
            parse_schedule(rule.schedule),
            began=payload["began"],
            after=max(payload["due"], now),
            now=now,
        )
        routing.put_deliveries(cloud, tx, at.arn, rule, _event(cloud, at, payload["due"]), now=now)

    await cloud.store.write(put_event)


def _event(cloud: Cloud, at: RuleName, due: float) -> dict[str, Any]:
    return {
        "version": "0",
        "id": cloud.ids.uuid(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": at.bus.account,
        "time": routing.shown_time(due),
        "region": at.bus.region,
        "resources": [at.arn],
        "detail": {},
    }
