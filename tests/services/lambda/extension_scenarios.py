"""Extensions and what they are told, in real environments; run by `sandbox_lab`, see `test_environments.py`."""

# ruff: noqa: E501 -- the extensions' own code is easier to read unbroken

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

from pileus.services.lambda_.execution import FunctionSpec, InvokeResult
from sandbox_lab import Lab

ECHO = "def handler(event, context):\n    print('handling', event)\n    return event\n"

# A client for the APIs on the Runtime API's port, which needs no more than the standard library.
CLIENT = """#!/usr/bin/env python3
import http.client, json, os, sys, threading, time
NAME = os.path.basename(__file__)
def call(method, path, body=None, **headers):
    c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    c.request(method, path, None if body is None else json.dumps(body), {k.replace("_", "-"): v for k, v in headers.items()})
    a = c.getresponse()
    data = a.read()
    return a.status, a.headers, json.loads(data) if data.startswith((b"{", b'"')) else data.decode()
def register(*events, name=NAME, **headers):
    status, headers, body = call("POST", "/2020-01-01/extension/register", {"events": events}, Lambda_Extension_Name=name, **headers)
    return headers["Lambda-Extension-Identifier"], status, body
def next_event(me):
    return call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=me)
def say(*what):
    print(*what, flush=True)
"""
FAITHFUL = (
    CLIENT
    + """
me, status, body = register("INVOKE", "SHUTDOWN", Lambda_Extension_Accept_Feature="accountId")
say("registered", status, json.dumps(body))
while True:
    status, headers, event = next_event(me)
    say("event", json.dumps(event), len(headers["Lambda-Extension-Event-Identifier"]))
    if event["eventType"] == "SHUTDOWN":
        sys.exit(0)
"""
)


def with_extensions(lab: Lab, code: str | dict[str, str], programs: dict[str, str], **settings: Any) -> FunctionSpec:
    """A function with these programs in /opt/extensions; those whose name ends in ".txt" may not be executed."""
    folder = lab.folder / f"layer-{lab.ids.hex(8)}"
    for name, text in programs.items():
        path = folder / "extensions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644 if name.endswith(".txt") else 0o755)
    return lab.function(code, layer_dirs=(folder,), **settings)


def lines(lab: Lab, spec: FunctionSpec, beginning: str) -> list[str]:
    return [each for each in lab.messages(spec) if each.startswith(beginning)]


def error(result: InvokeResult) -> dict[str, Any]:
    assert result.function_error == "Unhandled"
    found: dict[str, Any] = json.loads(result.payload)
    return found


async def run(lab: Lab, spec: FunctionSpec, event: Any = None, **more: Any) -> InvokeResult:
    """With its whole log."""
    return await lab.run(spec, event, wants_log=True, **more)


async def try_an_extension_through_its_life(lab: Lab) -> None:
    spec = with_extensions(lab, ECHO, {"watcher": FAITHFUL})
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    result = await run(lab, spec, 1, trace_header=trace)
    assert result.payload == b"1"
    assert lines(lab, spec, "registered") == [
        "registered 200 "
        + json.dumps(
            {
                "functionName": spec.name,
                "functionVersion": "$LATEST",
                "handler": "index.handler",
                "accountId": spec.account,
            }
        )
        + "\n"
    ]
    assert lines(lab, spec, "EXTENSION") == ["EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n"]
    messages = lab.messages(spec)
    start = next(n for n, each in enumerate(messages) if each.startswith("START"))
    assert messages.index("EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n") == start - 1
    (told,) = lines(lab, spec, "event")
    event = json.loads(told.removeprefix("event ").rpartition(" ")[0])
    assert event.pop("deadlineMs") > 10**12
    request_id = event.pop("requestId")
    assert f"START RequestId: {request_id} " in result.log_tail.decode()
    assert event == {
        "eventType": "INVOKE",
        "invokedFunctionArn": spec.arn,
        "tracing": {"type": "X-Amzn-Trace-Id", "value": trace},
    }
    assert told.endswith(" 36\n")
    await run(lab, spec, 2)
    assert len(lines(lab, spec, "event")) == 2
    await lab.pool.retire(spec.fingerprint)
    goodbye = json.loads(lines(lab, spec, "event")[2].removeprefix("event ").rpartition(" ")[0])
    assert goodbye.pop("deadlineMs") > 10**12
    assert goodbye == {"eventType": "SHUTDOWN", "shutdownReason": "spindown"}


