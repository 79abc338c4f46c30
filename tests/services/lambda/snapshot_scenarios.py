"""Snapshots of functions, and environments restored from them; run by `sandbox_lab`, see `test_snapstart.py`."""

# ruff: noqa: E501 -- the functions' own code is easier to read unbroken

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pileus.kernel.errors import AWSError
from pileus.sandbox.contract import SandboxError
from pileus.services.lambda_ import initializing
from pileus.services.lambda_.execution import FunctionSpec, InvokeResult, Snapshotted
from sandbox_lab import Lab, not_on


def snap_start(lab: Lab, code: str, **settings: Any) -> FunctionSpec:
    return lab.function(code, initialization_type="snap-start", **settings)


async def cold(lab: Lab, spec: FunctionSpec, event: Any = None, **more: Any) -> InvokeResult:
    """An invocation in an environment of its own, which is gone afterwards."""
    result = await lab.run(spec, event, **more)
    function = lab.pool._functions[spec.fingerprint]
    for each in list(function.idle):
        await lab.pool._drop(function, each)
    return result


async def answers(lab: Lab, spec: FunctionSpec, times: int = 2, event: Any = None) -> list[Any]:
    found = []
    for _ in range(times):
        result = await cold(lab, spec, event)
        assert result.function_error is None, (result.payload, lab.messages(spec))
        assert result.init_ms is None, lab.messages(spec)
        found.append(json.loads(result.payload))
    return found


@asynccontextmanager
async def restoring_for(seconds: float) -> AsyncIterator[None]:
    former, initializing.INIT_TIMEOUT_S = initializing.INIT_TIMEOUT_S, seconds
    try:
        yield
    finally:
        initializing.INIT_TIMEOUT_S = former


HOOKS = """
from snapshot_restore_py import register_after_restore, register_before_snapshot
import os
print("init")
seen = []
register_before_snapshot(seen.append, "before 1")
register_before_snapshot(seen.append, "before 2")
register_after_restore(seen.append, "after 1")
@register_after_restore
def after():
    seen.append("after 2")
    print("after")
def handler(event, context):
    if event:
        os.kill(os.getpid(), event)
    return seen, context.log_stream_name, os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], os.getcwd(), os.getppid()
"""


@not_on("process")
async def try_one_init_and_many_restores(lab: Lab) -> None:
    spec = snap_start(lab, HOOKS)
    assert await lab.pool.snapshot(spec) == Snapshotted()
    expected = [["before 2", "before 1", "after 1", "after 2"], None, "snap-start", "/var/task", 1]
    result = await cold(lab, spec, wants_log=True)
    assert json.loads(result.payload) == expected
    assert await answers(lab, spec) == [expected, expected]
    messages = lab.messages(spec)
    assert messages.count("init\n") == 1
    assert messages.count("after\n") == 3
    text = "".join(messages)
    head = r"INIT_START Runtime Version: python:3\.\d+\ninit\nINIT_REPORT Init Duration: [\d.]+ ms\tPhase: init\tStatus: success\n"
    restored = r"RESTORE_START Runtime Version: python:3\.\d+\nafter\nRESTORE_REPORT Restore Duration: ([\d.]+) ms\n"
    report = r"START .*\nEND .*\nREPORT .*\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\t.*Max Memory Used: \d+ MB\tRestore Duration: ([\d.]+) ms\tBilled Restore Duration: (\d+) ms\t\n"
    found = re.match(head + restored + report, text)
    assert found, text
    whole, duration, billed, again, runtime = map(float, found.groups())
    assert whole == again >= runtime - 1
    assert duration + runtime <= billed <= duration + runtime + 1
    assert "Init Duration" not in text.partition("INIT_REPORT Init Duration")[2]
    # The log's tail is of the invocation alone, as for any other cold start.
    assert result.log_tail.startswith(b"START ")
    # It goes on in the same environment.
    assert (await lab.run(spec)).log_tail.count(b"Restore") == 2
    assert (await lab.run(spec)).log_tail.count(b"Restore") == 0


