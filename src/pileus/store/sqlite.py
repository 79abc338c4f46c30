"""The embedded store: SQLite, for one process.

Everything runs on one event loop's thread except what waits for the disk. The transactions of all callers that are
ready at the same time form a group: each runs on its caller's task, one after the other, in one SQLite transaction; at
the end of the loop's turn it is committed, with one sync for all of them; then all callers are told. What a group
writes is kept until then, or until one of it has to see it in the database: SQLite takes it in few statements.

A disk that syncs in less time than it takes to hand a commit to a thread and to hear of its end is waited for; a slower
one by a thread, and callers that come meanwhile form the next group. With durability `relaxed` nothing waits for the
disk; in `memory` there is nothing to gain by groups.

Reads have a connection and so a snapshot of their own; it is renewed before the callers of a commit are told of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import apsw

from pileus.kernel.settings import Durability
from pileus.store.contract import Reader, StoreUnavailable, Transaction
from pileus.store.sqlite_files import Log, Worker, lock_folder, open_database
from pileus.store.sqlite_transactions import Kept, SnapshotReader, SqliteReader, SqliteTransaction, Writes

T = TypeVar("T")

_log = logging.getLogger(__name__)

# A commit is done on the loop's thread if it is of no more bytes, and the last one that was took no longer than a quick
# sync and what writing a row, and a byte, take at most. If it did, commits go to a thread for a hundred times as long.
_IN_PLACE_BYTES_MAX = 256 * 1024
_QUICK_SYNC_S = 300e-6
_ROW_S = 10e-6
_BYTE_S = 2e-9
_APART = 100
# So many pages looked at between two calls of `rest` are little: a node's own loops look at a hundred in five minutes.
_LITTLE_PAGES = 1_000
_LOOKED_AT = (apsw.SQLITE_DBSTATUS_CACHE_HIT, apsw.SQLITE_DBSTATUS_CACHE_MISS)


def open_store(folder: Path | None, durability: Durability = "full") -> SqliteStore:
    """Open the store in `folder`, made where there is none; `folder` is None with durability `memory`, and only then.

    Raises `StoreUnavailable`, in one line, where the folder is in use, unusable or of another format.
    """
    if (folder is None) != (durability == "memory"):
        raise ValueError("a store in memory has no folder, any other has one")
    return SqliteStore(folder, durability)


class _Caller:
    """One caller's transaction, and what it came to; the future only says when that is told."""

    __slots__ = ("failure", "fn", "result", "told")

    def __init__(self, fn: Callable[[Transaction], Awaitable[Any]], told: asyncio.Future[None]) -> None:
        self.fn = fn
        self.told = told
        self.result: Any = None
        self.failure: BaseException | None = None


class _Group:
    """The transactions of one commit."""

    __slots__ = ("callbacks", "callers", "changes_before", "failure", "writes")

    def __init__(self, changes_before: int) -> None:
        self.changes_before = changes_before
        # What the database does not have yet.
        self.writes = Writes()
        self.callers: list[_Caller] = []
        self.callbacks: list[Callable[[], None]] = []
        self.failure: StoreUnavailable | None = None


