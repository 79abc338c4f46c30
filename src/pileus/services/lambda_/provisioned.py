"""What of provisioned concurrency is wanted, as the store says it: for versions, and for aliases, whose share goes to
the versions behind them by their weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pileus.services.lambda_ import errors, keys
from pileus.services.lambda_.configurations import is_snapshotted
from pileus.services.lambda_.lookup import find_alias, find_version
from pileus.services.lambda_.names import Target, is_version
from pileus.services.lambda_.records import Provisioned, decode
from pileus.store.contract import Reader
from pileus.store.keys import after, unpack

SCAN_LIMIT = 500


async def configs(tx: Reader, at: Target) -> dict[str, Provisioned]:
    """The function's provisioned concurrency, by version or alias."""
    start, end = keys.provisioned_of(at)
    rows = await tx.scan(start, end, limit=SCAN_LIMIT)
    return {str(unpack(key)[-1]): decode(Provisioned, data) for key, data in rows}


async def shares(tx: Reader, at: Target, qualifier: str, wanted: int) -> dict[str, int]:
    """Environments by version, for what is wanted for a version or alias."""
    if is_version(qualifier):
        return {qualifier: wanted}
    alias = await find_alias(tx, at, qualifier)
    if alias is None:
        return {}
    out = {version: math.ceil(wanted * share) for version, share in alias.weights.items()}
    return {alias.version: max(wanted - sum(out.values()), 0)} | out


async def check_not_snapshotted(tx: Reader, at: Target, versions: Iterable[str]) -> None:
    """A version has either ("Lambda SnapStart": supported features and limitations)."""
    for number in versions:
        version = await find_version(tx, at, number)
        if version is not None and is_snapshotted(version):
            raise errors.not_for_snap_start("Provisioned concurrency")


async def by_version(tx: Reader, at: Target) -> dict[str, int]:
    """How many environments each version of the function is to have ready."""
    out: dict[str, int] = {}
    for qualifier, config in (await configs(tx, at)).items():
        for version, count in (await shares(tx, at, qualifier, config.wanted)).items():
            out[version] = out.get(version, 0) + count
    return out


async def by_function(tx: Reader, account: str, region: str) -> dict[str, int]:
    """How much each function of the account has, by its name."""
    out: dict[str, int] = {}
    start, end = keys.all_provisioned(account, region)
    while rows := await tx.scan(start, end, limit=SCAN_LIMIT):
        for key, data in rows:
            name = str(unpack(key)[4])
            out[name] = out.get(name, 0) + decode(Provisioned, data).wanted
        start = after(rows[-1][0])
    return out
