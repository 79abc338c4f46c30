"""Signals: who listens is woken, nobody else, and nothing stays behind."""

from __future__ import annotations

import asyncio

from pileus.kernel.signals import Signals


def test_a_signal_wakes_every_listener_of_its_topic_and_no_other() -> None:
    async def run() -> tuple[bool, bool, bool]:
        signals = Signals()
        with signals.listen("a") as first, signals.listen("a") as second, signals.listen("b") as other:
            signals.fire("a")
            return first.is_set(), second.is_set(), other.is_set()

    assert asyncio.run(run()) == (True, True, False)


def test_a_signal_nobody_hears_is_not_kept() -> None:
    async def run() -> bool:
        signals = Signals()
        signals.fire("a")
        with signals.listen("a"):
            pass
        signals.fire("a")
        with signals.listen("a") as event:
            return event.is_set()

    assert asyncio.run(run()) is False
