"""From an event on a bus to deliveries to the targets of the rules that it matches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.delivery.event_patterns import Leaves
from pileus.kernel.arn import parse_arn
from pileus.services.events import archiving, metrics
from pileus.services.events.book import Books
from pileus.services.events.names import ARCHIVES_MANAGER, BusName
from pileus.services.events.records import Rule
from pileus.store.contract import Transaction

# "By default, EventBridge retries sending the event for 24 hours and up to 185 times".
RETRIES = 185
AGE_MAX_S = 24 * 3600
DEAD_TARGET = "events.dead"
# Each kind of target has deliveries of its own, so that one that is slow holds up no other.
KINDS = ("lambda", "sqs", "sns", "logs", "bus", "api-destination", "schemas", "other")


def target_name(kind: str) -> str:
    return f"events.{kind}"


def kind_of(arn_text: str) -> str:
    arn = parse_arn(arn_text)
    if arn is None:
        return "other"
    if arn.service == "events":
        return "api-destination" if arn.resource.startswith("api-destination/") else "bus"
    return arn.service if arn.service in KINDS else "other"


def shown_time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def route(
    cloud: Cloud,
    tx: Transaction,
    bus: BusName,
    event: dict[str, Any],
    *,
    now: float,
    way: Sequence[str] = (),
    trace: str = "",
    only: Collection[str] | None = None,
) -> int:
    """Put a delivery for each target of each rule that `event` matches; returns how many rules do.

    `way`: the buses that the event has come through. `only`: the rules (ARNs) that count.
    """
    book = await cloud.part(Books).of(tx, bus)
    matched = 0
    for name in book.index.match(Leaves(event)):
        rule = book.rules[name]
        rule_arn = bus.rule_arn(name)
        if only is not None and rule_arn not in only:
            continue
        matched += 1
        tx.on_commit(partial(_count, cloud, rule_arn))
        if rule.managed_by == ARCHIVES_MANAGER:
            await archiving.keep(cloud, tx, bus, rule, event, now)
        else:
            put_deliveries(cloud, tx, rule_arn, rule, event, now=now, way=(*way, bus.arn), trace=trace)
    return matched


def _count(cloud: Cloud, rule_arn: str) -> None:
    metrics.count(cloud, metrics.MATCHED_EVENTS, rule_arn)
    metrics.count(cloud, metrics.TRIGGERED_RULES, rule_arn)


def put_deliveries(
    cloud: Cloud,
    tx: Transaction,
    rule_arn: str,
    rule: Rule,
    event: Mapping[str, Any],
    *,
    now: float,
    way: Sequence[str] = (),
    trace: str = "",
) -> None:
    text = orjson.dumps(event).decode()
    for target in rule.targets.values():
        retry = target.get("RetryPolicy") or {}
        cloud.outbox.put(
            tx,
            target=target_name(kind_of(target["Arn"])),
            payload={
                "rule": rule_arn,
                "name": rule.name,
                "target": target,
                "event": text,
                "ingested": shown_time(now),
                "way": list(way),
                "trace": trace,
            },
            now=now,
            attempts_max=1 + retry.get("MaximumRetryAttempts", RETRIES),
            age_max_s=float(retry.get("MaximumEventAgeInSeconds", AGE_MAX_S)),
            dead_target=DEAD_TARGET,
        )