@not_on("process")
async def try_a_log_in_json(lab: Lab) -> None:
    spec = snap_start(lab, HOOKS, log_format="JSON", system_log_level="DEBUG")
    assert await lab.pool.snapshot(spec) == Snapshotted()
    await answers(lab, spec, 1)
    told = [json.loads(each) for each in lab.messages(spec) if each.startswith("{")]
    events = [each for each in told if str(each.get("type", "")).startswith("platform.")]
    assert [each["type"] for each in events] == [
        f"platform.{name}"
        for name in (
            *("initStart", "initRuntimeDone", "initReport"),
            *("restoreStart", "restoreRuntimeDone", "restoreReport", "start", "runtimeDone", "report"),
        )
    ]
    records = [each["record"] for each in events]
    assert records[0]["initializationType"] == records[2]["initializationType"] == "snap-start"
    assert records[3]["functionName"] == spec.name
    assert records[3]["functionVersion"] == spec.version
    assert records[3]["instanceMaxMemory"] == 256 << 20
    assert records[3]["instanceId"] != records[0]["instanceId"]
    assert records[4] == {"status": "success"}
    assert records[5]["status"] == "success"
    metrics = records[8]["metrics"]
    assert metrics["restoreDurationMs"] == records[5]["metrics"]["durationMs"] >= metrics["billedRestoreDurationMs"] - 1
    assert "initDurationMs" not in metrics


@not_on("process")
async def try_the_runtime_ending(lab: Lab) -> None:
    """The environment goes on from the snapshot again."""
    spec = snap_start(lab, HOOKS)
    for number in (signal.SIGKILL, signal.SIGTERM):
        result = await lab.run(spec, int(number))
        assert result.function_error == "Unhandled"
        assert json.loads(result.payload)["errorType"] == "Runtime.ExitError"
    assert (await lab.answer(spec))[0][-1] == "after 2"
    assert len(lab.environments(spec)) == 1
    assert lab.messages(spec).count("init\n") == 1
    assert lab.messages(spec).count("after\n") == 3


RANDOM = """
import os, random, secrets, ssl, tempfile, uuid, threading
try:
    import numpy
    numpy.random.random()
except ImportError:
    numpy = None
def draw():
    found = {
        "random": random.random(), "bits": random.getrandbits(64), "secrets": secrets.token_hex(8), "uuid4": str(uuid.uuid4()),
        "urandom": os.urandom(8).hex(), "ssl": ssl.RAND_bytes(8).hex(), "tempfile": tempfile.mktemp(),
        "token": random.SystemRandom().random(),
    }
    if numpy:
        found["numpy"] = float(numpy.random.random())
    return found
first = draw()
def handler(event, context):
    return [first, draw(), os.getpid()]
"""


@not_on("process")
async def try_nothing_is_drawn_twice(lab: Lab) -> None:
    found = await answers(lab, snap_start(lab, RANDOM), 4)
    assert all(first == found[0][0] for first, _, _ in found)
    for name in found[0][0]:
        drawn = [found[0][0][name], *(second[name] for _, second, _ in found)]
        assert len(set(drawn)) == len(drawn), (name, drawn)


KEYS = """
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
def draw():
    return [str(ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value), AESGCM.generate_key(128).hex()]
first = draw()
def handler(event, context):
    return [first, draw()]
"""


@not_on("process")
async def try_keys_of_a_library_with_its_own_generator(lab: Lab) -> None:
    """cryptography brings an OpenSSL of its own, of which Python knows nothing."""
    spec = snap_start(lab, KEYS)
    for name in ("cryptography", "cffi", "_cffi_backend"):
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        if found.submodule_search_locations:
            shutil.copytree(Path(found.origin).parent, spec.code_dir / name)
        else:
            shutil.copy(found.origin, spec.code_dir)
    found_keys = await answers(lab, spec, 3)
    drawn = [key for first, second in found_keys for key in second] + found_keys[0][0]
    assert len(set(drawn)) == len(drawn) == 8


