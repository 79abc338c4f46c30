"""What a function sees of its environment and what is seen of it; run by `sandbox_lab`, see `test_environments.py`."""

# ruff: noqa: E501 -- the functions own code is easier to read unbroken

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from typing import Any

from pileus.services.lambda_.execution import InvokeResult
from sandbox_lab import ACCOUNT, REGION, Lab

ECHO = "def handler(event, context):\n    return event\n"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def error(result: InvokeResult) -> dict[str, Any]:
    assert result.function_error == "Unhandled"
    found: dict[str, Any] = json.loads(result.payload)
    return found


async def try_the_lines_of_the_log(lab: Lab) -> None:
    spec = lab.function("def handler(event, context):\n    print('hello')\n    return context.aws_request_id\n")
    result = await lab.run(spec)
    request_id = json.loads(result.payload)
    lines = [
        rf"START RequestId: {request_id} Version: \$LATEST\n",
        r"hello\n",
        rf"END RequestId: {request_id}\n",
        rf"REPORT RequestId: {request_id}\tDuration: [0-9.]+ ms\tBilled Duration: [0-9]+ ms\tMemory Size: 256 MB",
        r"\tMax Memory Used: [0-9]+ MB\tInit Duration: [0-9]+\.[0-9]{2} ms\t\n",
    ]
    assert re.fullmatch("".join(lines), result.log_tail.decode())
    messages = lab.messages(spec)
    assert messages[0].startswith("INIT_START Runtime Version: python:3.")
    assert "".join(messages[1:]) == result.log_tail.decode()
    assert result.init_ms is not None
    assert result.billed_ms >= result.duration_ms + result.init_ms
    again = await lab.run(spec)
    assert again.init_ms is None
    assert b"Init Duration" not in again.log_tail


async def try_the_environment_variables(lab: Lab) -> None:
    code = "import os, sys\nseen = dict(os.environ)\ndef handler(event, context):\n    return [seen, sys.path, os.getcwd(), os.listdir('/var/runtime')]\n"
    spec = lab.function(code, environment={"MINE": "1", "AWS_REGION": "not this", "PATH": "/mine"})
    seen, path, folder, runtime = await lab.answer(spec)
    version = spec.runtime
    expected = {
        "AWS_ACCESS_KEY_ID": "ASIAFUNCTION",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{version}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group,
        "AWS_LAMBDA_RUNTIME_API": "169.254.100.1:9001",
        "AWS_REGION": REGION,
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LANG": "en_US.UTF-8",
        **({"LC_CTYPE": "C.UTF-8"} if sys.version_info >= (3, 12) else {}),
        "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
        "MINE": "1",
        "PATH": "/mine",
        "PWD": "/var/task",
        "PYTHONPATH": "/var/runtime",
        "SHLVL": "0",
        "TZ": ":UTC",
        "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "_HANDLER": "index.handler",
    }
    stream = seen.pop("AWS_LAMBDA_LOG_STREAM_NAME")
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream)
    assert seen == expected, {name: (seen.get(name), expected.get(name)) for name in seen.keys() ^ expected.keys()}
    layers = [f"/opt/python/lib/{version}/site-packages", "/opt/python"]
    standard = [f"/var/lang/lib/{version.replace('.', '')}.zip", f"/var/lang/lib/{version}"]
    assert path[:4] == ["/var/task", *layers, "/var/runtime"]
    assert path[4:6] == standard
    assert path[-2:] == layers
    assert folder == "/var/task"
    assert {name.split(".")[0] for name in runtime} == {
        "bootstrap",
        "awslambdaric", "boto3", "botocore", "dateutil", "jmespath", "runtime_client", "s3transfer", "simplejson", "six",
        "snapshot_restore_py", "urllib3",
    }  # fmt: skip


