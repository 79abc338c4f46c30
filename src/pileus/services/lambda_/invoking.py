"""One invocation, whoever asked for it: within the limits of concurrency, in an environment of the pool."""

from __future__ import annotations

from msgspec.structs import replace

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import errors, lineage
from pileus.services.lambda_.concurrency import ACCOUNT_MAX
from pileus.services.lambda_.execution import FunctionSpec, Invocation, InvokeResult
from pileus.services.lambda_.metrics import (
    PROVISIONED_CONCURRENCY_INVOCATIONS,
    PROVISIONED_CONCURRENCY_SPILLOVER,
    PROVISIONED_CONCURRENCY_UTILIZATION,
    PROVISIONED_CONCURRENT_EXECUTIONS,
    RECURSIVE_INVOCATIONS_DROPPED,
)
from pileus.services.lambda_.node import Node
from pileus.services.lambda_.resolver import Resolved


async def run(mine: Node, resolved: Resolved, spec: FunctionSpec, invocation: Invocation) -> InvokeResult:
    """Raises `TooManyRequestsException` past the limits, `RecursiveInvocationException` where a chain of events has
    come by too often; a function's own failure is in the result."""
    if resolved.stops_loops and lineage.times(invocation.trace_header, resolved.at) >= lineage.TIMES_MAX:
        mine.metrics.count(RECURSIVE_INVOCATIONS_DROPPED, resolved.at)
        raise errors.recursive()
    invocation = replace(invocation, trace_header=lineage.with_one_more(invocation.trace_header, resolved.at))
    provisioned = resolved.provisioned.get(spec.version)
    if provisioned is not None:
        spare = mine.pool.ready(provisioned.fingerprint) > mine.concurrency.running(provisioned.fingerprint)
        mine.metrics.count(
            PROVISIONED_CONCURRENCY_INVOCATIONS if spare else PROVISIONED_CONCURRENCY_SPILLOVER, resolved.at
        )
        if not spare:
            provisioned = None
    try:
        if provisioned is not None:
            spec, place = provisioned, mine.concurrency.enter_provisioned(provisioned.fingerprint)
            busy = mine.concurrency.running(provisioned.fingerprint)
            mine.metrics.count(PROVISIONED_CONCURRENT_EXECUTIONS, resolved.at, busy)
            share = busy / mine.pool.ready(provisioned.fingerprint)
            mine.metrics.count(PROVISIONED_CONCURRENCY_UTILIZATION, resolved.at, share)
        else:
            place = mine.concurrency.enter(resolved.at, resolved.reserved_left, resolved.unreserved_max)
    except AWSError:
        mine.metrics.throttled(resolved.at)
        raise
    allocated = ACCOUNT_MAX - resolved.unreserved_max
    counted = mine.metrics.entered(resolved.at, reserved=resolved.reserved is not None, allocated=allocated)

    def leave() -> None:
        mine.concurrency.leave(place)
        mine.metrics.left(counted)

    # A caller that goes away does not stop the function, which counts until it is done.
    return await mine.pool.invoke(spec, invocation, leave)


def new_trace(cloud: Cloud, now: float) -> str:
    """An X-Ray header for an invocation that came without one: it leaves open whether it is sampled."""
    return f"Root=1-{int(now):08x}-{cloud.ids.hex(24)}"
