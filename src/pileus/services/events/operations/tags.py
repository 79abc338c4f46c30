"""Tags of rules and buses."""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.services.events import errors
from pileus.services.events.lookup import find_bus, find_rule, save_bus, save_rule
from pileus.services.events.names import BusName, RuleName, bus_of_arn, rule_of_arn
from pileus.services.events.records import Bus, Rule
from pileus.store.contract import Reader, Transaction

TAGS_MAX = 50


def tags_of(request: Request) -> dict[str, str]:
    tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags") or ()}
    check_tags(tags)
    return tags


def check_tags(tags: dict[str, str]) -> None:
    if any(key.lower().startswith("aws:") for key in tags):
        raise errors.invalid("Parameter Tags is not valid. Reason: Tag keys can't start with 'aws:'.")
    if len(tags) > TAGS_MAX:
        raise errors.invalid(f"Parameter Tags is not valid. Reason: Tags can't have more than {TAGS_MAX} entries.")


async def _tagged(ctx: Context, tx: Reader, text: str) -> tuple[RuleName, Rule] | tuple[BusName, Bus]:
    arn = parse_arn(text)
    if arn is None or arn.service != "events":
        raise errors.invalid("Parameter ResourceARN is not valid. Reason: Provided Arn is not in correct format.")
    rule_at = rule_of_arn(text)
    if rule_at is not None:
        rule = await find_rule(tx, rule_at)
        if rule is None:
            raise errors.no_rule(rule_at.name, rule_at.bus.name)
        return rule_at, rule
    if not arn.resource.startswith("event-bus/"):
        raise errors.invalid("Parameter ResourceARN is not valid. Reason: Provided Arn is not supported.")
    bus_at = bus_of_arn(text)
    bus = await find_bus(tx, bus_at)
    if bus is None:
        raise errors.no_bus(bus_at.name)
    return bus_at, bus


def _save(ctx: Context, tx: Transaction, found: Any) -> None:
    at, record = found
    if isinstance(record, Rule):
        save_rule(ctx, tx, at, record)
    else:
        save_bus(tx, at, record, ctx.now)


async def tag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    found = await _tagged(ctx, tx, request["ResourceARN"])
    tags = {**found[1].tags, **tags_of(request)}
    check_tags(tags)
    found[1].tags = tags
    _save(ctx, tx, found)


async def untag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    found = await _tagged(ctx, tx, request["ResourceARN"])
    found[1].tags = {key: value for key, value in found[1].tags.items() if key not in request["TagKeys"]}
    _save(ctx, tx, found)


async def list_tags_for_resource(ctx: Context, tx: Reader, request: Request) -> Answer:
    found = await _tagged(ctx, tx, request["ResourceARN"])
    return {"Tags": [{"Key": key, "Value": value} for key, value in found[1].tags.items()]}
