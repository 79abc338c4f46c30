"""What every sandbox backend promises (`sandbox/contract.py`); run by `sandbox_lab` on each of them."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import select
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pileus.sandbox import roots
from pileus.sandbox.contract import OWN_ADDRESS, Assignment, Exit, Limits, Sandbox, SandboxError, Template, TemplateSpec
from sandbox_lab import Lab, not_on

PYTHON = Path(os.path.realpath(sys.executable))
_PATH = {"PATH": "/usr/bin:/bin"}


async def template(lab: Lab, **more: Any) -> Template:
    python = PYTHON
    if not lab.backend.private_root:
        return await lab.backend.template(
            TemplateSpec(name="plain", python_inside=str(python), python_outside=python, **more)
        )
    root = roots.machine_root(993, 990, "sbx_user1051")
    root.binds["/var/lang"] = Path(sys.base_prefix)
    root.directories += ["/data", "/more"]
    return await lab.backend.template(
        TemplateSpec(
            name="plain",
            binds=root.binds,
            files=root.files,
            links=root.links,
            directories=root.directories,
            python_inside=f"/var/lang/bin/{python.name}",
            python_outside=python,
            environment={"LD_LIBRARY_PATH": "/var/lang/lib"},
            **more,
        )
    )


def _folder(name: str, content: str) -> Path:
    """A folder that everybody may read, with one file."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / name).write_text(content)
    return folder


async def output_of(sandbox: Sandbox) -> tuple[Exit, str]:
    """How the sandbox ended and what it wrote; closes it."""
    ended = await asyncio.wait_for(sandbox.wait(), 20)
    written = b""
    while True:
        try:
            chunk = os.read(sandbox.output, 65536)
        except BlockingIOError:
            break
        if not chunk:
            break
        written += chunk
    await sandbox.close()
    os.close(sandbox.output)
    return ended, written.decode()


async def shell(where: Template, command: str, **more: Any) -> tuple[Exit, str]:
    sandbox = await where.shell()
    sandbox.assign(Assignment(argv=("/bin/sh", "-c", command), **{"environment": _PATH, **more}))
    return await output_of(sandbox)


async def try_running_a_program(lab: Lab) -> None:
    plain = await template(lab)
    ended, written = await shell(plain, "echo out; echo err >&2; exit 3")
    assert ended == Exit(status=3)
    assert written == "out\nerr\n"
    ended, _ = await shell(plain, "kill -USR1 $$")
    assert ended.signal == signal.SIGUSR1
    await plain.close()


async def try_a_program_that_is_not_there(lab: Lab) -> None:
    plain = await template(lab)
    sandbox = await plain.shell()
    sandbox.assign(Assignment(argv=("/nothing/here",)))
    ended, written = await output_of(sandbox)
    assert ended == Exit(status=127, not_executed=errno.ENOENT)
    assert written == ""
    sandbox = await plain.shell()
    sandbox.assign(Assignment(argv=("/etc/passwd",)))
    ended, _ = await output_of(sandbox)
    assert ended == Exit(status=126, not_executed=errno.EACCES)
    # One that is there and ends with the same status was executed.
    ended, _ = await shell(plain, "exit 127")
    assert ended == Exit(status=127)
    await plain.close()


@not_on("process")
async def try_a_program_that_runs_ahead(lab: Lab) -> None:
    """It is there before its assignment comes, as the user it stays, and finds what was mounted meanwhile."""
    command = "echo ahead $(id -u) $ONLY; cat; cat note; echo x > /tmp/kept; ls /.pileus; sleep 1000"
    where = await template(lab, ahead=("/bin/sh", "-c", command), ahead_environment={**_PATH, "ONLY": "this"})
    folder = _folder("note", "mounted\n")
    sandbox = await where.shell()
    assert await _read_line(sandbox) == "ahead 993 this\n"
    assigned = Assignment(mounts={"/data": (folder,)}, environment={"A": "1"}, payload={"handler": "x"})
    assigned = replace(assigned, working_directory="/data")
    told = {"environment": {"A": "1"}, "working_directory": "/data", "payload": {"handler": "x"}}
    for _ in range(2):
        sandbox.assign(assigned)
        said = await _read_line(sandbox)
        while "mounted\n" not in said:
            said += await _read_line(sandbox)
        assert json.loads(said.partition("mounted\n")[0]) == told
        # A second run finds the world of the first.
        await sandbox.restart()
        # What the first one said last may still be there.
        said = ""
        while not said.endswith("ahead 993 this\n"):
            said += await _read_line(sandbox)
    await sandbox.close()
    os.close(sandbox.output)
    # Whoever needs a shell hears of one that ended before it could be assigned anything, there or as it is assigned.
    hasty = await template(lab, ahead=("/bin/sh", "-c", "exit 4"))

    async def use_it() -> None:
        sandbox = await hasty.shell()
        await asyncio.wait_for(sandbox.wait(), 20)
        sandbox.assign(Assignment())

    with pytest.raises(SandboxError, match="ended"):
        await use_it()
    await hasty.close()
    await where.close()


