"""The store's keys.

cluster         account, region, name           a cluster
serving         -, -, account, region, name     the clusters of all accounts
parameters      account, region, name           a parameter group
subnets         account, region, name           a subnet group
event           account, region, time, id       what happened to them
certificate     -, -                            the node's certificate, with its key
names           account, region, number         a list of attribute names that clients and clusters know by number
"""

from __future__ import annotations

from pileus.store.keys import pack, pack_onto, range_onto, unpack

SERVICE = "dax"

Range = tuple[bytes, bytes]


def certificate() -> bytes:
    return pack(SERVICE, "", "", "certificate")


def cluster(account: str, region: str, name: str) -> bytes:
    return pack(SERVICE, account, region, "cluster", name)


def clusters(account: str, region: str) -> Range:
    return range_onto(pack(SERVICE, account, region, "cluster"))


def serving(account: str, region: str, name: str) -> bytes:
    """Of clusters of all accounts: what the node serves from its start."""
    return pack(SERVICE, "", "", "serving", account, region, name)


def all_serving() -> Range:
    return range_onto(pack(SERVICE, "", "", "serving"))


def served(key: bytes) -> tuple[str, str, str]:
    """(account, region, name) of a key of `all_serving`."""
    _, _, _, _, account, region, name = unpack(key)
    return str(account), str(region), str(name)


def parameter_group(account: str, region: str, name: str) -> bytes:
    return pack(SERVICE, account, region, "parameters", name)


def parameter_groups(account: str, region: str) -> Range:
    return range_onto(pack(SERVICE, account, region, "parameters"))


def subnet_group(account: str, region: str, name: str) -> bytes:
    return pack(SERVICE, account, region, "subnets", name)


def subnet_groups(account: str, region: str) -> Range:
    return range_onto(pack(SERVICE, account, region, "subnets"))


def event(account: str, region: str, date: float, id: str) -> bytes:
    return pack(SERVICE, account, region, "event", date, id)


def events(account: str, region: str, since: float, until: float) -> Range:
    start = pack(SERVICE, account, region, "event")
    return pack_onto(start, since), pack_onto(start, until)


def names(account: str, region: str, number: int) -> bytes:
    return pack(SERVICE, account, region, "names", number)