OWN = """
import asyncio, os, select, socket, tempfile
os.makedirs("/tmp/a/b")
open("/tmp/a/b/file", "w").write("0123456789")
os.link("/tmp/a/b/file", "/tmp/link")
os.symlink("/tmp/a", "/tmp/way")
os.chmod("/tmp/a/b/file", 0o640)
reading = open("/tmp/a/b/file"); reading.seek(4)
writing = open("/tmp/log", "a+"); writing.write("init\\n"); writing.flush()
nameless = tempfile.TemporaryFile("w+"); nameless.write("nameless"); nameless.flush()
code = open(__file__); code.read(3)
pipe = os.pipe()
pair = socket.socketpair()
loop = asyncio.new_event_loop()
event = os.eventfd(3)
api = socket.create_connection(("127.0.0.1", 9001))
server = socket.create_server(("127.0.0.1", 5000))
poll = select.poll(); poll.register(pair[1], select.POLLIN)

async def work():
    await asyncio.sleep(0)
    return await loop.run_in_executor(None, os.getpid)

def handler(number, context):
    open(f"/tmp/mine{number}", "w").close()
    writing.write(f"{number}\\n"); writing.flush(); writing.seek(0)
    nameless.write(str(number)); nameless.flush(); nameless.seek(0)
    waiting = bool(poll.poll(0))
    os.write(pipe[1], b"x"); pair[0].send(b"y")
    try:
        dead = api.recv(1) == b""
    except OSError:
        dead = True
    with socket.create_connection(("127.0.0.1", 5000)) as client:
        server.settimeout(5)
        served = server.accept()[0].getpeername()[0]
    return {
        "tmp": sorted(os.listdir("/tmp")), "reading": reading.read(), "link": os.stat("/tmp/link").st_nlink,
        "mode": oct(os.stat("/tmp/way/b/file").st_mode), "log": writing.read(), "nameless": nameless.read(), "code": code.tell(),
        "pipe": os.read(pipe[0], 10).decode(), "pair": pair[1].recv(10).decode(), "waiting": waiting, "loop": loop.run_until_complete(work()) == os.getpid(),
        "event": os.eventfd_read(event), "dead": dead, "served": served,
    }
"""


@not_on("process")
async def try_everything_open_is_its_own(lab: Lab) -> None:
    spec = snap_start(lab, OWN)
    # Both at once: what one does, the other does not see.
    results = await asyncio.gather(lab.answer(spec, 1), lab.answer(spec, 2))
    for number, found in enumerate(results, 1):
        assert found == {
            "tmp": ["a", "link", "log", f"mine{number}", "way"],
            "reading": "456789",
            "link": 2,
            "mode": "0o100640",
            "log": f"init\n{number}\n",
            "nameless": f"nameless{number}",
            "code": 3,
            "pipe": "x",
            "pair": "y",
            "waiting": False,
            "loop": True,
            "event": 3,
            "dead": True,
            "served": "127.0.0.1",
        }, (found, lab.messages(spec))
    assert len(lab.environments(spec)) == 2


HELD = {
    "a thread runs when its initialization ends (worker)": "threading.Thread(target=threading.Event().wait, name='worker', daemon=True).start()",
    "another process runs when its initialization ends": "held = subprocess.Popen(['sleep', '100'])",
    "it shares memory with other processes": "held = mmap.mmap(-1, 4096)",
    "it holds a file in memory open": "held = os.memfd_create('x')",
}


