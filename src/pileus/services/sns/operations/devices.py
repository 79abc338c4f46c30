"""Platform applications and endpoints.

Sources: the API reference's pages of these operations; recorded answers.
"""

from __future__ import annotations

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.cloud.pages import page_answer, read_page
from pileus.kernel.paging import BadToken
from pileus.services.sns import errors, keys, platform_events, platforms
from pileus.services.sns.platforms import ApplicationName, EndpointName, application_of, endpoint_of
from pileus.services.sns.records import Application, Endpoint, decode, encode
from pileus.store.contract import Reader, Transaction

PAGE = 100


async def create_platform_application(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name, platform = platforms.check_name(request["Name"]), request["Platform"]
    if platform not in platforms.PLATFORMS:
        raise errors.invalid_reason("Platform", f"{platform} is not supported")
    attributes = platforms.check_application(platform, request["Attributes"], {}, new=True)
    at = ApplicationName(ctx.account, ctx.region, platform, name)
    if await tx.get(keys.application(*at)) is None:
        tx.put(keys.application(*at), encode(Application(platform=platform, name=name, attributes=attributes)))
    return {"PlatformApplicationArn": at.arn}


async def delete_platform_application(ctx: Context, tx: Transaction, request: Request) -> None:
    at = application_of(ctx, request["PlatformApplicationArn"])
    tx.delete(keys.application(*at))
    tx.delete_range(*keys.endpoints(*at))
    tx.delete_range(*keys.devices(*at))


async def get_platform_application_attributes(ctx: Context, tx: Reader, request: Request) -> Answer:
    application = await platforms.get_application(tx, application_of(ctx, request["PlatformApplicationArn"]))
    return {"Attributes": application.attributes}


async def set_platform_application_attributes(ctx: Context, tx: Transaction, request: Request) -> None:
    at = application_of(ctx, request["PlatformApplicationArn"])
    application = await platforms.get_application(tx, at)
    attributes = platforms.check_application(at.platform, request["Attributes"], application.attributes, new=False)
    tx.put(keys.application(*at), encode(msgspec.structs.replace(application, attributes=attributes)))


async def list_platform_applications(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(data: bytes) -> Answer:
        one = decode(Application, data)
        arn = ApplicationName(ctx.account, ctx.region, one.platform, one.name).arn
        return {"PlatformApplicationArn": arn, "Attributes": one.attributes}

    span = keys.applications(ctx.account, ctx.region)
    try:
        found, token = await read_page(tx, span, show, limit=PAGE, token=request.get("NextToken"))
    except BadToken:
        raise errors.bad_next_token() from None
    return page_answer("PlatformApplications", found, token)


async def create_platform_endpoint(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = application_of(ctx, request["PlatformApplicationArn"])
    application = await platforms.get_application(tx, at)
    token = request["Token"]
    platforms.check_token(at.platform, token)
    given = platforms.check_endpoint(request.get("Attributes") or {})
    if request.get("CustomUserData") is not None:
        given |= platforms.check_endpoint({"CustomUserData": request["CustomUserData"]})
    wanted = {"Enabled": "true", **given, "Token": token}
    id = await tx.get(keys.device(*at, token))
    if id is not None:
        known = EndpointName(*at, id.decode())
        endpoint = await platforms.get_endpoint(tx, known)
        if endpoint.attributes != wanted:
            raise errors.invalid_reason(
                "Token", f"Endpoint {known.arn} already exists with the same Token, but different attributes."
            )
        return {"EndpointArn": known.arn}
    made = EndpointName(*at, ctx.cloud.ids.uuid())
    endpoint = Endpoint(id=made.id, platform=at.platform, application=at.name, attributes=wanted)
    tx.put(keys.endpoint(*made), encode(endpoint))
    tx.put(keys.device(*at, token), made.id.encode())
    await platform_events.tell(ctx.cloud, tx, application, made, platform_events.CREATED)
    return {"EndpointArn": made.arn}


async def delete_endpoint(ctx: Context, tx: Transaction, request: Request) -> None:
    at = endpoint_of(ctx, request["EndpointArn"])
    endpoint = await platforms.find_endpoint(tx, at)
    if endpoint is not None:
        tx.delete(keys.endpoint(*at))
        tx.delete(keys.device(*at.of_application, endpoint.attributes["Token"]))
        application = await platforms.get_application(tx, at.of_application)
        await platform_events.tell(ctx.cloud, tx, application, at, platform_events.DELETED)


async def get_endpoint_attributes(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"Attributes": (await platforms.get_endpoint(tx, endpoint_of(ctx, request["EndpointArn"]))).attributes}


async def set_endpoint_attributes(ctx: Context, tx: Transaction, request: Request) -> None:
    at = endpoint_of(ctx, request["EndpointArn"])
    given = platforms.check_endpoint(request["Attributes"])
    endpoint = await platforms.get_endpoint(tx, at)
    changed = msgspec.structs.replace(endpoint, attributes=endpoint.attributes | given)
    former, token = endpoint.attributes["Token"], changed.attributes["Token"]
    if token != former:
        if await tx.get(keys.device(*at.of_application, token)) is not None:
            raise errors.invalid_reason(
                "Attributes",
                "Invalid value for attribute: Token: This endpoint is already registered with a different token.",
            )
        tx.delete(keys.device(*at.of_application, former))
        tx.put(keys.device(*at.of_application, token), at.id.encode())
    tx.put(keys.endpoint(*at), encode(changed))
    if changed.attributes != endpoint.attributes:
        application = await platforms.get_application(tx, at.of_application)
        await platform_events.tell(ctx.cloud, tx, application, at, platform_events.UPDATED)


async def list_endpoints_by_platform_application(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = application_of(ctx, request["PlatformApplicationArn"])
    await platforms.get_application(tx, at)

    def show(data: bytes) -> Answer:
        one = decode(Endpoint, data)
        return {"EndpointArn": EndpointName(*at, one.id).arn, "Attributes": one.attributes}

    try:
        found, token = await read_page(tx, keys.endpoints(*at), show, limit=PAGE, token=request.get("NextToken"))
    except BadToken:
        raise errors.bad_next_token() from None
    return page_answer("Endpoints", found, token)
