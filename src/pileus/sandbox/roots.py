"""What a sandbox sees of the machine: its programs and libraries, and an /etc of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pileus.sandbox.contract import LOCAL_ROUTE

_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Of the machine's /etc: how libraries are found, and whose certificates are trusted.
_CONFIGURATION = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/pki",
    "/etc/ssl",
    "/etc/mime.types",
    "/etc/localtime",
    "/etc/services",
    "/etc/protocols",
)
HOST_NAME = "sandbox"


@dataclass(slots=True)
class Root:
    """The parts of a `TemplateSpec` that make up its root."""

    binds: dict[str, Path] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    directories: list[str] = field(default_factory=list)


def machine_root(user_id: int, group_id: int, user_name: str) -> Root:
    """The machine's programs, read-only, and nothing of its users, services and settings."""
    root = Root(directories=["/proc", "/dev", "/tmp", "/var/tmp", "/run", "/home"])  # noqa: S108 -- names inside
    for path in _PROGRAMS:
        if os.path.islink(path):
            root.links[path] = os.readlink(path)
        elif os.path.isdir(path):
            root.binds[path] = Path(path)
    for path in _CONFIGURATION:
        if os.path.exists(path):
            root.binds[path] = Path(os.path.realpath(path))
    users = (
        f"root:x:0:0:root:/root:/sbin/nologin\n{user_name}:x:{user_id}:{group_id}::/home/{user_name}:/sbin/nologin\n"
    )
    root.files = {
        "/etc/passwd": users.encode(),
        "/etc/group": f"root:x:0:\n{user_name}:x:{group_id}:\n".encode(),
        "/etc/hosts": (
            f"127.0.0.1\tlocalhost {HOST_NAME} {HOST_NAME}.localdomain\n"
            f"127.0.0.1\t{LOCAL_ROUTE}.127.0.0.1 {LOCAL_ROUTE}.localhost\n"
            "::1\tlocalhost\n"
        ).encode(),
        "/etc/hostname": f"{HOST_NAME}\n".encode(),
        "/etc/resolv.conf": b"",
        "/etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    }
    return root


def readable_paths() -> list[str]:
    """What a process without a private root needs to read of the machine."""
    return [*_PROGRAMS, *_CONFIGURATION, "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/proc", "/dev"]
