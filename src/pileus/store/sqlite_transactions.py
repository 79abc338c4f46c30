"""What an embedded store's callers see of it: readers and transactions, on a cursor of SQLite's, and what they keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from pileus.store.contract import KEY_BYTES_MAX, VALUE_BYTES_MAX

_GET = "SELECT value FROM kv WHERE key = ?"
_SCAN = "SELECT key, value FROM kv WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
_SCAN_BACK = "SELECT key, value FROM kv WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT ?"
# By the number of pairs: those of a transaction or group are put in one statement, as far as it goes, at two thirds of
# the cost. The larger ones are prepared for some numbers only. Their texts are made of question marks alone.
_PAIRS_MAX = 16
_MORE_PAIRS = (64, 32)
_PUTS = {
    pairs: "INSERT INTO kv (key, value) VALUES %s ON CONFLICT (key) DO UPDATE SET value = excluded.value"  # noqa: S608, UP031
    % ", ".join(["(?, ?)"] * pairs)
    for pairs in (*range(1, _PAIRS_MAX + 1), *_MORE_PAIRS)
}
# By the number of keys: several are got by one statement, at half of the cost. (IN would sort them first.)
_GETS = [
    f"SELECT key, value FROM (VALUES {', '.join(['(?)'] * keys)}) CROSS JOIN kv ON key = column1"  # noqa: S608
    for keys in range(_PAIRS_MAX + 1)
]
# So many are got one by one: mostly they are known.
_FEW_KEYS = 2
_DELETE = "DELETE FROM kv WHERE key = ?"
_DELETE_RANGE = "DELETE FROM kv WHERE key >= ? AND key < ?"
# Once a group has put more, it keeps nothing for its end.
_GROUP_BYTES_MAX = 4 * 1024 * 1024
# What readers of a snapshot keep: at most this many values, of at most so many bytes.
_KEPT_MAX = 512
_KEPT_BYTES_MAX = 4096


class SqliteReader:
    __slots__ = ("_cursor",)

    def __init__(self, cursor: apsw.Cursor) -> None:
        """`cursor`: kept, as making one for each statement costs as much as a short statement itself."""
        self._cursor = cursor

    async def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._cursor.execute(_GET, (key,)).get
        return value

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [await self.get(key) for key in keys]

    async def scan(self, start: bytes, end: bytes, *, limit: int, reverse: bool = False) -> list[tuple[bytes, bytes]]:
        if limit < 0:
            raise ValueError(f"a scan's limit is not negative: {limit}")
        rows: list[Any] = self._cursor.execute(_SCAN_BACK if reverse else _SCAN, (start, end, limit)).fetchall()
        return rows


class Kept(dict[bytes, bytes | None]):
    """What keys hold, got from the database where it is not known: most calls get the same few records, of the table
    or bucket they are about, of who asks. Small values only, and few, are kept; whoever has it clears it where they may
    have changed."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: apsw.Cursor) -> None:
        super().__init__()
        self._cursor = cursor

    def __missing__(self, key: bytes) -> bytes | None:
        value: bytes | None = self._cursor.execute(_GET, (key,)).get
        self.keep(key, value)
        return value

    def many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if len(keys) <= _FEW_KEYS:
            return [self[key] for key in keys]
        # So many are of items, and not kept: they would push out what is got again.
        there: dict[bytes, bytes] = {}
        for start in range(0, len(keys), _PAIRS_MAX):
            part = keys[start : start + _PAIRS_MAX]
            there.update(self._cursor.execute(_GETS[len(part)], part))
        return [there.get(key) for key in keys]

    def keep(self, key: bytes, value: bytes | None) -> None:
        if value is None or len(value) <= _KEPT_BYTES_MAX:
            if len(self) >= _KEPT_MAX:
                self.clear()
            self[key] = value
        else:
            self.pop(key, None)


class SnapshotReader(SqliteReader):
    """Reads of one snapshot, in which a key always has the same value. `kept`: until the snapshot ends."""

    __slots__ = ("kept",)

    def __init__(self, cursor: apsw.Cursor) -> None:
        super().__init__(cursor)
        self.kept = Kept(cursor)

    async def get(self, key: bytes) -> bytes | None:
        return self.kept[key]

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return self.kept.many(keys)