async def try_what_extensions_find_around_them(lab: Lab) -> None:
    code = (
        CLIENT
        + "me, *_ = register('INVOKE')\nsay(json.dumps([dict(os.environ), os.getcwd(), open('/var/task/index.py').read()[:3], os.getuid()]))\nwhile True:\n    next_event(me)\n"
    )
    spec = with_extensions(lab, ECHO, {"looker": code}, environment={"MINE": "1"})
    await run(lab, spec)
    seen, folder, task, user = json.loads(next(each for each in lab.messages(spec) if each.startswith("[{")))
    assert (folder, task, user) == ("/", "def", 993)
    assert seen["MINE"] == "1"
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == spec.name
    assert seen["AWS_SESSION_TOKEN"] == "token"
    assert not {"_HANDLER", "LAMBDA_TASK_ROOT", "AWS_EXECUTION_ENV", "AWS_XRAY_DAEMON_ADDRESS"} & seen.keys()
    # Its processes are the function's: they see one another.
    await lab.pool.retire(spec.fingerprint)


async def try_the_answer_does_not_wait_for_extensions(lab: Lab) -> None:
    """The invocation does: its report comes when the last of them asks for the next event."""
    code = (
        CLIENT
        + "me, *_ = register('INVOKE')\nwhile True:\n    next_event(me)\n    while not os.path.exists('/tmp/go'): time.sleep(0.01)\n    os.unlink('/tmp/go')\n"
    )
    function = "import os, threading, time\ndef handler(event, context):\n    if event: threading.Thread(target=lambda: (time.sleep(1.0), open('/tmp/go', 'w').close())).start()\n    return event\n"
    spec = with_extensions(lab, function, {"slow": code})
    result = await lab.run(spec, 1)
    assert result.payload == b"1"
    assert result.rest is not None
    assert not result.rest.done()
    assert not lines(lab, spec, "REPORT")
    await asyncio.wait_for(asyncio.wait([result.rest]), 20)
    (report,) = lines(lab, spec, "REPORT")
    assert float(re.search(r"\tDuration: ([0-9.]+) ms", report).group(1)) > 500  # type: ignore[union-attr]
    # One that has not come to rest in time is ended, although the answer is there.
    spec = with_extensions(lab, function, {"slow": code}, timeout_s=3.0)
    result = await lab.run(spec, 0)
    assert result.payload == b"0"
    assert result.rest is not None
    await asyncio.wait_for(asyncio.wait([result.rest]), 20)
    assert "\tStatus: timeout\n" in lines(lab, spec, "REPORT")[0]
    assert await lab.answer(spec, 2) == 2


async def try_internal_extensions(lab: Lab) -> None:
    """A thread of the runtime: registered before the first event is asked for, and for INVOKE alone."""
    function = (
        CLIENT
        + """
me, status, _ = register("INVOKE", name="inner")
seen = []
refused = [call("POST", "/2020-01-01/extension/register", {"events": ["SHUTDOWN"]}, Lambda_Extension_Name="other")[::2],
           call("POST", "/2020-01-01/extension/register", {"events": ["INVOKE"]}, Lambda_Extension_Name="inner")[::2]]
def listen():
    while True:
        seen.append(next_event(me)[2]["eventType"])
threading.Thread(target=listen, daemon=True).start()
def handler(event, context):
    late = call("POST", "/2020-01-01/extension/register", {"events": []}, Lambda_Extension_Name="late")
    while len(seen) < event: time.sleep(0.001)
    return [status, seen, refused, late[::2]]
"""
    )
    spec = lab.function(function)
    status, seen, refused, late = json.loads((await run(lab, spec, 1)).payload)
    assert (status, seen) == (200, ["INVOKE"])
    assert [code for code, _ in refused] == [403, 403]
    assert refused[0][1]["errorType"] == "Extension.InvalidEventType"
    assert refused[1][1] == {
        "errorType": "Extension.InvalidExtensionState",
        "errorMessage": "State transition from Registered to Registered failed for extension inner. Error: State transition is not allowed",
    }
    assert late == [
        403,
        {"errorType": "Extension.RegistrationClosed", "errorMessage": "Extension registration closed already"},
    ]
    assert json.loads((await run(lab, spec, 2)).payload)[1] == ["INVOKE", "INVOKE"]
    assert lines(lab, spec, "EXTENSION") == ["EXTENSION\tName: inner\tState: Ready\tEvents: [INVOKE]\n"]
    await lab.pool.retire(spec.fingerprint)


