"""Object Lambda access points: making and finding them, GetObject through one, and what its function answers.

Sources: the pages of these actions under "Amazon S3 Control" in the API Reference; WriteGetObjectResponse there;
"Writing Lambda functions for S3 Object Lambda Access Points" in the User Guide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import orjson

from pileus.access.sessions import Sessions, issue_session
from pileus.access.sigv4 import presigned_query
from pileus.cloud.context import Context
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.sandbox.contract import LOCAL_ROUTE
from pileus.services.s3 import accesspoints, conditions, errors, keys, object_lambda, policies
from pileus.services.s3.control_pages import page
from pileus.services.s3.object_lambda import Calls, ObjectLambdaPoint, Response
from pileus.services.s3.operations.accesspoints import check_account
from pileus.services.s3.records import PUBLIC_ACCESS, encode
from pileus.store.contract import Reader, Transaction

_ALIAS_NAME = 20
# How long the address is good under which the function finds the object.
_URL_S = 61
_NOT_OF_ANSWERS = ("RequestRoute", "RequestToken", "StatusCode", "ErrorCode", "ErrorMessage", "Body", "ContentLength")
# What Invoke answers, in the words of Object Lambda: code, status.
_INVOKE_ERRORS = {
    "ResourceNotFoundException": ("LambdaNotFound", 404),
    "AccessDeniedException": ("LambdaPermissionError", 403),
    "AccessDenied": ("LambdaPermissionError", 403),
    "TooManyRequestsException": ("SlowDown", 503),
}


async def _find(ctx: Context, tx: Reader, request: Mapping[str, Any]) -> ObjectLambdaPoint:
    account = check_account(ctx, dict(request))
    data = await tx.get(keys.object_lambda_point(account, ctx.region, request["Name"]))
    if data is None:
        raise errors.no_such_access_point(request["Name"])
    return object_lambda.decode(data)


def _save(tx: Transaction, point: ObjectLambdaPoint) -> None:
    tx.put(keys.object_lambda_point(point.account, point.region, point.name), encode(point))


async def _check(ctx: Context, tx: Reader, account: str, configuration: dict[str, Any]) -> None:
    object_lambda.check(configuration)
    supporting = parse_arn(configuration["SupportingAccessPoint"])
    assert supporting is not None, "what has been checked is an ARN"
    if (supporting.account, supporting.region) != (account, ctx.region):
        raise errors.invalid_request("The supporting access point must be in the same account and Region.")
    await accesspoints.named(ctx, tx, configuration["SupportingAccessPoint"])


async def create_access_point_for_object_lambda(
    ctx: Context, tx: Transaction, request: dict[str, Any]
) -> dict[str, Any]:
    account, name = check_account(ctx, request), request["Name"]
    if not accesspoints.NAME.fullmatch(name) or len(name) > 45:
        raise errors.invalid_request("The specified access point name is not valid.")
    await _check(ctx, tx, account, request["Configuration"])
    at = keys.object_lambda_point(account, ctx.region, name)
    if await tx.get(at) is not None:
        raise accesspoints.already_owned()
    point = ObjectLambdaPoint(
        name=name,
        account=account,
        region=ctx.region,
        created=ctx.now,
        alias=f"{name[:_ALIAS_NAME].rstrip('-')}-{ctx.cloud.ids.hex(32)}{object_lambda.ALIAS_END}",
        configuration=request["Configuration"],
    )
    _save(tx, point)
    tx.put(keys.alias(point.alias), at)
    return {"ObjectLambdaAccessPointArn": point.arn, "Alias": _shown_alias(point)}


def _shown_alias(point: ObjectLambdaPoint) -> dict[str, str]:
    return {"Value": point.alias, "Status": "READY"}


async def get_access_point_for_object_lambda(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    point = await _find(ctx, tx, request)
    return {
        "Name": point.name,
        "PublicAccessBlockConfiguration": dict.fromkeys(PUBLIC_ACCESS, True),
        "CreationDate": float(int(point.created)),
        "Alias": _shown_alias(point),
    }


async def list_access_points_for_object_lambda(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bounds = keys.object_lambda_points_range(check_account(ctx, request), ctx.region)
    found, token = await page(tx, bounds, request, object_lambda.decode)
    shown = [{"Name": one.name, "ObjectLambdaAccessPointArn": one.arn, "Alias": _shown_alias(one)} for one in found]
    return {"ObjectLambdaAccessPointList": shown, **token}


async def delete_access_point_for_object_lambda(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    point = await _find(ctx, tx, request)
    tx.delete(keys.object_lambda_point(point.account, point.region, point.name))
    tx.delete(keys.alias(point.alias))
    ctx.status = 204


async def get_access_point_configuration_for_object_lambda(
    ctx: Context, tx: Reader, request: dict[str, Any]
) -> dict[str, Any]:
    return {"Configuration": (await _find(ctx, tx, request)).configuration}


async def put_access_point_configuration_for_object_lambda(
    ctx: Context, tx: Transaction, request: dict[str, Any]
) -> None:
    point = await _find(ctx, tx, request)
    await _check(ctx, tx, point.account, request["Configuration"])
    _save(tx, msgspec.structs.replace(point, configuration=request["Configuration"]))


async def put_access_point_policy_for_object_lambda(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    point = await _find(ctx, tx, request)
    # All public access is blocked, always.
    if policies.is_public(policies.check(request["Policy"], point.arn)):
        raise errors.access_denied()
    _save(tx, msgspec.structs.replace(point, policy=request["Policy"]))


async def _policy(ctx: Context, tx: Reader, request: dict[str, Any]) -> str:
    point = await _find(ctx, tx, request)
    if not point.policy:
        raise accesspoints.no_policy(point.name)
    return point.policy


async def get_access_point_policy_for_object_lambda(
    ctx: Context, tx: Reader, request: dict[str, Any]
) -> dict[str, Any]:
    return {"Policy": await _policy(ctx, tx, request)}


async def get_access_point_policy_status_for_object_lambda(
    ctx: Context, tx: Reader, request: dict[str, Any]
) -> dict[str, Any]:
    document = orjson.loads(await _policy(ctx, tx, request))
    return {"PolicyStatus": {"IsPublic": policies.is_public(document)}}


async def delete_access_point_policy_for_object_lambda(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    _save(tx, msgspec.structs.replace(await _find(ctx, tx, request), policy=""))
    ctx.status = 204


# ------------------------------------------------------------------------------------------------- GetObject through it


async def get_object(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    """GetObject, as the access point's function answers it."""
    point, function = await _function(ctx, request)
    calls, token = ctx.cloud.part(Calls), ctx.cloud.ids.hex(64)
    url = await _input_url(ctx, point, request)
    response = calls.begin(token, point.arn)
    where = {"inputS3Url": url, "outputRoute": LOCAL_ROUTE, "outputToken": token}
    told = object_lambda.event(ctx, point, function, {"getObjectContext": where})
    invocation = _begin(ctx, function, told)
    try:
        if not await object_lambda.first(ctx.cloud, response, invocation):
            raise _late()
        if response.done():
            return _answer(ctx, response.result())
        # Raises what is wrong with the function.
        invocation.result()
        raise AWSError(
            "LambdaResponseNotReceived",
            "The Lambda function exited without successfully calling WriteGetObjectResponse.",
            status=500,
            fault="server",
        )
    finally:
        calls.end(token)


