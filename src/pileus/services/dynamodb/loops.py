"""Background work."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.services.dynamodb import expire, history, replication, statistics, streams, tokens
from pileus.services.dynamodb.operations import policies
from pileus.services.dynamodb.tables import Memory


async def start(cloud: Cloud) -> None:
    cloud.parts[Memory] = Memory()
    await statistics.find_uncounted(cloud)
    await policies.load(cloud)


async def stop(cloud: Cloud) -> None:
    """Write what the counting loop has not written yet."""
    await statistics.write(cloud, last=True)


async def count(cloud: Cloud) -> float:
    return await statistics.step(cloud)


async def trim_streams(cloud: Cloud) -> None:
    await streams.trim(cloud)


async def trim_history(cloud: Cloud) -> None:
    await history.trim(cloud)


async def expire_items(cloud: Cloud) -> float:
    return await expire.expire(cloud)


async def replicate(cloud: Cloud) -> float:
    return await replication.replicate(cloud)


async def forget_deleted(cloud: Cloud) -> None:
    await replication.forget_deleted(cloud)


async def trim_tokens(cloud: Cloud) -> None:
    await tokens.trim(cloud)