class SqliteTransaction(SqliteReader):
    """Writes are kept here until something has to see them in the database, or until the end: then the group has them.

    Most transactions get and put single keys, and so need no savepoint: when they fail, nothing is there to undo.
    """

    __slots__ = ("_before", "_kept", "_over", "_savepoint", "_writes", "callbacks")

    def __init__(self, cursor: apsw.Cursor, kept: Kept, before: Writes) -> None:
        """`kept`: of the transactions before this one, which nobody else can have changed since. `before`: what those
        of the same group have written, and the database has not yet; nothing once there is a savepoint."""
        self._cursor = cursor
        self._kept = kept
        self._before = before
        self._writes = Writes()
        self._savepoint = False
        self._over = False
        self.callbacks: list[Callable[[], None]] = []

    async def get(self, key: bytes) -> bytes | None:
        if key in self._writes:
            return self._writes[key]
        if key in self._before:
            return self._before[key]
        # After a savepoint the database may have what this transaction has written, and others must not see.
        return await super().get(key) if self._savepoint else self._kept[key]

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if self._writes or self._savepoint or not self._before.keys().isdisjoint(keys):
            return await super().get_many(keys)
        return self._kept.many(keys)

    async def scan(self, start: bytes, end: bytes, *, limit: int, reverse: bool = False) -> list[tuple[bytes, bytes]]:
        if self._writes and any(start <= key < end for key in self._writes):
            self._flush()
        elif self._before:
            self._before.apply(self._cursor)
        return await super().scan(start, end, limit=limit, reverse=reverse)

    def put(self, key: bytes, value: bytes) -> None:
        if self._over or type(key) is not bytes or len(key) > KEY_BYTES_MAX:
            self._refuse(key)
        if type(value) is not bytes:
            raise TypeError(f"a value is bytes, not {type(value).__name__}")
        if len(value) > VALUE_BYTES_MAX:
            raise ValueError(f"a value takes at most {VALUE_BYTES_MAX} bytes, not {len(value)}")
        self._writes[key] = value
        self._before.size += len(value)

    def delete(self, key: bytes) -> None:
        if self._over or type(key) is not bytes or len(key) > KEY_BYTES_MAX:
            self._refuse(key)
        self._writes[key] = None

    def delete_range(self, start: bytes, end: bytes) -> None:
        for key in (start, end):
            if self._over or type(key) is not bytes or len(key) > KEY_BYTES_MAX:
                self._refuse(key)
        self._flush()
        self._cursor.execute(_DELETE_RANGE, (start, end))

    def on_commit(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def _refuse(self, key: bytes) -> None:
        if self._over:
            raise RuntimeError("the transaction is over: its function has returned")
        if type(key) is not bytes:
            raise TypeError(f"a key is bytes, not {type(key).__name__}")
        raise ValueError(f"a key takes at most {KEY_BYTES_MAX} bytes, not {len(key)}")

    def _flush(self) -> None:
        if not self._savepoint:
            # It must not be undone with this one.
            self._before.apply(self._cursor)
            self._cursor.execute("SAVEPOINT caller")
            self._savepoint = True
        self._writes.apply(self._cursor)

    def end(self) -> None:
        """Hand the writes to the group."""
        self._over = True
        if self._savepoint:
            # What was written before is not told here by key.
            self._kept.clear()
            self._writes.apply(self._cursor)
            self._cursor.execute("RELEASE caller")
            return
        kept, before = self._kept, self._before
        for key, value in self._writes.items():
            before[key] = value
            # What nobody has got so far may never be: it would only push out what is.
            if key in kept:
                kept.keep(key, value)
        if before.size > _GROUP_BYTES_MAX:
            before.apply(self._cursor)

    def undo(self) -> None:
        self._over = True
        if self._savepoint:
            self._cursor.execute("ROLLBACK TO caller")
            self._cursor.execute("RELEASE caller")


class Writes(dict[bytes, bytes | None]):
    """What is to be written: the value of each key, None where it goes."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        super().__init__()
        # Of a group: of all values that its transactions have put, in bytes; those that are handed on count, too.
        self.size = 0

    def apply(self, cursor: apsw.Cursor) -> None:
        """Write it to the database, and be empty again."""
        # Each key is there once, so their order does not count.
        gone: list[tuple[bytes]] = []
        puts: list[bytes] = []
        for key, value in self.items():
            if value is None:
                gone.append((key,))
            else:
                puts += (key, value)
        if gone:
            cursor.executemany(_DELETE, gone)
        start, left = 0, len(puts) // 2
        while left:
            pairs = next((more for more in _MORE_PAIRS if more <= left), min(left, _PAIRS_MAX))
            cursor.execute(_PUTS[pairs], puts[start : start + 2 * pairs])
            start, left = start + 2 * pairs, left - pairs
        self.clear()
