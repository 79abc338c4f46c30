"""Time to live: an entry for each item that will expire, in the order of their times.

Entries are kept in the item's own transaction; the loop `dynamodb.expire` goes by them. An item expires at the second
that its attribute, a number, says.

Source: "Using time to live (TTL) in DynamoDB" in the Developer Guide.
"""

from __future__ import annotations

from pileus.services.dynamodb import keys
from pileus.services.dynamodb.tables import TimeToLive
from pileus.services.dynamodb.values import Item
from pileus.store.contract import Transaction

# An expiry time that lies farther back is taken for a mistake: the item stays.
AGE_MAX_S = 5 * 365 * 86400
# Times with more digits are beyond the year 30000.
_DIGITS_MAX = 12


def due(item: Item | None, attribute: str) -> int | None:
    """When an item expires, seconds since the epoch; None where it does not."""
    number = None if item is None else item.get(attribute, {}).get("N")
    if number is None:
        return None
    whole, _, fraction = number.partition(".")
    if len(whole) > _DIGITS_MAX or whole[0] == "-":
        return None
    return int(whole) + bool(fraction)


def follow(tx: Transaction, ttl: TimeToLive, key: bytes, old: Item | None, new: Item | None) -> None:
    """Keep the entry of the item at `key`, which changes from `old` to `new`."""
    before, now = due(old, ttl.attribute), due(new, ttl.attribute)
    if before == now:
        return
    if before is not None:
        tx.delete(keys.expiry(ttl.prefix, before, key))
    if now is not None:
        tx.put(keys.expiry(ttl.prefix, now, key), key)
