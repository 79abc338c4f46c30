"""Who is behind a request: root keys, users, sessions; presigned URLs of Version 2; payloads."""

from __future__ import annotations

import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pileus.access.access_keys import account_of, new_access_key_id
from pileus.access.authenticate import Authenticated, Keyring, authenticate
from pileus.access.contract import Credential, Identities
from pileus.access.sessions import ExpiredToken, Sessions, UnknownToken, issue_session, role_session
from pileus.kernel.errors import AWSError
from pileus.kernel.ids import Ids
from pileus.kernel.principal import Principal
from pileus.kernel.settings import Settings

NOW = time.time()
IDS = Ids(7)
SESSIONS = Sessions(b"k" * 32)
SETTINGS = Settings(data_dir=Path("/nowhere"), root_keys={"AKIAROOT": "rootsecret"}, account="123456789012")
USER = Principal(
    kind="user",
    account="111111111111",
    arn="arn:aws:iam::111111111111:user/u",
    id="AIDAU",
    name="u",
    access_key_id="AKIAUSER",
)


class _Users(Identities):
    def __init__(self) -> None:
        self.uses: list[tuple[str, str, str]] = []

    async def credential(self, access_key_id: str) -> Credential | None:
        return Credential("usersecret", USER) if access_key_id == "AKIAUSER" else None

    def used(self, access_key_id: str, *, service: str, region: str, now: float) -> None:
        self.uses.append((access_key_id, service, region))


def keyring(**settings: Any) -> Keyring:
    return Keyring(_Users(), SESSIONS, replace(SETTINGS, **settings))


async def ask(
    key: str,
    secret: str,
    token: str | None = None,
    *,
    service: str = "dynamodb",
    family: Any = "json",
    signer: Any = SigV4Auth,
    url: str = "http://localhost:4566/",
    body: bytes | None = b"{}",
    sent: bytes | None = None,
    streamed: bool = False,
    ring: Keyring | None = None,
    resource: str = "",
    now: float = NOW,
    **headers: str,
) -> Authenticated:
    """Sign a request and authenticate it; `sent` is the body that arrives instead."""
    request = AWSRequest("PUT", url, data=body, headers=headers, auth_path=resource or None)
    signer(Credentials(key, secret, token), service, "eu-west-1").add_auth(request)
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    found = {"host": parts.netloc}
    for name, value in prepared.headers.items():
        found[name.lower()] = value.decode("latin-1") if isinstance(value, bytes) else value
    return await authenticate(
        method="PUT",
        path=parts.path,
        query=parts.query,
        headers=found,
        body=None if streamed else (body if sent is None else sent),
        family=family,
        keyring=ring or keyring(),
        now=now,
        resource=resource,
    )


async def test_root_keys() -> None:
    for key, secret, account in (
        ("test", "test", "000000000000"),
        ("222222222222", "test", "222222222222"),
        ("AKIAROOT", "rootsecret", "123456789012"),
    ):
        found = await ask(key, secret)
        assert found.principal.kind == "root"
        assert found.principal.arn == f"arn:aws:iam::{account}:root"
        assert (found.account, found.region, found.service) == (account, "eu-west-1", "dynamodb")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
async def test_the_local_keys_count_on_a_loopback_address_only(host: str) -> None:
    for key in ("test", "222222222222"):
        with pytest.raises(AWSError, match="UnrecognizedClientException"):
            await ask(key, "test", ring=keyring(host=host))
    assert (await ask("AKIAROOT", "rootsecret", ring=keyring(host=host))).principal.kind == "root"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
async def test_loopback_addresses(host: str) -> None:
    assert (await ask("test", "test", ring=keyring(host=host))).principal.kind == "root"


async def test_users_and_strangers() -> None:
    ring = keyring()
    with pytest.raises(AWSError, match="InvalidSignatureException"):
        await ask("AKIAUSER", "guess", ring=ring)
    # Only who knows the secret has used the key.
    assert ring.identities.uses == []  # type: ignore[attr-defined]
    assert (await ask("AKIAUSER", "usersecret", ring=ring)).principal is USER
    assert ring.identities.uses == [("AKIAUSER", "dynamodb", "eu-west-1")]  # type: ignore[attr-defined]
    with pytest.raises(AWSError, match="UnrecognizedClientException"):
        await ask("AKIANOBODY", "guess")
    for key in ("22222222222", "2222222222222", "22222222222x", "²²²²²²²²²²²²"):
        with pytest.raises(AWSError):
            await ask(key, "test")


async def test_nobody() -> None:
    found = await authenticate(
        method="GET", path="/", query="", headers={"host": "h"}, body=b"", family="s3", keyring=keyring(), now=NOW
    )
    assert found.principal.kind == "anonymous"


async def test_sessions() -> None:
    principal = role_session(
        account="111111111111", role_arn="arn:aws:iam::111111111111:role/x/r", role_id="AROAR", session_name="s"
    )
    keys = issue_session(SESSIONS, IDS, principal, now=NOW, duration_s=900)
    found = (await ask(keys.access_key_id, keys.secret_access_key, keys.session_token)).principal
    assert found.arn == "arn:aws:sts::111111111111:assumed-role/r/s"
    assert (found.id, found.role_arn) == ("AROAR:s", "arn:aws:iam::111111111111:role/x/r")
    assert (found.access_key_id, found.issued) == (keys.access_key_id, float(int(NOW)))
    with pytest.raises(AWSError, match="UnrecognizedClientException"):
        await ask(keys.access_key_id, keys.secret_access_key)
    with pytest.raises(AWSError, match="UnrecognizedClientException"):
        await ask("AKIAUSER", "usersecret", keys.session_token)


