"""Archives: a managed rule for each, which takes what matches and is not replayed already; and replaying it.

Source: "Archiving and replaying events in Amazon EventBridge" of the EventBridge user guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.services.events import keys
from pileus.services.events.names import ARCHIVES_MANAGER, BusName, archive_arn
from pileus.services.events.records import Archive, ArchiveSize, Rule, decode, encode
from pileus.store.contract import Reader, Transaction

_RULE = "Events-Archive-"
# What a time counts in an event's size: "Calculating PutEvents event entry size".
TIME_BYTES = 14


def rule_name(archive: str) -> str:
    return f"{_RULE}{archive}"


def make_rule(archive: Archive, bus: BusName, now: float) -> Rule:
    """The rule through which an archive gets its events, as AWS shows it."""
    pattern = orjson.loads(archive.pattern) if archive.pattern else {}
    pattern["replay-name"] = [{"exists": False}]
    template = (
        f'{{"archive-arn":"{archive_arn(bus.account, bus.region, archive.name)}:{archive.id}",'
        '"event":<aws.events.event.json>,"ingestion-time":<aws.events.event.ingestion-time>}'
    )
    name = rule_name(archive.name)
    return Rule(
        name=name,
        bus=bus.name,
        state="ENABLED",
        created=now,
        created_by=bus.account,
        pattern=orjson.dumps(pattern).decode(),
        managed_by=ARCHIVES_MANAGER,
        targets={
            name: {
                "Id": name,
                "Arn": f"arn:aws:events:{bus.region}:::",
                "InputTransformer": {"InputPathsMap": {}, "InputTemplate": template},
            }
        },
    )


async def keep(cloud: Cloud, tx: Transaction, bus: BusName, rule: Rule, event: dict[str, Any], now: float) -> None:
    """Put an event into the archive of `rule`."""
    data = await tx.get(keys.archive(bus.account, bus.region, rule.name.removeprefix(_RULE)))
    if data is None:
        return
    archive = decode(Archive, data)
    tx.put(keys.archived(archive.id, int(now * 1000), cloud.ids.hex(16)), orjson.dumps(event))
    size = await size_of(tx, archive.id)
    size.events += 1
    size.bytes += size_of_event(event)
    tx.put(keys.archive_size(archive.id), encode(size))


def size_of_event(event: Mapping[str, Any]) -> int:
    """The bytes that an event counts in an archive: what `PutEvents` counts, with its time and its account (a recorded
    answer's ten events have 159 each).
    """
    texts = (event["source"], event["detail-type"], event["account"], *event["resources"])
    return TIME_BYTES + len(orjson.dumps(event["detail"])) + sum(len(text.encode()) for text in texts)


async def size_of(tx: Reader, archive_id: str) -> ArchiveSize:
    data = await tx.get(keys.archive_size(archive_id))
    return ArchiveSize() if data is None else decode(ArchiveSize, data)
