"""Function URLs: CreateFunctionUrlConfig, GetFunctionUrlConfig, UpdateFunctionUrlConfig, DeleteFunctionUrlConfig,
ListFunctionUrlConfigs."""

from __future__ import annotations

from datetime import UTC, datetime

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.lambda_ import errors, keys, urls
from pileus.services.lambda_.lookup import find_alias, find_function
from pileus.services.lambda_.names import LATEST, Target, parse_own
from pileus.services.lambda_.paging import page
from pileus.services.lambda_.records import Url, UrlPlace, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after, unpack

BUFFERED = "BUFFERED"
_SCAN_LIMIT = 200


def _at(ctx: Context, request: Request) -> Target:
    at = parse_own(ctx, request["FunctionName"], request.get("Qualifier") or "")
    return at._replace(qualifier="") if at.qualifier == LATEST else at


def _timestamp(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _describe(ctx: Context, at: Target, url: Url, *, mode: str | None, created: bool = False) -> Answer:
    answer: Answer = {
        "FunctionUrl": urls.address(ctx.cloud, url.id, at.region),
        "FunctionArn": at.asked_arn,
        "AuthType": url.auth_type,
        "CreationTime": _timestamp(url.created),
    }
    if not created:
        answer["LastModifiedTime"] = _timestamp(url.modified)
    if url.cors:
        answer["Cors"] = url.cors
    if mode:
        answer["InvokeMode"] = mode
    return answer


async def _check_there(tx: Reader, at: Target) -> None:
    if await find_function(tx, at) is None or (at.qualifier and await find_alias(tx, at, at.qualifier) is None):
        raise errors.not_found("Function does not exist")


async def _get(tx: Reader, at: Target) -> Url:
    data = await tx.get(keys.url(at))
    if data is None:
        raise errors.not_found("The resource you requested does not exist.")
    return decode(Url, data)


async def create_function_url_config(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = _at(ctx, request)
    await _check_there(tx, at)
    if await tx.get(keys.url(at)) is not None:
        raise errors.conflict(
            f"Failed to create function url config for [functionArn = {at.asked_arn}]. Error message:  "
            "FunctionUrlConfig exists for this Lambda function"
        )
    url = Url(
        id=ctx.cloud.ids.string(32, "abcdefghijklmnopqrstuvwxyz234567"),
        auth_type=request["AuthType"],
        cors=request.get("Cors") or {},
        invoke_mode=request.get("InvokeMode") or "",
        created=ctx.now,
        modified=ctx.now,
    )
    tx.put(keys.url(at), encode(url))
    place = UrlPlace(account=at.account, region=at.region, name=at.name, qualifier=at.qualifier)
    tx.put(keys.url_place(url.id), encode(place))
    return _describe(ctx, at, url, mode=url.invoke_mode, created=True)


async def get_function_url_config(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = _at(ctx, request)
    url = await _get(tx, at)
    return _describe(ctx, at, url, mode=url.invoke_mode or BUFFERED)


async def update_function_url_config(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = _at(ctx, request)
    if await find_function(tx, at) is None:
        raise errors.not_found("Function does not exist")
    url = await _get(tx, at)
    if request.get("AuthType"):
        url.auth_type = request["AuthType"]
    if request.get("Cors") is not None:
        url.cors = request["Cors"]
    if request.get("InvokeMode"):
        url.invoke_mode = request["InvokeMode"]
    url.modified = ctx.now
    tx.put(keys.url(at), encode(url))
    return _describe(ctx, at, url, mode=url.invoke_mode)


async def delete_function_url_config(ctx: Context, tx: Transaction, request: Request) -> None:
    at = _at(ctx, request)
    url = await _get(tx, at)
    tx.delete(keys.url(at))
    tx.delete(keys.url_place(url.id))


async def list_function_url_configs(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = _at(ctx, request)._replace(qualifier="")
    if await find_function(tx, at) is None:
        raise errors.not_found("Function does not exist")
    found, marker = await page(tx, request, *keys.urls(at))
    answer: Answer = {"FunctionUrlConfigs": []}
    for key, data in found:
        url = decode(Url, data)
        qualified = at._replace(qualifier=str(unpack(key)[-1]))
        answer["FunctionUrlConfigs"].append(_describe(ctx, qualified, url, mode=url.invoke_mode or BUFFERED))
    if marker:
        answer["NextMarker"] = marker
    return answer


async def drop_urls(tx: Transaction, at: Target) -> None:
    """The function goes: its URLs go with it."""
    start, end = keys.urls(at)
    while found := await tx.scan(start, end, limit=_SCAN_LIMIT):
        for key, data in found:
            tx.delete(key)
            tx.delete(keys.url_place(decode(Url, data).id))
        start = after(found[-1][0])
