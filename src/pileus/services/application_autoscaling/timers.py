"""Scheduled actions at work: a timer in the outbox for each; it changes the target's limits and puts the next timer.

Source: "Scheduled scaling for Application Auto Scaling" and "How scheduled scaling works".
"""

from __future__ import annotations

import msgspec

from pileus.cloud.context import Cloud
from pileus.delivery.contract import Delivery
from pileus.delivery.schedules import next_due
from pileus.services.application_autoscaling import keys, resources, scaling
from pileus.services.application_autoscaling.forgetting import TARGET, timer_id
from pileus.services.application_autoscaling.names import Target
from pileus.services.application_autoscaling.records import ScalableTarget, ScheduledAction, decode, encode
from pileus.store.contract import Reader, Transaction

_FOREVER_S = 200 * 366 * 86400.0


def put_next(cloud: Cloud, tx: Transaction, at: Target, action: ScheduledAction, *, after: float) -> None:
    """Put the timer of the action's next time, if there is one."""
    due = next_due(
        action.schedule,
        action.zone or "UTC",
        after=after,
        began=action.created,
        start=action.start,
        end=action.end,
    )
    if due is not None:
        payload = {"at": list(at), "name": action.name, "timer": action.timer, "due": due}
        cloud.outbox.put(
            tx, target=TARGET, payload=payload, now=after, due=due, id=timer_id(at, action.name), age_max_s=_FOREVER_S
        )


async def ring(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler: the capacity first, then the record of it, so that a node that dies does both again."""
    payload = delivery.payload
    at = Target(*payload["at"])

    async def load(tx: Reader) -> tuple[ScheduledAction, ScalableTarget] | None:
        action, target = await tx.get(keys.action(at, payload["name"])), await tx.get(keys.target(at))
        if action is None or target is None:
            return None
        return decode(ScheduledAction, action), decode(ScalableTarget, target)

    found = await cloud.store.read(load)
    if found is None or found[0].timer != payload["timer"]:
        return
    action, target = found
    if not target.suspended.get("ScheduledScalingSuspended"):
        await _apply(cloud, at, limited(target, action), action)

    async def change(tx: Transaction) -> None:
        found = await load(tx)
        if found is None or found[0].timer != payload["timer"]:
            return
        action, target = found
        if not target.suspended.get("ScheduledScalingSuspended"):
            tx.put(keys.target(at), encode(limited(target, action)))
        # What was due more than once while the node was down is done once.
        put_next(cloud, tx, at, action, after=max(payload["due"], cloud.clock.time()))

    await cloud.store.write(change)


def limited(target: ScalableTarget, action: ScheduledAction) -> ScalableTarget:
    """The target with the limits of the action."""
    least = target.least if action.least is None else action.least
    most = target.most if action.most is None else action.most
    # One alone may not turn them around.
    if action.most is None:
        most = max(least, most)
    if action.least is None:
        least = min(least, most)
    return msgspec.structs.replace(target, least=least, most=most)


async def _apply(cloud: Cloud, at: Target, target: ScalableTarget, action: ScheduledAction) -> None:
    """Scale what lies beyond the new limits."""
    capacity = await resources.capacity(cloud, at)
    if capacity is None or (not capacity and at.namespace == "dynamodb"):
        return
    wanted = min(max(capacity, target.least), target.most)
    if wanted != capacity:
        limit = f"minimum capacity was set to {target.least}"
        if wanted < capacity:
            limit = f"maximum capacity was set to {target.most}"
        await scaling.scale(cloud, at, target, capacity, wanted, cause=f"scheduled action {action.name}: {limit}")
