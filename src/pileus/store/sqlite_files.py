"""The files of an embedded store: who may open them, how they are opened, and keeping the log short.

store.lock       held by the one process that uses the folder
store.db         the pairs: one table, one index
store.db-wal     what was committed and not yet moved into store.db
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import apsw

from pileus.kernel.settings import Durability
from pileus.store.contract import StoreUnavailable

# Raised when what is stored is laid out otherwise; data of another format is refused.
FORMAT = 1
# "Pile": tells our files from other SQLite databases.
_APPLICATION_ID = 0x50696C65

_PAGE_BYTES = 8192
# At most, and given back when nobody asks. Of ten million items it holds all pages that lead to those with the items:
# a read takes two pages from the file, with 16 MB it took three and a half.
_CACHE_KIB = 64 * 1024
_BUSY_TIMEOUT_MS = 5000

# The log is moved into the database in the background whenever this much was added. It starts anew only where nothing
# was added meanwhile; once it is longer than the second figure, writers are held back for the last few pages.
_CHECKPOINT_PAGES = 16 * 1024 * 1024 // _PAGE_BYTES
_LOG_PAGES_MAX = 64 * 1024 * 1024 // _PAGE_BYTES

# A rowid table with an index beats WITHOUT ROWID two to four times here: values of more than 2 KB stay off the pages
# that are searched, and new values are appended instead of moved.
_SCHEMA = "CREATE TABLE kv (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL)"


def lock_folder(folder: Path) -> int:
    """Take the folder for this process until the returned descriptor is closed; creates the folder."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "store.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"cannot use the data folder {folder}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise StoreUnavailable(f"the data folder {folder} is in use by another Pileus (process {owner})") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def open_database(folder: Path | None, durability: Durability) -> apsw.Connection:
    """A connection to the folder's database, made where there is none; in memory where `folder` is None."""
    path = ":memory:" if folder is None else str(folder / "store.db")
    try:
        db = apsw.Connection(path)
        try:
            # Before anything else: what follows may find the database locked.
            db.set_busy_timeout(_BUSY_TIMEOUT_MS)
            _prepare(db, folder, durability)
        except BaseException:
            db.close()
            raise
    except apsw.Error as error:
        raise StoreUnavailable(f"cannot open {path}: {error}") from error
    return db


def _prepare(db: apsw.Connection, folder: Path | None, durability: Durability) -> None:
    # Else every scan is planned anew, as its limit is bound: that takes three times as long as a short scan itself.
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    db.pragma("page_size", _PAGE_BYTES)
    if folder is not None:
        db.pragma("journal_mode", "wal")
        # The log is moved by our own thread, not inside some caller's commit; once restarted it shrinks to its limit.
        db.pragma("wal_autocheckpoint", 0)
        db.pragma("journal_size_limit", _LOG_PAGES_MAX * _PAGE_BYTES)
        # Without these a sync on macOS leaves the data in the drive's own cache.
        db.pragma("fullfsync", 1)
        db.pragma("checkpoint_fullfsync", 1)
    db.pragma("synchronous", {"full": 2, "relaxed": 1, "memory": 0}[durability])
    db.pragma("cache_size", -_CACHE_KIB)
    # Savepoints keep their undo pages in memory.
    db.pragma("temp_store", "memory")
    created = False
    with db:
        application, found = db.pragma("application_id"), db.pragma("user_version")
        if db.execute("SELECT count(*) FROM sqlite_schema").get == 0:
            db.execute(_SCHEMA)
            db.pragma("application_id", _APPLICATION_ID)
            db.pragma("user_version", FORMAT)
            created = True
        elif application != _APPLICATION_ID:
            raise StoreUnavailable(f"{db.filename} is a database of something else than Pileus")
        elif found != FORMAT:
            age = "a newer" if found > FORMAT else "an older"
            raise StoreUnavailable(
                f"{db.filename} was written by {age} Pileus: it has format {found}, this one reads format {FORMAT}"
            )
    if created and folder is not None:
        # The new file's name must be on disk as well.
        for parent in (folder, folder.parent):
            descriptor = os.open(parent, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def _pages_left(folder: Path) -> int:
    """About how many pages the log has: it is gone after an orderly end."""
    try:
        return (folder / "store.db-wal").stat().st_size // _PAGE_BYTES
    except OSError:
        return 0


class Worker:
    """A thread that runs one job after the other. Jobs deal with their own failures."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.submit = self._jobs.put
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def drain(self) -> None:
        """Wait until everything submitted so far has run."""
        done = threading.Event()
        self._jobs.put(done.set)
        done.wait()

    def stop(self) -> None:
        """Run what is left, then end the thread."""
        self._jobs.put(None)
        self._thread.join()


class Log:
    """The write-ahead log of `writer`: moved into the database by a thread and connection of its own."""

    def __init__(self, folder: Path, durability: Durability, writer: apsw.Connection) -> None:
        self._writer = writer
        self._db = open_database(folder, durability)
        self._worker = Worker("pileus-store-checkpoint")
        # What a killed process has left in the log counts: else it would grow with every short life.
        self._moved_at = -_pages_left(folder)
        self._running = False

    def grown(self, too_long: Callable[[], None]) -> None:
        """Called after commits. `too_long` is called in the thread where writers must be held back for `cut`."""
        written = self._writer.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]
        if written - self._moved_at >= _CHECKPOINT_PAGES and not self._running:
            self._moved_at, self._running = written, True
            self._worker.submit(lambda: self._move(too_long))

    def _move(self, too_long: Callable[[], None]) -> None:
        # The log keeps everything where this fails; what is wrong with the disk the writers are told.
        with contextlib.suppress(apsw.Error):
            pages, _ = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if pages > _LOG_PAGES_MAX:
                too_long()
        self._running = False

    def cut(self, done: Callable[[], None]) -> None:
        """Move what is left while nobody writes, so that the log starts anew; then `done()`, in the thread."""

        def last_pass() -> None:
            with contextlib.suppress(apsw.Error):
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            done()

        self._worker.submit(last_pass)

    def drain(self) -> None:
        """Wait until no checkpoint is under way."""
        self._worker.drain()

    def close(self) -> None:
        self._worker.stop()
        self._db.close()