async def try_the_environment_is_exact(lab: Lab) -> None:
    plain = await template(lab)
    _, written = await shell(plain, "env", environment={"PATH": "/usr/bin:/bin", "ONLY": "this"})
    names = {line.partition("=")[0] for line in written.splitlines()} - {"PWD", "SHLVL", "_", "OLDPWD", "TMPDIR"}
    assert names == {"PATH", "ONLY"}
    await plain.close()


@not_on("process")
async def try_mounts_are_read_only_and_layered(lab: Lab) -> None:
    plain = await template(lab)
    low, high = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    for folder in (low, high):
        folder.chmod(0o755)
        (folder / "same").write_text(folder.name)
    (low / "low").write_text("low")
    ended, written = await shell(
        plain,
        "cat /data/low; cat /more/low /more/same; echo x > /data/low || echo x > /more/new || exit 9",
        mounts={"/data": (low,), "/more": (low, high)},
    )
    assert ended.status == 9, written
    assert written.startswith(f"lowlow{high.name}")
    # A shell that could not be given what was asked for says so.
    sandbox = await plain.shell()
    try:
        sandbox.assign(Assignment(argv=("/bin/true",), mounts={"/data": (Path("/nowhere/at/all"),)}))
        ended, _ = await output_of(sandbox)
        assert ended.status == 70
    except SandboxError:
        await sandbox.close()
        os.close(sandbox.output)
    await plain.close()


@not_on("process")
async def try_tmp_has_its_size_and_owner(lab: Lab) -> None:
    plain = await template(lab)
    _, written = await shell(plain, "stat -c '%a %u %g' /tmp; df -m /tmp | tail -1; id -u", limits=Limits(tmp_mb=600))
    mode, rest = written.split("\n", 1)
    assert mode == "700 993 990"
    assert rest.split()[1] == "600"
    assert rest.split()[-1] == "993"
    await plain.close()


async def try_restarting(lab: Lab) -> None:
    """A restarted sandbox has no process of before, and the same /tmp."""
    plain = await template(lab)
    sandbox = await plain.shell()
    place = "/tmp" if lab.backend.private_root else "$TMPDIR"
    command = f"sleep 1000 & echo one >> {place}/notes; cat {place}/notes; exec sleep 1000"
    sandbox.assign(Assignment(argv=("/bin/sh", "-c", command), environment=_PATH))
    assert await _read_line(sandbox) == "one\n"
    await sandbox.restart()
    sandbox.assign(
        Assignment(argv=("/bin/sh", "-c", f"cat {place}/notes; ps ax | grep -c 'sleep [1]000'"), environment=_PATH)
    )
    ended, written = await output_of(sandbox)
    assert written.startswith("one\n"), written
    if lab.backend.private_root:
        assert written == "one\n0\n"
    assert ended.status == 1 or not lab.backend.private_root
    await plain.close()


async def _read_line(sandbox: Sandbox) -> str:
    loop = asyncio.get_running_loop()
    there = loop.create_future()
    loop.add_reader(sandbox.output, lambda: there.done() or there.set_result(None))
    try:
        await asyncio.wait_for(there, 20)
    finally:
        loop.remove_reader(sandbox.output)
    return os.read(sandbox.output, 4096).decode()


async def try_freezing(lab: Lab) -> None:
    plain = await template(lab)
    sandbox = await plain.shell()
    sandbox.assign(
        Assignment(
            argv=("/bin/sh", "-c", "echo up; while read -r x; do :; done; while :; do :; done"), environment=_PATH
        )
    )
    assert await _read_line(sandbox) == "up\n"
    sandbox.freeze()
    await asyncio.sleep(0.2)
    before = _cpu_ticks(sandbox)
    await asyncio.sleep(0.3)
    assert _cpu_ticks(sandbox) - before <= 2
    sandbox.thaw()
    for _ in range(200):
        if _cpu_ticks(sandbox) - before > 5:
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("it does not run again")
    # Frozen or not, it ends when it is told to.
    sandbox.freeze()
    sandbox.kill()
    ended, _ = await output_of(sandbox)
    assert ended.signal == signal.SIGKILL
    await plain.close()