async def try_extensions_that_fail_in_init(lab: Lab) -> None:
    cases: list[tuple[str, str, str, str, str]] = [
        ("crash", "#!/bin/sh\nexit 3\n", "Extension.Crash", "exit status 3", "State: Exited\tEvents: []\tError Type: Extension.Crash"),
        ("leave", "#!/bin/sh\nexit 0\n", "Extension.Crash", "exit code 0", "State: Exited"),
        ("not-allowed.txt", "#!/bin/sh\n", "Extension.LaunchError", "fork/exec /opt/extensions/not-allowed.txt: permission denied", "State: LaunchError\tEvents: []\tError Type: PermissionDenied"),
        ("garbage", "\x7fELFnothing", "Extension.LaunchError", "fork/exec /opt/extensions/garbage: exec format error", "State: LaunchError\tEvents: []\tError Type: UnknownError"),
        ("says", CLIENT + "me, *_ = register('INVOKE', 'SHUTDOWN')\nsay(call('POST', '/2020-01-01/extension/init/error', {}, Lambda_Extension_Identifier=me, Lambda_Extension_Function_Error_Type='Own.Trouble')[::2])\nsay(next_event(me)[::2])\n", "Extension.InitError", "Own.Trouble", "State: InitError\tEvents: [INVOKE, SHUTDOWN]\tError Type: Own.Trouble"),
    ]  # fmt: skip
    for name, code, kind, message, line in cases:
        spec = with_extensions(lab, ECHO, {name: code})
        found = error(await run(lab, spec))
        assert found["errorType"] == kind, (name, found)
        assert found["errorMessage"].endswith(f" Error: {message}"), (name, found)
        reports = [each.partition("\t")[2] for each in lines(lab, spec, "INIT_REPORT")]
        assert reports == [f"Phase: {phase}\tStatus: error\tError Type: {kind}\n" for phase in ("init", "invoke")]
        assert f"EXTENSION\tName: {name}\t{line}" in lines(lab, spec, "EXTENSION")[0]
        assert f"\tStatus: error\tError Type: {kind}\n" in lines(lab, spec, "REPORT")[0]
        assert not lines(lab, spec, "handling")
    # It is waited for, as it wants to know of the shutdown: nobody else has the time to say anything.
    await lab.pool.retire(spec.fingerprint)
    said = [each for each in lab.messages(spec) if each.startswith("(")]
    assert said[::2] == 2 * ["(202, {'status': 'OK'})\n"]
    assert len(said) == 4
    assert all("Extension.InvalidExtensionState" in each for each in said[1::2])


async def try_an_extension_that_hangs_in_init(lab: Lab) -> None:
    """It never registers: Init's time is over, and the invocation's, too."""
    own = lab.another()
    async with own as mine:
        spec = with_extensions(mine, ECHO, {"sleeper": "#!/bin/sh\nexec sleep 1000\n"}, timeout_s=1.0)
        environment_module = __import__("pileus.services.lambda_.initializing", fromlist=["INIT_TIMEOUT_S"])
        before, environment_module.INIT_TIMEOUT_S = environment_module.INIT_TIMEOUT_S, 0.5
        try:
            found = error(await run(mine, spec))
        finally:
            environment_module.INIT_TIMEOUT_S = before
        assert found["errorType"] == "Sandbox.Timedout"
        assert found["errorMessage"].endswith("Task timed out after 1.00 seconds")
        reports = [each.partition("\t")[2] for each in lines(mine, spec, "INIT_REPORT")]
        assert reports == ["Phase: init\tStatus: timeout\n", "Phase: invoke\tStatus: timeout\n"]
        assert "EXTENSION\tName: sleeper\tState: Started\tEvents: []\n" in mine.messages(spec)


