"""Writing to CloudWatch Logs for whoever reports there: rules, delivery status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal

_THERE = "ResourceAlreadyExistsException"
_MISSING = "ResourceNotFoundException"


async def write(
    cloud: Cloud,
    principal: Principal,
    texts: Sequence[str],
    *,
    moment: float | None = None,
    group: str,
    stream: str,
    region: str,
    account: str,
    make_group: bool = False,
) -> None:
    """Put log events into a stream, which is made where it is missing, as the group is with `make_group`.

    `moment`: when they happened, now without.

    Raises `AWSError`: the principal may not, there is no such group.
    """
    names = {"logGroupName": group, "logStreamName": stream}
    timestamp = int((cloud.clock.time() if moment is None else moment) * 1000)
    events = [{"timestamp": timestamp, "message": text} for text in texts]

    async def call(operation: str, request: dict[str, Any]) -> None:
        await cloud.call(principal, "logs", operation, request, region=region, account=account)

    async def make(operation: str, request: dict[str, Any]) -> None:
        try:
            await call(operation, request)
        except AWSError as error:
            # Somebody else was first.
            if error.code != _THERE:
                raise

    try:
        await call("PutLogEvents", {**names, "logEvents": events})
    except AWSError as error:
        if error.code != _MISSING:
            raise
        if make_group:
            await make("CreateLogGroup", {"logGroupName": group})
        await make("CreateLogStream", names)
        await call("PutLogEvents", {**names, "logEvents": events})
