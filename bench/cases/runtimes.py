"""Cold starts by runtime, each beside a bare start of its interpreter on the same machine in the same minute."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from bench.cases.lambda_ import CLIENT, create, wait_active
from bench.client import Connection, aws, invoke
from bench.gauge import Figures, Round, during, repeat
from bench.servers import ROOT, Cannot, Server

# With an S3 client, as a function of some weight has it.
SLOW = f"import time\ntime.sleep(2)\n{CLIENT}"
NODE = "exports.handler = async (event) => ({n: event.n});\n"
JAVA = """
import com.amazonaws.services.lambda.runtime.*;
import java.util.*;
public class Bench implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    public Map<String, Object> handleRequest(Map<String, Object> event, Context context) { return event; }
}
"""
# The Runtime API's shortest conversation: answers every event with itself.
C = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
static char said[65536], request[65536];
static char *call(int n, char *id) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9001)};
  inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) || write(fd, request, n) < 0) exit(9);
  size_t got = 0, want = 1;
  char *end = 0;
  for (ssize_t k; got < want && (k = read(fd, said + got, sizeof said - 1 - got)) > 0;) {
    said[got += k] = 0;
    if (!end && (end = strstr(said, "\r\n\r\n"))) {
      char *length = strcasestr(said, "content-length: "), *name = strcasestr(said, "request-id: ");
      want = (end - said) + 4 + (length ? strtoul(length + 16, 0, 10) : 0);
      if (name) sscanf(name + 12, "%63s", id);
    } else if (!end) want = got + 1;
  }
  close(fd);
  return end + 4;
}
int main(void) {
  for (char id[64];;) {
    int n = sprintf(request, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
    char *event = call(n, id);
    const char *head = "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s";
    call(sprintf(request, head, id, strlen(event), event), id);
  }
}
"""  # noqa: E501 -- easier to read unbroken


def run(server: Server, quick: bool) -> Figures:
    if server.name != "pileus":
        yield "node_cold_ms", _cold(server, quick, "node", NODE, file="index.js", runtime="nodejs20.x")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from _python(server, quick)
        if shutil.which("node"):
            yield from _node(server, quick)
        if shutil.which("javac"):
            yield from _java(server, quick, folder)
        if shutil.which("gcc"):
            binary = _made(["gcc", "-static", "-w", "-D_GNU_SOURCE", "-o", "bootstrap"], folder, "bootstrap.c", C)
            code = (binary / "bootstrap").read_bytes()
            yield "provided_cold_ms", _cold(server, quick, "c", code, file="bootstrap", runtime="provided.al2023")


def _python(server: Server, quick: bool) -> Figures:
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1"}
    command = [sys.executable, "-c", CLIENT]
    yield "python_bare_ms", _bare_ms(command, environment, quick)
    yield "python_cold_ms", _cold(server, quick, "python", CLIENT)
    yield "snapstart_cold_ms", _restored(server, 3 if quick else 9)


def _restored(server: Server, count: int) -> list[Round[float]]:
    """First invokes of published versions whose module takes two seconds to load, restored from their snapshots."""
    more = {"runtime": "python3.12", "SnapStart": {"ApplyOn": "PublishedVersions"}}
    names = [f"snapstart-{number}" for number in range(count + 1)]
    for name in names:
        create(server, name, SLOW, **more)
    client = aws(server, "lambda")
    for name in names:
        client.publish_version(FunctionName=name)
    for name in names:
        wait_active(client, f"{name}:1")
    time.sleep(0.5)
    return [during(_first, server, f"{name}:1") for name in names][1:]


def _node(server: Server, quick: bool) -> Figures:
    bare = _bare_ms(["node", "-e", "0"], dict(os.environ), quick)
    cold = _cold(server, quick, "node", NODE, file="index.js", runtime="nodejs20.x")
    yield "node_bare_ms", bare
    yield "node_cold_ms", cold
    yield "node_cold_share", _share(cold, bare)


def _java(server: Server, quick: bool, folder: Path) -> Figures:
    sources = ROOT / "src/pileus/services/lambda_/hosting/java/client"
    _made(["javac", "-nowarn", "-sourcepath", str(sources), "-d", str(folder)], folder, "Bench.java", JAVA)
    _made(["javac", "-nowarn", "-d", str(folder)], folder, "", *map(str, sources.rglob("*.java")))
    environment = {
        **os.environ,
        "_HANDLER": "Bench",
        "LAMBDA_TASK_ROOT": str(folder),
        # Nobody listens: it ends when it is ready to ask for its first event.
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1",
    }
    options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    command = ["java", *options, "-cp", str(folder), "pileus.runtime.Main"]
    bare = _bare_ms(command, environment, quick)
    code = (folder / "Bench.class").read_bytes()
    cold = _cold(server, quick, "java", code, file="Bench.class", runtime="java17", handler="Bench")
    yield "java_bare_ms", bare
    yield "java_cold_ms", cold
    yield "java_cold_share", _share(cold, bare)


def _share(cold: list[Round[float]], bare: list[Round[float]]) -> list[Round[float]]:
    """Of the fastest moments for both, so that they are alike."""
    pairs = zip(*(sorted(each, key=lambda one: -(one[1] or 0)) for each in (cold, bare)), strict=False)
    return [
        (one / other, None if speed is None or its is None else min(speed, its)) for (one, speed), (other, its) in pairs
    ]


def _made(command: list[str], folder: Path, name: str, *content: str) -> Path:
    """Compile a source, or files that are there."""
    if name:
        (folder / name).write_text(content[0])
    subprocess.run([*command, *([name] if name else content)], cwd=folder, check=True, capture_output=True)
    return folder


def _bare_ms(command: list[str], environment: dict[str, str], quick: bool) -> list[Round[float]]:
    def bare() -> Round[float]:
        time.sleep(0.2)
        return during(_bare, command, environment)

    return repeat(bare, quick, 9)


def _bare(command: list[str], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000


def _cold(
    server: Server,
    quick: bool,
    name: str,
    code: str | bytes,
    *,
    file: str = "function.py",
    runtime: str = "",
    handler: str = "",
) -> list[Round[float]]:
    """First invokes of new functions, from the client's side; the very first one, which warms up, is left out."""
    more = {"runtime": runtime} if runtime else {}
    if runtime:
        more["handler"] = handler or "index.handler"
    numbers = count()

    def cold() -> Round[float]:
        function = f"{name}-{next(numbers)}"
        create(server, function, code, file=file, **more)
        # As in the other cases: the usual cold start finds an idle machine, and a runtime that waits.
        time.sleep(0.5)
        return during(_first, server, function)

    cold()
    return repeat(cold, quick, 9)


def _first(server: Server, name: str) -> float:
    request = invoke(server, name, b'{"n": 7}')
    with Connection(server) as connection:
        begun = time.perf_counter()
        status, answer = connection.ask(request)
        took = (time.perf_counter() - begun) * 1000
    said = None
    with suppress(ValueError, KeyError, TypeError):
        said = json.loads(answer)["n"]
    if status != 200 or said != 7:
        raise Cannot(f"Invoke answered {status} {answer[:300].decode(errors='replace')}")
    return took