async def try_the_context(lab: Lab) -> None:
    spec = lab.function(
        "import os\ndef handler(event, c):\n"
        "    return [c.function_name, c.function_version, c.memory_limit_in_mb, c.invoked_function_arn, c.log_group_name,\n"
        "            c.log_stream_name == os.environ['AWS_LAMBDA_LOG_STREAM_NAME'], c.get_remaining_time_in_millis(),\n"
        "            c.client_context.custom, c.identity.cognito_identity_id, os.environ.get('_X_AMZN_TRACE_ID'), event]\n",
        timeout_s=7.0,
    )
    result = await lab.run(
        spec,
        {"a": [1, "ü"]},
        client_context='{"custom": {"k": "v"}}',
        cognito_identity='{"cognitoIdentityId": "us-east-1:1", "cognitoIdentityPoolId": "p"}',
        trace_header="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0",
    )
    name, version, memory, arn, group, stream, left, custom, identity, trace, event = json.loads(result.payload)
    assert [name, version, memory] == [spec.name, "$LATEST", "256"]
    assert arn == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{spec.name}"
    assert (group, stream) == (spec.log_group, True)
    assert 0 < left <= 7000
    assert custom == {"k": "v"}
    assert identity == "us-east-1:1"
    assert trace == "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"
    assert event == {"a": [1, "ü"]}


async def try_errors_of_the_function(lab: Lab) -> None:
    spec = lab.function("def handler(event, context):\n    raise ValueError('no')\n")
    found = error(await lab.run(spec))
    assert re.fullmatch(UUID, found.pop("requestId"))
    assert found == {
        "errorMessage": "no",
        "errorType": "ValueError",
        "stackTrace": ["  File \"/var/task/index.py\", line 2, in handler\n    raise ValueError('no')\n"],
    }
    # The environment goes on, and the report says nothing of it.
    result = await lab.run(spec)
    assert result.init_ms is None
    assert b"Status" not in result.log_tail
    assert "[ERROR] ValueError: no\nTraceback (most recent call last):\n" in result.log_tail.decode()


async def try_errors_of_init(lab: Lab) -> None:
    cases = {
        "import nothing_like_this\n": (
            "Runtime.ImportModuleError", "Unable to import module 'index': No module named 'nothing_like_this'"
        ),
        "def other(): ...\n": ("Runtime.HandlerNotFound", "Handler 'handler' missing on module 'index'"),
        "def handler(:\n": ("Runtime.UserCodeSyntaxError", "Syntax error in module 'index': invalid syntax (index.py, line 1)"),
        "raise Exception('Runtime startup fails')\n": ("Exception", "Runtime startup fails"),
    }  # fmt: skip
    for code, (kind, message) in cases.items():
        spec = lab.function(code)
        result = await lab.run(spec)
        found = error(result)
        assert (found["errorType"], found["errorMessage"], found["requestId"]) == (kind, message, "")
        assert result.init_ms is None
        reports = [each for each in lab.messages(spec) if each.startswith("INIT_REPORT")]
        assert [each.partition("\t")[2] for each in reports] == [
            f"Phase: {phase}\tStatus: error\tError Type: {kind}\n" for phase in ("init", "invoke")
        ]
        assert f"Status: error\tError Type: {kind}" in result.log_tail.decode()
        if kind == "Exception":
            # Record "test_lambda_runtime_error": nothing of the runtime's own files is in it.
            assert re.match(r'  File "/var/lang/lib/python3\.\d+/importlib/__init__\.py"', found["stackTrace"][0])
            assert found["stackTrace"][-1].startswith('  File "/var/task/index.py", line 1, in <module>\n')
    found = error(await lab.run(lab.function(ECHO, handler="nodot")))
    assert found["errorType"] == "Runtime.MalformedHandlerName"


async def try_init_that_works_the_second_time(lab: Lab) -> None:
    """/tmp outlives a failed init, which is tried again as part of the invocation."""
    spec = lab.function(
        "import os\nif not os.path.exists('/tmp/tried'):\n    open('/tmp/tried', 'w').close()\n    raise SystemExit(1)\n"
        + ECHO
    )
    result = await lab.run(spec, 5)
    assert result.payload == b"5"
    assert result.init_ms is None
    assert [each for each in lab.messages(spec) if each.startswith("INIT_REPORT")]


async def try_endings(lab: Lab) -> None:
    cases = {
        "sys.exit(0)": "Runtime exited without providing a reason",
        "os._exit(127)": "Runtime exited with error: exit status 127",
        "os.abort()": "Runtime exited with error: signal: aborted",
        "os.kill(os.getpid(), 11)": "Runtime exited with error: signal: segmentation fault",
        "os.kill(os.getpid(), 9)": "Runtime exited with error: signal: killed",
        "os.kill(os.getpid(), 15)": "Runtime exited with error: signal: terminated",
    }
    for call, message in cases.items():
        spec = lab.function(
            f"import os, sys\ndef handler(event, context):\n    if event:\n        return event\n    {call}\n"
        )
        result = await lab.run(spec)
        found = error(result)
        assert found["errorType"] == "Runtime.ExitError"
        assert re.fullmatch(rf"RequestId: {UUID} Error: {re.escape(message)}", found["errorMessage"]), found
        assert f"Error: {message}\nRuntime.ExitError\n" in result.log_tail.decode()
        assert await lab.answer(spec, 1) == 1