async def head_object(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    """HeadObject, as the access point's function answers it: by what it returns."""
    point, function = await _function(ctx, request)
    url = await _input_url(ctx, point, request)
    told = object_lambda.event(ctx, point, function, {"headObjectContext": {"inputS3Url": url}})
    invocation = _begin(ctx, function, told)
    if not await object_lambda.first(ctx.cloud, invocation):
        raise _late()
    ctx.status, headers = object_lambda.head(invocation.result())
    ctx.response_headers.update(headers)
    return {}


async def _function(ctx: Context, request: Mapping[str, Any]) -> tuple[ObjectLambdaPoint, dict[str, Any]]:
    point = await ctx.cloud.store.read(lambda tx: object_lambda.named(ctx, tx, request[object_lambda.POINT]))
    function = point.function(ctx.operation)
    if function is None:
        # The configuration has changed since the request came.
        raise errors.no_such_access_point(point.name)
    object_lambda.check_features(point, ctx.operation, request)
    return point, function


def _begin(ctx: Context, function: Mapping[str, Any], told: dict[str, Any]) -> asyncio.Task[bytes]:
    calls = ctx.cloud.part(Calls)
    invocation = asyncio.create_task(_invoke(ctx, function["FunctionArn"], told))
    calls.running.add(invocation)
    invocation.add_done_callback(calls.ended)
    return invocation


def _late() -> AWSError:
    return AWSError(
        "LambdaTimeout", "The Lambda function did not respond in the allowed time.", status=500, fault="server"
    )


async def _invoke(ctx: Context, arn: str, told: dict[str, Any]) -> bytes:
    """Have the function run, as the caller; what it returns. Raises in the words of Object Lambda."""
    target = parse_arn(arn)
    region = target.region if target is not None else ctx.region
    try:
        asked = {"FunctionName": arn, "Payload": orjson.dumps(told)}
        answer = await ctx.cloud.call(ctx.principal, "lambda", "Invoke", asked, region=region)
    except AWSError as error:
        code, status = _INVOKE_ERRORS.get(error.code, ("LambdaInvocationFailed", 400))
        raise AWSError(code, error.message, status=status) from error
    if answer.get("FunctionError"):
        raise AWSError("LambdaRuntimeError", "The Lambda function failed during execution.", status=500, fault="server")
    return bytes(answer.get("Payload") or b"")


async def _input_url(ctx: Context, point: ObjectLambdaPoint, request: Mapping[str, Any]) -> str:
    """An address, signed as the caller, under which the function finds the object: by the supporting access point."""
    supporting = await ctx.cloud.store.read(
        lambda tx: accesspoints.named(ctx, tx, point.configuration["SupportingAccessPoint"])
    )
    # Environments have this machine's port at their own address.
    host = f"127.0.0.1:{urlsplit(ctx.cloud.endpoint).port}"
    path = f"/{supporting.alias}/{quote(request['Key'], safe='/~')}"
    issued = issue_session(
        ctx.cloud.part(Sessions), ctx.cloud.ids, ctx.principal, now=ctx.now, duration_s=object_lambda.ANSWER_S * 15
    )
    query = presigned_query(
        issued.access_key_id,
        issued.secret_access_key,
        issued.session_token,
        method="HEAD" if ctx.operation == "HeadObject" else "GET",
        region=ctx.region,
        host=host,
        path=path,
        parameters={
            name: str(request[member])
            for name, member in (("partNumber", "PartNumber"), ("versionId", "VersionId"))
            if request.get(member) is not None
        },
        now=ctx.cloud.clock.client_time(),
        expires_s=_URL_S,
    )
    return f"http://{host}{path}?{query}"


def _answer(ctx: Context, response: Response) -> dict[str, Any]:
    members = response.members
    status = members.get("StatusCode", 200)
    if status >= 300 or members.get("ErrorCode"):
        response.body.discard()
    if status >= 400 or members.get("ErrorCode"):
        raise AWSError(
            members.get("ErrorCode") or "LambdaInvocationFailed", members.get("ErrorMessage") or "", status=status
        )
    ctx.status = status
    answer: dict[str, Any] = {
        name: value for name, value in members.items() if name not in _NOT_OF_ANSWERS and value is not None
    }
    if isinstance(expires := answer.get("Expires"), int | float):
        answer["Expires"] = conditions.http_date(expires)
    if response.length is not None:
        answer["ContentLength"] = response.length
    answer["Body"] = aiter(response.body)
    return answer


async def write_get_object_response(ctx: Context, request: dict[str, Any]) -> None:
    """Hand a function's response to who waits for it; returns when they have it."""
    body = request.pop("Body")
    pipe = ctx.cloud.part(Calls).answer(ctx.cloud, request.get("RequestToken") or "", request, body.length)
    await pipe.take(body)
