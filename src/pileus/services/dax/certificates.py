"""What clusters with TLS show their clients: a certificate that the node makes for itself.

Clients trust it by its file (`SSL_CERT_FILE`), which each cluster serves as `/certificate.pem`.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from functools import partial

from pileus.cloud import certificates
from pileus.cloud.certificates import Kept
from pileus.cloud.context import Cloud
from pileus.services.dax import keys

# How clients of this machine call it.
_NAMES = ("localhost", "127.0.0.1", "::1")


async def load(cloud: Cloud) -> Kept:
    """The node's certificate, made where there is none yet."""
    return await certificates.load(cloud, keys.certificate(), partial(_make, cloud.settings.host))


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


def _make(host: str, now: float) -> Kept:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    names: list[x509.GeneralName] = []
    for each in dict.fromkeys((*_NAMES, host)):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(each)))
        except ValueError:
            names.append(x509.DNSName(each))
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign")
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        encipher_only=False,
        decipher_only=False,
        **dict.fromkeys(others, False),
    )
    # Who trusts it does so as an authority, of itself alone.
    authority = x509.BasicConstraints(ca=True, path_length=0)
    return certificates.self_signed(
        ec.generate_private_key(ec.SECP256R1()), "Pileus DAX", names, now, (authority, usage)
    )
