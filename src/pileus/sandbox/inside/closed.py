"""Closes addresses to a sandbox that is about to run: routes that refuse, in its network. Run as a program of its own,
since a process with threads cannot enter a user namespace: the sandbox's first process, then the addresses."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct

from . import kernel

_SIOCADDRT, _RTF_UP, _RTF_HOST, _RTF_REJECT = 0x890B, 0x1, 0x4, 0x200


def main(arguments: list[str]) -> None:
    """`arguments`: "4711", "169.254.0.0/16", "192.0.2.7/32", ..."""
    pid, *networks = arguments
    spaces = [(f"/proc/{pid}/ns/user", kernel.CLONE_NEWUSER), (f"/proc/{pid}/ns/net", kernel.CLONE_NEWNET)]
    for fd, kind in [(os.open(path, os.O_RDONLY | os.O_CLOEXEC), kind) for path, kind in spaces]:
        kernel.setns(fd, kind)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        for network in networks:
            # A route that is there already is an address of the sandbox's own.
            with contextlib.suppress(FileExistsError):
                fcntl.ioctl(control, _SIOCADDRT, _refusing(*network.split("/")))


def _refusing(address: str, bits: str) -> bytes:
    """A route: struct rtentry."""
    to, nowhere, mask = (
        struct.pack("HH4s8x", socket.AF_INET, 0, each)
        for each in (
            socket.inet_aton(address),
            bytes(4),
            struct.pack("!I", (0xFFFFFFFF << (32 - int(bits))) & 0xFFFFFFFF),
        )
    )
    flags = _RTF_UP | _RTF_REJECT | (_RTF_HOST if bits == "32" else 0)
    return struct.pack("L16s16s16sHhLPhPLLH", 0, to, nowhere, mask, flags, 0, 0, 0, 0, 0, 0, 0, 0)
