"""Replays at work: a timer in the outbox puts a part of the archive's events on the bus, and the next timer.

What is put and how far the replay has come are one transaction: no event is left out, none is put twice.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.delivery.contract import Delivery
from pileus.services.events import keys, routing
from pileus.services.events.lookup import find_bus
from pileus.services.events.names import bus_of_arn
from pileus.services.events.records import Replay, decode, encode
from pileus.store.contract import Transaction
from pileus.store.keys import after

TARGET = "events.replay"
# A replay that was just started, or is being cancelled, shows that state for a moment: AWS takes minutes.
BEGIN_AFTER_S = 1.0
EVENTS_PER_STEP = 100


def put_step(cloud: Cloud, tx: Transaction, account: str, region: str, name: str, *, now: float, wait_s: float) -> None:
    payload = {"account": account, "region": region, "name": name}
    cloud.outbox.put(
        tx, target=TARGET, payload=payload, now=now, due=now + wait_s, id=f"events.replay/{account}/{region}/{name}"
    )


async def step(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler."""
    account, region, name = (delivery.payload[part] for part in ("account", "region", "name"))
    now = cloud.clock.time()

    async def work(tx: Transaction) -> None:
        key = keys.replay(account, region, name)
        data = await tx.get(key)
        if data is None:
            return
        replay = decode(Replay, data)
        if replay.state == "CANCELLING":
            replay.state, replay.ended = "CANCELLED", now
        elif replay.state in ("STARTING", "RUNNING"):
            if await _put_events(cloud, tx, replay, now):
                replay.state, replay.ended = "COMPLETED", now
            else:
                replay.state = "RUNNING"
                put_step(cloud, tx, account, region, name, now=now, wait_s=0.0)
        tx.put(key, encode(replay))

    await cloud.store.write(work)


async def _put_events(cloud: Cloud, tx: Transaction, replay: Replay, now: float) -> bool:
    """Put the next events; whether these were the last."""
    bus = bus_of_arn(replay.destination["Arn"])
    if await find_bus(tx, bus) is None:
        return True
    start, end = keys.archived_between(replay.archive_id, int(replay.event_start * 1000), int(replay.event_end * 1000))
    if replay.cursor:
        start = after(replay.cursor)
    entries = await tx.scan(start, end, limit=EVENTS_PER_STEP)
    rules = replay.destination.get("FilterArns") or None
    for key, data in entries:
        event: dict[str, Any] = orjson.loads(data)
        event["replay-name"] = replay.name
        await routing.route(cloud, tx, bus, event, now=now, only=rules)
        replay.cursor = key
        replay.last_replayed = keys.archived_ms(key) / 1000
    return len(entries) < EVENTS_PER_STEP
