"""Provisioned concurrency: PutProvisionedConcurrencyConfig, GetProvisionedConcurrencyConfig,
DeleteProvisionedConcurrencyConfig, ListProvisionedConcurrencyConfigs."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import concurrency, configurations, errors, keys, provisioning
from pileus.services.lambda_.lookup import all_aliases, find_version, get_alias, get_function
from pileus.services.lambda_.names import LATEST, Target, is_version, parse
from pileus.services.lambda_.paging import page
from pileus.services.lambda_.provisioned import by_function, check_not_snapshotted, configs, shares
from pileus.services.lambda_.records import Provisioned, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import unpack


async def _at(ctx: Context, tx: Reader, request: Request) -> Target:
    """The version or alias that the request names, which must be there."""
    at = parse(ctx, request["FunctionName"], request["Qualifier"])
    if at.qualifier == LATEST:
        raise errors.invalid_parameter("The function resource provided must be an alias or a published version.")
    await get_function(tx, at)
    if not is_version(at.qualifier):
        await get_alias(tx, at, at.qualifier)
    elif await find_version(tx, at, at.qualifier) is None:
        raise errors.function_not_found(at.asked_arn)
    return at


async def _check_conflict(tx: Reader, at: Target) -> None:
    """A version has one configuration at most: its own, or one of an alias that points to it."""
    others = set(await configs(tx, at)) - {at.qualifier}
    aliases = {alias.name: {alias.version, *alias.weights} for alias in await all_aliases(tx, at)}
    if is_version(at.qualifier):
        if any(at.qualifier in aliases.get(other, ()) for other in others):
            raise errors.conflict("Version is pointed by a Provisioned Concurrency alias")
        return
    taken = set().union(*(aliases.get(other, {other}) for other in others))
    if aliases[at.qualifier] & taken:
        raise errors.conflict(
            "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
        )


async def _check_limits(tx: Reader, at: Target, wanted: int) -> None:
    reserved = await concurrency.reservations(tx, at.account, at.region)
    own = sum(config.wanted for name, config in (await configs(tx, at)).items() if name != at.qualifier)
    if at.name in reserved:
        if own + wanted > reserved[at.name]:
            raise errors.untyped_invalid_parameter(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for "
                "function"
            )
        return
    others = await by_function(tx, at.account, at.region)
    taken = sum(reserved.values()) + own
    taken += sum(count for name, count in others.items() if name not in reserved and name != at.name)
    left = concurrency.ACCOUNT_MAX - taken
    if wanted > left:
        raise errors.untyped_invalid_parameter(
            f"Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{left}]."
        )
    if left - wanted < concurrency.UNRESERVED_MIN:
        raise errors.untyped_invalid_parameter(
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
            f"minimum value of [{concurrency.UNRESERVED_MIN}]."
        )


def _describe(config: Provisioned) -> Answer:
    answer: Answer = {
        "RequestedProvisionedConcurrentExecutions": config.wanted,
        "AvailableProvisionedConcurrentExecutions": config.allocated,
        "AllocatedProvisionedConcurrentExecutions": config.allocated,
        "Status": config.status,
        "LastModified": configurations.timestamp(config.modified),
    }
    if config.reason:
        answer["StatusReason"] = config.reason
    return answer


async def put_provisioned_concurrency_config(ctx: Context, tx: Transaction, request: Request) -> Answer:
    if parse(ctx, request["FunctionName"], request["Qualifier"]).qualifier == LATEST:
        raise errors.invalid_parameter(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        )
    at = await _at(ctx, tx, request)
    wanted = request["ProvisionedConcurrentExecutions"]
    await check_not_snapshotted(tx, at, await shares(tx, at, at.qualifier, wanted))
    await _check_conflict(tx, at)
    await _check_limits(tx, at, wanted)
    config = Provisioned(wanted=wanted, modified=ctx.now, revision=ctx.cloud.ids.uuid())
    tx.put(keys.provisioned(at), encode(config))
    provisioning.change(ctx.cloud, tx, at)
    return _describe(config)


async def get_provisioned_concurrency_config(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = await _at(ctx, tx, request)
    data = await tx.get(keys.provisioned(at))
    if data is None:
        raise AWSError(
            "ProvisionedConcurrencyConfigNotFoundException",
            "No Provisioned Concurrency Config found for this function",
            Type="User",
        )
    return _describe(decode(Provisioned, data))


async def delete_provisioned_concurrency_config(ctx: Context, tx: Transaction, request: Request) -> None:
    at = await _at(ctx, tx, request)
    provisioning.drop(ctx.cloud, tx, at)


async def list_provisioned_concurrency_configs(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = parse(ctx, request["FunctionName"])._replace(qualifier="")
    await get_function(tx, at)
    found, marker = await page(tx, request, *keys.provisioned_of(at))
    answer: Answer = {"ProvisionedConcurrencyConfigs": []}
    for key, data in found:
        arn = f"{at.arn}:{unpack(key)[-1]!s}"
        answer["ProvisionedConcurrencyConfigs"].append({"FunctionArn": arn, **_describe(decode(Provisioned, data))})
    if marker:
        answer["NextMarker"] = marker
    return answer
