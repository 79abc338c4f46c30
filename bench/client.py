"""Requests signed as boto3 signs them, as bytes, and the thinnest client that sends them."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import botocore.config
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.servers import Cannot, Server

REGION = "us-east-1"
_SIGNERS = {"s3": S3SigV4Auth}


def aws(server: Server, service: str) -> Any:
    """A boto3 client: for what prepares a case, never for what is measured."""
    config = botocore.config.Config(
        retries={"total_max_attempts": 1}, read_timeout=60, s3={"addressing_style": "path"}, proxies={}
    )
    return boto3.client(
        service,
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=server.key,
        aws_secret_access_key=server.key,
        config=config,
    )


def _credentials(server: Server) -> Credentials:
    return Credentials(server.key, server.key)


def signed(
    server: Server, service: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    """One whole HTTP/1.1 request for a target like "GET /", signed now: good for 15 minutes."""
    method, path = target.split(" ")
    request = AWSRequest(method, server.endpoint + path, dict(headers or {}), body)
    _SIGNERS.get(service, SigV4Auth)(_credentials(server), service, REGION).add_auth(request)
    return _bytes(server, method, path, body, dict(request.headers.items()))


def dynamodb(server: Server, operation: str, body: bytes) -> bytes:
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    return signed(server, "dynamodb", "POST /", body, headers)


def events(server: Server, operation: str, body: bytes) -> bytes:
    headers = {"X-Amz-Target": f"AWSEvents.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    return signed(server, "events", "POST /", body, headers)


def sns(server: Server, form: bytes) -> bytes:
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return signed(server, "sns", "POST /", form, headers)


def sqs(server: Server, operation: str, request: dict[str, Any]) -> bytes:
    headers = {"X-Amz-Target": f"AmazonSQS.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    return signed(server, "sqs", "POST /", json.dumps(request).encode(), headers)


def invoke(server: Server, function: str, event: bytes) -> bytes:
    return signed(server, "lambda", f"POST /2015-03-31/functions/{function}/invocations", event)


def put_object(server: Server, bucket: str, key: str, body: bytes) -> bytes:
    """With the checksum that boto3 adds by itself."""
    checksum = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    headers = {"x-amz-checksum-crc32": checksum, "x-amz-sdk-checksum-algorithm": "CRC32"}
    return signed(server, "s3", f"PUT /{bucket}/{key}", body, headers)


def presigned(server: Server, method: str, path: str, length: int = 0) -> bytes:
    """The head of a request by pre-signed S3 URL, whose body nobody has to hash; `length` bytes are to follow."""
    request = AWSRequest(method, server.endpoint + path, {})
    S3SigV4QueryAuth(_credentials(server), "s3", REGION, expires=900).add_auth(request)
    return _bytes(server, method, request.url.removeprefix(server.endpoint), b"", {"Content-Length": str(length)})


def _bytes(server: Server, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    headers = {"Host": server.address, "Content-Length": str(len(body))} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


class Connection:
    """One connection, kept alive where the server keeps it, else made anew for the next request."""

    def __init__(self, server: Server, timeout_s: float = 60.0) -> None:
        self._to, self._timeout_s = ("127.0.0.1", server.port), timeout_s
        self._open()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: bytes, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request, and a body apart from it; the status and the answer's body."""
        with self.answer(request, body) as answer:
            return answer.status, answer.read()

    def download(self, request: bytes, into: bytearray) -> tuple[int, int]:
        """The status, and how many bytes came into `into`."""
        with self.answer(request) as answer:
            view, got = memoryview(into), 0
            while more := answer.readinto(view[got:]):
                got += more
            return answer.status, got

    def _open(self) -> None:
        self._socket, self._closes = socket.create_connection(self._to, self._timeout_s), False
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self, request: bytes, body: bytes = b"") -> http.client.HTTPResponse:
        """Send it, and the head of the answer, whose body is to be read."""
        if self._closes:
            self._socket.close()
            self._open()
        self._socket.sendall(request)
        if body:
            self._socket.sendall(body)
        answer = http.client.HTTPResponse(self._socket)
        answer.begin()
        self._closes = answer.will_close
        return answer


def ask_all(server: Server, requests: list[bytes], connections: int) -> list[tuple[int, bytes]]:
    """The answers, in order, each request on one of so many connections at once."""
    local = threading.local()

    def ask(request: bytes) -> tuple[int, bytes]:
        if not hasattr(local, "connection"):
            local.connection = Connection(server)
        answer: tuple[int, bytes] = local.connection.ask(request)
        return answer

    with ThreadPoolExecutor(connections) as threads:
        return list(threads.map(ask, requests))


def expect(answers: list[tuple[int, bytes]]) -> None:
    """Raises `Cannot` where one is not a success."""
    for status, answer in answers:
        if status != 200:
            raise Cannot(f"it answered {status} {answer[:300].decode(errors='replace')}")
