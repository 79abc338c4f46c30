"""Code signing configurations, and the functions they are attached to.

A configuration that only warns lets every package in, as at AWS; one that enforces would have to verify signatures.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.lambda_ import configurations, keys
from pileus.services.lambda_.lookup import get_function
from pileus.services.lambda_.names import Target, parse_own
from pileus.services.lambda_.paging import page
from pileus.services.lambda_.records import CodeSigning, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after, unpack

WARN, ENFORCE = "Warn", "Enforce"
_SCAN_LIMIT = 200


def _arn(ctx: Context, config_id: str) -> str:
    return f"arn:aws:lambda:{ctx.region}:{ctx.account}:code-signing-config:{config_id}"


def _key(ctx: Context, arn: str) -> bytes:
    """Where a configuration of this account and region is; a stranger's ARN leads nowhere."""
    config_id = arn.rpartition(":")[2]
    return keys.code_signing(ctx.account, ctx.region, config_id if arn == _arn(ctx, config_id) else "")


async def get_config(ctx: Context, tx: Reader, arn: str) -> CodeSigning:
    """The configuration of that ARN; raises ResourceNotFoundException, also for another account's or region's."""
    data = await tx.get(_key(ctx, arn))
    if data is None:
        raise AWSError(
            "ResourceNotFoundException",
            f"The Lambda code signing configuration {arn} can not be found.",
            status=404,
            Type=None,
        )
    return decode(CodeSigning, data)


def put_config(ctx: Context, tx: Transaction, config: CodeSigning) -> None:
    tx.put(keys.code_signing(ctx.account, ctx.region, config.id), encode(config))


def _describe(ctx: Context, config: CodeSigning) -> dict[str, Any]:
    return {
        "CodeSigningConfigId": config.id,
        "CodeSigningConfigArn": _arn(ctx, config.id),
        "Description": config.description,
        "AllowedPublishers": {"SigningProfileVersionArns": config.publishers},
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": config.policy},
        "LastModified": configurations.timestamp(config.modified),
    }


async def create_code_signing_config(ctx: Context, tx: Transaction, request: Request) -> Answer:
    policies = request.get("CodeSigningPolicies") or {}
    config = CodeSigning(
        id=f"csc-{ctx.cloud.ids.hex(17)}",
        description=request.get("Description") or "",
        publishers=request["AllowedPublishers"]["SigningProfileVersionArns"],
        policy=policies.get("UntrustedArtifactOnDeployment") or WARN,
        modified=ctx.now,
        tags=request.get("Tags") or {},
    )
    configurations.check_tags(config.tags)
    put_config(ctx, tx, config)
    return {"CodeSigningConfig": _describe(ctx, config)}


async def get_code_signing_config(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"CodeSigningConfig": _describe(ctx, await get_config(ctx, tx, request["CodeSigningConfigArn"]))}


async def update_code_signing_config(ctx: Context, tx: Transaction, request: Request) -> Answer:
    config = await get_config(ctx, tx, request["CodeSigningConfigArn"])
    if request.get("Description") is not None:
        config.description = request["Description"]
    if request.get("AllowedPublishers") is not None:
        config.publishers = request["AllowedPublishers"]["SigningProfileVersionArns"]
    if policy := (request.get("CodeSigningPolicies") or {}).get("UntrustedArtifactOnDeployment"):
        config.policy = policy
    config.modified = ctx.now
    put_config(ctx, tx, config)
    return {"CodeSigningConfig": _describe(ctx, config)}


async def delete_code_signing_config(ctx: Context, tx: Transaction, request: Request) -> Answer:
    config = await get_config(ctx, tx, request["CodeSigningConfigArn"])
    arn = _arn(ctx, config.id)
    start, end = keys.all_signed(ctx.account, ctx.region)
    while found := await tx.scan(start, end, limit=_SCAN_LIMIT):
        if any(msgspec.msgpack.decode(data, type=str) == arn for _, data in found):
            raise AWSError(
                "ResourceConflictException",
                f"The Lambda code signing configuration {arn} cannot be deleted because it is used by functions.",
                status=409,
            )
        start = after(found[-1][0])
    tx.delete(keys.code_signing(ctx.account, ctx.region, config.id))
    return {}


async def list_code_signing_configs(ctx: Context, tx: Reader, request: Request) -> Answer:
    found, marker = await page(tx, request, *keys.all_code_signing(ctx.account, ctx.region))
    answer: Answer = {"CodeSigningConfigs": [_describe(ctx, decode(CodeSigning, data)) for _, data in found]}
    if marker:
        answer["NextMarker"] = marker
    return answer


async def list_functions_by_code_signing_config(ctx: Context, tx: Reader, request: Request) -> Answer:
    arn = _arn(ctx, (await get_config(ctx, tx, request["CodeSigningConfigArn"])).id)
    found, marker = await page(
        tx,
        request,
        *keys.all_signed(ctx.account, ctx.region),
        accept=lambda _, data: msgspec.msgpack.decode(data, type=str) == arn,
    )
    functions = [Target(ctx.account, ctx.region, str(unpack(key)[-1]), "") for key, _ in found]
    answer: Answer = {"FunctionArns": [function.arn for function in functions]}
    if marker:
        answer["NextMarker"] = marker
    return answer


def _at(ctx: Context, request: Request) -> Target:
    return parse_own(ctx, request["FunctionName"])._replace(qualifier="")


async def put_function_code_signing_config(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at, arn = _at(ctx, request), request["CodeSigningConfigArn"]
    await attach(ctx, tx, at, arn)
    await get_function(tx, at)
    return {"CodeSigningConfigArn": arn, "FunctionName": at.name}


async def attach(ctx: Context, tx: Transaction, at: Target, arn: str) -> None:
    """From now on the function's packages are subject to that configuration; raises where there is none."""
    if await tx.get(_key(ctx, arn)) is None:
        raise AWSError(
            "CodeSigningConfigNotFoundException",
            "The code signing configuration cannot be found. Check that the provided configuration is not deleted: "
            f"{arn}.",
            status=404,
            Type="User",
        )
    tx.put(keys.signed(at), msgspec.msgpack.encode(arn))


async def get_function_code_signing_config(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = _at(ctx, request)
    await get_function(tx, at)
    data = await tx.get(keys.signed(at))
    if data is None:
        return {}
    return {"CodeSigningConfigArn": msgspec.msgpack.decode(data, type=str), "FunctionName": at.name}


async def delete_function_code_signing_config(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = _at(ctx, request)
    await get_function(tx, at)
    tx.delete(keys.signed(at))
    return {}


async def check_signature(tx: Reader, at: Target) -> None:
    """Before new code is taken: raises where a signature would have to be verified."""
    data = await tx.get(keys.signed(at))
    if data is None:
        return
    config_id = msgspec.msgpack.decode(data, type=str).rpartition(":")[2]
    stored = await tx.get(keys.code_signing(at.account, at.region, config_id))
    if stored is not None and decode(CodeSigning, stored).policy == ENFORCE:
        raise NotBuilt("Verifying code signatures, which the function's code signing configuration enforces,")
