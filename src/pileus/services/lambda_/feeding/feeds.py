"""The node's feeds: which event source mappings there are, and that each of them that is enabled is read from.

What a mapping should do is in the store; what it does is a `Feed` here. Applying brings the second in line with the
first and moves the state on: `Creating` to `Enabled`, `Disabling` to `Disabled`, `Deleting`, after a moment in which it
can still be seen, to gone. It happens after each change on this node, and for all mappings once a minute, which is for
those that another node changed or a killed one left half done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pileus.cloud.context import Cloud
from pileus.kernel.clock import VirtualClock
from pileus.services.lambda_ import keys
from pileus.services.lambda_.feeding.feed import Feed
from pileus.services.lambda_.feeding.queue_feed import QueueFeed
from pileus.services.lambda_.feeding.sources import is_broker, is_kafka, is_queue
from pileus.services.lambda_.feeding.stream_feed import StreamFeed
from pileus.services.lambda_.records import EventSource, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

SCAN_LIMIT = 500
AT_ONCE = 64
# How long a mapping that is deleted is still there: who asks for it right after is told so, as at AWS.
DELETING_S = 5.0

log = logging.getLogger("pileus.lambda")

# Account, region and id of a mapping.
Place = tuple[str, str, str]


class Feeds:
    """`cloud.part(Feeds)`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._feeds: dict[Place, Feed] = {}
        self._locks: dict[Place, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Those that wait for a time.
        self._waiting: set[asyncio.Task[None]] = set()
        self._closed = False
        if isinstance(cloud.clock, VirtualClock):
            cloud.clock.watch(self._busy)

    def changed(self, place: Place) -> None:
        """The mapping has been changed, or has come or gone."""
        if self._closed:
            return
        task = asyncio.get_running_loop().create_task(self._apply_or_log(place))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _change_later(self, place: Place, after_s: float) -> None:
        async def wait() -> None:
            await self._cloud.clock.sleep(after_s)
            self.changed(place)

        task = asyncio.get_running_loop().create_task(wait())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def apply_all(self) -> None:
        """Look at every mapping of this node."""
        found: set[Place] = set()
        start, end = keys.all_fed()
        while True:
            page_start = start

            async def page(tx: Reader, start: bytes = page_start) -> list[tuple[bytes, bytes]]:
                return await tx.scan(start, end, limit=SCAN_LIMIT)

            rows = await self._cloud.store.read(page)
            found.update(keys.fed_of(key) for key, _ in rows)
            if len(rows) < SCAN_LIMIT:
                break
            start = after(rows[-1][0])
        # Many at once: one whose source does not answer holds up no other.
        places = sorted(found | self._feeds.keys())
        for first in range(0, len(places), AT_ONCE):
            await asyncio.gather(*(self._apply_or_log(place) for place in places[first : first + AT_ONCE]))

    async def close(self) -> None:
        """Read no more; what functions are doing they go on doing."""
        self._closed = True
        tasks = [*self._tasks, *self._waiting]
        for task in tasks:
            task.cancel()
        for feed in self._feeds.values():
            feed.cancel()
        await asyncio.gather(*tasks, *(feed.ended() for feed in self._feeds.values()), return_exceptions=True)

    def _busy(self) -> list[asyncio.Task[None]]:
        return [*self._tasks, *(task for feed in self._feeds.values() for task in feed.busy())]

    async def _apply_or_log(self, place: Place) -> None:
        try:
            await self._apply(place)
        except Exception:  # the next round tries again
            log.exception("an event source mapping could not be looked at", extra={"details": {"id": place[2]}})

    async def _apply(self, place: Place) -> None:
        lock = self._locks.setdefault(place, asyncio.Lock())
        async with lock:
            mapping = await self._cloud.store.read(lambda tx: find_mapping(tx, place))
            feed = self._feeds.get(place)
            if feed is not None and (mapping is None or feed.mapping.revision != mapping.revision):
                await feed.stop()
                del self._feeds[place]
                feed = None
            if mapping is None or self._closed:
                self._locks.pop(place, None)
                return
            if feed is None and mapping.enabled and mapping.state != "Deleting":
                feed = self._feeds[place] = _kind_of(mapping)(self._cloud, place[0], place[1], mapping)
                await feed.start()
            if mapping.state not in ("Enabled", "Disabled"):
                later_s = await self._cloud.store.write(lambda tx: self._settle(tx, place, mapping.revision))
                if later_s:
                    self._change_later(place, later_s)

    async def _settle(self, tx: Transaction, place: Place, revision: str) -> float:
        """Move the state on to where it was going, unless the mapping has been changed meanwhile.

        Returns in how many seconds it is to be tried again; 0 where all is done.
        """
        mapping = await find_mapping(tx, place)
        if mapping is None or mapping.revision != revision:
            return 0.0
        if mapping.state != "Deleting":
            mapping.state = "Enabled" if mapping.enabled else "Disabled"
            tx.put(keys.event_source(*place), encode(mapping))
            return 0.0
        left_s = mapping.modified + DELETING_S - self._cloud.clock.time()
        if 0 < left_s <= DELETING_S:
            return left_s
        remove_mapping(tx, place)
        return 0.0


def _kind_of(mapping: EventSource) -> type[Feed]:
    if is_kafka(mapping):
        # Its library is large, and rarely there.
        from pileus.services.lambda_.feeding.kafka_feed import KafkaFeed

        return KafkaFeed
    if is_broker(mapping.source):
        from pileus.services.lambda_.feeding.broker_feed import BrokerFeed

        return BrokerFeed
    return QueueFeed if is_queue(mapping.source) else StreamFeed


async def find_mapping(tx: Reader, place: Place) -> EventSource | None:
    data = await tx.get(keys.event_source(*place))
    return decode(EventSource, data) if data is not None else None


def remove_mapping(tx: Transaction, place: Place) -> None:
    tx.delete(keys.event_source(*place))
    tx.delete_range(*keys.stream_places(*place))
    tx.delete(keys.fed(*place))


def changes(cloud: Cloud, place: Place) -> Callable[[], None]:
    """For `tx.on_commit`."""
    return lambda: cloud.part(Feeds).changed(place)
