"""The keys of everything EventBridge Schemas stores.

registry   account, region, name                       Registry
schema     account, region, registry, name             Schema
version    account, region, registry, name, number     Version
discoverer account, region, id                         Discoverer
shape      account, region, name                       the Shape of a discovered schema's events
"""

from __future__ import annotations

from pileus.store.keys import pack, prefix_range, text_range

SERVICE = "schemas"

Range = tuple[bytes, bytes]


def registry(account: str, region: str, name: str) -> bytes:
    return pack(SERVICE, account, region, "registry", name)


def registries(account: str, region: str, prefix: str = "") -> Range:
    if not prefix:
        return prefix_range(SERVICE, account, region, "registry")
    return text_range(pack(SERVICE, account, region, "registry"), prefix)


def discoverer(account: str, region: str, id: str) -> bytes:
    return pack(SERVICE, account, region, "discoverer", id)


def discoverers(account: str, region: str, prefix: str = "") -> Range:
    if not prefix:
        return prefix_range(SERVICE, account, region, "discoverer")
    return text_range(pack(SERVICE, account, region, "discoverer"), prefix)


def shape(account: str, region: str, name: str) -> bytes:
    return pack(SERVICE, account, region, "shape", name)


def schema(account: str, region: str, registry: str, name: str) -> bytes:
    return pack(SERVICE, account, region, "schema", registry, name)


def schemas(account: str, region: str, registry: str, prefix: str = "") -> Range:
    if not prefix:
        return prefix_range(SERVICE, account, region, "schema", registry)
    return text_range(pack(SERVICE, account, region, "schema", registry), prefix)


def version(account: str, region: str, registry: str, name: str, number: int) -> bytes:
    return pack(SERVICE, account, region, "version", registry, name, number)


def versions(account: str, region: str, registry: str, name: str) -> Range:
    return prefix_range(SERVICE, account, region, "version", registry, name)
