"""Execution environments: private process trees, made by one of several backends.

A *template* is a process that already lives in the root a family of sandboxes shares, with whatever they all need
loaded. It is cloned into *shells*: sandboxes that are complete (namespaces, cgroup, sockets) except for what they
are to run. An *assignment* makes a shell run something: an entry point that the template loaded, or a program.

Nothing here knows what runs inside; Lambda's functions are one use.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

# What `lo` is called inside beside 127.0.0.1, where the sandbox has a network of its own: as in AWS's environments.
OWN_ADDRESS = "169.254.100.1"

# A name before the address of the endpoint, as SDKs put one there (`io-local-001.127.0.0.1`): environments with a
# private root find this machine under it.
LOCAL_ROUTE = "io-local-001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one sandbox may take."""

    # Memory of its processes. /tmp does not count: it has a size of its own.
    memory_mb: int = 128
    tmp_mb: int = 512
    # Share of the machine where there is not enough for all, and the most it gets where there is; in vCPUs.
    cpu_share: float = 0.07
    cpu_max: float = 1.0
    # Processes and threads.
    pids: int = 1024
    files: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSpec:
    """The root that a family of sandboxes shares, and what is loaded before they are cloned."""

    name: str
    # Path inside -> what is bound there, read-only. A path inside whose parent is bound must exist there.
    binds: Mapping[str, Path] = field(default_factory=dict)
    # Path inside -> content of a file, target of a symbolic link; directories to be mounted on later.
    files: Mapping[str, bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    directories: Sequence[str] = ()
    # Directories that are bound and yet shown empty.
    hidden: Sequence[str] = ()
    # The Python that runs the template, by its paths inside and outside. Sandboxes may run anything.
    python_inside: str
    python_outside: Path
    # A Python file (outside) with `run(config, wait)`: it is called in the template, loads what all need and calls
    # `wait()`, which returns in each sandbox, with the payload of its assignment. It imports only what is found inside.
    entry: Path | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    # A program that each shell runs before its assignment, as the sandbox's user and under its filter: it reads the
    # assignment from standard input, to its end, as JSON {"environment", "working_directory", "payload"}, and is in
    # its working directory by then. Only where there is a private root; assignments name no program of their own.
    ahead: Sequence[str] = ()
    ahead_environment: Mapping[str, str] = field(default_factory=dict)
    # A descriptor under which programs that are run find their standard output once more; 0: none.
    output_again: int = 0
    # What is bound for the template alone: taken away before anything of a stranger runs.
    dropped: Sequence[str] = ()
    # TCP and UDP ports inside, on which the server listens: on 127.0.0.1 and, where the network is the sandbox's own,
    # on `OWN_ADDRESS`.
    ports: Sequence[int] = ()
    datagram_ports: Sequence[int] = ()
    # Who the processes are, as they see it themselves.
    user_id: int = 993
    group_id: int = 990
    user_name: str = "sbx_user1051"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a shell is to run."""

    # Path inside -> directories outside, mounted read-only; a later directory's files cover an earlier one's.
    mounts: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    # Where there is no private root: directories outside that it may read.
    readable: Sequence[Path] = ()
    # Exact: nothing is added.
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = "/"
    limits: Limits = Limits()
    # What the template's `wait` returns; JSON-like.
    payload: Mapping[str, Any] = field(default_factory=dict)
    # Or a program: run instead.
    argv: Sequence[str] = ()
    # It is to become a template itself: under "wait" the payload has a function like the template's `wait`, which it
    # calls when it is ready to be cloned. Only where `Backend.snapshots` says nothing against it. Its clones have the
    # mounts and the environment that it has by then: of theirs, payload and limits count.
    template: bool = False


@dataclass(frozen=True, slots=True)
class Exit:
    """How the first process ended: with a status, or by a signal."""

    status: int | None = None
    signal: int | None = None
    # Killed because it took more memory than it may.
    out_of_memory: bool = False
    # The number of the error for which the program could not be executed at all; 0: it was.
    not_executed: int = 0


class Program(Protocol):
    """A further process of a sandbox, beside the first; what it starts ends with the sandbox at the latest."""

    # Read end of a pipe: what it writes to standard output and error. Non-blocking; the caller closes it.
    output: int

    async def wait(self) -> Exit:
        """Return when it has ended, by itself or with the sandbox's `restart` or end. Any number of callers."""
        ...


class SandboxError(Exception):
    """A sandbox could not be made or used; the message says why."""


class NotClonable(SandboxError):
    """What was assigned as a template runs well, and cannot be one; the message says why, in a clause for people."""


class Sandbox(Protocol):
    """One process tree. Lives on the event loop it was made on."""

    # By the port it listens on *inside*; where there is no network namespace, bound to another port of the host.
    listeners: Mapping[int, socket.socket]
    # Where the sandbox finds these ports: {9001: 9001}, or the host's port instead.
    ports: Mapping[int, int]
    # Where paths inside are found by the process itself: identical, unless there is no private root.
    private_root: bool
    # Read end of a pipe: what it writes to standard output and error. Non-blocking; the caller closes it.
    output: int
    # The first process, as the host sees it.
    pid: int

    def assign(self, assignment: Assignment) -> None:
        """Run it; once, and once more after each `restart`, with the same mounts and /tmp.

        Raises `SandboxError` where the shell is gone or a directory cannot be mounted.
        """
        ...

    async def prepare(self, assignment: Assignment) -> None:
        """Move what it mounts into place ahead of `assign` with the same assignment, so that programs find it there.

        Raises `SandboxError`.
        """
        ...

    def start(self, assignment: Assignment) -> Program:
        """Run a further program (its `argv`), once the mounts are there; its `mounts` are not looked at.

        While such programs run, what the first process started does not end with it, but with `restart` or `close`.
        Raises `SandboxError`.
        """
        ...

    @property
    def failure(self) -> str:
        """What went wrong inside, as far as that was told: of a snapshot's clone a stranger may say it; "": nothing."""
        ...

    async def new_socket(self) -> socket.socket:
        """A TCP socket of the sandbox's network, not connected, non-blocking. Raises `SandboxError`."""
        ...

    async def snapshot(self) -> Template:
        """Wait until what was assigned as a template waits to be cloned: the template, which owns this sandbox then.

        Raises `NotClonable`, and `SandboxError` where it ends before.
        """
        ...

    async def restart(self) -> None:
        """End every process and be a shell again, in the same world: what lies in /tmp stays. Raises `SandboxError`."""
        ...

    def freeze(self) -> None:
        """Let every process stand still. Returns at once."""
        ...

    def thaw(self) -> None: ...

    @property
    def doomed(self) -> bool:
        """Whether it was killed while it stood still, and so ends as soon as it goes on."""
        ...

    def kill(self) -> None:
        """End every process, at once, frozen or not. `wait` returns soon after."""
        ...

    def terminate(self, *, first: bool = False) -> None:
        """Send SIGTERM to every process, or to the first alone."""
        ...

    def kill_first(self) -> None:
        """End the first process alone, at once."""
        ...

    async def wait(self) -> Exit:
        """Return when what was assigned has ended and nothing it started is left. Any number of callers."""
        ...

    def memory_mb(self) -> float:
        """Memory its processes take now, MiB, without /tmp."""
        ...

    def memory_peak_mb(self) -> float:
        """The most they have taken so far, MiB, as well as the backend knows; what the template shares counts too."""
        ...

    async def close(self) -> None:
        """Kill it and drop everything of it: cgroups, namespaces, listeners (`output` is the caller's).

        Whatever has become of it, its owner calls this, when nobody serves the listeners any more.
        """
        ...


class Template(Protocol):
    """A running template."""

    spec: TemplateSpec

    async def shell(self) -> Sandbox:
        """A shell that waits for its assignment: from the ready ones, or a new one. Raises `SandboxError`."""
        ...

    # Memory that it holds and its clones share, MiB.
    shared_mb: float

    def keep_ready(self, count: int) -> None:
        """How many shells are held ready; those beyond are ended."""
        ...

    @property
    def alive(self) -> bool: ...

    async def close(self) -> None:
        """End the template, its ready shells and every sandbox cloned from it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Whether a backend works on this machine; found out by using it."""

    backend: str
    works: bool
    # Where it does not: why, and what would help.
    reason: str = ""
    # What is missing although it works, each with what would help: "no memory limit: ...".
    reduced: Sequence[str] = ()


class Backend(Protocol):
    name: str
    # Whether sandboxes have a root of their own, and so find things at the paths they were mounted at.
    private_root: bool

    @property
    def snapshots(self) -> str:
        """What stands in the way of templates out of assignments here, for people; "": nothing. After a probe."""
        ...

    async def probe(self) -> Probe:
        """Start a sandbox and end it."""
        ...

    async def template(self, spec: TemplateSpec) -> Template:
        """Start a template; returns once it can be cloned. Raises `SandboxError`."""
        ...

    async def close(self) -> None:
        """End every template, and what is left of this and of dead instances."""
        ...