async def try_a_segmentation_fault_during_init(lab: Lab) -> None:
    """Record "test_lambda_runtime_exit_segfault": it is not told, and the invocation times out."""
    found = error(await lab.run(lab.function("import os\nos.kill(os.getpid(), 11)\n" + ECHO, timeout_s=1.0)))
    assert found["errorType"] == "Sandbox.Timedout"
    assert re.fullmatch(rf"RequestId: {UUID} Error: Task timed out after 1\.00 seconds", found["errorMessage"])


async def try_timing_out(lab: Lab) -> None:
    """As AWS: memory is lost, /tmp is kept (record "test_lambda_invoke_timed_out_environment_reuse")."""
    spec = lab.function(
        "import time\nnumber = 0\ndef handler(event, context):\n    global number\n    if event == 'set':\n        number = 42\n"
        "        open('/tmp/kept', 'w').write('some-content')\n    if event == 'sleep':\n        print('last words')\n        time.sleep(60)\n"
        "    return [number, open('/tmp/kept').read()]\n",
        timeout_s=1.0,
    )
    assert await lab.answer(spec, "set") == [42, "some-content"]
    result = await lab.run(spec, "sleep")
    found = error(result)
    assert found["errorType"] == "Sandbox.Timedout"
    assert re.fullmatch(rf"RequestId: {UUID} Error: Task timed out after 1\.00 seconds", found["errorMessage"])
    assert result.duration_ms == 1000.0
    assert result.billed_ms == 1000
    tail = result.log_tail.decode()
    assert re.search(rf"last words\n\d{{4}}-\d\d-\d\dT[0-9:.]+Z {UUID} Task timed out after 1\.00 seconds\n\n", tail)
    assert "\tStatus: timeout\n" in tail
    assert await lab.answer(spec) == [0, "some-content"]


async def try_an_answer_that_is_too_large(lab: Lab) -> None:
    spec = lab.function("def handler(event, context):\n    return 'x' * event\n")
    for _ in range(2):
        assert error(await lab.run(spec, 6 * 1024 * 1024 + 101)) == {
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        }
    largest = 6 * 1024 * 1024 + 98
    assert len((await lab.run(spec, largest)).payload) == largest + 2


async def try_messages_of_several_lines(lab: Lab) -> None:
    spec = lab.function(
        "import logging, sys\nlog = logging.getLogger()\nlog.setLevel('INFO')\ndef handler(event, context):\n"
        "    print('one\\ntwo')\n    log.info('three\\nfour')\n    print('five', end='')\n    print('six', file=sys.stderr, end='')\n"
    )
    await lab.run(spec)
    messages = [each for each in lab.messages(spec) if not each.startswith(("INIT", "START", "END", "REPORT"))]
    assert messages[:2] == ["one\n", "two\n"]
    assert re.fullmatch(rf"\[INFO\]\t[0-9TZ:.-]+\t{UUID}\tthree\nfour\n", messages[2])
    assert messages[3:] == ["fivesix"]


