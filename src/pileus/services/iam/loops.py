"""IAM's background work."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.services.iam import keys
from pileus.services.iam.identities import IamIdentities
from pileus.services.iam.records import encode
from pileus.store.contract import Transaction


async def write_key_uses(cloud: Cloud) -> None:
    """Write down which access keys were used since the last time; what a crash loses is a minute of that."""
    identities = cloud.part(IamIdentities)
    uses, identities.uses = identities.uses, {}
    if not uses:
        return

    async def write(tx: Transaction) -> None:
        for id, use in uses.items():
            # Not of keys that were deleted meanwhile.
            if await tx.get(keys.access_key(id)) is not None:
                tx.put(keys.access_key_use(id), encode(use))

    try:
        await cloud.store.write(write)
    except BaseException:
        identities.uses = {**uses, **identities.uses}
        raise
