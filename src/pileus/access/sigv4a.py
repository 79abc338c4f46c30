"""AWS Signature Version 4A: a signature that is good in several regions, by an elliptic curve in place of a shared key.

Both sides have the secret, and derive one private key of the curve P-256 from it; here only its public half is used.

Source: "AWS SigV4A" and "Create a signed AWS API request" (IAM User Guide); NIST SP 800-108, "KDF in Counter Mode".
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Slow to import, and wanted by few requests.
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

ALGORITHM = "AWS4-ECDSA-P256-SHA256"
# The order of the curve's group.
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_KEY_BITS = 256
# In hex, of the longest DER of two 256-bit numbers.
SIGNATURE_LENGTH_MAX = 144


def is_signed(secret: str, access_key_id: str, to_sign: str, signature: str) -> bool:
    """Whether `signature` (DER in hex) is one of whoever knows `secret`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    if len(signature) > SIGNATURE_LENGTH_MAX:
        return False
    try:
        _public_key(secret, access_key_id).verify(bytes.fromhex(signature), to_sign.encode(), ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        return False
    return True


@lru_cache(maxsize=1024)
def _public_key(secret: str, access_key_id: str) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

    return derive_private_key(private_number(secret, access_key_id), SECP256R1()).public_key()


def private_number(secret: str, access_key_id: str) -> int:
    """The private key: the first number of the derived ones that lies within the curve's order."""
    for counter in range(1, 256):
        fixed = ALGORITHM.encode() + b"\x00" + access_key_id.encode() + bytes((counter,)) + _KEY_BITS.to_bytes(4, "big")
        derived = hmac.digest(b"AWS4A" + secret.encode(), (1).to_bytes(4, "big") + fixed, "sha256")
        number = int.from_bytes(derived, "big")
        if number <= _ORDER - 2:
            return number + 1
    raise AssertionError("one number in four thousand millions is too large")
