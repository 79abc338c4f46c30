"""Functions: CreateFunction, GetFunction, GetFunctionConfiguration, UpdateFunctionCode, UpdateFunctionConfiguration,
DeleteFunction, ListFunctions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.cloud.roles import RoleSessions
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.lambda_ import (
    concurrency,
    configurations,
    deployments,
    errors,
    keys,
    locations,
    packages,
    provisioning,
    roles,
    snapshot_charges,
    storage,
)
from pileus.services.lambda_.archive import UNPACKED_BYTES_MAX
from pileus.services.lambda_.configurations import check_tags
from pileus.services.lambda_.lookup import (
    all_aliases,
    all_versions,
    find_function,
    find_version,
    get_function,
    get_latest,
    get_qualified,
)
from pileus.services.lambda_.names import LATEST, NAME_LENGTH_MAX, Target, is_alias, is_version, parse, parse_own
from pileus.services.lambda_.node import node
from pileus.services.lambda_.operations.code_signing import attach, check_signature
from pileus.services.lambda_.operations.layers import layers_of
from pileus.services.lambda_.operations.urls import drop_urls
from pileus.services.lambda_.operations.versions import publish
from pileus.services.lambda_.packages import Package
from pileus.services.lambda_.paging import page
from pileus.services.lambda_.provisioned import configs
from pileus.services.lambda_.records import Configuration, Function, Version, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

# Of a request that changes a configuration.
CONFIGURATION_BYTES_MAX = 5120


async def create_function(ctx: Context, request: Request) -> Answer:
    at = parse_own(ctx, request["FunctionName"])._replace(qualifier="")
    if len(at.name) > NAME_LENGTH_MAX:
        raise errors.invalid_parameter(
            f"1 validation error detected: Value '{at.name}' at 'functionName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {NAME_LENGTH_MAX}"
        )
    configurations.check_settings(request)
    check_tags(request.get("Tags") or {})
    if not request.get("Runtime") or not request.get("Handler"):
        raise errors.invalid_parameter(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    if await ctx.cloud.store.read(lambda tx: find_function(tx, at)) is not None:
        raise errors.function_exists(at.name)
    await _check_runtime(ctx, request["Runtime"])
    await _check_role(ctx, at, request["Role"])
    await _check_dead_letter(ctx, at, request["Role"], request)
    package = await packages.take_code(ctx, request["Code"])

    async def create(tx: Transaction) -> Answer:
        if await find_function(tx, at) is not None:
            raise errors.function_exists(at.name)
        await packages.adopt(ctx.cloud, tx, package)
        config = Configuration(
            code_sha256=package.sha256,
            code_size_bytes=package.size_bytes,
            unpacked_bytes=package.unpacked_bytes,
            hot_reload=package.hot_reload,
            layers=await layers_of(ctx, tx, request.get("Layers") or []),
            **configurations.settings(request),
            **configurations.logging_settings(request, None, at.name),
        )
        _check_size(config)
        configurations.check_snap_start(config)
        configurations.check_network(config)
        await packages.hold(tx, packages.layer_codes(config))
        function = Function(name=at.name, created=ctx.now, tags=request.get("Tags") or {})
        latest = Version(
            version=LATEST, configuration=config, revision=ctx.cloud.ids.uuid(), modified=ctx.now, state="Pending"
        )
        if request.get("CodeSigningConfigArn"):
            await attach(ctx, tx, at, request["CodeSigningConfigArn"])
            await check_signature(tx, at)
        await storage.change(tx, at.account, at.region, config.code_size_bytes)
        tx.put(keys.version(at, LATEST), encode(latest))
        deployments.schedule(ctx.cloud, tx, at, latest, ctx.now)
        answer = configurations.describe(at, latest)
        if request.get("Publish"):
            version = await publish(ctx, tx, at, function, latest)
            answer = configurations.describe(at, version, function_arn=at.arn)
        tx.put(keys.function(at), encode(function))
        tx.on_commit(lambda: node(ctx.cloud).resolver.forget(at))
        return answer

    return await _with(ctx, package, create)


async def _with(ctx: Context, package: Package, change: Callable[[Transaction], Awaitable[Answer]]) -> Answer:
    """Commit what names the package; where that is refused nothing of it is kept."""
    try:
        return await ctx.cloud.store.write(change)
    except AWSError:
        await packages.discard(ctx.cloud, package)
        raise


def _check_size(config: Configuration) -> None:
    total = config.unpacked_bytes + sum(layer.unpacked_bytes for layer in config.layers)
    if total > UNPACKED_BYTES_MAX:
        raise errors.invalid_parameter(
            f"Function code combined with layers exceeds the maximum allowed size of {UNPACKED_BYTES_MAX} bytes. "
            f"The actual size is {total} bytes."
        )


async def _check_runtime(ctx: Context, runtime: str) -> None:
    """A function that nothing here could run is refused when it comes, not when it is first needed."""
    if (reason := await node(ctx.cloud).pool.supports(runtime)) is not None:
        raise errors.invalid_parameter(f"Functions of the runtime {runtime} cannot run here: {reason}.")


async def _check_role(ctx: Context, at: Target, role: str) -> None:
    arn = parse_arn(role)
    if arn is None or arn.account != ctx.account:
        raise AWSError("AccessDeniedException", "Cross-account pass role is not allowed.", status=403)
    await roles.check(ctx.cloud, at, role)


async def _check_dead_letter(ctx: Context, at: Target, role: str, request: Request) -> None:
    target = (request.get("DeadLetterConfig") or {}).get("TargetArn")
    if target and not await roles.may_send(ctx.cloud, at, role, target):
        operation, service = roles.SENDING[target.split(":")[2]]
        raise errors.invalid_parameter(
            f"The provided execution role does not have permissions to call {operation} on {service}"
        )


async def get_function_configuration(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = parse(ctx, request["FunctionName"], request.get("Qualifier") or "")
    version = await get_qualified(tx, at)
    return configurations.describe(at, version, function_arn=at.asked_arn)


async def get_function_(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = parse(ctx, request["FunctionName"], request.get("Qualifier") or "")
    version = await get_qualified(tx, at)
    function = await get_function(tx, at)
    answer: Answer = {
        "Configuration": configurations.describe(at, version, function_arn=at.asked_arn),
        "Code": {
            "RepositoryType": "S3",
            "Location": locations.make(ctx, version.configuration.code_sha256),
        },
    }
    if function.tags:
        answer["Tags"] = function.tags
    if (reserved := await concurrency.reserved(tx, at)) is not None:
        answer["Concurrency"] = {"ReservedConcurrentExecutions": reserved}
    return answer


def check_changeable(at: Target, version: Version) -> None:
    """Raise where an earlier change of `$LATEST` is not through yet."""
    if version.state == "Pending":
        raise errors.resource_pending(at.arn)
    if version.update_status == "InProgress":
        raise errors.update_in_progress(at.arn)


def _check_revision(request: Request, version: Version) -> None:
    if request.get("RevisionId") not in (None, version.revision):
        raise errors.revision_mismatch()


def _change(ctx: Context, tx: Transaction, at: Target, latest: Version, config: Configuration) -> None:
    """Put `$LATEST` on its way to `config`; until it is there, invocations get what was."""
    latest.serving = latest.configuration
    latest.configuration = config
    latest.update_status = "InProgress"
    latest.revision = ctx.cloud.ids.uuid()
    latest.modified = ctx.now
    tx.put(keys.version(at, LATEST), encode(latest))
    deployments.schedule(ctx.cloud, tx, at, latest, ctx.now)
    tx.on_commit(lambda: node(ctx.cloud).resolver.forget(at))


async def update_function_code(ctx: Context, request: Request) -> Answer:
    at = parse(ctx, request["FunctionName"])._replace(qualifier="")
    if request.get("ImageUri"):
        raise errors.invalid_parameter("Please don't provide ImageUri when updating a function with packageType Zip.")
    if request.get("PublishTo"):
        raise NotBuilt("PublishTo of a Lambda function")

    async def check(tx: Reader) -> None:
        latest = await get_latest(tx, at)
        check_changeable(at, latest)
        _check_revision(request, latest)
        await check_signature(tx, at)

    await ctx.cloud.store.read(check)
    package = await packages.take_code(ctx, request)

    async def update(tx: Transaction) -> Answer:
        latest = await get_latest(tx, at)
        check_changeable(at, latest)
        _check_revision(request, latest)
        await check_signature(tx, at)
        config = configurations.replaced(
            latest.configuration,
            code_sha256=package.sha256,
            code_size_bytes=package.size_bytes,
            unpacked_bytes=package.unpacked_bytes,
            hot_reload=package.hot_reload,
            architecture=(request.get("Architectures") or [latest.configuration.architecture])[0],
        )
        _check_size(config)
        if request.get("DryRun"):
            ctx.cloud.blobs.release(tx, package.blob)
            return configurations.describe(at, msgspec.structs.replace(latest, configuration=config))
        more = config.code_size_bytes - latest.configuration.code_size_bytes
        await storage.change(tx, at.account, at.region, more)
        await packages.adopt(ctx.cloud, tx, package)
        await packages.hold(tx, packages.layer_codes(config))
        _change(ctx, tx, at, latest, config)
        if request.get("Publish"):
            function = await get_function(tx, at)
            version = await publish(ctx, tx, at, function, latest)
            tx.put(keys.function(at), encode(function))
            return configurations.describe(at, version)
        return configurations.describe(at, latest)

    return await _with(ctx, package, update)


async def update_function_configuration(ctx: Context, request: Request) -> Answer:
    at = parse_own(ctx, request["FunctionName"])._replace(qualifier="")
    if int(ctx.http.headers.get("content-length") or 0) > CONFIGURATION_BYTES_MAX:
        raise errors.too_large(
            f"Request must be smaller than {CONFIGURATION_BYTES_MAX} bytes for the UpdateFunctionConfiguration "
            "operation"
        )
    configurations.check_settings(request)

    async def check(tx: Reader) -> str:
        latest = await get_latest(tx, at)
        check_changeable(at, latest)
        _check_revision(request, latest)
        return latest.configuration.role

    role = await ctx.cloud.store.read(check)
    if request.get("Runtime"):
        await _check_runtime(ctx, request["Runtime"])
    if request.get("Role"):
        await _check_role(ctx, at, request["Role"])
    await _check_dead_letter(ctx, at, request.get("Role") or role, request)

    async def update(tx: Transaction) -> Answer:
        latest = await get_latest(tx, at)
        check_changeable(at, latest)
        _check_revision(request, latest)
        fields = configurations.settings(request)
        fields.update(configurations.logging_settings(request, latest.configuration, at.name))
        if request.get("Layers") is not None:
            fields["layers"] = await layers_of(ctx, tx, request["Layers"])
        config = configurations.replaced(latest.configuration, **fields)
        _check_size(config)
        configurations.check_snap_start(config)
        configurations.check_network(config)
        await packages.hold(tx, packages.codes_of(config))
        _change(ctx, tx, at, latest, config)
        return configurations.describe(at, latest)

    return await ctx.cloud.store.write(update)


async def delete_function(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = parse(ctx, request["FunctionName"], request.get("Qualifier") or "")
    if at.qualifier == LATEST:
        raise errors.invalid_parameter("$LATEST version cannot be deleted without deleting the function.")
    if at.qualifier and not is_version(at.qualifier) and is_alias(at.qualifier):
        raise errors.invalid_parameter("Deletion of aliases is not currently supported.")
    await get_function(tx, at)
    ctx.status = 204
    answer: Answer = {"StatusCode": 204}
    if at.qualifier:
        await _delete_version(ctx, tx, at)
        return answer
    for version in await all_versions(tx, at):
        await _drop_version(ctx, tx, at, version)
    for span in (
        keys.versions(at),
        keys.aliases(at),
        keys.policies(at),
        keys.async_configs(at),
        keys.runtime_managements(at),
    ):
        tx.delete_range(*span)
    if await configs(tx, at):
        tx.delete_range(*keys.provisioned_of(at))
        provisioning.change(ctx.cloud, tx, at)
    await drop_urls(tx, at)
    tx.delete(keys.signed(at))
    tx.delete(keys.reserved(at))
    tx.delete(keys.function(at))
    tx.on_commit(lambda: _gone(ctx, at, None))
    return answer


async def _delete_version(ctx: Context, tx: Transaction, at: Target) -> None:
    version = await find_version(tx, at, at.qualifier)
    if version is None:
        return
    pointing = [
        alias.name
        for alias in await all_aliases(tx, at)
        if alias.version == version.version or version.version in alias.weights
    ]
    if pointing:
        raise errors.conflict(
            f"Unable to delete version because the following aliases reference it: [{', '.join(pointing)}]"
        )
    await _drop_version(ctx, tx, at, version)
    tx.delete(keys.version(at, version.version))
    tx.delete(keys.policy(at))
    tx.delete(keys.async_config(at))
    tx.delete(keys.runtime_management(at))
    if await tx.get(keys.provisioned(at)) is not None:
        provisioning.drop(ctx.cloud, tx, at)
    tx.on_commit(lambda: _gone(ctx, at, version.version))


async def _drop_version(ctx: Context, tx: Transaction, at: Target, version: Version) -> None:
    await storage.change(tx, at.account, at.region, -version.configuration.code_size_bytes)
    if version.version != LATEST:
        await snapshot_charges.end(tx, at, version.version, ctx.now)
    for config in (version.configuration, version.serving):
        if config is not None:
            await packages.drop(ctx.cloud, tx, packages.codes_of(config))


def _gone(ctx: Context, at: Target, version: str | None) -> None:
    mine = node(ctx.cloud)
    mine.resolver.retire(at, version)
    if version is None:
        mine.logs.forget(at)
        ctx.cloud.part(RoleSessions).forget(at.arn)
        mine.metrics.forget(at)


async def list_functions(ctx: Context, tx: Reader, request: Request) -> Answer:
    if request.get("MasterRegion") not in (None, "ALL", ctx.region):
        return {"Functions": []}
    every = request.get("FunctionVersion") == "ALL"
    start, end = keys.all_versions(ctx.account, ctx.region)
    found, marker = await page(tx, request, start, end, accept=None if every else _is_latest)
    answer: Answer = {"Functions": []}
    for key, data in found:
        at = Target(ctx.account, ctx.region, keys.name_of_version(key), "")
        version = decode(Version, data)
        arn = f"{at.arn}:{version.version}" if every else at.arn
        answer["Functions"].append(configurations.describe(at, version, function_arn=arn, listed=True))
    if marker:
        answer["NextMarker"] = marker
    return answer


def _is_latest(key: bytes, _: bytes) -> bool:
    return keys.number_of_version(key) == 0


async def get_account_settings(ctx: Context, tx: Reader, request: Request) -> Answer:
    functions = 0
    start, end = keys.functions(ctx.account, ctx.region)
    while found := await tx.scan(start, end, limit=500):
        functions += len(found)
        start = after(found[-1][0])
    reserved = sum((await concurrency.reservations(tx, ctx.account, ctx.region)).values())
    return {
        "AccountLimit": {
            "TotalCodeSize": storage.BYTES_MAX,
            "CodeSizeUnzipped": UNPACKED_BYTES_MAX,
            "CodeSizeZipped": packages.ZIPPED_BYTES_MAX,
            "ConcurrentExecutions": concurrency.ACCOUNT_MAX,
            "UnreservedConcurrentExecutions": concurrency.ACCOUNT_MAX - reserved,
        },
        "AccountUsage": {
            "TotalCodeSize": await storage.used(tx, ctx.account, ctx.region),
            "FunctionCount": functions,
        },
    }
