"""Bringing a version to life: `Pending` to `Active`, `InProgress` to `Successful`, by the outbox's hand.

The operation that creates or changes a version leaves a delivery in its own transaction; here the code is unpacked,
what is snapshotted initialized, and the state moved on. It may run twice for one delivery, and after a crash it runs
again.
"""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.delivery.contract import Delivery
from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import idle, keys, packages, snapshot_charges
from pileus.services.lambda_.configurations import is_snapshotted
from pileus.services.lambda_.lookup import find_version
from pileus.services.lambda_.names import Target
from pileus.services.lambda_.node import node
from pileus.services.lambda_.records import Version, encode
from pileus.store.contract import Reader, Transaction

TARGET = "lambda.deploy"
# With an Init, which takes its time and holds up no others.
SNAPSHOT_TARGET = "lambda.snapshot"
SNAPSHOTS_AT_A_TIME = 4
# What AWS says of every Init that fails at publishing (CloudFormation shows it as the version's "Status Reason").
INIT_FAILED, INIT_FAILED_CODE = "An error occurred during function initialization.", "FunctionError"


def schedule(cloud: Cloud, tx: Transaction, at: Target, version: Version, now: float) -> None:
    """Have `version`, as it stands in `tx`, deployed soon."""
    cloud.outbox.put(
        tx,
        target=SNAPSHOT_TARGET if is_snapshotted(version) else TARGET,
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
    failed, optimized = await _snapshot(cloud, at, version) if is_snapshotted(version) else ("", False)

    async def finish(tx: Transaction) -> None:
        current = await find_version(tx, at, number)
        # By its configuration: tags and permissions give it another revision while it is on its way.
        if current is None or not _waiting(current) or current.configuration != version.configuration:
            return
        if current.serving is not None:
            await packages.drop(cloud, tx, packages.codes_of(current.serving))
            current.serving = None
        if failed:
            current.state, current.update_status = "Failed", "Failed"
            current.reason, current.reason_code = failed, INIT_FAILED_CODE
        else:
            current.state, current.update_status = "Active", "Successful"
            current.reason = current.reason_code = ""
        current.optimized = optimized
        if optimized:
            idle.begin(tx, at, number, cloud.clock.time())
            await snapshot_charges.begin(tx, at, current, cloud.clock.time())
        current.revision = cloud.ids.uuid()
        tx.put(keys.version(at, number), encode(current))
        tx.on_commit(lambda: mine.resolver.forget(at))

    await cloud.store.write(finish)


async def _snapshot(cloud: Cloud, at: Target, version: Version) -> tuple[str, bool]:
    """Initialize it: why that failed, or ""; and whether there is a snapshot. Raises where it is to be tried again."""
    mine = node(cloud)
    try:
        spec = await mine.resolver.spec(at, version)
        taken = await mine.pool.snapshot(spec)
    except AWSError as error:
        if error.code == "InvalidRuntimeException":
            # As for versions without a snapshot, invocations say so.
            return "", False
        if error.fault == "server":
            raise
        return error.message, False
    if taken.error_type:
        return INIT_FAILED, False
    return "", not taken.obstacle


async def wake(cloud: Cloud, at: Target) -> None:
    """A version that is inactive has been invoked: initialize it again."""
    function = at._replace(qualifier="")

    async def change(tx: Transaction) -> None:
        version = await find_version(tx, function, at.qualifier)
        if version is None or version.state != "Inactive":
            return
        version.state, version.optimized = "Pending", True
        version.reason, version.reason_code = "The function is being restored.", "Restoring"
        version.revision = cloud.ids.uuid()
        tx.put(keys.version(function, at.qualifier), encode(version))
        schedule(cloud, tx, function, version, cloud.clock.time())
        tx.on_commit(lambda: node(cloud).resolver.forget(function))

    await cloud.store.write(change)


def _waiting(version: Version) -> bool:
    return version.state == "Pending" or version.update_status == "InProgress"