async def try_logging_json(lab: Lab) -> None:
    spec = lab.function(
        "import logging\nlog = logging.getLogger()\ndef handler(event, context):\n    log.debug('no')\n    log.info('yes')\n    print('plain')\n",
        log_format="JSON",
    )
    await lab.run(spec)
    messages = lab.messages(spec)
    assert "plain\n" in messages
    lines = [json.loads(each) for each in messages if each != "plain\n"]
    kinds = [each.get("type") or each["message"] for each in lines]
    assert kinds == ["platform.initStart", "platform.start", "yes", "platform.report"]
    assert lines[3]["record"]["status"] == "success"
    assert lines[3]["record"]["metrics"].keys() >= {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB"}


async def try_own_versions_of_packages(lab: Lab) -> None:
    """What the function or a layer ships comes before what the template has loaded."""
    layer = lab.folder / "layer" / "python"
    (layer / "six").mkdir(parents=True, exist_ok=True)
    (layer / "six" / "__init__.py").write_text("__version__ = 'from the layer'\n")
    spec = lab.function(
        {
            "index.py": "import boto3, six, queue, json\ndef handler(event, context):\n    return [boto3.__file__, six.__version__, queue.MINE, json.__file__]\n",
            "boto3/__init__.py": "",
            "queue.py": "MINE = 1\n",
        },
        layer_dirs=(lab.folder / "layer",),
    )
    boto3, six, queue, own_json = await lab.answer(spec)
    assert boto3 == "/var/task/boto3/__init__.py"
    assert six == "from the layer"
    assert queue == 1
    assert own_json.startswith("/var/lang/lib/")


async def try_layers_over_each_other(lab: Lab) -> None:
    folders = []
    for name in ("low", "high"):
        folder = lab.folder / f"layer-{name}" / "python"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "shared.py").write_text(f"NAME = {name!r}\n")
        (folder / f"{name}.py").write_text("")
        folders.append(folder.parent)
    spec = lab.function(
        "import shared, low, high\ndef handler(event, context):\n    return shared.NAME\n", layer_dirs=folders
    )
    assert await lab.answer(spec) == "high"


async def try_using_the_sdk(lab: Lab) -> None:
    spec = lab.function(
        "import boto3\nclient = boto3.client('s3')\nother = boto3.session.Session().client('kinesis')\n"
        "def handler(event, context):\n    c = client._request_signer._credentials\n"
        "    return [client.meta.endpoint_url, client.meta.region_name, c.access_key, c.token, other.meta.endpoint_url]\n"
    )
    own = "http://127.0.0.1:4566"
    assert await lab.answer(spec) == [own, REGION, "ASIAFUNCTION", "token", own]


async def try_credentials_from_elsewhere(lab: Lab) -> None:
    """What the SDK shares with other environments does not keep it from looking where the function tells it to."""
    code = (
        "import os, boto3\n"
        "os.makedirs('/tmp/home/.aws', exist_ok=True)\n"
        "open('/tmp/home/.aws/credentials', 'w').write('[default]\\naws_access_key_id=AKFILE\\n"
        "aws_secret_access_key=s\\n[other]\\naws_access_key_id=AKOTHER\\naws_secret_access_key=s\\n')\n"
        "os.environ['HOME'] = '/tmp/home'\n"
        "if os.environ.get('NAMED'):\n    os.environ['AWS_PROFILE'] = 'other'\n"
        "for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'):\n    del os.environ[name]\n"
        "first = boto3.client('s3')\nfirst.note = 1\ntype(first).mine = 1\n"
        "def handler(event, context):\n    second = boto3.client('s3')\n"
        "    return [first._request_signer._credentials.access_key, hasattr(second, 'mine'), second.put_object.__name__]\n"
    )
    assert await lab.answer(lab.function(code)) == ["AKFILE", False, "put_object"]
    named = lab.function(code, environment={"NAMED": "yes"})
    assert await lab.answer(named) == ["AKOTHER", False, "put_object"]


async def try_randomness(lab: Lab) -> None:
    """Environments cloned from one template do not draw the same numbers."""
    code = "import random, ssl, tempfile, uuid\nfirst = [random.random(), str(uuid.uuid4()), str(uuid.uuid1()), ssl.RAND_bytes(16).hex(), tempfile.mktemp()]\ndef handler(event, context):\n    return first\n"
    drawn = [await lab.answer(lab.function(code)) for _ in range(3)]
    for kind in zip(*drawn, strict=True):
        assert len(set(kind)) == 3


async def try_many_at_once(lab: Lab) -> None:
    spec = lab.function(
        "import time\ndef handler(event, context):\n    time.sleep(0.3)\n    return event\n", memory_mb=512
    )
    results = await asyncio.gather(*(lab.answer(spec, n) for n in range(8)))
    assert results == list(range(8))
    assert lab.pool.ready(spec.fingerprint) == 8
    # The one that was used last is used next.
    results = [await lab.answer(spec, n) for n in range(3)]
    assert lab.pool.ready(spec.fingerprint) == 8
    await lab.pool.retire(spec.fingerprint)
    assert lab.pool.ready(spec.fingerprint) == 0


