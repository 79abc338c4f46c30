"""Certificates that a node makes for itself, signed by nobody else, and keeps in the store with their keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from pileus.cloud.context import Cloud
from pileus.store.contract import Transaction

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import ExtensionType, GeneralName

_YEARS = 10


class Kept(msgspec.Struct, array_like=True):
    """PEM, both."""

    key: bytes
    certificate: bytes


async def load(cloud: Cloud, place: bytes, make: Callable[[float], Kept]) -> Kept:
    """What is kept at a place of the store; made where there is nothing yet, as of the moment given to `make`."""
    raw = await cloud.store.read(lambda tx: tx.get(place))
    if raw is None:
        made = msgspec.msgpack.encode(await asyncio.to_thread(make, cloud.clock.time()))

        async def keep(tx: Transaction) -> bytes:
            # Somebody else may have been first.
            found = await tx.get(place)
            if found is None:
                tx.put(place, made)
            return found or made

        raw = await cloud.store.write(keep)
    return msgspec.msgpack.decode(raw, type=Kept)


def self_signed(
    key: RSAPrivateKey | EllipticCurvePrivateKey,
    name: str,
    names: Sequence[GeneralName],
    now: float,
    critical: Sequence[ExtensionType] = (),
) -> Kept:
    """A certificate of a key, for those names; good for ten years from a day ago."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime.fromtimestamp(now, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - timedelta(days=1))
        .not_valid_after(begin + timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Kept(pem, builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