@not_on("process")
async def try_what_cannot_be_cloned(lab: Lab) -> None:
    for why, held in HELD.items():
        code = f"import mmap, os, subprocess, threading\n{held}\nprint('init')\ndef handler(event, context):\n    return 1\n"
        spec = snap_start(lab, code)
        assert await lab.pool.snapshot(spec) == Snapshotted("", why)
        for _ in range(2):
            result = await cold(lab, spec)
            assert json.loads(result.payload) == 1
            assert result.init_ms is not None
        messages = lab.messages(spec)
        assert messages.count("init\n") == 3
        note = f"[WARNING] SnapStart: this environment is initialized, not restored from a snapshot: {why}\n"
        assert messages.count(note) == 2
    spec = snap_start(lab, HOOKS, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/usr/bin/env"})
    assert (await lab.pool.snapshot(spec)).obstacle == "a program of the function's starts its runtime"
    # Its hooks run all the same.
    assert (await lab.answer(spec))[0] == ["before 2", "before 1", "after 1", "after 2"]


async def try_a_failing_init(lab: Lab) -> None:
    for code, kind in (
        ("raise ValueError('no')\n", "ValueError"),
        ("import os\nos._exit(3)\n", "Runtime.ExitError"),
        (
            "from snapshot_restore_py import register_before_snapshot\nregister_before_snapshot(int, 'x')\ndef handler(event, context):\n    return 1\n",
            "Runtime.BeforeSnapshotError",
        ),
    ):
        spec = snap_start(lab, code)
        assert (await lab.pool.snapshot(spec)).error_type == kind
        assert any("Status: error\tError Type: " + kind in each for each in lab.messages(spec))
        # Whoever invokes it after all hears why it fails.
        assert (await lab.run(spec)).function_error == "Unhandled"


@not_on("process")
async def try_a_failing_restore(lab: Lab) -> None:
    code = "import time\nfrom snapshot_restore_py import register_after_restore\nregister_after_restore({})\ndef handler(event, context):\n    return 1\n"
    spec = snap_start(lab, code.format("int, 'no number'"))
    with pytest.raises(AWSError) as caught:
        await lab.run(spec)
    assert caught.value.code == "SnapStartException"
    text = "".join(lab.messages(spec))
    assert "no number" in text
    assert re.search(
        r"RESTORE_REPORT Restore Duration: [\d.]+ ms\tStatus: error\tError Type: Runtime.AfterRestoreError\n", text
    )
    (warning,) = lab.warnings
    assert warning.startswith("an environment was not restored ")
    assert spec.arn in warning
    assert "Runtime.AfterRestoreError" in warning
    spec = snap_start(lab, code.format("time.sleep, 100"))
    assert await lab.pool.snapshot(spec) == Snapshotted()
    async with restoring_for(0.3):
        with pytest.raises(AWSError) as caught:
            await lab.run(spec)
    assert (caught.value.code, caught.value.status) == ("SnapStartTimeoutException", 408)
    assert re.search(r"RESTORE_REPORT Restore Duration: [\d.]+ ms\tStatus: timeout\n", "".join(lab.messages(spec)))
    assert not lab.environments(spec)


@not_on("process")
async def try_a_snapshot_that_is_lost(lab: Lab) -> None:
    """Its environments are gone with it; it is made again."""
    spec = snap_start(lab, HOOKS)
    await lab.answer(spec)
    taken = lab.pool._snapshots._taken[spec.fingerprint].result()
    assert taken.environment is not None
    taken.environment.sandbox.kill()
    await lab.until(lambda: not taken.template.alive)  # type: ignore[union-attr]
    await lab.until(lambda: not lab.environments(spec))
    await answers(lab, spec)
    assert lab.messages(spec).count("init\n") == 2


@not_on("process")
async def try_a_snapshot_without_room(lab: Lab) -> None:
    """It goes when memory is short and nothing of it runs, and comes again."""
    async with lab.another() as small:
        spec = snap_start(small, HOOKS)
        await answers(small, spec)
        # Of the room for four environments, the snapshot takes some.
        assert small.pool._snapshots.used_mb() > 0
        small.pool._budget_mb = 4 * 8.0
        plain = [small.function("import time\ndef handler(event, context):\n    time.sleep(0.2)\n") for _ in range(4)]
        await asyncio.gather(*(small.run(each) for each in plain))
        assert not small.pool._snapshots._taken
        await answers(small, spec)
        assert small.messages(spec).count("init\n") == 2


@not_on("process")
async def try_retiring(lab: Lab) -> None:
    spec = snap_start(lab, HOOKS)
    await lab.answer(spec)
    await lab.pool.retire(spec.fingerprint)
    assert spec.fingerprint not in lab.pool._snapshots._taken


CREDENTIALS = """
import json, os, urllib.error, urllib.request
import boto3
client = boto3.client("s3", region_name="us-east-1")
def get(token):
    request = urllib.request.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers={"Authorization": token})
    try:
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code
def handler(event, context):
    found = client._request_signer._credentials.get_frozen_credentials()
    return [found.access_key, get(os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]), get("another"), "AWS_ACCESS_KEY_ID" in os.environ]
"""


@not_on("process")
async def try_the_credentials(lab: Lab) -> None:
    told = {
        "AccessKeyId": "ASIAFUNCTION",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": "2100-01-01T00:00:00Z",
    }
    for found in await answers(lab, snap_start(lab, CREDENTIALS)):
        assert found == ["ASIAFUNCTION", told, 404, False]


HOSTILE = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def tried():
    calls = {
        "unshare": lambda: libc.unshare(0x00020000), "userns": lambda: libc.unshare(0x10000000),
        "mount": lambda: libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None), "umount": lambda: libc.umount2(b"/tmp", 2),
        "setns": lambda: libc.setns(os.open("/proc/self/ns/pid", os.O_RDONLY), 0), "hostname": lambda: libc.sethostname(b"x", 1),
        "chroot": lambda: libc.chroot(b"/tmp"), "ptrace": lambda: libc.ptrace(16, 1, 0, 0), "setuid": lambda: libc.setuid(0),
        "clone": lambda: libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0), "one": lambda: libc.syscall(56, 0x20000000 | 17, 0, 0, 0, 0),
        # The very call of a snapshot, when nobody has asked for a clone.
        "clone of all": lambda: libc.syscall(56, 0x6C020000 | 17, 0, 0, 0, 0),
    }
    return [name for name, call in calls.items() if call() >= 0]
