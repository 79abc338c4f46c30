"""System calls that Python's standard library does not have."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import TypeVar

Made = TypeVar("Made")

CLONE_FS = 0x00000200
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC if hasattr(os, "O_CLOEXEC") else 0
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
FSOPEN_CLOEXEC = 0x1
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSMOUNT_CLOEXEC = 0x1

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
SECCOMP_RET_USER_NOTIF = 0x7FC00000
CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, CAP_SETFCAP = 5, 6, 7, 21, 31

LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1

_X86 = platform.machine() in ("x86_64", "AMD64")
# The newer calls have one number on every architecture.
SYS_CLONE = 56 if _X86 else 220
SYS_SENDMSG = 46 if _X86 else 211
SYS_PIVOT_ROOT = 155 if _X86 else 41
SYS_CAPSET = 126 if _X86 else 91
SYS_SECCOMP = 317 if _X86 else 277
SYS_OPEN_TREE = 428
SYS_PIDFD_OPEN = 434
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_MOUNT_SETATTR = 442
SYS_LANDLOCK_CREATE_RULESET = 444
SYS_LANDLOCK_ADD_RULE = 445
SYS_LANDLOCK_RESTRICT_SELF = 446

# PyDLL keeps the GIL: a clone must not let another thread run. CDLL lets it go: for calls that may take a while.
_held = ctypes.PyDLL(None, use_errno=True)
_free = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _syscall(number: int, what: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    values = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _check(_free.syscall(ctypes.c_long(number), *values), what)


# For processes of one thread: copies of it that Python is not told of. What Python does around `os.fork` writes to most
# of a clone's memory; where there is one thread and no lock is held, nothing of it is needed.
fork = _held.fork
# The C library's own, looked up once: each lookup would be a clone's.
bare = SimpleNamespace(
    **{
        name: getattr(_held, name)
        for name in (
            "read",
            "write",
            "close",
            "socketpair",
            "waitpid",
            "kill",
            "signal",
            "prctl",
            "_exit",
            "syscall",
            "recv",
        )
    }
)


def cloner(flags: int) -> Callable[[], int]:
    """A function like `fork`, into new namespaces; made ahead, so that calling it touches little."""
    if not flags:
        return fork
    syscall = bare.syscall
    arguments = (ctypes.c_long(SYS_CLONE), ctypes.c_long(flags | signal.SIGCHLD), None, None, None, None)
    return lambda: int(syscall(*arguments))


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_int),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_uint),
    )


class DescriptorSender:
    """Sends one and the same message with other descriptors each time, all of it made ahead (Linux)."""

    def __init__(self, sock: int, message: bytes, count: int) -> None:
        class Control(ctypes.Structure):
            _fields_ = (
                ("length", ctypes.c_size_t),
                ("level", ctypes.c_int),
                ("kind", ctypes.c_int),
                ("descriptors", ctypes.c_int * count),
            )

        before = Control.descriptors.offset
        control = Control(before + 4 * count, socket.SOL_SOCKET, socket.SCM_RIGHTS)
        vector = _Vector(message, len(message))
        header = _Header(None, 0, ctypes.addressof(vector), 1, ctypes.addressof(control), ctypes.sizeof(control), 0)
        self._kept = control, vector, header
        self.descriptors = control.descriptors
        self._arguments = (
            ctypes.c_long(SYS_SENDMSG),
            ctypes.c_long(sock),
            ctypes.c_void_p(ctypes.addressof(header)),
            ctypes.c_long(0),
        )

    def send(self) -> int:
        return int(bare.syscall(*self._arguments))


def unshare(flags: int) -> None:
    _check(_free.unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, kind: int) -> None:
    _check(_free.setns(ctypes.c_int(fd), ctypes.c_int(kind)), "setns")


def give_memory_back() -> None:
    """What the C library holds free goes back to the machine (glibc)."""
    trim = getattr(_held, "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def enter_network(pid: int, do: Callable[[], Made]) -> Made:
    """What is done with this thread in the network namespace of a process."""
    import threading

    home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(there, CLONE_NEWNET)
        finally:
            os.close(there)
        try:
            return do()
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


def mount(source: str | None, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    _check(
        _free.mount(
            None if source is None else os.fsencode(source),
            os.fsencode(target),
            None if kind is None else kind.encode(),
            ctypes.c_ulong(flags),
            None if data is None else os.fsencode(data),
        ),
        f"mount {target}",
    )


def umount(target: str) -> None:
    """Take a mount away, now from the tree and later from those who still use it."""
    _check(_free.umount2(os.fsencode(target), ctypes.c_int(MNT_DETACH)), f"umount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    _syscall(SYS_PIVOT_ROOT, "pivot_root", os.fsencode(new_root), os.fsencode(put_old))


def open_tree(path: str, *, recursive: bool = False) -> int:
    """A detached copy of the mount at `path`, as a descriptor."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return _syscall(SYS_OPEN_TREE, f"open_tree {path}", AT_FDCWD, os.fsencode(path), flags)


