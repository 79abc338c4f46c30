"""Lambda's background work."""

from __future__ import annotations

import asyncio

from pileus.cloud.context import Cloud
from pileus.sandbox import cgroups
from pileus.services.lambda_.node import node


async def sweep_code(cloud: Cloud) -> None:
    """Remove unpacked code that nothing names any more."""
    await node(cloud).code.sweep()


async def sweep_environments(cloud: Cloud) -> None:
    """End what a killed node has left of its environments: frozen processes outlive their parent."""
    await asyncio.to_thread(cgroups.sweep)
