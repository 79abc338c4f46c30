"""The largest payloads both ways, and how soon a streamed answer's first byte is there.

The function is a static C program: what is measured is the way to it and back, not what a language makes of JSON.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bench.cases.lambda_ import create
from bench.client import Connection, invoke, signed
from bench.gauge import Figures, during, repeat
from bench.servers import Cannot, Server

# What an invocation may take, and answer: 6 MB.
PAYLOAD = b'"%s"' % (b"x" * (6 * 2**20 - 2))
# It echoes an event; asked for "stream", it streams the time at which it writes that, and ends a little later.
PROGRAM = r"""
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
enum { MOST = 7 << 20 };
static char said[MOST], head[1024];
static int fd;
static void put(const char *data, size_t left) {
  for (ssize_t n; left; data += n, left -= n)
    if ((n = write(fd, data, left)) <= 0) exit(9);
}
static char *hear(size_t *length, char *id) {
  size_t got = 0, want = 1;
  char *end = 0;
  for (ssize_t n; got < want; ) {
    if ((n = read(fd, said + got, MOST - 1 - got)) <= 0) exit(8);
    said[got += n] = 0;
    if (!end && (end = strstr(said, "\r\n\r\n"))) {
      *end = 0;
      char *size = strcasestr(said, "content-length: "), *name = strcasestr(said, "request-id: ");
      *length = size ? strtoul(size + 16, 0, 10) : 0;
      want = (end += 4) - said + *length;
      if (name) sscanf(name + 12, "%63s", id);
    } else if (!end) want = got + 1;
  }
  return end;
}
int main(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9001)};
  int on = 1;
  inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
  fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&at, sizeof at)) return 7;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (char id[64], ended[64]; ; ) {
    size_t length, none;
    const char *next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
    put(next, strlen(next));
    char *event = hear(&length, id);
    const char *path = "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\n%s";
    int n = sprintf(head, path, id, "");
    if (length == 8 && !memcmp(event, "\"stream\"", 8)) {
      n += sprintf(head + n, "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n");
      put(head, n);
      usleep(20000);
      struct timespec now;
      clock_gettime(CLOCK_REALTIME, &now);
      n = sprintf(ended, "<%ld.%09ld>", (long)now.tv_sec, now.tv_nsec);
      put(head, sprintf(head, "%x\r\n%s\r\n", n, ended));
      usleep(20000);
      put("0\r\n\r\n", 5);
    } else {
      put(head, n + sprintf(head + n, "Content-Length: %zu\r\n\r\n", length));
      put(event, length);
    }
    hear(&none, ended);
  }
}
"""


def run(server: Server, quick: bool) -> Figures:
    if not shutil.which("gcc"):
        raise Cannot("gcc is not there, which makes its function")
    create(server, "payloads", _program(), file="bootstrap", runtime="provided.al2023", handler="x")
    with Connection(server) as connection:
        _echo_mb_per_s(server, connection)
        yield "payload_mb_per_s", repeat(lambda: during(_echo_mb_per_s, server, connection), quick, 15)
    yield "stream_first_ms", repeat(lambda: during(_first_bytes_ms, server), quick)


def _program() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "bootstrap.c")
        source.write_text(PROGRAM)
        command = ["gcc", "-static", "-w", "-O1", "-D_GNU_SOURCE", "-o", "bootstrap", "bootstrap.c"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return Path(folder, "bootstrap").read_bytes()


def _echo_mb_per_s(server: Server, connection: Connection) -> float:
    """The bytes of the event and of the answer, MB of 1,000,000 bytes, for each second of the call."""
    request = invoke(server, "payloads", PAYLOAD)
    begun = time.perf_counter()
    status, answer = connection.ask(request)
    took = time.perf_counter() - begun
    if status != 200 or answer != PAYLOAD:
        raise Cannot(f"Invoke with {len(PAYLOAD)} bytes answered {status} {answer[:300].decode(errors='replace')}")
    return 2 * len(PAYLOAD) / 1e6 / took


def _first_bytes_ms(server: Server) -> float:
    return statistics.median(_first_byte_ms(server) for _ in range(14))


def _first_byte_ms(server: Server) -> float:
    """From the function's write to the client that has read it, by the one clock of this machine."""
    path = "/2021-11-15/functions/payloads/response-streaming-invocations"
    request = signed(server, "lambda", f"POST {path}", b'"stream"')
    with Connection(server) as connection, connection.answer(request) as answer:
        said = b""
        while b">" not in said.partition(b"<")[2]:
            more = answer.read1(65536)
            if not more:
                raise Cannot(f"the stream answered {answer.status} {said[:300].decode(errors='replace')}")
            said += more
        read = time.time()
        answer.read()
    return (read - float(said.partition(b"<")[2].partition(b">")[0])) * 1000