def world():
    status = open("/proc/self/status").read()
    return {"caps": status.split("CapEff:")[1].split()[0], "uid": os.getuid(), "pids": [int(each) for each in os.listdir("/proc") if each.isdigit()],
            "write": os.access("/proc/sys/kernel/hostname", os.W_OK), "root": sorted(os.listdir("/")) == sorted(set(os.listdir("/")))}
first = [tried(), world()]
def handler(event, context):
    return [first, [tried(), world()]]
"""


@not_on("process")
async def try_hostile_functions(lab: Lab) -> None:
    for (before, there), (after, here) in await answers(lab, snap_start(lab, HOSTILE)):
        assert before == after == []
        # What it is left for is refused but when it is asked to.
        assert there["caps"] == "0000000000200000"
        assert here["caps"] == "0000000000000000"
        assert there["uid"] == here["uid"] == 993
        assert sorted(there["pids"]) == [1, 2]
        assert sorted(here["pids"]) == [1, 3]
        assert not here["write"]


LYING = """
import array, os, socket, stat, json, struct
found = [fd for fd in range(3, 64) if os.path.exists(f"/proc/self/fd/{{fd}}") and stat.S_ISSOCK(os.fstat(fd).st_mode)]
control = socket.socket(fileno=os.dup(found[0]))
def say(message, fds=()):
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    control.sendmsg([struct.pack("!I", len(data)) + data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
{0}
def handler(event, context):
    return 1
"""
LIES = (
    "say(b'nonsense')",
    "control.send(b'\\xff' * 1000)",
    "say({'listening': [1], 'fds': 1}, [0])\nsay({'failed': 5})\nsay({'socket': True})\nsay({'snapshot': ['x']})",
    # That it is ready, and then clones that are none of its own.
    "say({'snapshot': ''})\nimport threading\nfor _ in range(20):\n    say({'cloned': True, 'fds': 1}, [0])\nwhile True:\n    if not control.recvmsg(4096, 4096)[0]: os._exit(0)\n    say({'cloned': True, 'fds': 1}, [os.pidfd_open(os.getppid())])",
    "say({'snapshot': ''})\nwhile control.recv(4096):\n    say({'refused': 'never'})",
    "say([1, 2])\nsay({'fds': 'x'})",
    # Without end.
    "while True:\n    say({'here': True})",
    "import os\nif os.fork() == 0:\n    while True:\n        say({'cloned': True, 'fds': 1}, [0])\nsay({'snapshot': ''})",
)


@not_on("process")
async def try_functions_that_lie(lab: Lab) -> None:
    """Nothing comes of it but that they are not restored."""
    for lie in LIES:
        spec = snap_start(lab, LYING.format(lie), timeout_s=2.0)
        try:
            result = await lab.run(spec)
        except (SandboxError, AWSError):
            continue
        assert result.function_error or result.init_ms is not None, lie
    spec = snap_start(lab, HOOKS)
    await answers(lab, spec)


async def try_without_namespaces(lab: Lab) -> None:
    if lab.backend.private_root:
        return
    spec = snap_start(lab, HOOKS)
    why = "without namespaces clones would share their network and /tmp"
    assert await lab.pool.snapshot(spec) == Snapshotted("", why)
    result = await lab.run(spec)
    assert json.loads(result.payload)[0] == ["before 2", "before 1", "after 1", "after 2"]
    assert result.init_ms is not None
    assert any(why in each for each in lab.messages(spec))
