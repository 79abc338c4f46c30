"""Asynchronous invocation settings: PutFunctionEventInvokeConfig and its kin."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import errors, keys, roles
from pileus.services.lambda_.asynchronous import config_of
from pileus.services.lambda_.lookup import find_alias, find_function, find_version, get_qualified
from pileus.services.lambda_.names import LATEST, Target, is_version, parse
from pileus.services.lambda_.paging import page
from pileus.services.lambda_.records import AsyncConfig, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import unpack

DESTINATION_SERVICES = ("lambda", "sqs", "sns", "events", "s3")


def _at(ctx: Context, request: Request) -> Target:
    at = parse(ctx, request["FunctionName"], request.get("Qualifier") or "")
    return at._replace(qualifier=at.qualifier or LATEST)


def _describe(at: Target, config: AsyncConfig) -> Answer:
    answer: Answer = {
        "FunctionArn": at.qualified_arn,
        "LastModified": config.modified,
        "DestinationConfig": {
            "OnSuccess": {"Destination": config.on_success} if config.on_success else {},
            "OnFailure": {"Destination": config.on_failure} if config.on_failure else {},
        },
    }
    if config.retries is not None:
        answer["MaximumRetryAttempts"] = config.retries
    if config.age_max_s is not None:
        answer["MaximumEventAgeInSeconds"] = config.age_max_s
    return answer


async def _check_there(tx: Reader, at: Target) -> None:
    missing = await find_function(tx, at) is None
    if not missing and at.qualifier != LATEST:
        found = await (find_version if is_version(at.qualifier) else find_alias)(tx, at, at.qualifier)
        missing = found is None
    if missing:
        raise errors.not_found("The function doesn't exist.")


async def _destination(tx: Reader, at: Target, request: Request, member: str) -> str:
    """The ARN in `DestinationConfig`, checked as AWS does when it is set."""
    given = (request.get("DestinationConfig") or {}).get(member) or {}
    destination: str = given.get("Destination") or ""
    if not destination:
        return ""
    arn = parse_arn(destination)
    if arn is None or arn.service not in DESTINATION_SERVICES:
        shape = f"{member}(destination={destination})"
        texts = [f"{name}={shape if key == member else 'null'}" for name, key in _MEMBERS]
        raise errors.invalid_parameter(
            f"The provided destination config DestinationConfig({', '.join(texts)}) is invalid."
        )
    if arn.service == "lambda":
        name = arn.resource.removeprefix("function:").partition(":")[0]
        target = Target(arn.account, arn.region, name, "")
        if target == at._replace(qualifier=""):
            raise errors.invalid_parameter("You can't specify the function as a destination for itself.")
        if await find_function(tx, target) is None:
            raise errors.invalid_parameter(f"The destination ARN {destination} is invalid.")
    return destination


_MEMBERS = (("onSuccess", "OnSuccess"), ("onFailure", "OnFailure"))
_SETTINGS = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")


async def _check_role(ctx: Context, request: Request) -> None:
    """Raise where the function's role may not send to a destination that is otherwise good."""
    at = _at(ctx, request)

    async def read(tx: Reader) -> tuple[str, list[str]]:
        destinations = [await _destination(tx, at, request, member) for _, member in _MEMBERS]
        return (await get_qualified(tx, at)).configuration.role, [each for each in destinations if each]

    try:
        role, destinations = await ctx.cloud.store.read(read)
    except AWSError:
        # Told in its turn.
        return
    for destination in destinations:
        if not await roles.may_send(ctx.cloud, at, role, destination):
            operation, _ = roles.SENDING[destination.split(":")[2]]
            raise errors.invalid_parameter(
                f"The function's execution role does not have permissions to call {operation} on {destination}"
            )


async def put_function_event_invoke_config(ctx: Context, request: Request) -> Answer:
    if request.get("DestinationConfig"):
        await _check_role(ctx, request)
    return await ctx.cloud.store.write(lambda tx: _put(ctx, tx, request))


async def update_function_event_invoke_config(ctx: Context, request: Request) -> Answer:
    if request.get("DestinationConfig"):
        await _check_role(ctx, request)
    return await ctx.cloud.store.write(lambda tx: _update(ctx, tx, request))


async def _put(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = _at(ctx, request)
    if all(request.get(member) is None for member in _SETTINGS):
        raise errors.invalid_parameter("You must specify at least one of error handling or destination setting.")
    await _check_there(tx, at)
    config = AsyncConfig(
        modified=ctx.now,
        retries=request.get("MaximumRetryAttempts"),
        age_max_s=request.get("MaximumEventAgeInSeconds"),
        on_success=await _destination(tx, at, request, "OnSuccess"),
        on_failure=await _destination(tx, at, request, "OnFailure"),
    )
    tx.put(keys.async_config(at), encode(config))
    return _describe(at, config)


def _missing(at: Target) -> Exception:
    return errors.not_found(f"The function {at.qualified_arn} doesn't have an EventInvokeConfig")


async def _update(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = _at(ctx, request)
    if all(request.get(member) is None for member in _SETTINGS):
        raise errors.invalid_parameter("You must specify at least one of error handling or destination setting.")
    await _check_there(tx, at)
    config = await config_of(tx, at)
    if config is None:
        raise _missing(at)
    if request.get("MaximumRetryAttempts") is not None:
        config.retries = request["MaximumRetryAttempts"]
    if request.get("MaximumEventAgeInSeconds") is not None:
        config.age_max_s = request["MaximumEventAgeInSeconds"]
    given = request.get("DestinationConfig") or {}
    if "OnSuccess" in given:
        config.on_success = await _destination(tx, at, request, "OnSuccess")
    if "OnFailure" in given:
        config.on_failure = await _destination(tx, at, request, "OnFailure")
    config.modified = ctx.now
    tx.put(keys.async_config(at), encode(config))
    return _describe(at, config)


async def get_function_event_invoke_config(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = _at(ctx, request)
    config = await config_of(tx, at)
    if config is None:
        raise _missing(at)
    return _describe(at, config)


async def delete_function_event_invoke_config(ctx: Context, tx: Transaction, request: Request) -> None:
    at = _at(ctx, request)
    if await config_of(tx, at) is None:
        raise _missing(at)
    tx.delete(keys.async_config(at))


async def list_function_event_invoke_configs(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = _at(ctx, request)
    if await find_function(tx, at) is None:
        raise errors.not_found("The function doesn't exist.")
    found, marker = await page(tx, request, *keys.async_configs(at))
    answer: Answer = {
        "FunctionEventInvokeConfigs": [
            _describe(at._replace(qualifier=str(unpack(key)[-1])), decode(AsyncConfig, data)) for key, data in found
        ]
    }
    if marker:
        answer["NextMarker"] = marker
    return answer
