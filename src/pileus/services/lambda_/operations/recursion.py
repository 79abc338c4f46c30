"""Recursive loops: PutFunctionRecursionConfig, GetFunctionRecursionConfig."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.lambda_ import keys
from pileus.services.lambda_.lookup import get_function
from pileus.services.lambda_.names import Target, parse_own
from pileus.services.lambda_.node import node
from pileus.services.lambda_.records import encode
from pileus.store.contract import Reader, Transaction


def _at(ctx: Context, request: Request) -> Target:
    return parse_own(ctx, request["FunctionName"])._replace(qualifier="")


async def put_function_recursion_config(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = _at(ctx, request)
    function = await get_function(tx, at)
    function.recursive_loop = request["RecursiveLoop"]
    tx.put(keys.function(at), encode(function))
    tx.on_commit(lambda: node(ctx.cloud).resolver.forget(at))
    return {"RecursiveLoop": function.recursive_loop}


async def get_function_recursion_config(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"RecursiveLoop": (await get_function(tx, _at(ctx, request))).recursive_loop}
