"""The keys of everything Lambda stores.

function      account, region, name                     Function
version       account, region, name, number             Version; $LATEST is number 0
alias         account, region, name, alias              Alias
policy        account, region, name, qualifier          Policy; the function's own under ""
reserved      account, region, name                     its reserved concurrency, where it has one
provisioned   account, region, name, qualifier          Provisioned
provided      account, region, name                     nothing: that it has some, for all accounts
async-config  account, region, name, qualifier          AsyncConfig; the function's own under $LATEST
url           account, region, name, qualifier          Url; the function's own under ""
url-place     id                                        UrlPlace, for all accounts
esm           account, region, uuid                     EventSource
esm-pair      account, region, source, name, qualifier  the uuid of the mapping between the two
esm-place     account, region, uuid, shard              StreamPlace
esm-fed       account, region, uuid                     nothing: that there is one, for all accounts
code-signing  account, region, id                       CodeSigning
runtime-mgmt  account, region, name, qualifier          when its runtime is updated; under $LATEST the function's
signed        account, region, name                     the ARN of its code signing configuration, where it has one
layer         account, region, name                     LayerHead
layer-version account, region, name, number             LayerVersion
layer-policy  account, region, name, number             Policy
code          sha256                                    Code, for all accounts
secret        purpose                                   random bytes made at the first start
"""

from __future__ import annotations

from pileus.services.lambda_.names import LATEST, Target
from pileus.store.keys import pack, prefix_range, unpack

Range = tuple[bytes, bytes]


def function(at: Target) -> bytes:
    return pack("lambda", at.account, at.region, "function", at.name)


def functions(account: str, region: str) -> Range:
    return prefix_range("lambda", account, region, "function")


def version(at: Target, version: str) -> bytes:
    return pack("lambda", at.account, at.region, "version", at.name, 0 if version == LATEST else int(version))


def versions(at: Target) -> Range:
    return prefix_range("lambda", at.account, at.region, "version", at.name)


def all_versions(account: str, region: str) -> Range:
    return prefix_range("lambda", account, region, "version")


def is_function_version(key: bytes) -> bool:
    return unpack(key)[3] == "version"


def name_of_version(key: bytes) -> str:
    """The function's name in the key of one of its versions."""
    return str(unpack(key)[4])


def number_of_version(key: bytes) -> int:
    """0 for $LATEST."""
    number = unpack(key)[5]
    assert isinstance(number, int)
    return number


def alias(at: Target, name: str) -> bytes:
    return pack("lambda", at.account, at.region, "alias", at.name, name)


def aliases(at: Target) -> Range:
    return prefix_range("lambda", at.account, at.region, "alias", at.name)


def policy(at: Target) -> bytes:
    """Of the function itself, or of the version or alias that `at` names."""
    return pack("lambda", at.account, at.region, "policy", at.name, "" if at.qualifier == LATEST else at.qualifier)


def policies(at: Target) -> Range:
    return prefix_range("lambda", at.account, at.region, "policy", at.name)


def reserved(at: Target) -> bytes:
    return pack("lambda", at.account, at.region, "reserved", at.name)


def all_reserved(account: str, region: str) -> Range:
    return prefix_range("lambda", account, region, "reserved")


def provisioned(at: Target) -> bytes:
    return pack("lambda", at.account, at.region, "provisioned", at.name, at.qualifier)


def all_provisioned(account: str, region: str) -> Range:
    return prefix_range("lambda", account, region, "provisioned")


def provisioned_of(at: Target) -> Range:
    return prefix_range("lambda", at.account, at.region, "provisioned", at.name)


def provided(account: str, region: str, name: str) -> bytes:
    """That the function has provisioned concurrency, for the nodes, which provide it."""
    return pack("lambda", "", "", "provided", account, region, name)


def all_provided() -> Range:
    return prefix_range("lambda", "", "", "provided")


def provided_of(key: bytes) -> Target:
    """The function in a key of `all_provided`."""
    account, region, name = unpack(key)[4:]
    return Target(str(account), str(region), str(name), "")


def snapshotted(at: Target, version: str) -> bytes:
    """When a snapshotted version that is active was last invoked, for the loop that looks after idle ones."""
    return pack("lambda", "", "", "snapshotted", at.account, at.region, at.name, int(version))


def all_snapshotted() -> Range:
    return prefix_range("lambda", "", "", "snapshotted")


