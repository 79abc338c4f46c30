"""Reading many items: a page goes on in batches, and others have their turn between them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from pileus.cloud.metrics import Metrics
from pileus.kernel.clock import SystemClock
from pileus.services.dynamodb import items, keys, pages, records, schema, tables
from pileus.services.dynamodb.values import check_item
from pileus.store.contract import Transaction
from pileus.store.sqlite import open_store

COUNT = 3000


async def test_a_long_page_holds_nobody_up() -> None:
    store = open_store(None, "memory")
    memory = tables.Memory()
    cloud: Any = SimpleNamespace(
        store=store,
        clock=SystemClock(),
        metrics=Metrics(),
        settings=SimpleNamespace(partition_limits=False),
        part=lambda kind: memory,
    )
    ctx: Any = SimpleNamespace(cloud=cloud, now=0.0, operation="Scan")
    record = records.Table(
        name="table", id="00000000-0000-4000-8000-000000000000", created=0.0, attributes={"id": "S"}, hash="id"
    )
    table = tables.laid_out("000000000000", "us-east-1", record, b"")

    async def fill(tx: Transaction) -> None:
        for number in range(COUNT):
            item, size = check_item({"id": {"S": f"item-{number}"}})
            tx.put(schema.item_key(table.prefix, table.schema, item), items.encode(item, size))

    await store.write(fill)
    plan = pages.Plan(
        request={"TableName": "table"},
        place=pages.Source(table, None),
        span=keys.segment_range(table.prefix, 0, 1),
        keep=None,
        projection=None,
        fetch=False,
    )
    reading = asyncio.create_task(pages.read(ctx, plan))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    answer = reading.result()
    assert (answer["Count"], len(answer["Items"])) == (COUNT, COUNT)
    assert turns >= COUNT // pages.ROWS_MAX
    await store.close()
