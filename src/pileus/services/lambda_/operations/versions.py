"""Versions: PublishVersion, ListVersionsByFunction."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import NotBuilt
from pileus.services.lambda_ import configurations, deployments, errors, keys, packages, storage
from pileus.services.lambda_.lookup import find_version, get_function, get_latest
from pileus.services.lambda_.names import LATEST, Target, parse
from pileus.services.lambda_.node import node
from pileus.services.lambda_.paging import page
from pileus.services.lambda_.records import Function, Version, decode, encode
from pileus.store.contract import Reader, Transaction


async def publish(
    ctx: Context, tx: Transaction, at: Target, function: Function, latest: Version, *, description: str | None = None
) -> Version:
    """A new version of what `$LATEST` is now; the caller stores `function`, whose counters change."""
    function.last_version += 1
    function.published = configurations.digest(latest.configuration)
    config = latest.configuration
    if description is not None:
        config = configurations.replaced(config, description=description)
    waiting = latest.state == "Pending" or latest.update_status == "InProgress"
    # Initialized, and snapshotted, before it is there.
    snapshotted = config.snap_start == "PublishedVersions"
    waiting = waiting or snapshotted
    version = Version(
        version=str(function.last_version),
        configuration=config,
        revision=ctx.cloud.ids.uuid(),
        modified=ctx.now,
        state="Pending" if waiting else "Active",
        update_status="" if waiting else "Successful",
        optimized=snapshotted,
    )
    await storage.change(tx, at.account, at.region, config.code_size_bytes)
    await packages.hold(tx, packages.codes_of(config))
    tx.put(keys.version(at, version.version), encode(version))
    if waiting:
        deployments.schedule(ctx.cloud, tx, at, version, ctx.now)
    tx.on_commit(lambda: node(ctx.cloud).resolver.forget(at))
    return version


async def publish_version(ctx: Context, tx: Transaction, request: Request) -> Answer:
    if request.get("PublishTo"):
        raise NotBuilt("PublishVersion to $LATEST.PUBLISHED")
    at = parse(ctx, request["FunctionName"])._replace(qualifier="")
    latest = await get_latest(tx, at)
    function = await get_function(tx, at)
    if request.get("RevisionId") not in (None, latest.revision):
        raise errors.revision_mismatch()
    current = configurations.shown_sha256(latest.configuration.code_sha256)
    if request.get("CodeSha256") not in (None, "", current):
        raise errors.invalid_parameter(
            f"CodeSHA256 ({request['CodeSha256']}) is different from current CodeSHA256 in $LATEST ({current}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )
    if latest.state == "Pending":
        raise errors.resource_pending(at.arn)
    if latest.update_status == "InProgress":
        raise errors.update_in_progress(at.arn)
    # "Lambda doesn't publish a version if the function's configuration and code haven't changed since the last
    # version."
    if function.published == configurations.digest(latest.configuration):
        former = await find_version(tx, at, str(function.last_version))
        if former is not None:
            return configurations.describe(at, former)
    version = await publish(ctx, tx, at, function, latest, description=request.get("Description"))
    # What it was published from has another revision, too (record "test_lambda_permission_versioning").
    latest.revision = ctx.cloud.ids.uuid()
    tx.put(keys.version(at, LATEST), encode(latest))
    tx.put(keys.function(at), encode(function))
    return configurations.describe(at, version)


async def list_versions_by_function(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = parse(ctx, request["FunctionName"])._replace(qualifier="")
    await get_function(tx, at)
    found, marker = await page(tx, request, *keys.versions(at))
    versions = [decode(Version, data) for _, data in found]
    answer: Answer = {
        "Versions": [
            configurations.describe(at, version, function_arn=f"{at.arn}:{version.version}", listed=True)
            for version in versions
        ]
    }
    if marker:
        answer["NextMarker"] = marker
    return answer
