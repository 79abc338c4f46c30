"""Runs scenarios against a real environment pool, in a process of their own: `python sandbox_lab.py module backend`.

A scenario is an async function `try_...(lab)` of the module; it raises where it fails. The results go to standard
output as JSON, {"name": "" or the traceback}. The backend is "namespaces", "process", "nobody": namespaces, after
giving up root, with the interpreter bound to where nobody may read it; or "internet": namespaces that may go out, on a
machine with a neighbour (`internet_world`).
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.ids import Ids
from pileus.kernel.settings import Settings
from pileus.sandbox.contract import Backend
from pileus.sandbox.inside import kernel
from pileus.sandbox.namespaces import Namespaces
from pileus.sandbox.process import Processes
from pileus.services.lambda_.execution import (
    Finished,
    FunctionSpec,
    Invocation,
    InvokeResult,
    LogEvent,
    RoleCredentials,
)
from pileus.services.lambda_.pool import EnvironmentPool

HERE = Path(__file__).parent
ACCOUNT, REGION = "000000000000", "us-east-1"
SCENARIO_TIMEOUT_S = 60.0
# Of a scenario that failed, what its functions have logged: the last of it.
_TOLD_MAX = 40


async def _credentials() -> RoleCredentials:
    return RoleCredentials("ASIAFUNCTION", "secret", "token", expires=4102444800.0)


@dataclass(eq=False)
class Lab:
    """A pool, and functions for it."""

    backend: Backend
    folder: Path
    pool: EnvironmentPool = field(init=False)
    logs: dict[str, list[LogEvent]] = field(default_factory=dict)
    finished: list[Finished] = field(default_factory=list)
    datagrams: list[tuple[str, str, bytes]] = field(default_factory=list)
    ids: Ids = field(default_factory=Ids)
    clock: Clock = field(default_factory=SystemClock)
    settings: dict[str, Any] = field(default_factory=dict)
    # What the node has warned of.
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        async def choose() -> Backend:
            return self.backend

        settings = Settings(data_dir=self.folder, **self.settings)
        self.pool = EnvironmentPool(
            settings,
            self.clock,
            self.ids,
            choose,
            on_log=self._on_log,
            on_finished=self.finished.append,
            on_datagram=lambda *what: self.datagrams.append(what),
            endpoint_port=4566,
        )

    @asynccontextmanager
    async def another(self, clock: Clock | None = None, **settings: Any) -> AsyncIterator[Lab]:
        """A lab with a pool and a backend of its own."""
        lab = Lab(type(self.backend)(), self.folder, clock=clock or SystemClock(), settings=settings)
        try:
            yield lab
        finally:
            await lab.pool.close()
            await lab.backend.close()

    def _on_log(self, _account: str, _region: str, group: str, _stream: str, events: Any) -> None:
        self.logs.setdefault(group, []).extend(events)

    def function(self, code: str | dict[str, str], name: str = "", **settings: Any) -> FunctionSpec:
        """A function whose `index.py` is `code`, or with several files."""
        name = name or f"f{self.ids.hex(8)}"
        folder = self.folder / name
        for path, text in (code if isinstance(code, dict) else {"index.py": code}).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        own = f"python{sys.version_info.major}.{sys.version_info.minor}"
        settings = {"handler": "index.handler", "timeout_s": 10.0, "memory_mb": 256, "runtime": own, **settings}
        return FunctionSpec(
            fingerprint=name,
            arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}",
            name=name,
            version="$LATEST",
            account=ACCOUNT,
            region=REGION,
            code_dir=folder,
            log_group=f"/aws/lambda/{name}",
            credentials=_credentials,
            **settings,
        )

    async def run(self, spec: FunctionSpec, event: Any = None, **more: Any) -> InvokeResult:
        invocation = Invocation(
            request_id=self.ids.uuid(), payload=json.dumps(event).encode(), invoked_arn=spec.arn, **more
        )
        return await self.pool.invoke(spec, invocation)

    async def answer(self, spec: FunctionSpec, event: Any = None) -> Any:
        """The function's answer; fails where it failed."""
        result = await self.run(spec, event)
        assert result.function_error is None, (result.payload, result.log_tail)
        return json.loads(result.payload)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that nobody tells."""
        for _ in range(1000):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not happen")

    def messages(self, spec: FunctionSpec) -> list[str]:
        return [event.message for event in self.logs.get(spec.log_group, [])]

    def environments(self, spec: FunctionSpec) -> list[Any]:
        function = self.pool._functions.get(spec.fingerprint)
        return list(function.all) if function else []


def _make_backend(name: str) -> Backend:
    return Processes() if name == "process" else Namespaces(internet=name.startswith("internet"))


class _Warnings(logging.Handler):
    def __init__(self, told: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append(f"{record.getMessage()} {getattr(record, 'details', '')}\n")


async def _run_all(
    scenarios: dict[str, Callable[[Lab], Awaitable[None]]], backend: str, folder: Path
) -> dict[str, str]:
    results = {}
    lab = Lab(_make_backend(backend), folder)
    logging.getLogger().addHandler(_Warnings(lab.warnings))
    try:
        for name, scenario in scenarios.items():
            begin = time.monotonic()
            lab.logs.clear()
            lab.warnings.clear()
            try:
                await asyncio.wait_for(scenario(lab), SCENARIO_TIMEOUT_S)
                results[name] = ""
            except BaseException:  # noqa: BLE001 -- reported; the next one is tried
                told = [event.message for events in lab.logs.values() for event in events]
                results[name] = "".join([traceback.format_exc(), *lab.warnings, *told[-_TOLD_MAX:]])
            print(f"{time.monotonic() - begin:6.2f} s {name}", file=sys.stderr)
    finally:
        await lab.pool.close()
        await lab.backend.close()
        shutil.rmtree(folder)
    results["nothing is left"] = _left_over()
    return results


def _left_over() -> str:
    """What of processes, cgroups, mounts and scratch directories there still is."""
    found = []
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    commands = {each: Path(f"/proc/{each}/cmdline").read_text() for each in children}
    # What has the command line of a lab is its own.
    found += [f"process {each}: {command}" for each, command in commands.items() if "sandbox_lab.py" not in command]
    # os.walk passes over what others take away meanwhile.
    for folder, names, _files in os.walk("/sys/fs/cgroup"):
        found += [f"{folder}/{name}" for name in names if fnmatch(name, f"pileus-*-{os.getpid()}-*")]
    mounts = Path("/proc/self/mountinfo").read_text()
    found += [line for line in mounts.splitlines() if "/var/task" in line or "/.pileus" in line]
    open_files = [os.readlink(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd") if _is_open(each)]
    found += [each for each in open_files if "net:[" in each or "cgroup" in each]
    return "\n".join(found)


def _is_open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


def run_scenarios(module: str, backend: str) -> dict[str, str]:
    """For tests: the results of every scenario, run in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    done = subprocess.run(
        [sys.executable, str(HERE / "sandbox_lab.py"), module, backend],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    try:
        results: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise AssertionError(f"the lab ended with {done.returncode}:\n{done.stdout}\n{done.stderr}") from None
    return results


def _open_the_device() -> None:
    """To everybody, as on most machines: what makes devices for networks."""
    folder = Path(tempfile.mkdtemp())
    os.mknod(folder / "tun", 0o020666, os.makedev(10, 200))
    (folder / "tun").chmod(0o666)
    kernel.mount(str(folder / "tun"), "/dev/net/tun", None, kernel.MS_BIND)


def _become_nobody(backend: str = "namespaces") -> None:
    """Go on as nobody, with the same interpreter and packages, all of them where nobody may read them."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", "/mnt", "tmpfs", 0, "mode=0755")
    paths = []
    folders = [sys.base_prefix, *(each for each in sys.path if os.path.isdir(each))]
    for number, path in enumerate(folders):
        os.mkdir(f"/mnt/{number}")
        kernel.mount(path, f"/mnt/{number}", None, kernel.MS_BIND)
        paths.append(f"/mnt/{number}")
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    python = f"/mnt/0/bin/{os.path.basename(os.path.realpath(sys.executable))}"
    # The interpreter finds its own library by itself.
    others = [bound for bound, path in zip(paths, folders, strict=True) if not path.startswith(sys.base_prefix)]
    environment = {
        "PYTHONPATH": os.pathsep.join(others),
        "LD_LIBRARY_PATH": "/mnt/0/lib",
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": "/tmp",
    }
    script = next(each for each in paths if os.path.exists(f"{each}/sandbox_lab.py"))
    os.chdir("/")
    os.execve(python, [python, f"{script}/sandbox_lab.py", sys.argv[1], backend], environment)


def main() -> None:
    module_name, backend = sys.argv[1:]
    sys.path[:] = [each for each in dict.fromkeys(sys.path) if each]
    if backend == "nobody":
        _become_nobody()
    if backend in ("internet", "internet as nobody"):
        importlib.import_module("internet_world").become_a_machine()
    if backend == "internet as nobody":
        _open_the_device()
        _become_nobody("internet without root")
    if backend == "internet without root":
        importlib.import_module("internet_world").be_served()
    module = importlib.import_module(module_name)
    scenarios = {
        name: value
        for name, value in vars(module).items()
        if name.startswith("try_") and backend not in getattr(value, "not_on", ())
    }
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    folder.chmod(0o755)
    print(json.dumps(asyncio.run(_run_all(scenarios, backend, folder))))


def not_on(*backends: str) -> Callable[[Any], Any]:
    """Mark a scenario that a backend cannot stand."""

    def mark(scenario: Any) -> Any:
        scenario.not_on = backends
        return scenario

    return mark


if __name__ == "__main__":
    main()