class SqliteStore:
    """See the module, and `pileus.store.contract.Store`. Usable from several loops: calls go to the first one's."""

    def __init__(self, folder: Path | None, durability: Durability) -> None:
        self._lock = None if folder is None else lock_folder(folder)
        try:
            self._db = open_database(folder, durability)
            self._log = None if folder is None else Log(folder, durability, self._db)
            # In memory nothing is ever half done while a read runs: one connection does.
            self._read_db = self._db if folder is None else open_database(folder, durability)
        except BaseException:
            if self._lock is not None:
                os.close(self._lock)
            raise
        # Of all transactions: there is one at a time.
        self._cursor = self._db.cursor()
        self._committer = Worker("pileus-store-commit") if durability == "full" else None
        # How many commits go to the thread before one is tried in place again.
        self._apart = 0
        self._grouped = folder is not None
        self._snapshot_reader = SnapshotReader(self._read_db.cursor())
        self._reader = self._snapshot_reader if self._grouped else SqliteReader(self._read_db.cursor())
        # What the database holds with all writes of the group that is open; of no use to readers.
        self._kept = Kept(self._cursor)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_lock = threading.Lock()
        # The group that callers may still join, and whether nobody may write now: a commit is under way.
        self._group: _Group | None = None
        self._busy = False
        self._turns: deque[asyncio.Future[None]] = deque()
        # Whether the first of them wants the store for itself.
        self._first = False
        # Transactions that came while a commit was under way: they make up the next group.
        self._waiting: deque[_Caller] = deque()
        self._snapshot = False
        # A transaction function is running.
        self._inside = False
        self._closed = False
        # How many pages had been looked at when `rest` was called last.
        self._pages = 0

    async def read(self, fn: Callable[[Reader], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        if loop is not self._loop and not self._at_home(loop):
            return await self._at_other_loop(self.read(fn))
        if self._inside or self._closed:
            self._refuse()
        try:
            if self._grouped and not self._snapshot:
                self._read_db.execute("BEGIN")
                self._snapshot = True
            return self._drive(fn(self._reader))
        except apsw.Error as error:
            self._end_snapshot()
            raise StoreUnavailable(f"the store cannot be read: {error}") from error

    async def write(self, fn: Callable[[Transaction], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        if loop is not self._loop and not self._at_home(loop):
            return await self._at_other_loop(self.write(fn))
        if self._inside or self._closed:
            self._refuse()
        if not self._grouped:
            while self._busy:
                await self._turn()
                if self._closed:
                    self._refuse()
            return self._write_at_once(fn)
        caller = _Caller(fn, loop.create_future())
        if self._busy:
            self._waiting.append(caller)
        else:
            self._join(caller, loop)
        await caller.told
        result: T = caller.result
        failure = caller.failure
        del caller
        if failure is not None:
            try:
                raise failure
            finally:
                del failure
        return result

    def _join(self, caller: _Caller, loop: asyncio.AbstractEventLoop) -> None:
        """Run a caller's transaction in the group that is open, or open one."""
        if caller.told.done():
            return  # it was cancelled while it waited for its turn
        try:
            group = self._group or self._begin(loop)
        except StoreUnavailable as error:
            caller.told.set_exception(error)
            return
        # Also a failure is told only after the commit: it may rest on what others of the group have written.
        caller.result, caller.failure = self._run(caller.fn, group)
        group.callers.append(caller)

    def rest(self) -> bool:
        """See `pileus.store.contract.Store`."""
        if self._closed or self._busy or self._group is not None:
            return False
        connections = {self._db, self._read_db}
        pages = sum(db.status(which)[0] for db in connections for which in _LOOKED_AT)
        quiet = pages - self._pages < _LITTLE_PAGES
        self._pages = pages
        if quiet:
            for db in connections:
                db.release_memory()
        return quiet

    async def close(self) -> None:
        """Wait for the commit that is under way; whoever comes later is refused."""
        while not self._closed and (self._busy or self._group is not None):
            await self._turn()
        if self._closed:
            return
        self._closed = True
        for caller in self._waiting:
            if not caller.told.done():
                caller.told.set_exception(StoreUnavailable("the store is closed"))
        self._waiting.clear()
        self._wake()
        self._end_snapshot()
        await asyncio.to_thread(self._close_files)

    def _close_files(self) -> None:
        if self._committer is not None:
            self._committer.stop()
        if self._log is not None:
            self._log.close()
        self._read_db.close()
        # The last one to be closed moves the rest of the log.
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)

    # One caller's transaction.

    def _drive(self, awaitable: Awaitable[T]) -> T:
        steps = awaitable.__await__()
        self._inside = True
        try:
            next(steps)
            steps.close()
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            self._inside = False
        raise RuntimeError("a transaction function awaited something that is not its transaction's")

    def _run(self, fn: Callable[[Transaction], Awaitable[T]], group: _Group) -> tuple[T | None, BaseException | None]:
        """Run `fn` in the group's transaction; returns its result or what it raised."""
        tx = SqliteTransaction(self._cursor, self._kept, group.writes)
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = self._drive(fn(tx))
        except apsw.Error as error:
            self._break(group, error)
            return None, None
        except BaseException as error:  # noqa: BLE001 -- whatever it is belongs to this caller and to nobody else
            failure = error
        try:
            if not self._db.in_transaction:
                raise apsw.AbortError("the transaction was rolled back")
            if failure is None:
                tx.end()
                group.callbacks += tx.callbacks
            else:
                tx.undo()
        except BaseException as error:  # noqa: BLE001 -- half of it may be in the group: that must not be committed
            self._break(group, error)
        return result, failure

    def _write_at_once(self, fn: Callable[[Transaction], Awaitable[T]]) -> T:
        group = _Group(0)
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            raise StoreUnavailable(f"the store cannot be written: {error}") from error
        result, failure = self._run(fn, group)
        if group.failure is None:
            self._commit_now(group)
        if group.failure is not None:
            raise group.failure
        self._committed(group)
        if failure is not None:
            try:
                raise failure
            finally:
                del failure
        return result  # type: ignore[return-value]

    # A group's commit.

    def _begin(self, loop: asyncio.AbstractEventLoop) -> _Group:
        # An old snapshot would keep the log from starting anew.
        self._end_snapshot()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            raise StoreUnavailable(f"the store cannot be written: {error}") from error
        self._group = group = _Group(self._db.total_changes())
        # At the end of this turn of the loop: all who are ready now join the group, and nobody waits for a timer.
        loop.call_soon(self._commit, group)
        return group

    def _break(self, group: _Group, error: BaseException) -> None:
        """The database refused something: nothing of the group is kept, and its callers are told so."""
        group.failure = StoreUnavailable(f"the store cannot be written: {error}")
        group.failure.__cause__ = error
        self._kept.clear()
        if self._group is group:
            self._group = None
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except apsw.Error:
            _log.exception("the store could not roll back")

    def _commit(self, group: _Group) -> None:
        if group.failure is not None:
            self._wake()
            self._tell(group)
            return
        self._group = None
        loop = self._loop
        assert loop is not None
        unchanged = not group.writes and self._db.total_changes() == group.changes_before
        if self._committer is None or unchanged:
            # Nothing waits for the disk: conditions that failed, for example, have changed nothing.
            self._commit_now(group)
            self._finish(group, loop)
            return
        if not self._apart and group.writes.size <= _IN_PLACE_BYTES_MAX:
            self._commit_in_place(group)
            self._finish(group, loop)
            return
        self._apart = max(0, self._apart - 1)

        def in_thread() -> None:
            self._commit_now(group)
            self._on_loop(lambda: self._finish(group, loop), loop)

        self._busy = True
        self._committer.submit(in_thread)

    def _commit_now(self, group: _Group) -> None:
        try:
            group.writes.apply(self._cursor)
            self._db.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 -- the thread goes on, and the callers are told
            self._break(group, error)

    def _commit_in_place(self, group: _Group) -> None:
        quick_s = _QUICK_SYNC_S + len(group.writes) * _ROW_S + group.writes.size * _BYTE_S
        began = perf_counter()
        self._commit_now(group)
        took = (perf_counter() - began) / quick_s
        if took > 1:
            self._apart = int(took * _APART)

    def _finish(self, group: _Group, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            # The store has moved to another loop meanwhile; those who waited here are all that is left to do.
            self._tell(group)
            return
        self._end_snapshot()
        if group.failure is None:
            self._committed(group)
        self._release()
        self._tell(group)

    def _committed(self, group: _Group) -> None:
        for callback in group.callbacks:
            try:
                callback()
            except BaseException:  # noqa: BLE001 -- one caller's callback must not keep the others from being told
                _log.exception("a callback after a commit failed")
        if self._log is not None:
            self._log.grown(self._log_too_long)

    def _tell(self, group: _Group) -> None:
        # The committer's thread may keep the group: not what its callers were told.
        callers, group.callers = group.callers, []
        for caller in callers:
            if not caller.told.done():
                if group.failure is None:
                    caller.told.set_result(None)
                else:
                    caller.told.set_exception(StoreUnavailable(*group.failure.args))

    # Who may write now.

    async def _turn(self, *, first: bool = False) -> None:
        turn = asyncio.get_running_loop().create_future()
        if first:
            self._first = True
            self._turns.appendleft(turn)
        else:
            self._turns.append(turn)
        await turn

    def _release(self) -> None:
        self._busy = False
        first, self._first = self._first, False
        self._wake()
        if first and self._loop is not None:
            # Who takes the store for itself goes before them, and lets them in when it is done.
            self._loop.call_soon(self._admit)
        else:
            self._admit()

    def _admit(self) -> None:
        """Let those run who waited for a commit to end."""
        loop = self._loop
        while self._waiting and not self._busy and not self._closed and loop is not None:
            self._join(self._waiting.popleft(), loop)

    def _wake(self) -> None:
        turns, self._turns = self._turns, deque()
        for turn in turns:
            if not turn.done():
                turn.set_result(None)

    def _refuse(self) -> None:
        if self._inside:
            raise RuntimeError("a transaction function may not call the store: it has its transaction")
        raise StoreUnavailable("the store is closed")

    def _end_snapshot(self) -> None:
        if self._snapshot:
            self._snapshot = False
            self._snapshot_reader.kept.clear()
            # An error may have ended it already.
            with contextlib.suppress(apsw.Error):
                self._read_db.execute("ROLLBACK")

    def _log_too_long(self) -> None:
        self._on_loop(lambda: asyncio.ensure_future(self._cut_log()), self._loop)

    async def _cut_log(self) -> None:
        while self._busy or self._group is not None:
            await self._turn(first=True)
        if self._closed:
            return
        assert self._log is not None
        self._busy = True
        self._end_snapshot()
        self._log.cut(lambda: self._on_loop(self._release, self._loop))

    # Which loop all of this runs on.

    def _on_loop(self, callback: Callable[[], object], loop: asyncio.AbstractEventLoop | None) -> None:
        assert loop is not None
        # Where the loop is closed, all who waited are gone with it; `_at_home` clears up.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(callback)

    async def _at_other_loop(self, call: Awaitable[T]) -> T:
        assert self._loop is not None
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self._loop))  # type: ignore[arg-type]

    def _at_home(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether `loop` is the one that the store runs on, as it is from now on where that one runs no more."""
        with self._loop_lock:
            if self._loop is not None and self._loop.is_running():
                return self._loop is loop
            for worker in (self._committer, self._log):
                if worker is not None:
                    worker.drain()
            if self._group is not None:
                self._break(self._group, apsw.AbortError("its event loop stopped"))
            self._busy = False
            self._turns.clear()
            self._waiting.clear()
            self._end_snapshot()
            self._loop = loop
            return True
