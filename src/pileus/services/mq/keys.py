"""The keys of everything Amazon MQ stores.

broker   account, region, id     Broker
name     account, region, name   the id of the broker that has it
seal     what seals the passwords of brokers' users
"""

from __future__ import annotations

from pileus.store.keys import pack, prefix_range

SERVICE = "mq"


def broker(account: str, region: str, id: str) -> bytes:
    return pack(SERVICE, account, region, "broker", id)


def brokers(account: str, region: str) -> tuple[bytes, bytes]:
    return prefix_range(SERVICE, account, region, "broker")


def name(account: str, region: str, name: str) -> bytes:
    return pack(SERVICE, account, region, "name", name)


def seal() -> bytes:
    return pack(SERVICE, "", "", "seal")
