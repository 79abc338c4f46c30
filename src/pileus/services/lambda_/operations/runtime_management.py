"""When a function's runtime is updated: PutRuntimeManagementConfig, GetRuntimeManagementConfig.

A node has one build of each runtime, so that a function set to `Manual` stays on the build that it names anyway.
"""

from __future__ import annotations

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.lambda_ import errors, keys, runtimes
from pileus.services.lambda_.lookup import find_version, get_function
from pileus.services.lambda_.names import LATEST, Target, parse_own
from pileus.services.lambda_.records import Version
from pileus.store.contract import Reader, Transaction

AUTO, MANUAL = "Auto", "Manual"


async def _find(ctx: Context, tx: Reader, request: Request) -> tuple[Target, Version]:
    at = parse_own(ctx, request["FunctionName"], request.get("Qualifier") or "")
    await get_function(tx, at)
    version = await find_version(tx, at, at.qualifier or LATEST)
    if version is None:
        raise errors.function_not_found(at.asked_arn)
    return at, version


async def put_runtime_management_config(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at, version = await _find(ctx, tx, request)
    mode, arn = request["UpdateRuntimeOn"], request.get("RuntimeVersionArn")
    if mode == MANUAL and not arn:
        raise errors.invalid_parameter("RuntimeVersionArn is required when UpdateRuntimeOn is set to Manual.")
    if mode != MANUAL and arn:
        raise errors.invalid_parameter(f"RuntimeVersionArn cannot be used when UpdateRuntimeOn is set to {mode}.")
    if arn and arn != runtimes.version_arn(version.configuration.runtime, at.region):
        raise errors.invalid_parameter(f"Runtime version {arn} was not found or is not supported.")
    tx.put(keys.runtime_management(at), msgspec.msgpack.encode(mode))
    return _describe(at, version, mode)


async def get_runtime_management_config(ctx: Context, tx: Reader, request: Request) -> Answer:
    at, version = await _find(ctx, tx, request)
    data = await tx.get(keys.runtime_management(at))
    return _describe(at, version, msgspec.msgpack.decode(data, type=str) if data is not None else AUTO)


def _describe(at: Target, version: Version, mode: str) -> Answer:
    answer: Answer = {"UpdateRuntimeOn": mode, "FunctionArn": at.asked_arn}
    if mode == MANUAL:
        answer["RuntimeVersionArn"] = runtimes.version_arn(version.configuration.runtime, at.region)
    return answer
