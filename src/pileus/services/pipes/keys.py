"""The keys of everything EventBridge Pipes stores.

pipe     account, region, name           Pipe
index    account, region, name           every pipe there is, for the node that runs them
place    account, region, name, shard    Place
"""

from __future__ import annotations

from pileus.store.keys import pack, prefix_range, text_range, unpack

Range = tuple[bytes, bytes]


def pipe(account: str, region: str, name: str) -> bytes:
    return pack("pipes", account, region, "pipe", name)


def pipes(account: str, region: str, prefix: str = "") -> Range:
    if not prefix:
        return prefix_range("pipes", account, region, "pipe")
    return text_range(pack("pipes", account, region, "pipe"), prefix)


def index(account: str, region: str, name: str) -> bytes:
    return pack("pipes", "", "", "index", account, region, name)


def indexes() -> Range:
    return prefix_range("pipes", "", "", "index")


def of_index(key: bytes) -> tuple[str, str, str]:
    account, region, name = unpack(key)[4:]
    return str(account), str(region), str(name)


def place(account: str, region: str, name: str, shard: str) -> bytes:
    return pack("pipes", account, region, "place", name, shard)


def places(account: str, region: str, name: str) -> Range:
    return prefix_range("pipes", account, region, "place", name)
