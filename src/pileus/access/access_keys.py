"""Access key ids and secrets. An id holds its account's number, in AWS's own packing, so that it can be told from it.

Source: "Identifiers for IAM" and the API reference of `GetAccessKeyInfo`, which answers for any key without a look-up.
"""

from __future__ import annotations

from base64 import b32decode, b32encode, b64encode
from typing import Literal

from pileus.kernel.ids import Ids

# Ten bytes as 16 characters of base32: a set bit, the account (40 bits), and 39 random ones.
_FIRST_BIT = 1 << 47
_ACCOUNT_SHIFT = 7
_ACCOUNT_MASK = (1 << 40) - 1


def new_access_key_id(prefix: Literal["AKIA", "ASIA"], account: str, ids: Ids) -> str:
    """A new id of a long-term (AKIA) or temporary (ASIA) key of `account`."""
    drawn = ids.token_bytes(5)
    head = _FIRST_BIT | int(account) << _ACCOUNT_SHIFT | drawn[0] >> 1
    return prefix + b32encode(head.to_bytes(6, "big") + drawn[1:]).decode()


def account_of(access_key_id: str) -> str | None:
    """The 12 digits of the account whose key this is; None where it is no access key id."""
    try:
        raw = b32decode(access_key_id[4:])
    except ValueError:
        return None
    if len(raw) != 10 or access_key_id[:4] not in ("AKIA", "ASIA"):
        return None
    account = int.from_bytes(raw[:6], "big") >> _ACCOUNT_SHIFT & _ACCOUNT_MASK
    return f"{account:012}" if account < 10**12 else None


def new_secret(ids: Ids) -> str:
    """40 characters, as AWS's secrets are."""
    return b64encode(ids.token_bytes(30)).decode()
