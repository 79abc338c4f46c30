"""What a process holds that its copies would share with it, and how a copy gets its own of each.

A copied process has the same open files as its original: the same position in each, the same connections, the same
queues. What can be made anew is; what cannot is an obstacle to cloning, told in words for people.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import shutil
import socket
import stat
import sys
import termios
from collections.abc import Callable
from functools import partial

_TMP = "/tmp"  # noqa: S108 -- the sandbox's own
_Renew = Callable[[], int]


class Holdings:
    """Looked at once, in the original, when nothing of it changes any more."""

    def __init__(self, *, keep: int) -> None:
        # Why there can be no copies; "".
        self.obstacle = ""
        self._keep = keep
        self._output: list[int] = []
        self._renewals: list[tuple[int, _Renew]] = []
        # Descriptors that belong together: pipes and pairs of sockets.
        self._pairs: list[tuple[list[int], list[int], Callable[[], tuple[int, int]]]] = []
        self._tmp = -1
        self._cwd = ""

    def look(self) -> None:
        self._tmp = os.open(_TMP, os.O_RDONLY | os.O_DIRECTORY)
        self._cwd = os.getcwd()
        self._look_at_processes()
        for fd in sorted(int(each) for each in os.listdir("/proc/self/fd")):
            if fd not in (self._keep, self._tmp):
                # The listing's own descriptor is gone by now.
                with contextlib.suppress(FileNotFoundError):
                    self._look_at(fd)
        self._look_at_pipes()
        self._look_at_pairs()
        self._look_at_memory()

    def renew(self, output: int) -> None:
        """In a copy, whose /tmp is a new one: make its own of everything. `output` is where it writes."""
        for fd in self._output:
            _replace(fd, output)
        if os.listdir(self._tmp):
            _copy_tree(f"/proc/self/fd/{self._tmp}", _TMP)
        # Watchers of others come last: they are told the renewed ones.
        for ours, theirs, make in self._pairs:
            for fds, made in zip((ours, theirs), make()):  # noqa: B905 -- `strict` is unknown to Python 3.9
                for fd in fds:
                    _replace(fd, made)
                os.close(made)
        for fd, make_one in self._renewals:
            made = make_one()
            _replace(fd, made)
            os.close(made)
        os.close(self._tmp)
        with contextlib.suppress(OSError):
            os.chdir(self._cwd)
        renew_randomness()

    def _hinders(self, why: str) -> None:
        self.obstacle = self.obstacle or why

    def _look_at_processes(self) -> None:
        threading = sys.modules.get("threading")
        if threading is not None:
            others = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
            if others:
                self._hinders(f"a thread runs when its initialization ends ({others[0]})")
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in (1, os.getpid()):
                with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                    if file.read().rpartition(b")")[2].split()[0] != b"Z":
                        self._hinders("another process runs when its initialization ends")

    def _look_at_memory(self) -> None:
        with open("/proc/self/maps") as maps:
            for line in maps:
                fields = line.split(maxsplit=5)
                if fields[1][1] == "w" and fields[1][3] == "s":
                    self._hinders("it shares memory with other processes")

    def _look_at(self, fd: int) -> None:
        link, found = os.readlink(f"/proc/self/fd/{fd}"), os.fstat(fd)
        kind = stat.S_IFMT(found.st_mode)
        standard = os.fstat(1)
        if (found.st_dev, found.st_ino) == (standard.st_dev, standard.st_ino):
            self._output.append(fd)
        elif kind in (stat.S_IFREG, stat.S_IFDIR):
            if link.startswith("/memfd:"):
                self._hinders("it holds a file in memory open")
            elif found.st_dev == os.fstat(self._tmp).st_dev:
                self._renewals.append((fd, lambda: _reopened_in_tmp(fd, link)))
            else:
                self._renewals.append((fd, lambda: _reopened(fd, f"/proc/self/fd/{fd}")))
        elif kind == stat.S_IFSOCK:
            self._look_at_socket(fd)
        elif link == "anon_inode:[eventpoll]":
            self._look_at_poll(fd)
        elif link == "anon_inode:[eventfd]":
            self._renewals.insert(0, (fd, lambda: _event(fd)))
        elif kind not in (stat.S_IFCHR, stat.S_IFIFO):
            self._hinders(f"it holds what cannot be copied: {link}")

    def _look_at_socket(self, fd: int) -> None:
        with socket.socket(fileno=os.dup(fd)) as found:
            if found.family in (socket.AF_INET, socket.AF_INET6):
                self._renewals.insert(0, (fd, _dead if _is_connected(found) else lambda: _fresh(fd)))
            elif found.family != socket.AF_UNIX or not _is_connected(found):
                self._hinders("it holds a socket of another process open")

    def _look_at_poll(self, fd: int) -> None:
        watched = []
        with open(f"/proc/self/fdinfo/{fd}") as lines:
            for line in lines:
                if line.startswith("tfd:"):
                    fields = line.split()
                    target, events, data = int(fields[1]), int(fields[3], 16), int(fields[5], 16)
                    if data & 0xFFFFFFFF != target:
                        self._hinders("it waits for events in a way that cannot be copied")
                    watched.append((target, events))
        self._renewals.append((fd, lambda: _poll(watched)))

    def _look_at_pipes(self) -> None:
        ends: dict[int, tuple[list[int], list[int]]] = {}
        for fd in self._open():
            found = os.fstat(fd)
            if stat.S_ISFIFO(found.st_mode) and fd not in self._output:
                ends.setdefault(found.st_ino, ([], []))[_flags(fd) & os.O_ACCMODE].append(fd)
        for reading, writing in ends.values():
            if reading and writing:
                flags = _flags(reading[0]) & os.O_NONBLOCK, _flags(writing[0]) & os.O_NONBLOCK
                self._pairs.append((reading, writing, partial(_pipe, *flags)))
            else:
                self._hinders("it holds one end of another process's pipe")

    def _look_at_pairs(self) -> None:
        """Which unnamed sockets are each other's: what goes into one comes out of the other."""
        left = {fd: socket.socket(fileno=os.dup(fd)) for fd in self._open() if _is_unix(fd)}
        while left:
            fd, one = left.popitem()
            other = _peer_of(one, left)
            if other < 0:
                self._hinders("it is connected with another process")
            else:
                kind, blocking = one.type, [os.get_blocking(fd), os.get_blocking(other)]
                self._pairs.append(([fd], [other], partial(_socket_pair, kind, blocking)))
                left.pop(other).close()
            one.close()

    def _open(self) -> list[int]:
        found = []
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                os.fstat(int(name))
                if int(name) != self._keep:
                    found.append(int(name))
        return found


