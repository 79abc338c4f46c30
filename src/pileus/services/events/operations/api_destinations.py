"""API destinations.

Source: the API reference's pages of these operations; recorded answers.
"""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.services.events import errors, keys, paging, telling
from pileus.services.events.names import api_destination_arn
from pileus.services.events.records import ApiDestination, Connection, decode, encode
from pileus.store.contract import Reader, Transaction

# What is shown where nothing was said.
RATE = 300


async def _get(ctx: Context, tx: Reader, name: str) -> ApiDestination:
    data = await tx.get(keys.api_destination(ctx.account, ctx.region, name))
    if data is None:
        raise errors.no_api_destination(name)
    return decode(ApiDestination, data)


async def find_connection(tx: Reader, connection_arn: str) -> Connection | None:
    arn = parse_arn(connection_arn)
    if arn is None or not arn.resource.startswith("connection/"):
        return None
    _, name, id = arn.resource.split("/", 2)
    data = await tx.get(keys.connection(arn.account, arn.region, name))
    connection = decode(Connection, data) if data is not None else None
    return connection if connection is not None and connection.id == id else None


async def _check_connection(ctx: Context, tx: Reader, arn_text: str) -> None:
    arn = parse_arn(arn_text)
    if arn is None or arn.account != ctx.account or await find_connection(tx, arn_text) is None:
        name = arn_text.split("/")[1] if "/" in arn_text else arn_text
        raise errors.not_found(f"Connection '{name}' does not exist.")


async def _state(tx: Reader, destination: ApiDestination) -> str:
    connection = await find_connection(tx, destination.connection_arn)
    return "ACTIVE" if connection is not None and connection.state == "AUTHORIZED" else "INACTIVE"


async def _made(ctx: Context, tx: Reader, destination: ApiDestination) -> Answer:
    return {
        "ApiDestinationArn": api_destination_arn(ctx.account, ctx.region, destination.name, destination.id),
        "ApiDestinationState": await _state(tx, destination),
        "CreationTime": destination.created,
        "LastModifiedTime": destination.modified,
    }


async def create_api_destination(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["Name"]
    key = keys.api_destination(ctx.account, ctx.region, name)
    if await tx.get(key) is not None:
        raise errors.exists(f"An api-destination '{name}'")
    await _check_connection(ctx, tx, request["ConnectionArn"])
    destination = ApiDestination(
        name=name,
        id=ctx.cloud.ids.uuid(),
        connection_arn=request["ConnectionArn"],
        endpoint=request["InvocationEndpoint"],
        method=request["HttpMethod"],
        created=ctx.now,
        modified=ctx.now,
        description=request.get("Description"),
        rate=request.get("InvocationRateLimitPerSecond"),
    )
    tx.put(key, encode(destination))
    made = await _made(ctx, tx, destination)
    await _tell(ctx, tx, destination, was="", state=made["ApiDestinationState"])
    return made


async def update_api_destination(ctx: Context, tx: Transaction, request: Request) -> Answer:
    destination = await _get(ctx, tx, request["Name"])
    was = await _state(tx, destination)
    if request.get("ConnectionArn"):
        await _check_connection(ctx, tx, request["ConnectionArn"])
        destination.connection_arn = request["ConnectionArn"]
    destination.endpoint = request.get("InvocationEndpoint", destination.endpoint)
    destination.method = request.get("HttpMethod", destination.method)
    destination.description = request.get("Description", destination.description)
    destination.rate = request.get("InvocationRateLimitPerSecond", destination.rate)
    destination.modified = ctx.now
    tx.put(keys.api_destination(ctx.account, ctx.region, destination.name), encode(destination))
    made = await _made(ctx, tx, destination)
    await _tell(ctx, tx, destination, was=was, state=made["ApiDestinationState"])
    return made


async def _tell(ctx: Context, tx: Transaction, destination: ApiDestination, *, was: str, state: str) -> None:
    """Tell of a change; a new one that is not active has not changed."""
    if state != was and (state == "ACTIVE" or was):
        owner = (ctx.account, ctx.region)
        await telling.of_destination(ctx.cloud, tx, owner, destination, active=state == "ACTIVE", now=ctx.now)


async def delete_api_destination(ctx: Context, tx: Transaction, request: Request) -> None:
    destination = await _get(ctx, tx, request["Name"])
    tx.delete(keys.api_destination(ctx.account, ctx.region, destination.name))


async def _shown(ctx: Context, tx: Reader, destination: ApiDestination) -> Answer:
    return {
        **await _made(ctx, tx, destination),
        "Name": destination.name,
        "ConnectionArn": destination.connection_arn,
        "InvocationEndpoint": destination.endpoint,
        "HttpMethod": destination.method,
        "InvocationRateLimitPerSecond": destination.rate or RATE,
    }


async def describe_api_destination(ctx: Context, tx: Reader, request: Request) -> Answer:
    destination = await _get(ctx, tx, request["Name"])
    shown = await _shown(ctx, tx, destination)
    if destination.description is not None:
        shown["Description"] = destination.description
    return shown


async def list_api_destinations(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(data: bytes) -> ApiDestination | None:
        destination = decode(ApiDestination, data)
        wanted = request.get("ConnectionArn", destination.connection_arn) == destination.connection_arn
        return destination if wanted else None

    span = keys.api_destinations(ctx.account, ctx.region, request.get("NamePrefix", ""))
    found, token = await paging.page(tx, request, span, show)
    return paging.answer("ApiDestinations", [await _shown(ctx, tx, one) for one in found], token)
