"""The store's contract: one ordered, transactional key-value space (the model of FoundationDB).

Keys and values are bytes. Keys are built with `pileus.store.keys.pack`, which keeps the order of tuples, and only in a
service's `keys.py`. A transaction sees one consistent snapshot and its own writes, and commits whole or not at all.

The functions given to `read` and `write` are async so that one code serves every engine; on sqlite they never suspend.
They may only await the transaction's own methods: no other I/O, no locks, no clock. A function given to `write` may be
run again after a conflict, so it has no effect outside the transaction; `on_commit` is for what must follow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")

# Longest key and value that every engine takes, bytes. DynamoDB's longest key is 3 KB, its longest item 400 KB.
KEY_BYTES_MAX = 8 * 1024
VALUE_BYTES_MAX = 16 * 1024 * 1024


class StoreUnavailable(Exception):
    """The store cannot do what was asked: the disk is full or fails, the data is in use or of another format.

    A write that ends so is not acknowledged; the text is one line for a person.
    """


class Reader(Protocol):
    """A consistent snapshot."""

    async def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        ...

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values at `keys`, in their order."""
        ...

    async def scan(self, start: bytes, end: bytes, *, limit: int, reverse: bool = False) -> list[tuple[bytes, bytes]]:
        """At most `limit` pairs with start <= key < end, in key order, or from the end backwards with `reverse`.

        To go on, scan again from `after(last_key)` (forwards) or up to `last_key` (backwards).
        """
        ...


class Transaction(Reader, Protocol):
    """A snapshot and the writes made in it. Writes are seen by later reads of the same transaction."""

    def put(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes) -> None:
        """Remove `key`; no error where it is not there."""
        ...

    def delete_range(self, start: bytes, end: bytes) -> None:
        """Remove every key with start <= key < end."""
        ...

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call back on the event loop once the commit is durable; never called when the transaction is not committed.

        For nudging loops and dropping cached values; the process may die before it runs.
        """
        ...


class Store(Protocol):
    async def read(self, fn: Callable[[Reader], Awaitable[T]]) -> T:
        """Run `fn` on a snapshot of what is committed now."""
        ...

    async def write(self, fn: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `fn` in one transaction; returns only after the commit is durable.

        An exception out of `fn` rolls back everything it did and is raised here. A caller that is cancelled while it
        waits does not know whether the commit happened; no other caller is harmed.
        """
        ...

    def rest(self) -> bool:
        """Called now and then: give back the memory that only traffic needs, where there was little since the last
        call. Whether there was little."""
        ...

    async def close(self) -> None: ...