async def try_an_extension_that_hangs_or_crashes_while_invoked(lab: Lab) -> None:
    hangs = (
        CLIENT
        + "good = os.path.exists('/tmp/be-good')\nme, *_ = register('INVOKE', 'SHUTDOWN')\nwhile True:\n    event = next_event(me)[2]\n    if not good: time.sleep(1000)\n    if event['eventType'] == 'SHUTDOWN': sys.exit(0)\n"
    )
    function = "def handler(event, context):\n    open('/tmp/be-good', 'w').close()\n    return event\n"
    spec = with_extensions(lab, function, {"hangs": hangs}, timeout_s=3.0)
    result = await run(lab, spec)
    assert error(result)["errorType"] == "Sandbox.Timedout"
    assert "\tStatus: timeout\n" in result.log_tail.decode()
    # Init is part of the next invocation, and not told of in the log.
    again = await run(lab, spec, 1)
    assert again.payload == b"1"
    assert again.init_ms is None
    assert len(lines(lab, spec, "INIT_START")) == 1
    assert not lines(lab, spec, "INIT_REPORT")

    crashes = CLIENT + "me, *_ = register('INVOKE')\nnext_event(me)\nos._exit(4)\n"
    spec = with_extensions(lab, "import time\ndef handler(event, context):\n    time.sleep(5)\n", {"crashes": crashes})
    found = error(await run(lab, spec))
    assert found["errorType"] == "Extension.Crash"
    assert found["errorMessage"].endswith(" Error: exit status 4")

    says = (
        CLIENT
        + "me, *_ = register('INVOKE', 'SHUTDOWN')\nnext_event(me)\nsay(call('POST', '/2020-01-01/extension/exit/error', {}, Lambda_Extension_Identifier=me, Lambda_Extension_Function_Error_Type='Own.End')[0])\nsys.exit(1)\n"
    )
    spec = with_extensions(lab, "import time\ndef handler(event, context):\n    time.sleep(5)\n", {"says": says})
    found = error(await run(lab, spec))
    assert found["errorType"] == "Extension.ExitError"
    assert found["errorMessage"].endswith(" Error: Own.End")
    await lab.until(lambda: "202\n" in lab.messages(spec))


async def try_shutting_down(lab: Lab) -> None:
    """The runtime ends first, with SIGTERM; then extensions hear why, and have what is left of two seconds."""
    function = "import signal, sys\ndef end(*_):\n    print('the runtime ends', flush=True)\n    sys.exit(0)\nsignal.signal(signal.SIGTERM, end)\ndef handler(event, context):\n    if event == 'sleep':\n        import time\n        time.sleep(60)\n    if event == 'die':\n        import os\n        os._exit(1)\n"
    hangs = (
        CLIENT
        + "me, *_ = register('INVOKE', 'SHUTDOWN')\nwhile True:\n    event = next_event(me)[2]\n    if event['eventType'] == 'SHUTDOWN':\n        say('stays', event['shutdownReason'])\n        time.sleep(60)\n"
    )
    # From Python 3.12 on AWS's client lets signals be handled while it waits for an event.
    spec = replace(
        with_extensions(lab, function, {"faithful": FAITHFUL, "hangs": hangs}, timeout_s=3.0), runtime="python3.13"
    )
    await run(lab, spec)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await lab.pool.retire(spec.fingerprint)
    assert 1.5 < loop.time() - begin < 10
    after = lab.messages(spec)[-3:]
    assert after[0] == "the runtime ends\n"
    assert any("SHUTDOWN" in each for each in after[1:])
    assert "stays spindown\n" in after[1:]
    for event, reason in (("sleep", "timeout"), ("die", "failure")):
        spec = with_extensions(lab, function, {"faithful": FAITHFUL}, timeout_s=3.0)
        await run(lab, spec, event)
        assert await lab.answer(spec) is None
        assert f'"shutdownReason": "{reason}"' in "".join(lab.messages(spec))
    # Without extensions there is no such phase.
    spec = lab.function(function)
    await run(lab, spec)
    begin = loop.time()
    await lab.pool.retire(spec.fingerprint)
    assert "the runtime ends\n" not in lab.messages(spec)


LISTENER = (
    CLIENT
    + """
from http.server import BaseHTTPRequestHandler, HTTPServer
import socket, socketserver
seen = []
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        seen.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200); self.end_headers()
    do_PUT = do_POST
    def log_message(self, *a): pass
class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile: seen.append(json.loads(line))
def serve(kind, port):
    server = HTTPServer(("sandbox.localdomain", port), Handler) if kind == "HTTP" else socketserver.TCPServer(("0.0.0.0", port), Lines)
    threading.Thread(target=server.serve_forever, daemon=True).start()
def subscribe(path, body):
    return call("PUT", path, body, Lambda_Extension_Identifier=me)[::2]
"""
)


