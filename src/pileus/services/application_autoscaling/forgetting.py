"""Removing scalable targets and scheduled actions, with the timers that belong to them."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.services.application_autoscaling import keys
from pileus.services.application_autoscaling.names import Target
from pileus.services.application_autoscaling.records import ScheduledAction, decode
from pileus.store.contract import Transaction

# The outbox's name for the timers of scheduled actions.
TARGET = "application-autoscaling.timer"
_ACTIONS_MAX = 500


def timer_id(at: Target, name: str) -> str:
    return f"{TARGET}/{'/'.join(at)}/{name}"


async def drop_timer(cloud: Cloud, tx: Transaction, at: Target, name: str) -> None:
    await cloud.outbox.cancel(tx, timer_id(at, name))


async def drop_actions(cloud: Cloud, tx: Transaction, at: Target) -> None:
    """Remove all scheduled actions of a target."""
    span = keys.all_of("action", at.account, at.region, *at[2:])
    for _, data in await tx.scan(*span, limit=_ACTIONS_MAX):
        await drop_timer(cloud, tx, at, decode(ScheduledAction, data).name)
    tx.delete_range(*span)


async def forget(cloud: Cloud, tx: Transaction, at: Target) -> None:
    """Remove a target with all that goes with it."""
    tx.delete(keys.target(at))
    tx.delete(keys.tracked(at))
    tx.delete_range(*keys.all_of("policy", at.account, at.region, *at[2:]))
    await drop_actions(cloud, tx, at)
