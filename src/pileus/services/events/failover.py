"""Global endpoints at work: which of its two buses gets the events, and the managed rules that replicate them.

A delivery in the outbox makes the rules as the endpoint's role, or takes them away, and moves the endpoint's state on.

Source: "Making applications Regional-fault tolerant with global endpoints in EventBridge" of the user guide, the role
that its page on permissions asks for (`GlobalEndpointManagedRule-*`). The rules' pattern is Pileus's own: each takes
what came to its own region first, so that nothing comes back.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.cloud.context import Cloud, Context
from pileus.cloud.roles import RoleSessions
from pileus.delivery.contract import Delivery
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.events import errors, keys
from pileus.services.events.lookup import find_bus, find_rule
from pileus.services.events.names import BusName, RuleName, bus_name, bus_of_arn, endpoint_arn
from pileus.services.events.records import Endpoint, EndpointName, decode, encode
from pileus.store.contract import Reader, Transaction

TARGET = "events.endpoint"
# The second half of the ids that AWS gives.
ZONE = "veo"
MANAGER = "events.amazonaws.com"
_RULE = "GlobalEndpointManagedRule-"


def put_work(ctx: Context, tx: Transaction, endpoint: Endpoint) -> None:
    payload = {"account": endpoint.account, "region": endpoint.region, "name": endpoint.name, "id": endpoint.id}
    ctx.cloud.outbox.put(tx, target=TARGET, payload=payload, now=ctx.now, id=f"events.endpoint/{endpoint.id}")


async def resolve(ctx: Context, request: dict[str, Any]) -> None:
    """Put the bus that a global endpoint now stands for into the place of its id."""
    if "EndpointId" not in request:
        return
    id = request.pop("EndpointId")

    async def look(tx: Reader) -> tuple[Endpoint, BusName]:
        data = await tx.get(keys.endpoint_id(id))
        at = decode(EndpointName, data) if data is not None else None
        record = await tx.get(keys.endpoint(at.account, at.region, at.name)) if at is not None else None
        if record is None:
            raise errors.no_endpoint(id)
        endpoint = decode(Endpoint, record)
        return endpoint, await _active(tx, endpoint)

    endpoint, bus = await ctx.cloud.store.read(look)
    ctx.region = bus.region
    for entry in request["Entries"]:
        named = entry.get("EventBusName") or bus.name
        if named != bus.name and (not named.startswith("arn:") or bus_name(ctx, named).arn not in endpoint.buses):
            raise errors.invalid(f"Event bus {named} is not one of endpoint {id}.")
    request["Entries"] = [{**entry, "EventBusName": bus.arn} for entry in request["Entries"]]


async def _active(tx: Reader, endpoint: Endpoint) -> BusName:
    """The primary bus while it is there, else the secondary."""
    primary, secondary = _buses(endpoint)
    return primary if await find_bus(tx, primary) is not None else secondary


def _buses(endpoint: Endpoint) -> tuple[BusName, BusName]:
    one, other = (bus_of_arn(arn) for arn in endpoint.buses)
    return (one, other) if one.region == endpoint.region else (other, one)


async def work(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler."""
    payload = delivery.payload
    key = keys.endpoint(payload["account"], payload["region"], payload["name"])

    async def look(tx: Reader) -> Endpoint | None:
        data = await tx.get(key)
        return decode(Endpoint, data) if data is not None else None

    endpoint = await cloud.store.read(look)
    if endpoint is None or endpoint.id != payload["id"]:
        return
    reason = ""
    try:
        await _set_rules(cloud, endpoint)
    except AWSError as error:
        reason = error.message or error.code

    async def settle(tx: Transaction) -> None:
        current = await look(tx)
        if current is None or (current.id, current.modified) != (endpoint.id, endpoint.modified):
            return
        if current.state == "DELETING" and not reason:
            tx.delete(key)
            tx.delete(keys.endpoint_id(current.id))
            return
        failed = {"CREATING": "CREATE_FAILED", "UPDATING": "UPDATE_FAILED", "DELETING": "DELETE_FAILED"}
        current.state = failed.get(current.state, current.state) if reason else "ACTIVE"
        current.reason = reason[:512]
        tx.put(key, encode(current))

    await cloud.store.write(settle)


async def _set_rules(cloud: Cloud, endpoint: Endpoint) -> None:
    """Bring the managed rules in line with what the endpoint says. Raises AWSError."""
    wanted: dict[RuleName, BusName] = {}
    name = f"{_RULE}{endpoint.id.partition('.')[0]}"
    if endpoint.replication == "ENABLED" and endpoint.state != "DELETING":
        one, other = _buses(endpoint)
        wanted = {RuleName(one, name): other, RuleName(other, name): one}
    former = {RuleName(bus_of_arn(arn), name) for arn in endpoint.ruled}
    if not wanted and not former:
        return
    source_arn = endpoint_arn(endpoint.account, endpoint.region, endpoint.name)
    principal = await cloud.part(RoleSessions).principal(
        "events", endpoint.role, source_arn=source_arn, session_name=endpoint.name
    )
    for at in former - wanted.keys():
        await _drop(cloud, principal, at)
    for at, other in wanted.items():
        pattern = {"source": [{"anything-but": {"prefix": "aws."}}], "region": [at.bus.region]}
        rule = {"Name": at.name, "EventBusName": at.bus.name, "EventPattern": orjson.dumps(pattern).decode()}
        targets = [{"Id": other.region, "Arn": other.arn, "RoleArn": endpoint.role}]
        await _call(cloud, principal, at, "PutRule", rule)
        await _call(
            cloud, principal, at, "PutTargets", {"Rule": at.name, "EventBusName": at.bus.name, "Targets": targets}
        )
    await cloud.store.write(lambda tx: _note_ruled(tx, endpoint, [at.bus.arn for at in wanted]))


async def _note_ruled(tx: Transaction, endpoint: Endpoint, ruled: list[str]) -> None:
    key = keys.endpoint(endpoint.account, endpoint.region, endpoint.name)
    data = await tx.get(key)
    current = decode(Endpoint, data) if data is not None else None
    if current is not None and current.id == endpoint.id:
        current.ruled = ruled
        tx.put(key, encode(current))


async def _drop(cloud: Cloud, principal: Principal, at: RuleName) -> None:
    rule = await cloud.store.read(lambda tx: find_rule(tx, at))
    if rule is None:
        return
    ids = list(rule.targets)
    named = {"EventBusName": at.bus.name, "Force": True}
    if ids:
        await _call(cloud, principal, at, "RemoveTargets", {**named, "Rule": at.name, "Ids": ids})
    await _call(cloud, principal, at, "DeleteRule", {**named, "Name": at.name})


async def _call(cloud: Cloud, principal: Principal, at: RuleName, operation: str, request: dict[str, Any]) -> None:
    await cloud.call(
        principal, "events", operation, {**request, "ManagedBy": MANAGER}, region=at.bus.region, account=at.bus.account
    )
