"""Custom runtimes: any executable named bootstrap, tried with bash, C and Rust."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lambda_kit import invoked, program

BASH = r"""#!/bin/bash
# Speaks HTTP through bash's own sockets: there is no curl.
host=${AWS_LAMBDA_RUNTIME_API%:*} port=${AWS_LAMBDA_RUNTIME_API#*:} api=/2018-06-01/runtime/invocation
while :; do
  exec 3<>"/dev/tcp/$host/$port"
  printf 'GET %s/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' "$api" >&3
  id= length=0
  while IFS= read -r line <&3; line=${line%$'\r'}; [ -n "$line" ]; do
    case "${line,,}" in
      lambda-runtime-aws-request-id:*) id=${line#*: } ;;
      content-length:*) length=${line#*: } ;;
    esac
  done
  IFS= read -r -N "$length" event <&3
  exec 3>&-
  echo "event $event of $_HANDLER" >&2
  [ "$event" = '"fail"' ] && exit 5
  answer="{\"event\": $event, \"pwd\": \"$PWD\", \"runtime\": \"${AWS_EXECUTION_ENV:-none}\", \"path\": \"$PATH\"}"
  exec 3<>"/dev/tcp/$host/$port"
  printf 'POST %s/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n%s' "$api" "$id" "${#answer}" "$answer" >&3
  IFS= read -r status <&3
  exec 3>&-
done
"""  # noqa: E501 -- shell scripts are easier to read unbroken

C = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static char said[65536];

/* One call, one connection; the body of the answer. */
static char *call(const char *request, char *id) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9001)};
  inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&at, sizeof at)) exit(9);
  if (write(fd, request, strlen(request)) < 0) exit(9);
  size_t got = 0, want = 0;
  char *end = NULL;
  for (;;) {
    ssize_t n = read(fd, said + got, sizeof said - 1 - got);
    if (n <= 0) break;
    said[got += n] = 0;
    if (!end && (end = strstr(said, "\r\n\r\n"))) {
      char *length = strcasestr(said, "content-length: "), *name = strcasestr(said, "request-id: ");
      want = (end - said) + 4 + (length ? strtoul(length + 16, 0, 10) : 0);
      if (id && name) sscanf(name + 12, "%63s", id);
    }
    if (end && got >= want) break;
  }
  close(fd);
  return end ? end + 4 : said;
}

int main(void) {
  for (int count = 1;; count++) {
    char id[64] = "", event[32768], request[65536];
    strcpy(event, call("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n", id));
    char answer[33000];
    snprintf(answer, sizeof answer, "{\"count\": %d, \"event\": %s}", count, event);
    const char *head = "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\n";
    int n = snprintf(request, sizeof request, head, id);
    snprintf(request + n, sizeof request - n, "Content-Length: %zu\r\n\r\n%s", strlen(answer), answer);
    call(request, 0);
  }
}
"""

RUST = r"""
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

fn main() {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let mut connection = BufReader::new(TcpStream::connect(&api).unwrap());
    let mut call = |request: String| {
        connection.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut id, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            connection.read_line(&mut line).unwrap();
            let line = line.trim_end();
            if line.is_empty() { break; }
            if let Some((name, value)) = line.split_once(": ") {
                match name.to_lowercase().as_str() {
                    "lambda-runtime-aws-request-id" => id = value.to_string(),
                    "content-length" => length = value.parse().unwrap(),
                    _ => {}
                }
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).unwrap();
        (id, String::from_utf8(body).unwrap())
    };
    loop {
        let (id, event) = call("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n".to_string());
        let answer = format!("[\"rust\", {}]", event);
        call(format!(
            "POST /2018-06-01/runtime/invocation/{}/response HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}",
            id, answer.len(), answer
        ));
    }
}
"""


@pytest.fixture
def run(make: Callable[..., Any], lambda_: Any) -> Callable[..., Callable[..., Any]]:
    """Creates a function of a package, and gives what invokes it."""

    def create(package: bytes, **settings: Any) -> Callable[..., Any]:
        settings = {"Runtime": "provided.al2023", "Timeout": 10, "Code": {"ZipFile": package}, **settings}
        make("p", **settings)
        return lambda event=None: invoked(lambda_, "p", event)

    return create


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_shell_script(run: Any) -> None:
    call = run(program({"bootstrap": BASH.encode()}, "bootstrap"), Handler="my.handler")
    path = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
    answer, failure, log = call({"a": 1})
    assert failure is None, (answer, log)
    assert answer == {"event": {"a": 1}, "pwd": "/var/task", "runtime": "none", "path": path}
    assert 'event {"a": 1} of my.handler\n' in log
    assert call("x")[0]["event"] == "x"
    answer, failure, _log = call("fail")
    assert failure == "Unhandled"
    assert answer["errorType"] == "Runtime.ExitError"
    assert answer["errorMessage"].endswith("Error: Runtime exited with error: exit status 5")
    assert call("y")[0]["event"] == "y"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_layer_brings_the_runtime(run: Any, lambda_: Any) -> None:
    layer = program({"bootstrap": BASH.encode()}, "bootstrap")
    arn = lambda_.publish_layer_version(LayerName="l", Content={"ZipFile": layer})["LayerVersionArn"]
    answer, _failure, _log = run(program({"data": b""}), Layers=[arn], Runtime="provided.al2")(1)
    # There is no /var/lang in the older one.
    assert answer["path"] == "/usr/local/bin:/usr/bin/:/bin:/opt/bin"


def _compiled(command: list[str], source: str, suffix: str, folder: Path) -> bytes:
    (folder / f"main{suffix}").write_text(textwrap.dedent(source))
    subprocess.run([*command, "-o", "bootstrap", f"main{suffix}"], cwd=folder, check=True)
    return (folder / "bootstrap").read_bytes()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_a_static_c_program(run: Any, tmp_path: Path) -> None:
    binary = _compiled(["gcc", "-static", "-D_GNU_SOURCE", "-w"], C, ".c", tmp_path)
    call = run(program({"bootstrap": binary}, "bootstrap"))
    assert call({"a": [1]})[:2] == ({"count": 1, "event": {"a": [1]}}, None)
    assert call(2)[:2] == ({"count": 2, "event": 2}, None)


@pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")
def test_a_rust_program(run: Any, tmp_path: Path) -> None:
    binary = _compiled(["rustc", "--edition", "2021", "-C", "strip=symbols"], RUST, ".rs", tmp_path)
    call = run(program({"bootstrap": binary}, "bootstrap"))
    assert call({"a": 1})[:2] == (["rust", {"a": 1}], None)
    assert call(2)[:2] == (["rust", 2], None)


MISSING = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"


@pytest.mark.parametrize(
    ("files", "executable", "message"),
    [
        ({"main": b""}, (), MISSING),
        ({"bootstrap": b"#!/bin/sh\n"}, (), "fork/exec /var/task/bootstrap: permission denied"),
        (
            {"bootstrap": b"#!/no/such/shell\n"},
            ("bootstrap",),
            "fork/exec /var/task/bootstrap: no such file or directory",
        ),
        ({"bootstrap": b"\x7fELF"}, ("bootstrap",), "fork/exec /var/task/bootstrap: exec format error"),
    ],
    ids=["missing", "not-executable", "no-shell", "no-program"],
)
def test_what_cannot_be_run(run: Any, files: dict[str, bytes], executable: tuple[str, ...], message: str) -> None:
    call = run(program(files, *executable))
    for _ in range(2):
        answer, failure, log = call()
        assert failure == "Unhandled"
        assert answer["errorType"] == "Runtime.InvalidEntrypoint"
        assert answer["errorMessage"].startswith("RequestId: ")
        assert answer["errorMessage"].endswith(f" Error: {message}")
        assert "Status: error\tError Type: Runtime.InvalidEntrypoint" in log
