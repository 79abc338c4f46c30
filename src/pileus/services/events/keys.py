"""The keys of everything EventBridge stores.

bus              account, region, name                     Bus; the default one is there without a record
rule             account, region, bus, name                Rule
rules-version    account, region, bus                      changes with every rule of the bus
archive          account, region, name                     Archive
archive-size     archive's id                              ArchiveSize
archived         archive's id, milliseconds, sequence      an event, JSON
archive-index    account, region, name                     every archive there is, for the loops
archive-garbage  archive's id                              a deleted archive whose events are still to go
replay           account, region, name                     Replay
connection       account, region, name                     Connection
api-destination  account, region, name                     ApiDestination
partner-source   account, region, name                     PartnerSource that was offered to the account
partner-offer    partner, region, name, account            by partner, the accounts that it offers a source to
endpoint         account, region, name                     Endpoint, by its primary region
endpoint-id      id                                        EndpointName
seal             what seals the secrets of connections
"""

from __future__ import annotations

from pileus.store.keys import pack, prefix_range, text_range, unpack

Range = tuple[bytes, bytes]


def bus(account: str, region: str, name: str) -> bytes:
    return pack("events", account, region, "bus", name)


def buses(account: str, region: str, prefix: str = "") -> Range:
    return _named(account, region, "bus", prefix)


def rule(account: str, region: str, bus: str, name: str) -> bytes:
    return pack("events", account, region, "rule", bus, name)


def rules(account: str, region: str, bus: str, prefix: str = "") -> Range:
    if not prefix:
        return prefix_range("events", account, region, "rule", bus)
    return text_range(pack("events", account, region, "rule", bus), prefix)


def rules_version(account: str, region: str, bus: str) -> bytes:
    return pack("events", account, region, "rules-version", bus)


def archive(account: str, region: str, name: str) -> bytes:
    return pack("events", account, region, "archive", name)


def archives(account: str, region: str, prefix: str = "") -> Range:
    return _named(account, region, "archive", prefix)


def archive_size(archive_id: str) -> bytes:
    return pack("events", "", "", "archive-size", archive_id)


def archived(archive_id: str, ms: int, sequence: str) -> bytes:
    return pack("events", "", "", "archived", archive_id, ms, sequence)


def archived_between(archive_id: str, first_ms: int, end_ms: int) -> Range:
    return pack("events", "", "", "archived", archive_id, first_ms), pack(
        "events", "", "", "archived", archive_id, end_ms
    )


def all_archived(archive_id: str) -> Range:
    return prefix_range("events", "", "", "archived", archive_id)


def archived_ms(key: bytes) -> int:
    ms = unpack(key)[5]
    assert isinstance(ms, int)
    return ms


def archive_index(account: str, region: str, name: str) -> bytes:
    return pack("events", "", "", "archive-index", account, region, name)


def archive_indexes() -> Range:
    return prefix_range("events", "", "", "archive-index")


def archive_of_index(key: bytes) -> tuple[str, str, str]:
    account, region, name = unpack(key)[4:]
    return str(account), str(region), str(name)


def archive_garbage(archive_id: str) -> bytes:
    return pack("events", "", "", "archive-garbage", archive_id)


def archive_garbages() -> Range:
    return prefix_range("events", "", "", "archive-garbage")


def archive_of_garbage(key: bytes) -> str:
    return str(unpack(key)[4])


def replay(account: str, region: str, name: str) -> bytes:
    return pack("events", account, region, "replay", name)


def replays(account: str, region: str, prefix: str = "") -> Range:
    return _named(account, region, "replay", prefix)


def connection(account: str, region: str, name: str) -> bytes:
    return pack("events", account, region, "connection", name)


def connections(account: str, region: str, prefix: str = "") -> Range:
    return _named(account, region, "connection", prefix)


def api_destination(account: str, region: str, name: str) -> bytes:
    return pack("events", account, region, "api-destination", name)


def api_destinations(account: str, region: str, prefix: str = "") -> Range:
    return _named(account, region, "api-destination", prefix)


def partner_source(account: str, region: str, name: str) -> bytes:
    return pack("events", account, region, "partner-source", name)


def partner_sources(account: str, region: str, prefix: str = "") -> Range:
    return _named(account, region, "partner-source", prefix)


def partner_offer(partner: str, region: str, name: str, account: str) -> bytes:
    return pack("events", partner, region, "partner-offer", name, account)


def partner_offers(partner: str, region: str, name: str) -> Range:
    return prefix_range("events", partner, region, "partner-offer", name)


def all_partner_offers(partner: str, region: str, prefix: str = "") -> Range:
    return _named(partner, region, "partner-offer", prefix)


def offered_name(key: bytes) -> str:
    return str(unpack(key)[4])


def offered_to(key: bytes) -> str:
    return str(unpack(key)[5])


def endpoint(account: str, region: str, name: str) -> bytes:
    return pack("events", account, region, "endpoint", name)


def endpoints(account: str, region: str, prefix: str = "") -> Range:
    return _named(account, region, "endpoint", prefix)


def endpoint_id(id: str) -> bytes:
    return pack("events", "", "", "endpoint-id", id)


def seal() -> bytes:
    return pack("events", "", "", "seal")


def _named(account: str, region: str, kind: str, prefix: str) -> Range:
    if not prefix:
        return prefix_range("events", account, region, kind)
    return text_range(pack("events", account, region, kind), prefix)
