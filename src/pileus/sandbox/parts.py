"""What a backend gives to a clone: the parts of a sandbox that the server makes, and the plans of what runs inside."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from pileus.sandbox.cgroups import Group
from pileus.sandbox.contract import Assignment, TemplateSpec
from pileus.sandbox.inside.messages import Message
from pileus.sandbox.slirp import WayOut

T = TypeVar("T")


@dataclass(slots=True)
class Parts:
    """What the server makes for a sandbox before there is a process."""

    group: Group | None = None
    # The host's user and group id of its processes, where it has one of its own.
    user: int = -1
    # A directory outside that is its own, where it has no private root.
    scratch: Path | None = None
    listeners: dict[int, socket.socket] = field(default_factory=dict)
    # Out of its network, where a program beside it is that.
    way_out: WayOut | None = None

    def drop(self) -> None:
        """All but the listeners: somebody may be serving them."""
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch = None
        if self.way_out is not None:
            self.way_out.close()
            self.way_out = None


class Isolation(Protocol):
    """What a backend adds to a clone."""

    private_root: bool

    def boot_plan(self, spec: TemplateSpec, control: int) -> Message: ...

    def template_plan(self, spec: TemplateSpec) -> Message: ...

    def make_parts(self, spec: TemplateSpec) -> Parts:
        """Blocks; run on another thread."""
        ...

    def take_in(self, parts: Parts, spec: TemplateSpec, pids: list[int], joins: bool) -> None:
        """Put new processes into their group; where the server listens in a new network, do so. Blocks."""
        ...

    def new_socket(self, pid: int) -> socket.socket | None:
        """A TCP socket in the network of a process; None where only a process inside can make it. Blocks."""
        ...

    def freezers(self) -> int:
        """A descriptor of the folder of groups that must be thawed before they can be killed, else -1."""
        ...

    def assignment(self, parts: Parts, assignment: Assignment, *, again: bool) -> tuple[Message, list[int]]:
        """The message for the runner and the descriptors of detached mounts, which the caller closes."""
        ...

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T: ...
