"""What clients of a cluster send, byte by byte: by a socket, without AWS's client."""

from __future__ import annotations

import hmac
import socket
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import cbor2
import pytest
from dax_kit import World

GET_ITEM, ENDPOINTS, AUTHORIZE = 263244906, 455855874, 1489122155
GREETING = b"".join(map(cbor2.dumps, ("J7yne5G", 0, "session", {"UserAgent": "test"}, 0)))
UNAUTHENTICATED = [4, 23, 31, 33]


@pytest.fixture
def world(aws: Any) -> World:
    return World(aws)


class Peer:
    """A connection to the world's cluster."""

    def __init__(self, world: World) -> None:
        self.world = world
        endpoint = world.made["ClusterDiscoveryEndpoint"]
        self.socket = socket.create_connection((endpoint["Address"], endpoint["Port"]), timeout=30)
        self.file = self.socket.makefile("rb")

    def answer(self) -> Any:
        """What the next one holds; its codes where it is an error."""
        codes = cbor2.load(self.file)
        if codes:
            return codes, cbor2.load(self.file), cbor2.load(self.file)
        return cbor2.load(self.file)

    def authorization(self, signature: str = "") -> bytes:
        account = self.world.account
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = [date[:8], account.region, "dax", "aws4_request"]
        to_sign = "\n".join(("AWS4-HMAC-SHA256", date, "/".join(scope), "0" * 64)).encode()
        key = b"AWS4test"
        for part in scope:
            key = hmac.digest(key, part.encode(), sha256)
        signature = signature or hmac.digest(key, to_sign, sha256).hex()
        return call(AUTHORIZE, account.account, signature, to_sign, None, "test")


@pytest.fixture
def peer(world: World) -> Iterator[Peer]:
    made = Peer(world)
    with made.socket, made.file:
        yield made


def call(method: int, *arguments: Any) -> bytes:
    return b"".join(map(cbor2.dumps, (1, method, *arguments)))


def get(sort: int) -> bytes:
    """The sort key's bytes are those that the client writes for one digit."""
    return call(GET_ITEM, "things", cbor2.dumps("a") + number_key(sort), {})


def number_key(number: int) -> bytes:
    from decimal import Decimal

    from pileus.services.dax.protocol import ordered_number

    return ordered_number.encode(Decimal(number))


def value(answer: Any) -> Any:
    """Of the one attribute beside the key: behind the number of the list of names."""
    found = answer[0]
    number_size = len(cbor2.dumps(cbor2.loads(found)))
    return cbor2.loads(found[number_size:])


def test_a_request_in_single_bytes(world: World, peer: Peer) -> None:
    world.put(world.direct, "one")
    for byte in GREETING + peer.authorization() + get(1):
        peer.socket.sendall(bytes([byte]))
    assert value(peer.answer()) == "one"


def test_requests_sent_ahead_are_answered_in_their_order(world: World, peer: Peer) -> None:
    for sort in range(20):
        world.put(world.direct, str(sort), sort)
    asked = [*range(20), *reversed(range(20)), *range(20)]
    peer.socket.sendall(GREETING + peer.authorization() + b"".join(map(get, asked)))
    assert [value(peer.answer()) for _ in asked] == [str(sort) for sort in asked]


def test_who_asks_and_says_no_more_is_answered(world: World, peer: Peer) -> None:
    world.put(world.direct, "one")
    peer.socket.sendall(GREETING + peer.authorization() + get(1) + get(2))
    peer.socket.shutdown(socket.SHUT_WR)
    assert value(peer.answer()) == "one"
    assert peer.answer() == {}
    assert peer.file.read() == b""


@pytest.mark.parametrize("signature", ["0" * 64, "é", "\x00", "x" * 100_000])
def test_a_signature_that_is_none(peer: Peer, signature: str) -> None:
    peer.socket.sendall(GREETING + peer.authorization(signature) + get(1) + call(ENDPOINTS))
    for _ in range(2):
        codes, message, details = peer.answer()
        assert codes == UNAUTHENTICATED
        assert message.startswith("The request signature we calculated does not match")
        assert details[1:] == ["MissingAuthenticationTokenException", 400]
    # The next one counts.
    peer.socket.sendall(peer.authorization() + get(1))
    assert peer.answer() == {}


def test_nobody_is_answered_before_saying_who_asks(peer: Peer) -> None:
    peer.socket.sendall(GREETING + get(1))
    codes, _, _ = peer.answer()
    assert codes == UNAUTHENTICATED


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        cbor2.dumps("J7yne5G") + b"\xff",
        b"".join(map(cbor2.dumps, ("J7yne5H", 0, "session", {}, 0))),
        GREETING + cbor2.dumps(2) + cbor2.dumps(GET_ITEM),
        GREETING + call(12345),
        GREETING + b"\x01\xc1\x00",
        GREETING + b"".join(map(cbor2.dumps, (1, "GetItem"))),
    ],
)
def test_what_is_no_request_ends_the_connection(peer: Peer, said: bytes) -> None:
    peer.socket.sendall(said)
    assert peer.file.read() == b""


def test_connections_end_with_their_cluster(world: World, peer: Peer) -> None:
    peer.socket.sendall(GREETING + peer.authorization() + get(1))
    assert peer.answer() == {}
    world.dax.delete_cluster(ClusterName="front")
    assert peer.file.read() == b""


def test_an_item_that_changes_is_written_anew(world: World, peer: Peer) -> None:
    """What the cache holds is read as it is, also when it was read before."""
    peer.socket.sendall(GREETING + peer.authorization())

    def read() -> Any:
        peer.socket.sendall(get(1))
        return peer.answer()

    assert read() == read() == {}
    for text in ("one", "two"):
        world.put(world.through, text)
        assert [value(read()) for _ in range(3)] == [text] * 3
    world.through.delete_item(TableName="things", Key={"p": {"S": "a"}, "s": {"N": "1"}})
    assert read() == read() == {}