async def try_being_killed_between_invocations(lab: Lab) -> None:
    """Whoever invokes next gets a fresh environment, and no error."""
    spec = lab.function("import os\nn = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n")
    for what in ("_running", "_first"):
        for frozen in (True, False):
            before = lab.environments(spec)
            count = await lab.answer(spec)
            assert count == 1
            assert await lab.answer(spec) == 2
            (environment,) = set(lab.environments(spec)) - set(before)
            sandbox = environment.sandbox
            if frozen:
                await lab.until(lambda sandbox=sandbox: sandbox._frozen)
            os.kill(getattr(sandbox, what).pid, signal.SIGKILL)
            if not frozen:
                # On a busy machine it stands still before that.
                await lab.until(lambda sandbox=sandbox: sandbox._frozen or not lab.environments(spec))
    assert await lab.answer(spec) == 1
    assert len(lab.environments(spec)) == 1


async def try_provisioning(lab: Lab) -> None:
    spec = lab.function(
        "import os\nkind = os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n" + ECHO,
        initialization_type="provisioned-concurrency",
    )
    assert await lab.pool.provision(spec, 2) == 2
    # They stand still until they are called.
    await lab.until(lambda: all(each.sandbox._frozen for each in lab.environments(spec)))
    assert sorted(each.split(" ")[0] for each in lab.messages(spec)) == 2 * ["INIT_REPORT"] + 2 * ["INIT_START"]
    result = await lab.run(spec, 1)
    assert result.init_ms is None
    assert result.payload == b"1"
    broken = lab.function("raise ValueError('no')\n")
    assert await lab.pool.provision(broken, 2) == 0


async def try_retiring_a_busy_one(lab: Lab) -> None:
    """What runs is finished; what is retired is gone."""
    spec = lab.function("import time\ndef handler(event, context):\n    time.sleep(0.5)\n    return 1\n")
    running = asyncio.create_task(lab.answer(spec))
    await lab.until(lambda: bool(lab.environments(spec)))
    await lab.pool.retire(spec.fingerprint)
    assert running.done()
    assert running.result() == 1


async def try_a_caller_who_goes_away(lab: Lab) -> None:
    spec = lab.function(
        "import time\ncount = 0\ndef handler(event, context):\n    global count\n    count += 1\n    time.sleep(0.2)\n    return count\n"
    )
    await lab.answer(spec)
    leaving = asyncio.create_task(lab.answer(spec))
    await asyncio.sleep(0.05)
    leaving.cancel()
    await lab.until(lambda: lab.environments(spec)[0].life.value == "ready")
    assert await lab.answer(spec) == 3


async def try_the_limits_that_can_be_read(lab: Lab) -> None:
    """Record "test_runtime_ulimits"."""
    spec = lab.function(
        "import resource as r\ndef handler(event, context):\n    return {n: r.getrlimit(getattr(r, n)) for n in dir(r) if n.startswith('RLIMIT_')}\n",
        memory_mb=128,
    )
    limits = await lab.answer(spec)
    assert limits["RLIMIT_NOFILE"] == [1024, 1024]
    assert limits["RLIMIT_STACK"] == [8388608, -1]
    assert limits["RLIMIT_NPROC"] == [742, 742]
    if os.geteuid() == 0:
        assert limits["RLIMIT_CORE"] == [10737418240, 10737418240]
        assert limits["RLIMIT_MEMLOCK"] == [65536, 65536]


async def try_streaming_an_answer(lab: Lab) -> None:
    """A runtime that streams: its chunks come as they are written, and the end of the stream is the end of the call."""
    spec = lab.function(
        """
import http.client, os, time
class Client:
    def next(self):
        c = self.c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        c.request("GET", "/2018-06-01/runtime/invocation/next")
        a = c.getresponse(); a.read()
        return a.headers["Lambda-Runtime-Aws-Request-Id"]
def loop():
    client = Client()
    while True:
        request = client.next()
        s = client.c.sock
        s.sendall(f"POST /2018-06-01/runtime/invocation/{request}/response HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n"
                  "Lambda-Runtime-Function-Response-Mode: streaming\\r\\nContent-Type: text/x\\r\\n"
                  "Trailer: Lambda-Runtime-Function-Error-Type\\r\\n\\r\\n".encode())
        for n in range(3):
            s.sendall(b"3\\r\\nab%d\\r\\n" % n)
            time.sleep(0.05)
        s.sendall(b"0\\r\\nLambda-Runtime-Function-Error-Type: Own.Error\\r\\nLambda-Runtime-Function-Error-Body: e30=\\r\\n\\r\\n")
        s.recv(1000)
loop()
"""
    )
    result = await lab.run(spec, streaming=True)
    assert result.stream is not None
    assert result.stream.content_type == "text/x"
    chunks = [each async for each in result.stream]
    assert b"".join(chunks) == b"ab0ab1ab2"
    assert len(chunks) == 3
    assert result.stream.error == ("Own.Error", "e30=")
    tail = result.stream.log_tail.decode()
    assert tail.startswith("START RequestId: ")
    assert "REPORT RequestId: " in tail
    assert lab.finished[-1].failed
    assert lab.messages(spec)[-1].startswith("REPORT RequestId")


