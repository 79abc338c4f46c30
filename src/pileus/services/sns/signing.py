"""Signatures of messages, and the certificate that they are verified with.

A node makes a key and a certificate of its own when it first signs, and keeps them in the store. The certificate is
served at SigningCertURL, without authentication, as SNS serves its own.

Source: "Verifying the signatures of Amazon SNS messages" of the developer guide.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from pileus.cloud import certificates
from pileus.cloud.certificates import Kept
from pileus.cloud.context import Cloud
from pileus.services.sns import keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KEY_BITS = 2048
_NAME = "sns.amazonaws.com"
# What is signed, in this order, of each kind of message; what a message does not have is left out.
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


@dataclass(frozen=True, slots=True)
class Signer:
    key: RSAPrivateKey
    # PEM.
    certificate: bytes
    # Of its file: "SimpleNotificationService-<digest>.pem".
    name: str

    async def sign(self, members: dict[str, str], version: str) -> str:
        """The signature of a message, in base64. Version 1 is made with SHA-1, version 2 with SHA-256."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA1, SHA256

        names = _NOTIFICATION if members["Type"] == "Notification" else _CONFIRMATION
        text = "".join(f"{name}\n{members[name]}\n" for name in names if name in members)
        digest = SHA256() if version == "2" else SHA1()  # noqa: S303 -- what version 1 is
        # Off the loop: it takes most of a millisecond, and holds no lock.
        return b64encode(await asyncio.to_thread(self.key.sign, text.encode(), PKCS1v15(), digest)).decode()


class Signers:
    """The node's signer; in `cloud.parts`."""

    def __init__(self) -> None:
        self._signer: Signer | None = None
        self._making = asyncio.Lock()

    async def get(self, cloud: Cloud) -> Signer:
        if self._signer is None:
            async with self._making:
                if self._signer is None:
                    self._signer = await _load(cloud)
        return self._signer


async def _load(cloud: Cloud) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    kept = await certificates.load(cloud, keys.signing(), _make)
    key = load_pem_private_key(kept.key, None)
    assert isinstance(key, RSAPrivateKey)
    name = f"SimpleNotificationService-{sha256(kept.certificate).hexdigest()[:32]}.pem"
    return Signer(key, kept.certificate, name)


def _make(now: float) -> Kept:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return certificates.self_signed(key, _NAME, [x509.DNSName(_NAME)], now)
