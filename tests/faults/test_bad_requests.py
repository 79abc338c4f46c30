"""What strangers send: broken HTTP, wrong signatures, bodies cut off. Each gets an answer or a closed connection, and
the server goes on serving the others."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import resource
import socket
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from pileus.kernel.errors import AWSError
from pileus.kernel.sockets import listen
from pileus.wire import bodies, connection
from pileus.wire.http import HttpServer
from pileus.wire.message import HttpAnswer


def connect(endpoint: str) -> socket.socket:
    address = urlsplit(endpoint)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def exchange(endpoint: str, raw: bytes, *, cut: bool = False) -> tuple[int, bytes]:
    """Send bytes as they are and read until the server closes; (status, all of it). `cut`: no more will come."""
    with connect(endpoint) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(raw)
            if cut:
                sock.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(65536):
                answer += piece
    return (int(answer.split(b" ", 2)[1]) if answer else 0), answer


def signed(endpoint: str, service: str, body: bytes, target: str = "Logs_20140328.DescribeLogGroups") -> bytes:
    """A POST to the root, signed by botocore, as bytes."""
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", endpoint + "/", data=body, headers=headers)
    SigV4Auth(Credentials("test", "test"), service, "us-east-1").add_auth(request)
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    head = "\r\n".join(
        ["POST / HTTP/1.1", f"Host: {urlsplit(endpoint).netloc}", f"Content-Length: {len(body)}", *lines]
    )
    return head.encode() + b"\r\nConnection: close\r\n\r\n" + body


def still_serves(endpoint: str) -> bool:
    return exchange(endpoint, signed(endpoint, "logs", b"{}"))[0] == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"x" * 200_000 + b"\r\nConnection: close\r\n\r\n",
    ],
    ids=["binary", "no path", "version", "length", "two lengths", "chunk size", "both lengths", "name", "path", "huge"],
)
def test_broken_http_is_a_client_error_or_the_end_of_the_connection(pileus: Any, raw: bytes) -> None:
    status, answer = exchange(pileus.endpoint, raw)
    assert status == 0 or 400 <= status < 500, answer
    assert still_serves(pileus.endpoint)


def test_a_body_that_is_shorter_than_announced_is_no_request(pileus: Any) -> None:
    whole = signed(pileus.endpoint, "logs", b"{}")
    status, _ = exchange(pileus.endpoint, whole.replace(b"Content-Length: 2", b"Content-Length: 200"), cut=True)
    assert status in (0, 400)
    assert still_serves(pileus.endpoint)


def test_a_body_past_the_limit_is_refused_before_it_is_read(pileus: Any) -> None:
    raw = signed(pileus.endpoint, "logs", b"{}").replace(b"Content-Length: 2", b"Content-Length: 99999999999")
    status, answer = exchange(pileus.endpoint, raw)
    assert status == 413
    assert b"RequestEntityTooLarge" in answer


def test_a_wrong_secret_an_unknown_key_and_no_signature_are_told_apart(aws: Any, pileus: Any) -> None:
    wrong = aws.client("logs", credentials={"AccessKeyId": aws.account, "SecretAccessKey": "wrong"})
    with pytest.raises(ClientError) as refused:
        wrong.describe_log_groups()
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"

    unknown = aws.client("logs", credentials={"AccessKeyId": "AKIAXXXXXXXXXXXXXXXX", "SecretAccessKey": "x"})
    with pytest.raises(ClientError) as refused:
        unknown.describe_log_groups()
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
    assert refused.value.response["Error"]["Message"] == "The security token included in the request is invalid."

    stranger = (
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Logs_20140328.DescribeLogGroups\r\nConnection: close\r\n"
        b"Content-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\n\r\n{}"
    )
    status, answer = exchange(pileus.endpoint, stranger)
    assert status == 400
    assert b"MissingAuthenticationTokenException" in answer


@pytest.mark.parametrize(("minutes", "words"), [(-16, b"Signature expired"), (16, b"Signature not yet current")])
def test_a_signature_of_another_time_does_not_count(pileus: Any, minutes: int, words: bytes) -> None:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    with mock.patch("botocore.auth.get_current_datetime", return_value=then):
        raw = signed(pileus.endpoint, "logs", b"{}")
    status, answer = exchange(pileus.endpoint, raw)
    assert status == 400
    assert b"InvalidSignatureException" in answer
    assert words in answer


def test_an_unknown_operation_and_an_unknown_service_say_so(pileus: Any) -> None:
    raw = signed(pileus.endpoint, "logs", b"{}", "Logs_20140328.BrewCoffee")
    status, answer = exchange(pileus.endpoint, raw)
    assert status == 400
    assert b"UnknownOperationException" in answer
    status, answer = exchange(pileus.endpoint, signed(pileus.endpoint, "coffee", b"{}", "Coffee.Brew"))
    assert status == 404
    assert b"coffee" in answer


def test_an_operation_that_is_not_built_says_so_by_name(aws: Any) -> None:
    with pytest.raises(ClientError) as refused:
        aws.client("codebuild").list_builds()
    error = refused.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("NotImplemented", "codebuild:ListBuilds is not implemented by Pileus.")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"limit": "x"}'])
def test_what_is_not_the_operations_json_is_a_client_error(pileus: Any, body: bytes) -> None:
    status, answer = exchange(pileus.endpoint, signed(pileus.endpoint, "logs", body))
    assert status == 400, answer
    assert still_serves(pileus.endpoint)


def test_a_web_page_of_another_site_does_not_get_in_with_the_keys_that_everybody_knows(pileus: Any) -> None:
    raw = signed(pileus.endpoint, "logs", b"{}")
    for header, status in (
        (b"Origin: http://localhost:3000", 200),
        (b"Origin: https://example.com", 400),
        (b"Sec-Fetch-Site: cross-site", 400),
    ):
        got, answer = exchange(pileus.endpoint, raw.replace(b"Connection: close", b"Connection: close\r\n" + header))
        assert got == status, answer
        assert (b"UnrecognizedClientException" in answer) == (status == 400)
    page = b"GET /_pileus/status HTTP/1.1\r\nHost: x\r\nOrigin: https://example.com\r\nConnection: close\r\n\r\n"
    assert exchange(pileus.endpoint, page)[0] == 403


def test_of_the_nodes_own_paths_only_known_ones_answer(pileus: Any) -> None:
    get = b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert exchange(pileus.endpoint, get % b"/_pileus/health")[0] == 200
    assert exchange(pileus.endpoint, get % b"/_localstack/health")[0] == 200
    assert exchange(pileus.endpoint, get % b"/_pileus/status")[0] == 200
    assert exchange(pileus.endpoint, get % b"/_pileus/../../etc/passwd")[0] == 404


@pytest.fixture
def many_files() -> Iterator[int]:
    """As many open files as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_idle_connections_disturb_nobody(pileus: Any, many_files: int) -> None:
    count = min(10_000, many_files - 500)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(pileus.endpoint)) for _ in range(count)]
        idle[0].sendall(b"GET / HT")
        started = time.perf_counter()
        assert still_serves(pileus.endpoint)
        assert time.perf_counter() - started < 10
    assert still_serves(pileus.endpoint)


async def test_who_never_finishes_the_headers_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADERS_S", 0.05)

    async def handle(scope: Any, receive: Any) -> HttpAnswer:
        return HttpAnswer(200, [], b"ok")

    assert await _until_closed(handle, b"GET / HTTP/1.1\r\nHost: x\r\n") == b""
    assert await _until_closed(handle, b"") == b""


async def test_who_never_finishes_the_body_is_told_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SILENCE_S", 0.05)

    async def handle(scope: Any, receive: Any) -> HttpAnswer:
        try:
            await bodies.read_whole(receive, {"content-length": "10"}, 100)
        except AWSError as error:
            return HttpAnswer(error.status or 400, list(error.headers.items()), error.message.encode())
        return HttpAnswer(200, [], b"")

    answer = await _until_closed(handle, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"Your socket connection to the server was not read from or written to within the timeout" in answer


async def _until_closed(handle: Any, raw: bytes) -> bytes:
    """All that a server with this handler answers to `raw` before it closes the connection by itself."""
    sock = listen("127.0.0.1", 0)
    server = HttpServer(handle)
    await server.start(sock)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
        writer.write(raw)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer
    finally:
        await server.stop()