def subscriber(subscription: dict[str, Any], path: str = "/2022-07-01/telemetry") -> str:
    """An extension that writes what it was told so far to a file after every event, for the function to hand out."""
    kind = subscription["destination"]["protocol"]
    return (
        LISTENER
        + f"""
serve({kind!r}, 4243)
me, *_ = register("INVOKE", "SHUTDOWN")
answer = subscribe({path!r}, json.loads({json.dumps(subscription)!r}))
def keep():
    open("/tmp/new", "w").write(json.dumps([answer, seen])); os.rename("/tmp/new", "/tmp/seen")
keep()
def keep_on():
    while True:
        time.sleep(0.02); keep()
threading.Thread(target=keep_on, daemon=True).start()
while True:
    event = next_event(me)[2]
    if event["eventType"] == "SHUTDOWN":
        time.sleep(0.2); print("LAST " + json.dumps(seen), flush=True); sys.exit(0)
"""
    )


# Hands out what the extension was told, once there is something of the wanted type.
READER = """
import json, time
def handler(event, context):
    print('a line')
    while event:
        seen = json.load(open('/tmp/seen'))
        if any(each['type'] == event for each in seen[1]):
            return seen
        time.sleep(0.01)
"""


async def try_telemetry(lab: Lab) -> None:
    subscription = {
        "schemaVersion": "2022-12-13",
        "types": ["platform", "function", "extension"],
        "buffering": {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25},
        "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243/path"},
    }
    spec = with_extensions(lab, READER, {"listener": subscriber(subscription)}, tracing="Active")
    result = await run(lab, spec)
    assert result.function_error is None, result
    answer, seen = await lab.answer(spec, "platform.report")
    assert answer == [200, "OK"]
    kinds = [each["type"] for each in seen]
    expected = [
        "platform.initStart",
        "platform.telemetrySubscription",
        "platform.initRuntimeDone",
        "platform.extension",
        "platform.initReport",
        "platform.start",
        "function",
        "platform.runtimeDone",
        "platform.report",
    ]
    assert [each for each in kinds if each in expected][: len(expected)] == expected
    by_kind = {each["type"]: each["record"] for each in reversed(seen)}
    start = by_kind["platform.initStart"]
    assert start["initializationType"] == "on-demand"
    assert start["phase"] == "init"
    assert (start["functionName"], start["functionVersion"], start["instanceMaxMemory"]) == (
        spec.name,
        "$LATEST",
        256 << 20,
    )
    assert by_kind["platform.telemetrySubscription"] == {
        "name": "listener",
        "state": "Subscribed",
        "types": ["platform", "function", "extension"],
    }
    assert by_kind["platform.initRuntimeDone"] == {
        "initializationType": "on-demand",
        "phase": "init",
        "status": "success",
    }
    assert by_kind["platform.extension"] == {"name": "listener", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}
    report = by_kind["platform.initReport"]
    assert report.pop("metrics").keys() == {"durationMs"}
    assert report == {"initializationType": "on-demand", "phase": "init", "status": "success"}
    begun = by_kind["platform.start"]
    subscribed = "TELEMETRY\tName: listener\tState: Subscribed\tTypes: [Platform, Function, Extension]\n"
    assert lines(lab, spec, "TELEMETRY") == [subscribed]
    assert begun["version"] == "$LATEST"
    assert begun["tracing"]["type"] == "X-Amzn-Trace-Id"
    assert by_kind["function"] == "a line\n"
    done = by_kind["platform.runtimeDone"]
    assert [each["name"] for each in done["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert done["metrics"].keys() == {"durationMs", "producedBytes"}
    assert (done["status"], done["metrics"]["producedBytes"], done["requestId"]) == ("success", 4, begun["requestId"])
    report = by_kind["platform.report"]
    assert report["metrics"].keys() == {
        "durationMs",
        "billedDurationMs",
        "memorySizeMB",
        "maxMemoryUsedMB",
        "initDurationMs",
    }
    assert report["metrics"]["durationMs"] >= done["metrics"]["durationMs"]
    assert [each["name"] for each in report["spans"]] == ["extensionOverhead"]
    assert report["status"] == "success"
    times = [each["time"] for each in seen if each["type"].startswith("platform.")]
    assert times == sorted(times)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each) for each in times)
    # What is left is handed over before the end.
    await lab.pool.retire(spec.fingerprint)
    (last,) = lines(lab, spec, "LAST ")
    assert [each["type"] for each in json.loads(last.removeprefix("LAST "))].count("platform.report") == 2