def restrict_mount(fd: int, *, recursive: bool = False) -> None:
    """Make a detached mount read-only, without set-uid programs and devices."""
    attributes = struct.pack("=QQQQ", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, 0, 0)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    _syscall(SYS_MOUNT_SETATTR, "mount_setattr", fd, b"", flags, attributes, len(attributes))


def move_mount(fd: int, target: str) -> None:
    """Put a detached mount in its place."""
    _syscall(SYS_MOVE_MOUNT, f"move_mount {target}", fd, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)


def overlay_options(directories: list[str]) -> str:
    """The later a directory, the higher it lies."""
    escaped = [each.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,") for each in reversed(directories)]
    return ":".join(escaped)


def detached_overlay(directories: list[str]) -> int:
    """A detached read-only overlay of at least two directories."""
    # Set as a string, only backslash and colon are special here.
    lower = ":".join(each.replace("\\", "\\\\").replace(":", "\\:") for each in reversed(directories))
    return detached_mount("overlay", {"lowerdir": lower})


def detached_mount(kind: str, options: dict[str, str], attributes: int = 0) -> int:
    """A file system mounted nowhere yet, as a descriptor. `attributes`: MOUNT_ATTR_*."""
    context = _syscall(SYS_FSOPEN, "fsopen", kind.encode(), FSOPEN_CLOEXEC)
    try:
        for name, value in options.items():
            _syscall(SYS_FSCONFIG, "fsconfig", context, FSCONFIG_SET_STRING, name.encode(), os.fsencode(value), 0)
        _syscall(SYS_FSCONFIG, "fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0)
        return _syscall(SYS_FSMOUNT, "fsmount", context, FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)


def prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(each) for each in (*values, 0, 0, 0, 0)[:4]]
    _check(_free.prctl(ctypes.c_int(option), *padded), f"prctl {option}")


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Be sent this signal when the thread that forked this process ends."""
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, number)


def drop_bounding_set() -> None:
    """No program run from here on gains capabilities."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            return


def set_capabilities(*kept: int) -> None:
    """Hold these capabilities and no others."""
    bits = sum(1 << each for each in kept)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = struct.pack("=Ii", 0x20080522, 0)
    data = struct.pack("=IIIIII", low, low, 0, high, high, 0)
    _syscall(SYS_CAPSET, "capset", header, data)


def sethostname(name: bytes) -> None:
    _check(_free.sethostname(name, ctypes.c_size_t(len(name))), "sethostname")


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install_filter(program: bytes) -> None:
    """Install a seccomp program (an array of struct sock_filter). `no_new_privs` must be set."""
    argument = _FilterProgram(len(program) // 8, program)
    _check(
        _free.prctl(
            ctypes.c_int(PR_SET_SECCOMP), ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(argument), None, None
        ),
        "seccomp",
    )


_AUDIT_ARCH = 0xC000003E if _X86 else 0xC00000B7


def ask_for_clone(flags: int) -> bytes:
    """What stands before a filter that shall have `clone` with these very flags (SIGCHLD beside them) asked for."""
    load, equal, answer = 0x20, 0x15, 0x06
    checks = ((4, _AUDIT_ARCH), (0, SYS_CLONE), (16, flags | signal.SIGCHLD), (20, 0))
    program = b""
    for number, (offset, wanted) in enumerate(checks):
        # Past the last instruction where it is another.
        otherwise = 2 * (len(checks) - number - 1) + 1
        program += struct.pack("=HBBI", load, 0, 0, offset) + struct.pack("=HBBI", equal, 0, otherwise, wanted)
    return program + struct.pack("=HBBI", answer, 0, 0, SECCOMP_RET_USER_NOTIF)


def install_asking_filter(program: bytes) -> int:
    """`install_filter` of a program that has calls asked for: the descriptor on which that is done (Linux 5.5)."""
    kept = ctypes.create_string_buffer(program, len(program))
    argument = struct.pack("=H6xQ", len(program) // 8, ctypes.addressof(kept))
    return _syscall(SYS_SECCOMP, "seccomp", SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, argument)


# See `contract.OWN_ADDRESS`; this module is alone inside.
OWN_ADDRESS = "169.254.100.1"


def loopback_up() -> None:
    """Bring `lo` up in the network namespace of this thread."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        # struct ifreq: IFF_UP | IFF_RUNNING; SIOCSIFFLAGS
        fcntl.ioctl(control, 0x8914, struct.pack("16sh22x", b"lo", 0x1 | 0x40))
        # Its further name, on an alias of the device: SIOCSIFADDR, SIOCSIFNETMASK.
        for request, address in ((0x8916, OWN_ADDRESS), (0x891C, "255.255.255.255")):
            packed = struct.pack("16sHH4s16x", b"lo:0", socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(control, request, packed)


def listen_inside(ports: list[int], datagram_ports: list[int], *, own_network: bool) -> list[socket.socket]:
    """Sockets that listen in the network namespace of this thread, those for datagrams last.

    In a network of its own they do so on every address of `lo`, and on no other device.
    """
    sockets: list[socket.socket] = []
    try:
        kinds = [(socket.SOCK_STREAM, port) for port in ports] + [(socket.SOCK_DGRAM, port) for port in datagram_ports]
        for kind, port in kinds:
            listener = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC)
            sockets.append(listener)
            if own_network:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            if kind == socket.SOCK_STREAM:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("0.0.0.0" if own_network else "127.0.0.1", port))  # noqa: S104 -- of `lo` alone
            if kind == socket.SOCK_STREAM:
                listener.listen(256)
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


# Landlock: what may be done beneath a path. Rights of the first version; those of later ones are added by version.
LANDLOCK_EXECUTE = 1 << 0
LANDLOCK_WRITE_FILE = 1 << 1
LANDLOCK_READ_FILE = 1 << 2
LANDLOCK_READ_DIR = 1 << 3
_LANDLOCK_FS_V1 = (1 << 13) - 1
_LANDLOCK_REFER = 1 << 13
_LANDLOCK_TRUNCATE = 1 << 14
_LANDLOCK_IOCTL_DEV = 1 << 15
# Version 6: no signals to, and no abstract sockets of, processes outside.
_LANDLOCK_SCOPES = 0b11


def landlock_version() -> int:
    """0 where the kernel has no Landlock or has it switched off."""
    if sys.platform != "linux":
        return 0
    try:
        return _syscall(
            SYS_LANDLOCK_CREATE_RULESET, "landlock_create_ruleset", None, 0, LANDLOCK_CREATE_RULESET_VERSION
        )
    except OSError:
        return 0


def landlock(readable: list[str], writable: list[str]) -> None:
    """From here on, this process reads and runs files only beneath `readable`, and does anything beneath `writable`."""
    version = landlock_version()
    if not version:
        raise OSError(38, "Landlock is not there")
    rights = _LANDLOCK_FS_V1
    rights |= _LANDLOCK_REFER if version >= 2 else 0
    rights |= _LANDLOCK_TRUNCATE if version >= 3 else 0
    rights |= _LANDLOCK_IOCTL_DEV if version >= 5 else 0
    attributes = struct.pack("=QQQ", rights, 0, _LANDLOCK_SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _syscall(SYS_LANDLOCK_CREATE_RULESET, "landlock_create_ruleset", attributes[:size], size, 0)
    reading = LANDLOCK_EXECUTE | LANDLOCK_READ_FILE | LANDLOCK_READ_DIR
    of_files = LANDLOCK_EXECUTE | LANDLOCK_WRITE_FILE | LANDLOCK_READ_FILE | _LANDLOCK_TRUNCATE | _LANDLOCK_IOCTL_DEV
    try:
        for path, allowed in [(each, reading) for each in readable] + [(each, rights) for each in writable]:
            try:
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                allowed_here = allowed if os.path.isdir(path) else allowed & of_files & rights
                rule = struct.pack("=Qi", allowed_here, fd)
                _syscall(SYS_LANDLOCK_ADD_RULE, "landlock_add_rule", ruleset, LANDLOCK_RULE_PATH_BENEATH, rule, 0)
            finally:
                os.close(fd)
        _syscall(SYS_LANDLOCK_RESTRICT_SELF, "landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
