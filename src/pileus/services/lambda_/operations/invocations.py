"""Invoke, InvokeWithResponseStream and InvokeAsync."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator

from msgspec.structs import replace

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.lambda_ import asynchronous, debugging, errors, payloads
from pileus.services.lambda_.execution import Invocation, InvokeResult
from pileus.services.lambda_.invoking import new_trace, run
from pileus.services.lambda_.names import Target, parse
from pileus.services.lambda_.node import node
from pileus.services.lambda_.resolver import Resolved

# "Up to 3,583 bytes of base64-encoded data about the invoking client".
CLIENT_CONTEXT_BYTES_MAX = 3583


async def invoke(ctx: Context, request: Request) -> Answer:
    kind = request.get("InvocationType") or "RequestResponse"
    limit = payloads.ASYNC_BYTES_MAX if kind == "Event" else payloads.SYNC_BYTES_MAX
    resolved, invocation = await _prepare(ctx, request, limit, "InvokeFunction")
    if kind == "DryRun":
        ctx.status = 204
        return {"StatusCode": 204}
    if kind == "Event":
        await _enqueue(ctx, resolved.at, invocation)
        return {"StatusCode": 202, "Payload": b""}

    spec = resolved.choose(ctx.cloud.ids.uniform)
    if port := debugging.asked_port(ctx):
        spec = debugging.debugged(spec, port, ctx.request_id)
    try:
        result = await run(node(ctx.cloud), resolved, spec, invocation)
    finally:
        if port:
            await node(ctx.cloud).pool.retire(spec.fingerprint)
    answer: Answer = {"StatusCode": 200, "ExecutedVersion": spec.version, "Payload": result.payload}
    if result.function_error:
        answer["FunctionError"] = result.function_error
    if request.get("LogType") == "Tail":
        answer["LogResult"] = base64.b64encode(result.log_tail).decode()
    return answer


async def invoke_with_response_stream(ctx: Context, request: Request) -> Answer:
    resolved, invocation = await _prepare(ctx, request, payloads.SYNC_BYTES_MAX, "InvokeWithResponseStream")
    if request.get("InvocationType") == "DryRun":
        ctx.status = 204
        return {"StatusCode": 204}
    spec = resolved.choose(ctx.cloud.ids.uniform)
    result = await run(node(ctx.cloud), resolved, spec, replace(invocation, streaming=True))
    content_type = result.stream.content_type if result.stream is not None else "application/octet-stream"
    return {
        "StatusCode": 200,
        "ExecutedVersion": spec.version,
        "ResponseStreamContentType": content_type,
        "EventStream": _events(result, tail=request.get("LogType") == "Tail"),
    }


async def _events(result: InvokeResult, *, tail: bool) -> AsyncIterator[Answer]:
    """The answer in chunks as they come, and how it ended; a function that does not stream answers in one."""
    complete: Answer = {}
    if result.stream is not None:
        async for chunk in result.stream:
            yield {"PayloadChunk": {"Payload": chunk}}
        if result.stream.error is not None:
            complete["ErrorCode"], complete["ErrorDetails"] = result.stream.error
    elif result.function_error:
        complete["ErrorCode"], complete["ErrorDetails"] = result.function_error, result.payload.decode(errors="replace")
    else:
        yield {"PayloadChunk": {"Payload": result.payload}}
    if tail:
        found = result.stream.log_tail if result.stream is not None else result.log_tail
        complete["LogResult"] = base64.b64encode(found).decode()
    yield {"InvokeComplete": complete}


async def _prepare(ctx: Context, request: Request, limit: int, operation: str) -> tuple[Resolved, Invocation]:
    """What is invoked, and with what; raises what AWS refuses."""
    at = parse(ctx, request["FunctionName"], request.get("Qualifier") or "")
    for member in ("DurableExecutionName", "TenantId"):
        if request.get(member):
            raise NotBuilt(f"{member} of {ctx.operation}")
    payload = request.get("Payload") or b"{}"
    if len(payload) > limit:
        raise errors.payload_too_large(limit, operation)
    resolved = await node(ctx.cloud).resolver.resolve(at)
    payloads.check_json(payload)
    return resolved, Invocation(
        request_id=ctx.request_id,
        payload=payload,
        invoked_arn=at.asked_arn,
        client_context=_client_context(request.get("ClientContext") or ""),
        trace_header=_trace(ctx),
        wants_log=request.get("LogType") == "Tail",
    )


async def invoke_async(ctx: Context, request: Request) -> Answer:
    given = {"FunctionName": request["FunctionName"], "Payload": await request["InvokeArgs"].read()}
    resolved, invocation = await _prepare(ctx, given, payloads.ASYNC_BYTES_MAX, "InvokeAsync")
    await _enqueue(ctx, resolved.at, invocation)
    return {"Status": 202}


async def _enqueue(ctx: Context, at: Target, invocation: Invocation) -> None:
    event = asynchronous.Event(
        account=at.account,
        region=at.region,
        name=at.name,
        qualifier=at.qualifier,
        request_id=invocation.request_id,
        payload=invocation.payload.decode(),
        client_context=invocation.client_context,
        trace_header=invocation.trace_header,
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
