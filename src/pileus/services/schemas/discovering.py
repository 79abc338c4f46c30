"""Discoverers at work: a managed rule on the bus of each brings its events here, and what they look like are schemas.

A schema has a new version when an event does not look like those before it; the version says what all look like.

Source: "Inferring schemas from event bus events in EventBridge" of the user guide; the rule as AWS's listings show it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import orjson

from pileus.cloud.context import Cloud, Context
from pileus.delivery.contract import Delivery
from pileus.kernel.arn import Arn, make_arn, parse_arn
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.schemas import documents, errors, keys, shapes
from pileus.services.schemas.names import DISCOVERED
from pileus.services.schemas.operations.schemas import VERSIONS_MAX, add_version, save
from pileus.services.schemas.records import Discoverer, Registry, Schema, decode, encode
from pileus.services.schemas.shapes import Shape
from pileus.store.contract import Reader, Transaction

STARTED, STOPPED = "STARTED", "STOPPED"
MANAGER = "schemas.amazonaws.com"
TARGET = "schemas.discoverer"
# When the rule is made to follow where the call that changed the record has not come to it.
_LATER_S = 60.0
_DESCRIPTION = "This rule is used to route Events to Schema Discoverer"
_TARGET_ID = "SchemaDiscoverer"
_NAME_MAX = 385
# "Discovered schemas".
SCHEMAS_MAX = 200
# Names and elements of an event, and names of all that a schema's events have: what is beyond is not learned, as
# everybody waits for it.
NAMES_MAX = 2000
# Characters of one version, as `CreateSchema` takes them.
CONTENT_MAX = 100_000
_REFUSED = re.compile(r"[^0-9A-Za-z_.\-@]")


def bus_of(ctx: Context, source_arn: str) -> Arn:
    """The bus that is a discoverer's source. Raises BadRequestException."""
    arn = parse_arn(source_arn)
    if arn is None or arn.service != "events" or not arn.resource.startswith("event-bus/"):
        raise errors.bad_request("The source ARN is not the ARN of an event bus.")
    if (arn.account, arn.region) != (ctx.account, ctx.region):
        raise errors.bad_request("The event bus is not one of this account and region.")
    return arn


def discoverer_id(bus: Arn) -> str:
    return f"events-event-bus-{bus.resource.removeprefix('event-bus/')}"


async def check_bus(ctx: Context, source_arn: str) -> None:
    """Raises BadRequestException where there is no such bus."""
    bus = _arn(source_arn)
    try:
        await ctx.cloud.call(_account_of(bus), "events", "DescribeEventBus", {"Name": source_arn}, region=bus.region)
    except AWSError as error:
        if error.code != "ResourceNotFoundException":
            raise
        raise errors.bad_request(error.message) from error


def promise(ctx: Context, tx: Transaction, discoverer: Discoverer) -> str:
    """Have the rule follow the record, should the node die before the call has seen to it; what `keep` takes."""
    payload = {"id": discoverer.id, "source": discoverer.source_arn}
    return ctx.cloud.outbox.put(tx, target=TARGET, payload=payload, now=ctx.now, due=ctx.now + _LATER_S)


async def keep(ctx: Context, discoverer: Discoverer, promised: str) -> None:
    """Have the rule follow the record now, as was promised. Raises BadRequestException where the bus has gone."""
    await _follow(ctx.cloud, discoverer.id, discoverer.source_arn)
    await ctx.cloud.store.write(lambda tx: ctx.cloud.outbox.cancel(tx, promised))


