"""HTTP requests that the cloud makes to the world: API destinations, subscribers, token endpoints.

The address is a user's: redirects are not followed, answers are limited, addresses of the machine's own link (where
clouds keep the credentials of the machine) are not called. What is called may be this node itself; so that nobody gets
in by having the node call itself, every request says that it comes from elsewhere (see `wire/route.py`), and headers
that would say otherwise are not sent.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

import httptools

ANSWER_BYTES_MAX = 1024 * 1024
_READ = 65536
# Ours to say, or a browser's.
_KEPT_BACK = frozenset(
    ("host", "connection", "content-length", "transfer-encoding", "origin", "sec-fetch-site", "expect", "upgrade", "te")
)
# Where AWS's machines find their metadata by IPv6: an address of no link.
_METADATA = frozenset({ip_address("fd00:ec2::254")})


class CannotConnect(Exception):
    """Nobody answers there, or not in HTTP; the text is one line."""


@dataclass(slots=True)
class Answered:
    status: int
    # Lower-case names.
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _Reading:
    """What the parser tells of an answer."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.done = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        if len(self.body) < ANSWER_BYTES_MAX:
            self.body += data

    def on_message_complete(self) -> None:
        self.done = True


async def request(
    method: str, url: str, *, headers: Iterable[tuple[str, str]] = (), body: bytes = b"", timeout_s: float
) -> Answered:
    """One request on a connection of its own. Raises CannotConnect."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise CannotConnect(f"{parts.scheme or url}: not an address of HTTP")
    try:
        async with asyncio.timeout(timeout_s):
            return await _request(method, parts, host, headers, body)
    except TimeoutError:
        raise CannotConnect(f"{host}: no answer within {timeout_s:g} seconds") from None
    except (OSError, ssl.SSLError, ValueError, httptools.HttpParserError) as error:
        raise CannotConnect(f"{host}: {error}") from None


async def _request(method: str, parts: Any, host: str, headers: Iterable[tuple[str, str]], body: bytes) -> Answered:
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    address = await resolve(host, port)
    reader, writer = await asyncio.open_connection(
        address, port, ssl=_tls() if tls else None, server_hostname=host if tls else None
    )
    try:
        writer.write(_head(method, parts, headers, len(body)) + body)
        await writer.drain()
        reading = _Reading()
        parser = httptools.HttpResponseParser(reading)
        while not reading.done:
            data = await reader.read(_READ)
            if not data:
                break
            parser.feed_data(data)
            if method == "HEAD" and reading.headers:
                break
        if not reading.headers and not reading.done:
            raise CannotConnect(f"{host}: the connection was closed without an answer")
        return Answered(parser.get_status_code(), reading.headers, bytes(reading.body))
    finally:
        writer.close()


async def resolve(host: str, port: int) -> str:
    """An address of the host that may be called."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, address in found:
        if not _is_own_link(str(address[0])):
            return str(address[0])
    raise CannotConnect(f"{host}: addresses of the machine's own link are not called")


def _is_own_link(text: str) -> bool:
    """Whether only the machine's own link has the address, or a cloud's machines find their metadata there."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_link_local or address in _METADATA


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _head(method: str, parts: Any, headers: Iterable[tuple[str, str]], length: int) -> bytes:
    target = parts.path or "/"
    if parts.query:
        target += "?" + parts.query
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
    lines += [f"{name}: {value}" for name, value in headers if name.lower() not in _KEPT_BACK]
    lines += ["Sec-Fetch-Site: cross-site", "Connection: close", f"Content-Length: {length}"]
    if any("\r" in line or "\n" in line or "\x00" in line for line in lines):
        raise CannotConnect("a header holds what a header cannot hold")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