# A runtime of our own in place of AWS's client: it is imported as the function, and never returns.
OWN_RUNTIME = """
import http.client, json, os, socket, sys, time
API = os.environ["AWS_LAMBDA_RUNTIME_API"]
def call(method, path, body=None, **headers):
    c = http.client.HTTPConnection(API)
    c.request(method, "/2018-06-01/runtime/" + path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    a = c.getresponse()
    return a, a.read().decode()
def next_event():
    a, body = call("GET", "invocation/next")
    return a.headers["Lambda-Runtime-Aws-Request-Id"], json.loads(body)
def respond(request_id, body):
    a, said = call("POST", f"invocation/{request_id}/response", body)
    print(a.status, said.strip(), flush=True)
"""
LAST = "last = None\nwhile True:\n    me, event = next_event()\n"


async def try_runtimes_that_answer_wrongly(lab: Lab) -> None:
    """Twice, to another's request id, to the last one's, in two bodies: each is refused, and nobody gets what is not his."""
    code = (
        LAST
        + """
    if event == "foreign":
        respond("8476a536-e9f4-11e8-9739-2dfe598c3fcd", "1")
    if event == "late":
        respond(last, "2")
    respond(me, json.dumps(["answer to", event]))
    if event == "twice":
        respond(me, "3")
        print(call("POST", f"invocation/{me}/error", "{}")[0].status, flush=True)
    last = me
"""
    )
    spec = lab.function(OWN_RUNTIME + code)
    for event in ("plain", "foreign", "late", "twice"):
        assert await lab.answer(spec, event) == ["answer to", event]
    await lab.until(lambda: "403\n" in lab.messages(spec))
    assert await lab.answer(spec, "plain") == ["answer to", "plain"]
    taken, refused = '202 {"status":"OK"}', '400 {"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}'
    again = (
        '403 {"errorMessage":"State transition from ResponseSent to InvocationResponse failed for runtime.'
        ' Error: State transition is not allowed","errorType":"InvalidStateTransition"}'
    )
    said = [each.strip() for each in lab.messages(spec) if each[:1] in "24"]
    assert said[:8] == [taken, refused, taken, refused, taken, taken, again, "403"]


async def try_wrong_content_lengths(lab: Lab) -> None:
    """A body that is shorter than it says is no answer; what is longer is no other call."""
    code = (
        LAST
        + """
    s = socket.create_connection(API.split(":"))
    length = {"short": 10, "long": 2}[event]
    s.sendall(f"POST /2018-06-01/runtime/invocation/{me}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: {length}\\r\\n\\r\\n".encode() + b"[1]x")
    if event == "short":
        s.close()
        time.sleep(0.05)
        respond(me, '"after all"')
    else:
        time.sleep(0.05)
        s.close()
"""
    )
    spec = lab.function(OWN_RUNTIME + code, timeout_s=5.0)
    assert await lab.answer(spec, "short") == "after all"
    result = await lab.run(spec, "long")
    assert result.payload == b"[1"
    assert await lab.answer(spec, "short") == "after all"


async def try_answers_that_are_too_large_for_the_api(lab: Lab) -> None:
    code = (
        LAST
        + """
    a, said = call("POST", f"invocation/{me}/response", "x" * (6 * 1024 * 1024 + 101))
    print(a.status, said, flush=True)
"""
    )
    spec = lab.function(OWN_RUNTIME + code)
    assert error(await lab.run(spec))["errorType"] == "Function.ResponseSizeTooLarge"
    await lab.until(lambda: any("413" in each for each in lab.messages(spec)))
    assert any(
        each.startswith(
            '413 {"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}'
        )
        for each in lab.messages(spec)
    )


