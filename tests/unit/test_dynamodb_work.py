"""Work that goes on after a call: what a dropped table leaves goes in batches, and nothing else does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pileus.delivery.contract import Delivery
from pileus.kernel.clock import VirtualClock
from pileus.services.dynamodb import items, keys, tokens, work
from pileus.services.dynamodb.values import check_item
from pileus.store.contract import Reader, Transaction
from pileus.store.sqlite import open_store

OLD, NEW = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
PLACE = ("000000000000", "us-east-1")


def delivery(**payload: str) -> Delivery:
    whole = {"account": PLACE[0], "region": PLACE[1], **payload}
    return Delivery(id="d", target=work.TARGET, payload=whole, created=0.0, due=0.0)


async def everything(cloud: Any) -> list[bytes]:
    async def read(tx: Reader) -> list[bytes]:
        return [key for key, _ in await tx.scan(b"", b"\xff", limit=10_000)]

    found: list[bytes] = await cloud.store.read(read)
    return found


async def test_clearing_away() -> None:
    cloud: Any = SimpleNamespace(store=open_store(None, "memory"), clock=VirtualClock(1000.0))
    item, size = check_item({"id": {"S": "x"}})

    async def fill(tx: Transaction) -> None:
        for table in (OLD, NEW):
            for number in range(2 * work.BATCH_ITEMS + 7):
                key = keys.item(keys.items(*PLACE, table), f"i{number}", None)
                tx.put(key, items.encode(item, size))
                for index in (b"one", b"two"):
                    tx.put(keys.entry(keys.entries(*PLACE, table, index), "g", None, key), items.encode(item, size))

    await cloud.store.write(fill)
    count = len(await everything(cloud)) // 2
    await work.handle(cloud, delivery(work="sweep-index", table=OLD, index=b"one".hex()))
    assert len(await everything(cloud)) == count + count * 2 // 3
    # Doing it again does no harm.
    for _ in range(2):
        await work.handle(cloud, delivery(work="sweep-table", table=OLD))
        assert len(await everything(cloud)) == count
    assert all(key.startswith((keys.items(*PLACE, NEW), keys.entries(*PLACE, NEW, b"one")[:-8])) for key in (
        await everything(cloud)
    ))  # fmt: skip
    await cloud.store.close()


async def test_tokens_are_forgotten_when_they_count_no_more() -> None:
    clock = VirtualClock(1000.0)
    cloud: Any = SimpleNamespace(store=open_store(None, "memory"), clock=clock)
    later = "000000000001"

    async def remember(tx: Transaction) -> None:
        for number in range(2 * tokens.BATCH_TOKENS + 7):
            await tokens.remember(context(PLACE[0], 1000.0), tx, f"token-{number}", {})
        await tokens.remember(context(later, 1300.0), tx, "token", {})
        await tokens.remember(context(PLACE[0], 1300.0), tx, "token", {})

    def context(account: str, now: float) -> Any:
        return SimpleNamespace(account=account, region=PLACE[1], now=now)

    await cloud.store.write(remember)
    marks = [keys.watch("tokens", account, PLACE[1]) for account in (PLACE[0], later)]
    left = [keys.token(account, PLACE[1], "token") for account in (PLACE[0], later)]
    await tokens.trim(cloud)
    assert len(await everything(cloud)) == 2 * tokens.BATCH_TOKENS + 7 + len(marks) + len(left)
    await clock.advance(600)
    await tokens.trim(cloud)
    assert await everything(cloud) == sorted((*marks, *left))
    await clock.advance(300)
    await tokens.trim(cloud)
    assert await everything(cloud) == []
    await cloud.store.close()
