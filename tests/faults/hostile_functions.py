"""Functions that do what they should not; see `test_hostile_functions.py`. Run by `sandbox_lab`."""

# ruff: noqa: E501 -- the functions' own code is easier to read unbroken

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from pileus.sandbox import processes
from sandbox_lab import Lab, not_on

# What a call was answered with: "ok" or the error's number.
ATTEMPT = """
import ctypes, os, socket, errno
libc = ctypes.CDLL(None, use_errno=True)

def attempt(call, *arguments):
    try:
        call(*arguments)
        return "ok"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))

def raw(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return "ok" if result >= 0 else errno.errorcode.get(ctypes.get_errno())
"""
REFUSED = {
    "EPERM",
    "EACCES",
    "ENOENT",
    "EROFS",
    "ENOSYS",
    "ESRCH",
    "EINVAL",
    "ECONNREFUSED",
    "ENETUNREACH",
    "EAFNOSUPPORT",
}


def handler(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"{ATTEMPT}\ndef handler(event, context):\n{lines}\n"


def refused(answers: dict[str, Any]) -> None:
    allowed = {name: answer for name, answer in answers.items() if answer not in REFUSED}
    assert not allowed, allowed


@not_on("process")
async def try_reading_host_files(lab: Lab) -> None:
    secret = Path(tempfile.mkdtemp()) / "secret"
    secret.write_text("the host's own")
    spec = lab.function(
        handler(
            """
paths = [event["secret"], "/etc/shadow", "/root/.bashrc", "/home", event["data"], "/.host/etc/passwd", "/proc/1/root/etc/shadow",
         "/proc/1/environ", "/dev/mem", "/dev/sda", "/dev/kmsg", "/proc/kcore", "/.pileus/inside/kernel.py"]
found = {path: attempt(lambda: open(path).read() if not os.path.isdir(path) else os.listdir(path)[0]) for path in paths
         if not (os.path.isdir(path) and not os.listdir(path))}
return [found, open("/etc/passwd").read(), sorted(os.environ)]
"""
        )
    )
    found, users, variables = await lab.answer(spec, {"secret": str(secret), "data": str(lab.folder)})
    refused(found)
    assert {line.split(":")[0] for line in users.split()} == {"root", "sbx_user1051"}
    assert not set(variables) & (
        os.environ.keys() - {"LANG", "PATH", "PWD", "TZ", "SHLVL", "LC_CTYPE", "LD_LIBRARY_PATH"} - {"PYTHONPATH"}
    )


@not_on("process")
async def try_reading_other_environments(lab: Lab) -> None:
    writer = lab.function(
        "def handler(event, context):\n    open('/tmp/mine', 'w').write('x')\n    return open('/proc/self/cgroup').read()"
    )
    reader = lab.function(
        handler(
            "return [os.listdir('/tmp'), [p for p in os.listdir('/proc') if p.isdigit()], os.getuid(), open('/proc/self/uid_map').read()]"
        )
    )
    await lab.answer(writer)
    files, pids, user, _mapped = await lab.answer(reader)
    assert files == []
    # The supervisor and itself.
    assert len(pids) == 2
    assert user == 993


@not_on("process")
async def try_signalling_the_supervisor(lab: Lab) -> None:
    spec = lab.function(
        handler(
            """
import signal
return {"kill": attempt(os.kill, 1, 9) if event else "", "ptrace": raw(101, 16, 1, 0, 0), "vm": raw(310, 1, 0, 0, 0, 0, 0),
        "mem": attempt(open, "/proc/1/mem", "rb"), "pidfd": raw(438, 3, 0, 0)}
"""
        )
    )
    answers = await lab.answer(spec)
    answers.pop("kill")
    refused(answers)
    # A signal to the first process of a namespace from inside it is lost or refused; the environment goes on.
    await lab.answer(spec, 1)
    assert await lab.answer(spec) == {**answers, "kill": ""}


async def try_changing_the_machine(lab: Lab) -> None:
    spec = lab.function(
        handler(
            """
return {"mount": "ok" if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0 else errno.errorcode[ctypes.get_errno()],
        "unshare user": raw(272, 0x10000000), "unshare net": raw(272, 0x40000000), "setns": raw(308, 0, 0),
        "clone": raw(56, 0x10000000 | 17, 0, 0, 0, 0), "clone3": raw(435, b"\\0" * 88, 88), "bpf": raw(321, 0, 0, 0),
        "keyctl": raw(250, 0, -3, 0), "add_key": raw(248, b"user", b"x", b"y", 1, -3), "perf": raw(298, 0, 0, 0, 0, 0),
        "uring": raw(425, 1, b"\\0" * 120), "userfaultfd": raw(323, 0), "module": raw(313, 0, b"", 0), "kexec": raw(246, 0, 0, 0, 0),
        "reboot": raw(169, 0, 0, 0, 0), "chroot": attempt(os.chroot, "/tmp"), "ptrace": raw(101, 0, 0, 0, 0),
        "raw socket": attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1), "packet": attempt(socket.socket, 17, 3, 768),
        "vsock": attempt(socket.socket, 40, 1), "setuid": attempt(os.setuid, 0 if os.getuid() else 12345), "sethostname": attempt(socket.sethostname, "x"),
        "time": raw(227, 0, b"\\0" * 16), "swap": raw(167, b"/tmp/x", 0), "open_by_handle": raw(304, 0, 0, 0)}
"""
        )
    )
    refused(await lab.answer(spec))


@not_on("process")
async def try_writing_where_it_must_not(lab: Lab) -> None:
    spec = lab.function(
        handler(
            """
targets = ["/var/task/x", "/opt/x", "/x", "/usr/x", "/etc/passwd", "/var/runtime/x", "/var/lang/x", "/proc/sys/kernel/hostname",
           "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/sys/x", "/dev/x", "/run/x", "/proc/self/oom_score_adj"]
os.symlink("/etc/passwd", "/tmp/link")
answers = {path: attempt(open, path, "w") for path in targets[:-1] + ["/tmp/link"]}
answers["lower score"] = attempt(lambda: os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), b"-1000"))
answers["suid"] = "EPERM" if not [p for p in ("/bin/su", "/usr/bin/sudo", "/usr/bin/passwd") if os.path.exists(p) and
                                  os.system(p + " -c id root </dev/null >/dev/null 2>&1") == 0] else "ok"
return answers
"""
        )
    )
    refused(await lab.answer(spec))


@not_on("process")
async def try_reaching_the_host(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        spec = lab.function(
            handler(
                """
def connect(address, port):
    with socket.socket() as s:
        s.settimeout(2)
        s.connect((address, port))
return {"loopback": attempt(connect, "127.0.0.1", event), "outside": attempt(connect, "192.0.2.1", 80),
        "metadata": attempt(connect, "169.254.169.254", 80)}
"""
            )
        )
        refused(await lab.answer(spec, listener.getsockname()[1]))


@not_on("process")
async def try_fork_bomb(lab: Lab) -> None:
    spec = lab.function(
        handler(
            """
import time
made = 0
try:
    while made < 5000:
        if os.fork() == 0:
            time.sleep(100)
            os._exit(0)
        made += 1
except OSError as error:
    return [made, errno.errorcode[error.errno]]
return [made, "ok"]
"""
        ),
        timeout_s=30.0,
        memory_mb=2048,
    )
    made, ending = await lab.answer(spec)
    assert made <= 1024, made
    assert ending == "EAGAIN"
    supervisor = lab.environments(spec)[0].sandbox.pid
    await lab.pool.retire(spec.fingerprint)
    assert not _runs(supervisor)


async def try_memory_bomb(lab: Lab) -> None:
    spec = lab.function(
        "def handler(event, context):\n    kept = []\n    while True:\n        kept.append(bytearray(1 << 20))\n",
        memory_mb=128,
    )
    result = await lab.run(spec)
    assert b'"Runtime.OutOfMemory"' in result.payload, result.payload
    assert result.max_memory_mb == 128
    assert b"Max Memory Used: 128 MB" in result.log_tail


@not_on("process")
async def try_full_tmp(lab: Lab) -> None:
    spec = lab.function(
        handler(
            """
chunk, written = b"x" * (1 << 20), 0
try:
    with open("/tmp/full", "wb") as file:
        while True:
            written += file.write(chunk)
            file.flush()
except OSError as error:
    return [written >> 20, errno.errorcode[error.errno]]
"""
        ),
        memory_mb=128,
        tmp_mb=512,
    )
    written, ending = await lab.answer(spec)
    assert 500 <= written <= 512
    assert ending == "ENOSPC"


async def try_open_file_storm(lab: Lab) -> None:
    spec = lab.function(
        handler(
            """
kept = []
try:
    while True:
        kept.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    found = [len(kept), errno.errorcode[error.errno]]
    for fd in kept:
        os.close(fd)
    return found
"""
        )
    )
    opened, ending = await lab.answer(spec)
    assert 900 < opened < 1024
    assert ending == "EMFILE"
    assert (await lab.answer(spec))[1] == "EMFILE"


async def try_ignoring_sigterm(lab: Lab) -> None:
    spec = lab.function(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handler(event, context):\n    time.sleep(100)\n",
        timeout_s=1.0,
    )
    begin = time.monotonic()
    result = await lab.run(spec)
    assert b"Task timed out after 1.00 seconds" in result.payload
    assert time.monotonic() - begin < 5
    await lab.pool.retire(spec.fingerprint)


async def try_background_thread(lab: Lab) -> None:
    """What a function leaves running stands still between invocations."""
    spec = lab.function(
        "import threading, time\ncount = 0\ndef work():\n    global count\n    while True:\n        count += 1\n        time.sleep(0.001)\n"
        "threading.Thread(target=work, daemon=True).start()\ndef handler(event, context):\n    return count\n"
    )
    await lab.answer(spec)
    before = await lab.answer(spec)
    await asyncio.sleep(1.0)
    after = await lab.answer(spec)
    assert after - before < 300, (before, after)


async def try_writing_fast(lab: Lab) -> None:
    """10 MB of lines arrive whole and in order, and the server goes on meanwhile."""
    spec = lab.function(
        "import sys\ndef handler(event, context):\n    for n in range(100_000):\n        sys.stdout.write(f'{n:099d}\\n')\n    return 'done'\n",
        timeout_s=30.0,
    )
    lags: list[float] = []

    async def feel() -> None:
        while True:
            begin = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - begin - 0.01)

    feeling = asyncio.create_task(feel())
    assert await lab.answer(spec) == "done"
    feeling.cancel()
    numbers = [int(each) for each in lab.messages(spec) if len(each) == 100]
    assert numbers == list(range(100_000))
    assert sorted(lags)[len(lags) // 2] < 0.1
    lab.logs.clear()


async def try_exhausting_the_runtime_api(lab: Lab) -> None:
    """Wrong, repeated and broken calls of the Runtime API harm nobody."""
    spec = lab.function(
        """
import http.client, os, socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
def call(method, path, body=b"", headers={}):
    connection = http.client.HTTPConnection(host, int(port))
    connection.request(method, "/2018-06-01/runtime/" + path, body, headers)
    answer = connection.getresponse()
    return [answer.status, answer.read().decode()]
def handler(event, context):
    for n in range(50):
        s = socket.create_connection((host, int(port)))
        s.sendall(os.urandom(200))
        s.close()
    return [call("POST", "invocation/nonsense/response", b"{}"), call("POST", "init/error", b"{}"), call("GET", "nothing"),
            call("GET", "invocation/next"), call("DELETE", "invocation/next")]
"""
    )
    answers = await lab.answer(spec)
    assert [each[0] for each in answers] == [400, 403, 404, 403, 405]
    assert "Invalid request ID" in answers[0][1]
    assert await lab.answer(spec) == answers


@not_on("process")
async def try_leaving_processes(lab: Lab) -> None:
    """A process that it started and detached ends with the environment."""
    spec = lab.function(
        "import subprocess\ndef handler(event, context):\n    subprocess.Popen(['sleep', '1000'], start_new_session=True)\n    return 1\n"
    )
    await lab.answer(spec)
    supervisor = lab.environments(spec)[0].sandbox.pid
    left = processes.below(supervisor)
    assert len(left) == 2
    await lab.pool.retire(spec.fingerprint)
    assert not [each for each in left if _runs(each)]


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
