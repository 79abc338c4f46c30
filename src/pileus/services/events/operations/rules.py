"""Rules.

Source: the API reference's pages of these operations; recorded answers.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.delivery.cron import InvalidSchedule, parse_schedule
from pileus.delivery.event_patterns import InvalidPattern, compile_pattern
from pileus.services.events import errors, keys, paging
from pileus.services.events.lookup import find_rule, get_bus, get_rule, save_rule
from pileus.services.events.names import DEFAULT, BusName, RuleName, bus_name
from pileus.services.events.operations.tags import tags_of
from pileus.services.events.records import Rule, decode
from pileus.services.events.timers import drop_timer, set_timer
from pileus.store.contract import Reader, Transaction

# What a service says with a rule that only it may change; no client can say it.
MANAGED_BY = "ManagedBy"


def check_pattern(text: str) -> None:
    try:
        compile_pattern(text)
    except InvalidPattern as reason:
        raise errors.bad_pattern(reason) from None


async def put_rule(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = RuleName(bus_name(ctx, request.get("EventBusName")), request["Name"])
    pattern, schedule = request.get("EventPattern") or "", request.get("ScheduleExpression") or ""
    if not pattern and not schedule:
        raise errors.invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if schedule:
        if at.bus.name != DEFAULT:
            raise errors.invalid("ScheduleExpression is supported only on the default event bus.")
        try:
            parse_schedule(schedule)
        except InvalidSchedule:
            raise errors.invalid("Parameter ScheduleExpression is not valid.") from None
    if pattern:
        check_pattern(pattern)
    await get_bus(tx, at.bus)
    former = await find_rule(tx, at)
    check_manager(former, request)
    tags = tags_of(request)
    # What the request leaves out a rule has no more; its targets and tags stay.
    rule = Rule(
        name=at.name,
        bus=at.bus.name,
        state=request.get("State", "ENABLED"),
        created=ctx.now if former is None else former.created,
        created_by=ctx.account if former is None else former.created_by,
        pattern=pattern,
        schedule=schedule,
        description=request.get("Description", ""),
        role=request.get("RoleArn", ""),
        managed_by=request.get(MANAGED_BY, ""),
        tags=tags if former is None else former.tags,
        targets={} if former is None else former.targets,
    )
    if former is not None and former.timer and (former.schedule, former.state) == (rule.schedule, rule.state):
        # The same schedule goes on.
        rule.timer = former.timer
    else:
        await set_timer(ctx, tx, at, rule)
    save_rule(ctx, tx, at, rule)
    return {"RuleArn": at.arn}


def check_manager(rule: Rule | None, request: Request) -> None:
    """Raises ManagedRuleException where another may change the rule."""
    if rule is not None and rule.managed_by and rule.managed_by != request.get(MANAGED_BY):
        raise errors.managed(rule.name)


def _shown(bus: BusName, rule: Rule) -> Answer:
    shown: Answer = {"Name": rule.name, "Arn": bus.rule_arn(rule.name), "State": rule.state, "EventBusName": rule.bus}
    for member, value in (
        ("EventPattern", rule.pattern),
        ("ScheduleExpression", rule.schedule),
        ("Description", rule.description),
        ("RoleArn", rule.role),
        ("ManagedBy", rule.managed_by),
    ):
        if value:
            shown[member] = value
    return shown


async def describe_rule(ctx: Context, tx: Reader, request: Request) -> Answer:
    at, rule = await get_rule(ctx, tx, request)
    return {**_shown(at.bus, rule), "CreatedBy": rule.created_by}


async def list_rules(ctx: Context, tx: Reader, request: Request) -> Answer:
    bus = bus_name(ctx, request.get("EventBusName"))
    await get_bus(tx, bus)
    span = keys.rules(*bus, request.get("NamePrefix", ""))
    found, token = await paging.page(tx, request, span, lambda data: _shown(bus, decode(Rule, data)))
    return paging.answer("Rules", found, token)


async def list_rule_names_by_target(ctx: Context, tx: Reader, request: Request) -> Answer:
    bus = bus_name(ctx, request.get("EventBusName"))
    await get_bus(tx, bus)

    def show(data: bytes) -> str | None:
        rule = decode(Rule, data)
        has = any(target["Arn"] == request["TargetArn"] for target in rule.targets.values())
        return rule.name if has else None

    found, token = await paging.page(tx, request, keys.rules(*bus), show)
    return paging.answer("RuleNames", found, token)


async def enable_rule(ctx: Context, tx: Transaction, request: Request) -> None:
    await _set_state(ctx, tx, request, "ENABLED")


async def disable_rule(ctx: Context, tx: Transaction, request: Request) -> None:
    await _set_state(ctx, tx, request, "DISABLED")


async def _set_state(ctx: Context, tx: Transaction, request: Request, state: str) -> None:
    at, rule = await get_rule(ctx, tx, request)
    _check_managed(rule, request)
    if rule.enabled != (state == "ENABLED"):
        rule.state = state
        await set_timer(ctx, tx, at, rule)
        save_rule(ctx, tx, at, rule)


def _check_managed(rule: Rule, request: dict[str, Any]) -> None:
    if rule.managed_by and not request.get("Force"):
        raise errors.managed(rule.name)


async def delete_rule(ctx: Context, tx: Transaction, request: Request) -> None:
    at = RuleName(bus_name(ctx, request.get("EventBusName")), request["Name"])
    await get_bus(tx, at.bus)
    rule = await find_rule(tx, at)
    if rule is None:
        return
    _check_managed(rule, request)
    if rule.targets:
        raise errors.invalid("Rule can't be deleted since it has targets.")
    await drop_timer(ctx, tx, at)
    save_rule(ctx, tx, at, None)
