"""The rounds of message groups in standard queues: fair, and forgotten with a group's last message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pileus.services.sqs import standard
from pileus.services.sqs.places import Taken
from pileus.services.sqs.queues import Live
from pileus.services.sqs.records import Content, Counts, Entry, Queue, encode
from pileus.store.contract import Transaction
from pileus.store.keys import range_onto
from pileus.store.sqlite import open_store

QUEUE = Live("000000000000", "us-east-1", encode(Queue(name="q", id="i" * 16, data="d" * 16, created=0, modified=0)))
DAY_MS = 24 * 60 * 60 * 1000


class Lab:
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self.counts = Counts(data=QUEUE.data)

    async def send(self, group: str, now: int = 0) -> None:
        content = Content(id="m", body=group, md5="", group=group)
        await standard.put(self.tx, QUEUE, self.counts, Entry(sent=now), content, due=0)

    async def receive(self, limit: int = 1, now: int = 0, receives_max: int = 0) -> list[Taken]:
        given_up: list[Taken] = []
        return await standard.take(
            self.tx,
            QUEUE,
            self.counts,
            limit=limit,
            now=now,
            due=now + 1,
            receives_max=receives_max,
            given_up=given_up,
        )

    async def groups(self) -> int:
        return len(await self.tx.scan(*range_onto(QUEUE.round), limit=1000))


def run(body: Callable[[Lab], Awaitable[None]]) -> None:
    async def main() -> None:
        store = open_store(None, "memory")

        async def inside(tx: Transaction) -> Any:
            await body(Lab(tx))

        await store.write(inside)
        await store.close()

    asyncio.run(main())


def names(taken: list[Taken]) -> list[str]:
    return [one.content.group for one in taken]


def test_a_quiet_group_does_not_wait_for_a_noisy_one() -> None:
    async def body(lab: Lab) -> None:
        for _ in range(100):
            await lab.send("noisy")
        assert names(await lab.receive(10)) == ["noisy"] * 10
        for _ in range(2):
            await lab.send("quiet")
        assert names(await lab.receive(4)).count("quiet") == 2

    run(body)


def test_a_group_is_forgotten_once_its_last_message_is_handed_out() -> None:
    async def body(lab: Lab) -> None:
        for number in range(50):
            await lab.send(f"g{number}")
        await lab.send("g0")
        assert await lab.groups() == 50
        for _ in range(50):
            await lab.receive()
        assert await lab.groups() == 1
        await lab.receive()
        assert await lab.groups() == 0

    run(body)


def test_a_group_is_forgotten_with_what_expires_and_what_is_given_up() -> None:
    async def body(lab: Lab) -> None:
        for number in range(20):
            await lab.send(f"g{number}")
        swept = await standard.expire(lab.tx, QUEUE, lab.counts, 4 * DAY_MS, None, 15)
        assert (swept.removed, await lab.groups(), lab.counts.visible) == (15, 5, 5)
        assert await lab.receive(now=4 * DAY_MS) == []
        assert (await lab.groups(), lab.counts.visible) == (0, 0)
        await lab.send("again", now=4 * DAY_MS)
        await lab.receive(now=4 * DAY_MS)
        await standard.promote(lab.tx, QUEUE, lab.counts, 4 * DAY_MS + 1, 10)
        assert await lab.receive(now=4 * DAY_MS + 1, receives_max=1) == []
        assert (await lab.groups(), lab.counts.visible, lab.counts.in_flight) == (0, 0, 0)

    run(body)
