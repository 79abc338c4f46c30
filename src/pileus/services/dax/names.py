"""Lists of attribute names, which clients and clusters know by numbers.

A list's number is made of its names, so that every cluster and every start gives it the same one; it is written down
before anybody hears of it, so that whoever asks later what it means is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from pileus.cloud.context import Cloud
from pileus.services.dax import keys
from pileus.services.dax.protocol.items import EMPTY_LIST
from pileus.store.contract import Transaction

Names = tuple[str, ...]

# DynamoDB's items have at most 400 KB, names included.
BYTES_MAX = 400 << 10
_KEPT_MAX = 10_000
_NUMBER_BYTES = 7


class NameLists:
    """The lists of one account and region."""

    def __init__(self, cloud: Cloud, account: str, region: str) -> None:
        self._cloud = cloud
        self._account = account
        self._region = region
        self._names: dict[int, Names] = {EMPTY_LIST: ()}
        self._numbers: dict[Names, int] = {(): EMPTY_LIST}

    async def number(self, names: Sequence[str]) -> int:
        """The number of a list, which is made where there is none."""
        known = self._numbers.get(tuple(names))
        if known is not None:
            return known
        content = msgspec.msgpack.encode(names)
        # Not the numbers that mean something else.
        made = int.from_bytes(blake2b(content, digest_size=_NUMBER_BYTES).digest(), "big") + EMPTY_LIST + 1

        async def write(tx: Transaction) -> None:
            tx.put(keys.names(self._account, self._region, made), content)

        await self._cloud.store.write(write)
        self._keep(made, tuple(names))
        return made

    async def names(self, number: int) -> Names | None:
        """The list of that number, or None."""
        known = self._names.get(number)
        if known is not None or not 0 <= number < 1 << 63:
            return known
        content = await self._cloud.store.read(lambda tx: tx.get(keys.names(self._account, self._region, number)))
        if content is None:
            return None
        found = msgspec.msgpack.decode(content, type=Names)
        self._keep(number, found)
        return found

    def _keep(self, number: int, names: Names) -> None:
        if len(self._names) >= _KEPT_MAX:
            self._names = {EMPTY_LIST: ()}
            self._numbers = {(): EMPTY_LIST}
        self._names[number] = names
        self._numbers[names] = number
