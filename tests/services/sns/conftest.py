"""A client, and a node whose time stands still until it is told to move."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from sns_web import Web

from conftest import Account, Server


@pytest.fixture
def sns(aws: Any) -> Any:
    return aws.client("sns")


@pytest.fixture(scope="session")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on virtual time, shared by the tests that move it: each has an account of its own."""
    server = Server(tmp_path_factory.mktemp("still") / "data", "--clock", "virtual")
    yield server
    assert server.stop() == 0, server.log.read_text()


@pytest.fixture
def later(still: Server) -> Account:
    """An account on virtual time."""
    return Account(still.endpoint)


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.close()


@pytest.fixture
def tls_web(tmp_path: Path) -> Iterator[Web]:
    """A web server that speaks HTTPS, with a certificate of its own making."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "subscriber")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    both = tmp_path / "subscriber.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    both.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form))
    made = Web(both)
    yield made
    made.close()
