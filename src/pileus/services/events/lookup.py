"""Finding buses and rules."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Request
from pileus.services.events import errors, keys
from pileus.services.events.names import DEFAULT, BusName, RuleName, bus_name
from pileus.services.events.records import Bus, Rule, decode, encode
from pileus.store.contract import Reader, Transaction

_SCAN = 1000


async def find_bus(tx: Reader, at: BusName) -> Bus | None:
    """The default bus is there in every account and region; nobody made it."""
    data = await tx.get(keys.bus(*at))
    if data is not None:
        return decode(Bus, data)
    return Bus(name=DEFAULT, created=0.0, modified=0.0) if at.name == DEFAULT else None


async def get_bus(tx: Reader, at: BusName) -> Bus:
    bus = await find_bus(tx, at)
    if bus is None:
        raise errors.no_bus(at.name)
    return bus


async def make_default(ctx: Context, tx: Transaction) -> None:
    """Give the default bus of this account and region a record of its own, with the times that are shown."""
    key = keys.bus(ctx.account, ctx.region, DEFAULT)
    if await tx.get(key) is None:
        tx.put(key, encode(Bus(name=DEFAULT, created=ctx.now, modified=ctx.now)))


def save_bus(tx: Transaction, at: BusName, bus: Bus, now: float) -> None:
    bus.created = bus.created or now
    bus.modified = now
    tx.put(keys.bus(*at), encode(bus))


async def find_rule(tx: Reader, at: RuleName) -> Rule | None:
    data = await tx.get(keys.rule(*at.bus, at.name))
    return None if data is None else decode(Rule, data)


async def get_rule(ctx: Context, tx: Reader, request: Request, member: str = "Name") -> tuple[RuleName, Rule]:
    """The rule that a request names, on its bus."""
    at = RuleName(bus_name(ctx, request.get("EventBusName")), request[member])
    await get_bus(tx, at.bus)
    rule = await find_rule(tx, at)
    if rule is None:
        raise errors.no_rule(at.name, at.bus.name)
    return at, rule


def save_rule(ctx: Context, tx: Transaction, at: RuleName, rule: Rule | None) -> None:
    """Keep the rule, or drop it; whoever has the bus's rules in memory sees that they have changed."""
    key = keys.rule(*at.bus, at.name)
    if rule is None:
        tx.delete(key)
    else:
        tx.put(key, encode(rule))
    # Random, not a counter: a transaction that is not committed must leave no version that another will have.
    tx.put(keys.rules_version(*at.bus), ctx.cloud.ids.token_bytes(12))


async def all_rules(tx: Reader, at: BusName, prefix: str = "") -> list[tuple[bytes, bytes]]:
    """The records of a bus's rules, by name."""
    found: list[tuple[bytes, bytes]] = []
    start, end = keys.rules(*at, prefix)
    while True:
        entries = await tx.scan(start, end, limit=_SCAN)
        found += entries
        if len(entries) < _SCAN:
            return found
        start = entries[-1][0] + b"\x00"
