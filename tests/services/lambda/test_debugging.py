"""An invocation that waits for a debugger: Node.js's inspector and debugpy, spoken to as an editor does."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lambda_kit import caught, package

from pileus.cli.common import cache_dir
from pileus.sandbox.contract import SandboxError
from pileus.services.lambda_.hosting import python
from pileus.services.lambda_.hosting.python import packages
from waiting import until


@contextmanager
def _debug(server: Any, aws: Any, name: str, port: int) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": aws.account, "AWS_SECRET_ACCESS_KEY": "test"}
    command = [sys.executable, "-m", "pileus", "invoke", name, "--debug", "--debug-port", str(port)]
    command += ["--no-log", "--endpoint", server.endpoint]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as invoking:
        try:
            yield invoking
        finally:
            # Where the test has failed it would wait for a debugger for a day.
            invoking.kill()


def _connected(port: int) -> socket.socket:
    """A connection to the port, once somebody listens there."""

    def connect() -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        except OSError:
            return None

    found: socket.socket = until(connect, seconds=30)
    return found


def _inspect(port: int, target: str) -> Any:
    """Run to the `debugger` statement, look at a variable there, change it, and go on: over a WebSocket."""
    with _connected(port) as editor:
        stream = editor.makefile("rwb")
        head = f"GET /{target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        stream.write(f"{head}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        stream.flush()
        while stream.readline().strip():
            pass

        def say(number: int, method: str, **parameters: Any) -> None:
            said = json.dumps({"id": number, "method": method, "params": parameters}).encode()
            # One masked frame of text; a mask of zeros changes nothing.
            size = bytes([0x80 | len(said)]) if len(said) < 126 else bytes([0x80 | 126]) + len(said).to_bytes(2, "big")
            stream.write(b"\x81" + size + bytes(4) + said)
            stream.flush()

        def hear(wanted: Any) -> dict[str, Any]:
            while True:
                stream.read(1)
                size = stream.read(1)[0]
                if size >= 126:
                    size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
                found: dict[str, Any] = json.loads(stream.read(size))
                if wanted in (found.get("id"), found.get("method")):
                    return found

        say(1, "Debugger.enable")
        say(2, "Runtime.runIfWaitingForDebugger")
        hear("Debugger.paused")
        say(3, "Runtime.evaluate", expression="globalThis.seen++")
        seen = hear(3)["result"]["result"]["value"]
        say(4, "Debugger.resume")
        hear(4)
        return seen


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_inspector_of_node(make: Any, aws: Any, pileus: Any, free_port: int) -> None:
    code = {"index.js": "exports.handler = async () => { globalThis.seen = 41; debugger; return globalThis.seen }"}
    make("d", Runtime="nodejs20.x", Timeout=1, Code={"ZipFile": package(code)})
    with _debug(pileus, aws, "d", free_port) as invoking:
        _connected(free_port).close()
        with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/json/list", timeout=30) as answer:
            target = json.load(answer)[0]
        assert _inspect(free_port, target["id"]) == 41
        out, errors = invoking.communicate(timeout=30)
    assert f"127.0.0.1:{free_port}" in errors
    assert json.loads(out) == 42


def test_debugpy(make: Any, aws: Any, pileus: Any, free_port: int) -> None:
    folder = (cache_dir() or Path("/nowhere")) / "runtimes"
    try:
        asyncio.run(packages.fetch_debugger(python.find(folder)[0], folder))
    except SandboxError as error:
        pytest.skip(str(error))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    make(
        "d",
        "import sys\ndef handler(event, context):\n    return 'debugpy' in sys.modules\n",
        Runtime=version,
        Timeout=1,
    )
    # Once debugpy let go of an editor before it had attached, nobody knows why: editors attach again.
    with _debug(pileus, aws, "d", free_port) as invoking, until(lambda: _attached(free_port), seconds=60):
        out, _errors = invoking.communicate(timeout=30)
    assert json.loads(out) is True


def _attached(port: int) -> socket.socket | None:
    """The connection of an editor that has attached and let the program go on; None where debugpy hung up before."""
    editor = _connected(port)
    stream = editor.makefile("rwb")

    def say(number: int, command: str, **arguments: Any) -> None:
        said = json.dumps({"seq": number, "type": "request", "command": command, "arguments": arguments}).encode()
        stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(said), said))
        stream.flush()

    def hear(wanted: str) -> dict[str, Any]:
        while head := stream.readline():
            stream.readline()
            found: dict[str, Any] = json.loads(stream.read(int(head.split(b":")[1])))
            if wanted in (found.get("event"), found.get("command")):
                return found
        raise EOFError

    try:
        say(1, "initialize", adapterID="test")
        assert hear("initialize")["success"]
        say(2, "attach", justMyCode=False)
        hear("initialized")
    except (EOFError, ConnectionError):
        editor.close()
        return None
    say(3, "configurationDone")
    return editor


def test_who_may_debug(make: Any, aws: Any) -> None:
    make()
    client = aws.client("lambda")

    def ask(port: str, **headers: str) -> None:
        def add(request: Any, **_: Any) -> None:
            for name, value in {"X-Pileus-Debug": port, **headers}.items():
                request.headers.add_header(name, value)

        client.meta.events.register_last("before-sign.lambda.Invoke", add, unique_id="debug")

    ask("80")
    assert "80 is no port" in caught(client.invoke, FunctionName="f")[2]
    client.meta.events.unregister("before-sign.lambda.Invoke", unique_id="debug")
    # A web page in a browser of this machine.
    ask("5678", Origin="https://example.com")
    code, _status, _message = caught(client.invoke, FunctionName="f")
    assert code in ("InvalidParameterValueException", "UnrecognizedClientException")
