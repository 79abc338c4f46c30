"""Code storage: how many bytes of packages the versions and layers of an account have together, and how many they may.

Every version counts in full, as at AWS, whether or not others have the same bytes. Source: "Lambda quotas".
"""

from __future__ import annotations

from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import keys
from pileus.services.lambda_.records import LayerVersion, Version, decode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

BYTES_MAX = 80_530_636_800
_SCAN_LIMIT = 500


async def used(tx: Reader, account: str, region: str) -> int:
    data = await tx.get(keys.code_storage(account, region))
    return int(data) if data is not None else await _counted(tx, account, region)


async def change(tx: Transaction, account: str, region: str, more: int) -> None:
    """Count `more` bytes (less, where it is negative). Raises `CodeStorageExceededException`."""
    total = await used(tx, account, region) + more
    if more > 0 and total > BYTES_MAX:
        raise AWSError("CodeStorageExceededException", "Code storage limit exceeded.", Type="User")
    tx.put(keys.code_storage(account, region), b"%d" % max(total, 0))


async def _counted(tx: Reader, account: str, region: str) -> int:
    """What there is, counted one by one: where nothing has been kept yet."""
    total = 0
    start, end = keys.all_versions(account, region)
    while found := await tx.scan(start, end, limit=_SCAN_LIMIT):
        total += sum(decode(Version, data).configuration.code_size_bytes for _, data in found)
        start = after(found[-1][0])
    start, end = keys.all_layer_versions(account, region)
    while found := await tx.scan(start, end, limit=_SCAN_LIMIT):
        total += sum(decode(LayerVersion, data).size_bytes for _, data in found)
        start = after(found[-1][0])
    return total