async def keep_later(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler."""
    try:
        await _follow(cloud, delivery.payload["id"], delivery.payload["source"])
    except AWSError as error:
        # A bus that has gone has no rules.
        if error.code != "BadRequestException":
            raise


async def _follow(cloud: Cloud, id: str, source_arn: str) -> None:
    """Make the rule what the record says.

    Others may do so at once, with what the record said a moment before: it is done when the record still says the same
    afterwards, so that whoever sets the rule last sets it to what is kept.
    """
    bus = _arn(source_arn)
    key = keys.discoverer(bus.account, bus.region, id)

    async def look(tx: Reader) -> bytes | None:
        return await tx.get(key)

    data = await cloud.store.read(look)
    while True:
        if data is None:
            await _drop_rule(cloud, id, source_arn)
        else:
            await _set_rule(cloud, decode(Discoverer, data))
        before, data = data, await cloud.store.read(look)
        if data == before:
            return


async def _set_rule(cloud: Cloud, discoverer: Discoverer) -> None:
    """Have the bus send its events to the discoverer, or not. Raises BadRequestException where there is no bus."""
    bus = _arn(discoverer.source_arn)
    pattern: dict[str, Any] = {"source": [{"prefix": "aws.partner/"}, {"anything-but": {"prefix": "aws."}}]}
    if not discoverer.cross_account:
        pattern["account"] = [bus.account]
    rule = {
        "Name": _rule_name(discoverer.id),
        "EventPattern": orjson.dumps(pattern).decode(),
        "State": "ENABLED" if discoverer.state == STARTED else "DISABLED",
        "Description": _DESCRIPTION,
    }
    target = {
        "Id": _TARGET_ID,
        "Arn": make_arn("schemas", bus.region, bus.account, f"discoverer/{discoverer.id}"),
    }
    try:
        await _call(cloud, bus, "PutRule", rule)
        await _call(cloud, bus, "PutTargets", {"Rule": rule["Name"], "Targets": [target]})
    except AWSError as error:
        if error.code != "ResourceNotFoundException":
            raise
        raise errors.bad_request(error.message) from error


async def _drop_rule(cloud: Cloud, id: str, source_arn: str) -> None:
    name, bus = _rule_name(id), _arn(source_arn)
    try:
        await _call(cloud, bus, "RemoveTargets", {"Rule": name, "Ids": [_TARGET_ID], "Force": True})
        await _call(cloud, bus, "DeleteRule", {"Name": name, "Force": True})
    except AWSError as error:
        # It may be gone with its bus, or by somebody's force.
        if error.code != "ResourceNotFoundException":
            raise


def _rule_name(id: str) -> str:
    return f"Schemas-{id}"[:64]


def _arn(source_arn: str) -> Arn:
    """The bus's, whose account and region are the discoverer's."""
    arn = parse_arn(source_arn)
    assert arn is not None, "`bus_of` has seen it"
    return arn


def _account_of(bus: Arn) -> Principal:
    """The account, for which AWS has a service-linked role."""
    return Principal(kind="root", account=bus.account, arn=f"arn:aws:iam::{bus.account}:root", id=bus.account)


async def _call(cloud: Cloud, bus: Arn, operation: str, request: dict[str, Any]) -> None:
    request = {**request, "EventBusName": str(bus), "ManagedBy": MANAGER}
    await cloud.call(_account_of(bus), "events", operation, request, region=bus.region)


async def discover_event(ctx: Context, request: dict[str, Any]) -> dict[str, Any]:
    """Take an event into account: how EventBridge hands a bus's events to its discoverer.

    AWS has no such operation: only calls from inside come here. `request`: DiscovererId, Event (JSON).
    """
    try:
        event = documents.parsed(request["Event"])
    except documents.BadDocument as reason:
        raise errors.bad_request(str(reason)) from None
    if shapes.names_in(event, NAMES_MAX) > NAMES_MAX:
        return {}
    source, detail_type = str(event["source"]), str(event["detail-type"])
    name = _REFUSED.sub("-", f"{source}@{shapes.component_name(detail_type)}")[:_NAME_MAX]
    seen = shapes.shape_of([event])

    async def is_known(tx: Reader) -> bool:
        before = await _shape(ctx, tx, name)
        return before is not None and shapes.merged(before, seen) == before

    if await ctx.cloud.store.read(is_known):
        return {}

    async def learn(tx: Transaction) -> None:
        data = await tx.get(keys.discoverer(ctx.account, ctx.region, request["DiscovererId"]))
        if data is None or decode(Discoverer, data).state != STARTED:
            return
        before = await _shape(ctx, tx, name)
        shape = seen if before is None else shapes.merged(before, seen)
        if shapes.size(shape) > NAMES_MAX:
            return
        content = orjson.dumps(shapes.document_of(shape, source=source, detail_type=detail_type)).decode()
        if await _keep(ctx, tx, name, content):
            tx.put(keys.shape(ctx.account, ctx.region, name), encode_shape(shape))

    await ctx.cloud.store.write(learn)
    return {}


async def _shape(ctx: Context, tx: Reader, name: str) -> Shape | None:
    """What the schema's events so far look like; None where there is none."""
    if await tx.get(keys.schema(ctx.account, ctx.region, DISCOVERED, name)) is None:
        return None
    data = await tx.get(keys.shape(ctx.account, ctx.region, name))
    return None if data is None else _decoder.decode(data)


async def _keep(ctx: Context, tx: Transaction, name: str, content: str) -> bool:
    """Make the content the newest version of its schema; False where there is no room for it."""
    if len(content) > CONTENT_MAX:
        return False
    data = await tx.get(keys.schema(ctx.account, ctx.region, DISCOVERED, name))
    if data is not None:
        schema = decode(Schema, data)
        if len(schema.versions) >= VERSIONS_MAX:
            return False
    else:
        await make_registry(ctx, tx)
        span = keys.schemas(ctx.account, ctx.region, DISCOVERED)
        if len(await tx.scan(*span, limit=SCHEMAS_MAX)) >= SCHEMAS_MAX:
            return False
        schema = Schema(name=name, registry=DISCOVERED, type=documents.OPENAPI, modified=ctx.now, versions=[], last=0)
    add_version(ctx, tx, schema, content)
    save(ctx, tx, schema)
    return True


async def make_registry(ctx: Context, tx: Transaction) -> None:
    key = keys.registry(ctx.account, ctx.region, DISCOVERED)
    if await tx.get(key) is None:
        tx.put(key, encode(Registry(name=DISCOVERED)))


_decoder = msgspec.msgpack.Decoder(Shape)


def encode_shape(shape: Shape) -> bytes:
    return msgspec.msgpack.encode(shape)
