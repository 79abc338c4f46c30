"""The rule of a discoverer follows what is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from pileus.services.schemas import discovering, keys
from pileus.services.schemas.records import Discoverer, encode

BUS = "arn:aws:events:us-east-1:111122223333:event-bus/b"
KEY = keys.discoverer("111122223333", "us-east-1", "d")


class World:
    """A store of one record, and the calls that EventBridge gets; the record changes with the first of each list."""

    def __init__(self, *states: str | None) -> None:
        self._states = list(states)
        self._next()
        self.store = self
        self.calls: list[tuple[str, str | None]] = []

    def _next(self) -> None:
        state = self._states.pop(0)
        found = Discoverer(id="d", source_arn=BUS, state=state, cross_account=True) if state else None
        self._data = encode(found) if found else None

    async def read(self, look: Callable[[Any], Awaitable[Any]]) -> Any:
        return await look(self)

    async def get(self, key: bytes) -> bytes | None:
        assert key == KEY
        return self._data

    async def call(self, principal: Any, service: str, operation: str, request: dict[str, Any], *, region: str) -> None:
        assert (principal.account, service, request["EventBusName"], region) == (
            "111122223333",
            "events",
            BUS,
            "us-east-1",
        )
        self.calls.append((operation, request.get("State")))
        if self._states and operation in ("PutRule", "DeleteRule"):
            self._next()


def calls(*states: str | None) -> list[tuple[str, str | None]]:
    cloud: Any = World(*states)
    delivery: Any = SimpleNamespace(payload={"id": "d", "source": BUS})
    asyncio.run(discovering.keep_later(cloud, delivery))
    return [each for each in cloud.calls if each[0] in ("PutRule", "DeleteRule")]


def test_what_a_node_that_died_left_undone_is_done() -> None:
    assert calls("STOPPED") == [("PutRule", "DISABLED")]
    assert calls(None) == [("DeleteRule", None)]


def test_what_changes_meanwhile_counts() -> None:
    assert calls("STOPPED", "STARTED") == [("PutRule", "DISABLED"), ("PutRule", "ENABLED")]
    assert calls("STARTED", None) == [("PutRule", "ENABLED"), ("DeleteRule", None)]
    assert calls(None, "STARTED") == [("DeleteRule", None), ("PutRule", "ENABLED")]
