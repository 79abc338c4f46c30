"""Which permissions EventBridge's operations need, and the policies of buses.

Source: "Actions, resources, and condition keys for Amazon EventBridge" of the Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Request
from pileus.kernel.arn import make_arn
from pileus.services.events import keys
from pileus.services.events.lookup import find_bus
from pileus.services.events.names import (
    DEFAULT,
    BusName,
    api_destination_arn,
    bus_name,
    connection_arn,
    endpoint_arn,
    source_arn,
)
from pileus.services.events.records import ApiDestination, Connection, decode
from pileus.store.contract import Reader

Needed = Callable[[Context, Request], Sequence[Permission]]


def on_bus(action: str, member: str = "Name") -> Needed:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"events:{action}", bus_name(ctx, request.get(member)).arn)]

    return permissions


def on_endpoint(action: str) -> Needed:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        arn = endpoint_arn(ctx.account, request.get("HomeRegion", ctx.region), request["Name"])
        needed = [Permission(f"events:{action}", arn)]
        if role := request.get("RoleArn"):
            needed.append(_passing(role))
        return needed

    return permissions


def on_source(action: str, member: str = "Name") -> Needed:
    return lambda ctx, request: [Permission(f"events:{action}", source_arn(ctx.region, request[member]))]


def on_rule(action: str, member: str = "Name") -> Needed:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        bus = bus_name(ctx, request.get("EventBusName"))
        needed = [Permission(f"events:{action}", bus.rule_arn(request[member]))]
        if role := request.get("RoleArn"):
            needed.append(_passing(role))
        roles = {target["RoleArn"] for target in request.get("Targets") or () if target.get("RoleArn")}
        needed += [_passing(role) for role in sorted(roles)]
        return needed

    return permissions


def _passing(role: str) -> Permission:
    return Permission("iam:PassRole", role, {"iam:PassedToService": "events.amazonaws.com"})


def on_rules(action: str) -> Needed:
    """Listings of rules: any rule of the bus."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"events:{action}", bus_name(ctx, request.get("EventBusName")).rule_arn("*"))]

    return permissions


def on_all(action: str) -> Needed:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"events:{action}")]

    return permissions


def on_named(action: str, kind: str, member: str) -> Needed:
    """On "archive/name", "replay/name"; of connections and API destinations `refined` adds the id."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [
            Permission(f"events:{action}", make_arn("events", ctx.region, ctx.account, f"{kind}/{request[member]}"))
        ]

    return permissions


async def refined(ctx: Context, tx: Reader, request: Request, needed: Sequence[Permission]) -> Sequence[Permission]:
    """The ARNs of connections and API destinations end with an id that only the record knows."""
    made = []
    for one in needed:
        kind, _, name = one.resource.rpartition(":")[2].partition("/")
        arn = f"{one.resource}/*"
        if kind == "connection" and (data := await tx.get(keys.connection(ctx.account, ctx.region, name))):
            arn = connection_arn(ctx.account, ctx.region, name, decode(Connection, data).id)
        elif kind == "api-destination" and (data := await tx.get(keys.api_destination(ctx.account, ctx.region, name))):
            arn = api_destination_arn(ctx.account, ctx.region, name, decode(ApiDestination, data).id)
        made.append(Permission(one.action, arn, one.conditions))
    return made


def on_resource(action: str, member: str = "ResourceARN") -> Needed:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"events:{action}", request[member])]

    return permissions


def put_events(ctx: Context, request: Request) -> list[Permission]:
    needed: dict[tuple[str, str, str], Permission] = {}
    for entry in request["Entries"]:
        bus = bus_name(ctx, entry.get("EventBusName"))
        if ctx.principal.kind == "service" and bus.name == DEFAULT and bus.account == ctx.principal.account:
            # What AWS's services tell of an account's resources comes to its default bus without anybody's leave.
            continue
        source, detail_type = entry.get("Source") or "", entry.get("DetailType") or ""
        conditions: dict[str, str | list[str]] = {}
        if source:
            conditions["events:source"] = source
        if detail_type:
            conditions["events:detail-type"] = detail_type
        needed[bus.arn, source, detail_type] = Permission("events:PutEvents", bus.arn, conditions)
    return list(needed.values())


async def policies_of_entries(ctx: Context, tx: Reader, request: Request) -> Any:
    """The policies of all buses that events are put to."""
    return await _policies(tx, {bus_name(ctx, entry.get("EventBusName")) for entry in request["Entries"]})


def policy_of_bus(member: str) -> Any:
    async def policy(ctx: Context, tx: Reader, request: Request) -> Any:
        return await _policies(tx, {bus_name(ctx, request.get(member))})

    return policy


async def _policies(tx: Reader, buses: set[BusName]) -> Any:
    found = []
    for at in buses:
        bus = await find_bus(tx, at)
        if bus is not None and bus.statements:
            found.append({"Version": "2012-10-17", "Statement": bus.statements})
    return found or None
