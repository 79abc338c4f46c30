"""Identifiers and other random strings: nothing else in Pileus draws random numbers.

A seeded `Ids` gives the same sequence again, so that a failing run can be replayed.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import random
import string
import threading

UPPER_ALNUM = string.ascii_uppercase + string.digits
# The alphabet of IAM's unique ids (AROA..., AKIA...): base32.
BASE32 = string.ascii_uppercase + "234567"
LOWER_ALNUM = string.ascii_lowercase + string.digits
HEX = "0123456789abcdef"

_AHEAD_BYTES = 4096
_UUIDS_AHEAD = 64
# The two fixed bits of a UUID's digit that tells its variant.
_VARIANT = {digit: "89ab"[value & 3] for value, digit in enumerate(HEX)}


class Ids:
    """A source of identifiers. Without a seed it draws from the system's entropy."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 -- seeded: for replay only
        self._seeded = seed is not None
        # Entropy drawn ahead: a call to the system for each id would cost every request microseconds.
        self._ahead = b""
        self._at = 0
        self._uuids: list[str] = []
        # Transactions and the event loop draw from different threads; none may get what another has got.
        self._lock = threading.Lock()

    def token_bytes(self, count: int) -> bytes:
        """`count` random bytes, fit for secrets when unseeded."""
        if self._seeded:
            return self._random.randbytes(count)
        if count > _AHEAD_BYTES:
            return os.urandom(count)
        with self._lock:
            at = self._at
            if at + count > len(self._ahead):
                self._ahead, at = os.urandom(_AHEAD_BYTES), 0
            self._at = at + count
            return self._ahead[at : at + count]

    def uuid(self) -> str:
        """A version 4 UUID in its 36-character form: the form of most AWS request ids."""
        if self._seeded:
            return _as_uuid(self.token_bytes(16).hex())
        try:
            # In one step: no other thread gets the same.
            return self._uuids.pop()
        except IndexError:
            drawn = os.urandom(16 * _UUIDS_AHEAD).hex()
            made = [_as_uuid(drawn[at : at + 32]) for at in range(0, len(drawn), 32)]
            one = made.pop()
            self._uuids = made
            return one

    def string(self, length: int, alphabet: str = UPPER_ALNUM) -> str:
        """`length` characters of `alphabet`, which has at most 256 of them."""
        characters, unfit = _characters(alphabet)
        found = ""
        while len(found) < length:
            drawn = self.token_bytes(length - len(found) + 4)
            found += drawn.translate(characters, unfit).decode("latin-1")
        return found[:length]

    def hex(self, length: int) -> str:
        return self.token_bytes((length + 1) // 2).hex()[:length]

    def uniform(self, low: float, high: float) -> float:
        """A float in [low, high]: jitter, weighted routing."""
        return self._random.uniform(low, high)


def _as_uuid(h: str) -> str:
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:]}"


@functools.cache
def _characters(alphabet: str) -> tuple[bytes, bytes]:
    """Which character each byte stands for, and the bytes that would make some of them likelier than others."""
    size = len(alphabet)
    fair = 256 - 256 % size
    return bytes(ord(alphabet[byte % size]) for byte in range(256)), bytes(range(fair, 256))


def host_id(request_id: str) -> str:
    """S3's second id of a request (`x-amz-id-2`): 76 characters that belong to the first."""
    return base64.b64encode(hashlib.shake_256(request_id.encode()).digest(56)).decode()