async def try_telemetry_over_tcp_and_logs_in_json(lab: Lab) -> None:
    subscription = {
        "schemaVersion": "2025-01-29",
        "types": ["function"],
        "buffering": {"timeoutMs": 25},
        "destination": {"protocol": "TCP", "URI": "tcp://sandbox.localdomain:4243"},
    }
    code = READER.replace("print('a line')", 'print(\'{"level": "INFO", "message": "x"}\')')
    spec = with_extensions(lab, code, {"listener": subscriber(subscription)}, log_format="JSON")
    answer, seen = await lab.answer(spec, "function")
    assert answer == [200, "OK"]
    assert seen[0]["record"] == {"level": "INFO", "message": "x"}
    assert {each["type"] for each in seen} == {"function"}
    await lab.pool.retire(spec.fingerprint)


async def try_the_logs_api(lab: Lab) -> None:
    subscription = {
        "schemaVersion": "2021-03-18",
        "types": ["platform", "function"],
        "buffering": {"timeoutMs": 25},
        "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243", "method": "PUT"},
    }
    spec = with_extensions(lab, READER, {"listener": subscriber(subscription, "/2020-08-15/logs")})
    await run(lab, spec)
    answer, seen = await lab.answer(spec, "platform.report")
    assert answer == [200, "OK"]
    kinds = list(dict.fromkeys(each["type"] for each in seen))
    assert kinds[:6] == [
        "platform.logsSubscription",
        "platform.extension",
        "platform.start",
        "function",
        "platform.runtimeDone",
        "platform.end",
    ]
    by_kind = {each["type"]: each["record"] for each in reversed(seen)}
    assert by_kind["platform.start"].keys() == {"requestId", "version"}
    assert by_kind["platform.runtimeDone"].keys() == {"requestId", "status"}
    assert by_kind["platform.report"].keys() == {"requestId", "metrics"}
    await lab.pool.retire(spec.fingerprint)


async def try_subscriptions_that_are_refused(lab: Lab) -> None:
    good = {
        "schemaVersion": "2022-12-13",
        "types": ["platform"],
        "destination": {"protocol": "HTTP", "URI": "http://sandbox:4243"},
    }
    code = (
        LISTENER
        + f"""
good = json.loads({json.dumps(good)!r})
def changed(**more): return {{**good, **more}}
me = ""
say(json.dumps(subscribe("/2022-07-01/telemetry", good)))
me = "x"
say(json.dumps(subscribe("/2022-07-01/telemetry", good)))
me = "12345678-1234-1234-1234-123456789012"
say(json.dumps(subscribe("/2022-07-01/telemetry", good)))
me, *_ = register("INVOKE")
for body in (changed(types=[]), changed(destination={{"protocol": "HTTP", "URI": "http://sandbox"}}, types=[]),
             changed(destination={{"protocol": "HTTP", "URI": "http://example.com:80"}}), changed(schemaVersion="2020-01-01"),
             changed(destination={{"protocol": "HTTP", "URI": "http://sandbox:9001"}}), changed(buffering={{"timeoutMs": 5}})):
    say(json.dumps(subscribe("/2022-07-01/telemetry", body)))
say(json.dumps(subscribe("/2022-07-01/telemetry/", good)), json.dumps(subscribe("/2022-07-01/telemetry", good)))
say(json.dumps(subscribe("/2020-08-15/logs", {{**good, "schemaVersion": "2020-08-15"}})))
next_event(me)
say(json.dumps(subscribe("/2022-07-01/telemetry", good)))
while True: next_event(me)
"""
    )
    spec = with_extensions(lab, ECHO, {"asker": code})
    await run(lab, spec)
    said = [each.strip() for each in lab.messages(spec) if each.startswith("[4") or each.startswith("[2")]
    kinds = [json.loads(each.partition("] ")[0] + ("]" if "] " in each else "")) for each in said]
    assert [(each[0], each[1]["errorType"]) for each in kinds[:3]] == [
        (403, "Extension.MissingExtensionIdentifier"), (403, "Extension.InvalidExtensionIdentifier"), (403, "Extension.UnknownExtensionIdentifier"),
    ]  # fmt: skip
    assert kinds[3] == [400, {"errorType": "ValidationError", "errorMessage": "types should not be empty"}]
    assert kinds[4] == [
        400,
        {"errorType": "ValidationError", "errorMessage": "URI port is not provided; types should not be empty"},
    ]
    assert all(each[0] == 400 and each[1]["errorType"] == "ValidationError" for each in kinds[5:9])
    assert said[9] == '[200, "OK"] [200, "OK"]'
    assert kinds[10][1]["errorType"] == "Logs.ValidationError"
    assert kinds[11] == [
        403,
        {"errorType": "Telemetry.SubscriptionClosed", "errorMessage": "Telemetry API subscription is closed already"},
    ]
    await lab.pool.retire(spec.fingerprint)