async def try_restoring(lab: Lab) -> None:
    """A runtime that lets itself be snapshotted, and is not: it goes on at once; what it says out of turn is refused."""
    code = (
        """
a, _ = call("GET", "restore/next")
b, _ = call("GET", "restore/next")
c, said = call("POST", "init/error", "{}")
"""
        + LAST
        + "    respond(me, json.dumps([a.status, b.status, c.status, json.loads(said)['errorMessage']]))\n"
    )
    assert await lab.answer(lab.function(OWN_RUNTIME + code)) == [
        200, 403, 403, "State transition from Restoring to InitError failed for runtime. Error: State transition is not allowed",
    ]  # fmt: skip


async def try_levels_of_logs(lab: Lab) -> None:
    function = "import json, sys\ndef handler(event, context):\n    for level in ('trace', 'debug', 'info', 'warn', 'error', 'odd'):\n        print(json.dumps({'level': level, 'message': 'm'}))\n    print('plain')\n    if event: raise ValueError('no')\n"

    def levels(spec: Any) -> list[str]:
        lines = [each for each in lab.messages(spec) if '"message": "m"' in each]
        return [json.loads(each)["level"] for each in lines] + [
            each for each in lab.messages(spec) if each == "plain\n"
        ]

    def kinds(spec: Any) -> list[str]:
        lines = [json.loads(each) for each in lab.messages(spec) if each.startswith("{")]
        return [each["type"].removeprefix("platform.") for each in lines if "type" in each]

    for level, expected in (
        ("DEBUG", ["debug", "info", "warn", "error", "odd", "plain\n"]),
        ("INFO", ["info", "warn", "error", "odd", "plain\n"]),
        ("ERROR", ["error"]),
    ):
        spec = lab.function(function, log_format="JSON", application_log_level=level)
        await lab.run(spec)
        assert levels(spec) == expected, level
    for level, told in (
        ("DEBUG", ["initStart", "initRuntimeDone", "initReport", "start", "runtimeDone", "report"]),
        ("INFO", ["initStart", "start", "report"]),
        ("WARN", []),
    ):
        spec = lab.function(function, log_format="JSON", system_log_level=level)
        await lab.run(spec)
        assert kinds(spec) == told, level
    # What goes wrong is told of whatever the level.
    spec = lab.function(function, log_format="JSON", system_log_level="WARN")
    await lab.run(spec, True)
    assert kinds(spec) == ["runtimeDone", "report"]
    report = next(json.loads(each) for each in lab.messages(spec) if "platform.report" in each)
    assert list(report) == ["time", "type", "record"]
    assert list(report["record"]) == ["requestId", "metrics", "status", "errorType"]
    assert (report["record"]["status"], report["record"]["errorType"]) == ("error", "ValueError")
    crash = lab.function("raise SystemExit(1)\n", log_format="JSON")
    await lab.run(crash)
    failed = [json.loads(each) for each in lab.messages(crash) if "platform.initReport" in each]
    assert [(each["record"]["phase"], each["record"]["status"], each["record"]["errorType"]) for each in failed] == [
        ("init", "error", "Runtime.ExitError"), ("invoke", "error", "Runtime.ExitError"),
    ]  # fmt: skip


async def try_the_xray_daemon(lab: Lab) -> None:
    """What is sent to its address is handed on, with whose it is; the report names the trace."""
    function = """
import json, os, socket
def handler(event, context):
    host, port = os.environ["AWS_XRAY_DAEMON_ADDRESS"].split(":")
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b'{"format": "json", "version": 1}\\n{"name": "mine"}', (host, int(port)))
    return os.environ["_X_AMZN_TRACE_ID"]
"""
    spec = lab.function(function, tracing="Active")
    result = await lab.run(
        spec, trace_header="Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    )
    told = re.fullmatch(
        r'"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=([0-9a-f]{16});Sampled=1"', result.payload.decode()
    )
    assert told is not None
    await lab.until(lambda: bool(lab.datagrams))
    assert lab.datagrams == [(ACCOUNT, REGION, b'{"format": "json", "version": 1}\n{"name": "mine"}')]
    line = re.search(
        r"\nXRAY TraceId: 1-5759e988-bd862e3fe1be46a994272793\tSegmentId: [0-9a-f]{16}\tSampled: true\t\n$",
        result.log_tail.decode(),
    )
    assert line is not None
