"""Scaling at work: the loop that looks at what is tracked each minute, and how a capacity is changed.

Metrics are this node's, and are remembered from when a policy is put or the node is started.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.services.application_autoscaling import forgetting, keys, resources, telling, tracking
from pileus.services.application_autoscaling.names import Target
from pileus.services.application_autoscaling.records import Activity, Policy, ScalableTarget, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

log = logging.getLogger("pileus.application_autoscaling")

PERIOD_S = 60.0
# Activities of the last six weeks are kept.
KEPT_S = 42 * 86_400.0
_BATCH = 500


def watch(cloud: Cloud, at: Target) -> None:
    """Remember the metric of a target from now on."""
    resources.series(cloud, at).recall(0)


async def look(cloud: Cloud) -> float:
    """The loop's step: scale what has to be scaled; and when the next minute will have ended."""
    start, end = keys.all_tracked()

    async def page(tx: Reader) -> list[tuple[bytes, bytes]]:
        return await tx.scan(start, end, limit=_BATCH)

    while rows := await cloud.store.read(page):
        for key, _ in rows:
            at = keys.tracked_target(key)
            try:
                await _track(cloud, at)
            except AWSError as error:
                # Of its service: the others are scaled all the same.
                log.warning("%s could not be looked at: %s: %s", at, error.code, error.message)
        start = after(rows[-1][0])
    return PERIOD_S - cloud.clock.time() % PERIOD_S + 0.001


async def _track(cloud: Cloud, at: Target) -> None:
    async def load(tx: Reader) -> tuple[ScalableTarget | None, list[Policy]]:
        data = await tx.get(keys.target(at))
        rows = await tx.scan(*keys.all_of("policy", at.account, at.region, *at[2:]), limit=_BATCH)
        return None if data is None else decode(ScalableTarget, data), [decode(Policy, row) for _, row in rows]

    target, policies = await cloud.store.read(load)
    policy = next((each for each in policies if each.kind == "TargetTrackingScaling"), None)
    if target is None or policy is None:
        return
    minute = int(cloud.clock.time() // 60)
    series = resources.series(cloud, at)
    used = [_used(at, series.recall(each)) for each in range(minute - tracking.MINUTES_BELOW, minute)]
    capacity = await resources.capacity(cloud, at)
    if capacity is None:
        await cloud.store.write(lambda tx: forgetting.forget(cloud, tx, at))
        return
    if not capacity:
        return
    configuration = policy.configuration
    wanted = tracking.wanted(at.namespace, used, capacity, configuration["TargetValue"], at.traits.minutes_above)
    cause = f"target tracking policy {policy.name}"
    if wanted is None:
        wanted, cause = capacity, f"the limits of {target.least} and {target.most}, kept by policy {policy.name}"
    wanted = min(max(wanted, target.least), target.most)
    now = cloud.clock.time()
    if wanted > capacity:
        held = now < target.scaled_out + configuration.get("ScaleOutCooldown", 0)
        held = held or target.suspended.get("DynamicScalingOutSuspended", False)
    else:
        held = now < target.scaled_in + configuration.get("ScaleInCooldown", 0)
        held = held or configuration.get("DisableScaleIn", False)
        held = held or target.suspended.get("DynamicScalingInSuspended", False)
    if wanted != capacity and not held:
        scaled = {"scaled_out": now} if wanted > capacity else {"scaled_in": now}
        await scale(cloud, at, target, capacity, wanted, cause=cause, scaled=scaled)


def _used(at: Target, data: Sequence[Any]) -> float | None:
    """Units a second, or the average utilization; None where nothing was counted."""
    count = sum(datum.count for datum in data)
    if not count:
        return None
    total: float = sum(datum.total for datum in data)
    return total / count if at.namespace == "lambda" else total / 60


async def scale(
    cloud: Cloud,
    at: Target,
    target: ScalableTarget,
    capacity: int,
    wanted: int,
    *,
    cause: str,
    scaled: dict[str, float] | None = None,
) -> None:
    """Set the capacity, which is `capacity` now, and note the activity.

    `scaled`: what changes in the target's record when it is done.
    """
    spoken = at.traits.spoken
    started = cloud.clock.time()
    try:
        await resources.set_capacity(cloud, at, wanted)
    except AWSError as error:
        message, done = f"Failed to set {spoken} to {wanted}. Reason: {error.message}", False
    else:
        message, done = f"Successfully set {spoken} to {wanted}. Change successfully fulfilled by {at.namespace}.", True
    activity = Activity(
        id=cloud.ids.uuid(),
        resource=at.resource,
        dimension=at.dimension,
        description=f"Setting {spoken} to {wanted}.",
        cause=cause,
        started=started,
        ended=cloud.clock.time(),
        status="Successful" if done else "Failed",
        message=message,
    )

    async def note(tx: Transaction) -> None:
        tx.put(keys.activity(at, started, activity.id), encode(activity))
        tx.delete_range(*keys.activities_before(at, started - KEPT_S))
        if done and capacity < wanted == target.most:
            telling.put(cloud, tx, at, target, activity, capacity=capacity, wanted=wanted)
        data = await tx.get(keys.target(at))
        if data is not None and done and scaled:
            tx.put(keys.target(at), encode(msgspec.structs.replace(decode(ScalableTarget, data), **scaled)))

    await cloud.store.write(note)
