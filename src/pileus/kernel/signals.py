"""Signals between parts of one node: something that others wait for has happened.

Nothing is carried and nothing is kept: who waits looks for what there is in the store, whose commit comes first. So a
signal that nobody hears, or that comes twice, does no harm, and one of another node is made up for by a slow look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Signals:
    """By topic: the ARN of what has changed. Used on the event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def fire(self, topic: str) -> None:
        """Wake who listens to `topic`; cheap where nobody does."""
        for event in self._waiting.get(topic, ()):
            event.set()

    @contextmanager
    def listen(self, topic: str) -> Iterator[asyncio.Event]:
        """An event that is set by every signal of `topic` until the end; clear it before looking."""
        event = asyncio.Event()
        self._waiting.setdefault(topic, set()).add(event)
        try:
            yield event
        finally:
            waiting = self._waiting[topic]
            waiting.discard(event)
            if not waiting:
                del self._waiting[topic]
