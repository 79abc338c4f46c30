"""What clusters with TLS show their clients: a certificate that the node makes for itself and keeps in the store.

It is signed by nobody else. Clients trust it by its file (`SSL_CERT_FILE`), which each cluster serves as
`/certificate.pem`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import tempfile
from datetime import UTC, datetime, timedelta

import msgspec

from pileus.cloud.context import Cloud
from pileus.services.dax import keys
from pileus.store.contract import Transaction

_YEARS = 10
# How clients of this machine call it.
_NAMES = ("localhost", "127.0.0.1", "::1")


class Kept(msgspec.Struct, array_like=True):
    """PEM, both."""

    key: bytes
    certificate: bytes


async def load(cloud: Cloud) -> Kept:
    """The node's certificate, made where there is none yet."""
    raw = await cloud.store.read(lambda tx: tx.get(keys.certificate()))
    if raw is None:
        made = msgspec.msgpack.encode(await asyncio.to_thread(_make, cloud.clock.time(), cloud.settings.host))

        async def keep(tx: Transaction) -> bytes:
            # Another cluster may have been first.
            found = await tx.get(keys.certificate())
            if found is None:
                tx.put(keys.certificate(), made)
            return found or made

        raw = await cloud.store.write(keep)
    return msgspec.msgpack.decode(raw, type=Kept)


def context(kept: Kept) -> ssl.SSLContext:
    """For a server."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # It takes files only.
    with tempfile.NamedTemporaryFile() as file:
        file.write(kept.key + kept.certificate)
        file.flush()
        made.load_cert_chain(file.name)
    return made


def _make(now: float, host: str) -> Kept:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pileus DAX")])
    begin = datetime.fromtimestamp(now, UTC)
    names: list[x509.GeneralName] = []
    for each in dict.fromkeys((*_NAMES, host)):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(each)))
        except ValueError:
            names.append(x509.DNSName(each))
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - timedelta(days=1))
        .not_valid_after(begin + timedelta(days=365 * _YEARS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, encipher_only=False, decipher_only=False, **usage
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Kept(pem, certificate.public_bytes(Encoding.PEM))