def renew_randomness() -> None:
    """What draws numbers in this process draws others than in any other copy."""
    ssl = sys.modules.get("ssl")
    if ssl is not None:
        ssl.RAND_add(os.urandom(64), 64.0)
    if "random" in sys.modules:
        sys.modules["random"].seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _flags(fd: int) -> int:
    with open(f"/proc/self/fdinfo/{fd}") as lines:
        return next(int(line.split()[1], 8) for line in lines if line.startswith("flags:"))


def _replace(fd: int, by: int) -> None:
    os.dup2(by, fd, inheritable=os.get_inheritable(fd))


def _reopened(fd: int, path: str) -> int:
    again = os.open(path, _flags(fd) & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC) | os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        os.lseek(again, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
    return again


def _reopened_in_tmp(fd: int, path: str) -> int:
    if not path.endswith(" (deleted)"):
        return _reopened(fd, path)
    # It has no name: its content goes into another one without a name.
    copy = os.open(_TMP, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    source = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    while os.sendfile(copy, source, None, 1 << 24):
        pass
    os.close(source)
    os.lseek(copy, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
    return copy


def _is_connected(found: socket.socket) -> bool:
    try:
        found.getpeername()
    except OSError:
        return False
    return True


def _dead() -> int:
    """A connection that the other side has closed."""
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours.detach()


def _fresh(fd: int) -> int:
    """Another socket like one that is not connected."""
    with socket.socket(fileno=os.dup(fd)) as old:
        made = socket.socket(old.family, old.type, old.proto)
        made.setblocking(os.get_blocking(fd))
        address = old.getsockname()
        if address[1]:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                made.bind(address)
                if old.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    made.listen()
    return made.detach()


def _event(fd: int) -> int:
    with open(f"/proc/self/fdinfo/{fd}") as lines:
        count = next(int(line.split()[1], 16) for line in lines if line.startswith("eventfd-count:"))
    made = os.eventfd(count, os.EFD_CLOEXEC)
    os.set_blocking(made, os.get_blocking(fd))
    return made


def _poll(watched: list[tuple[int, int]]) -> int:
    made = select.epoll()
    for target, events in watched:
        made.register(target, events)
    copy = os.dup(made.fileno())
    made.close()
    return copy


def _pipe(reading_flags: int, writing_flags: int) -> tuple[int, int]:
    reading, writing = os.pipe()
    os.set_blocking(reading, not reading_flags)
    os.set_blocking(writing, not writing_flags)
    return reading, writing


def _socket_pair(kind: int, blocking: list[bool]) -> tuple[int, int]:
    made = socket.socketpair(socket.AF_UNIX, kind)
    for each, blocks in zip(made, blocking):  # noqa: B905 -- `strict` is unknown to Python 3.9
        each.setblocking(blocks)
    return made[0].detach(), made[1].detach()


def _is_unix(fd: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return False
    with socket.socket(fileno=os.dup(fd)) as found:
        return found.family == socket.AF_UNIX and _is_connected(found)


def _peer_of(one: socket.socket, others: dict[int, socket.socket]) -> int:
    """Which of them is connected with it; -1 where that cannot be told."""
    empty = {fd: other for fd, other in others.items() if not _waiting(other)}
    try:
        one.send(b"?", socket.MSG_DONTWAIT)
        for fd, other in empty.items():
            if _waiting(other):
                other.recv(1, socket.MSG_DONTWAIT)
                return fd
    except OSError:
        return -1
    return -1


def _waiting(found: socket.socket) -> int:
    """Bytes that can be read from it."""
    count = array.array("i", [0])
    fcntl.ioctl(found, termios.FIONREAD, count)
    return count[0]


def _copy_tree(source: str, target: str) -> None:
    links: dict[int, str] = {}
    folders = [(source, target)]
    made = []
    while folders:
        old, new = folders.pop()
        for entry in os.scandir(old):
            place, found = f"{new}/{entry.name}", entry.stat(follow_symlinks=False)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), place)
            elif entry.is_dir():
                os.mkdir(place)
                folders.append((entry.path, place))
                made.append((entry.path, place))
            elif entry.is_file() and found.st_ino in links:
                os.link(links[found.st_ino], place)
            elif entry.is_file():
                shutil.copyfile(entry.path, place)
                shutil.copystat(entry.path, place)
                if found.st_nlink > 1:
                    links[found.st_ino] = place
    # Folders last, the innermost first: making something in them changes their times.
    for old, new in reversed(made):
        shutil.copystat(old, new)
