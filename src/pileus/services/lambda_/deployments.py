"""Bringing a version to life: `Pending` to `Active`, `InProgress` to `Successful`, by the outbox's hand.

The operation that creates or changes a version leaves a delivery in its own transaction; here the code is unpacked and
the state moved on. It may run twice for one delivery, and after a crash it runs again.
"""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.delivery.contract import Delivery
from pileus.services.lambda_ import keys, packages
from pileus.services.lambda_.lookup import find_version
from pileus.services.lambda_.names import Target
from pileus.services.lambda_.node import node
from pileus.services.lambda_.records import Version, encode
from pileus.store.contract import Reader, Transaction

TARGET = "lambda.deploy"


def schedule(cloud: Cloud, tx: Transaction, at: Target, version: Version, now: float) -> None:
    """Have `version`, as it stands in `tx`, deployed soon."""
    cloud.outbox.put(
        tx,
        target=TARGET,
        payload={"account": at.account, "region": at.region, "name": at.name, "version": version.version},
        now=now,
    )


async def deploy(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler."""
    at = Target(delivery.payload["account"], delivery.payload["region"], delivery.payload["name"], "")
    number = delivery.payload["version"]

    async def load(tx: Reader) -> Version | None:
        return await find_version(tx, at, number)

    version = await cloud.store.read(load)
    if version is None or not _waiting(version):
        return
    mine = node(cloud)
    mine.pool.prepare(version.configuration.runtime, version.configuration.memory_mb)
    # So that its first invocations need not run on another version.
    await mine.pool.settle(version.configuration.runtime)
    for sha256 in packages.codes_of(version.configuration):
        await mine.code.ensure(sha256)

    async def finish(tx: Transaction) -> None:
        current = await find_version(tx, at, number)
        if current is None or current.revision != version.revision:
            return
        if current.serving is not None:
            await packages.drop(cloud, tx, packages.codes_of(current.serving))
            current.serving = None
        current.state = "Active"
        current.update_status = "Successful"
        current.revision = cloud.ids.uuid()
        tx.put(keys.version(at, number), encode(current))
        tx.on_commit(lambda: mine.resolver.forget(at))

    await cloud.store.write(finish)


def _waiting(version: Version) -> bool:
    return version.state == "Pending" or version.update_status == "InProgress"
