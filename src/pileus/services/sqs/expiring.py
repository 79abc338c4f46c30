"""Messages past their retention are removed, in every queue, some of them in each transaction.

Where messages lie in the order of their age, a look at the first one tells. Else the whole queue is gone through, which
takes its time: not again before its oldest message's end, and at most one tenth of the time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from pileus.cloud.context import Cloud
from pileus.services.sqs.messages import kind_of
from pileus.services.sqs.places import Swept
from pileus.services.sqs.queues import Live, counts_of, find_at
from pileus.services.sqs.records import encode
from pileus.store.contract import Transaction

# Keys removed in one transaction: others have their turn in between.
BATCH = 500
# A queue that is gone through is so at least that often: messages that were in flight come back old.
_PASS_MS_MAX = 60 * 60 * 1000

Place = tuple[str, str, str]


@dataclass(slots=True)
class _Pass:
    """How far a queue has been gone through; lost with the node, which then begins anew."""

    data: str
    started: int
    start: bytes | None = None
    oldest: int = 0
    # Not again before.
    next: int = 0


class Passes:
    """The node's are in `cloud.parts`."""

    def __init__(self) -> None:
        self.places: dict[Place, _Pass] = {}

    def keep(self, places: Collection[Place]) -> None:
        """Forget queues that are not among these: they are gone."""
        for place in self.places.keys() - places:
            del self.places[place]


async def expire(cloud: Cloud, place: Place) -> bool:
    """Remove what is past the retention in a queue, for one transaction's length; whether there may be more."""
    now = int(cloud.clock.time() * 1000)
    passes = cloud.part(Passes).places
    known = passes.get(place)
    if known is not None and known.start is None and now < known.next:
        return False
    found = await cloud.store.write(partial(_expire, cloud, place, now, known))
    if found is None:
        passes.pop(place, None)
        return False
    queue, mixed, swept = found
    if not mixed:
        passes.pop(place, None)
        return swept.start is not None
    if known is None or known.start is None or known.data != queue.data:
        known = passes[place] = _Pass(queue.data, now, oldest=now)
    known.start, known.oldest = swept.start, min(known.oldest, swept.oldest)
    if known.start is not None:
        return True
    wait = max(known.oldest + queue.retention_ms - now, 10 * (now - known.started))
    known.next = now + min(wait, _PASS_MS_MAX)
    return False


async def _expire(
    cloud: Cloud, place: Place, now: int, known: _Pass | None, tx: Transaction
) -> tuple[Live, bool, Swept] | None:
    queue = await find_at(cloud, tx, *place)
    if queue is None:
        return None
    counts = await counts_of(tx, queue)
    start = known.start if known is not None and known.data == queue.data else None
    swept: Swept = await kind_of(queue).expire(tx, queue, counts, now, start, BATCH)
    if swept.removed:
        tx.put(queue.counts_key, encode(counts))
    return queue, counts.mixed, swept
