"""The `process` backend: plain processes of this user, for machines where nothing better works.

On Linux, Landlock keeps a sandbox away from other files (and, on new kernels, from signalling other processes) and a
seccomp filter from everything that changes the machine. There is no private root, network, process list or user; memory
is watched from outside. On other systems there is no isolation at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pileus.sandbox import filters, roots
from pileus.sandbox.cgroups import Groups, open_groups
from pileus.sandbox.clones import Clones, boot_arguments
from pileus.sandbox.contract import Assignment, Probe, SandboxError, Template, TemplateSpec
from pileus.sandbox.inside import kernel
from pileus.sandbox.inside.messages import Message
from pileus.sandbox.parts import Parts

T = TypeVar("T")

_PACKAGE_DIR = str(Path(__file__).parent)


class Processes:
    """The backend."""

    name = "process"
    private_root = False

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="sandbox")
        self._templates: list[Clones] = []
        self._probed: Probe | None = None
        self._groups: Groups | None = None
        self._groups_opened = False
        self._names = itertools.count(1)

    async def probe(self) -> Probe:
        if self._probed is None:
            self._probed = await self._probe()
        return self._probed

    async def _probe(self) -> Probe:
        python = Path(sys.executable)
        spec = TemplateSpec(name="probe", python_inside=str(python), python_outside=python, ports=(9001,))
        template = Clones(spec, self)
        try:
            await template.start()
            sandbox = await template.shell()
            sandbox.assign(Assignment(argv=("/bin/sh", "-c", "exit 7")))
            ended = await sandbox.wait()
            os.close(sandbox.output)
            if ended.status != 7:
                raise SandboxError(f"the first program ended with {ended}")
        except (SandboxError, OSError) as error:
            return Probe(backend=self.name, works=False, reason=str(error))
        finally:
            await template.close()
        return Probe(backend=self.name, works=True, reduced=self._reduced())

    def _reduced(self) -> list[str]:
        found = [
            "functions share this machine's network, process list and user; use the namespaces backend to part them",
            f"no snapshots for SnapStart: {self.snapshots}",
        ]
        if sys.platform != "linux":
            return [*found, f"no isolation at all on {sys.platform}, where Pileus is untested: run only code you trust"]
        version = kernel.landlock_version()
        if not version:
            found.append(
                "functions can read this user's files: the kernel has no Landlock (needs Linux 5.13, lsm=landlock)"
            )
        elif version < 6:
            found.append("functions can signal this user's processes: Landlock does that from Linux 6.12 on")
        try:
            filters.compiled()
        except OSError as error:
            found.append(f"no system call filter: {error.strerror}; install libseccomp2 (libseccomp)")
        if self._open_groups() is None:
            found.append("no control group may be made: memory is only watched, processes are not counted")
        return found

    @property
    def snapshots(self) -> str:
        return "without namespaces clones would share their network and /tmp"

    async def template(self, spec: TemplateSpec) -> Template:
        template = Clones(spec, self)
        await template.start()
        self._templates.append(template)
        return template

    async def close(self) -> None:
        for template in self._templates:
            await template.close()
        self._templates.clear()
        if self._groups is not None:
            await self.in_thread(self._groups.close)
            self._groups = None
        self._threads.shutdown(wait=False)

    def boot_plan(self, spec: TemplateSpec, control: int) -> Message:
        return {
            "isolation": "process",
            "argv": boot_arguments(str(spec.python_outside), _PACKAGE_DIR, "template", control),
            "environment": dict(spec.environment),
        }

    def template_plan(self, spec: TemplateSpec) -> Message:
        try:
            program = filters.compiled().hex() if sys.platform == "linux" else ""
        except OSError:
            program = ""
        return {
            "package_dir": _PACKAGE_DIR,
            "entry": str(spec.entry) if spec.entry else None,
            "config": dict(spec.config),
            "clone_flags": 0,
            # The endpoint is reached where it is: of the ports only the first is this sandbox's own.
            "listen": list(spec.ports),
            "listen_datagrams": list(spec.datagram_ports),
            "filter": program,
            "may_raise_limits": False,
            "ahead": None,
            "output_again": spec.output_again,
        }

    def make_parts(self, spec: TemplateSpec) -> Parts:
        parts = Parts()
        try:
            groups = self._open_groups()
            if groups is not None:
                parts.group = groups.create(f"{spec.name}-{next(self._names)}")
            parts.scratch = Path(tempfile.mkdtemp(prefix="pileus-"))
        except OSError as error:
            parts.drop()
            if parts.group is not None:
                parts.group.remove()
            raise SandboxError(f"cannot prepare a sandbox: {error}") from error
        return parts

    def take_in(self, parts: Parts, spec: TemplateSpec, pids: list[int], joins: bool) -> None:
        if parts.group is not None:
            try:
                for pid in pids:
                    parts.group.attach(pid)
            except OSError as error:
                raise SandboxError(f"cannot prepare a sandbox: {error}") from error

    def new_socket(self, pid: int) -> socket.socket | None:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def freezers(self) -> int:
        groups = self._open_groups()
        return groups.freezers() if groups is not None else -1

    def assignment(self, parts: Parts, assignment: Assignment, *, again: bool) -> tuple[Message, list[int]]:
        scratch = str(parts.scratch)
        message: Message = {
            "again": again,
            "user": parts.user,
            "environment": {**assignment.environment, "TMPDIR": scratch},
            "working_directory": assignment.working_directory,
            "files": assignment.limits.files,
            "rlimits": {"RLIMIT_FSIZE": assignment.limits.tmp_mb << 20},
            "payload": dict(assignment.payload),
            "argv": list(assignment.argv),
        }
        if kernel.landlock_version():
            # /tmp is the machine's: what is written for AWS names it.
            readable = [*roots.readable_paths(), sys.prefix, sys.base_prefix, _PACKAGE_DIR]
            readable += [str(each) for each in assignment.readable]
            message["landlock"] = {"readable": readable, "writable": ["/tmp", scratch, "/dev/null"]}  # noqa: S108
        return message, []

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*arguments))

    def _open_groups(self) -> Groups | None:
        if not self._groups_opened:
            self._groups_opened = True
            with contextlib.suppress(OSError):
                self._groups = open_groups()
        return self._groups
