"""Reserved concurrency: PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency."""

from __future__ import annotations

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.lambda_ import concurrency, errors, keys
from pileus.services.lambda_.lookup import find_function
from pileus.services.lambda_.names import Target, parse
from pileus.services.lambda_.node import node
from pileus.services.lambda_.provisioned import configs
from pileus.store.contract import Reader, Transaction


async def _at(ctx: Context, tx: Reader, request: Request) -> Target:
    at = parse(ctx, request["FunctionName"])
    if at.qualifier:
        raise errors.invalid_parameter(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )
    if await find_function(tx, at) is None:
        raise errors.function_not_found(at.qualified_arn)
    return at


async def put_function_concurrency(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = await _at(ctx, tx, request)
    wanted = request["ReservedConcurrentExecutions"]
    others = await concurrency.reservations(tx, at.account, at.region)
    others.pop(at.name, None)
    if concurrency.ACCOUNT_MAX - sum(others.values()) - wanted < concurrency.UNRESERVED_MIN and wanted:
        raise errors.untyped_invalid_parameter(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{concurrency.UNRESERVED_MIN}]."
        )
    # None at all stops the function, whatever is provisioned.
    if 0 < wanted < sum(config.wanted for config in (await configs(tx, at)).values()):
        raise errors.untyped_invalid_parameter(
            "Specified ReservedConcurrentExecutions for function should not be less than its Requested Provisioned "
            "Concurrency"
        )
    tx.put(keys.reserved(at), msgspec.msgpack.encode(wanted))
    tx.on_commit(lambda: node(ctx.cloud).resolver.forget(at))
    return {"ReservedConcurrentExecutions": wanted}


async def get_function_concurrency(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = await _at(ctx, tx, request)
    reserved = await concurrency.reserved(tx, at)
    return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}


async def delete_function_concurrency(ctx: Context, tx: Transaction, request: Request) -> None:
    at = await _at(ctx, tx, request)
    tx.delete(keys.reserved(at))
    tx.on_commit(lambda: node(ctx.cloud).resolver.forget(at))
