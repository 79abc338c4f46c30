"""A cache that forgets what has grown too old, and what was used least when it is full."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, NamedTuple

# Of each of a cluster's two caches, bytes of what is kept (as JSON).
BYTES_MAX = 64 << 20
# What every entry costs beside its contents.
_OVERHEAD_BYTES = 400


class _Entry(NamedTuple):
    value: Any
    size: int
    # By the clock's monotonic seconds.
    expires: float


class Cache:
    """`value`s by key; those of one `group` can be dropped together."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._entries: OrderedDict[tuple[Hashable, Hashable], _Entry] = OrderedDict()
        self._groups: dict[Hashable, set[Hashable]] = {}
        self._bytes = 0
        # Counts what was dropped: a value that was asked for before it must not be put in after it.
        self.version = 0

    def get(self, group: Hashable, key: Hashable, now: float) -> Any:
        """The value, or None where there is none that is fresh."""
        entry = self._entries.get((group, key))
        if entry is None:
            return None
        if entry.expires <= now:
            self._remove((group, key))
            return None
        self._entries.move_to_end((group, key))
        return entry.value

    def put(self, group: Hashable, key: Hashable, value: Any, *, size: int, now: float, ttl_s: float) -> None:
        """`ttl_s` 0: until it is dropped or makes room. What is too large for the cache is not kept."""
        size += _OVERHEAD_BYTES
        place = (group, key)
        if place in self._entries:
            self._remove(place)
        if size > self._bytes_max:
            return
        self._entries[place] = _Entry(value, size, now + ttl_s if ttl_s else math.inf)
        self._groups.setdefault(group, set()).add(key)
        self._bytes += size
        while self._bytes > self._bytes_max:
            self._remove(next(iter(self._entries)))

    def drop(self, group: Hashable) -> None:
        self.version += 1
        for key in list(self._groups.get(group, ())):
            self._remove((group, key))

    def clear(self) -> None:
        self.version += 1
        self._entries.clear()
        self._groups.clear()
        self._bytes = 0

    def _remove(self, place: tuple[Hashable, Hashable]) -> None:
        self._bytes -= self._entries.pop(place).size
        group, key = place
        keys = self._groups[group]
        keys.discard(key)
        if not keys:
            del self._groups[group]
