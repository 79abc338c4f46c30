"""The Runtime API at the socket: what a runtime may say, when, and what it hears otherwise."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from pileus.services.lambda_.execution import PAYLOAD_BYTES_MAX
from pileus.services.lambda_.runtime_api import (
    Event,
    OtherCall,
    RuntimeConnection,
    RuntimeState,
    Streamed,
    event_headers,
)

ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
EVENT = Event(ID, b'{"a":1}', event_headers(request_id=ID, deadline_ms=5, invoked_arn="arn\r\nX-Evil: 1"))
PREFIX = "/2018-06-01/runtime"


class Host:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.state = RuntimeState.STARTED
        self.request_id = ID
        self.heard: list[tuple[Any, ...]] = []

    def runtime_waits(self, send: RuntimeConnection) -> None:
        self.state = RuntimeState.RUNNING
        send.send_event(EVENT)

    def runtime_answered(self, payload: bytes, content_type: str) -> None:
        self.heard.append(("answered", payload, content_type))

    def runtime_streams(self, answer: Streamed) -> None:
        self.heard.append(("streams", answer))

    def runtime_stream_ended(self, answer: Streamed) -> None:
        self.heard.append(("stream ended", answer.error))

    def runtime_failed(self, payload: bytes, error_type: str) -> None:
        self.heard.append(("failed", payload, error_type))

    def runtime_too_large(self) -> None:
        self.heard.append(("too large",))

    def init_failed(self, payload: bytes, error_type: str) -> None:
        self.heard.append(("init failed", payload, error_type))

    def runtime_restores(self, send: RuntimeConnection) -> None:
        self.heard.append(("restores",))
        send.send_restored()

    def restore_failed(self, payload: bytes, error_type: str) -> None:
        self.heard.append(("restore failed", payload, error_type))

    def other_call(self, path: str, call: OtherCall) -> None:
        self.heard.append(("other call", path))
        call.answer(404, b"")


def talk(host: Host, *requests: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Send these one after another over one connection; each one's status, headers and body."""

    async def run() -> list[tuple[int, dict[str, str], bytes]]:
        ours, theirs = socket.socketpair()
        await asyncio.get_running_loop().connect_accepted_socket(lambda: RuntimeConnection(host), theirs)
        reader, writer = await asyncio.open_connection(sock=ours)
        answers = []
        for each in requests:
            writer.write(each)
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers["content-length"]))
            answers.append((int(head[0].split()[1]), headers, body))
        writer.close()
        return answers

    return asyncio.run(run())


def call(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{method} {PREFIX}{path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


NEXT = call("GET", "/invocation/next")
ANSWER = call("POST", f"/invocation/{ID}/response", b"1")


def test_an_event_and_its_answer() -> None:
    host = Host()
    (status, headers, body), accepted, _again = talk(host, NEXT, ANSWER, NEXT)
    assert (status, body) == (200, b'{"a":1}')
    assert headers["lambda-runtime-aws-request-id"] == ID
    # A line end in a value begins no header.
    assert "x-evil" not in headers
    assert (accepted[0], json.loads(accepted[2])) == (202, {"status": "OK"})
    assert host.heard == [("answered", b"1", "application/json")]


@pytest.mark.parametrize("kind", ["response", "error"])
def test_an_id_that_is_not_the_invocations(kind: str) -> None:
    host = Host()
    answers = talk(host, NEXT, call("POST", f"/invocation/{ID[:-1]}x/{kind}", b"1"), ANSWER)
    assert answers[1][0] == 400
    assert json.loads(answers[1][2])["errorType"] == "InvalidRequestID"
    assert answers[2][0] == 202
    assert len(host.heard) == 1


@pytest.mark.parametrize("second", [ANSWER, call("POST", f"/invocation/{ID}/error", b"{}")])
def test_a_second_answer_is_refused(second: bytes) -> None:
    host = Host()
    refused = talk(host, NEXT, ANSWER, second)[2]
    assert refused[0] == 403
    assert json.loads(refused[2])["errorType"] == "InvalidStateTransition"
    assert host.heard == [("answered", b"1", "application/json")]


@pytest.mark.parametrize(
    ("before", "refused"), [([], ANSWER), ([NEXT], NEXT), ([NEXT], call("POST", "/init/error", b"{}"))]
)
def test_the_wrong_order(before: list[bytes], refused: bytes) -> None:
    host = Host()
    status, _headers, body = talk(host, *before, refused)[-1]
    assert status == 403
    assert json.loads(body)["errorType"] == "InvalidStateTransition"
    assert not host.heard


def test_errors_are_handed_on() -> None:
    host = Host()
    talk(host, call("POST", "/init/error", b"{}", Lambda_Runtime_Function_Error_Type="Runtime.No"))
    assert host.heard == [("init failed", b"{}", "Runtime.No")]
    host = Host()
    talk(host, NEXT, call("POST", f"/invocation/{ID}/error", b"[]", Lambda_Runtime_Function_Error_Type="Mine"))
    assert host.heard == [("failed", b"[]", "Mine")]


def test_the_largest_answer_and_one_byte_more() -> None:
    host = Host()
    path = f"/invocation/{ID}/response"
    largest = bytes(PAYLOAD_BYTES_MAX)
    answers = talk(host, NEXT, call("POST", path, largest), NEXT, call("POST", path, largest + b"x"), NEXT)
    assert [each[0] for each in answers] == [200, 202, 200, 413, 200]
    assert json.loads(answers[3][2])["errorType"] == "RequestEntityTooLarge"
    assert [each[0] for each in host.heard] == ["answered", "too large"]


def test_paths_methods_and_bytes_that_are_none() -> None:
    found = talk(Host(), call("GET", "/nothing"), call("POST", "/invocation/next"), b"\x00\x01 no http\r\n\r\n")
    assert [each[0] for each in found] == [404, 405, 400]
    assert found[2][1]["connection"] == "close"


def test_a_stream_that_breaks_off_is_an_error() -> None:
    host = Host()
    head = (
        f"POST {PREFIX}/invocation/{ID}/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\nExpect: 100-continue\r\n\r\n3\r\nabc\r\n"
    ).encode()

    async def run() -> None:
        ours, theirs = socket.socketpair()
        await asyncio.get_running_loop().connect_accepted_socket(lambda: RuntimeConnection(host), theirs)
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(NEXT)
        await asyncio.wait_for(reader.readuntil(EVENT.payload), 20)
        writer.write(head)
        await asyncio.wait_for(reader.readuntil(b"100 Continue\r\n\r\n"), 20)
        stream = host.heard[0][1]
        assert await asyncio.wait_for(stream.chunks.get(), 20) == b"abc"
        writer.close()
        assert await asyncio.wait_for(stream.chunks.get(), 20) is None

    asyncio.run(run())
    assert host.heard[1] == ("stream ended", ("Runtime.TruncatedResponse", "Response truncated"))