def snapshotted_of(key: bytes) -> Target:
    """The version in a key of `all_snapshotted`."""
    account, region, name, version = unpack(key)[4:]
    return Target(str(account), str(region), str(name), str(version))


def cached_snapshot(at: Target, version: str) -> bytes:
    """What is charged for keeping a version's snapshot."""
    return pack("lambda", "", "", "cached-snapshot", at.account, at.region, at.name, int(version))


def all_cached_snapshots() -> Range:
    return prefix_range("lambda", "", "", "cached-snapshot")


def async_config(at: Target) -> bytes:
    return pack("lambda", at.account, at.region, "async-config", at.name, at.qualifier or LATEST)


def async_configs(at: Target) -> Range:
    return prefix_range("lambda", at.account, at.region, "async-config", at.name)


def url(at: Target) -> bytes:
    return pack("lambda", at.account, at.region, "url", at.name, at.qualifier)


def urls(at: Target) -> Range:
    return prefix_range("lambda", at.account, at.region, "url", at.name)


def url_place(url_id: str) -> bytes:
    return pack("lambda", "", "", "url-place", url_id)


def event_source(account: str, region: str, id: str) -> bytes:
    return pack("lambda", account, region, "esm", id)


def event_sources(account: str, region: str) -> Range:
    return prefix_range("lambda", account, region, "esm")


def event_source_pair(at: Target, source: str) -> bytes:
    return pack("lambda", at.account, at.region, "esm-pair", source, at.name, at.qualifier)


def stream_place(account: str, region: str, id: str, shard: str) -> bytes:
    return pack("lambda", account, region, "esm-place", id, shard)


def stream_places(account: str, region: str, id: str) -> Range:
    return prefix_range("lambda", account, region, "esm-place", id)


def fed(account: str, region: str, id: str) -> bytes:
    return pack("lambda", "", "", "esm-fed", account, region, id)


def all_fed() -> Range:
    return prefix_range("lambda", "", "", "esm-fed")


def fed_of(key: bytes) -> tuple[str, str, str]:
    """Account, region and uuid in a key of `all_fed`."""
    account, region, id = unpack(key)[4:]
    return str(account), str(region), str(id)


def code_signing(account: str, region: str, config_id: str) -> bytes:
    return pack("lambda", account, region, "code-signing", config_id)


def all_code_signing(account: str, region: str) -> Range:
    return prefix_range("lambda", account, region, "code-signing")


def runtime_management(at: Target) -> bytes:
    return pack("lambda", at.account, at.region, "runtime-mgmt", at.name, at.qualifier or LATEST)


def runtime_managements(at: Target) -> Range:
    return prefix_range("lambda", at.account, at.region, "runtime-mgmt", at.name)


def signed(at: Target) -> bytes:
    return pack("lambda", at.account, at.region, "signed", at.name)


def all_signed(account: str, region: str) -> Range:
    return prefix_range("lambda", account, region, "signed")


def layer(account: str, region: str, name: str) -> bytes:
    return pack("lambda", account, region, "layer", name)


def layers(account: str, region: str) -> Range:
    return prefix_range("lambda", account, region, "layer")


def layer_version(account: str, region: str, name: str, version: int) -> bytes:
    return pack("lambda", account, region, "layer-version", name, version)


def layer_versions(account: str, region: str, name: str) -> Range:
    return prefix_range("lambda", account, region, "layer-version", name)


def all_layer_versions(account: str, region: str) -> Range:
    return prefix_range("lambda", account, region, "layer-version")


def layer_policy(account: str, region: str, name: str, version: int) -> bytes:
    return pack("lambda", account, region, "layer-policy", name, version)


def code_storage(account: str, region: str) -> bytes:
    return pack("lambda", account, region, "code-storage")


def code(sha256: str) -> bytes:
    return pack("lambda", "", "", "code", sha256)


def secret(purpose: str) -> bytes:
    return pack("lambda", "", "", "secret", purpose)


def usage(day: str, account: str, region: str, name: str, architecture: str) -> bytes:
    return pack("lambda", "", "", "usage", day[:7], day, account, region, name, architecture)


def usage_of_month(month: str) -> Range:
    return prefix_range("lambda", "", "", "usage", month)


def usage_place(key: bytes) -> tuple[str, str, str, str, str]:
    """Day, account, region, name and architecture of a key of `usage`."""
    day, account, region, name, architecture = unpack(key)[5:]
    return str(day), str(account), str(region), str(name), str(architecture)
