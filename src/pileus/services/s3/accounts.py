"""The ids by which S3 knows accounts."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from functools import lru_cache


@lru_cache(maxsize=1024)
def canonical_id(account: str) -> str:
    """The canonical user id of an account: 64 hexadecimal digits, as ACLs and listings show the owner."""
    return hashlib.sha256(f"canonical user of {account}".encode()).hexdigest()


@lru_cache(maxsize=1024)
def customer_id(account: str) -> str:
    """The customer id of an account, as event records show the owner: "A3NL1KOZZKExample"."""
    return "A" + b32encode(hashlib.sha256(f"customer of {account}".encode()).digest()).decode()[:13]