async def try_an_extension_in_shell(lab: Lab) -> None:
    """As one writes it without any program but bash: its descriptors are sockets."""
    code = r"""#!/bin/bash
host=${AWS_LAMBDA_RUNTIME_API%:*} port=${AWS_LAMBDA_RUNTIME_API#*:} name=$(basename "$0")
call() { # method path headers body
    exec 3<>"/dev/tcp/$host/$port"
    printf '%s %s HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%s' "$1" "$2" "$3" "${#4}" "$4" >&3
    length=0
    while IFS= read -r line <&3; do
        line=${line%$'\r'}
        case "${line,,}" in
            content-length:*) length=${line#*: } ;;
            lambda-extension-identifier:*) id=${line#*: } ;;
            '') break ;;
        esac
    done
    IFS= read -r -N "$length" body <&3
    exec 3<&-
}
call POST /2020-01-01/extension/register "Lambda-Extension-Name: $name\r\n" '{"events": ["INVOKE", "SHUTDOWN"]}'
while true; do
    call GET /2020-01-01/extension/event/next "Lambda-Extension-Identifier: $id\r\n" ''
    echo "[$name] ${body%%,*}"
    [[ $body == *SHUTDOWN* ]] && exit 0
done
"""
    spec = with_extensions(lab, ECHO, {"in-shell.sh": code})
    await run(lab, spec, 1)
    await run(lab, spec, 2)
    await lab.pool.retire(spec.fingerprint)
    assert lines(lab, spec, "[in-shell.sh]") == 2 * ['[in-shell.sh] {"eventType":"INVOKE"\n'] + [
        '[in-shell.sh] {"eventType":"SHUTDOWN"\n'
    ]


async def try_several_extensions(lab: Lab) -> None:
    names = [f"number-{n}" for n in range(4)]
    spec = with_extensions(lab, ECHO, dict.fromkeys(names, FAITHFUL))
    await run(lab, spec)
    assert [each.split("\t")[1] for each in lines(lab, spec, "EXTENSION")] == [f"Name: {name}" for name in names]
    assert len(lines(lab, spec, "event")) == 4
    await lab.pool.retire(spec.fingerprint)


async def try_frozen_extensions_stand_still(lab: Lab) -> None:
    code = (
        CLIENT
        + """
open('/tmp/longest', 'w').write('0')
me, *_ = register('INVOKE')
def tick():
    last, longest = time.monotonic(), 0.0
    while True:
        time.sleep(0.005)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        open('/tmp/new', 'w').write(str(longest)); os.rename('/tmp/new', '/tmp/longest')
threading.Thread(target=tick, daemon=True).start()
while True: next_event(me)
"""
    )
    function = "import time\ndef handler(event, context):\n    time.sleep(0.05)\n    return float(open('/tmp/longest').read())\n"
    spec = with_extensions(lab, function, {"ticker": code})
    await run(lab, spec)
    (environment,) = lab.environments(spec)
    await lab.until(lambda: environment.sandbox._frozen)
    # What stands still for half a second sees that much go by at once.
    await asyncio.sleep(0.5)
    assert json.loads((await run(lab, spec)).payload) > 0.45
    await lab.pool.retire(spec.fingerprint)


async def try_too_much_memory_beside_an_extension(lab: Lab) -> None:
    function = "import time\ndef handler(event, context):\n    if event:\n        return event\n    found = [bytearray(1 << 20) for _ in range(300)]\n    time.sleep(20)\n"
    spec = with_extensions(lab, function, {"watcher": FAITHFUL}, memory_mb=128)
    assert error(await run(lab, spec))["errorType"] == "Runtime.OutOfMemory"
    assert json.loads((await run(lab, spec, 1)).payload) == 1
    await lab.pool.retire(spec.fingerprint)