def test_tokens() -> None:
    keys = issue_session(SESSIONS, IDS, USER, now=NOW, duration_s=900)
    assert SESSIONS.credential(keys.access_key_id, keys.session_token, NOW + 899).secret == keys.secret_access_key
    with pytest.raises(ExpiredToken):
        SESSIONS.credential(keys.access_key_id, keys.session_token, NOW + 900)
    with pytest.raises(UnknownToken):
        SESSIONS.credential("ASIAOTHER", keys.session_token, NOW)
    with pytest.raises(UnknownToken):
        Sessions(b"another key, also of 32 bytes...").credential(keys.access_key_id, keys.session_token, NOW)
    for position in range(len(keys.session_token)):
        char = "B" if keys.session_token[position] != "B" else "C"
        altered = keys.session_token[:position] + char + keys.session_token[position + 1 :]
        with pytest.raises(UnknownToken):
            SESSIONS.credential(keys.access_key_id, altered, NOW)
    for nonsense in ("", "AQ==", "x" * 100_000, "é", "AQ=="):
        with pytest.raises(UnknownToken):
            SESSIONS.credential(keys.access_key_id, nonsense, NOW)
    assert keys.secret_access_key not in keys.session_token


def test_access_key_ids_tell_their_account() -> None:
    for account in ("000000000000", "000000000001", "123456789012", "999999999999"):
        id = new_access_key_id("AKIA", account, IDS)
        assert len(id) == 20
        assert account_of(id) == account
    for nonsense in ("", "AKIA", "AKIA!", "AKIAAAAA", "XXXXAAAAAAAAAAAAAAAA"):
        assert account_of(nonsense) is None


async def test_the_payload_is_the_one_that_was_signed() -> None:
    with pytest.raises(AWSError, match="InvalidSignatureException"):
        await ask("test", "test", sent=b"{ }")
    s3 = {"service": "s3", "family": "s3", "signer": S3SigV4Auth, "url": "http://localhost:4566/b/k"}
    assert (await ask("test", "test", **s3)).payload_sha256 == ""
    with pytest.raises(AWSError) as caught:
        await ask("test", "test", sent=b"{ }", **s3)
    assert caught.value.code == "XAmzContentSHA256Mismatch"
    assert caught.value.members["ClientComputedContentSHA256"] == sha256(b"{}").hexdigest()
    assert caught.value.members["S3ComputedContentSHA256"] == sha256(b"{ }").hexdigest()
    # What streams is checked by whoever reads it.
    assert (await ask("test", "test", streamed=True, **s3)).payload_sha256 == sha256(b"{}").hexdigest()


async def test_urls_presigned_in_version_2() -> None:
    class Signer(HmacV1QueryAuth):
        def __init__(self, credentials: Any, service: str, region: str) -> None:
            super().__init__(credentials, expires=60)

    s3: dict[str, Any] = {"service": "s3", "family": "s3", "signer": Signer, "body": None}
    for url in (
        "http://localhost:4566/bucket/key%20with%2Fodd",
        "http://localhost:4566/bucket/key?versionId=a%2Fb&uploads&other=1",
        "http://localhost:4566/bucket/key?response-content-type=text%2Fplain",
    ):
        found = await ask("test", "test", url=url, **s3)
        assert (found.principal.kind, found.service) == ("root", "s3")
        with pytest.raises(AWSError) as caught:
            await ask("test", "wrong", url=url, **s3)
        assert caught.value.code == "SignatureDoesNotMatch"
        assert {"AWSAccessKeyId", "StringToSign", "StringToSignBytes", "SignatureProvided"} == set(caught.value.members)
        with pytest.raises(AWSError) as caught:
            await ask("test", "test", url=url, now=NOW + 3600, **s3)
        assert (caught.value.message, set(caught.value.members)) == ("Request has expired", {"Expires", "ServerTime"})
    keys = issue_session(SESSIONS, IDS, USER, now=NOW, duration_s=900)
    found = await ask(keys.access_key_id, keys.secret_access_key, keys.session_token, url=url, **s3)
    assert found.principal.access_key_id == keys.access_key_id
    # A bucket that the host names is part of what is signed.
    await ask("test", "test", url="http://bucket.localhost:4566/key", resource="/bucket/key", **s3)


@pytest.mark.parametrize("missing", ["AWSAccessKeyId", "Expires", "Signature"])
async def test_version_2_wants_all_its_parameters(missing: str) -> None:
    parameters = {"AWSAccessKeyId": "test", "Expires": "1", "Signature": "x"}
    query = "&".join(f"{name}={value}" for name, value in parameters.items() if name != missing)
    expected = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
    with pytest.raises(AWSError) as caught:
        await authenticate(
            method="GET", path="/b/k", query=query, headers={"host": "h"}, body=b"", family="s3", keyring=keyring(),
            now=NOW,
        )  # fmt: skip
    assert (caught.value.code, caught.value.message) == ("AccessDenied", expected)