def _cpu_ticks(sandbox: Sandbox) -> int:
    ticks = 0
    for pid in _below(sandbox.pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _below(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def try_listening_inside(lab: Lab) -> None:
    """The server's sockets stand inside, on the ports the sandbox is told."""
    plain = await template(lab, ports=(9001, 4566))
    sandbox = await plain.shell()
    served = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()
        served.set()

    server = await asyncio.start_server(serve, sock=sandbox.listeners[9001])
    code = f"import socket; print(socket.create_connection(('127.0.0.1', {sandbox.ports[9001]})).recv(9))"
    python = plain.spec.python_inside
    environment = {
        "LD_LIBRARY_PATH": "/var/lang/lib" if lab.backend.private_root else os.environ.get("LD_LIBRARY_PATH", "")
    }
    sandbox.assign(Assignment(argv=(python, "-I", "-S", "-c", code), environment=environment))
    assert (await asyncio.wait_for(sandbox.wait(), 20)).status == 0
    assert served.is_set()
    server.close()
    _, written = await output_of(sandbox)
    assert written == "b'hello'\n"
    await plain.close()


async def try_terminating(lab: Lab) -> None:
    plain = await template(lab)
    sandbox = await plain.shell()
    command = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    sandbox.assign(Assignment(argv=("/bin/sh", "-c", command), environment=_PATH))
    assert await _read_line(sandbox) == "up\n"
    sandbox.terminate()
    ended, written = await output_of(sandbox)
    assert ended.status == 5
    assert "bye" in written
    await plain.close()


async def try_closing_the_template_ends_everything(lab: Lab) -> None:
    plain = await template(lab)
    plain.keep_ready(2)
    sandbox = await plain.shell()
    sandbox.assign(Assignment(argv=("/bin/sleep", "1000")))
    pid = sandbox.pid
    await plain.close()
    assert not plain.alive
    assert not _runs(pid)
    assert (await sandbox.wait()).signal == signal.SIGKILL
    os.close(sandbox.output)
    with pytest.raises(SandboxError):
        await plain.shell()


async def try_a_killed_template(lab: Lab) -> None:
    """When the template dies its sandboxes die with it, and asking for another one is an error."""
    plain = await template(lab)
    sandbox = await plain.shell()
    sandbox.assign(Assignment(argv=("/bin/sleep", "1000")))
    os.kill(_parent(sandbox.pid), signal.SIGKILL)
    ended, _ = await output_of(sandbox)
    assert ended.signal == signal.SIGKILL
    with pytest.raises(SandboxError):
        await plain.shell()
    await plain.close()


async def try_a_template_that_cannot_start(lab: Lab) -> None:
    bad = Path(tempfile.mkdtemp()) / "entry.py"
    bad.parent.chmod(0o755)
    bad.write_text("raise RuntimeError('no entry')\n")
    with pytest.raises(SandboxError, match="no entry"):
        await template(lab, entry=bad)


async def try_further_programs(lab: Lab) -> None:
    """They see what was mounted, have output and ends of their own, and outlive the first process."""
    plain = await template(lab, ports=(9001,), datagram_ports=(2000,))
    folder = _folder("note", "mounted")
    sandbox = await plain.shell()
    first = Assignment(
        argv=("/bin/sh", "-c", "trap 'exit 3' TERM; echo first; sleep 1000 & wait"),
        environment=_PATH,
        mounts={"/data": (folder,)} if sandbox.private_root else {},
        readable=(folder,),
    )
    await sandbox.prepare(first)
    note = "/data/note" if sandbox.private_root else folder / "note"
    beside = sandbox.start(
        Assignment(argv=("/bin/sh", "-c", f"cat {note}; exit 7"), environment=_PATH, readable=(folder,))
    )
    staying = sandbox.start(Assignment(argv=("/bin/sh", "-c", "sleep 1000"), environment=_PATH))
    missing = sandbox.start(Assignment(argv=("/nothing/here",)))
    assert await asyncio.wait_for(beside.wait(), 20) == Exit(status=7)
    assert os.read(beside.output, 100) == b"mounted"
    assert await asyncio.wait_for(missing.wait(), 20) == Exit(status=127, not_executed=errno.ENOENT)
    sandbox.assign(first)
    await lab.until(lambda: _readable(sandbox.output))
    assert os.read(sandbox.output, 100) == b"first\n"
    sandbox.terminate(first=True)
    assert await asyncio.wait_for(sandbox.wait(), 20) == Exit(status=3)
    still = asyncio.ensure_future(staying.wait())
    await asyncio.sleep(0)
    assert not still.done()
    await sandbox.restart()
    assert await asyncio.wait_for(still, 20) == Exit(signal=signal.SIGKILL)
    sandbox.assign(first)
    await sandbox.close()
    for each in (beside, staying, missing, sandbox):
        os.close(each.output)
    await plain.close()


async def try_sockets_from_inside(lab: Lab) -> None:
    plain = await template(lab, ports=(9001,), datagram_ports=(2000,))
    sandbox = await plain.shell()
    port = sandbox.ports[9001]
    loop = asyncio.get_running_loop()
    for address in ("127.0.0.1", OWN_ADDRESS) if sandbox.private_root else ("127.0.0.1",):
        made = await sandbox.new_socket()
        await asyncio.wait_for(loop.sock_connect(made, (address, port)), 20)
        made.close()
        sandbox.listeners[9001].accept()[0].close()
    sandbox.assign(
        Assignment(
            argv=("/bin/bash", "-c", f"echo hello > /dev/udp/127.0.0.1/{sandbox.ports[2000]}"), environment=_PATH
        )
    )
    assert await asyncio.wait_for(sandbox.wait(), 20) == Exit(status=0)
    assert sandbox.listeners[2000].recv(100) == b"hello\n"
    await sandbox.close()
    os.close(sandbox.output)
    await plain.close()


def _readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])
