"""Builds a template's root, moves into it, and runs the template there.

Run by the server, as the package `inside`, with the Python that the template runs on; the plan comes over a socket.
"""

from __future__ import annotations

import os
import socket

from . import kernel
from .messages import Message, Receiver, send

NEW_ROOT = "/tmp"  # noqa: S108 -- a mount point that exists everywhere, in a mount namespace of our own
# Where the sources are found while shells wait, when they cannot be handed over as descriptors.
HOST = "/.host"


def main(control: int) -> None:
    connection = socket.socket(fileno=os.dup(control))
    received = Receiver(connection).receive()
    if received is None:
        return
    plan, _fds = received
    if plan["isolation"] == "namespaces":
        # Whatever is killed for want of memory, it is not the template. Clones begin with the same score.
        protect_from_memory_shortage("-1000")
        _enter_user_namespace(plan)
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
        _build_root(plan)
    send(connection, {"booted": True})
    os.set_inheritable(control, True)
    os.execve(plan["argv"][0], plan["argv"], plan["environment"])  # noqa: S606 -- that is the plan


def protect_from_memory_shortage(score: str) -> None:
    """The kernel chooses by this score whom it kills; only root may lower it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(score)
    except OSError:
        pass


def _enter_user_namespace(plan: Message) -> None:
    if not plan["unprivileged"]:
        return
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER)
    write_maps(uid, gid, 0, 0)


def write_maps(outer_uid: int, outer_gid: int, inner_uid: int, inner_gid: int) -> None:
    """Map this process's own user and group into the user namespace it has just made."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inner_uid} {outer_uid} 1"),
        ("gid_map", f"{inner_gid} {outer_gid} 1"),
    ):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def _build_root(plan: Message) -> None:
    # Detach the sources first: the root is built on a path that may hide one of them.
    binds = {}
    for target, source in plan["binds"].items():
        fd = kernel.open_tree(source, recursive=plan["unprivileged"])
        kernel.restrict_mount(fd, recursive=plan["unprivileged"])
        binds[target] = (fd, os.path.isdir(source))
    kernel.mount("tmpfs", NEW_ROOT, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=16m")
    devices = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom")]
    device_fds = [(each, kernel.open_tree(each)) for each in devices if os.path.exists(each)]

    for path in plan["directories"]:
        os.makedirs(NEW_ROOT + path, exist_ok=True)
    for target, text in plan["links"].items():
        os.makedirs(os.path.dirname(NEW_ROOT + target), exist_ok=True)
        os.symlink(text, NEW_ROOT + target)
    for target, content in plan["files"].items():
        _touch(NEW_ROOT + target, content.encode("latin-1"))
    # Parents before what lies in them.
    for target in sorted(binds):
        fd, is_directory = binds[target]
        if not os.path.lexists(NEW_ROOT + target):
            if is_directory:
                os.makedirs(NEW_ROOT + target)
            else:
                _touch(NEW_ROOT + target)
        kernel.move_mount(fd, NEW_ROOT + target)
        os.close(fd)
    for path in plan["hidden"]:
        kernel.mount(
            "tmpfs", NEW_ROOT + path, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_RDONLY, "size=4k"
        )
    for path, fd in device_fds:
        _touch(NEW_ROOT + path)
        kernel.move_mount(fd, NEW_ROOT + path)
        os.close(fd)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, f"{NEW_ROOT}/dev/{name}")

    os.makedirs(NEW_ROOT + HOST, mode=0o700)
    kernel.pivot_root(NEW_ROOT, NEW_ROOT + HOST)
    os.chdir("/")
    if plan["unprivileged"]:
        # A new /proc may only be mounted where one is visible already.
        kernel.mount(HOST + "/proc", "/proc", None, kernel.MS_BIND | kernel.MS_REC)
    else:
        kernel.umount(HOST)
    kernel.mount(None, "/", None, kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID)


def _touch(path: str, content: bytes = b"") -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
