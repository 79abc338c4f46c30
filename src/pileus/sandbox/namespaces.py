"""The `namespaces` backend: mount, process, network, ipc, uts and user namespaces of Linux.

As root every sandbox has a user of its own, a network namespace from the server's hands and a cgroup. Without root it
has the same namespaces, made below one user namespace; a cgroup it has only where one is delegated.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from pileus.sandbox import filters, roots, slirp
from pileus.sandbox.cgroups import Groups, open_groups
from pileus.sandbox.clones import Clones, boot_arguments
from pileus.sandbox.contract import Assignment, Limits, Probe, SandboxError, Template, TemplateSpec
from pileus.sandbox.inside import bootstrap, kernel
from pileus.sandbox.inside.messages import Message
from pileus.sandbox.internet import Internet, name_servers
from pileus.sandbox.parts import Parts

T = TypeVar("T")

_PACKAGE_DIR = "/.pileus"
_CLONE_FLAGS = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWNET
)
# Above the ranges that container tools and systemd hand out.
_USERS_FROM, _USERS = 0x70000000, 1 << 22


class Namespaces:
    """The backend."""

    name = "namespaces"
    private_root = True

    def __init__(self, *, internet: bool = False) -> None:
        self._unprivileged = not hasattr(os, "geteuid") or os.geteuid() != 0
        self._goes_out = internet
        self._internet = Internet() if internet and not self._unprivileged else None
        self._groups: Groups | None = None
        self._groups_opened = False
        self._names = itertools.count(1)
        self._user_namespace = True
        self._probed: Probe | None = None
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="sandbox")
        self._templates: list[Clones] = []
        self._users = itertools.count(os.getpid() * 1024)

    async def probe(self) -> Probe:
        if self._probed is None:
            self._probed = await self._probe()
        return self._probed

    async def _probe(self) -> Probe:
        if sys.platform != "linux":
            return Probe(backend=self.name, works=False, reason="namespaces are a feature of Linux")
        if self._goes_out and self._unprivileged and (missing := slirp.check()):
            return Probe(backend=self.name, works=False, reason=missing)
        reason = ""
        for self._user_namespace in (True, False):
            try:
                await self._try()
            except (SandboxError, OSError) as error:
                reason = reason or str(error)
                if self._unprivileged:
                    break
            else:
                return Probe(backend=self.name, works=True, reduced=self._reduced())
        return Probe(backend=self.name, works=False, reason=f"{reason}; {_advice()}")

    async def _try(self) -> None:
        """Run a program in a sandbox and see it end well."""
        root = roots.machine_root(993, 990, "sbx_user1051")
        python = Path(os.path.realpath(sys.executable))  # noqa: ASYNC240 -- one look, no disk
        root.binds["/var/lang"] = Path(sys.base_prefix)
        spec = TemplateSpec(
            name="probe",
            binds=root.binds,
            files=root.files,
            links=root.links,
            directories=root.directories,
            python_inside=f"/var/lang/bin/{python.name}",
            python_outside=python,
            ports=(9001,),
        )
        template = Clones(spec, self)
        await template.start()
        try:
            sandbox = await template.shell()
            sandbox.assign(Assignment(argv=("/bin/sh", "-c", "exit 7"), limits=Limits()))
            ended = await sandbox.wait()
            os.close(sandbox.output)
            if ended.status != 7:
                raise SandboxError(getattr(sandbox, "failure", "") or f"the first program ended with {ended}")
        finally:
            await template.close()

    def _reduced(self) -> list[str]:
        found = []
        groups = self._open_groups()
        if groups is None:
            found.append(
                "no control group may be made: memory is watched, and processes are counted by limits of the user,"
                " which is coarser; start Pileus as root or in a delegated group"
                " (systemd-run --user --scope -p Delegate=yes)"
            )
        else:
            found += [f"no {name} limit by control group: {reason}" for name, reason in groups.missing.items()]
        try:
            filters.compiled()
        except OSError as error:
            found.append(f"no system call filter: {error.strerror}; install libseccomp2 (libseccomp)")
        if not self._user_namespace:
            found.append("no user namespace: functions see their host user id")
        if self.snapshots:
            found.append(f"no snapshots for SnapStart: {self.snapshots}")
        return found

    @property
    def snapshots(self) -> str:
        if not self._user_namespace:
            return "there are no user namespaces on this machine"
        try:
            filters.compiled()
        except OSError as error:
            return f"there is no system call filter on this machine ({error.strerror})"
        release = tuple(int(each) for each in re.findall(r"\d+", os.uname().release)[:2])
        # Seccomp's user notification, with which a call is let through.
        return "" if release >= (5, 5) else "this machine's kernel is older than Linux 5.5"

    async def template(self, spec: TemplateSpec) -> Template:
        probe = await self.probe()
        if not probe.works:
            raise SandboxError(probe.reason)
        if self._internet is not None:
            await self.in_thread(self._internet.open)
        template = Clones(spec, self)
        await template.start()
        self._templates.append(template)
        return template

    async def close(self) -> None:
        for template in self._templates:
            await template.close()
        self._templates.clear()
        if self._internet is not None and self._internet.is_open:
            await self.in_thread(self._internet.close)
        if self._groups is not None:
            await self.in_thread(self._groups.close)
            self._groups = None
        self._threads.shutdown(wait=False)

    def boot_plan(self, spec: TemplateSpec, control: int) -> Message:
        here = Path(bootstrap.__file__).parent
        binds = {each: str(path) for each, path in spec.binds.items()} | {f"{_PACKAGE_DIR}/inside": str(here)}
        if spec.entry is not None:
            binds[f"{_PACKAGE_DIR}/entry.py"] = str(spec.entry)
        files = dict(spec.files)
        if self._goes_out:
            files["/etc/resolv.conf"] = "".join(f"nameserver {each}\n" for each in name_servers()).encode()
        return {
            "isolation": "namespaces",
            "unprivileged": self._unprivileged,
            "binds": binds,
            "files": {name: content.decode("latin-1") for name, content in files.items()},
            "links": dict(spec.links),
            "hidden": list(spec.hidden),
            "directories": [*spec.directories, _PACKAGE_DIR],
            "argv": boot_arguments(spec.python_inside, _PACKAGE_DIR, "template", control),
            "environment": dict(spec.environment),
        }

    def template_plan(self, spec: TemplateSpec) -> Message:
        try:
            program = filters.compiled().hex()
        except OSError:
            program = ""
        binds = [f"{_PACKAGE_DIR}/inside"] + ([f"{_PACKAGE_DIR}/entry.py"] if spec.entry else [])
        return {
            "package_dir": _PACKAGE_DIR,
            "entry": f"{_PACKAGE_DIR}/entry.py" if spec.entry else None,
            "config": dict(spec.config),
            "clone_flags": _CLONE_FLAGS,
            "listen": list(spec.ports) if self._unprivileged else [],
            "listen_datagrams": list(spec.datagram_ports) if self._unprivileged else [],
            "unprivileged": self._unprivileged,
            "user_namespace": self._user_namespace,
            "user_id": spec.user_id,
            "group_id": spec.group_id,
            "host_name": roots.HOST_NAME,
            "filter": program,
            # Gone before anything of a stranger runs.
            "dropped": [*binds, *spec.dropped, *([bootstrap.HOST] if self._unprivileged else [])],
            "ahead": _ahead(spec) if spec.ahead else None,
            "output_again": spec.output_again,
            "may_raise_limits": not self._unprivileged,
        }

    def make_parts(self, spec: TemplateSpec) -> Parts:
        parts = Parts(user=0 if self._unprivileged else _USERS_FROM + next(self._users) % _USERS)
        try:
            groups = self._open_groups()
            if groups is not None:
                parts.group = groups.create(f"{spec.name}-{next(self._names)}")
        except OSError as error:
            raise SandboxError(f"cannot prepare a sandbox: {error}") from error
        return parts

    def take_in(self, parts: Parts, spec: TemplateSpec, pids: list[int], joins: bool) -> None:
        try:
            if parts.group is not None:
                for pid in pids:
                    parts.group.attach(pid)
            if not self._unprivileged and not joins:
                ports, datagrams = list(spec.ports), list(spec.datagram_ports)
                sockets = kernel.enter_network(pids[0], partial(_listen, ports, datagrams))
                if self._internet is not None and self._internet.is_open:
                    self._internet.connect(pids[0])
                parts.listeners = dict(zip([*ports, *datagrams], sockets, strict=True))
            # What is made to see whether that works goes nowhere.
            if self._unprivileged and self._goes_out and self._probed is not None and not joins:
                parts.way_out = slirp.connect(pids[0])
        except OSError as error:
            raise SandboxError(f"cannot prepare a sandbox: {error}") from error

    def new_socket(self, pid: int) -> socket.socket | None:
        if self._unprivileged:
            return None
        return kernel.enter_network(pid, partial(socket.socket, socket.AF_INET, socket.SOCK_STREAM))

    def freezers(self) -> int:
        groups = self._open_groups()
        return groups.freezers() if groups is not None else -1

    def assignment(self, parts: Parts, assignment: Assignment, *, again: bool) -> tuple[Message, list[int]]:
        detached: list[str] = []
        fds: list[int] = []
        sources: dict[str, list[str]] = {}
        try:
            # A second run finds the mounts of the first.
            for target, directories in () if again else assignment.mounts.items():
                paths = [os.path.realpath(each) for each in directories]
                if self._unprivileged:
                    sources[target] = paths
                elif paths:
                    fd = kernel.open_tree(paths[0]) if len(paths) == 1 else kernel.detached_overlay(paths)
                    fds.append(fd)
                    detached.append(target)
                    kernel.restrict_mount(fd)
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        rlimits = {"RLIMIT_NPROC": assignment.limits.pids}
        if assignment.template and self._groups is not None and "pids" not in self._groups.missing:
            # All of its clones are this one user's; each has a limit of its own.
            rlimits["RLIMIT_NPROC"] <<= 5
        if self._unprivileged and (self._groups is None or "memory" in self._groups.missing):
            # Coarse, for each process on its own; the whole is watched from outside.
            rlimits["RLIMIT_DATA"] = (assignment.limits.memory_mb + 512) << 20
        message: Message = {
            "again": again,
            "detached": detached,
            "sources": sources,
            "environment": dict(assignment.environment),
            "working_directory": assignment.working_directory,
            "tmp_mb": assignment.limits.tmp_mb,
            "files": assignment.limits.files,
            "rlimits": rlimits,
            "user": parts.user,
            "payload": dict(assignment.payload),
            "argv": list(assignment.argv),
            "template": assignment.template,
        }
        return message, fds

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*arguments))

    def _open_groups(self) -> Groups | None:
        if not self._groups_opened:
            self._groups_opened = True
            with contextlib.suppress(OSError):
                self._groups = open_groups()
        return self._groups


def _ahead(spec: TemplateSpec) -> Message:
    """What runs before the assignment: its limits are those that every assignment has."""
    return {
        "argv": list(spec.ahead),
        "environment": dict(spec.ahead_environment),
        "files": Limits().files,
        "rlimits": {"RLIMIT_NPROC": Limits().pids},
    }


def _listen(ports: list[int], datagram_ports: list[int]) -> list[socket.socket]:
    kernel.loopback_up()
    return kernel.listen_inside(ports, datagram_ports, own_network=True)


def _advice() -> str:
    """What stands in the way of user namespaces on this machine."""
    for name, bad, help_text in (
        ("/proc/sys/user/max_user_namespaces", "0", "set user.max_user_namespaces above 0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "set kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "set kernel.apparmor_restrict_unprivileged_userns=0 or give Pileus an AppArmor profile that allows userns",
        ),
    ):
        with contextlib.suppress(OSError):
            if Path(name).read_text().strip() == bad:
                return help_text
    return "start Pileus as root, or in a container with --privileged or --cap-add SYS_ADMIN"
