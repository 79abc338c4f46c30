"""Lambda's background work."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.services.lambda_.node import node


async def sweep_code(cloud: Cloud) -> None:
    """Remove unpacked code that nothing names any more."""
    await node(cloud).code.sweep()
