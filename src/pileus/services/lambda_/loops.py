"""Lambda's background work."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.services.lambda_.feeding.feeds import Feeds
from pileus.services.lambda_.node import node
from pileus.services.lambda_.provisioning import Provisioner


async def sweep_code(cloud: Cloud) -> None:
    """Remove unpacked code that nothing names any more."""
    await node(cloud).code.sweep()


async def look_at_feeds(cloud: Cloud) -> None:
    """Read for every event source mapping that is enabled."""
    await cloud.part(Feeds).apply_all()


async def provision(cloud: Cloud) -> None:
    """Keep as many environments ready as are provisioned."""
    await cloud.part(Provisioner).apply_all()
