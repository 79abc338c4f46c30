"""The outbox: deliveries are put into the transaction that causes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pileus.delivery import records
from pileus.delivery.contract import Delivery
from pileus.kernel.ids import Ids
from pileus.store.contract import Store, Transaction


async def open_outbox(store: Store, *, ids: Ids) -> StoreOutbox:
    """The outbox of this process; what earlier ones have put comes before what this one puts."""
    return StoreOutbox(await store.write(records.next_start), ids)


class StoreOutbox:
    """See `pileus.delivery.contract.Outbox`."""

    def __init__(self, first_seq: int, ids: Ids) -> None:
        self._seq = first_seq
        self._ids = ids
        # Told after the commit: something for this target is due at that time. The deliverer sets it.
        self.notice: Callable[[str, float], None] = lambda target, due: None

    def put(
        self,
        tx: Transaction,
        *,
        target: str,
        payload: dict[str, Any],
        now: float,
        due: float | None = None,
        id: str | None = None,
        order: str = "",
        attempts_max: int = 0,
        age_max_s: float = 24 * 3600.0,
        backoff_s: tuple[float, ...] = (),
        dead_target: str = "",
    ) -> str:
        self._seq += 1
        when = float(now if due is None else due)
        delivery = Delivery(
            id=self._ids.hex(32) if id is None else id,
            target=target,
            payload=payload,
            order=order,
            created=now,
            due=when,
            attempts_max=attempts_max,
            age_max_s=age_max_s,
            backoff_s=backoff_s,
            dead_target=dead_target,
        )
        records.put(tx, records.Record(records.VERSION, self._seq, delivery, since=max(now, when)))
        tx.on_commit(lambda: self.notice(target, when))
        return delivery.id

    async def cancel(self, tx: Transaction, id: str) -> bool:
        record = await records.read(tx, id)
        if record is None:
            return False
        await records.remove(tx, record)
        # The next of its line may be due.
        tx.on_commit(lambda: self.notice(record.delivery.target, 0.0))
        return True
