"""Finding what a request names in the store, and saying in Lambda's words what is not there."""

from __future__ import annotations

from pileus.services.lambda_ import errors, keys
from pileus.services.lambda_.names import LATEST, Target, is_alias, is_version
from pileus.services.lambda_.records import Alias, Function, Version, decode
from pileus.store.contract import Reader
from pileus.store.keys import after

SCAN_LIMIT = 500


async def find_function(tx: Reader, at: Target) -> Function | None:
    data = await tx.get(keys.function(at))
    return decode(Function, data) if data is not None else None


async def get_function(tx: Reader, at: Target) -> Function:
    """The function itself; the error names it without a qualifier."""
    function = await find_function(tx, at)
    if function is None:
        raise errors.function_not_found(at.arn)
    return function


async def find_version(tx: Reader, at: Target, version: str) -> Version | None:
    if version != LATEST and not is_version(version):
        return None
    data = await tx.get(keys.version(at, version))
    return decode(Version, data) if data is not None else None


async def get_latest(tx: Reader, at: Target) -> Version:
    version = await find_version(tx, at, LATEST)
    if version is None:
        raise errors.function_not_found(at.arn)
    return version


async def find_alias(tx: Reader, at: Target, name: str) -> Alias | None:
    data = await tx.get(keys.alias(at, name))
    return decode(Alias, data) if data is not None else None


async def get_alias(tx: Reader, at: Target, name: str) -> Alias:
    alias = await find_alias(tx, at, name)
    if alias is None:
        raise errors.alias_not_found(f"{at.arn}:{name}")
    return alias


async def get_qualified(tx: Reader, at: Target, *, missing: str = "") -> Version:
    """The version that the target's qualifier stands for, over an alias where it is one.

    What is not there is told as `missing`, or as the caller named it.
    """
    qualifier = at.qualifier or LATEST
    if qualifier != LATEST and not is_version(qualifier):
        alias = await find_alias(tx, at, qualifier) if is_alias(qualifier) else None
        if alias is None:
            raise errors.function_not_found(missing or at.asked_arn)
        qualifier = alias.version
    version = await find_version(tx, at, qualifier)
    if version is None:
        raise errors.function_not_found(missing or at.asked_arn)
    return version


async def all_versions(tx: Reader, at: Target) -> list[Version]:
    start, end = keys.versions(at)
    out: list[Version] = []
    while found := await tx.scan(start, end, limit=SCAN_LIMIT):
        out += [decode(Version, data) for _, data in found]
        start = after(found[-1][0])
    return out


async def all_aliases(tx: Reader, at: Target) -> list[Alias]:
    start, end = keys.aliases(at)
    out: list[Alias] = []
    while found := await tx.scan(start, end, limit=SCAN_LIMIT):
        out += [decode(Alias, data) for _, data in found]
        start = after(found[-1][0])
    return out
