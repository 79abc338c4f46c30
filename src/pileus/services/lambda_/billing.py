"""What a month's functions would have cost on AWS.

What was counted (`usage.py`) is added to the store's records, by function and day, some seconds later, so that no
invocation waits for it; an orderly stop writes what is left, a killed node loses the last seconds. Source: "AWS Lambda
pricing"; the prices are in `prices.json`, with their date.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pileus.cloud.context import Cloud
from pileus.services.lambda_ import keys, snapshot_charges
from pileus.services.lambda_.node import node
from pileus.services.lambda_.records import Usage, decode
from pileus.services.lambda_.usage import Place, added, record
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

LOOP = "lambda.keep-usage"
PERIOD_S = 5.0
# Records written in one transaction.
_BATCH = 500
_MB_MS_PER_GB_S = 1024 * 1000
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


async def keep(cloud: Cloud) -> float:
    """Add what was counted to the records; the seconds until there is more, infinite where that will be told."""
    mine = node(cloud)
    provisioned = mine.pool.provisioned()
    mine.usage.provisioned(provisioned, cloud.clock.time())
    counts = mine.usage.take()
    if not counts and not provisioned:
        mine.usage.rest()
        return math.inf
    places = list(counts)
    while places:
        batch = places[:_BATCH]

        async def add(tx: Transaction, batch: list[Place] = batch) -> None:
            for place in batch:
                await record(tx, place, counts[place])

        try:
            await cloud.store.write(add)
        except BaseException:
            mine.usage.put_back({place: counts[place] for place in places})
            raise
        del places[:_BATCH]
    return PERIOD_S


async def page(cloud: Cloud, query: dict[str, str]) -> dict[str, Any]:
    """What `pileus bill` shows; `query`: month, account."""
    month = query.get("month") or f"{datetime.fromtimestamp(cloud.clock.time(), UTC):%Y-%m}"
    if _MONTH.fullmatch(month) is None:
        return {"error": f"{month} is not a month: write it like 2026-11."}
    await keep(cloud)
    await snapshot_charges.count(cloud)
    found: dict[tuple[str, str, str, str], Usage] = {}
    start, end = keys.usage_of_month(month)
    while True:
        page_start = start

        async def read(tx: Reader, start: bytes = page_start) -> list[tuple[bytes, bytes]]:
            return await tx.scan(start, end, limit=_BATCH)

        rows = await cloud.store.read(read)
        for key, data in rows:
            _, account, region, name, architecture = keys.usage_place(key)
            if query.get("account") in (None, "", account):
                place = (account, region, name, architecture)
                former = found.get(place)
                found[place] = decode(Usage, data) if former is None else added(former, decode(Usage, data))
        if len(rows) < _BATCH:
            return bill(month, found)
        start = after(rows[-1][0])


def prices() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(__file__).parent / "prices.json").read_text())
    return found


def bill(month: str, found: dict[tuple[str, str, str, str], Usage]) -> dict[str, Any]:
    """The month, by function and by account; each account has its own free tier and its own tiers of prices."""
    table = prices()
    functions = [_line(table, place, usage) for place, usage in sorted(found.items())]
    accounts = [
        _account(table, account, {place: used for place, used in found.items() if place[0] == account})
        for account in sorted({place[0] for place in found})
    ]
    total = round(sum(each["cost"] for each in accounts), 6)
    head = {name: table[name] for name in ("as_of", "source", "currency")}
    return {"month": month, "prices": head, "functions": functions, "accounts": accounts, "cost": total}


def _line(table: dict[str, Any], place: tuple[str, str, str, str], usage: Usage) -> dict[str, Any]:
    """A function before the free tier, at the prices of the first tier."""
    account, region, name, architecture = place
    costs = _costs(table, architecture, usage)
    return {
        "account": account,
        "region": region,
        "function": name,
        "architecture": architecture,
        "requests": usage.requests,
        "duration_gb_s": _gb_s(usage.duration_mb_ms),
        "provisioned_duration_gb_s": _gb_s(usage.provisioned_duration_mb_ms),
        "provisioned_gb_s": _gb_s(usage.provisioned_mb_ms),
        "ephemeral_storage_gb_s": _gb_s(usage.storage_mb_ms),
        "snapshots_cached_gb_s": _gb_s(usage.cached_mb_ms),
        "snapshots_restored_gb": usage.restored_mb / 1024,
        "cost_before_free_tier": round(
            costs + usage.requests * table["requests_per_million"] / 1e6
            + _gb_s(usage.duration_mb_ms) * table["duration_gb_s"][architecture][0][1],
            6,
        ),
    }  # fmt: skip


def _costs(table: dict[str, Any], architecture: str, usage: Usage) -> float:
    """What no free tier and no tiers of prices count for."""
    cost: float = _gb_s(usage.provisioned_mb_ms) * table["provisioned_gb_s"][architecture]
    cost += _gb_s(usage.provisioned_duration_mb_ms) * table["provisioned_duration_gb_s"][architecture]
    cost += _gb_s(usage.storage_mb_ms) * table["ephemeral_storage_gb_s"]
    cost += _gb_s(usage.cached_mb_ms) * table["snapshot_cached_gb_s"]
    cost += usage.restored_mb / 1024 * table["snapshot_restored_gb"]
    return cost


def _account(table: dict[str, Any], account: str, found: dict[tuple[str, str, str, str], Usage]) -> dict[str, Any]:
    requests = sum(usage.requests for usage in found.values())
    free_requests = min(requests, table["free"]["requests"])
    cost = (requests - free_requests) * table["requests_per_million"] / 1e6
    free_left: float = table["free"]["duration_gb_s"]
    duration = free_duration = 0.0
    for architecture, tiers in table["duration_gb_s"].items():
        used = _gb_s(sum(usage.duration_mb_ms for place, usage in found.items() if place[3] == architecture))
        free = min(used, free_left)
        free_left -= free
        duration, free_duration = duration + used, free_duration + free
        cost += tiered(tiers, used - free)
    cost += sum(_costs(table, place[3], usage) for place, usage in found.items())
    return {
        "account": account,
        "requests": requests,
        "free_requests": free_requests,
        "duration_gb_s": round(duration, 6),
        "free_duration_gb_s": round(free_duration, 6),
        "cost": round(cost, 6),
    }


def tiered(tiers: list[tuple[float | None, float]], amount: float) -> float:
    """`tiers`: so much at this price, the rest at the last one's."""
    cost = 0.0
    for size, price in tiers:
        part = amount if size is None else min(amount, size)
        cost += part * price
        amount -= part
    return cost


def _gb_s(mb_ms: int) -> float:
    return mb_ms / _MB_MS_PER_GB_S
