"""Global endpoints.

Sources: the API reference's pages of these operations, "Making applications Regional-fault tolerant with global
endpoints in EventBridge" of the user guide. No record of AWS's wording of errors was at hand.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.cloud.pages import read_page
from pileus.kernel.paging import BadToken
from pileus.services.events import errors, failover, keys
from pileus.services.events.lookup import get_bus
from pileus.services.events.names import bus_of_arn, endpoint_arn
from pileus.services.events.paging import PAGE
from pileus.services.events.records import Endpoint, decode, encode
from pileus.store.contract import Reader, Transaction

ENABLED = "ENABLED"
_ID_LENGTH = 10


async def _get(ctx: Context, tx: Reader, name: str, region: str | None = None) -> Endpoint:
    data = await tx.get(keys.endpoint(ctx.account, region or ctx.region, name))
    if data is None:
        raise errors.no_endpoint(name)
    return decode(Endpoint, data)


def _save(ctx: Context, tx: Transaction, endpoint: Endpoint, state: str) -> None:
    """Keep the endpoint in `state`, and have what belongs to it made or taken away."""
    endpoint.state, endpoint.reason, endpoint.modified = state, "", ctx.now
    tx.put(keys.endpoint(ctx.account, ctx.region, endpoint.name), encode(endpoint))
    failover.put_work(ctx, tx, endpoint)


async def _check(ctx: Context, tx: Reader, endpoint: Endpoint) -> None:
    """Raises ValidationException unless there are two buses of one name: here, and in the secondary region."""
    buses = [bus_of_arn(arn) for arn in endpoint.buses]
    secondary = endpoint.routing["FailoverConfig"]["Secondary"]["Route"]
    if len({bus.name for bus in buses}) > 1:
        raise errors.invalid("Parameter EventBuses is not valid. Reason: Event bus names must be identical.")
    if any(bus.account != ctx.account for bus in buses):
        raise errors.invalid("Parameter EventBuses is not valid. Reason: Event buses must be in the same account.")
    if secondary == ctx.region or sorted(bus.region for bus in buses) != sorted((ctx.region, secondary)):
        raise errors.invalid(
            "Parameter EventBuses is not valid. Reason: "
            "There must be one event bus in the primary Region and one in the secondary Region."
        )
    for bus in buses:
        await get_bus(tx, bus)
    if endpoint.replication == ENABLED and not endpoint.role:
        raise errors.invalid("Parameter RoleArn is not valid. Reason: RoleArn is required for event replication.")


async def create_endpoint(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["Name"]
    if await tx.get(keys.endpoint(ctx.account, ctx.region, name)) is not None:
        raise errors.exists(f"Endpoint {name}")
    endpoint = Endpoint(
        name=name,
        id=f"{ctx.cloud.ids.string(_ID_LENGTH).lower()}.{failover.ZONE}",
        account=ctx.account,
        region=ctx.region,
        created=ctx.now,
        modified=ctx.now,
        description=request.get("Description"),
        routing=request["RoutingConfig"],
        replication=(request.get("ReplicationConfig") or {}).get("State", ENABLED),
        buses=[one["EventBusArn"] for one in request["EventBuses"]],
        role=request.get("RoleArn", ""),
    )
    await _check(ctx, tx, endpoint)
    tx.put(keys.endpoint_id(endpoint.id), encode(endpoint.at))
    _save(ctx, tx, endpoint, "CREATING")
    return {**_settings(endpoint), "State": endpoint.state}


async def update_endpoint(ctx: Context, tx: Transaction, request: Request) -> Answer:
    endpoint = await _get(ctx, tx, request["Name"])
    _check_idle(endpoint)
    endpoint.description = request.get("Description", endpoint.description)
    endpoint.routing = request.get("RoutingConfig", endpoint.routing)
    endpoint.replication = (request.get("ReplicationConfig") or {}).get("State", endpoint.replication)
    endpoint.role = request.get("RoleArn", endpoint.role)
    if "EventBuses" in request:
        endpoint.buses = [one["EventBusArn"] for one in request["EventBuses"]]
    await _check(ctx, tx, endpoint)
    _save(ctx, tx, endpoint, "UPDATING")
    return {**_settings(endpoint), **_address(endpoint), "State": endpoint.state}


async def delete_endpoint(ctx: Context, tx: Transaction, request: Request) -> None:
    endpoint = await _get(ctx, tx, request["Name"])
    _check_idle(endpoint)
    _save(ctx, tx, endpoint, "DELETING")


def _check_idle(endpoint: Endpoint) -> None:
    if endpoint.state in ("CREATING", "UPDATING", "DELETING"):
        raise errors.concurrent(f"Endpoint {endpoint.name} is in state {endpoint.state}.")


def _settings(endpoint: Endpoint) -> Answer:
    shown: dict[str, Any] = {
        "Name": endpoint.name,
        "Arn": endpoint_arn(endpoint.account, endpoint.region, endpoint.name),
        "RoutingConfig": endpoint.routing,
        "ReplicationConfig": {"State": endpoint.replication},
        "EventBuses": [{"EventBusArn": arn} for arn in endpoint.buses],
    }
    return shown | {"RoleArn": endpoint.role} if endpoint.role else shown


def _address(endpoint: Endpoint) -> Answer:
    return {
        "EndpointId": endpoint.id,
        "EndpointUrl": f"https://{endpoint.id}.endpoint.events.amazonaws.com",
    }


def _shown(endpoint: Endpoint) -> Answer:
    shown = {
        **_settings(endpoint),
        **_address(endpoint),
        "State": endpoint.state,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
    }
    if endpoint.description is not None:
        shown["Description"] = endpoint.description
    if endpoint.reason:
        shown["StateReason"] = endpoint.reason
    return shown


async def describe_endpoint(ctx: Context, tx: Reader, request: Request) -> Answer:
    return _shown(await _get(ctx, tx, request["Name"], request.get("HomeRegion")))


async def list_endpoints(ctx: Context, tx: Reader, request: Request) -> Answer:
    span = keys.endpoints(ctx.account, request.get("HomeRegion", ctx.region), request.get("NamePrefix", ""))
    try:
        found, token = await read_page(
            tx,
            span,
            lambda data: _shown(decode(Endpoint, data)),
            limit=request.get("MaxResults") or PAGE,
            token=request.get("NextToken"),
        )
    except BadToken:
        raise errors.bad_token() from None
    return {"Endpoints": found} if token is None else {"Endpoints": found, "NextToken": token}
