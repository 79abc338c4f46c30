"""Invoke and InvokeAsync."""

from __future__ import annotations

import base64
import binascii

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.lambda_ import asynchronous, errors, payloads
from pileus.services.lambda_.execution import Invocation
from pileus.services.lambda_.invoking import new_trace, run
from pileus.services.lambda_.names import Target, parse
from pileus.services.lambda_.node import node

# "Up to 3,583 bytes of base64-encoded data about the invoking client".
CLIENT_CONTEXT_BYTES_MAX = 3583


async def invoke(ctx: Context, request: Request) -> Answer:
    at = parse(ctx, request["FunctionName"], request.get("Qualifier") or "")
    kind = request.get("InvocationType") or "RequestResponse"
    for member in ("DurableExecutionName", "TenantId"):
        if request.get(member):
            raise NotBuilt(f"{member} of Invoke")
    payload = request.get("Payload") or b""
    limit = payloads.ASYNC_BYTES_MAX if kind == "Event" else payloads.SYNC_BYTES_MAX
    if len(payload) > limit:
        raise errors.payload_too_large(limit, "InvokeFunction")
    mine = node(ctx.cloud)
    resolved = await mine.resolver.resolve(at)
    payloads.check_json(payload or b"{}")
    client_context = _client_context(request.get("ClientContext") or "")
    if kind == "DryRun":
        ctx.status = 204
        return {"StatusCode": 204}
    if kind == "Event":
        await _enqueue(ctx, at, payload or b"{}", client_context)
        return {"StatusCode": 202, "Payload": b""}

    spec = resolved.choose(ctx.cloud.ids.uniform)
    invocation = Invocation(
        request_id=ctx.request_id,
        payload=payload or b"{}",
        invoked_arn=at.asked_arn,
        client_context=client_context,
        trace_header=_trace(ctx),
    )
    result = await run(mine, resolved, spec, invocation)
    answer: Answer = {"StatusCode": 200, "ExecutedVersion": spec.version, "Payload": result.payload}
    if result.function_error:
        answer["FunctionError"] = result.function_error
    if request.get("LogType") == "Tail":
        answer["LogResult"] = base64.b64encode(result.log_tail).decode()
    return answer


async def invoke_async(ctx: Context, request: Request) -> Answer:
    at = parse(ctx, request["FunctionName"])
    payload = await request["InvokeArgs"].read()
    if len(payload) > payloads.ASYNC_BYTES_MAX:
        raise errors.payload_too_large(payloads.ASYNC_BYTES_MAX, "InvokeAsync")
    await node(ctx.cloud).resolver.resolve(at)
    payloads.check_json(payload or b"{}")
    await _enqueue(ctx, at, payload or b"{}", "")
    return {"Status": 202}


async def _enqueue(ctx: Context, at: Target, payload: bytes, client_context: str) -> None:
    event = asynchronous.Event(
        account=at.account,
        region=at.region,
        name=at.name,
        qualifier=at.qualifier,
        request_id=ctx.request_id,
        payload=payload.decode(),
        client_context=client_context,
        trace_header=_trace(ctx),
    )
    await ctx.cloud.store.write(lambda tx: asynchronous.put(ctx.cloud, tx, event, ctx.now))
    ctx.status = 202


def _trace(ctx: Context) -> str:
    return ctx.http.headers.get("x-amzn-trace-id") or new_trace(ctx.cloud, ctx.now)


def _client_context(encoded: str) -> str:
    if not encoded:
        return ""
    try:
        text = base64.b64decode(encoded, validate=True)
        payloads.check_json(text)
    except (binascii.Error, ValueError, AWSError):
        text = b""
    if not text.lstrip().startswith(b"{") or len(encoded) > CLIENT_CONTEXT_BYTES_MAX:
        raise AWSError(
            "InvalidRequestContentException",
            "Client context must be a valid Base64-encoded JSON object.",
            Type="User",
        )
    return text.decode()
